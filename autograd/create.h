// Tensors from numbers. Throws Error on a fraction for an i64 tensor and on an integer tensor that shall require grad.
#pragma once
#include <concepts>
#include <optional>
#include <span>
#include <type_traits>

#include "fathom/tensor/random.h"
#include "fathom/tensor/tensor.h"

namespace fathom {

struct TensorOptions {
  std::optional<Dtype> dtype = {};  // without: f32, or what the numbers given are
  bool requires_grad = false;
};

// A number, or a list of such: what stands between the brackets of tensor({{1, 2}, {3, 4}}). Lives as long as the
// expression it stands in.
class NestedList {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> NestedList(T x)
      : dtype_(std::same_as<T, bool>         ? boolean
               : std::is_floating_point_v<T> ? f32
                                             : i64),
        real_(double(x)),
        whole_(std::is_floating_point_v<T> ? 0 : int64_t(x)) {}
  NestedList(std::initializer_list<NestedList> list) : is_list_(true), list_(list) {}

 private:
  friend Tensor tensor(const NestedList& list, TensorOptions options);
  Shape shape() const;
  template <class F>
  void each(F f) const;

  bool is_list_ = false;
  Dtype dtype_ = boolean;
  double real_ = 0;
  int64_t whole_ = 0;
  std::initializer_list<NestedList> list_;
};

// tensor({1, 2}) is i64, tensor({1.0, 2}) f32, tensor({true}) boolean; lists nest; tensor(3.5) has rank 0.
// Throws Error on lists of different lengths side by side.
Tensor tensor(const NestedList& list, TensorOptions options = {});
// These numbers, in row-major order, copied; without a dtype in the options they keep their type (integers are i64).
// Throws Error when there are more or fewer than the shape has room for.
Tensor from_data(std::span<const float> data, const Shape& shape, TensorOptions options = {});
Tensor from_data(std::span<const double> data, const Shape& shape, TensorOptions options = {});
Tensor from_data(std::span<const int64_t> data, const Shape& shape, TensorOptions options = {});
Tensor from_data(std::span<const int32_t> data, const Shape& shape, TensorOptions options = {});
Tensor from_data(std::span<const uint8_t> data, const Shape& shape, TensorOptions options = {});
Tensor from_data(const std::vector<bool>& data, const Shape& shape, TensorOptions options = {});
template <class T>
requires(!std::same_as<T, bool>) Tensor
    from_data(const std::vector<T>& data, const Shape& shape, TensorOptions options = {}) {
  return from_data(std::span<const T>(data), shape, options);
}

Tensor zeros(const Shape& shape, TensorOptions options = {});
Tensor ones(const Shape& shape, TensorOptions options = {});
Tensor full(const Shape& shape, double value, TensorOptions options = {});
Tensor eye(int64_t n, TensorOptions options = {});
Tensor arange(double begin, double end, double step = 1, TensorOptions options = {});  // begin, begin + step, ... < end
Tensor arange_whole(int64_t begin, int64_t end, int64_t step, TensorOptions options);
// The same of whole numbers: i64, and exact.
template <std::integral A, std::integral B, std::integral C = int>
Tensor arange(A begin, B end, C step = 1, TensorOptions options = {}) {
  return arange_whole(int64_t(begin), int64_t(end), int64_t(step), options);
}
Tensor arange(int64_t end, TensorOptions options = {});                                   // 0, 1, ..., end - 1, i64
Tensor linspace(double first, double last, int64_t n, TensorOptions options = {});        // both ends included
Tensor rand(const Shape& shape, TensorOptions options = {}, Rng& rng = default_rng());    // uniform in [0, 1)
Tensor randn(const Shape& shape, TensorOptions options = {}, Rng& rng = default_rng());   // standard normal
Tensor randint(int64_t low, int64_t high, const Shape& shape, Rng& rng = default_rng());  // i64, low <= i < high
// Of x's shape and dtype, without its history.
Tensor zeros_like(const Tensor& x);
Tensor ones_like(const Tensor& x);
Tensor full_like(const Tensor& x, double value);
Tensor rand_like(const Tensor& x, Rng& rng = default_rng());   // uniform in [0, 1)
Tensor randn_like(const Tensor& x, Rng& rng = default_rng());  // standard normal

}  // namespace fathom
