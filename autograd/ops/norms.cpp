// Spread and size: var, std, norm, logsumexp.
#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/axes.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/tensor/kernels/norm.h"

namespace fathom {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// m (sum |x / m|^p)^(1/p), with m the largest |x|.
template <class T>
double scaled_norm(const T* x, int64_t n, double p) {
  double m = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double a = std::abs(double(x[i]));
    m = a > m || a != a ? a : m;
  }
  if (!(m > 0 && m < infinity)) return m;
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += std::pow(std::abs(double(x[i])) / m, p);
  return m * std::pow(total, 1 / p);
}
template <class T>
double row_norm(const T* x, int64_t n, double p) {
  if (p == 1) return kernel::sum_of(x, x, n, [](auto a, auto) { return a < 0 ? -a : a; });
  return p == 2 ? kernel::norm(x, n) : scaled_norm(x, n, p);
}

Tensor norm_value(const Tensor& x, double p, unsigned bits, bool keepdim) {
  Tensor y(reduced_shape(x.shape(), bits, keepdim), x.dtype());
  visit_floating("norm", x.dtype(), [&]<class T>(T) {
    const Blocks b = rows(x, bits);
    const T* from = b.x.template data<T>();
    T* to = y.data<T>();
    parallel(b.outer, std::max<int64_t>(1, kernel::parallel_grain / std::max<int64_t>(1, b.reduced)),
             [&](int64_t begin, int64_t end) {
               for (int64_t o = begin; o < end; ++o) to[o] = T(row_norm(from + o * b.reduced, b.reduced, p));
             });
  });
  return y;
}

Tensor replace_zeros(const Tensor& x, double by) { return where(x == 0.0, by, x); }

// An op whose value is given and whose slopes, of x and the value, are given by ops.
template <class Slopes>
Tensor reduction(const char* op, const Tensor& x, Tensor value, const Axes& axes, bool keepdim, Slopes slopes) {
  const unsigned bits = axis_bits(op, axes, x.shape().rank);
  return record(op, std::move(value), keep(x, output),
                wrt(
                    x,
                    [=](const Tensor& g, const Tensor& of, const Tensor& y) {
                      return spread(g, of.shape(), bits, keepdim) * slopes(of, spread(y, of.shape(), bits, keepdim));
                    },
                    [=](const Tensor& t, const Tensor& of, const Tensor& y) {
                      return sum(t * slopes(of, spread(y, of.shape(), bits, keepdim)), axes, keepdim);
                    }));
}

double degrees_of_freedom(const char* op, const Tensor& x, const Axes& axes, int64_t correction) {
  const int64_t n = reduced_size(x.shape(), axis_bits(op, axes, x.shape().rank));
  if (n <= correction)
    throw Error(std::string(op) + ": of " + std::to_string(n) + " numbers with correction " +
                std::to_string(correction));
  return double(n - correction);
}

}  // namespace

Tensor var(const Tensor& x, const Axes& axes, bool keepdim, int64_t correction) {
  const double n = degrees_of_freedom("var", x, axes, correction);
  return sum(square(x - mean(x, axes, true)), axes, keepdim) / n;
}
Tensor std(const Tensor& x, const Axes& axes, bool keepdim, int64_t correction) {
  const double n = degrees_of_freedom("std", x, axes, correction);
  return norm(x - mean(x, axes, true), 2, axes, keepdim) / std::sqrt(n);  // whose squares may leave f32's range
}

Tensor norm(const Tensor& x, double p, const Axes& axes, bool keepdim) {
  if (!is_floating(x.dtype())) not_floating("norm", x.dtype());
  if (!(p > 0)) throw Error("norm: p must be above 0, got " + std::to_string(p));
  if (p == infinity) return amax(abs(x), axes, keepdim);
  const unsigned bits = axis_bits("norm", axes, x.shape().rank);
  return reduction("norm", x, norm_value(x, p, bits, keepdim), axes, keepdim, [p](const Tensor& of, const Tensor& y) {
    if (p == 1) return sign(of);
    const Tensor ratio = of / replace_zeros(y, infinity);  // 0 where y is 0, as are its slopes
    return p == 2 ? ratio : sign(of) * pow(replace_zeros(abs(ratio), 1), p - 1);
  });
}

Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdim) {
  if (!is_floating(x.dtype())) not_floating("logsumexp", x.dtype());
  const unsigned bits = axis_bits("logsumexp", axes, x.shape().rank);
  if (reduced_size(x.shape(), bits) == 0) return sum(x, axes, keepdim) + -infinity;
  Tensor value = [&] {
    const NoGrad off;
    const Tensor largest = amax(x, axes, true), m = where(isfinite(largest), largest, 0.0);
    return log(sum(exp(x - m), axes, keepdim)) + m.reshape(reduced_shape(x.shape(), bits, keepdim));
  }();
  return reduction("logsumexp", x, std::move(value), axes, keepdim, [](const Tensor& of, const Tensor& y) {
    const Tensor below = of - where(y == -infinity, 0.0, y);  // all -inf: slope 0
    return exp(where(of == infinity, 0.0, below));            // where one is inf: its slope is 1
  });
}

Tensor Tensor::norm() const { return fathom::norm(*this); }

}  // namespace fathom
