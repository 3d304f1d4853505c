// Products of row-major matrices over raw memory, in float and double. Results do not depend on the number of threads.
#pragma once
#include <cstdint>

namespace fathom::kernel {

// A matrix in memory, `stride` elements from row to row; `transposed` says that its transpose is meant.
template <class T>
struct Matrix {
  const T* data;
  int64_t stride;
  bool transposed = false;
};

// c (m, n) = a (m, k) b (k, n), or c += a b, or, with a row of n, that row added to each; c's rows lie c_stride
// elements apart, n by default. Throws Error, before any work, on a size or stride above 2^31 - 1. Requires: c overlaps
// neither a nor b; not both accumulate and row.
template <class T>
void gemm(int64_t m, int64_t n, int64_t k, Matrix<T> a, Matrix<T> b, T* c, bool accumulate = false,
          int64_t c_stride = -1, const T* row = nullptr);

}  // namespace fathom::kernel
