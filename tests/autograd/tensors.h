// Tensors that tests of ops share.
#pragma once
#include <span>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"

using List = std::span<const fathom::Tensor>;

inline fathom::Tensor normal(const fathom::Shape& shape, uint64_t seed = 1, fathom::Dtype dtype = fathom::f64) {
  fathom::Rng rng(seed);
  return randn(shape, {.dtype = dtype}, rng);
}
inline bool close(const fathom::Tensor& a, const fathom::Tensor& b, double tolerance = 1e-12) {
  return a.shape() == b.shape() && allclose(a, b, tolerance, tolerance);
}
