#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/axes.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/tensor/kernels/reduce.h"

namespace fathom {
namespace {

constexpr int64_t piece = 1 << 16;  // numbers that one thread adds

template <class T>
auto sum_row(const T* x, int64_t n) {
  if constexpr (std::same_as<T, int64_t>) {
    int64_t total = 0;
    for (int64_t i = 0; i < n; ++i) total += x[i];
    return total;
  } else {
    return kernel::sum(x, n);
  }
}

// One long row: the sums of its pieces, then their sum.
template <class T>
auto sum_all(const T* x, int64_t n) {
  using Sum = decltype(sum_row(x, n));
  if (n <= piece) return sum_row(x, n);
  pool::vector<Sum> sums(size_t((n + piece - 1) / piece));
  parallel(n, piece, [&](int64_t begin, int64_t end) {
    for (; begin < end; begin += piece) sums[size_t(begin / piece)] = sum_row(x + begin, std::min(piece, end - begin));
  });
  return sum_row(sums.data(), int64_t(sums.size()));
}

// y (columns) = the sum of the rows of x, a stride apart. Many rows of floats are added by hundreds, these in double.
template <class T>
void sum_some_columns(const T* x, int64_t rows, int64_t columns, int64_t stride, T* y) {
  constexpr int64_t some = 256;
  if (!std::same_as<T, float> || rows <= 2 * some) return kernel::sum_rows(x, rows, columns, stride, y);
  pool::vector<double> total(size_t(columns), 0.0);
  for (int64_t r = 0; r < rows; r += some) {
    kernel::sum_rows(x + r * stride, std::min(some, rows - r), columns, stride, y);
    for (int64_t j = 0; j < columns; ++j) total[size_t(j)] += double(y[j]);
  }
  for (int64_t j = 0; j < columns; ++j) y[j] = T(total[size_t(j)]);
}

template <class T>
void sum_columns(const T* x, int64_t rows, int64_t columns, T* y) {
  constexpr int64_t line = 64;  // columns: whole lines of the cache
  parallel(columns, line * std::max<int64_t>(1, piece / std::max<int64_t>(1, rows * line)),
           [&](int64_t begin, int64_t end) { sum_some_columns(x + begin, rows, end - begin, columns, y + begin); });
}

template <class T>
void sum_blocks(const Blocks& b, T* y) {
  const T* x = b.x.template data<T>();
  if (b.outer == 1 && b.inner == 1) {
    *y = T(sum_all(x, b.reduced));
    return;
  }
  const int64_t each = std::max<int64_t>(1, b.reduced * b.inner);
  parallel(b.outer, std::max<int64_t>(1, piece / each), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const T* from = x + o * b.reduced * b.inner;
      if (b.inner == 1) y[o] = T(sum_row(from, b.reduced));
      else sum_columns(from, b.reduced, b.inner, y + o * b.inner);
    }
  });
}

}  // namespace

Tensor sum_value(const Tensor& x, unsigned bits, bool keepdim, double scale) {
  if (x.dtype() == boolean) {
    const Tensor whole(x.shape(), i64);
    kernel::copy(x, whole);
    return sum_value(whole, bits, keepdim);
  }
  Tensor y(reduced_shape(x.shape(), bits, keepdim), x.dtype());
  visit_number("sum", x.dtype(), [&]<class T>(T) {
    T* to = y.data<T>();
    sum_blocks<T>(blocks(x, bits), to);
    if (scale != 1)
      for (int64_t i = 0, n = y.numel(); i < n; ++i) to[i] *= T(scale);
  });
  return y;
}

Tensor sum(const Tensor& x, const Axes& axes, bool keepdim) {
  const unsigned bits = axis_bits("sum", axes, x.shape().rank);
  return linear_op(
      "sum", x, [=](const Tensor& t) { return sum_value(t, bits, keepdim); },
      [=, shape = x.shape()](Tensor g) { return spread(std::move(g), shape, bits, keepdim); });
}

Tensor mean(const Tensor& x, const Axes& axes, bool keepdim) {
  if (!is_floating(x.dtype())) not_floating("mean", x.dtype());
  const unsigned bits = axis_bits("mean", axes, x.shape().rank);
  check_not_empty("mean", x.shape(), bits);
  const double scale = 1 / double(reduced_size(x.shape(), bits));
  return linear_op(
      "mean", x, [=](const Tensor& t) { return sum_value(t, bits, keepdim, scale); },
      [=, shape = x.shape()](Tensor g) { return spread(std::move(g) * scale, shape, bits, keepdim); });
}

Tensor sum_to(Tensor x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast("sum_to", x.shape(), shape) != x.shape())
    throw Error("sum_to: " + to_string(x.shape()) + " to " + to_string(shape));
  const int more = x.shape().rank - shape.rank;
  unsigned bits = 0;
  for (int d = 0; d < x.shape().rank; ++d)
    if (d < more || (shape[d - more] == 1 && x.shape()[d] != 1)) bits |= 1u << d;
  const Shape from = x.shape();
  return linear_op(
      "sum_to", std::move(x),
      [=](const Tensor& t) {
        const Tensor y = sum_value(t, bits, true);
        return y.view(shape, row_major(shape));
      },
      [=](const Tensor& g) { return expand(g, from); });
}

Tensor Tensor::sum(const Axes& axes, bool keepdim) const { return fathom::sum(*this, axes, keepdim); }
Tensor Tensor::mean(const Axes& axes, bool keepdim) const { return fathom::mean(*this, axes, keepdim); }

}  // namespace fathom
