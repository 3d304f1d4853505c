// Products in tiles that stay in registers. OpenBLAS's calls, its packing and its kernels for x W^T cost more than the
// product itself at the sizes of small networks. Every element is a sum over k in one order, whatever the other sizes.
#pragma once
#include <algorithm>  // min, fill_n
#include <array>
#include <utility>  // index_sequence

#include "fathom/tensor/kernels/gemm.h"
#include "fathom/tensor/kernels/scratch.h"
#include "fathom/tensor/kernels/transpose.h"
#include "fathom/tensor/kernels/vector.h"

namespace fathom::kernel {

// A tile is `tile_rows` rows of two vectors each: with one row of b they fill the registers.
#if defined(__AVX512F__)
inline constexpr int tile_rows = 12;
inline constexpr bool have_tiles = true;
#elif defined(__AVX2__) && defined(__FMA__)
inline constexpr int tile_rows = 6;
inline constexpr bool have_tiles = true;
#else  // OpenBLAS's kernels are the faster ones
inline constexpr int tile_rows = 4;
inline constexpr bool have_tiles = false;
#endif
// In bytes: of the smallest first cache, and what a block of a may take of the second.
inline constexpr int64_t first_cache = 32 << 10, block_of_a = 192 << 10;

template <class T>  // a vector anywhere in memory; clang takes `aligned` from no alias template
struct Anywhere {
  using Vector [[gnu::vector_size(vector_bytes), gnu::aligned(alignof(T)), gnu::may_alias]] = T;
};
template <class T>
using Loose = typename Anywhere<T>::Vector;

// c (Rows, Vectors) = start + a (Rows, k) b (k, Vectors). a's rows lie `down` apart, its columns `across`; start, which
// may be c, is one row for all with a stride of 0, and zero where it is null.
template <int Rows, int Vectors, class T>
void tile(int64_t k, const T* a, int64_t down, int64_t across, const T* b, int64_t b_stride, T* c, int64_t c_stride,
          const T* start, int64_t start_stride) {
  const auto at = [](auto* p, int v) { return reinterpret_cast<const Loose<T>*>(p + v * vector_size<T>); };
  Vector<T> sums[Rows][Vectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      sums[r][v] = Vector<T>{};
      if (start) sums[r][v] = *at(start + r * start_stride, v);
    }
  // From one address a processor reaches three rows, at steps of 0, 1 and 2 times `down`: an address for each would not
  // fit into its registers.
  constexpr int addresses = (Rows + 2) / 3;
  const T* column[addresses];
#pragma GCC unroll 4
  for (int i = 0; i < addresses; ++i) column[i] = a + 3 * i * down;
#pragma GCC unroll 2
  for (; k > 0; --k) {
    Vector<T> row[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) row[v] = *at(b, v);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sums[r][v] += column[r / 3][r % 3 * down] * row[v];
#pragma GCC unroll 4
    for (int i = 0; i < addresses; ++i) column[i] += across;
    b += b_stride;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) *const_cast<Loose<T>*>(at(c + r * c_stride, v)) = sums[r][v];
}

// Cheaper than a call of memcpy, for a few numbers.
template <class T>
void copy_few(const T* from, int64_t n, T* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}

template <class T>
using Tile = void (*)(int64_t, const T*, int64_t, int64_t, const T*, int64_t, T*, int64_t, const T*, int64_t);
// By the number of rows, less one.
template <class T, int Vectors>
inline constexpr auto tiles = []<int... R>(std::integer_sequence<int, R...>) {
  return std::array<Tile<T>, tile_rows>{&tile<R + 1, Vectors, T>...};
}
(std::make_integer_sequence<int, tile_rows>());

template <class T>
Matrix<T> rows_from(Matrix<T> x, int64_t row) {
  return {x.data + row * (x.transposed ? 1 : x.stride), x.stride, x.transposed};
}
template <class T>
Matrix<T> columns_from(Matrix<T> x, int64_t column) {
  return {x.data + column * (x.transposed ? x.stride : 1), x.stride, x.transposed};
}

template <class T>
inline constexpr int64_t panel = 2 * vector_size<T>;  // columns

inline int64_t parts(int64_t size, int64_t most) { return (size + most - 1) / most; }

// out (k, panel) = b (k, n), and zeros beside it where its rows are not whole vectors.
template <class T>
void pack_panel(int64_t k, int64_t n, Matrix<T> b, T* out) {
  if (n % vector_size<T>) std::fill_n(out, k * panel<T>, T(0));
  if (b.transposed) return transpose(b.data, n, k, out, b.stride, panel<T>);
  for (int64_t r = 0; r < k; ++r) copy_few(b.data + r * b.stride, n, out + r * panel<T>);
}

// c (m, n) = start + a (m, k) b (k, n), as tile's, with up to a panel of columns.
template <class T>
void multiply_panel(int64_t m, int64_t n, int64_t k, Matrix<T> a, const T* b, int64_t b_stride, T* c, int64_t c_stride,
                    const T* start, int64_t start_stride) {
  const int64_t down = a.transposed ? 1 : a.stride, across = a.transposed ? a.stride : 1;
  // Of about equal height: the processor waits where there are few rows.
  const int64_t tiles_down = parts(m, tile_rows), short_tile = m / tiles_down, longer_tiles = m % tiles_down;
  const auto& run = n <= vector_size<T> ? tiles<T, 1> : tiles<T, 2>;
  for (int64_t t = 0; t < tiles_down; ++t) {
    const int64_t rows = t < longer_tiles ? short_tile + 1 : short_tile;
    const Tile<T> tile = run[size_t(rows - 1)];
    if (n % vector_size<T> == 0) {
      tile(k, a.data, down, across, b, b_stride, c, c_stride, start, start_stride);
    } else {
      T edge[tile_rows * panel<T>] = {};
      for (int64_t r = 0; r < rows && start; ++r) copy_few(start + r * start_stride, n, edge + r * panel<T>);
      tile(k, a.data, down, across, b, b_stride, edge, panel<T>, edge, panel<T>);
      for (int64_t r = 0; r < rows; ++r) copy_few(edge + r * panel<T>, n, c + r * c_stride);
    }
    a.data += rows * down;
    c += rows * c_stride;
    if (start) start += rows * start_stride;
  }
}

// As gemm. Requires: no size is 0.
template <class T>
void tiled_product(int64_t m, int64_t n, int64_t k, Matrix<T> a, Matrix<T> b, T* c, bool accumulate, int64_t c_stride,
                   const T* row) {
  // A few columns would fill a part of a vector: c^T instead, where the rows of a^T lie in memory.
  if (n <= vector_size<T> / 2 && n < m && a.transposed && !accumulate && !row) {
    Scratch<T> turned(n * m);
    tiled_product<T>(n, m, k, {b.data, b.stride, !b.transposed}, {a.data, a.stride}, turned.data(), false, m, nullptr);
    return transpose(turned.data(), n, m, c, m, c_stride);
  }
  constexpr int64_t depth = 256, size = int64_t(sizeof(T));  // a panel of b of this depth stays in the first cache
  const int64_t k_step = parts(k, parts(k, depth));
  const int64_t m_step = parts(m, parts(m, std::max(block_of_a / (k_step * size), int64_t(tile_rows))));
  // Rows a multiple of a large power of two apart push each other out of the first cache: where it pays, their parts
  // are packed.
  const auto collide = [&](int64_t stride) { return k_step * (stride & -stride) * size > first_cache; };
  const bool pack_a = a.transposed && n >= 4 * panel<T> && collide(a.stride);
  const bool pack_b = b.transposed || (m >= 8 * tile_rows && collide(b.stride));
  const bool keep_b = pack_b && m > m_step;  // for the blocks of a that follow
  Scratch<T> packed_a(pack_a ? m_step * k_step : 0);
  Scratch<T> packed_b(pack_b || n % panel<T> ? k_step * panel<T> * (keep_b ? parts(n, panel<T>) : 1) : 0);

  for (int64_t p = 0; p < k; p += k_step)
    for (int64_t i = 0; i < m; i += m_step) {
      const int64_t deep = std::min(k_step, k - p), rows = std::min(m_step, m - i);
      Matrix<T> left = columns_from(rows_from(a, i), p);
      if (pack_a) {
        transpose(left.data, deep, rows, packed_a.data(), left.stride, k_step);
        left = {packed_a.data(), k_step};
      }
      for (int64_t j = 0; j < n; j += panel<T>) {
        const int64_t columns = std::min(panel<T>, n - j);
        Matrix<T> right = columns_from(rows_from(b, p), j);
        if (pack_b || columns % vector_size<T>) {
          T* const packed = packed_b.data() + (keep_b ? j * k_step : 0);
          if (i == 0 || !keep_b) pack_panel(deep, columns, right, packed);
          right = {packed, panel<T>};
        }
        T* const out = c + i * c_stride + j;
        const bool adds = accumulate || p > 0;
        const T* start = row ? row + j : nullptr;
        if (adds) start = out;
        multiply_panel(rows, columns, deep, left, right.data, right.stride, out, c_stride, start, adds ? c_stride : 0);
      }
    }
}

}  // namespace fathom::kernel
