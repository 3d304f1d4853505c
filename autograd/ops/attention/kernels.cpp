#include "fathom/autograd/ops/attention/kernels.h"

#include <algorithm>  // copy_n

#include "fathom/autograd/ops/attention/band.h"

namespace fathom::attention {
namespace {

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

Shape batch_of(const Inputs& in) {
  Shape batch = in.q.shape();
  batch.rank -= 2;
  return batch;
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
  visit_floating("attention", y.dtype(), [&]<class T>(T) {
    const Problem<T> p(in, setting, batch);
    const Operand<T> out(y, batch), sums(column(log_sums), batch), from(g, batch);
    const Gradients<T> to = operands<T>(cotangents, batch);
    const auto clear = [&](const Operand<T>& sum, int64_t head, int64_t width) {
      T* row = sum.of(head);
      for (int64_t j = 0; row && j < p.keys; ++j) std::fill_n(row + j * sum.row, width, T(0));
    };
    const int64_t work = p.queries * p.keys * (p.width + p.width_v);
    parallel(p.heads, std::max<int64_t>(1, 100'000 / std::max<int64_t>(1, work)), [&](int64_t begin, int64_t end) {
      Band<T> band(p);
      for (; begin < end; ++begin) {
        clear(to.k, begin, p.width);  // all bands add to these
        clear(to.v, begin, p.width_v);
        for (int64_t i = 0; i < p.bands(); ++i) {
          band.start(begin, i);
          vjp_of(band, out, sums, from, to);
        }
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
