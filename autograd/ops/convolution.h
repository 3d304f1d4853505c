// Convolutions and pooling over the last axes of images and sequences.
#pragma once
#include "fathom/tensor/tensor.h"

namespace fathom {

// A number for rows and one for columns; a single number stands for both.
struct Size2d {
  int64_t rows, columns;
  Size2d(int64_t both) : rows(both), columns(both) {}
  Size2d(int64_t r, int64_t c) : rows(r), columns(c) {}
};
std::string to_string(const Size2d& pair);  // (2, 3)

struct Conv2dForm {
  Size2d stride = 1;
  Size2d padding = 0;  // zeros on each side
  Size2d dilation = 1;
  int64_t groups = 1;
};
// y[n, o, i, j] = b[o] + the sum over c, p, q of w[o, c, p, q] x[n, c, i stride + p dilation - padding, ...], where c
// are the input channels of o's group. x (batch, in, rows, columns), weight (out, in / groups, rows, columns), bias
// (out) or undefined; y (batch, out, rows, columns) with (x + 2 padding - dilation (kernel - 1) - 1) / stride + 1 rows.
// Throws Error where the channels do not fit, groups do not divide them, or the kernel is larger than the padded input.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const Conv2dForm& form = {});

struct Conv1dForm {
  int64_t stride = 1, padding = 0, dilation = 1, groups = 1;
};
// The same for x (batch, in, length) and weight (out, in / groups, length).
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const Conv1dForm& form = {});

// x with what lies at the other end of the last two axes set before and after it: a torus. Throws Error when the
// padding is larger than the axis.
Tensor pad_circular(const Tensor& x, Size2d padding);

}  // namespace fathom
