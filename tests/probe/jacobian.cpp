#include "fathom/probe/jacobian.h"
#include "fathom/autograd/slice.h"

#include <cmath>
#include <vector>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/recording.h"
#include "tests/support.h"

using namespace fathom;
using probe::Jacobian;

namespace {

Rng rng(7);
Tensor normal(const Shape& shape, Dtype dtype = f64) { return randn(shape, {.dtype = dtype}, rng); }
Tensor leaf(const Shape& shape, Dtype dtype = f64) { return normal(shape, dtype).requires_grad_(); }
Tensor of(const Shape& shape, std::vector<double> numbers) {
  Tensor x(shape, f64);
  std::copy(numbers.begin(), numbers.end(), x.data<double>());
  return x;
}
double dot(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector(), y = b.to_vector();
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}
void check_close(const Tensor& a, const Tensor& b, double tolerance) {
  REQUIRE(to_string(a.shape()) == to_string(b.shape()));
  const auto x = a.to_vector(), y = b.to_vector();
  for (size_t i = 0; i < x.size(); ++i) CHECK(x[i] == doctest::Approx(y[i]).epsilon(tolerance));
}

}  // namespace

TEST_CASE("Jacobian: of tanh(W x), a matrix a sample, as derived by hand") {
  const Tensor x = leaf({5, 3}), w = normal({4, 3});
  const Tensor y = tanh(linear(x, w));
  const Jacobian j(y, x);
  CHECK(j.batched());
  CHECK_FALSE(j.coupled());
  CHECK(j.batch() == 5);
  CHECK(j.outputs() == 4);
  CHECK(j.inputs() == 3);
  const Tensor m = j.matrix();
  REQUIRE(to_string(m.shape()) == "(5, 4, 3)");
  const auto numbers = m.to_vector(), out = y.to_vector(), weight = w.to_vector();
  for (size_t i = 0; i < 5; ++i)
    for (size_t o = 0; o < 4; ++o)
      for (size_t k = 0; k < 3; ++k) {
        const double slope = 1 - out[i * 4 + o] * out[i * 4 + o];
        CHECK(numbers[(i * 4 + o) * 3 + k] == doctest::Approx(slope * weight[o * 3 + k]).epsilon(1e-12));
      }
}

TEST_CASE("Jacobian: rows and columns give the same matrix") {
  const Tensor x = leaf({2, 3}), w = normal({6, 3}), v = normal({3, 6});
  const Tensor h = linear(x, w), y = linear(h, v);
  const auto tall = Jacobian(h, x).matrix().to_vector(), weight = w.to_vector();  // by columns
  for (size_t i = 0; i < tall.size(); ++i) CHECK(tall[i] == doctest::Approx(weight[i % 18]));
  const auto wide = Jacobian(y, h).matrix().to_vector(), second = v.to_vector();  // by rows
  for (size_t i = 0; i < wide.size(); ++i) CHECK(wide[i] == doctest::Approx(second[i % 18]));
}

TEST_CASE("Jacobian: singular values known beforehand") {
  // A rotation, a diagonal, a rotation back.
  const double c = std::cos(0.3), s = std::sin(0.3), e = std::cos(1.1), f = std::sin(1.1);
  const Tensor w = matmul(matmul(of({2, 2}, {c, -s, s, c}), of({2, 2}, {3, 0, 0, 0.5})), of({2, 2}, {e, f, -f, e}));
  const Tensor x = leaf({4, 2});
  const Jacobian j(linear(x, w), x);
  const Tensor values = j.singular_values();
  REQUIRE(to_string(values.shape()) == "(4, 2)");
  for (size_t i = 0; i < 8; ++i) CHECK(values.to_vector()[i] == doctest::Approx(i % 2 ? 0.5 : 3.0).epsilon(1e-12));
  for (double k : j.condition().to_vector()) CHECK(k == doctest::Approx(6).epsilon(1e-12));
  for (double k : j.frobenius().value.to_vector()) CHECK(k == doctest::Approx(std::sqrt(9.25)).epsilon(1e-12));
  const auto sigma = j.sigma_max({.tolerance = 1e-12});
  for (double k : sigma.sigma.to_vector()) CHECK(k == doctest::Approx(3).epsilon(1e-12));
  CHECK(sigma.iterations < 40);
}

TEST_CASE("Jacobian: J and its transpose are adjoint, in f32 too") {
  for (Dtype dtype : {f64, f32}) {
    const Tensor x = leaf({3, 4}, dtype), w = normal({5, 4}, dtype);
    const Jacobian j(sin(linear(x, w)) * 2, x);
    const Tensor v = normal({3, 4}, dtype), u = normal({3, 5}, dtype);
    const double scale = dtype == f64 ? 1e-13 : 1e-5;
    CHECK(std::abs(dot(j.apply(v), u) - dot(v, j.apply_transposed(u))) < 50 * scale);
  }
}

