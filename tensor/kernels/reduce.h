// Sums over raw memory, vectorised without -ffast-math: the terms go to several running sums by position. Results
// depend on n alone. NaN in gives NaN out.
#pragma once
#include <algorithm>  // min, fill
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace fathom::kernel {

template <class T>
using Lane [[gnu::vector_size(64)]] = T;
template <class T>
Lane<T> load(const T* x) {
  Lane<T> lane;
  std::memcpy(&lane, x, sizeof(lane));
  return lane;
}

template <class T>
T sum_lanes(Lane<T> lane) {
  using Half [[gnu::vector_size(32)]] = T;
  using Quarter [[gnu::vector_size(16)]] = T;
  Half halves[2];
  std::memcpy(halves, &lane, sizeof(lane));
  halves[0] += halves[1];
  Quarter quarters[2];
  std::memcpy(quarters, halves, sizeof(quarters));
  const Quarter q = quarters[0] + quarters[1];
  if constexpr (sizeof(T) == 4) return (q[0] + q[2]) + (q[1] + q[3]);
  else return q[0] + q[1];
}

// The sum of f(x[i], y[i]) over i < n, added in T.
template <class T, class F>
T sum_block(const T* x, const T* y, int64_t n, F f) {
  constexpr int64_t w = 64 / sizeof(T);
  Lane<T> s0{}, s1{}, s2{}, s3{};
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    s0 += f(load(x + i), load(y + i));
    s1 += f(load(x + i + w), load(y + i + w));
    s2 += f(load(x + i + 2 * w), load(y + i + 2 * w));
    s3 += f(load(x + i + 3 * w), load(y + i + 3 * w));
  }
  for (; i + w <= n; i += w) s0 += f(load(x + i), load(y + i));
  T total = sum_lanes<T>((s0 + s1) + (s2 + s3));
  for (; i < n; ++i) total += f(x[i], y[i]);
  return total;
}

// The same, added in double.
template <class T, class F>
double sum_block_widened(const T* x, const T* y, int64_t n, F f) {
  constexpr int64_t piece = 512;
  double a[piece], b[piece], total = 0;
  for (int64_t begin = 0; begin < n; begin += piece) {
    const int64_t m = std::min(piece, n - begin);
    for (int64_t i = 0; i < m; ++i) a[i] = double(x[begin + i]), b[i] = double(y[begin + i]);
    total += sum_block(a, b, m, f);
  }
  return total;
}

// The same in T within blocks and in double between them. A block that leaves float's range at either end is added
// again in double.
template <class T, class F>
double sum_of(const T* x, const T* y, int64_t n, F f) {
  constexpr int64_t block = 4096;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += block) {
    const int64_t end = std::min(begin + block, n);
    const T s = sum_block(x + begin, y + begin, end - begin, f), magnitude = std::abs(s);
    if (sizeof(T) == 8 || (magnitude > T(1e-20) && magnitude <= std::numeric_limits<T>::max())) total += double(s);
    else total += sum_block_widened(x + begin, y + begin, end - begin, f);
  }
  return total;
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
