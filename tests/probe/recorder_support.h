// Folders for records, and small nets that are recorded.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fathom/autograd/create.h"
#include "fathom/nn/nn.h"
#include "fathom/probe/record.h"
#include "tests/folder.h"

using namespace fathom;
using nlohmann::json;

struct Folder : TemporaryFolder {
  std::vector<json> lines() const {
    std::vector<json> all;
    std::ifstream file(path / "record.jsonl");
    for (std::string line; std::getline(file, line);) all.push_back(json::parse(line));
    return all;
  }
  probe::record::Run run() const { return probe::record::read(*this / "record.jsonl").runs.at(0); }
};

inline nn::Sequential tanh_layers(int n, int64_t width = 5) {
  nn::Sequential net;
  for (int i = 0; i < n; ++i) net.push_back(nn::Sequential(nn::Linear(width, width, {.dtype = f64}), nn::Tanh()));
  return net;
}
inline Tensor inputs(int64_t n, uint64_t seed = 3) {
  Rng rng(seed);
  return randn({n, 5}, {.dtype = f64}, rng);
}
