// The axes of a reduction, as bits: what is left of a shape, and where the numbers lie.
#pragma once
#include "fathom/tensor/tensor.h"

namespace fathom {

// The shape without the axes whose bits are set, or with size 1 there.
Shape reduced_shape(const Shape& shape, unsigned bits, bool keepdim);
// How many numbers go into one.
int64_t reduced_size(const Shape& shape, unsigned bits);

// x's numbers, without history, as a contiguous (outer, reduced, inner); copied where they lie otherwise.
struct Blocks {
  Tensor x;
  int64_t outer = 1, reduced = 1, inner = 1;
};
Blocks blocks(const Tensor& x, unsigned bits);
Blocks rows(const Tensor& x, unsigned bits);  // the same with inner 1, reduced axes in the order of memory

// y, the result of a reduction of x over these axes, seen again with x's shape. An op.
Tensor spread(Tensor y, const Shape& shape, unsigned bits, bool keepdim);

// Throws Error when an axis of the reduction is empty.
void check_not_empty(const char* op, const Shape& shape, unsigned bits);

// The sum over these axes times scale, without history. f32 is added in blocks, with the blocks' sums in double.
Tensor sum_value(const Tensor& x, unsigned bits, bool keepdim, double scale = 1);

}  // namespace fathom
