// Other views of the same numbers, without copies where strides can say it.
#pragma once
#include "fathom/tensor/tensor.h"

namespace fathom {

Tensor identity(const Tensor& x);                     // x, as an op of its own on the tape
Tensor reshape(const Tensor& x, const Shape& shape);  // one size may be -1; copies where strides cannot say it
Tensor flatten(const Tensor& x, int64_t from = 0, int64_t to = -1);  // axes from..to become one
Tensor transpose(const Tensor& x, int64_t a = -2, int64_t b = -1);   // swaps two axes
Tensor permute(const Tensor& x, const Axes& axes);                   // axis i of the result is axis axes[i] of x
Tensor squeeze(const Tensor& x, int64_t d);                          // without axis d, of size 1
Tensor unsqueeze(const Tensor& x, int64_t d);                        // with an axis of size 1 before axis d
Tensor expand(const Tensor& x, const Shape& shape);                  // broadcast to shape
Tensor slice(const Tensor& x, int64_t d, int64_t begin, int64_t end,
             int64_t step = 1);                                                        // begin <= i < end, as Python's
Tensor select(const Tensor& x, int64_t d, int64_t i);                                  // x[..., i, ...], without axis d
Tensor diagonal(const Tensor& x, int64_t offset = 0, int64_t a = -2, int64_t b = -1);  // the diagonal as the last axis
std::vector<Tensor> unbind(const Tensor& x, int64_t d = 0);                            // x[0], x[1], ... along axis d
std::vector<Tensor> split(const Tensor& x, int64_t size, int64_t d = 0);  // pieces of this size, the last perhaps less
std::vector<Tensor> chunk(const Tensor& x, int64_t pieces, int64_t d = 0);  // at most so many pieces

// y, or a recorded copy of it where it lies on x's storage: the result of an op that never returns a view.
inline Tensor no_view_of(const Tensor& x, const Tensor& y) { return &x.storage() == &y.storage() ? y.clone() : y; }

}  // namespace fathom
