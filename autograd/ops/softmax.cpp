#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/fused.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/rows.h"
#include "fathom/autograd/ops/views.h"

namespace fathom {
namespace {

// out = f(a row of a, the same of b, n, to), row by row; a's buffer is used where nobody else holds it.
template <class F>
Tensor row_by_row(const char* op, Tensor a, const Tensor& b, F f) {
  a = rows::dense(std::move(a));
  const Tensor with = rows::dense(b), out = kernel::result(op, a.dtype(), a);
  const int64_t n = rows::columns(a);
  visit_floating(op, a.dtype(), [&]<class T>(T) {
    const T *x = a.data<T>(), *y = with.data<T>();
    T* to = out.data<T>();
    rows::each_block(rows::count(a), n, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) f(x + r * n, y + r * n, n, to + r * n);
    });
  });
  return out;
}

Tensor softmax_value(Tensor x) {
  x = rows::dense(std::move(x));
  const Tensor y = kernel::result("softmax", x.dtype(), x);
  const int64_t n = rows::columns(x), count = rows::count(x);
  visit_floating("softmax", x.dtype(), [&]<class T>(T) {
    const Tensor maxima({count}, x.dtype()), sums({count}, x.dtype());
    const T* from = x.data<T>();
    T *to = y.data<T>(), *m = maxima.data<T>(), *s = sums.data<T>();
    rows::each_block(count, n, [&](int64_t first, int64_t last) {
      rows::exp_rows(from, first, last, n, to, m, s);
      for (int64_t r = first; r < last; ++r) {
        auto scale = [by = 1 / s[r]](T e) { return e * by; };
        kernel::map_row(scale, n, to + r * n, static_cast<const T*>(to) + r * n);
      }
    });
  });
  return y;
}

Tensor log_softmax_value(Tensor x) {
  const Tensor from = x;  // read while its buffer is not reused: two passes over a row
  return row_by_row("log_softmax", std::move(x), from, []<class T>(const T* a, const T*, int64_t n, T* y) {
    constexpr int64_t piece = 256;
    T e[piece];
    const T m = rows::largest(a, n);
    auto exp = [m](T v) { return std::exp(v - m); };
    double sum = 0;
    for (int64_t i = 0; i < n; i += piece) {
      const int64_t k = std::min(piece, n - i);
      kernel::map_row(exp, k, e, a + i);
      sum += kernel::sum(e, k);
    }
    auto shift = [m, by = T(std::log(sum))](T v) { return (v - m) - by; };
    kernel::map_row(shift, n, y, a);
  });
}

// The Jacobian diag(y) - y y^T is its own transpose.
Tensor softmax_rule(Tensor t, const Tensor& y) {
  if (recording()) return y * (t - sum(y * t, -1, true));
  return row_by_row("softmax", std::move(t), y, []<class T>(const T* g, const T* p, int64_t n, T* to) {
    auto slope = [dot = T(kernel::dot(g, p, n))](T a, T b) { return b * (a - dot); };
    kernel::map_row(slope, n, to, g, p);
  });
}
Tensor log_softmax_vjp(Tensor g, const Tensor& y) {
  if (recording()) return g - exp(y) * sum(g, -1, true);
  return row_by_row("log_softmax", std::move(g), y, []<class T>(const T* a, const T* b, int64_t n, T* to) {
    auto slope = [total = T(kernel::sum(a, n))](T c, T d) { return c - std::exp(d) * total; };
    kernel::map_row(slope, n, to, a, b);
  });
}
Tensor log_softmax_jvp(Tensor t, const Tensor& y) {
  if (recording()) return t - sum(exp(y) * t, -1, true);
  return row_by_row("log_softmax", std::move(t), y, []<class T>(const T* a, const T* b, int64_t n, T* to) {
    constexpr int64_t piece = 256;
    T e[piece];
    auto times = [](T c, T d) { return c * std::exp(d); };
    double sum = 0;
    for (int64_t i = 0; i < n; i += piece) {
      const int64_t k = std::min(piece, n - i);
      kernel::map_row(times, k, e, a + i, b + i);
      sum += kernel::sum(e, k);
    }
    auto shift = [by = T(sum)](T c) { return c - by; };
    kernel::map_row(shift, n, to, a);
  });
}

}  // namespace

Tensor softmax(Tensor x, int64_t d) {
  if (!is_floating(x.dtype())) not_floating("softmax", x.dtype());
  const int at = axis("softmax", d, int(x.dim()));
  if (at + 1 != x.dim()) return transpose(softmax(transpose(x, at, -1)), at, -1);
  auto rule = wrt(x, softmax_rule);
  return record("softmax", softmax_value(std::move(x)), keep(output), std::move(rule));
}
Tensor log_softmax(Tensor x, int64_t d) {
  if (!is_floating(x.dtype())) not_floating("log_softmax", x.dtype());
  const int at = axis("log_softmax", d, int(x.dim()));
  if (at + 1 != x.dim()) return transpose(log_softmax(transpose(x, at, -1)), at, -1);
  auto rule = wrt(x, log_softmax_vjp, log_softmax_jvp);
  return record("log_softmax", log_softmax_value(std::move(x)), keep(output), std::move(rule));
}
Tensor Tensor::softmax(int64_t d) const { return fathom::softmax(*this, d); }

}  // namespace fathom
