// npy, NumPy's file of one array.
#pragma once
#include <string>

#include "fathom/tensor/tensor.h"

namespace fathom::io {

// The array of an npy file of version 1, 2 or 3, of little-endian f4, f8, i4, i8, u1, u4, u8 or b1 numbers; whole
// numbers become i64.
// Throws Error, naming the file, before any array is allocated, when it cannot be read, is no npy file, holds other
// numbers, has more than eight axes, or is shorter or longer than its header says; and on a u8 number above 2^63 - 1.
Tensor read_npy(const std::string& path);

// Writes x as it would be read: f4, f8, i8 or b1, in row-major order, version 1. The file is replaced atomically.
// Throws Error, naming the file, when it cannot be written.
void write_npy(const std::string& path, const Tensor& x);

}  // namespace fathom::io
