// Estimates against the exact singular values of random layers: their intervals contain them.
#include <algorithm>
#include <cmath>
#include <sstream>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/probe/jacobian.h"
#include "fathom/tensor/kernels/lapack.h"
#include "tests/support.h"

using namespace fathom;
using probe::Jacobian;

namespace {

Rng rng(11);
Tensor normal(const Shape& shape, double scale = 1, Dtype dtype = f64) {
  return randn(shape, {.dtype = dtype}, rng) * scale;
}
Tensor leaf(const Shape& shape, Dtype dtype = f64) { return normal(shape, 1, dtype).requires_grad_(); }
// Rows that are orthonormal, or columns.
Tensor orthogonal(int64_t n) {
  Tensor q = eye(n, {.dtype = f64});
  for (int k = 0; k < 8; ++k) {  // Householder's reflections
    const Tensor v = normal({n, 1});
    q = q - matmul(v, matmul(transpose(v), q)) * (2 / square(v).sum().item());
  }
  return q;
}

// Layers between x and what is returned, of as many kinds as their names.
struct Case {
  std::string name;
  Tensor x, y;
};
std::vector<Case> layers(int64_t batch, int64_t n, Dtype dtype) {
  std::vector<Case> cases;
  const double scale = 1 / std::sqrt(double(n));
  const auto add = [&](const char* name, auto f) {
    const Tensor x = leaf({batch, n}, dtype);
    cases.push_back({name, x, f(x)});
  };
  const Tensor w = normal({n, n}, scale, dtype), v = normal({n + 5, n}, scale, dtype);
  add("linear", [&](const Tensor& x) { return linear(x, w); });
  add("linear, tanh", [&](const Tensor& x) { return tanh(linear(x, v)); });
  add("relu, linear", [&](const Tensor& x) { return linear(relu(x), v); });
  add("tanh, linear, relu", [&](const Tensor& x) { return relu(linear(tanh(x), w)); });
  add("residual", [&](const Tensor& x) { return x + tanh(linear(x, w)); });
  add("two layers", [&](const Tensor& x) { return relu(linear(tanh(linear(x, v)), transpose(v))); });
  add("tanh", [](const Tensor& x) { return tanh(x) * 3; });
  add("layer_norm", [](const Tensor& x) { return layer_norm(x); });
  add("softmax", [](const Tensor& x) { return softmax(x) * 50; });
  add("orthogonal", [&](const Tensor& x) { return matmul(x, orthogonal(n).to(dtype)); });
  add("rank 1", [&](const Tensor& x) { return x.slice(1, 0, 1) * normal({n}, 1, dtype); });
  return cases;
}

}  // namespace

TEST_CASE("bounds: sigma_max lies in its interval, whatever the layer, the method and the number of steps") {
  for (Dtype dtype : {f64, f32})
    for (const Case& c : layers(4, 24, dtype))
      for (uint64_t seed : {1, 2, 3}) {
        CAPTURE(c.name);
        const double rounding = dtype == f64 ? 1e-12 : 2e-5;
        const Jacobian j(c.y, c.x, {.seed = seed});
        const auto exact = j.singular_values().select(-1, 0).contiguous().to_vector();
        for (const probe::SigmaOptions& how :
             {probe::SigmaOptions{},
              {.iterations = 1},
              {.iterations = 3},
              {.iterations = 7},
              {.iterations = 1, .method = probe::SigmaMethod::power},
              {.iterations = 9, .method = probe::SigmaMethod::power},
              {.iterations = 2, .start = normal({4, 24}, 1, dtype)},
              {.iterations = 4, .start = normal({4, 24}, 1, dtype), .method = probe::SigmaMethod::lanczos}}) {
          const auto found = j.sigma_max(how);
          CHECK(found.iterations <= how.iterations);
          CHECK(found.seconds >= 0);
          const auto low = found.sigma.to_vector(), high = found.upper.to_vector(), r = found.residual.to_vector();
          for (size_t i = 0; i < 4; ++i) {
            CHECK(low[i] <= exact[i] * (1 + rounding));
            CHECK(high[i] >= exact[i] * (1 - rounding));
            CHECK(std::isfinite(high[i]));
            CHECK(r[i] <= high[i] * (1 + rounding));
            if (how.iterations == 200 && !how.start.defined()) CHECK(low[i] == doctest::Approx(exact[i]).epsilon(3e-4));
          }
        }
      }
}

