#include <algorithm>
#include <cmath>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/compare.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/linalg.h"
#include "fathom/autograd/ops/matmul.h"
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/autograd/record.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom {
namespace {

// The largest sum of absolute values of a column, (..., 1, 1).
Tensor one_norm(const Tensor& a) { return amax(sum(abs(a), -2, true), -1, true); }

// Higham, "The scaling and squaring method for the matrix exponential revisited", 2005, algorithm 2.3 with m = 13:
// exp A = (r(A / 2^s))^(2^s), s for each matrix its own.
Tensor exponential(const Tensor& a) {
  if (!a.numel()) return kernel::clone(a);
  constexpr double b[] = {64764752532480000.,
                          32382376266240000.,
                          7771770303897600.,
                          1187353796428800.,
                          129060195264000.,
                          10559470521600.,
                          670442572800.,
                          33522128640.,
                          1323241920.,
                          40840800.,
                          960960.,
                          16380.,
                          182.,
                          1.};
  constexpr double radius = 5.371920351148152;
  const Tensor norms = one_norm(a), times(norms.shape(), a.dtype()), scale(norms.shape(), a.dtype());
  int most = 0;
  visit_floating("matrix_exp", a.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < norms.numel(); ++i) {
      const double norm = double(norms.data<T>()[i]);
      const int s = norm > radius && std::isfinite(norm) ? int(std::ceil(std::log2(norm / radius))) : 0;
      times.data<T>()[i] = T(s);
      scale.data<T>()[i] = T(std::ldexp(1.0, -s));
      most = std::max(most, s);
    }
  });
  const auto c = [&](int i) { return b[i] / b[0]; };
  const Tensor x = a * scale, one = eye(a.size(-1), {.dtype = a.dtype()});
  const Tensor x2 = matmul(x, x), x4 = matmul(x2, x2), x6 = matmul(x4, x2);
  const Tensor odd =
      matmul(x, matmul(x6, c(13) * x6 + c(11) * x4 + c(9) * x2) + c(7) * x6 + c(5) * x4 + c(3) * x2 + c(1) * one);
  const Tensor even = matmul(x6, c(12) * x6 + c(10) * x4 + c(8) * x2) + c(6) * x6 + c(4) * x4 + c(2) * x2 + one;
  Tensor y = solve(even - odd, even + odd);
  for (int i = 0; i < most; ++i) y = where(times > i, matmul(y, y), y);
  return y;
}

// The derivative of exp at A in direction E, linear in E: the upper right block of exp [[A, E], [0, A]]. E is brought
// to norm 1, so that its size costs no accuracy.
Tensor derivative(const Tensor& a, const Tensor& direction) {
  if (!direction.numel()) return direction;
  const int64_t n = a.size(-1);
  Tensor size;
  {
    const NoGrad off;
    size = one_norm(direction);
    size = where(size > 0, size, 1);
  }
  const Tensor e = direction / size;
  const Tensor block = concat({concat({a, e}, -1), concat({zeros_like(a), a}, -1)}, -2);
  return slice(slice(matrix_exp(block), -2, 0, n), -1, n, 2 * n) * size;
}

}  // namespace

Tensor matrix_exp(const Tensor& a) {
  if (!is_floating(a.dtype())) not_floating("matrix_exp", a.dtype());
  if (a.dim() < 2 || a.size(-1) != a.size(-2))
    throw Error("matrix_exp: needs square matrices (..., n, n), got " + to_string(a.shape()));
  Tensor y;
  {
    const NoGrad off;
    y = exponential(a);
  }
  return record("matrix_exp", std::move(y), keep(a),
                wrt(
                    a, [](const Tensor& g, const Tensor& m) { return derivative(transpose(m), g); },
                    [](const Tensor& t, const Tensor& m) { return derivative(m, t); }));
}

}  // namespace fathom
