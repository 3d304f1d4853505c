#include "fathom/tensor/kernels/lapack.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>  // is_same_v
#include <vector>

#include "fathom/tensor/error.h"
#include "fathom/tensor/kernels/scratch.h"

// LAPACK, as OpenBLAS brings it along.
extern "C" {
void sgesdd_(const char* job, const int* m, const int* n, float* a, const int* lda, float* s, float* u, const int* ldu,
             float* vt, const int* ldvt, float* work, const int* lwork, int* iwork, int* info);
void dgesdd_(const char* job, const int* m, const int* n, double* a, const int* lda, double* s, double* u,
             const int* ldu, double* vt, const int* ldvt, double* work, const int* lwork, int* iwork, int* info);
void dbdsqr_(const char* uplo, const int* n, const int* ncvt, const int* nru, const int* ncc, double* d, double* e,
             double* vt, const int* ldvt, double* u, const int* ldu, double* c, const int* ldc, double* work,
             int* info);
void sgetrf_(const int* m, const int* n, float* a, const int* lda, int* pivots, int* info);
void dgetrf_(const int* m, const int* n, double* a, const int* lda, int* pivots, int* info);
void sgetrs_(const char* transposed, const int* n, const int* columns, const float* a, const int* lda,
             const int* pivots, float* b, const int* ldb, int* info);
void dgetrs_(const char* transposed, const int* n, const int* columns, const double* a, const int* lda,
             const int* pivots, double* b, const int* ldb, int* info);
void sgeqrf_(const int* m, const int* n, float* a, const int* lda, float* tau, float* work, const int* room, int* info);
void dgeqrf_(const int* m, const int* n, double* a, const int* lda, double* tau, double* work, const int* room,
             int* info);
void sorgqr_(const int* m, const int* n, const int* k, float* a, const int* lda, const float* tau, float* work,
             const int* room, int* info);
void dorgqr_(const int* m, const int* n, const int* k, double* a, const int* lda, const double* tau, double* work,
             const int* room, int* info);
}

namespace fathom::kernel {
namespace {

void check(const char* routine, int info, int64_t rows, int64_t columns) {
  if (info)
    throw Error(std::string("singular values: ") + routine + " gave up on a matrix of " + std::to_string(rows) +
                " by " + std::to_string(columns) + " (info " + std::to_string(info) + ")");
}

int as_int(int64_t n) {
  if (n > 0x7fffffff) throw Error("lapack: a size of " + std::to_string(n) + " exceeds its index");
  return int(n);
}

void on_one_thread() {
  static const bool alone = (openblas_set_num_threads(1), true);
  (void)alone;
}

template <class T>
auto by_type(auto of_float, auto of_double) {
  if constexpr (std::is_same_v<T, float>) return of_float;
  else return of_double;
}

}  // namespace

template <class T>
void singular_values(int64_t rows, int64_t columns, T* a, double* values) {
  if (rows == 0 || columns == 0) return;
  if (!std::all_of(a, a + rows * columns, [](T x) { return std::isfinite(x); }))
    return void(std::fill_n(values, std::min(rows, columns), NAN));
  on_one_thread();
  // By columns LAPACK sees the transpose, which has the same values.
  const int m = as_int(columns), n = as_int(rows), k = std::min(m, n), one = 1;
  const size_t count = size_t(k);
  std::vector<int> integers(8 * count);
  std::vector<T> found(count), work(1);
  T* const none = nullptr;
  int room = -1, info = 0;
  for (const bool asked_for_room : {false, true}) {
    if (asked_for_room) room = std::max(int(work[0]), 1), work.resize(size_t(room));
    by_type<T>(sgesdd_, dgesdd_)("N", &m, &n, a, &m, found.data(), none, &one, none, &one, work.data(), &room,
                                 integers.data(), &info);
  }
  check("gesdd", info, rows, columns);
  std::copy(found.begin(), found.end(), values);
}

void bidiagonal_svd(int64_t size, double* d, double* e, double* last, double* right) {
  if (size == 0) return;
  const int n = as_int(size), vectors = right ? n : 0, one = 1, none = 0;
  std::vector<double> work(4 * size_t(size));
  std::fill_n(last, size, 0.0);
  last[size - 1] = 1;
  if (right) {
    std::fill_n(right, size * size, 0.0);
    for (int64_t i = 0; i < size; ++i) right[i * size + i] = 1;
  }
  int info = 0;
  double unused = 0;
  dbdsqr_("U", &n, &vectors, &one, &none, d, e, right ? right : &unused, &n, last, &one, &unused, &one, work.data(),
          &info);
  check("dbdsqr", info, size, size);
  if (right)  // by columns, as LAPACK has them
    for (int64_t i = 0; i < size; ++i)
      for (int64_t j = 0; j < i; ++j) std::swap(right[i * size + j], right[j * size + i]);
}

template <class T>
bool lu(int64_t size, T* a, int* pivots) {
  if (size == 0) return true;
  on_one_thread();
  const int n = as_int(size);
  int info = 0;
  by_type<T>(sgetrf_, dgetrf_)(&n, &n, a, &n, pivots, &info);
  return info == 0;
}

template <class T>
void lu_solve(int64_t size, const T* decomposed, const int* pivots, int64_t columns, T* b) {
  if (size == 0 || columns == 0) return;
  const int n = as_int(size), count = as_int(columns);
  int info = 0;
  by_type<T>(sgetrs_, dgetrs_)("T", &n, &count, decomposed, &n, pivots, b, &n, &info);
}

template <class T>
void qr(int64_t rows, int64_t columns, T* a, T* r) {
  if (columns == 0) return;
  on_one_thread();
  const int m = as_int(rows), n = as_int(columns), room = as_int(64 * columns);
  Scratch<T> scales(columns), work(room);
  int info = 0;
  by_type<T>(sgeqrf_, dgeqrf_)(&m, &n, a, &m, scales.data(), work.data(), &room, &info);
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = 0; i < columns; ++i) r[j * columns + i] = i <= j ? a[j * rows + i] : T(0);
  by_type<T>(sorgqr_, dorgqr_)(&m, &n, &n, a, &m, scales.data(), work.data(), &room, &info);
}

template void singular_values(int64_t, int64_t, float*, double*);
template void singular_values(int64_t, int64_t, double*, double*);
template bool lu(int64_t, float*, int*);
template bool lu(int64_t, double*, int*);
template void lu_solve(int64_t, const float*, const int*, int64_t, float*);
template void lu_solve(int64_t, const double*, const int*, int64_t, double*);
template void qr(int64_t, int64_t, float*, float*);
template void qr(int64_t, int64_t, double*, double*);

}  // namespace fathom::kernel
