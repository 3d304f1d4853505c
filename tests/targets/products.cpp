// Numbers about products of layers.
#include <doctest/doctest.h>

#include <cmath>

#include "fathom/fathom.h"

using namespace fathom;

namespace {

const TensorOptions exact{.dtype = f64};
auto near(double value, double relative) { return doctest::Approx(value).epsilon(relative); }
Tensor gaussian(int64_t out, int64_t in, double variance) { return randn({out, in}, exact) * std::sqrt(variance); }
std::vector<Tensor> repeated(const Tensor& w, size_t times) { return std::vector<Tensor>(times, w); }

// Of w as the Jacobian of a layer.
std::vector<double> spectrum(const Tensor& w) {
  const Tensor x = zeros({w.size(1)}, {.dtype = f64, .requires_grad = true});
  return probe::Jacobian(linear(x, w), x).spectrum().values.to_vector();
}

}  // namespace

TEST_CASE("14, 17: products of shears and of Euler's rotations") {
  const Tensor shear = tensor({{1.0, 1.0}, {0.0, 1.0}}, exact);
  const auto p = probe::products_of(repeated(shear, 100));
  CHECK(std::pow(10, p.log10_norm.to_vector()[0]) == near(100.01, 1e-6));
  CHECK(std::pow(10, p.log10_norm.to_vector()[90]) == near(10.0990195, 1e-8));
  CHECK(std::pow(10, p.log10_bound.to_vector()[90]) == near(122.9918694, 1e-8));
  CHECK(std::pow(10, p.log10_bound.to_vector()[0]) == near(7.92e20, 1e-3));
  const auto euler = [](double h) {
    return probe::products_of(repeated(tensor({{1.0, h}, {-h, 1.0}}, exact), 100)).log10_norm.to_vector()[0];
  };
  CHECK(std::pow(10, euler(0.1)) == near(1.6446318, 1e-7));
  CHECK(std::pow(10, euler(0.01)) == near(1.0050123, 1e-7));
}

TEST_CASE("16: forward Euler on a decay") {
  const auto growth = [](double hk) {
    const Tensor x = ones({1, 1}, {.dtype = f64, .requires_grad = true});
    std::vector<Tensor> h{x};
    for (int l = 0; l < 10; ++l) h.push_back(h.back() - h.back() * hk);
    return std::pow(10, probe::products_along(h).log10_norm.to_vector()[0]);
  };
  CHECK(growth(2.1) == near(2.5937424601, 1e-10));
  CHECK(growth(2) == near(1, 1e-12));
  CHECK(growth(1.9) < 1);
}

TEST_CASE("20: a non-normal matrix") {
  const Tensor w = tensor({{0.9, 10.0}, {0.0, 0.9}}, exact);
  CHECK(spectrum(w)[0] == near(10.0803543, 1e-8));
  const auto p = probe::products_of(repeated(w, 100)).log10_norm.to_vector();
  size_t best = 1;
  for (size_t t = 1; t <= 100; ++t)
    if (p[100 - t] > p[100 - best]) best = t;
  CHECK(best == 9);
  CHECK(std::pow(10, p[100 - 9]) == near(38.7459227, 1e-8));
  CHECK(std::pow(10, p[0]) == near(0.029513, 2e-5));
  const auto exponents = probe::spectrum_of(repeated(w, 4000)).to_vector();  // both tend to log 0.9
  const double log10_09 = std::log10(0.9);
  for (double e : exponents) CHECK(std::abs(e / 4000 - log10_09) < 2e-3);
  CHECK(exponents[0] + exponents[1] == near(8000 * log10_09, 1e-10));
}

TEST_CASE("29: orthogonal layers of gain g, 10,000 of them") {
  manual_seed(4);
  std::vector<Tensor> w;
  for (int k = 0; k < 3; ++k) {
    w.push_back(zeros({4, 4}, exact));
    nn::init::orthogonal(w.back(), 1.1);
  }
  std::vector<Tensor> layers;
  for (size_t l = 0; l < 10000; ++l) layers.push_back(w[l % 3]);
  const double expected = 10000 * std::log10(1.1);
  for (double s : probe::spectrum_of(layers).to_vector()) CHECK(s == near(expected, 1e-10));
  const auto p = probe::products_of(layers);
  CHECK(p.log10_norm.to_vector()[0] == near(expected, 1e-10));
  CHECK(std::abs(p.looseness.to_vector()[0]) < 1e-7);
}

TEST_CASE("30: products of Gaussian matrices") {
  manual_seed(5);
  const int64_t n = 256;
  for (int depth : {2, 4}) {
    std::vector<Tensor> layers;
    for (int l = 0; l < depth; ++l) layers.push_back(gaussian(n, n, 1.0 / double(n)));
    double first = 0, second = 0;
    const auto logs = probe::spectrum_of(layers).to_vector();
    for (double s : logs) {
      const double square = std::pow(10, 2 * s);
      first += square / double(n);
      second += square * square / double(n);
    }
    const double L = depth;
    CHECK(second / (first * first) == near(L + 1, 0.05));
    const double largest = std::pow(L + 1, (L + 1) / 2) / std::pow(L, L / 2);
    CHECK(std::pow(10, logs[0]) == near(largest, 0.08));
    // From one sweep of few columns: an interval around it.
    const auto p = probe::products_of(layers);
    CHECK(p.log10_norm.to_vector()[0] <= logs[0] + 1e-10);
    CHECK(p.log10_norm.to_vector()[0] > logs[0] - 0.15);
    CHECK(p.log10_upper.to_vector()[0] >= logs[0]);
    CHECK(p.log10_upper.to_vector()[0] <= p.log10_bound.to_vector()[0]);
    CHECK(p.log10_bound.to_vector()[0] == near(L * std::log10(2), 0.05));
  }
}
