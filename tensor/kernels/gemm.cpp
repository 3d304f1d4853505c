#include "fathom/tensor/kernels/gemm.h"

#include <cblas.h>

#include <algorithm>
#include <bit>
#include <string>

#include "fathom/tensor/error.h"
#include "fathom/tensor/kernels/reduce.h"
#include "fathom/tensor/kernels/scratch.h"
#include "fathom/tensor/kernels/tiles.h"
#include "fathom/tensor/kernels/transpose.h"
#include "fathom/tensor/parallel.h"

namespace fathom::kernel {
namespace {

constexpr double worth_sharing = 2e6;  // multiplications
constexpr double small_product = 1e6;  // OpenBLAS takes other kernels up to here

void check_index(int64_t size) {
  if (size > 0x7fffffff) throw Error("matmul: a size of " + std::to_string(size) + " exceeds BLAS's index");
}

template <class T>
void fill_rows(int64_t m, int64_t n, T* c, int64_t c_stride, const T* row) {
  for (int64_t i = 0; i < m; ++i) copy_few(row, n, c + i * c_stride);
}

// out (4) = a (4, k) x (k)
template <class T>
void four_dots(const T* a, int64_t stride, const T* x, int64_t k, T* out) {
  constexpr int64_t w = vector_size<T>;
  Vector<T> s0{}, s1{}, s2{}, s3{};
  int64_t p = 0;
  for (; p + w <= k; p += w) {
    const Vector<T> v = load(x + p);
    s0 += load(a + p) * v;
    s1 += load(a + stride + p) * v;
    s2 += load(a + 2 * stride + p) * v;
    s3 += load(a + 3 * stride + p) * v;
  }
  out[0] = sum_of_vector<T>(s0);
  out[1] = sum_of_vector<T>(s1);
  out[2] = sum_of_vector<T>(s2);
  out[3] = sum_of_vector<T>(s3);
  for (; p < k; ++p)
    for (int r = 0; r < 4; ++r) out[r] += a[r * stride + p] * x[p];
}

// y (rows) = a (rows, k) x (k), elements of x and y being a step apart. OpenBLAS's kernel for it asks for memory.
template <class T>
void matrix_vector(int64_t rows, int64_t k, Matrix<T> a, const T* x, int64_t x_step, T* y, int64_t y_step,
                   bool accumulate) {
  Scratch<T> dense(x_step == 1 ? 0 : k);
  if (x_step != 1) {
    for (int64_t p = 0; p < k; ++p) dense.data()[p] = x[p * x_step];
    x = dense.data();
  }
  if (!a.transposed) {
    const auto put = [=](int64_t i, T s) { y[i * y_step] = accumulate ? y[i * y_step] + s : s; };
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4) {
      T s[4];
      four_dots(a.data + i * a.stride, a.stride, x, k, s);
      for (int r = 0; r < 4; ++r) put(i + r, s[r]);
    }
    for (; i < rows; ++i) put(i, T(dot(a.data + i * a.stride, x, k)));
    return;
  }
  constexpr int64_t strip = 512;
  T sums[strip];
  for (int64_t from = 0; from < rows; from += strip) {
    const int64_t n = std::min(strip, rows - from);
    for (int64_t i = 0; i < n; ++i) sums[i] = accumulate ? y[(from + i) * y_step] : 0;
    int64_t p = 0;
    for (; p + 4 <= k; p += 4) {
      const T* q = a.data + p * a.stride + from;
      const T *r = q + a.stride, *s = r + a.stride, *t = s + a.stride;
      const T w = x[p], v = x[p + 1], u = x[p + 2], z = x[p + 3];
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) sums[i] += (w * q[i] + v * r[i]) + (u * s[i] + z * t[i]);
    }
    for (; p < k; ++p)
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) sums[i] += x[p] * a.data[p * a.stride + from + i];
    for (int64_t i = 0; i < n; ++i) y[(from + i) * y_step] = sums[i];
  }
}

constexpr bool takes_tiles(int64_t m, int64_t n) { return have_tiles && m > 1 && n > 1; }