TEST_CASE("bounds: the interval of Golub-Kahan-Lanczos closes where there is a gap") {
  const Tensor x = leaf({3, 40}), q = orthogonal(40);
  std::vector<double> d(40, 1.0);
  d[0] = 2;
  const Jacobian j(matmul(matmul(x, q) * from_data(d, {40}, {.dtype = f64}), orthogonal(40)), x);
  const auto found = j.sigma_max({.tolerance = 1e-10});
  CHECK(found.iterations <= 3);  // two different singular values
  for (double high : found.upper.to_vector()) CHECK(high == doctest::Approx(2).epsilon(1e-6));
  CHECK(found.confidence == 1 - 1e-6);
  CHECK(std::string(found.method) == "lanczos");
}

TEST_CASE("bounds: Golub-Kahan-Lanczos needs fewer products than power iteration") {
  const Tensor x = leaf({1, 200}), w = normal({200, 200});
  const Jacobian j(tanh(linear(x, w * 0.07)), x);
  const double exact = j.singular_values().to_vector()[0];
  const auto lanczos = j.sigma_max({.tolerance = 1e-3}),
             power = j.sigma_max({.iterations = lanczos.iterations, .method = probe::SigmaMethod::power});
  CHECK(lanczos.sigma.item() == doctest::Approx(exact).epsilon(1e-3));
  CHECK(exact - lanczos.sigma.item() < 0.2 * (exact - power.sigma.item()));
}

TEST_CASE("bounds: a start that is no good is left again") {
  // Zero in the direction of the largest value: without noise power iteration would never see it.
  const Tensor x = leaf({1, 3}), start = tensor({{0.0, 1.0, 0.0}}, {.dtype = f64});
  const Jacobian j(matmul(x, tensor({{5.0, 0.0, 0.0}, {0.0, 1.0, 0.0}, {0.0, 0.0, 0.5}}, {.dtype = f64})), x);
  CHECK(j.sigma_max({.start = start, .noise = 0}).sigma.item() == doctest::Approx(1));
  CHECK(std::isinf(j.sigma_max({.start = start, .noise = 0}).upper.item()));
  CHECK(j.sigma_max({.start = start, .method = probe::SigmaMethod::lanczos}).sigma.item() ==
        doctest::Approx(5).epsilon(1e-3));
  CHECK(j.sigma_max({.iterations = 1, .start = start}).upper.item() > 5);
}

