// Samples with their labels.
#pragma once
#include "fathom/tensor/tensor.h"

namespace fathom::io {

struct Dataset {
  Tensor x;  // (n, ...): a row for each sample
  Tensor y;  // (n, ...): its label
  int64_t size() const { return x.size(0); }
};

// The rows of x that index, i64 (n), names, in its order. Throws Error when x is rank 0 or an index is out of range.
Tensor gather_rows(const Tensor& x, const Tensor& index);

}  // namespace fathom::io
