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
  constexpr int64_t panel = 2 * vector_size<T>, depth = 256;  // a panel of b of this depth stays in the first cache
  const auto parts = [](int64_t size, int64_t most) { return (size + most - 1) / most; };
  const int64_t k_step = parts(k, parts(k, depth));
  const int64_t m_step = parts(m, parts(m, std::max(block_of_a / (k_step * int64_t(sizeof(T))), int64_t(tile_rows))));
  // Rows a multiple of a large power of two apart push each other out of the first cache: where it pays, their parts
  // are packed.
  const auto collide = [&](int64_t stride) { return k_step * (stride & -stride) * int64_t(sizeof(T)) > first_cache; };
  const bool pack_a = a.transposed && n >= 4 * panel && collide(a.stride);
  const bool pack_b = b.transposed || (m >= 8 * tile_rows && collide(b.stride));
  const int64_t down = pack_a ? k_step : a.transposed ? 1 : a.stride, across = a.transposed && !pack_a ? a.stride : 1;
  Scratch<T> packed_a(pack_a ? m_step * k_step : 0), packed_b(pack_b || n % panel ? k_step * panel : 0);

  const auto multiply = [&](int64_t rows, int64_t deep, const T* left, const T* right, T* out, const T* start,
                            int64_t start_stride) {
    // Of about equal height: the processor waits where there are few rows.
    const int64_t tiles_down = parts(rows, tile_rows), short_tile = rows / tiles_down, longer = rows % tiles_down;
    for (int64_t j = 0; j < n; j += panel) {
      const int64_t columns = std::min(panel, n - j);
      const bool whole_vectors = columns % vector_size<T> == 0;
      const T* from = right + j * (b.transposed ? b.stride : 1);
      int64_t from_stride = b.stride;
      if (pack_b || !whole_vectors) {
        T* to = packed_b.data();
        if (!whole_vectors) std::fill_n(to, deep * panel, T(0));
        if (b.transposed) transpose(from, columns, deep, to, b.stride, panel);
        else
          for (int64_t r = 0; r < deep; ++r) copy_few(from + r * b.stride, columns, to + r * panel);
        from = to;
        from_stride = panel;
      }
      const auto& run = columns <= vector_size<T> ? tiles<T, 1> : tiles<T, 2>;
      for (int64_t t = 0, i = 0, height; t < tiles_down; ++t, i += height) {
        height = t < longer ? short_tile + 1 : short_tile;
        const Tile<T> tile = run[size_t(height - 1)];
        const T *a_rows = left + i * down, *begin = start ? start + i * start_stride + j : nullptr;
        T* to = out + i * c_stride + j;
        if (whole_vectors) {
          tile(deep, a_rows, down, across, from, from_stride, to, c_stride, begin, start_stride);
          continue;
        }
        T edge[tile_rows * panel] = {};
        for (int64_t r = 0; r < height && begin; ++r) copy_few(begin + r * start_stride, columns, edge + r * panel);
        tile(deep, a_rows, down, across, from, from_stride, edge, panel, edge, panel);
        for (int64_t r = 0; r < height; ++r) copy_few(edge + r * panel, columns, to + r * c_stride);
      }
    }
  };
  for (int64_t i = 0; i < m; i += m_step)
    for (int64_t p = 0; p < k; p += k_step) {
      const int64_t deep = std::min(k_step, k - p), rows = std::min(m_step, m - i);
      const T* left = a.data + (a.transposed ? p * a.stride + i : i * a.stride + p);
      if (pack_a) {
        transpose(left, deep, rows, packed_a.data(), a.stride, k_step);
        left = packed_a.data();
      }
      T* const out = c + i * c_stride;
      const bool adds = accumulate || p > 0;
      multiply(rows, deep, left, b.data + p * (b.transposed ? 1 : b.stride), out, adds ? out : row,
               adds ? c_stride : 0);
    }
}

}  // namespace fathom::kernel
