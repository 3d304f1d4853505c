#include "fathom/probe/mean_field.h"

#include <cmath>
#include <numbers>

#include "fathom/autograd/ops/pointwise.h"
#include "fathom/autograd/ops/reduce.h"
#include "tests/support.h"

using namespace fathom;
using doctest::Approx;
using std::numbers::pi;
namespace mean_field = probe::mean_field;

namespace {

constexpr auto erf_of = [](Tensor x) { return erf(std::move(x)); };
constexpr auto relu_of = [](Tensor x) { return relu(std::move(x)); };
constexpr auto tanh_of = [](Tensor x) { return tanh(std::move(x)); };

}  // namespace

TEST_CASE("mean field: erf and ReLU, whose averages have closed forms") {
  for (const double q : {0.0, 1e-3, 0.4, 1.0, 30.0}) {
    const double square = 2 / pi * std::asin(2 * q / (1 + 2 * q));  // Williams 1997
    CHECK(mean_field::length_map(erf_of, q, {.sigma_w = 1.5, .sigma_b = 0.3}) ==
          Approx(2.25 * square + 0.09).epsilon(1e-12));
    CHECK(mean_field::chi(erf_of, q, 1.5) == Approx(2.25 * 4 / pi / std::sqrt(1 + 4 * q)).epsilon(1e-12));
    CHECK(mean_field::length_map(relu_of, q, {.sigma_w = 1.5, .sigma_b = 0.3}) ==
          Approx(1.125 * q + 0.09).epsilon(1e-12));
    if (q > 0) CHECK(mean_field::chi(relu_of, q, 1.5) == Approx(1.125).epsilon(1e-12));
  }
}

TEST_CASE("mean field: fixed points") {
  const auto relu_net = mean_field::fixed_point(relu_of, {.sigma_w = 1, .sigma_b = 2});
  CHECK(relu_net.q == Approx(8).epsilon(1e-12));
  CHECK(relu_net.chi == Approx(0.5));
  CHECK(relu_net.depth_scale == Approx(1 / std::log(2)));
  CHECK(mean_field::fixed_point(relu_of, {.sigma_w = std::sqrt(2)}).q == Approx(1));
  CHECK(mean_field::fixed_point(tanh_of, {.sigma_w = 0.9}).q < 1e-12);
  // Of erf in the chaotic phase: the map stays where it is.
  const mean_field::Ensemble chaotic{.sigma_w = 2, .sigma_b = 0.1};
  const auto found = mean_field::fixed_point(erf_of, chaotic);
  CHECK(mean_field::length_map(erf_of, found.q, chaotic) == Approx(found.q).epsilon(1e-12));
  CHECK(found.chi == Approx(16 / pi / std::sqrt(1 + 4 * found.q)).epsilon(1e-9));
  CHECK(found.chi > 1);
}

TEST_CASE("mean field: the critical line starts where the slope at 0 says") {
  CHECK(mean_field::critical(erf_of, 0).sigma_w == Approx(std::sqrt(pi) / 2).epsilon(1e-6));
  const auto critical = mean_field::critical(erf_of, 0.4);
  CHECK(mean_field::chi(erf_of, critical.q, critical.sigma_w) == Approx(1).epsilon(1e-12));
  CHECK(mean_field::length_map(erf_of, critical.q, {.sigma_w = critical.sigma_w, .sigma_b = 0.4}) ==
        Approx(critical.q).epsilon(1e-10));
}

TEST_CASE("mean field: bad input") {
  CHECK(error_of([] { mean_field::chi(tanh_of, -1, 1); }) == "mean_field: a variance q of -1.000000");
  CHECK(error_of([] { mean_field::length_map([](Tensor x) { return sum(x); }, 1, {}); }) ==
        "mean_field: phi is not pointwise: it makes () of (1000)");
  CHECK(error_of([] { mean_field::fixed_point(relu_of, {.sigma_w = 2}); }) ==
        "mean_field: the lengths have no fixed point at sigma_w 2.000000, sigma_b 0.000000");
  CHECK(error_of([] { mean_field::critical(relu_of, 0.5); }) == "mean_field: no critical point at sigma_b 0.500000");
}
