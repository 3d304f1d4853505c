// Reductions over any axes (none named: all of them). keepdim leaves them with size 1. A NaN in gives a NaN out.
#pragma once
#include "fathom/tensor/tensor.h"

namespace fathom {

Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdim = false);   // of boolean and i64: i64
Tensor sum_to(Tensor x, const Shape& shape);                                // over what broadcasting shape to x's added
Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdim = false);  // Throws Error over an empty axis
Tensor var(const Tensor& x, const Axes& axes = {}, bool keepdim = false, int64_t correction = 1);
// After `using namespace fathom` it is still to be called fathom::std: the other std is in reach as well.
Tensor std(const Tensor& x, const Axes& axes = {}, bool keepdim = false, int64_t correction = 1);
Tensor prod(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor amax(const Tensor& x, const Axes& axes = {}, bool keepdim = false);  // equal ones share the gradient
Tensor amin(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor argmax(const Tensor& x, int64_t d = -1, bool keepdim = false);  // i64; the first of equal ones, a NaN first
Tensor argmin(const Tensor& x, int64_t d = -1, bool keepdim = false);
Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor norm(const Tensor& x, double p = 2, const Axes& axes = {}, bool keepdim = false);  // (sum |x|^p)^(1/p)
Tensor cumsum(const Tensor& x, int64_t d);

}  // namespace fathom
