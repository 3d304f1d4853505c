#include <cmath>

#include "fathom/autograd/families.h"
#include "fathom/autograd/joint.h"
#include "fathom/autograd/ops/fused.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/rows.h"
#include "fathom/tensor/kernels/scratch.h"

namespace fathom {
namespace {

using Inputs = std::array<Tensor, 2>;  // x, weight

template <class T>
const T* numbers(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}
Tensor dense(const Tensor& x) { return x.defined() ? rows::dense(x) : x; }

// scale (rows) = 1 / sqrt(mean of x^2 + eps), which the rules read again.
Tensor normalise(const Inputs& in, double eps, const Tensor& scale) {
  const Tensor x = dense(in[0]), weight = dense(in[1]), y(x.shape(), x.dtype());
  const int64_t n = rows::columns(x);
  visit_floating("rms_norm", x.dtype(), [&]<class T>(T) {
    const T *from = x.data<T>(), *w = numbers<T>(weight);
    T *to = y.data<T>(), *scales = scale.data<T>();
    rows::each_block(rows::count(x), n, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        const T* row = from + r * n;
        const T s = scales[r] = T(1 / std::sqrt(kernel::sum_of_squares(row, n) / double(n) + eps));
        auto plain = [s](T a) { return a * s; };
        auto weighted = [s](T a, T v) { return a * s * v; };
        if (w) kernel::map_row(weighted, n, to + r * n, row, w);
        else kernel::map_row(plain, n, to + r * n, row);
      }
    });
  });
  return y;
}

// With xn = x scale and h = g weight: dx = scale (h - xn mean(h xn)), dweight = sum of g xn over the rows.
Inputs cotangents(const Tensor& cotangent, Wanted wanted, const Inputs& in, const Tensor& scale) {
  const Tensor x = dense(in[0]), weight = dense(in[1]), g = dense(cotangent);
  const int64_t n = rows::columns(x), count = rows::count(x);
  constexpr int64_t block = 64;  // rows whose share of dweight is added up first
  const int64_t blocks = (count + block - 1) / block;
  Inputs out;
  if (wanted[0]) out[0] = Tensor(x.shape(), x.dtype());
  const Tensor shares = wanted[1] ? kernel::full({blocks, n}, 0, x.dtype()) : Tensor();
  visit_floating("rms_norm", x.dtype(), [&]<class T>(T) {
    const T *from = x.data<T>(), *gs = g.data<T>(), *w = numbers<T>(weight), *scales = scale.data<T>();
    T *dx = wanted[0] ? out[0].data<T>() : nullptr, *dw = wanted[1] ? shares.data<T>() : nullptr;
    const auto some = [&](int64_t begin, int64_t end) {
      kernel::Scratch<T> line(n);
      T* h = line.data();
      for (int64_t r = begin * block; r < std::min(count, end * block); ++r) {
        const T *row = from + r * n, *gr = gs + r * n, s = scales[r];
        if (dx) {
          auto times = [](T a, T b) { return a * b; };
          if (w) kernel::map_row(times, n, h, gr, w);
          const T* hr = w ? h : gr;
          const T c = T(kernel::sum_of(hr, row, n, [s](auto a, auto b) { return a * (b * s); }) / double(n));
          auto rule = [s, c](T a, T b) { return s * (a - b * s * c); };
          kernel::map_row(rule, n, dx + r * n, hr, row);
        }
        if (!dw) continue;
        T* share = dw + r / block * n;
        auto add = [s](T a, T b, T c) { return a + b * (c * s); };
        kernel::map_row(add, n, share, static_cast<const T*>(share), gr, row);
      }
    };
    parallel(blocks, std::max<int64_t>(1, kernel::parallel_grain / (block * std::max<int64_t>(n, 1))), some);
    if (!dw) return;
    out[1] = Tensor({n}, x.dtype());
    kernel::sum_rows(static_cast<const T*>(dw), blocks, n, out[1].data<T>());
  });
  return out;
}

// t_y = scale (t_x - xn mean(t_x xn)) weight + xn t_weight
Tensor tangent(const Inputs& ts, const Inputs& in, const Tensor& scale) {
  const Tensor x = dense(in[0]), weight = dense(in[1]), tx = dense(ts[0]), tw = dense(ts[1]), y(x.shape(), x.dtype());
  const int64_t n = rows::columns(x);
  visit_floating("rms_norm", x.dtype(), [&]<class T>(T) {
    const T *from = x.data<T>(), *w = numbers<T>(weight), *t = numbers<T>(tx), *u = numbers<T>(tw);
    T *to = y.data<T>(), *scales = scale.data<T>();
    rows::each_block(rows::count(x), n, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        const T *row = from + r * n, s = scales[r];
        const T c =
            t ? T(kernel::sum_of(t + r * n, row, n, [s](auto a, auto b) { return a * (b * s); }) / double(n)) : T(0);
#pragma GCC ivdep
        for (int64_t i = 0; i < n; ++i) {
          const T xn = row[i] * s;
          T sum = t ? s * (t[r * n + i] - xn * c) * (w ? w[i] : T(1)) : T(0);
          if (u) sum += xn * u[i];
          to[r * n + i] = sum;
        }
      }
    });
  });
  return y;
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  if (!is_floating(x.dtype())) not_floating("rms_norm", x.dtype());
  if (x.dim() == 0) throw Error("rms_norm: needs an axis, got a number");
  if (weight.defined()) {
    kernel::check_dtypes("rms_norm", x, weight);
    if (weight.shape() != Shape{rows::columns(x)})
      throw Error("rms_norm: the weight does not fit the last axis: " + to_string(weight.shape()) + " and " +
                  to_string(x.shape()));
  }
  const Tensor scale({rows::count(x)}, x.dtype());
  const Inputs in{x, weight};
  Tensor y = normalise(in, eps, scale);
  return record_joint(
      "rms_norm", std::move(y), in,
      [scale](const Tensor& g, Wanted wanted, const Inputs& from) { return cotangents(g, wanted, from, scale); },
      [scale](const Inputs& ts, const Inputs& from) { return tangent(ts, from, scale); },
      [eps](const Inputs& from) {
        const Tensor out = from[0] * rsqrt(mean(square(from[0]), -1, true) + eps);
        return from[1].defined() ? out * from[1] : out;
      });
}

}  // namespace fathom
