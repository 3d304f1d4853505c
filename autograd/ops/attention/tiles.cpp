#include "fathom/autograd/ops/attention/tiles.h"

#include "fathom/autograd/ops/rows.h"
#include "fathom/tensor/kernels/gemm.h"

namespace fathom::attention {
namespace {

using kernel::gemm, kernel::map_row;

constexpr int64_t tile_rows = 32, tile_columns = 256;  // a tile of weights stays in the first caches

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

Shape batch_of(const Inputs& in) {
  Shape batch = in.q.shape();
  batch.rank -= 2;
  return batch;
}

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

// y += by x
template <class T>
void add_row(T by, const T* x, int64_t n, T* y) {
  auto sum = [by](T a, T b) { return a + by * b; };
  map_row(sum, n, y, static_cast<const T*>(y), x);
}
template <class T>
void scale_row(T by, int64_t n, T* y) {
  auto times = [by](T a) { return a * by; };
  map_row(times, n, y, static_cast<const T*>(y));
}

// Softmax over the tiles as they come: what was summed so far is scaled when a larger score turns up (Milakov &
// Gimelshein 2018).
template <class T>
void value_of(Band<T>& b, const Operand<T>& y, const Operand<T>& log_sums) {
  constexpr T none = -std::numeric_limits<T>::infinity();
  const int64_t n = b.p.width_v;
  T *out = y.of(b.head) + b.first * y.row, shift[tile_rows], factor[tile_rows];
  std::fill(b.largest, b.largest + b.rows, none);
  std::fill(b.sums, b.sums + b.rows, T(0));
  for (int64_t r = 0; r < b.rows; ++r) std::fill_n(out + r * y.row, n, T(0));
  b.each_tile([&] {
    b.scores();
    for (int64_t r = 0; r < b.rows; ++r) {
      const T before = b.largest[r], now = std::max(before, rows::largest(b.weights + r * b.columns, b.columns));
      b.largest[r] = now;
      shift[r] = now == none ? 0 : now;
      factor[r] = b.begin == 0 || before == now ? 1 : std::exp(before - now);
      if (factor[r] != 1) scale_row(factor[r], n, out + r * y.row);
    }
    b.exp_minus(shift);
    for (int64_t r = 0; r < b.rows; ++r)
      b.sums[r] = b.sums[r] * factor[r] + T(kernel::sum(b.weights + r * b.columns, b.columns));
    if (b.drops()) b.draw_noise(), b.times(b.weights, b.noise.template data<T>());
    gemm(b.rows, n, b.columns, {b.weights, b.columns}, b.tile_of(b.v, b.p.v.row), out, b.begin > 0, y.row);
  });
  for (int64_t r = 0; r < b.rows; ++r) {
    const T sum = b.sums[r];
    scale_row(sum == 0 ? T(0) : 1 / sum, n, out + r * y.row);
    log_sums.of(b.head)[b.first + r] = sum == 0 ? -none : b.largest[r] + std::log(sum);
  }
}

// With p the weights, s the scores and z the dropout: dv = (p z)^T g, ds = p (z (g v^T) - rowsum(g y)),
// dq = scale ds k, dk = scale ds^T q.
template <class T>
struct Gradients {
  Operand<T> q, k, v, mask;
};
template <class T>
void vjp_of(Band<T>& b, const Operand<T>& y, const Operand<T>& log_sums, const Operand<T>& g, const Gradients<T>& to) {
  const Problem<T>& p = b.p;
  const T *gs = g.of(b.head) + b.first * g.row, *ys = y.of(b.head) + b.first * y.row;
  T *dq = to.q.of(b.head), *dk = to.k.of(b.head), *dv = to.v.of(b.head), *dmask = to.mask.of(b.head);
  if (dq) dq += b.first * to.q.row;
  for (int64_t r = 0; r < b.rows; ++r) {
    b.sums[r] = T(kernel::dot(gs + r * g.row, ys + r * y.row, p.width_v));
    if (dq) std::fill_n(dq + r * to.q.row, p.width, T(0));
  }
  b.each_tile([&] {
    b.scores();
    b.exp_minus(log_sums.of(b.head) + b.first);
    gemm(b.rows, b.columns, p.width_v, {gs, g.row}, b.tile_of(b.v, p.v.row, true), b.slopes);
    if (b.drops()) b.draw_noise(), b.times(b.slopes, b.noise.template data<T>());
    for (int64_t r = 0; r < b.rows; ++r) {
      auto rule = [dot = b.sums[r]](T slope, T weight) { return weight * (slope - dot); };
      T* slopes = b.slopes + r * b.columns;
      map_row(rule, b.columns, slopes, static_cast<const T*>(slopes), static_cast<const T*>(b.weights) + r * b.columns);
      if (dmask) std::copy_n(slopes, b.columns, dmask + (b.first + r) * to.mask.row + b.begin);
    }
    if (b.drops()) b.times(b.weights, b.noise.template data<T>());
    const auto add = [&](const T* tile, kernel::Matrix<T> x, int64_t n, T* sum, int64_t row) {
      if (sum) gemm(b.columns, n, b.rows, {tile, b.columns, true}, x, sum + b.begin * row, true, row);
    };
    add(b.weights, {gs, g.row}, p.width_v, dv, to.v.row);
    add(b.slopes, {b.q, p.width}, p.width, dk, to.k.row);
    if (dq) gemm(b.rows, p.width, b.columns, {b.slopes, b.columns}, b.tile_of(b.k, p.k.row), dq, b.begin > 0, to.q.row);
  });
  for (int64_t r = 0; r < b.rows && dq; ++r) scale_row(T(p.setting.scale), p.width, dq + r * to.q.row);
}

// ts = scale (tq k^T + q tk^T) + tmask, ty = (p z ts) v + (p z) tv - rowsum(p ts) y.
template <class T>
void jvp_of(Band<T>& b, const Operand<T>& y, const Operand<T>& log_sums, const Gradients<T>& t,
            const Operand<T>& tangent) {
  const Problem<T>& p = b.p;
  const T *tk = t.k.of(b.head), *tv = t.v.of(b.head), *ys = y.of(b.head) + b.first * y.row;
  T* out = tangent.of(b.head) + b.first * tangent.row;
  if (t.q.data) b.scaled(t.q, b.tq);
  for (int64_t r = 0; r < b.rows; ++r) std::fill_n(out + r * tangent.row, p.width_v, T(0));
  std::fill(b.sums, b.sums + b.rows, T(0));
  b.each_tile([&] {
    b.scores();
    b.exp_minus(log_sums.of(b.head) + b.first);
    std::fill_n(b.slopes, b.rows * b.columns, T(0));
    if (t.q.data) gemm(b.rows, b.columns, p.width, {b.tq, p.width}, b.tile_of(b.k, p.k.row, true), b.slopes, true);
    if (tk) gemm(b.rows, b.columns, p.width, {b.q, p.width}, b.tile_of(tk, t.k.row, true), b.slopes, true);
    if (t.mask.data) b.add(t.mask, b.slopes);
    b.times(b.slopes, b.weights);
    for (int64_t r = 0; r < b.rows; ++r) b.sums[r] += T(kernel::sum(b.slopes + r * b.columns, b.columns));
    if (b.drops()) {
      b.draw_noise();
      for (T* x : {b.weights, b.slopes}) b.times(x, b.noise.template data<T>());
    }
    const auto add = [&](const T* tile, kernel::Matrix<T> x) {
      gemm(b.rows, p.width_v, b.columns, {tile, b.columns}, x, out, true, tangent.row);
    };
    add(b.slopes, b.tile_of(b.v, p.v.row));
    if (tv) add(b.weights, b.tile_of(tv, t.v.row));
  });
  for (int64_t r = 0; r < b.rows; ++r) add_row(-b.sums[r], ys + r * y.row, p.width_v, out + r * tangent.row);
}

// The sums, (..., queries), as a matrix of one column.
Tensor column(const Tensor& sums) {
  Shape shape = sums.shape(), strides = sums.strides();
  shape.push_back(1), strides.push_back(1);
  return sums.view(shape, strides);
}
template <class T>
Gradients<T> operands(const Inputs& in, const Shape& batch) {
  return {{in.q, batch}, {in.k, batch}, {in.v, batch}, {in.mask, batch}};
}

}  // namespace

void value(const Inputs& in, const Setting& setting, const Tensor& y, const Tensor& log_sums) {
  const Shape batch = batch_of(in);
  visit_floating("attention", y.dtype(), [&]<class T>(T) {
    const Problem<T> problem(in, setting, batch);
    const Operand<T> out(y, batch), sums(column(log_sums), batch);
    each_band(problem, [&](Band<T>& band) { value_of(band, out, sums); });
  });
}

void vjp(const Inputs& in, const Setting& setting, const Tensor& y, const Tensor& log_sums, const Tensor& g,
         const Inputs& cotangents) {
  const Shape batch = batch_of(in);
  for (const Tensor* sum : {&cotangents.k, &cotangents.v})
    if (sum->defined()) kernel::fill(*sum, 0);
  visit_floating("attention", y.dtype(), [&]<class T>(T) {
    const Problem<T> p(in, setting, batch);
    const Operand<T> out(y, batch), sums(column(log_sums), batch), from(g, batch);
    const Gradients<T> to = operands<T>(cotangents, batch);
    const int64_t work = p.queries * p.keys * (p.width + p.width_v);
    parallel(p.heads, std::max<int64_t>(1, 100'000 / std::max<int64_t>(1, work)), [&](int64_t begin, int64_t end) {
      Band<T> band(p);
      for (; begin < end; ++begin)
        for (int64_t i = 0; i < p.bands(); ++i) {
          band.start(begin, i);
          vjp_of(band, out, sums, from, to);
        }
    });
  });
}

void jvp(const Inputs& in, const Setting& setting, const Tensor& y, const Tensor& log_sums, const Inputs& tangents,
         const Tensor& tangent) {
  const Shape batch = batch_of(in);
  visit_floating("attention", y.dtype(), [&]<class T>(T) {
    const Problem<T> problem(in, setting, batch);
    const Operand<T> out(y, batch), sums(column(log_sums), batch), to(tangent, batch);
    const Gradients<T> ts = operands<T>(tangents, batch);
    each_band(problem, [&](Band<T>& band) { jvp_of(band, out, sums, ts, to); });
  });
}

}  // namespace fathom::attention
