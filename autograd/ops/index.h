// Gathering, scattering and rearranging. Indices are i64; one out of range is an Error that names it.
#pragma once
#include <span>

#include "fathom/tensor/random.h"
#include "fathom/tensor/tensor.h"

namespace fathom {

Tensor index_select(const Tensor& x, int64_t d, const Tensor& index);  // slices of x along d; index (n)
Tensor gather(const Tensor& x, int64_t d, const Tensor& index);        // as PyTorch's
Tensor scatter_add(const Tensor& x, int64_t d, const Tensor& index, const Tensor& source);  // as PyTorch's
Tensor masked_fill(const Tensor& x, const Tensor& mask, double value);  // value where the boolean mask is true
Tensor concat(std::span<const Tensor> xs, int64_t d = 0);
Tensor concat(std::initializer_list<Tensor> xs, int64_t d = 0);
Tensor stack(std::span<const Tensor> xs, int64_t d = 0);  // along a new axis d
Tensor stack(std::initializer_list<Tensor> xs, int64_t d = 0);
Tensor pad(const Tensor& x, std::span<const int64_t> before_after, double value = 0);  // pairs, the last axis first
Tensor pad(const Tensor& x, std::initializer_list<int64_t> before_after, double value = 0);
Tensor flip(const Tensor& x, const Axes& axes);
Tensor roll(const Tensor& x, int64_t shift, int64_t d);
Tensor tril(const Tensor& x, int64_t diagonal = 0);  // zero above the diagonal
Tensor triu(const Tensor& x, int64_t diagonal = 0);  // zero below
Tensor repeat(const Tensor& x, const Shape& times);  // whole copies along each axis
struct Sorted {
  Tensor values, indices;
};
Sorted sort(const Tensor& x, int64_t d = -1, bool descending = false);  // stable; a NaN counts as largest
Sorted topk(const Tensor& x, int64_t k, int64_t d = -1, bool largest = true);
Tensor multinomial(const Tensor& weights, int64_t samples, bool replacement = false, Rng& rng = default_rng());
Tensor one_hot(const Tensor& index, int64_t classes);  // i64

}  // namespace fathom
