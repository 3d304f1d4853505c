#include "fathom/io/dataset.h"

#include <cstring>  // memcpy

#include "fathom/tensor/kernels/map.h"

namespace fathom::io {

namespace {

char* bytes_of(const Tensor& x) {
  return static_cast<char*>(x.storage().data()) + x.offset() * int64_t(width(x.dtype()));
}

// Whether each row lies in one piece, wherever the rows are: windows may overlap.
bool has_dense_rows(const Tensor& x) {
  int64_t step = 1;
  for (int64_t d = x.dim() - 1; d > 0; step *= x.shape()[int(d--)])
    if (x.shape()[int(d)] != 1 && x.strides()[int(d)] != step) return false;
  return true;
}

}  // namespace

Tensor gather_rows(const Tensor& x, const Tensor& index) {
  if (x.dim() == 0) throw Error("gather_rows: a tensor of rank 0 has no rows");
  if (index.dim() != 1) throw Error("gather_rows: index must have rank 1, has shape " + to_string(index.shape()));
  const Tensor from = has_dense_rows(x) ? x : kernel::clone(x);
  const Tensor at = index.is_contiguous() ? index : kernel::clone(index);
  const int64_t n = at.size(0), rows = x.size(0);
  const int64_t* i = at.data<int64_t>();
  for (int64_t k = 0; k < n; ++k)
    if (i[k] < 0 || i[k] >= rows)
      throw Error("gather_rows: index " + std::to_string(i[k]) + " of " + std::to_string(rows) + " rows");

  Shape shape = x.shape();
  shape[0] = n;
  Tensor out(shape, x.dtype());
  if (!out.numel()) return out;
  const size_t row = size_t(out.numel() / n) * width(x.dtype());
  const int64_t stride = from.strides()[0] * int64_t(width(x.dtype()));
  const char* source = bytes_of(from);
  char* to = bytes_of(out);
  parallel(n, int64_t(kernel::parallel_grain * 4 / row) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) std::memcpy(to + size_t(k) * row, source + i[k] * stride, row);
  });
  return out;
}

}  // namespace fathom::io
