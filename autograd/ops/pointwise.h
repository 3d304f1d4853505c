// Functions of each element of a floating tensor.
#pragma once
#include "fathom/tensor/tensor.h"

namespace fathom {

Tensor exp(Tensor x);
Tensor expm1(Tensor x);  // exp(x) - 1, exact near 0
Tensor log(Tensor x);
Tensor log1p(Tensor x);  // log(1 + x), exact near 0
Tensor sqrt(Tensor x);
Tensor rsqrt(Tensor x);  // 1 / sqrt(x)
Tensor sin(Tensor x);
Tensor cos(Tensor x);
Tensor tanh(Tensor x);
Tensor erf(Tensor x);
Tensor sigmoid(Tensor x);  // 1 / (1 + exp(-x))
Tensor log_sigmoid(Tensor x);
Tensor softplus(Tensor x);     // log(1 + exp(x))
Tensor relu(Tensor x);         // max(x, 0); slope 0 at 0
Tensor step(const Tensor& x);  // 1 where x > 0, else 0; derivative zero
Tensor leaky_relu(Tensor x, double negative_slope = 0.01);
Tensor elu(Tensor x, double alpha = 1);
enum class Gelu { erf, tanh };
Tensor gelu(Tensor x, Gelu form = Gelu::erf);  // x Phi(x) (Hendrycks & Gimpel 2016), exact or by its tanh approximation
Tensor silu(Tensor x);                         // x sigmoid(x)

}  // namespace fathom
