// IDX, the format of MNIST's files: two zero bytes, the type of the numbers, the rank, the sizes, the numbers, all
// big-endian.
#pragma once
#include <string>

#include "fathom/tensor/tensor.h"

namespace fathom::io {

// The numbers of an IDX file, as it is or gzipped, converted to dtype. No more is read or allocated than the file's
// header declares.
// Throws Error, naming the file, when it cannot be read, is damaged, is no IDX file of rank 1 to 4, or is shorter or
// longer than its header says; and when dtype is boolean, or is i64 while the file holds floating numbers.
Tensor read_idx(const std::string& path, Dtype dtype);

}  // namespace fathom::io
