#include "fathom/autograd/ops/linalg.h"

#include <Eigen/LU>
#include <cmath>
#include <limits>

#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/recording.h"
#include "tests/autograd/tensors.h"
#include "tests/support.h"

using namespace fathom;

namespace {

// The powers of x over the factorials, up to the 60th.
Tensor series(const Tensor& x) {
  Tensor term = eye(x.size(-1), {.dtype = f64}), out = term;
  for (int i = 1; i <= 60; ++i) {
    term = matmul(term, x) / i;
    out = out + term;
  }
  return out;
}
void check(const char* what, FunctionRef<Tensor(List)> f, const std::vector<Tensor>& x) {
  INFO(std::string(what));
  CHECK(error_of([&] { check_grads(f, x); }) == "");
}

}  // namespace

TEST_CASE("solve and inverse: by hand, against Eigen, batches that broadcast, vectors, views") {
  const Tensor a = tensor({{0.0, 2.0}, {4.0, 2.0}}, {.dtype = f64});  // the first row is no pivot
  CHECK(close(solve(a, tensor({2.0, 10.0}, {.dtype = f64})), tensor({2.0, 1.0}, {.dtype = f64})));
  CHECK(close(inverse(a), tensor({{-0.25, 0.25}, {0.5, 0.0}}, {.dtype = f64})));

  const Tensor big = normal({40, 40}, 1), b = normal({40, 3}, 2);
  using Matrix = Eigen::Matrix<double, -1, -1, Eigen::RowMajor>;
  const Matrix m = Eigen::Map<const Matrix>(big.data<double>(), 40, 40);
  const Matrix x = m.partialPivLu().solve(Eigen::Map<const Matrix>(b.data<double>(), 40, 3));
  CHECK(close(solve(big, b), from_data(std::span(x.data(), 120), {40, 3}), 1e-10));
  CHECK(close(matmul(transpose(big), inverse(transpose(big))), eye(40, {.dtype = f64}), 1e-10));

  const Tensor left = normal({2, 1, 3, 3}, 3), right = normal({4, 3, 2}, 4), both = solve(left, right);
  CHECK(both.shape() == Shape{2, 4, 3, 2});
  CHECK(close(matmul(left, both), expand(right, {2, 4, 3, 2})));
  CHECK(close(solve(left[0][0], right)[2], solve(left[0][0], right[2])));
  CHECK(allclose(matmul(normal({3, 3}, 5, f32), inverse(normal({3, 3}, 5, f32))), eye(3), 1e-4, 1e-5));
}

TEST_CASE("slogdet: by hand, against Eigen, batches, a singular matrix") {
  const auto [sign, log_of] = slogdet(tensor({{0.0, 2.0}, {4.0, 2.0}}, {.dtype = f64}));
  CHECK(sign.item() == -1);
  CHECK(log_of.item() == doctest::Approx(std::log(8)));
  const Tensor a = normal({6, 5, 5}, 1);
  const SignAndLog all = slogdet(a);
  using Matrix = Eigen::Matrix<double, -1, -1, Eigen::RowMajor>;
  for (int64_t i = 0; i < 6; ++i) {
    const Matrix m = Eigen::Map<const Matrix>(a[i].clone().data<double>(), 5, 5);
    CHECK(all.sign[i].item() * std::exp(all.logabsdet[i].item()) == doctest::Approx(m.determinant()).epsilon(1e-12));
  }
  const SignAndLog none = slogdet(ones({2, 2}));
  CHECK(none.sign.item() == 0);
  CHECK(none.logabsdet.item() == -std::numeric_limits<double>::infinity());
}

TEST_CASE("qr: orthonormal, triangular, gives A again: tall, square, wide, in batches") {
  for (const Shape& shape : {Shape{5, 3}, Shape{4, 4}, Shape{3, 5}, Shape{2, 3, 4, 2}, Shape{1, 1}})
    for (const Dtype dtype : {f64, f32}) {
      const Tensor a = normal(shape, 1, dtype);
      const auto [q, r] = qr(a);
      const double tolerance = dtype == f64 ? 1e-13 : 1e-5;
      CHECK(close(matmul(q, r), a, tolerance));
      const int64_t k = std::min(a.size(-1), a.size(-2));
      CHECK(allclose(matmul(transpose(q), q), eye(k, {.dtype = dtype}), tolerance, tolerance));
      CHECK(all(r == triu(r)).item() == 1);
    }
}

TEST_CASE("matrix_exp: closed forms, the series, each of a batch by its own size") {
  const double t = 0.7;
  const Tensor turn = tensor({{0.0, -t}, {t, 0.0}}, {.dtype = f64});
  CHECK(close(matrix_exp(turn), tensor({{std::cos(t), -std::sin(t)}, {std::sin(t), std::cos(t)}}, {.dtype = f64}),
              1e-15));
  const Tensor shear = tensor({{0.0, 100.0}, {0.0, 0.0}}, {.dtype = f64});
  CHECK(close(matrix_exp(shear), tensor({{1.0, 100.0}, {0.0, 1.0}}, {.dtype = f64}), 1e-14));
  const Tensor a = normal({5, 5}, 1);
  CHECK(close(matrix_exp(a), series(a)));
  CHECK(close(matmul(matrix_exp(a * 4), matrix_exp(a * -4)), eye(5, {.dtype = f64}), 1e-8));
  CHECK(close(matrix_exp(stack({turn, turn * 1e5}))[0], matrix_exp(turn), 1e-15));
  CHECK(close(slogdet(matrix_exp(a)).logabsdet, sum(diagonal(a)), 1e-12));
  CHECK(allclose(matrix_exp(a.to(f32)), matrix_exp(a).to(f32), 1e-4, 1e-5));
  CHECK(std::isnan(matrix_exp(full({2, 2}, NAN))[0][0].item()));
}

