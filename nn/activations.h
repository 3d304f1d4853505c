// Functions of each element as modules, without parameters.
#pragma once
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/nn/module.h"

namespace fathom::nn {

struct Identity : Module {
  Tensor forward(Tensor x) override { return x; }
};
struct Tanh : Module {
  Tensor forward(Tensor x) override { return tanh(std::move(x)); }
};
struct Sigmoid : Module {
  Tensor forward(Tensor x) override { return sigmoid(std::move(x)); }
};
struct ReLU : Module {
  Tensor forward(Tensor x) override { return relu(std::move(x)); }
};
struct LeakyReLU : Module {
  double negative_slope;
  explicit LeakyReLU(double slope = 0.01) : negative_slope(slope) {}
  Tensor forward(Tensor x) override { return leaky_relu(std::move(x), negative_slope); }
};
struct ELU : Module {
  double alpha;
  explicit ELU(double a = 1) : alpha(a) {}
  Tensor forward(Tensor x) override { return elu(std::move(x), alpha); }
};
struct GELU : Module {
  Gelu form;
  explicit GELU(Gelu f = Gelu::erf) : form(f) {}
  Tensor forward(Tensor x) override { return gelu(std::move(x), form); }
};
struct SiLU : Module {
  Tensor forward(Tensor x) override { return silu(std::move(x)); }
};
struct Softplus : Module {
  Tensor forward(Tensor x) override { return softplus(std::move(x)); }
};

// In training each element is zero with probability p, else scaled by 1 / (1 - p); afterwards nothing happens
// (Srivastava et al. 2014).
struct Dropout : Module {
  double p;
  explicit Dropout(double probability = 0.5);  // Throws Error outside 0 <= p < 1.
  Tensor forward(Tensor x) override;
};

}  // namespace fathom::nn
