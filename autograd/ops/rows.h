// Loops over the rows of a tensor's last axis, in contiguous memory; for the fused ops.
#pragma once
#include <algorithm>  // max, min
#include <limits>

#include "fathom/tensor/kernels/map.h"
#include "fathom/tensor/kernels/reduce.h"

namespace fathom::rows {

inline Tensor dense(Tensor x) { return x.is_contiguous() ? x : kernel::clone(x); }
inline int64_t columns(const Tensor& x) { return x.shape().back(); }
inline int64_t count(const Tensor& x) {  // also where the rows are empty
  int64_t n = 1;
  for (int d = 0; d + 1 < x.dim(); ++d) n *= x.shape()[d];
  return n;
}

// f(first, last) over blocks of rows that stay in the first cache.
template <class F>
void each_block(int64_t rows, int64_t columns, F f) {
  const int64_t block = std::max<int64_t>(1, 2048 / std::max<int64_t>(1, columns));
  const int64_t grain = std::max<int64_t>(1, kernel::parallel_grain / std::max<int64_t>(1, columns * block));
  parallel((rows + block - 1) / block, grain, [&](int64_t begin, int64_t end) {
    for (; begin < end; ++begin) f(begin * block, std::min(rows, (begin + 1) * block));
  });
}

// The largest of n numbers; a NaN may be passed over.
template <class T>
T largest(const T* x, int64_t n) {
  constexpr int64_t w = kernel::vector_size<T>;
  T m = -std::numeric_limits<T>::infinity();
  int64_t i = 0;
  if (n >= w) {
    kernel::Vector<T> all = kernel::load(x);
    for (i = w; i + w <= n; i += w) {
      const kernel::Vector<T> next = kernel::load(x + i);
      all = next > all ? next : all;
    }
    for (int64_t j = 0; j < w; ++j) m = std::max(m, all[j]);
  }
  for (; i < n; ++i) m = x[i] > m ? x[i] : m;
  return m;
}

// e = exp(x - the row's largest) for rows first to last, e being x or apart from it; sums and maxima (rows).
template <class T>
void exp_rows(const T* x, int64_t first, int64_t last, int64_t n, T* e, T* maxima, T* sums) {
  for (int64_t r = first; r < last; ++r) {
    const T m = maxima[r] = largest(x + r * n, n);
    auto shift = [m](T a) { return a - m; };
    kernel::map_row(shift, n, e + r * n, x + r * n);
  }
  auto exp = [](T a) { return std::exp(a); };
  kernel::map_row(exp, (last - first) * n, e + first * n, static_cast<const T*>(e) + first * n);
  for (int64_t r = first; r < last; ++r) sums[r] = T(kernel::sum(e + r * n, n));
}

}  // namespace fathom::rows
