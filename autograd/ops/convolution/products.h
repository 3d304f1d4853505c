// The three products of a convolution.
#pragma once
#include <algorithm>  // clamp, max
#include <cstdint>

#include "fathom/autograd/ops/convolution.h"

namespace fathom::convolution {

// Sizes of y = conv2d(x, w).
struct Geometry {
  Conv2dForm form;
  int64_t batch, in, rows, columns;          // x
  int64_t out, kernel_rows, kernel_columns;  // w, its second axis being in / groups
  int64_t y_rows = 0, y_columns = 0;         // y
  int64_t in_group() const { return in / form.groups; }
  int64_t out_group() const { return out / form.groups; }
  int64_t taps() const { return in_group() * kernel_rows * kernel_columns; }
  int64_t area() const { return rows * columns; }
  int64_t y_area() const { return y_rows * y_columns; }
  Shape x_shape() const { return {batch, in, rows, columns}; }
  Shape w_shape() const { return {out, in_group(), kernel_rows, kernel_columns}; }
  Shape y_shape() const { return {batch, out, y_rows, y_columns}; }
  // The matrix of columns is x itself.
  bool trivial() const {
    return kernel_rows == 1 && kernel_columns == 1 && form.stride.rows == 1 && form.stride.columns == 1 &&
           form.padding.rows == 0 && form.padding.columns == 0;
  }
  // How many rows of y are made at a time, so that what they read stays in the second cache.
  int64_t strip() const {
    return std::clamp<int64_t>(32768 / std::max<int64_t>(1, taps() * y_columns), 1, std::max<int64_t>(y_rows, 1));
  }
  int64_t strip_size() const { return taps() * strip() * y_columns; }
  // How many samples are worth a thread, and how many share their sum of a weight's gradient: a matter of sizes alone.
  int64_t grain() const { return std::max<int64_t>(1, 500'000 / std::max<int64_t>(1, out * taps() * y_area())); }
  int64_t block() const { return std::max<int64_t>(1, (batch + 15) / 16); }
  int64_t blocks() const { return (batch + block() - 1) / block(); }
};

// The numbers of y = conv2d(x, w) and of its transposes in x and in w, for cotangents g of y; contiguous, without
// history. bias (out) or undefined. What the kernel reads is laid out as a matrix, a strip of y's rows at a time, and
// multiplied with w: of columns with a row for each tap, of patches with a row for each place of y.
struct Products {
  Tensor (*value)(const Geometry& s, const Tensor& x, const Tensor& w, const Tensor& bias);
  Tensor (*to_input)(const Geometry& s, const Tensor& g, const Tensor& w);
  Tensor (*to_weight)(const Geometry& s, const Tensor& x, const Tensor& g);
};
extern const Products by_columns, by_patches;

}  // namespace fathom::convolution