TEST_CASE("Jacobian: power iteration finds each sample's largest singular value") {
  const Tensor x = leaf({6, 20}), w = normal({24, 20});
  const Jacobian j(tanh(linear(x, w)), x);
  const Tensor exact = j.singular_values().slice(1, 0, 1).contiguous().reshape({6});
  const auto found = j.sigma_max({.iterations = 5000, .tolerance = 1e-7});
  check_close(found.sigma, exact, 1e-10);
  // Few steps: a lower bound, with a singular value within the residual of |J v|.
  const Tensor values = j.singular_values();
  const auto rough = j.sigma_max({.iterations = 2});
  for (size_t i = 0; i < 6; ++i) {
    const double sigma = rough.sigma.to_vector()[i], r = rough.residual.to_vector()[i];
    CHECK(sigma <= exact.to_vector()[i] * (1 + 1e-12));
    const double stretch = std::sqrt(sigma * sigma - r * r);
    bool near = false;
    for (size_t k = 0; k < 20; ++k) near |= std::abs(values.to_vector()[i * 20 + k] - stretch) <= r;
    CHECK(near);
  }
  // Warm: one step from where the long one ended.
  const auto warm = j.sigma_max({.iterations = 1, .start = found.direction, .noise = 0});
  CHECK(warm.iterations == 1);
  const auto trusted = j.sigma_max({.iterations = 1, .start = found.direction, .unit_start = true, .noise = 0});
  CHECK(trusted.sigma.to_vector() == warm.sigma.to_vector());
  CHECK(trusted.residual.to_vector() == warm.residual.to_vector());
  check_close(warm.sigma, exact, 1e-10);
  for (double r : warm.residual.to_vector()) CHECK(r < 1e-4);
}

TEST_CASE("Jacobian: power steps of layers with factors, whatever their scale, sample by sample") {
  for (Dtype dtype : {f64, f32})
    for (int axis : {0, 1}) {
      const Tensor w = normal({7, 5}, dtype);
      const Tensor scales =
          of({6, 1}, {0, NAN, 1, 1e-15, 1e15, 3}).to(dtype).reshape(axis ? Shape{1, 6, 1} : Shape{6, 1});
      const Tensor x = leaf(axis ? Shape{2, 6, 5} : Shape{6, 5}, dtype);
      const Jacobian j(linear(x, w) * scales, x, {.batch_axis = axis, .samples = probe::Samples::independent});
      const double exact = Jacobian(linear(x, w), x, {.batch_axis = axis}).singular_values().to_vector()[0];
      const auto found = j.sigma_max({.iterations = 2000, .tolerance = 0, .method = probe::SigmaMethod::power});
      const auto sigma = found.sigma.to_vector(), residual = found.residual.to_vector();
      CHECK(sigma[0] == 0);
      CHECK(residual[0] == 0);
      CHECK(std::isnan(sigma[1]));
      CHECK(std::isnan(residual[1]));
      const double rounding = dtype == f64 ? 1e-12 : 1e-5;
      for (size_t i = 2; i < 6; ++i) {
        const double scale = scales.to(f64).to_vector()[i];
        CHECK(sigma[i] / scale == doctest::Approx(exact).epsilon(rounding));
        CHECK(residual[i] / scale < 1e-3);
      }
      for (double d : found.direction.to_vector()) CHECK(std::isfinite(d));
    }
}

TEST_CASE("Jacobian: a linear layer alone has one for all samples, and it is found once") {
  for (int axis : {0, 1}) {
    const Tensor x = leaf(axis ? Shape{3, 4, 5} : Shape{4, 3, 5}), w = normal({6, 5});
    const Tensor y = linear(x, w, normal({6}));
    const Jacobian j(y, x, {.batch_axis = axis});
    const Tensor values = j.singular_values();
    REQUIRE(to_string(values.shape()) == "(4, 15)");
    const auto spectrum = j.spectrum();
    check_close(spectrum.values, values, 1e-12);
    CHECK(spectrum.condition.numel() == 4);
    const auto sigma = j.sigma_max({.tolerance = 1e-10});
    const auto warm = j.sigma_max({.start = sigma.direction, .unit_start = true, .noise = 0});
    const Tensor found = sigma.sigma.clone(), directions = sigma.direction.transpose(0, axis).reshape({4, 15});
    for (size_t i = 0; i < 4; ++i) {
      CHECK(found.to_vector()[i] == doctest::Approx(values.to_vector()[i * 15]).epsilon(1e-10));
      CHECK(warm.sigma.to_vector()[i] == doctest::Approx(found.to_vector()[i]).epsilon(1e-10));
      CHECK(sigma.upper.to_vector()[i] >= found.to_vector()[i]);
      CHECK(directions[int64_t(i)].to_vector() == directions[0].to_vector());  // of one power iteration
    }
    const Tensor image = j.apply(sigma.direction).transpose(0, axis).reshape({4, 18});
    for (double square : sum(image * image, {1}).to_vector())
      CHECK(std::sqrt(square) == doctest::Approx(found.to_vector()[0]).epsilon(1e-6));
  }
}

