// Attention's weights in memory: bands of queries, tiles of keys. Internal.
#pragma once
#include <algorithm>  // clamp

#include "fathom/autograd/ops/attention/kernels.h"
#include "fathom/autograd/ops/rows.h"
#include "fathom/tensor/kernels/gemm.h"

namespace fathom::attention {

using kernel::gemm, kernel::map_row;

inline constexpr int64_t tile_rows = 32, tile_columns = 256;  // a tile of weights stays in the first caches

// A tensor (..., rows, columns) as raw memory, for any thread; no data where the tensor is undefined.
template <class T>
struct Operand {
  T* data = nullptr;
  Shape batch, steps;
  int64_t row = 0, column = 0;  // strides

  Operand(const Tensor& x, const Shape& to) : batch(to) {
    if (!x.defined()) return;
    data = x.data<T>();
    Shape shape = x.shape(), strides = x.strides();
    column = strides[strides.rank - 1];
    row = strides[strides.rank - 2];
    shape.rank -= 2, strides.rank -= 2;
    steps = broadcast_strides(shape, strides, to);
  }
  T* of(int64_t head) const {
    if (!data) return nullptr;
    T* at = data;
    for (int d = batch.rank - 1; d >= 0; head /= batch[d], --d) at += head % batch[d] * steps[d];
    return at;
  }
};

template <class T>
struct Problem {
  Setting setting;
  int64_t heads, queries, keys, width, width_v;
  Operand<T> q, k, v, added;
  Operand<bool> allowed;

  Problem(const Inputs& in, const Setting& s, const Shape& batch)
      : setting(s),
        heads(batch.numel()),
        queries(in.q.size(-2)),
        keys(in.k.size(-2)),
        width(in.q.size(-1)),
        width_v(in.v.size(-1)),
        q(in.q, batch),
        k(in.k, batch),
        v(in.v, batch),
        added(adds(in) ? in.mask : Tensor(), batch),
        allowed(adds(in) ? Tensor() : in.mask, batch) {}
  static bool adds(const Inputs& in) { return in.mask.defined() && is_floating(in.mask.dtype()); }
  int64_t bands() const { return (queries + tile_rows - 1) / tile_rows; }
};

// A band of queries of one head, and the tile of their weights at hand.
template <class T>
struct Band {
  const Problem<T>& p;
  int64_t tile = tile_rows * std::min(tile_columns, p.keys);
  Tensor memory{{2 * tile + 2 * tile_rows * p.width + 2 * tile_rows}, dtype_of<T>};
  Tensor noise{{p.setting.dropout > 0 ? tile : 0}, dtype_of<T>};
  T *weights = memory.data<T>(), *slopes = weights + tile;
  T *q = slopes + tile, *tq = q + tile_rows * p.width;                 // times the scale
  T *largest = tq + tile_rows * p.width, *sums = largest + tile_rows;  // of each row
  int64_t head = 0, first = 0, rows = 0, begin = 0, columns = 0;
  const T *k = nullptr, *v = nullptr, *added = nullptr;
  const bool* allowed = nullptr;

  explicit Band(const Problem<T>& problem) : p(problem) {}

  void start(int64_t of_head, int64_t band) {
    head = of_head, first = band * tile_rows, rows = std::min(tile_rows, p.queries - first);
    k = p.k.of(head), v = p.v.of(head), added = p.added.of(head), allowed = p.allowed.of(head);
    scaled(p.q, q);
  }
  void scaled(const Operand<T>& from, T* to) const {
    auto times = [by = T(p.setting.scale)](T a) { return a * by; };
    for (int64_t r = 0; r < rows; ++r)
      map_row(times, p.width, to + r * p.width, const_cast<const T*>(from.of(head)) + (first + r) * from.row);
  }

  // f() for each tile from left to right, as far as the order lets the band look.
  template <class F>
  void each_tile(F f) {
    const int64_t end = p.setting.causal ? std::min(p.keys, first + rows) : p.keys;
    for (begin = 0; begin < end; begin += tile_columns) {
      columns = std::min(tile_columns, end - begin);
      f();
    }
  }
  kernel::Matrix<T> tile_of(const T* x, int64_t row, bool transposed = false) const {  // the tile's keys or values
    return {x + begin * row, row, transposed};
  }

  void scores() {
    gemm(rows, columns, p.width, {q, p.width}, tile_of(k, p.k.row, true), weights);
    if (added) add(p.added, weights);
    constexpr T nothing = -std::numeric_limits<T>::infinity();
    for (int64_t r = 0; r < rows && allowed; ++r) {
      const bool* may = allowed + (first + r) * p.allowed.row + begin * p.allowed.column;
      T* s = weights + r * columns;
      for (int64_t j = 0; j < columns; ++j) s[j] = may[j * p.allowed.column] ? s[j] : nothing;
    }
    for (int64_t r = 0; r < rows && p.setting.causal; ++r)
      std::fill(weights + r * columns + std::clamp<int64_t>(first + r + 1 - begin, 0, columns),
                weights + (r + 1) * columns, nothing);
  }
  // The tile of x, shaped as the weights are, is added to `to`.
  void add(const Operand<T>& x, T* to) const {
    const T* from = x.of(head) + first * x.row + begin * x.column;
    for (int64_t r = 0; r < rows; ++r, from += x.row)
      for (int64_t j = 0; j < columns; ++j) to[r * columns + j] += from[j * x.column];
  }
  // weights = exp(weights - shift of the row), zero near the least normal number: what underflows, as -infinity does,
  // vector mathematics would do one by one.
  void exp_minus(const T* shift) {
    constexpr T low = sizeof(T) == 4 ? T(-86) : T(-700);
    for (int64_t r = 0; r < rows; ++r) {
      auto minus = [by = shift[r]](T a) { return a - by < low ? low : a - by; };
      map_row(minus, columns, weights + r * columns, static_cast<const T*>(weights) + r * columns);
    }
    auto exp = [](T a) { return std::exp(a) * T(a != low); };
    map_row(exp, rows * columns, weights, static_cast<const T*>(weights));
  }
  // The numbers of the draws are those of the weights in row-major order.
  void draw_noise() {
    const double keep = 1 - p.setting.dropout;
    for (int64_t r = 0; r < rows; ++r) {
      Rng rng = p.setting.rng;
      rng.position += uint64_t((head * p.queries + first + r) * p.keys + begin);
      fill_bernoulli(noise.view({columns}, {1}, r * columns), keep, rng);
    }
    auto scale = [by = T(keep > 0 ? 1 / keep : 0)](T a) { return a * by; };
    map_row(scale, rows * columns, noise.data<T>(), static_cast<const T*>(noise.data<T>()));
  }
  void times(T* x, const T* by) const {
    auto product = [](T a, T b) { return a * b; };
    map_row(product, rows * columns, x, static_cast<const T*>(x), by);
  }
  bool drops() const { return p.setting.dropout > 0; }
};

// f(band) for each band of each head.
template <class T, class F>
void each_band(const Problem<T>& p, F f) {
  const int64_t bands = p.bands(), work = tile_rows * p.keys * (p.width + p.width_v);
  parallel(p.heads * bands, std::max<int64_t>(1, 250'000 / std::max<int64_t>(1, work)),
           [&](int64_t begin, int64_t end) {
             Band<T> band(p);
             for (; begin < end; ++begin) {
               band.start(begin / bands, begin % bands);
               f(band);
             }
           });
}

}  // namespace fathom::attention
