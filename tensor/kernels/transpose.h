#pragma once
#include <cstdint>

namespace fathom::kernel {

// out (columns, rows) = x (rows, columns) transposed, in float and double; x's rows lie `stride` elements apart, which
// may be negative, and out's `out_stride`. Requires: out does not overlap x.
template <class T>
void transpose(const T* x, int64_t rows, int64_t columns, T* out, int64_t stride, int64_t out_stride);
// With rows that follow one another.
template <class T>
void transpose(const T* x, int64_t rows, int64_t columns, T* out) {
  transpose(x, rows, columns, out, columns, rows);
}

}  // namespace fathom::kernel