TEST_CASE("bounds: Frobenius norms, by formula, by matrix and by random directions") {
  for (Dtype dtype : {f64, f32})
    for (const Case& c : layers(3, 20, dtype)) {
      CAPTURE(c.name);
      const double rounding = dtype == f64 ? 1e-10 : 2e-5;
      const Jacobian j(c.y, c.x, {.seed = 5}), again(c.y, c.x, {.seed = 5}), other(c.y, c.x, {.seed = 6});
      const auto values = other.singular_values().to_vector();
      const Tensor sigma_upper = other.sigma_max().upper;
      const auto sampled = j.frobenius({.exact_below = 0}),
                 narrow = again.frobenius({.exact_below = 0, .sigma_upper = sigma_upper}), formula = other.frobenius(),
                 one = other.frobenius({.exact_below = 0, .probes = 1}),
                 squared = other.frobenius({.exact_below = 0, .squared = true});
      for (size_t i = 0; i < 3; ++i) {
        double sum = 0;
        for (size_t k = 0; k < 20; ++k) sum += values[i * 20 + k] * values[i * 20 + k];
        const double exact = std::sqrt(sum);
        CHECK(formula.value.to_vector()[i] == doctest::Approx(exact).epsilon(rounding));
        CHECK(formula.confidence == 1);
        for (const probe::Estimate* e : {&formula, &sampled, &one, &narrow}) {
          CHECK(e->lower.to_vector()[i] <= exact * (1 + rounding));
          CHECK(e->upper.to_vector()[i] >= exact * (1 - rounding));
        }
        CHECK(narrow.lower.to_vector()[i] >= sampled.lower.to_vector()[i] * (1 - rounding));
        CHECK(narrow.upper.to_vector()[i] <= sampled.upper.to_vector()[i] * (1 + rounding));
        CHECK(squared.lower.to_vector()[i] <= sum * (1 + rounding));
        CHECK(squared.upper.to_vector()[i] >= sum * (1 - rounding));
      }
    }
  const auto method = [](const char* name) {
    for (const Case& c : layers(3, 20, f64))
      if (c.name == name) return std::string(Jacobian(c.y, c.x).frobenius({.exact_below = 0}).method);
    return std::string();
  };
  for (const char* name : {"linear", "linear, tanh", "relu, linear", "tanh, linear, relu", "tanh"})
    CHECK(method(name) == "formula");
  for (const char* name : {"residual", "two layers", "layer_norm", "softmax"}) CHECK(method(name) == "hutchinson");
}

TEST_CASE("bounds: formulas along other axes") {
  const Tensor x = leaf({2, 3, 4}), w = normal({5, 4});
  const Tensor y = tanh(linear(sin(x), w));
  for (int64_t axis : {-1, 0, 1}) {
    const Jacobian j(y, x, {.batch_axis = axis});
    const auto m = j.matrix();
    const auto exact = sqrt(square(m).sum(j.batched() ? Axes{1, 2} : Axes{0, 1})).to_vector(),
               found = j.frobenius().value.to_vector();
    CHECK(std::string(j.frobenius().method) == "formula");
    for (size_t i = 0; i < exact.size(); ++i) CHECK(found[i] == doctest::Approx(exact[i]).epsilon(1e-12));
  }
}

TEST_CASE("bounds: a spectrum and what follows from it") {
  // Two dead rows, then 3, 2, 1.
  const Tensor x = full({2, 4}, 1, {.dtype = f64, .requires_grad = true});
  Tensor w = zeros({5, 4}, {.dtype = f64});
  w[0][0].fill_(3), w[1][1].fill_(-2), w[2][2].fill_(2), w[4][3].fill_(1);
  const auto s = Jacobian(relu(linear(x, w)), x).spectrum();  // -2 is dead
  CHECK(s.complete);
  const auto values = s.values.to_vector();
  const double expected[] = {3, 2, 1, 0};
  for (size_t i = 0; i < 8; ++i) CHECK(values[i] == doctest::Approx(expected[i % 4]).epsilon(1e-14));
  CHECK(s.active_rows.to_vector()[1] == 3);
  CHECK(s.sigma_min.to_vector()[1] == 0);
  CHECK(std::isinf(s.condition.to_vector()[1]));
  CHECK(s.sigma_min_active.to_vector()[1] == doctest::Approx(1));
  CHECK(s.condition_active.to_vector()[1] == doctest::Approx(3));
  CHECK(s.frobenius.to_vector()[1] == doctest::Approx(std::sqrt(14)));
  CHECK(s.stable_rank.to_vector()[1] == doctest::Approx(14.0 / 9));
  double entropy = 0;
  for (double v : {3.0, 2.0, 1.0}) entropy -= v / 6 * std::log(v / 6);
  CHECK(s.effective_rank.to_vector()[1] == doctest::Approx(std::exp(entropy)));
  std::ostringstream text;
  text << s << '\n'
       << Jacobian(relu(linear(x, w)), x).sigma_max() << '\n'
       << Jacobian(relu(linear(x, w)), x).frobenius();
  CHECK(text.str().find("all 4 singular values: svd") == 0);
  CHECK(text.str().find("   min, active cond., active   stable rank") != std::string::npos);
  CHECK(text.str().find("largest singular value: ") != std::string::npos);
  CHECK(text.str().find("Frobenius norm: formula") != std::string::npos);
}