TEST_CASE("linear algebra: derivatives in both modes, to second order") {
  const Tensor a = normal({3, 3}, 1) + 2 * eye(3, {.dtype = f64}), batch = normal({2, 3, 3}, 2) * 0.5 + a;
  const auto both = [](const Tensor& x) {
    const auto [q, r] = qr(x);
    return concat({q * 1.3, transpose(r)}, -2);
  };
  check("solve", [](List x) { return solve(x[0], x[1]); }, {a, normal({3, 2}, 3)});
  check("solve, a vector", [](List x) { return solve(x[0], x[1]); }, {a, normal({3}, 3)});
  check("solve, one matrix", [](List x) { return solve(x[0], x[1]); }, {a, normal({2, 3, 2}, 3)});
  check("solve, one right side", [](List x) { return solve(x[0], x[1]); }, {batch, normal({3, 2}, 3)});
  check("inverse", [](List x) { return inverse(x[0]); }, {batch});
  check("inverse, transposed", [](List x) { return inverse(transpose(x[0])); }, {a});
  check("slogdet", [](List x) { return slogdet(x[0]).logabsdet; }, {batch});
  check("qr, square", [&](List x) { return both(x[0]); }, {batch});
  check("qr, tall", [](List x) { return concat({qr(x[0]).q, qr(x[0]).r}, -2); }, {normal({5, 3}, 4)});
  check("qr, wide", [](List x) { return qr(x[0]).q; }, {normal({3, 5}, 4)});
  check("qr, wide", [](List x) { return qr(x[0]).r; }, {normal({3, 5}, 4)});
  check("matrix_exp", [](List x) { return matrix_exp(x[0]); }, {normal({2, 3, 3}, 5)});
  check("matrix_exp, squared", [](List x) { return matrix_exp(x[0] * 8) * 1e-6; }, {normal({2, 2}, 5)});
  check("matrix_exp of commuting", [](List x) { return matrix_exp(x[0] * eye(2, {.dtype = f64})); },
        {tensor(0.4, {.dtype = f64})});

  // d log|det A| = A^-T
  Tensor w = a.clone().requires_grad_();
  slogdet(w).logabsdet.backward();
  CHECK(close(w.grad(), transpose(inverse(a)), 1e-13));
  // tiny cotangents lose nothing
  const Tensor y = matrix_exp(w), g = vjp(y, w, ones_like(y)), small = vjp(y, w, ones_like(y) * 1e-200);
  CHECK(close(small * 1e200, g, 1e-13));
  CHECK(close(vjp(y, w, zeros_like(y)), zeros_like(y)));
}

TEST_CASE("linear algebra: nothing, empty batches, bad input") {
  CHECK(solve(zeros({0, 0}), zeros({0, 2})).shape() == Shape{0, 2});
  CHECK(solve(zeros({0, 3, 3}), zeros({3, 2})).shape() == Shape{0, 3, 2});
  CHECK(solve(eye(3), zeros({3, 0})).shape() == Shape{3, 0});
  CHECK(inverse(zeros({2, 0, 0})).shape() == Shape{2, 0, 0});
  CHECK(slogdet(zeros({0, 0})).sign.item() == 1);
  CHECK(slogdet(zeros({0, 2, 2})).logabsdet.shape() == Shape{0});
  CHECK(qr(zeros({0, 3, 2})).r.shape() == Shape{0, 2, 2});
  CHECK(qr(zeros({3, 0})).q.shape() == Shape{3, 0});
  CHECK(qr(zeros({0, 3})).r.shape() == Shape{0, 3});
  const Tensor none = zeros({2, 0, 0}).requires_grad_();
  CHECK(matrix_exp(none).shape() == Shape{2, 0, 0});
  CHECK(grad(sum(matrix_exp(none)), none).shape() == Shape{2, 0, 0});

  CHECK(error_of([] { inverse(ones({2, 2})); }) == "inverse: the matrix is singular: (2, 2)");
  Tensor some = stack({eye(2), eye(2), eye(2), eye(2), eye(2), ones({2, 2})}).reshape({2, 3, 2, 2});
  CHECK(error_of([&] { solve(some, ones({2, 1})); }) == "solve: the matrix [1, 2] is singular: (2, 3, 2, 2)");
  Tensor w = zeros({2, 2}, {.requires_grad = true});
  CHECK(error_of([&] { slogdet(w).logabsdet.backward(); }) == "inverse: the matrix is singular: (2, 2)");
  CHECK(error_of([] { solve(ones({2, 3}), ones({2})); }) == "solve: needs square matrices (..., n, n), got (2, 3)");
  CHECK(error_of([] { solve(eye(2), ones({3, 1})); }) == "solve: sizes differ: (2, 2) and (3, 1)");
  CHECK(error_of([] { solve(eye(2), ones({2}, {.dtype = f64})); }).find("solve: dtypes differ") == 0);
  CHECK(error_of([] { inverse(ones({2})); }) == "inverse: needs square matrices (..., n, n), got (2)");
  CHECK(error_of([] { slogdet(ones({})); }) == "slogdet: needs square matrices (..., n, n), got ()");
  CHECK(error_of([] { qr(ones({2})); }) == "qr: needs matrices (..., m, n), got (2)");
  CHECK(error_of([] { matrix_exp(ones({2, 3})); }) == "matrix_exp: needs square matrices (..., n, n), got (2, 3)");
  CHECK(error_of([] { inverse(ones({2, 2}, {.dtype = i64})); }).find("inverse: ") == 0);
}
