// Decompositions over raw memory, by LAPACK. All on one thread.
#pragma once
#include <cstdint>

namespace fathom::kernel {

// The singular values of a (rows, columns), descending; a is overwritten. They are exact to rounding: within
// max(rows, columns) eps of the largest. NaN where a is not finite.
// Throws Error where the method does not converge.
void singular_values(int64_t rows, int64_t columns, double* a, double* values);

// The singular values, descending in d, of the upper bidiagonal matrix (n, n) with diagonal d (n) and e (n - 1) above
// it; e is overwritten. last (n): the last element of each left singular vector. right (n, n), where given: the right
// ones, by rows. Throws Error where the method does not converge.
void bidiagonal_svd(int64_t n, double* d, double* e, double* last, double* right = nullptr);

}  // namespace fathom::kernel
