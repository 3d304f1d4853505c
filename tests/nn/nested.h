// A module with modules within, parameters and a buffer, for tests of what holds of any.
#pragma once
#include "tests/nn/modules.h"

using namespace fathom;

struct Block : nn::Module {
  nn::Linear in;
  nn::LayerNorm norm{4};
  Tensor count = zeros({1}, {.dtype = f64});
  explicit Block(int64_t n = 3) : in(n, 4) {}
  Tensor forward(Tensor x) override { return norm(in(std::move(x))); }
  void fields(nn::Fields& f) override {
    f("in", in);
    f("norm", norm);
    f.buffer("count", count);
  }
};
struct Net : nn::Module {
  Block block;
  std::vector<nn::Linear> heads;
  Tensor scale = ones({1}, {.requires_grad = true});
  Net() {
    heads.emplace_back(4, 2);
    heads.emplace_back(4, 2, nn::LinearOptions{.bias = false});
  }
  Tensor forward(Tensor x) override { return heads[1](block(std::move(x))) * scale; }
  void fields(nn::Fields& f) override {
    f("block", block);
    f("heads", heads);
    f("scale", scale);
  }
};

template <class List>
std::string names(const List& list) {
  std::string all;
  for (const auto& each : list) all += each.name + ";";
  return all;
}