TEST_CASE("Jacobian: Frobenius norms, exact and estimated") {
  const Tensor x = leaf({3, 40}), w = normal({50, 40});
  const Jacobian j(matmul(x, transpose(w)), x);
  const double exact = std::sqrt(dot(w, w));
  const auto all = j.frobenius({.exact_below = 40});
  for (double value : all.value.to_vector()) CHECK(value == doctest::Approx(exact).epsilon(1e-12));
  for (double error : all.standard_error.to_vector()) CHECK(error == 0);
  const auto some = j.frobenius({.exact_below = 8, .probes = 64});
  for (size_t i = 0; i < 3; ++i) {
    const double error = some.standard_error.to_vector()[i];
    CHECK(error > 0);
    CHECK(error < 0.05 * exact);
    CHECK(std::abs(some.value.to_vector()[i] - exact) < 5 * error);
    CHECK(some.lower.to_vector()[i] < exact);
    CHECK(some.upper.to_vector()[i] > exact);
  }
  const auto squared = j.frobenius({.exact_below = 40, .squared = true});
  for (double value : squared.value.to_vector()) CHECK(value == doctest::Approx(exact * exact).epsilon(1e-12));
}

TEST_CASE("Jacobian: a vector has no batch") {
  const Tensor x = leaf({3}), w = normal({2, 3});
  const Jacobian j(linear(x, w), x);
  CHECK_FALSE(j.batched());
  CHECK_FALSE(j.coupled());
  CHECK(to_string(j.matrix().shape()) == "(2, 3)");
  CHECK(to_string(j.singular_values().shape()) == "(2)");
  CHECK(to_string(j.sigma_max().sigma.shape()) == "()");
  check_close(j.matrix(), w, 1e-12);
}

TEST_CASE("Jacobian: another batch axis, or none") {
  const Tensor x = leaf({2, 3, 4}), w = normal({5, 4});
  const Tensor y = tanh(linear(x, w));
  const Jacobian first(y, x), second(y, x, {.batch_axis = 1}), none(y, x, {.batch_axis = -1});
  CHECK(to_string(first.matrix().shape()) == "(2, 15, 12)");
  CHECK(to_string(second.matrix().shape()) == "(3, 10, 8)");
  CHECK(to_string(none.matrix().shape()) == "(30, 24)");
  CHECK_FALSE(none.coupled());
  const auto a = first.matrix().to_vector(), b = second.matrix().to_vector(), c = none.matrix().to_vector();
  const auto at = [&](size_t i, size_t t, size_t o, size_t k) {
    return c[((i * 3 + t) * 5 + o) * 24 + (i * 3 + t) * 4 + k];
  };
  for (size_t i = 0; i < 2; ++i)
    for (size_t t = 0; t < 3; ++t)
      for (size_t o = 0; o < 5; ++o)
        for (size_t k = 0; k < 4; ++k) {
          CHECK(a[(i * 15 + t * 5 + o) * 12 + t * 4 + k] == at(i, t, o, k));
          CHECK(b[(t * 10 + i * 5 + o) * 8 + i * 4 + k] == at(i, t, o, k));
        }
}

TEST_CASE("Jacobian: samples that reach each other make one whole Jacobian, labelled") {
  const Tensor x = leaf({4, 3});
  const Tensor centred = x - mean(x, 0, true);
  const Jacobian j(centred, x);
  CHECK(j.coupled());
  CHECK_FALSE(j.batched());
  CHECK(to_string(j.matrix().shape()) == "(12, 12)");
  const auto values = j.singular_values().to_vector();  // a projection onto 9 of 12 dimensions
  for (size_t i = 0; i < 12; ++i) CHECK(values[i] == doctest::Approx(i < 9 ? 1.0 : 0.0));
  CHECK(j.sigma_max().sigma.item() == doctest::Approx(1));
  // A sum over the batch has no batch axis any more.
  CHECK(Jacobian(sum(x, 0), x).coupled());
  CHECK(Jacobian(x * 2, x, {.samples = probe::Samples::coupled}).coupled());
}