template <class T>
void product(int64_t m, int64_t n, int64_t k, Matrix<T> a, Matrix<T> b, T* c, bool accumulate, int64_t c_stride,
             const T* row) {
  if (takes_tiles(m, n)) return tiled_product(m, n, k, a, b, c, accumulate, c_stride, row);
  if (row) {
    fill_rows(m, n, c, c_stride, row);
    accumulate = true;
  }
  if (n == 1) return matrix_vector(m, k, a, b.data, b.transposed ? 1 : b.stride, c, c_stride, accumulate);
  if (m == 1)
    return matrix_vector(n, k, {b.data, b.stride, !b.transposed}, a.data, a.transposed ? a.stride : 1, c, 1,
                         accumulate);
  // x W^T: OpenBLAS's small kernels for it take up to twice the time of x W, transposing W first a tenth.
  const bool tall = m >= 16 && (n >= 16 || (n >= 8 && m >= 64));
  if (b.transposed && !a.transposed && tall && double(m) * double(n) * double(k) <= small_product) {
    Scratch<T> b_transposed(n * k);
    transpose(b.data, n, k, b_transposed.data(), b.stride, n);
    return product<T>(m, n, k, a, {b_transposed.data(), n}, c, accumulate, c_stride, nullptr);
  }
  const auto read = [](const Matrix<T>& x) { return x.transposed ? CblasTrans : CblasNoTrans; };
  const auto run = [&](auto call) {
    call(CblasRowMajor, read(a), read(b), int(m), int(n), int(k), T(1), a.data, int(a.stride), b.data, int(b.stride),
         T(accumulate), c, int(c_stride));
  };
  if constexpr (sizeof(T) == 4) run(cblas_sgemm);
  else run(cblas_dgemm);
}

}  // namespace

template <class T>
void gemm(int64_t m, int64_t n, int64_t k, Matrix<T> a, Matrix<T> b, T* c, bool accumulate, int64_t c_stride,
          const T* row) {
  if (c_stride < 0) c_stride = n;
  for (int64_t size : {m, n, k, a.stride, b.stride, c_stride}) check_index(size);
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (row) fill_rows(m, n, c, c_stride, row);
    else
      for (int64_t i = 0; i < m && !accumulate; ++i) std::fill_n(c + i * c_stride, n, T(0));
    return;
  }
  static const bool alone = (openblas_set_num_threads(1), true);
  (void)alone;
  const double work = double(m) * double(n) * double(k);
  if (work <= worth_sharing) return product(m, n, k, a, b, c, accumulate, c_stride, row);

  const bool by_rows = 2 * m > n, tiles = takes_tiles(m, n);
  const int64_t longer = by_rows ? m : n;
  int64_t block = by_rows ? 4 * tile_rows : panel<T>;  // tiles may be cut anywhere
  if (!tiles) {
    // A matter of the sizes alone: at the edge of a tile OpenBLAS adds in another order. Few and large, since it packs
    // the other matrix anew for each.
    const int64_t count = int64_t(std::bit_floor(uint64_t(std::clamp(work / 2e7, 2.0, 64.0)))), whole_tiles = 64;
    block = ((longer + count - 1) / count + whole_tiles - 1) / whole_tiles * whole_tiles;
  }
  const auto part = tiles ? tiled_product<T> : product<T>;  // tiles for a last row or column too
  const auto multiply = [&](int64_t begin, int64_t size) {
    if (by_rows) part(size, n, k, rows_from(a, begin), b, c + begin * c_stride, accumulate, c_stride, row);
    else part(m, size, k, a, columns_from(b, begin), c + begin, accumulate, c_stride, row ? row + begin : nullptr);
  };
  const int64_t blocks = (longer + block - 1) / block, grain = tiles && blocks < 4 ? blocks : 1;  // too few to share
  parallel(blocks, grain, [&](int64_t first, int64_t last) {
    const int64_t step = tiles ? last - first : 1;
    for (; first < last; first += step)
      multiply(first * block, std::min(longer, (first + step) * block) - first * block);
  });
}

template void gemm(int64_t, int64_t, int64_t, Matrix<float>, Matrix<float>, float*, bool, int64_t, const float*);
template void gemm(int64_t, int64_t, int64_t, Matrix<double>, Matrix<double>, double*, bool, int64_t, const double*);

}  // namespace fathom::kernel
