// Sums over raw memory, vectorised without -ffast-math: the terms go to several running sums by position. Results
// depend on n alone. NaN in gives NaN out.
#pragma once
#include <algorithm>  // min, fill
#include <cmath>
#include <limits>
#include <tuple>  // apply

#include "fathom/tensor/kernels/vector.h"

namespace fathom::kernel {

// The sum of f(x[i], y[i]) over i < n, added in Sum.
template <class Sum, class T, class F>
Sum sum_block(const T* x, const T* y, int64_t n, F f) {
  constexpr int64_t w = vector_size<Sum>;
  const auto term = [&](int64_t at) { return f(load_as<Sum>(x + at), load_as<Sum>(y + at)); };
  Vector<Sum> s0{}, s1{}, s2{}, s3{};
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    s0 += term(i);
    s1 += term(i + w);
    s2 += term(i + 2 * w);
    s3 += term(i + 3 * w);
  }
  for (; i + w <= n; i += w) s0 += term(i);
  Sum total = sum_of_vector<Sum>((s0 + s1) + (s2 + s3));
  for (; i < n; ++i) total += f(Sum(x[i]), Sum(y[i]));
  return total;
}

constexpr int64_t sum_block_size = 4096;

// Whether a sum that was added in T did not leave its range at either end: terms that are flushed to zero, 4,096 below
// 1.2e-38, are nothing beside it.
template <class T>
bool is_usual(T sum) {
  const T magnitude = std::abs(sum);
  return sizeof(T) == 8 || bool((magnitude > T(1e-27)) & (magnitude <= std::numeric_limits<T>::max()));
}

// The same in T within blocks and in double between them. A block that leaves float's range is added again in double.
template <class T, class F>
double sum_of(const T* x, const T* y, int64_t n, F f) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += sum_block_size) {
    const int64_t size = std::min(sum_block_size, n - begin);
    const T s = sum_block<T>(x + begin, y + begin, size, f);
    total += is_usual(s) ? double(s) : sum_block<double>(x + begin, y + begin, size, f);
  }
  return total;
}

// The sums of one row as sum_of finds them.
template <class T, class F, size_t count>
[[gnu::noinline]] void sums_of_row(const T* x, const T* y, int64_t n, const F& functions, int64_t row,
                                   double* const (&sums)[count]) {
  size_t j = 0;
  std::apply([&](const auto&... g) { ((sums[j++][row] = sum_of(x + row * n, y + row * n, n, g)), ...); }, functions);
}

// Rows of whole vectors, each in one running sum of them, four rows at a time.
template <class T, class F, size_t count>
void sums_of_short_rows(const T* x, const T* y, int64_t rows, int64_t n, F f, double* const (&sums)[count]) {
  const auto some = [&]<int64_t... R>(int64_t row, std::integer_sequence<int64_t, R...>) {
    const decltype(f(0)) functions[] = {f(row + R)...};
    const T *a = x + row * n, *b = y + row * n;
    Vector<T> total[count][sizeof...(R)] = {};
    const auto add = [&](int64_t r, int64_t at) {
      const Vector<T> p = load(a + at), q = load(b + at);
      size_t j = 0;
      std::apply([&](const auto&... g) { ((total[j++][r] += g(p, q)), ...); }, functions[r]);
    };
    for (int64_t k = 0; k < n; k += vector_size<T>) (add(R, R * n + k), ...);
    for (size_t j = 0; j < count; ++j) {
      T found[sizeof...(R)];
      sums_of_vectors<T>(total[j], found);
      ((sums[j][row + R] = found[R]), ...);
    }
  };
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) some(row, std::make_integer_sequence<int64_t, 4>());
  for (; row < rows; ++row) some(row, std::make_integer_sequence<int64_t, 1>());
  for (double* const list : sums) {
    int64_t unusual = 0;
    for (int64_t r = 0; r < rows; ++r) unusual |= !is_usual(T(list[r]));
    for (int64_t r = 0; unusual && r < rows; ++r)
      if (!is_usual(T(list[r]))) sums_of_row(x, y, n, f(r), r, sums);
  }
}

// sums[j] (rows) = the sum, over each row of x and y (rows, n), of function j of the tuple f(row), of which there are
// `count`: in one pass where rows are short. As sum_of, but short ones are added in another order.
template <class T, class F, size_t count>
void sums_of_rows(const T* x, const T* y, int64_t rows, int64_t n, F f, double* const (&sums)[count]) {
  constexpr int64_t w = vector_size<T>;
  if (n % w == 0 && n <= 16 * w) return sums_of_short_rows(x, y, rows, n, f, sums);
  for (int64_t r = 0; r < rows; ++r) sums_of_row(x, y, n, f(r), r, sums);
}

// Each row of x (rows, n) times its factor.
template <class T>
void scale_rows(T* x, int64_t rows, int64_t n, const double* factors) {
  constexpr int64_t w = vector_size<T>;
  for (int64_t r = 0; r < rows; ++r, x += n) {
    const T factor = T(factors[r]);
    int64_t k = 0;
    for (; k + w <= n; k += w) store(load(x + k) * factor, x + k);
    for (; k < n; ++k) x[k] *= factor;
  }
}

template <class T>
double sum(const T* x, int64_t n) {
  return sum_of(x, x, n, [](auto a, auto) { return a; });
}
template <class T>
double dot(const T* x, const T* y, int64_t n) {
  return sum_of(x, y, n, [](auto a, auto b) { return a * b; });
}
template <class T>
double sum_of_squares(const T* x, int64_t n) {
  return sum_of(x, x, n, [](auto a, auto) { return a * a; });
}

// sums (columns) = the sum of the rows of x (rows, columns), which lie a stride apart.
template <class T>
void sum_rows(const T* __restrict x, int64_t rows, int64_t columns, int64_t stride, T* __restrict sums) {
  constexpr int64_t strip = 1024;  // columns whose sums stay in the first cache
  for (int64_t from = 0; from < columns; from += strip) {
    const int64_t n = std::min(strip, columns - from);
    T* s = sums + from;
    std::fill(s, s + n, T(0));
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      const T* a = x + r * stride + from;
      const T *b = a + stride, *c = b + stride, *d = c + stride;
      for (int64_t j = 0; j < n; ++j) s[j] += (a[j] + b[j]) + (c[j] + d[j]);
    }
    for (; r < rows; ++r)
      for (int64_t j = 0; j < n; ++j) s[j] += x[r * stride + from + j];
  }
}

template <class T>
void sum_rows(const T* x, int64_t rows, int64_t columns, T* sums) {
  sum_rows(x, rows, columns, columns, sums);
}

// Adds row (columns) to each row of x (rows, columns).
template <class T>
void add_row(const T* __restrict row, int64_t rows, int64_t columns, T* __restrict x) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; ++j) x[r * columns + j] += row[j];
}

}  // namespace fathom::kernel
