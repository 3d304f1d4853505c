// A small net with modules within, to be recorded.
#pragma once
#include "fathom/autograd/create.h"
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/nn/nn.h"

namespace recorded_net {

using namespace fathom;

struct Block : nn::Module {
  nn::Linear linear;
  explicit Block(int64_t n) : linear(n, n) {}
  Tensor forward(Tensor x) override { return tanh(linear(std::move(x))); }
  void fields(nn::Fields& f) override { f("linear", linear); }
};

struct Net : nn::Module {
  nn::Linear in{5, 8};
  std::vector<Block> blocks;
  nn::Dropout dropout{0.25};
  nn::Linear out{8, 3};
  explicit Net(int depth = 2) {
    for (int i = 0; i < depth; ++i) blocks.emplace_back(8);
  }
  Tensor forward(Tensor x) override {
    x = in(std::move(x));
    for (Block& block : blocks) x = block(std::move(x));
    return out(dropout(std::move(x)));
  }
  void fields(nn::Fields& f) override { f("in", in), f("blocks", blocks), f("dropout", dropout), f("out", out); }
};

inline Tensor batch(int64_t n, uint64_t seed = 11) {
  Rng rng(seed);
  return randn({n, 5}, {}, rng);
}

}  // namespace recorded_net
