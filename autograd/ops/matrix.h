// A tensor's last two axes as BLAS reads them.
#pragma once
#include <algorithm>  // max

#include "fathom/tensor/kernels/gemm.h"
#include "fathom/tensor/tensor.h"

namespace fathom {

// x without history, or a copy of it where its strides are neither a matrix's nor a transposed one's.
Tensor blas_ready(const Tensor& x);

// Requires: x is blas_ready.
template <class T>
kernel::Matrix<T> matrix_of(const Tensor& x) {
  const int rank = int(x.dim());
  const int64_t rows = x.shape()[rank - 2], columns = x.shape()[rank - 1];
  const int64_t down = x.strides()[rank - 2], across = x.strides()[rank - 1];
  if ((across == 1 || columns <= 1) && (down >= std::max<int64_t>(columns, 1) || rows <= 1))
    return {x.data<T>(), rows <= 1 ? std::max<int64_t>(columns, 1) : down, false};
  return {x.data<T>(), columns <= 1 ? std::max<int64_t>(rows, 1) : across, true};
}

}  // namespace fathom