TEST_CASE("bounds: the top of a spectrum by Golub-Kahan-Lanczos") {
  for (Dtype dtype : {f64, f32})
    for (const Case& c : layers(2, 60, dtype)) {
      CAPTURE(c.name);
      const double rounding = dtype == f64 ? 1e-10 : 5e-5;
      const Jacobian j(c.y, c.x, {.seed = 3});
      const auto exact = j.singular_values().to_vector();
      const auto s = j.spectrum({.exact_below = 0, .top = 5});
      CHECK_FALSE(s.complete);
      const double slack = rounding * exact[0];
      for (size_t i = 0; i < 2; ++i)
        for (size_t k = 0; k < 5; ++k) {
          const double low = s.values.to_vector()[i * 5 + k], high = s.upper.to_vector()[i * 5 + k],
                       r = s.residuals.to_vector()[i * 5 + k];
          CHECK(low <= exact[i * 60 + k] + slack);
          CHECK(high >= exact[i * 60 + k] - slack);
          bool near = false;
          for (size_t l = 0; l < 60; ++l) near |= std::abs(exact[i * 60 + l] - low) <= r + slack;
          CHECK(near);
          if (k == 0) CHECK(low == doctest::Approx(exact[i * 60]).epsilon(1e-3));
        }
    }
}

TEST_CASE("bounds: products of the singular values of small matrices") {
  double a[] = {3, 0, 4, 5}, values[2];  // sqrt(45), sqrt(5)
  kernel::singular_values(2, 2, a, values);
  CHECK(values[0] == doctest::Approx(std::sqrt(45)).epsilon(1e-14));
  CHECK(values[1] == doctest::Approx(std::sqrt(5)).epsilon(1e-14));
  double d[] = {1, 2}, e[] = {3}, last[2], right[4];  // (1 3; 0 2)
  kernel::bidiagonal_svd(2, d, e, last, right);
  CHECK(d[0] * d[1] == doctest::Approx(2).epsilon(1e-14));
  CHECK(d[0] * d[0] + d[1] * d[1] == doctest::Approx(14).epsilon(1e-14));
  const double image[] = {right[0] + 3 * right[1], 2 * right[1]};
  CHECK(std::hypot(image[0], image[1]) == doctest::Approx(d[0]).epsilon(1e-14));
  CHECK(std::abs(image[1]) == doctest::Approx(std::abs(last[0]) * d[0]).epsilon(1e-14));
}

TEST_CASE("bounds: what is wrong is said") {
  const Tensor x = leaf({2, 3});
  const Jacobian j(linear(x, normal({4, 3})), x);
  CHECK(error_of([&] { j.spectrum({.top = 0}); }) == "Jacobian: spectrum: top is 0, at least 1 is needed");
  CHECK(error_of([&] { j.sigma_max({.noise = -1}); }) ==
        "Jacobian: sigma_max: noise is -1.000000, at least 0 is needed");
  CHECK(error_of([&] { j.sigma_max({.chance = 0}); }) ==
        "Jacobian: sigma_max: chance is 0.000000, not between 0 and 1");
  CHECK(error_of([&] { j.frobenius({.sigma_upper = zeros({3}, {.dtype = f64})}); }) ==
        "Jacobian: frobenius: sigma_upper of shape (3) and f64, not (2) and f64");
  const Tensor none = zeros({2, 0}, {.dtype = f64, .requires_grad = true});
  CHECK(error_of([&] { Jacobian(tanh(none), none).spectrum(); }) ==
        "Jacobian: spectrum: the Jacobian is empty, (2, 0, 0)");
}
