// Transposing in squares that stay in registers: as many rows as a vector has numbers, each loaded whole.
#include "fathom/tensor/kernels/transpose.h"

#include <cstring>
#include <tuple>    // tie
#include <utility>  // integer_sequence, pair

#include "fathom/tensor/kernels/vector.h"

namespace fathom::kernel {
namespace {

template <class T, int bytes>
struct Wide {
  using Vector [[gnu::vector_size(bytes)]] = T;
};

// The first halves of each 16 bytes of a and b, number by number in turn, and the second ones.
template <class V, int... I>
std::pair<V, V> interleave(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int n = sizeof...(I), block = 16 / int(sizeof(a[0])), half = block / 2;
  return {__builtin_shufflevector(a, b, (I / block * block + I % block / 2 + I % 2 * n)...),
          __builtin_shufflevector(a, b, (I / block * block + I % block / 2 + I % 2 * n + half)...)};
}
// In units of 16 bytes: the even ones of a, then of b, and the odd ones.
template <class V, int... I>
std::pair<V, V> separate(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int unit = 16 / int(sizeof(a[0]));
  return {__builtin_shufflevector(a, b, (I / unit * 2 * unit + I % unit)...),
          __builtin_shufflevector(a, b, (I / unit * 2 * unit + I % unit + unit)...)};
}

template <int bytes, class T>
void transpose_square(const T* x, int64_t stride, T* out, int64_t out_stride) {
  using V = typename Wide<T, bytes>::Vector;
  using Pairs = typename Wide<double, bytes>::Vector;  // of floats
  constexpr int side = bytes / int(sizeof(T)), unit = 16 / int(sizeof(T)), units = bytes / 16;
  constexpr std::make_integer_sequence<int, side> numbers{};
  V v[side];
#pragma GCC unroll 16
  for (int r = 0; r < side; ++r) std::memcpy(&v[r], x + r * stride, bytes);
#pragma GCC unroll 4
  for (int r = 0; r < side; r += unit) {  // within 16 bytes: unit g of v[r + c] becomes column g * unit + c
    if constexpr (unit == 2) {
      std::tie(v[r], v[r + 1]) = interleave(v[r], v[r + 1], numbers);
    } else {
      const auto [a, b] = interleave(v[r], v[r + 1], numbers);
      const auto [c, d] = interleave(v[r + 2], v[r + 3], numbers);
      constexpr std::make_integer_sequence<int, side / 2> pairs{};
      const auto [e, f] = interleave(Pairs(a), Pairs(c), pairs);
      const auto [g, h] = interleave(Pairs(b), Pairs(d), pairs);
      v[r] = V(e), v[r + 1] = V(f), v[r + 2] = V(g), v[r + 3] = V(h);
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < unit; ++c) {  // and the squares of units
    V* const w = v + c;
    if constexpr (units == 2) {
      std::tie(w[0], w[unit]) = separate(w[0], w[unit], numbers);
    } else if constexpr (units == 4) {
      const auto [a, b] = separate(w[0], w[unit], numbers);
      const auto [d, e] = separate(w[2 * unit], w[3 * unit], numbers);
      std::tie(w[0], w[2 * unit]) = separate(a, d, numbers);
      std::tie(w[unit], w[3 * unit]) = separate(b, e, numbers);
    }
  }
#pragma GCC unroll 16
  for (int c = 0; c < side; ++c) std::memcpy(out + c * out_stride, &v[c], bytes);
}

// In squares of so many bytes, the rest in smaller ones.
template <int bytes, class T>
void transpose_in_squares(const T* x, int64_t rows, int64_t columns, T* out, int64_t stride, int64_t out_stride) {
  constexpr int64_t side = bytes / int64_t(sizeof(T));
  const int64_t whole_rows = rows / side * side, whole_columns = columns / side * side;
  for (int64_t i = 0; i < whole_rows; i += side)
    for (int64_t j = 0; j < whole_columns; j += side) {
      if constexpr (side == 1) out[j * out_stride + i] = x[i * stride + j];
      else transpose_square<bytes>(x + i * stride + j, stride, out + j * out_stride + i, out_stride);
    }
  if constexpr (side > 1) {
    constexpr int smaller = bytes > 16 ? 16 : int(sizeof(T));
    transpose_in_squares<smaller>(x + whole_columns, whole_rows, columns - whole_columns,
                                  out + whole_columns * out_stride, stride, out_stride);
    transpose_in_squares<smaller>(x + whole_rows * stride, rows - whole_rows, columns, out + whole_rows, stride,
                                  out_stride);
  }
}

}  // namespace

template <class T>
void transpose(const T* x, int64_t rows, int64_t columns, T* out, int64_t stride, int64_t out_stride) {
  transpose_in_squares<vector_bytes>(x, rows, columns, out, stride, out_stride);
}

template void transpose(const float*, int64_t, int64_t, float*, int64_t, int64_t);
template void transpose(const double*, int64_t, int64_t, double*, int64_t, int64_t);

}  // namespace fathom::kernel
