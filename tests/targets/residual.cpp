// Numbers about residual forms and capped layers.
#include <doctest/doctest.h>

#include <cmath>

#include "fathom/fathom.h"

using namespace fathom;

namespace {

const TensorOptions exact{.dtype = f64};
auto near(double value, double relative) { return doctest::Approx(value).epsilon(relative); }

double norm_of_product(const std::vector<Tensor>& h) {
  return std::pow(10, probe::products_along(h).log10_norm.to_vector()[0]);
}

}  // namespace

TEST_CASE("7: the spectral norm capped at 0.9") {
  manual_seed(1);
  for (const bool is_orthogonal : {true, false}) {
    std::vector<Tensor> h{randn({1, 6}, {.dtype = f64, .requires_grad = true})};
    for (int l = 0; l < 3; ++l) {
      nn::Linear plain(6, 6, {.bias = false, .dtype = f64});
      if (is_orthogonal) nn::init::orthogonal(plain.weight, 3);
      auto layer = nn::spectral_norm(std::move(plain), {.cap = 0.9, .exact = true});
      h.push_back(layer(h.back()));
    }
    if (is_orthogonal) CHECK(norm_of_product(h) == near(0.729, 1e-12));
    else CHECK(norm_of_product(h) <= 0.729 * (1 + 1e-12));
  }
}

TEST_CASE("16, 17: explicit Euler steps") {
  const auto growth = [](const Tensor& a, double step, int layers) {
    std::vector<Tensor> h{ones({1, a.size(0)}, {.dtype = f64, .requires_grad = true})};
    for (int l = 0; l < layers; ++l) {
      nn::Linear f(a.size(0), a.size(0), {.bias = false, .dtype = f64});
      f.weight = a;
      nn::EulerStep euler(std::move(f), {.h = step});
      h.push_back(euler(h.back()));
    }
    return norm_of_product(h);
  };
  const Tensor decay = tensor({{-1.0}}, exact), rotation = tensor({{0.0, 1.0}, {-1.0, 0.0}}, exact);
  CHECK(growth(decay, 2.1, 10) == near(2.5937424601, 1e-10));
  CHECK(growth(rotation, 0.1, 100) == near(1.6446318, 1e-7));
  CHECK(growth(rotation, 0.01, 100) == near(1.0050123, 1e-7));
}

TEST_CASE("34, 35: DeepNorm's constants") {
  CHECK(nn::deepnorm(100).alpha == near(3.760603, 1e-6));
  CHECK(nn::deepnorm(100).beta == near(0.188030, 2e-6));
  CHECK(nn::deepnorm(1000).alpha == near(6.687403, 1e-6));
  CHECK(nn::deepnorm(1000).beta == near(0.105737, 4e-6));
  const auto [encoder, decoder] = nn::deepnorm(18, 18);
  CHECK(encoder.alpha == near(1.998746, 1e-6));
  CHECK(encoder.beta == near(0.352571, 1e-6));
  CHECK(decoder.alpha == near(2.710806, 1e-6));
  CHECK(decoder.beta == near(0.260847, 2e-6));
}
