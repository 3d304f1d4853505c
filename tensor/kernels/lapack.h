// Decompositions over raw memory, by LAPACK. All on one thread.
#pragma once
#include <cstdint>

namespace fathom::kernel {

// The singular values, descending in d, of the upper bidiagonal matrix (n, n) with diagonal d (n) and e (n - 1) above
// it; e is overwritten. last (n): the last element of each left singular vector. right (n, n), where given: the right
// ones, by rows. Throws Error where the method does not converge.
void bidiagonal_svd(int64_t n, double* d, double* e, double* last, double* right = nullptr);

// Below, for T float and double, `by columns` is LAPACK's order; where nothing is said matrices lie by rows.

// The singular values of a (rows, columns), descending; a is overwritten. They are exact to T's rounding: within
// max(rows, columns) eps of the largest. NaN where a is not finite.
// Throws Error where the method does not converge.
template <class T>
void singular_values(int64_t rows, int64_t columns, T* a, double* values);

// The decomposition P L U of the transpose of a (n, n), in place: by columns U is on and above the diagonal. pivots
// (n): the row, counted from 1, that each was exchanged with. Returns false where U has a zero on its diagonal.
template <class T>
bool lu(int64_t n, T* a, int* pivots);
// b (n, columns), by columns, becomes the x with a x = b, for `decomposed` and pivots as lu made them of a.
template <class T>
void lu_solve(int64_t n, const T* decomposed, const int* pivots, int64_t columns, T* b);

// a (rows, columns), by columns, rows >= columns, becomes Q with orthonormal columns; r (columns, columns), by columns,
// the upper triangular R with a = Q R.
template <class T>
void qr(int64_t rows, int64_t columns, T* a, T* r);

}  // namespace fathom::kernel
