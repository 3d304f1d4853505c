#include "fathom/autograd/create.h"

#include <cmath>

#include "fathom/tensor/kernels/map.h"

namespace fathom {
namespace {

Tensor finished(Tensor x, TensorOptions options) {
  if (options.requires_grad) x.requires_grad_();
  return x;
}

// Throws Error when c is no value of this dtype.
void check_number(const char* op, double c, Dtype dtype) {
  if (!is_floating(dtype) && !(c == std::trunc(c) && std::abs(c) < 0x1p63))
    throw Error(std::string(op) + ": the number " + std::to_string(c) + " for a tensor of " + to_string(dtype));
}

// f(i) is number i, in row-major order.
template <class F>
Tensor each_number(const char* op, const Shape& shape, Dtype dtype, F f) {
  Tensor x(shape, dtype);
  visit(dtype, [&]<class T>(T) {
    T* to = x.data<T>();
    for (int64_t i = 0, n = x.numel(); i < n; ++i) {
      const auto value = f(i);
      if constexpr (std::is_floating_point_v<std::remove_const_t<decltype(value)>> && !std::is_floating_point_v<T>)
        check_number(op, double(value), dtype);
      to[i] = T(value);
    }
  });
  return x;
}

template <class List>
Tensor copied(const List& data, Dtype own, const Shape& shape, TensorOptions options) {
  checked_bytes(shape, options.dtype.value_or(own));
  if (int64_t(data.size()) != shape.numel())
    throw Error("from_data: " + std::to_string(data.size()) + " numbers for the shape " + to_string(shape));
  const auto number = [&](int64_t i) { return data[size_t(i)]; };
  return finished(each_number("from_data", shape, options.dtype.value_or(own), number), options);
}

}  // namespace

Shape NestedList::shape() const {
  Shape shape{};
  if (!is_list_) return shape;
  shape.push_back(int64_t(list_.size()));
  if (list_.size() == 0) return shape;
  const Shape first = list_.begin()->shape();
  for (const NestedList& item : list_)
    if (const Shape other = item.shape(); other != first)
      throw Error("tensor: lists of different lengths: " + to_string(first) + " and " + to_string(other));
  for (int64_t size : first) shape.push_back(size);
  return shape;
}

template <class F>
void NestedList::each(F f) const {
  if (!is_list_) return f(*this);
  for (const NestedList& item : list_) item.each(f);
}

Tensor tensor(const NestedList& list, TensorOptions options) {
  pool::vector<const NestedList*> numbers;
  bool any_real = false, any_whole = false, any_truth = false;
  list.each([&](const NestedList& x) {
    numbers.push_back(&x);
    any_real |= x.dtype_ == f32;
    any_whole |= x.dtype_ == i64;
    any_truth |= x.dtype_ == boolean;
  });
  const Dtype own = any_real ? f32 : any_whole ? i64 : any_truth ? boolean : f32;
  const Dtype dtype = options.dtype.value_or(own);
  const Shape shape = list.shape();
  const auto number = [&](int64_t i) -> const NestedList& { return *numbers[size_t(i)]; };
  if (any_real)
    return finished(each_number("tensor", shape, dtype, [&](int64_t i) { return number(i).real_; }), options);
  return finished(each_number("tensor", shape, dtype, [&](int64_t i) { return number(i).whole_; }), options);
}

Tensor from_data(std::span<const float> data, const Shape& shape, TensorOptions options) {
  return copied(data, f32, shape, options);
}
Tensor from_data(std::span<const double> data, const Shape& shape, TensorOptions options) {
  return copied(data, f64, shape, options);
}
Tensor from_data(std::span<const int64_t> data, const Shape& shape, TensorOptions options) {
  return copied(data, i64, shape, options);
}
Tensor from_data(std::span<const int32_t> data, const Shape& shape, TensorOptions options) {
  return copied(data, i64, shape, options);
}
Tensor from_data(std::span<const uint8_t> data, const Shape& shape, TensorOptions options) {
  return copied(data, i64, shape, options);
}
Tensor from_data(const std::vector<bool>& data, const Shape& shape, TensorOptions options) {
  return copied(data, boolean, shape, options);
}

Tensor full(const Shape& shape, double value, TensorOptions options) {
  const Dtype dtype = options.dtype.value_or(f32);
  check_number("full", value, dtype);
  return finished(kernel::full(shape, value, dtype), options);
}
Tensor zeros(const Shape& shape, TensorOptions options) { return full(shape, 0, options); }
Tensor ones(const Shape& shape, TensorOptions options) { return full(shape, 1, options); }
Tensor zeros_like(const Tensor& x) { return kernel::full(x.shape(), 0, x.dtype()); }
Tensor ones_like(const Tensor& x) { return kernel::full(x.shape(), 1, x.dtype()); }
Tensor full_like(const Tensor& x, double value) { return full(x.shape(), value, {.dtype = x.dtype()}); }
Tensor rand_like(const Tensor& x, Rng& rng) { return rand(x.shape(), {.dtype = x.dtype()}, rng); }
Tensor randn_like(const Tensor& x, Rng& rng) { return randn(x.shape(), {.dtype = x.dtype()}, rng); }

Tensor eye(int64_t n, TensorOptions options) {
  Tensor x = kernel::full({n, n}, 0, options.dtype.value_or(f32));
  kernel::fill(x.view({n}, {n + 1}), 1);
  return finished(std::move(x), options);
}

Tensor arange(double begin, double end, double step, TensorOptions options) {
  const double n = std::ceil((end - begin) / step);
  if (!(step != 0 && std::isfinite(n)))
    throw Error("arange: from " + std::to_string(begin) + " to " + std::to_string(end) + " by " + std::to_string(step));
  if (n > 1e15) throw Error("arange: " + std::to_string(n) + " numbers are too many");
  return finished(each_number("arange", {n > 0 ? int64_t(n) : 0}, options.dtype.value_or(f32),
                              [&](int64_t i) { return begin + double(i) * step; }),
                  options);
}
Tensor arange_whole(int64_t begin, int64_t end, int64_t step, TensorOptions options) {
  if (step == 0) throw Error("arange: from " + std::to_string(begin) + " to " + std::to_string(end) + " by 0");
  // Without a sign: from one end of i64 to the other is more than it holds.
  const uint64_t way = step > 0 ? uint64_t(end) - uint64_t(begin) : uint64_t(begin) - uint64_t(end);
  const uint64_t size = step > 0 ? uint64_t(step) : -uint64_t(step);
  const uint64_t n = (step > 0 ? begin < end : begin > end) ? (way - 1) / size + 1 : 0;
  if (n > uint64_t(1e15)) throw Error("arange: " + std::to_string(n) + " numbers are too many");
  return finished(each_number("arange", {int64_t(n)}, options.dtype.value_or(i64),
                              [&](int64_t i) { return int64_t(uint64_t(begin) + uint64_t(i) * uint64_t(step)); }),
                  options);
}
Tensor arange(int64_t end, TensorOptions options) { return arange_whole(0, end, 1, options); }
Tensor linspace(double first, double last, int64_t n, TensorOptions options) {
  const auto number = [&](int64_t i) {
    const double part = n > 1 ? double(i) / double(n - 1) : 0;
    return (1 - part) * first + part * last;
  };
  return finished(each_number("linspace", {n}, options.dtype.value_or(f32), number), options);
}

Tensor rand(const Shape& shape, TensorOptions options, Rng& rng) {
  Tensor x(shape, options.dtype.value_or(f32));
  fill_uniform(x, 0, 1, rng);
  return finished(std::move(x), options);
}
Tensor randn(const Shape& shape, TensorOptions options, Rng& rng) {
  Tensor x(shape, options.dtype.value_or(f32));
  fill_normal(x, 0, 1, rng);
  return finished(std::move(x), options);
}
Tensor randint(int64_t low, int64_t high, const Shape& shape, Rng& rng) {
  if (low >= high) throw Error("randint: no number from " + std::to_string(low) + " to below " + std::to_string(high));
  Tensor x(shape, i64);
  fill_integers(x, low, high, rng);
  return x;
}

}  // namespace fathom
