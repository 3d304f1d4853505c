// Sums over raw memory, vectorised without -ffast-math: the terms go to several running sums by position. Results
// depend on n alone. NaN in gives NaN out.
#pragma once
#include <algorithm>  // min, fill
#include <cmath>
#include <cstdint>
#include <limits>

namespace fathom::kernel {

// term(0) + ... + term(n - 1), added in A.
template <class A, class F>
A sum_block(int64_t n, F term) {
  const int64_t q = n / 4;
  A s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
  for (int64_t i = 0; i < q; ++i) {
    s0 += term(i);
    s1 += term(q + i);
    s2 += term(2 * q + i);
    s3 += term(3 * q + i);
  }
  for (int64_t i = 4 * q; i < n; ++i) s0 += term(i);
  return (s0 + s1) + (s2 + s3);
}

// The sum of term(i, A) over i < n, where A is T within blocks and double between them. A block that leaves float's
// range at either end is added again in double.
template <class T, class F>
double sum_terms(int64_t n, F term) {
  constexpr int64_t block = 4096;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += block) {
    const int64_t size = std::min(block, n - begin);
    const T s = sum_block<T>(size, [=](int64_t i) { return term(begin + i, T{}); });
    const T magnitude = std::abs(s);
    if (sizeof(T) == 8 || (magnitude > T(1e-20) && magnitude <= std::numeric_limits<T>::max())) total += double(s);
    else total += sum_block<double>(size, [=](int64_t i) { return term(begin + i, double{}); });
  }
  return total;
}

template <class T>
double sum(const T* x, int64_t n) {
  return sum_terms<T>(n, [=]<class A>(int64_t i, A) { return A(x[i]); });
}
template <class T>
double dot(const T* x, const T* y, int64_t n) {
  return sum_terms<T>(n, [=]<class A>(int64_t i, A) { return A(x[i]) * A(y[i]); });
}
template <class T>
double sum_of_squares(const T* x, int64_t n) {
  return dot(x, x, n);
}

// sums (columns) = the sum of the rows of x (rows, columns).
template <class T>
void sum_rows(const T* __restrict x, int64_t rows, int64_t columns, T* __restrict sums) {
  constexpr int64_t strip = 1024;  // columns whose sums stay in the first cache
  for (int64_t from = 0; from < columns; from += strip) {
    const int64_t n = std::min(strip, columns - from);
    T* s = sums + from;
    std::fill(s, s + n, T(0));
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      const T* a = x + r * columns + from;
      const T *b = a + columns, *c = b + columns, *d = c + columns;
      for (int64_t j = 0; j < n; ++j) s[j] += (a[j] + b[j]) + (c[j] + d[j]);
    }
    for (; r < rows; ++r)
      for (int64_t j = 0; j < n; ++j) s[j] += x[r * columns + from + j];
  }
}

// Adds row (columns) to each row of x (rows, columns).
template <class T>
void add_row(const T* __restrict row, int64_t rows, int64_t columns, T* __restrict x) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; ++j) x[r * columns + j] += row[j];
}

}  // namespace fathom::kernel
