// The curvature of a loss.
#pragma once
#include <span>

#include "fathom/tensor/tensor.h"

namespace fathom::probe {

struct SharpnessOptions {
  int64_t iterations = 20;         // of Lanczos; each is one product with the Hessian
  double tolerance = 1e-4;         // done when the residual is at most this part of the value
  std::vector<Tensor> start = {};  // a direction from before: a warm start, where it is not zero and finite
  uint64_t seed = 0;               // of the direction drawn else
};

// The largest eigenvalue of the Hessian in the parameters. Gradient descent is stable while it is below 2 / rate
// (Cohen et al. 2021).
struct Sharpness {
  double value = 0;               // a lower bound but for rounding
  double residual = 0;            // an eigenvalue lies within it of the value
  std::vector<Tensor> direction;  // of norm 1, a tensor a parameter
  int64_t iterations = 0;
  double seconds = 0;
};

// By Lanczos with full reorthogonalisation on Hessian-vector products over the recorded tape, which is kept. Throws
// Error when the loss is no scalar, or does not depend on any of the parameters.
Sharpness sharpness(const Tensor& loss, std::span<const Tensor> parameters, const SharpnessOptions& options = {});

}  // namespace fathom::probe