TEST_CASE("Jacobian: the tensors may go, and the default random numbers are left alone") {
  manual_seed(3);
  const Rng before = default_rng();
  const int64_t nodes = Node::live, storages = Storage::live;
  {
    auto j = [] {
      const Tensor x = leaf({3, 4});
      return Jacobian(tanh(x) * 2, x);
    }();
    CHECK(j.sigma_max().sigma.numel() == 3);
    CHECK(j.frobenius({.exact_below = 0}).value.numel() == 3);
  }
  CHECK(default_rng() == before);
  CHECK(Node::live == nodes);
  CHECK(Storage::live == storages);
}

TEST_CASE("Jacobian: scales far from 1 neither overflow nor vanish") {
  for (double scale : {1e-200, 1e-20, 1e20, 1e200}) {
    const Tensor x = leaf({2, 3});
    const Jacobian j(x * scale, x);
    for (double s : j.sigma_max().sigma.to_vector()) CHECK(s / scale == doctest::Approx(1));
    for (double s : j.frobenius().value.to_vector()) CHECK(s / scale == doctest::Approx(std::sqrt(3)));
    for (double s : j.frobenius({.exact_below = 0}).value.to_vector())
      CHECK(s / scale == doctest::Approx(std::sqrt(3)));
  }
  const Tensor x = leaf({2, 3}, f32);
  for (double scale : {1e-30, 1e30})
    for (double s : Jacobian(x * scale, x).sigma_max().sigma.to_vector()) CHECK(s / scale == doctest::Approx(1));
}

TEST_CASE("Jacobian: power steps at the ends of double's range") {
  Rng rng(4);
  const Tensor w = randn({6, 6}, {.dtype = f64}, rng), x = randn({2, 6}, {.dtype = f64}, rng).requires_grad_();
  const double sigma = Jacobian(matmul(x, w), x).singular_values().to_vector()[0];
  for (const double scale : {1e-200, 1e-100, 1e100, 1e200}) {
    const probe::Sigma found =
        Jacobian(matmul(x, w * scale) + 0 * x, x).sigma_max({.iterations = 200, .method = probe::SigmaMethod::power});
    for (size_t i = 0; i < 2; ++i) {
      CHECK(found.sigma.to_vector()[i] == doctest::Approx(sigma * scale).epsilon(1e-3));
      CHECK(found.upper.to_vector()[i] >= sigma * scale * (1 - 1e-12));
      CHECK(std::isfinite(found.upper.to_vector()[i]));
    }
  }
}

TEST_CASE("Jacobian: zeros and NaN stay what they are, the direction stays usable") {
  const Tensor x = leaf({2, 3});
  const Tensor factors = of({2, 1}, {0, NAN});
  const auto sigma = Jacobian(x * factors, x).sigma_max();
  CHECK(sigma.sigma.to_vector()[0] == 0);
  CHECK(std::isnan(sigma.sigma.to_vector()[1]));
  for (double d : sigma.direction.to_vector()) CHECK(std::isfinite(d));
  CHECK(sigma.iterations < 3);
  CHECK(std::isnan(Jacobian(x * factors, x).singular_values().to_vector()[3]));
  CHECK(std::isinf(Jacobian(x * of({3}, {0, 1, 2}), x).condition().to_vector()[0]));
}

TEST_CASE("Jacobian: what is wrong is said") {
  const Tensor x = leaf({2, 3}), free = normal({2, 3}), other = leaf({2, 3});
  const Tensor y = tanh(x);
  CHECK(error_of([&] { Jacobian(free, x); }).find("Jacobian: y of shape (2, 3) is not on the tape") == 0);
  CHECK(error_of([&] { Jacobian(y, free); }).find("Jacobian: x of shape (2, 3) is not on the tape") == 0);
  CHECK(error_of([&] { Jacobian(y, other); }) ==
        "Jacobian: y, tanh of shape (2, 3), does not depend on x, leaf of shape (2, 3)");
  CHECK(error_of([&] { Jacobian(y, x, {.batch_axis = 2}); }) ==
        "Jacobian: the batch axis is 2, but x has shape (2, 3)");
  const Jacobian j(y, x);
  CHECK(error_of([&] {
          j.apply(normal({3, 2}));
        }) == "Jacobian: apply: a direction of shape (3, 2) and f64, not (2, 3) and f64");
  CHECK(error_of([&] {
          j.apply_transposed(normal({2, 3}, f32));
        }) == "Jacobian: apply_transposed: a direction of shape (2, 3) and f32, not (2, 3) and f64");
  CHECK(error_of([&] { j.sigma_max({.iterations = 0}); }) == "Jacobian: sigma_max: 0 iterations, at least 1 is needed");
  CHECK(error_of([&] { j.frobenius({.exact_below = 0, .probes = 0}); }) ==
        "Jacobian: frobenius: 0 probes, at least 1 is needed");
  sum(y).backward();
  CHECK(error_of([&] { Jacobian(y, x); }).find("backward() has consumed") != std::string::npos);
}
