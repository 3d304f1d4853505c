// Tensors from numbers.
#pragma once
#include "fathom/tensor/random.h"
#include "fathom/tensor/tensor.h"

namespace fathom {

struct TensorOptions {
  Dtype dtype = f32;
  bool requires_grad = false;
};

// tensor({1, 2}) is i64, tensor({1.0, 2}) f32, tensor({true}) boolean; nested lists to rank 3; a plain number is rank 0.
struct NestedList;
Tensor zeros(const Shape& shape, TensorOptions options = {});
Tensor ones(const Shape& shape, TensorOptions options = {});
Tensor full(const Shape& shape, double value, TensorOptions options = {});
Tensor eye(int64_t n, TensorOptions options = {});
Tensor arange(double begin, double end, double step = 1, TensorOptions options = {});  // begin, begin + step, ... < end
Tensor arange(int64_t end, TensorOptions options = {.dtype = i64});                    // 0, 1, ..., end - 1
Tensor linspace(double first, double last, int64_t n, TensorOptions options = {});     // both ends included
Tensor rand(const Shape& shape, TensorOptions options = {}, Rng& rng = default_rng());   // uniform in [0, 1)
Tensor randn(const Shape& shape, TensorOptions options = {}, Rng& rng = default_rng());  // standard normal
Tensor randint(int64_t low, int64_t high, const Shape& shape, Rng& rng = default_rng());  // i64, low <= i < high
Tensor zeros_like(const Tensor& x);
Tensor ones_like(const Tensor& x);

}  // namespace fathom
