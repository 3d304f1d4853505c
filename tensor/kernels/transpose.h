#pragma once
#include <cstdint>

namespace fathom::kernel {

// out (columns, rows) = x (rows, columns) transposed, in float and double; x's rows lie `stride` elements apart,
// columns by default, and out's `out_stride`, rows by default. Requires: out does not overlap x.
template <class T>
void transpose(const T* x, int64_t rows, int64_t columns, T* out, int64_t stride = -1, int64_t out_stride = -1);

}  // namespace fathom::kernel
