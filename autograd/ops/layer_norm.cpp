#include "fathom/autograd/families.h"
#include "fathom/autograd/joint.h"
#include "fathom/autograd/ops/fused.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/rows.h"

namespace fathom {
namespace {

using Inputs = std::array<Tensor, 3>;  // x, weight, bias

// Of each row, what the rules read again.
struct Moments {
  Tensor mean, scale;  // scale = 1 / sqrt(var + eps)
};

template <class T>
const T* numbers(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}
Tensor dense(const Tensor& x) { return x.defined() ? rows::dense(x) : x; }

Tensor normalise(const Inputs& in, double eps, const Moments& moments) {
  const Tensor x = dense(in[0]), weight = dense(in[1]), bias = dense(in[2]), y(x.shape(), x.dtype());
  const int64_t n = rows::columns(x);
  visit_floating("layer_norm", x.dtype(), [&]<class T>(T) {
    const T *from = x.data<T>(), *w = numbers<T>(weight), *b = numbers<T>(bias);
    T *to = y.data<T>(), *means = moments.mean.data<T>(), *scales = moments.scale.data<T>();
    rows::each_block(rows::count(x), n, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        const T *row = from + r * n, m = means[r] = T(kernel::sum(row, n) / double(n));
        const double squares = kernel::sum_of(row, row, n, [m](auto a, auto) { return (a - m) * (a - m); });
        const T s = scales[r] = T(1 / std::sqrt(squares / double(n) + eps));
        auto plain = [m, s](T a) { return (a - m) * s; };
        auto weighted = [m, s](T a, T v) { return (a - m) * s * v; };
        auto full = [m, s](T a, T v, T c) { return (a - m) * s * v + c; };
        auto shifted = [m, s](T a, T c) { return (a - m) * s + c; };
        if (w && b) kernel::map_row(full, n, to + r * n, row, w, b);
        else if (w) kernel::map_row(weighted, n, to + r * n, row, w);
        else if (b) kernel::map_row(shifted, n, to + r * n, row, b);
        else kernel::map_row(plain, n, to + r * n, row);
      }
    });
  });
  return y;
}

// With xn = (x - mean) scale and h = g weight: dx = scale (h - mean(h) - xn mean(h xn)), dweight = sum of g xn over the
// rows, dbias = sum of g.
Inputs cotangents(const Tensor& cotangent, Wanted wanted, const Inputs& in, const Moments& moments) {
  const Tensor x = dense(in[0]), weight = dense(in[1]), g = dense(cotangent);
  const int64_t n = rows::columns(x), count = rows::count(x);
  constexpr int64_t block = 64;  // rows whose share of dweight and dbias is added up first
  const int64_t blocks = (count + block - 1) / block;
  Inputs out;
  if (wanted[0]) out[0] = Tensor(x.shape(), x.dtype());
  Tensor shares[2];
  for (size_t i : {0, 1})
    if (wanted[i + 1]) shares[i] = kernel::full({blocks, n}, 0, x.dtype());
  visit_floating("layer_norm", x.dtype(), [&]<class T>(T) {
    const T *from = x.data<T>(), *gs = g.data<T>(), *w = numbers<T>(weight);
    const T *means = moments.mean.data<T>(), *scales = moments.scale.data<T>();
    T* dx = wanted[0] ? out[0].data<T>() : nullptr;
    T *dw = wanted[1] ? shares[0].data<T>() : nullptr, *db = wanted[2] ? shares[1].data<T>() : nullptr;
    parallel(blocks, std::max<int64_t>(1, kernel::parallel_grain / (block * std::max<int64_t>(n, 1))),
             [&](int64_t begin, int64_t end) {
               Tensor line({2, n}, dtype_of<T>);
               T *h = line.data<T>(), *xn = h + n;
               for (int64_t r = begin * block; r < std::min(count, end * block); ++r) {
                 const T *row = from + r * n, *gr = gs + r * n, m = means[r], s = scales[r];
                 auto norm = [m, s](T a) { return (a - m) * s; };
                 kernel::map_row(norm, n, xn, row);
                 if (dx) {
                   auto times = [](T a, T b) { return a * b; };
                   if (w) kernel::map_row(times, n, h, gr, w);
                   const T* hr = w ? h : gr;
                   const T c1 = T(kernel::sum(hr, n) / double(n)), c2 = T(kernel::dot(hr, xn, n) / double(n));
                   auto rule = [=](T a, T b) { return s * (a - c1 - b * c2); };
                   kernel::map_row(rule, n, dx + r * n, hr, static_cast<const T*>(xn));
                 }
                 auto add_product = [](T a, T b, T c) { return a + b * c; };
                 auto add = [](T a, T b) { return a + b; };
                 T *wr = dw + r / block * n, *br = db + r / block * n;
                 if (dw) kernel::map_row(add_product, n, wr, static_cast<const T*>(wr), gr, static_cast<const T*>(xn));
                 if (db) kernel::map_row(add, n, br, static_cast<const T*>(br), gr);
               }
             });
    for (size_t i : {0, 1})
      if (wanted[i + 1]) {
        out[i + 1] = Tensor({n}, x.dtype());
        kernel::sum_rows(shares[i].data<T>(), blocks, n, out[i + 1].data<T>());
      }
  });
  return out;
}

