#include "fathom/nn/print.h"

#include <sstream>

#include "tests/nn/nested.h"

namespace {

std::string text_of(const nn::Module& m) {
  std::ostringstream out;
  out << m;
  return out.str();
}

}  // namespace

TEST_CASE("print: modules within modules, with shapes, buffers and the number of parameters") {
  const nn::Sequential net(nn::Linear(2, 4),
                           nn::Residual(nn::Sequential(nn::LayerNorm(4), nn::Linear(4, 4), nn::GELU())),
                           nn::EulerStep(nn::Tanh()), nn::BatchNorm1d(4), nn::Linear(4, 1, {.bias = false}));
  CHECK(text_of(net) == R"(Sequential
  0: Linear, weight (4, 2), bias (4)
  1: Residual
    f: Sequential
      0: LayerNorm, weight (4), bias (4)
      1: Linear, weight (4, 4), bias (4)
      2: GELU
  2: EulerStep
    f: Tanh
  3: BatchNorm1d, weight (4), bias (4), buffer running_mean (4), buffer running_var (4), buffer num_batches_tracked ()
  4: Linear, weight (1, 4)
parameters: 52)");
  CHECK(text_of(nn::Tanh()) == "Tanh\nparameters: 0");
}

TEST_CASE("print: structs of one's own, whose fields are lists, wrapped modules, and tensors after them") {
  CHECK(text_of(Net()) == R"(Net, scale (1)
  block: Block, buffer count (1)
    in: Linear, weight (4, 3), bias (4)
    norm: LayerNorm, weight (4), bias (4)
  heads.0: Linear, weight (2, 4), bias (2)
  heads.1: Linear, weight (2, 4)
parameters: 43)");
  struct Local : nn::Module {
    Tensor forward(Tensor x) override { return x; }
  };
  CHECK(text_of(Local()) == "Local\nparameters: 0");
  const std::string wrapped = text_of(nn::weight_norm(nn::Linear(3, 2)));
  CHECK(wrapped ==
        "Parametrized<Linear>, bias (2), buffer weight (2, 3), weight.g (2, 1), weight.v (2, 3)\nparameters: 10");
}

TEST_CASE("print: a tied parameter is counted once and says what it is") {
  struct Tied : nn::Module {
    nn::Embedding embedding{5, 3};
    nn::Linear head{3, 5};
    Tied() { head.weight = embedding.weight; }
    Tensor forward(Tensor x) override { return head(embedding(std::move(x))); }
    void fields(nn::Fields& f) override { f("embedding", embedding), f("head", head); }
  };
  CHECK(text_of(Tied()) == R"(Tied
  embedding: Embedding, weight (5, 3)
  head: Linear, weight (5, 3) = embedding.weight, bias (5)
parameters: 20)");
}
