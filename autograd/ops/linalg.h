// Linear algebra on matrices and batches of them (..., n, n), in both modes and any order. A singular matrix is an
// Error that says which of the batch it is.
#pragma once
#include "fathom/tensor/tensor.h"

namespace fathom {

// The X with A X = B, for A (..., n, n) and B (..., n, k), whose leading axes broadcast, or B (n). By LU decomposition.
Tensor solve(const Tensor& a, const Tensor& b);
Tensor inverse(const Tensor& a);

// det A = sign exp(logabsdet); of a singular matrix they are 0 and -inf, without a derivative.
struct SignAndLog {
  Tensor sign, logabsdet;  // (...); the sign has no history
};
SignAndLog slogdet(const Tensor& a);

// A = Q R for A (..., m, n): with k = min(m, n), Q (..., m, k) has orthonormal columns and R (..., k, n) is zero below
// the diagonal. The signs are LAPACK's. The derivative exists where the first k columns are independent.
struct QR {
  Tensor q, r;
};
QR qr(const Tensor& a);

// exp A = I + A + A^2 / 2 + ..., by scaling and squaring of a Pade approximant (Higham 2005).
Tensor matrix_exp(const Tensor& a);

}  // namespace fathom
