// Numbers of a batch, sample by sample. Internal to the probes.
#pragma once
#include <algorithm>  // copy
#include <chrono>
#include <cmath>
#include <cstdio>  // snprintf
#include <string>

#include "fathom/tensor/kernels/map.h"
#include "fathom/tensor/kernels/norm.h"
#include "fathom/tensor/pool.h"
#include "fathom/tensor/random.h"

namespace fathom::probe {

class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Where the samples of a contiguous tensor lie: sample i is `outer` pieces of `inner` numbers, `batch * inner` apart.
struct Layout {
  int64_t outer = 1, batch = 1, inner = 1;
  Layout(const Shape& shape, int axis) {
    for (int d = 0; d < shape.rank; ++d) (d < axis ? outer : d == axis ? batch : inner) *= shape[d];
  }
  int64_t size() const { return outer * inner; }
  // Where the k-th number of sample i is.
  int64_t at(int64_t i, int64_t k) const { return (k / inner * batch + i) * inner + k % inner; }
  // f(first, n) for each piece of sample i.
  template <class F>
  void pieces(int64_t i, F f) const {
    for (int64_t o = 0; o < outer; ++o) f((o * batch + i) * inner, inner);
  }
  // to[j][i] = sample i's sum of function j of the tuple f(i), of x and y: see kernel::sum_of.
  template <class T, class F, size_t count>
  void sums(const T* x, const T* y, F f, double* const (&to)[count]) const {
    if (outer == 1) return kernel::sums_of_rows(x, y, batch, inner, f, to);
    const auto one = [&](int64_t i, const auto& g) {
      double sum = 0;
      pieces(i, [&](int64_t first, int64_t n) { sum += kernel::sum_of(x + first, y + first, n, g); });
      return sum;
    };
    for (int64_t i = 0; i < batch; ++i) {
      size_t j = 0;
      std::apply([&](const auto&... g) { ((to[j++][i] = one(i, g)), ...); }, f(i));
    }
  }
};

inline void check_direction(const char* op, const Tensor& x, const Shape& shape, Dtype dtype) {
  if (x.shape() != shape || x.dtype() != dtype)
    throw Error(std::string("Jacobian: ") + op + ": a direction of shape " + to_string(x.shape()) + " and " +
                to_string(x.dtype()) + ", not " + to_string(shape) + " and " + to_string(dtype));
}

inline std::string short_text(double x) {
  if (std::isnan(x)) return "NaN";
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.4g", x);
  return digits;
}

// f64, of these numbers.
inline Tensor tensor_of(const pool::vector<double>& numbers, const Shape& shape) {
  Tensor out(shape, f64);
  std::copy(numbers.begin(), numbers.end(), out.data<double>());
  return out;
}

inline Tensor contiguous_of(Tensor x) { return x.is_contiguous() ? x : kernel::clone(x); }

// Whether all of them do; the compiler makes vectors of it.
inline bool all_between(double low, const pool::vector<double>& numbers, double high) {
  int64_t others = 0;
  for (const double x : numbers) others |= !((x > low) & (x < high));
  return !others;
}

// Norms from sums of squares: their roots, or `careful()` where one may have left the range on the way.
template <class F>
pool::vector<double> norms_from(pool::vector<double> squares, F careful) {
  if (!all_between(1e-200, squares, 1e200)) return careful();
  for (double& x : squares) x = std::sqrt(x);
  return squares;
}

// Each sample's norm. x is floating.
inline pool::vector<double> norms_of(const Tensor& tensor, int axis) {
  const Tensor x = contiguous_of(tensor);
  const Layout layout(x.shape(), axis);
  return visit_floating("probe", x.dtype(), [&]<class T>(T) {
    const T* numbers = x.data<T>();
    const auto square = [](int64_t) { return std::tuple([](auto a, auto) { return a * a; }); };
    pool::vector<double> squares(size_t(layout.batch));
    layout.sums(numbers, numbers, square, {squares.data()});
    return norms_from(std::move(squares), [&] {
      pool::vector<double> norms(size_t(layout.batch));
      for (int64_t i = 0; i < layout.batch; ++i)
        norms[size_t(i)] = kernel::norm_of_pieces(numbers, [&](auto f) { layout.pieces(i, f); });
      return norms;
    });
  });
}
// Of x times y, number by number: contiguous, of one shape and dtype.
inline pool::vector<double> norms_of_product(const Tensor& x, const Tensor& y, int axis) {
  const Layout layout(x.shape(), axis);
  pool::vector<double> squares(size_t(layout.batch));
  visit_floating("probe", x.dtype(), [&]<class T>(T) {
    const auto square = [](int64_t) { return std::tuple([](auto a, auto b) { return (a * b) * (a * b); }); };
    layout.sums(x.data<T>(), y.data<T>(), square, {squares.data()});
  });
  const auto product = [](auto a, auto b) { return a * b; };
  return norms_from(std::move(squares), [&] { return norms_of(kernel::map("probe", product, x, y), axis); });
}
inline double norm_of(const Tensor& x) { return norms_of(x, -1)[0]; }

inline pool::vector<double> reciprocals(const pool::vector<double>& numbers) {
  pool::vector<double> found(numbers.size());
  for (size_t i = 0; i < found.size(); ++i) found[i] = 1 / numbers[i];
  return found;
}

// Each sample is divided by its divisor.
inline void divide_samples(const Tensor& x, int axis, const pool::vector<double>& divisors) {
  const Layout layout(x.shape(), axis);
  const bool usual = all_between(1e-30, divisors, 1e30);  // 1 divided by them has float's full precision
  const pool::vector<double> factors = reciprocals(divisors);
  visit_floating("probe", x.dtype(), [&]<class T>(T) {
    if (usual && layout.outer == 1) return kernel::scale_rows(x.data<T>(), layout.batch, layout.inner, factors.data());
    for (size_t i = 0; i < divisors.size(); ++i)
      layout.pieces(int64_t(i), [&](int64_t first, int64_t n) {
        T* numbers = x.data<T>() + first;
        if (usual) kernel::scale_rows(numbers, 1, n, &factors[i]);
        else kernel::map_row([d = divisors[i]](T a) { return T(double(a) / d); }, n, numbers, numbers);
      });
  });
}

// The samples of x as rows (batch, size) in double, and the other way.
inline void to_rows(const Tensor& tensor, int axis, double* rows) {
  const Tensor x = contiguous_of(tensor);
  const Layout layout(x.shape(), axis);
  visit_floating("probe", x.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < layout.batch; ++i)
      layout.pieces(i, [&](int64_t first, int64_t n) { rows = std::copy_n(x.data<T>() + first, n, rows); });
  });
}
inline Tensor from_rows(const double* rows, const Shape& shape, Dtype dtype, int axis) {
  Tensor x(shape, dtype);
  const Layout layout(shape, axis);
  visit_floating("probe", dtype, [&]<class T>(T) {
    for (int64_t i = 0; i < layout.batch; ++i)
      layout.pieces(i, [&](int64_t first, int64_t n) {
        T* to = x.data<T>() + first;
        for (int64_t k = 0; k < n; ++k) to[k] = T(*rows++);
      });
  });
  return x;
}

// A random direction of norm 1 in place of sample i.
inline void draw_direction(const Tensor& x, int axis, int64_t i, Rng& rng) {
  const Layout layout(x.shape(), axis);
  visit_floating("probe", x.dtype(), [&]<class T>(T) {
    T* numbers = x.data<T>();
    double sum = 0;
    layout.pieces(i, [&](int64_t first, int64_t n) {
      for (int64_t k = first; k < first + n; ++k) {
        const double normal = rng.normal();
        numbers[k] = T(normal);
        sum += normal * normal;
      }
    });
    const double norm = std::sqrt(sum);
    layout.pieces(i, [&](int64_t first, int64_t n) {
      for (int64_t k = first; k < first + n; ++k) numbers[k] = T(double(numbers[k]) / norm);
    });
  });
}

}  // namespace fathom::probe
