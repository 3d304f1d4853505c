// Walking strided memory.
#pragma once
#include <algorithm>  // min

#include "fathom/tensor/shape.h"

namespace fathom::kernel {

// f(offset of each element), in row-major order.
template <class F>
void each_offset(const Shape& shape, const Shape& strides, F f) {
  const int64_t n = shape.numel();
  int64_t index[Shape::max_rank] = {}, at = 0;
  for (int64_t i = 0; i < n; ++i) {
    f(at);
    for (int d = shape.rank - 1; d >= 0; --d) {
      at += strides[d];
      if (++index[d] < shape[d]) break;
      at -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
}

// The same walk along fewer axes: two that all N stride sets step through as through one become one.
template <size_t N>
void join_axes(Shape& shape, Shape (&strides)[N]) {
  int to = 0;
  for (int d = 1; d < shape.rank; ++d) {
    bool one = true;
    for (const Shape& each : strides) one &= each[to] == each[d] * shape[d];
    if (one) shape[to] *= shape[d];
    else shape[++to] = shape[d];
    for (Shape& each : strides) each[to] = each[d];
  }
  shape.rank = std::min(shape.rank, to + 1);
}

// f(an array of N offsets) at the start of each row, a row being a line along the last axis of shape; all N stride sets
// have shape's rank. Rank 0 counts as one row.
template <size_t N, class F>
void each_row(const Shape& shape, const Shape (&strides)[N], F f) {
  int64_t rows = 1;
  const int last = shape.rank - 1;
  for (int d = 0; d < last; ++d) rows *= shape[d];
  if (shape.rank && shape[last] == 0) return;
  int64_t index[Shape::max_rank] = {}, at[N] = {};
  for (int64_t r = 0; r < rows; ++r) {
    f(at);
    for (int d = last - 1; d >= 0; --d) {
      for (size_t i = 0; i < N; ++i) at[i] += strides[i][d];
      if (++index[d] < shape[d]) break;
      for (size_t i = 0; i < N; ++i) at[i] -= strides[i][d] * shape[d];
      index[d] = 0;
    }
  }
}

}  // namespace fathom::kernel
