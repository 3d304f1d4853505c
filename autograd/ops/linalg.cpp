#include "fathom/autograd/ops/linalg.h"

#include <atomic>
#include <cmath>

#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/matmul.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/autograd/record.h"
#include "fathom/tensor/kernels/lapack.h"
#include "fathom/tensor/kernels/map.h"
#include "fathom/tensor/kernels/scratch.h"

namespace fathom {
namespace {

Shape batch_of(Shape s) {
  s.rank -= 2;
  return s;
}
Shape with_matrix(Shape batch, int64_t rows, int64_t columns) {
  batch.push_back(rows);
  batch.push_back(columns);
  return batch;
}

// A copy of x, expanded to this batch, whose matrices lie by rows, or by columns (its last two axes are then swapped).
Tensor copy_of(const Tensor& x, const Shape& batch, bool by_columns = false) {
  const NoGrad off;
  const Tensor all = expand(x, with_matrix(batch, x.size(-2), x.size(-1)));
  return kernel::clone(by_columns ? transpose(all) : all);
}
Tensor by_rows(const Tensor& by_columns) {
  const NoGrad off;
  return kernel::clone(transpose(by_columns));
}

// f(i) for each of a batch of matrices of this size.
template <class F>
void each_matrix(int64_t count, int64_t rows, int64_t columns, F f) {
  const int64_t work = std::max<int64_t>(1, rows * columns * columns);
  parallel(count, std::max<int64_t>(1, 100'000 / work), [&](int64_t begin, int64_t end) {
    for (; begin < end; ++begin) f(begin);
  });
}

void check_square(const char* op, const Tensor& a) {
  if (!is_floating(a.dtype())) not_floating(op, a.dtype());
  if (a.dim() < 2 || a.size(-1) != a.size(-2))
    throw Error(std::string(op) + ": needs square matrices (..., n, n), got " + to_string(a.shape()));
}

[[noreturn]] void singular(const char* op, int64_t which, const Shape& batch, const Shape& a) {
  std::string at;
  for (int d = batch.rank - 1; d >= 0; --d) {
    at = std::to_string(which % batch[d]) + (at.empty() ? "" : ", " + at);
    which /= batch[d];
  }
  throw Error(std::string(op) + ": the matrix " + (at.empty() ? "" : "[" + at + "] ") + "is singular: " + to_string(a));
}

// x with a x = b, of matrices whose leading axes broadcast.
Tensor solutions(const char* op, const Tensor& a, const Tensor& b) {
  const Shape batch = broadcast(op, batch_of(a.shape()), batch_of(b.shape()));
  const int64_t n = a.size(-1), k = b.size(-1), count = batch.numel();
  const Tensor decomposed = copy_of(a, batch), x = copy_of(b, batch, true);
  std::atomic<int64_t> first_singular = count;
  visit_floating(op, a.dtype(), [&]<class T>(T) {
    each_matrix(count, n, std::max(n, k), [&](int64_t i) {
      kernel::Scratch<int> pivots(n);
      T* lu = decomposed.data<T>() + i * n * n;
      if (kernel::lu(n, lu, pivots.data())) {
        kernel::lu_solve(n, lu, pivots.data(), k, x.data<T>() + i * n * k);
        return;
      }
      for (int64_t first = first_singular; i < first && !first_singular.compare_exchange_weak(first, i);) continue;
    });
  });
  if (first_singular < count) singular(op, first_singular, batch, a.shape());
  return by_rows(x);
}

Tensor identity_like(const Tensor& a) {
  const int64_t n = a.size(-1);
  const Tensor one = kernel::full({n, n}, 0, a.dtype());
  kernel::fill(one.view({n}, {n + 1}), 1);
  return one;
}

// y b^-1
Tensor solve_right(const Tensor& y, const Tensor& b) { return transpose(solve(transpose(b), transpose(y))); }

}  // namespace

Tensor solve(const Tensor& a, const Tensor& b) {
  check_square("solve", a);
  kernel::check_dtypes("solve", a, b);
  if (b.dim() == 0 || b.size(b.dim() == 1 ? 0 : -2) != a.size(-1))
    throw Error("solve: sizes differ: " + to_string(a.shape()) + " and " + to_string(b.shape()));
  if (b.dim() == 1) return squeeze(solve(a, unsqueeze(b, 1)), -1);
  // With x = A^-1 b: g_b = A^-T g, g_A = -g_b x^T; t_x = A^-1 (t_b - t_A x).
  return record("solve", solutions("solve", a, b), keep(a, output),
                wrt(
                    a,
                    [](const Tensor& g, const Tensor& m, const Tensor& x) {
                      return -matmul(solve(transpose(m), g), transpose(x));
                    },
                    [](const Tensor& t, const Tensor& m, const Tensor& x) { return -solve(m, matmul(t, x)); }),
                wrt(
                    b, [](const Tensor& g, const Tensor& m, const Tensor&) { return solve(transpose(m), g); },
                    [](const Tensor& t, const Tensor& m, const Tensor&) { return solve(m, t); }));
}

Tensor inverse(const Tensor& a) {
  check_square("inverse", a);
  return record("inverse", solutions("inverse", a, identity_like(a)), keep(output),
                wrt(
                    a, [](const Tensor& g, const Tensor& y) { return -matmul(transpose(y), matmul(g, transpose(y))); },
                    [](const Tensor& t, const Tensor& y) { return -matmul(y, matmul(t, y)); }));
}

SignAndLog slogdet(const Tensor& a) {
  check_square("slogdet", a);
  const Shape batch = batch_of(a.shape());
  const int64_t n = a.size(-1);
  const Tensor decomposed = copy_of(a, batch);
  SignAndLog out{Tensor(batch, a.dtype()), Tensor(batch, a.dtype())};
  visit_floating("slogdet", a.dtype(), [&]<class T>(T) {
    each_matrix(batch.numel(), n, n, [&](int64_t i) {
      kernel::Scratch<int> pivots(n);
      T* lu = decomposed.data<T>() + i * n * n;
      double sign = 1, sum = 0;
      if (!kernel::lu(n, lu, pivots.data())) sign = 0, sum = -INFINITY;
      else
        for (int64_t j = 0; j < n; ++j) {
          const double u = double(lu[j * (n + 1)]);
          if ((u < 0) != (pivots.data()[j] != j + 1)) sign = -sign;
          sum += std::log(std::abs(u));
        }
      out.sign.data<T>()[i] = T(sign);
      out.logabsdet.data<T>()[i] = T(sum);
    });
  });
  const auto as_matrix = [](const Tensor& x) { return unsqueeze(unsqueeze(x, -1), -1); };
  out.logabsdet = record("slogdet", std::move(out.logabsdet), keep(a),
                         wrt(
                             a, [=](const Tensor& g, const Tensor& m) { return as_matrix(g) * transpose(inverse(m)); },
                             [](const Tensor& t, const Tensor& m) {
                               return sum(transpose(inverse(m)) * t, {-2, -1});
                             }));
  return out;
}

QR qr(const Tensor& a) {
  if (!is_floating(a.dtype())) not_floating("qr", a.dtype());
  if (a.dim() < 2) throw Error("qr: needs matrices (..., m, n), got " + to_string(a.shape()));
  const Shape batch = batch_of(a.shape());
  const int64_t m = a.size(-2), n = a.size(-1);
  if (m < n) {  // of the square part [A1 A2]: A1 = Q R1, and R = [R1 Q^T A2]
    const auto [q, r] = qr(slice(a, -1, 0, m));
    return {q, concat({r, matmul(transpose(q), slice(a, -1, m, n))}, -1)};
  }
  const Tensor q_columns = copy_of(a, batch, true), r_columns(with_matrix(batch, n, n), a.dtype());
  visit_floating("qr", a.dtype(), [&]<class T>(T) {
    each_matrix(batch.numel(), m, n,
                [&](int64_t i) { kernel::qr(m, n, q_columns.data<T>() + i * m * n, r_columns.data<T>() + i * n * n); });
  });
  Tensor packed;  // Q above R
  {
    const NoGrad off;
    packed = concat({transpose(q_columns), transpose(r_columns)}, -2);
  }
  const auto q_of = [m](const Tensor& x) { return slice(x, -2, 0, m); };
  const auto r_of = [m, n](const Tensor& x) { return slice(x, -2, m, m + n); };
  packed = record(
      "qr", std::move(packed), keep(output),
      wrt(
          a,
          // M = R g_R^T - g_Q^T Q; g_A = (g_Q + Q copyltu(M)) R^-T, copyltu: the lower triangle, mirrored
          [=](const Tensor& g, const Tensor& qr) {
            const Tensor q = q_of(qr), r = r_of(qr);
            const Tensor inner = matmul(r, transpose(r_of(g))) - matmul(transpose(q_of(g)), q);
            const Tensor mirrored = tril(inner) + transpose(tril(inner, -1));
            return solve_right(q_of(g) + matmul(q, mirrored), transpose(r));
          },
          // B = Q^T t R^-1, W = Q^T t_Q = tril(B, -1) - tril(B, -1)^T; t_R = (B - W) R, t_Q = t R^-1 - Q (B - W)
          [=](const Tensor& t, const Tensor& qr) {
            const Tensor q = q_of(qr), r = r_of(qr), scaled = solve_right(t, r), inner = matmul(transpose(q), scaled);
            const Tensor lower = tril(inner, -1), upper = inner - lower + transpose(lower);
            return concat({scaled - matmul(q, upper), matmul(upper, r)}, -2);
          }));
  return {q_of(packed), r_of(packed)};
}

}  // namespace fathom
