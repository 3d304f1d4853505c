// Norms of gradients, and clipping them. Each returns the norm before; parameters without a gradient count as zero.
#pragma once
#include <span>
#include <vector>

#include "fathom/tensor/parallel.h"  // FunctionRef
#include "fathom/tensor/tensor.h"

namespace fathom::optim {

// What to do about gradients whose norm is infinite or NaN.
enum class OnNonfinite { error, skip };

// (sum |g|^p)^(1/p) over all gradients together; the largest |g| for an infinite p. Throws Error unless p > 0.
double grad_norm(std::span<const Tensor> parameters, double p = 2);

struct ClipOptions {
  double p = 2;  // of the norm; may be infinite
  OnNonfinite on_nonfinite = OnNonfinite::error;
};
// Scales the gradients by min(1, max_norm / (norm + 1e-6)), as PyTorch's (Pascanu et al. 2013). Throws Error on a norm
// that is not finite, naming the first parameter to blame, or else leaves the gradients as they are.
double clip_grad_norm(std::span<const Tensor> parameters, double max_norm, ClipOptions options = {});
// The same for each parameter by itself; returns their norms.
std::vector<double> clip_grad_norm_each(std::span<const Tensor> parameters, double max_norm, double p = 2);
// Clamps each element of the gradients to [-max, max]; a NaN stays.
double clip_grad_value(std::span<const Tensor> parameters, double max);
// Adaptive: each unit's gradient to at most factor * max(norm of the unit's weight, eps), a unit being a row of a
// weight (out, ...), or a whole vector (Brock et al., "High-performance large-scale image recognition without
// normalization", 2021, equation 3).
double clip_grad_adaptive(std::span<const Tensor> parameters, double factor = 0.01, double eps = 1e-3);

// ---- for optimisers ----
double squared_grad_norm(const Tensor& w);             // 0 without a gradient
double grad_norm_of(const Tensor& w, double squares);  // from its square, unless that has left double's range
// Of several, each with its square.
double grad_norm_of(std::span<const double> squares, FunctionRef<const Tensor&(size_t)> w);
double clip_scale(double norm, double max_norm);
[[noreturn]] void not_finite(const char* op, const std::string& name, const Tensor& w);
[[noreturn]] void not_finite(const char* op);  // each gradient is finite; all together are not

}  // namespace fathom::optim
