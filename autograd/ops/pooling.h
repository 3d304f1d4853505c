// Each window of the last two axes of images becomes one number.
#pragma once
#include "fathom/autograd/ops/convolution.h"

namespace fathom {

struct PoolForm {
  Size2d kernel;
  Size2d stride = 0;   // 0: the kernel's size
  Size2d padding = 0;  // at most half the kernel
};
// The largest of each window of x (..., rows, columns); of equal ones the first takes the gradient. What is padded
// never wins. Throws Error when a window does not fit the padded input, or the padding is above half the kernel.
Tensor max_pool2d(const Tensor& x, const PoolForm& form);
// The mean of each window; what is padded counts as zeros, or, without count_padding, not at all.
Tensor avg_pool2d(const Tensor& x, const PoolForm& form, bool count_padding = true);
// Of `size` windows that cover each axis evenly: the i-th of m on n is from floor(i n / m) to ceil((i + 1) n / m).
Tensor adaptive_avg_pool2d(const Tensor& x, Size2d size);
Tensor adaptive_max_pool2d(const Tensor& x, Size2d size);

}  // namespace fathom
