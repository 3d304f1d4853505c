#include "fathom/tensor/kernels/lapack.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "fathom/tensor/error.h"

// LAPACK, as OpenBLAS brings it along.
extern "C" {
void dgesdd_(const char* job, const int* m, const int* n, double* a, const int* lda, double* s, double* u,
             const int* ldu, double* vt, const int* ldvt, double* work, const int* lwork, int* iwork, int* info);
void dbdsqr_(const char* uplo, const int* n, const int* ncvt, const int* nru, const int* ncc, double* d, double* e,
             double* vt, const int* ldvt, double* u, const int* ldu, double* c, const int* ldc, double* work,
             int* info);
}

namespace fathom::kernel {
namespace {

void check(const char* routine, int info, int64_t rows, int64_t columns) {
  if (info)
    throw Error(std::string("singular values: ") + routine + " gave up on a matrix of " + std::to_string(rows) +
                " by " + std::to_string(columns) + " (info " + std::to_string(info) + ")");
}

int as_int(int64_t n) {
  if (n > 0x7fffffff) throw Error("singular values: a size of " + std::to_string(n) + " exceeds LAPACK's index");
  return int(n);
}

}  // namespace

void singular_values(int64_t rows, int64_t columns, double* a, double* values) {
  if (rows == 0 || columns == 0) return;
  if (!std::all_of(a, a + rows * columns, [](double x) { return std::isfinite(x); }))
    return void(std::fill_n(values, std::min(rows, columns), NAN));
  static const bool alone = (openblas_set_num_threads(1), true);
  (void)alone;
  // By columns LAPACK sees the transpose, which has the same values.
  const int m = as_int(columns), n = as_int(rows), k = std::min(m, n), one = 1;
  std::vector<int> integers(8 * size_t(k));
  double size = 0;
  int room = -1, info = 0;
  dgesdd_("N", &m, &n, a, &m, values, nullptr, &one, nullptr, &one, &size, &room, integers.data(), &info);
  room = int(size);
  std::vector<double> work(size_t(std::max(room, 1)));
  dgesdd_("N", &m, &n, a, &m, values, nullptr, &one, nullptr, &one, work.data(), &room, integers.data(), &info);
  check("dgesdd", info, rows, columns);
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

}  // namespace fathom::kernel