// t_y = scale (t_x - mean(t_x) - xn mean(t_x xn)) weight + xn t_weight + t_bias
Tensor tangent(const Inputs& ts, const Inputs& in, const Moments& moments) {
  const Tensor x = dense(in[0]), weight = dense(in[1]), tx = dense(ts[0]), tw = dense(ts[1]), tb = dense(ts[2]);
  const Tensor y(x.shape(), x.dtype());
  const int64_t n = rows::columns(x);
  visit_floating("layer_norm", x.dtype(), [&]<class T>(T) {
    const T *from = x.data<T>(), *w = numbers<T>(weight), *means = moments.mean.data<T>();
    const T *t = numbers<T>(tx), *u = numbers<T>(tw), *v = numbers<T>(tb), *scales = moments.scale.data<T>();
    T* to = y.data<T>();
    rows::each_block(rows::count(x), n, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        const T *row = from + r * n, m = means[r], s = scales[r];
        T c1 = 0, c2 = 0;
        if (t) {
          const T* tr = t + r * n;
          c1 = T(kernel::sum(tr, n) / double(n));
          c2 = T(kernel::sum_of(tr, row, n, [m, s](auto a, auto b) { return a * ((b - m) * s); }) / double(n));
        }
#pragma GCC ivdep
        for (int64_t i = 0; i < n; ++i) {
          const T xn = (row[i] - m) * s;
          T sum = t ? s * (t[r * n + i] - c1 - xn * c2) * (w ? w[i] : T(1)) : T(0);
          if (u) sum += xn * u[i];
          if (v) sum += v[i];
          to[r * n + i] = sum;
        }
      }
    });
  });
  return y;
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  if (!is_floating(x.dtype())) not_floating("layer_norm", x.dtype());
  if (x.dim() == 0) throw Error("layer_norm: needs an axis, got a number");
  for (const Tensor* p : {&weight, &bias}) {
    if (!p->defined()) continue;
    kernel::check_dtypes("layer_norm", x, *p);
    if (p->shape() != Shape{rows::columns(x)})
      throw Error(std::string("layer_norm: the ") + (p == &weight ? "weight" : "bias") +
                  " does not fit the last axis: " + to_string(p->shape()) + " and " + to_string(x.shape()));
  }
  const Shape per_row{rows::count(x)};
  const Moments moments{Tensor(per_row, x.dtype()), Tensor(per_row, x.dtype())};
  const Inputs in{x, weight, bias};
  Tensor y = normalise(in, eps, moments);
  return record_joint(
      "layer_norm", std::move(y), in,
      [moments](const Tensor& g, Wanted wanted, const Inputs& from) { return cotangents(g, wanted, from, moments); },
      [moments](const Inputs& ts, const Inputs& from) { return tangent(ts, from, moments); },
      [eps](const Inputs& from) {
        const Tensor centred = from[0] - mean(from[0], -1, true);
        Tensor out = centred * rsqrt(mean(square(centred), -1, true) + eps);
        if (from[1].defined()) out = out * from[1];
        return from[2].defined() ? out + from[2] : out;
      });
}

}  // namespace fathom
