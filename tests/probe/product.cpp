#include "fathom/probe/product.h"

#include <cmath>
#include <sstream>

#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "tests/support.h"

using namespace fathom;

namespace {

Rng rng(21);
Tensor normal(const Shape& shape, double scale = 1, Dtype dtype = f64) {
  return randn(shape, {.dtype = dtype}, rng) * scale;
}
Tensor orthogonal(int64_t n) {
  Tensor q = eye(n, {.dtype = f64});
  for (int k = 0; k < 5; ++k) {
    const Tensor v = normal({n, 1});
    q = q - matmul(v, matmul(transpose(v), q)) * (2 / square(v).sum().item());
  }
  return q;
}
// x and depth layers after it.
std::vector<Tensor> stack(int64_t batch, int64_t n, int depth, double gain, Dtype dtype = f64) {
  std::vector<Tensor> xs{normal({batch, n}, 1, dtype).requires_grad_()};
  for (int l = 0; l < depth; ++l)
    xs.push_back(tanh(linear(xs.back(), normal({n, n}, gain / std::sqrt(double(n)), dtype))));
  return xs;
}

double norm_of_row(const Tensor& t, int64_t i, int64_t n) {
  double sum = 0;
  for (int64_t k = 0; k < n; ++k) sum += std::pow(t.to_vector()[size_t(i * n + k)], 2);
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("products: along the tape, exact and bounded, against the Jacobians themselves") {
  for (Dtype dtype : {f64, f32})
    for (int64_t n : {6, 40}) {
      const auto xs = stack(3, n, 5, 1.5, dtype);
      const Tensor u = normal({3, n}, 1, dtype);
      const auto p = probe::products_along(xs, {.cotangent = u});
      CHECK(p.exact == (n == 6));
      REQUIRE(to_string(p.log10_norm.shape()) == "(3, 5)");
      const double rounding = dtype == f64 ? 1e-9 : 1e-4;
      for (size_t l = 0; l < 5; ++l) {
        const auto exact = probe::Jacobian(xs[5], xs[l]).singular_values().select(1, 0).contiguous().to_vector();
        const Tensor g = vjp(xs[5], xs[l], u);
        for (size_t i = 0; i < 3; ++i) {
          const size_t at = i * 5 + l;
          const double norm = std::log10(exact[i]);
          CHECK(p.log10_norm.to_vector()[at] <= norm + rounding);
          CHECK(p.log10_upper.to_vector()[at] >= norm - rounding);
          CHECK(p.log10_norm.to_vector()[at] >= norm - (n == 6 ? rounding : 0.25));
          double bound = 0;
          for (size_t k = l; k < 5; ++k)
            bound += std::log10(
                probe::Jacobian(xs[k + 1], xs[k]).singular_values().select(1, 0).contiguous().to_vector()[i]);
          CHECK(p.log10_bound.to_vector()[at] == doctest::Approx(bound).epsilon(2e-3));
          CHECK(p.looseness.to_vector()[at] ==
                doctest::Approx(p.log10_bound.to_vector()[at] - p.log10_norm.to_vector()[at]).epsilon(1e-12));
          const double gain = norm_of_row(g, int64_t(i), n) / norm_of_row(u, int64_t(i), n);
          CHECK(p.log10_gain.to_vector()[at] == doctest::Approx(std::log10(gain)).epsilon(1e-4));
        }
      }
    }
}

TEST_CASE("products: over matrices as along the tape") {
  const Tensor a = normal({7, 5}), b = normal({6, 7}), c = normal({4, 6});
  const Tensor x = normal({5}).requires_grad_();
  const Tensor y = linear(x, a), z = linear(y, b), w = linear(z, c);
  const Tensor chain[] = {x, y, z, w}, matrices[] = {a, b, c};
  const auto tape = probe::products_along(chain), plain = probe::products_of(matrices);
  CHECK(plain.exact);
  CHECK(plain.confidence == 1);
  CHECK(to_string(plain.log10_norm.shape()) == "(3)");
  for (size_t l = 0; l < 3; ++l)
    CHECK(tape.log10_norm.to_vector()[l] == doctest::Approx(plain.log10_norm.to_vector()[l]));
  const auto exact = probe::Jacobian(w, x).singular_values().to_vector();
  CHECK(plain.log10_norm.to_vector()[0] == doctest::Approx(std::log10(exact[0])));
  const auto s = probe::spectrum_along(chain).to_vector(), t = probe::spectrum_of(matrices).to_vector();
  for (size_t k = 0; k < 4; ++k) {
    CHECK(s[k] == doctest::Approx(std::log10(exact[k])));
    CHECK(t[k] == doctest::Approx(std::log10(exact[k])));
  }
}

TEST_CASE("products: ten thousand layers, and singular values thousands of decades apart") {
  // W_l = Q_l D Q_(l-1)^T: the product's singular values are the powers of D's.
  const int64_t n = 6, depth = 10000;
  const double d[] = {2, 1.5, 1, 0.9, 0.5, 1e-3};
  std::vector<Tensor> q, w;
  for (int k = 0; k < 4; ++k) q.push_back(orthogonal(n));
  const Tensor diagonal = from_data(d, {n}, {.dtype = f64}) * eye(n, {.dtype = f64});
  for (int64_t l = 0; l < depth; ++l)
    w.push_back(matmul(q[size_t(l + 1) % 4], matmul(diagonal, transpose(q[size_t(l) % 4]))));
  const auto s = probe::spectrum_of(w).to_vector();
  for (size_t k = 0; k < 6; ++k)
    CHECK(std::abs(s[k] - double(depth) * std::log10(d[k])) < 1e-9 * (1 + double(depth) * std::abs(std::log10(d[k]))));
  const auto p = probe::products_of(w, {.columns = 2, .probes = 2});  // not exact
  const auto norm = p.log10_norm.to_vector(), upper = p.log10_upper.to_vector();
  CHECK(norm[0] == doctest::Approx(double(depth) * std::log10(2.0)).epsilon(1e-6));
  for (size_t l = 0; l < size_t(depth); ++l) {
    const double exact = double(depth - int64_t(l)) * std::log10(2.0);
    CHECK_FALSE(norm[l] > exact + 1e-8);
    CHECK_FALSE(upper[l] < exact - 1e-8);
  }
  CHECK(p.looseness.to_vector()[0] == doctest::Approx(0).epsilon(0.5));
}

TEST_CASE("products: dead layers and numbers that are not finite") {
  const Tensor a = normal({3, 3}), dead = zeros({3, 3}, {.dtype = f64}), nan = full({3, 3}, NAN, {.dtype = f64});
  const auto zero = probe::products_of(std::vector<Tensor>{a, dead, a}).log10_norm.to_vector();
  CHECK(std::isinf(zero[0]));
  CHECK(std::isfinite(zero[2]));
  const auto none = probe::products_of(std::vector<Tensor>{nan, a}).log10_norm.to_vector();
  CHECK(std::isnan(none[0]));
  CHECK(std::isfinite(none[1]));
  for (double value : probe::spectrum_of(std::vector<Tensor>{a, dead}).to_vector()) CHECK(std::isinf(value));
}

TEST_CASE("products: samples that reach each other make one product") {
  std::vector<Tensor> xs{normal({3, 4}).requires_grad_()};
  for (int l = 0; l < 3; ++l) xs.push_back(tanh(linear(xs.back() - mean(xs.back(), 0, true), normal({4, 4}))));
  const auto p = probe::products_along(xs);
  CHECK(p.coupled);
  CHECK(to_string(p.log10_norm.shape()) == "(3)");
  const double exact = probe::Jacobian(xs[3], xs[0]).singular_values().to_vector()[0];
  CHECK(p.log10_norm.to_vector()[0] == doctest::Approx(std::log10(exact)));
}

TEST_CASE("products: a given sigma is used, and the table is readable") {
  const auto xs = stack(2, 5, 3, 1);
  std::vector<Tensor> sigma(3, full({2}, 10, {.dtype = f64}));
  const auto p = probe::products_along(xs, {.sigma = sigma});
  for (size_t l = 0; l < 3; ++l) CHECK(p.log10_bound.to_vector()[l] == doctest::Approx(3.0 - double(l)));
  std::ostringstream text;
  text << p;
  CHECK(text.str().find("products of 3 layers, log10, sample 0 of 2") == 0);
  const auto has_gain = [&](const Tensor& cotangent) {
    std::ostringstream table;
    table << probe::products_along(xs, {.cotangent = cotangent});
    return table.str().find("gain") != std::string::npos;
  };
  CHECK(has_gain(xs.back().detach()));
  CHECK_FALSE(has_gain({}));
}

TEST_CASE("products: what is no chain is said") {
  const auto xs = stack(2, 4, 3, 1);
  const Tensor skip = xs[3] + xs[1];
  const Tensor chain[] = {xs[0], xs[1], xs[2], skip};
  CHECK(probe::chain_break(xs).empty());
  CHECK(probe::chain_break(chain) == "no chain: add of shape (2, 4) is made of tanh of shape (2, 4), past x_2");
  CHECK(error_of([&] { probe::products_along(chain); }) == "products: " + probe::chain_break(chain));
  const Tensor around[] = {xs[0], xs[1], skip};  // the way past x_2 lies within one link
  CHECK(probe::chain_break(around).empty());
  const double exact = probe::Jacobian(skip, xs[0]).singular_values().to_vector()[0];
  CHECK(probe::products_along(around).log10_norm.to_vector()[0] == doctest::Approx(std::log10(exact)));
  const Tensor backwards[] = {xs[2], xs[1]};
  CHECK(probe::chain_break(backwards) == "x_1, tanh of shape (2, 4), is not made after x_0");
  const Tensor off[] = {xs[0], normal({2, 4})}, apart[] = {xs[0], normal({2, 4}).requires_grad_()};
  CHECK(error_of([&] { probe::products_along(off); }).find("products: x_1 of shape (2, 4) is not on the tape") == 0);
  CHECK(error_of([&] { probe::products_along(apart); }) ==
        "products: y, leaf of shape (2, 4), does not depend on x_0, leaf of shape (2, 4)");
  CHECK(error_of([&] { probe::products_along(std::span(xs).subspan(0, 1)); }) ==
        "products: 1 tensors, at least 2 are needed");
  CHECK(error_of([&] { probe::products_along(xs, {.probes = 0}); }) == "products: probes is 0, at least 1 is needed");
  CHECK(error_of([&] { probe::products_along(xs, {.cotangent = normal({4})}); }) ==
        "Jacobian: products: a direction of shape (4) and f64, not (2, 4) and f64");
  CHECK(error_of([&] { probe::products_along(xs, {.sigma = {normal({2})}}); }) == "products: 1 sigma for 3 layers");
  CHECK(error_of([&] {
          probe::products_of(std::vector<Tensor>{normal({2, 3}), normal({3, 3})});
        }) == "products: matrix 1 of shape (3, 3) does not fit behind one of shape (2, 3)");
  CHECK(error_of([&] { probe::products_of(std::vector<Tensor>{normal({2})}); }) ==
        "products: matrix 0 of shape (2) is no matrix (out, in)");
}
