// Numbers of mean-field theory, and nets that follow it.
#include <doctest/doctest.h>

#include <cmath>

#include "fathom/fathom.h"

using namespace fathom;
namespace mean_field = probe::mean_field;

namespace {

auto near(double value, double relative) { return doctest::Approx(value).epsilon(relative); }
constexpr auto tanh_of = [](Tensor x) { return tanh(std::move(x)); };
constexpr auto relu_of = [](Tensor x) { return relu(std::move(x)); };

// Over 12 nets of width 512: the mean square of the singular values of a layer, and the mean square of its outputs.
struct Measured {
  double chi = 0, q = 0;
};
Measured measured(double sigma_w, double sigma_b, double q) {
  const int64_t width = 512, layers = 12, nets = 12;
  Measured mean;
  for (int64_t net = 0; net < nets; ++net) {
    Tensor h = (randn({2, width}) * std::sqrt(q)).requires_grad_();
    for (int64_t l = 0; l < layers; ++l) {
      nn::Linear layer(width, width);
      nn::init::mean_field(layer.weight, layer.bias, sigma_w, sigma_b);
      const Tensor next = layer(tanh(h));
      const double count = double(nets * layers), samples = 2;
      for (const double norm : probe::Jacobian(next, h).frobenius().value.to_vector())
        mean.chi += norm * norm / double(width) / samples / count;
      mean.q += fathom::mean(square(next)).item() / count;
      h = next.detach().requires_grad_();
    }
  }
  return mean;
}

}  // namespace

TEST_CASE("21: a He-initialised ReLU layer keeps lengths, and how far single ones stray") {
  CHECK(mean_field::chi(relu_of, 0.7, std::sqrt(2.0)) == near(1, 1e-12));
  CHECK(mean_field::length_map(relu_of, 0.7, {.sigma_w = std::sqrt(2.0)}) == near(0.7, 1e-12));
  manual_seed(21);
  const int64_t n = 8, draws = 100000;
  const Tensor h = randn({n});
  const auto variance_of_ratio = [&](double gain, auto activation) {
    nn::Linear layer(n, n * draws, {.bias = false});  // so many layers, one below the other
    nn::init::kaiming_normal(layer.weight, {.gain = gain});
    const NoGrad off;
    const Tensor ratio = sum(square(activation(layer(h))).reshape({draws, n}).to(f64), 1) / sum(square(h)).to(f64);
    const double mean_ratio = mean(ratio).item();
    CHECK(mean_ratio == near(1, 0.01));
    return mean(square(ratio - mean_ratio)).item();
  };
  CHECK(variance_of_ratio(nn::init::relu_gain, relu_of) == near(5.0 / double(n), 0.03));
  CHECK(variance_of_ratio(1, [](Tensor x) { return x; }) == near(2.0 / double(n), 0.03));
}

TEST_CASE("22: the critical line of tanh") {
  for (const auto& [b, w, q] : {std::array{0.01, 1.42420529, 0.27330091}, std::array{0.05, 1.76095464, 0.57004788},
                                std::array{0.1, 1.98607264, 0.80579918}}) {
    const auto critical = mean_field::critical(tanh_of, std::sqrt(b));
    CHECK(critical.sigma_w * critical.sigma_w == near(w, 1e-7));
    CHECK(critical.q == near(q, 1e-7));
    const auto there = mean_field::fixed_point(tanh_of, {.sigma_w = critical.sigma_w, .sigma_b = std::sqrt(b)});
    CHECK(there.q == near(critical.q, 1e-9));
    CHECK(there.chi == near(1, 1e-9));
  }
}

TEST_CASE("23, 24, 25: tanh below and above the critical line, and nets") {
  struct Row {
    double w, q, chi, depth_scale;
  };
  manual_seed(23);
  for (const Row& row : {Row{1.0, 0.19359252, 0.75903165, 3.626976}, Row{1.3, 0.31531648, 0.88016351, 7.834069},
                         Row{2.0, 0.72176187, 1.04766600, 1 / std::log(1.04766600)}}) {
    const double sigma_w = std::sqrt(row.w), sigma_b = std::sqrt(0.05);
    const auto theory = mean_field::fixed_point(tanh_of, {.sigma_w = sigma_w, .sigma_b = sigma_b});
    CHECK(theory.q == near(row.q, 1e-7));
    CHECK(theory.chi == near(row.chi, 1e-7));
    CHECK(theory.depth_scale == near(row.depth_scale, 1e-6));
    const Measured nets = measured(sigma_w, sigma_b, theory.q);
    CHECK(nets.chi == near(theory.chi, 0.01));
    CHECK(nets.q == near(theory.q, 0.03));
  }
}

TEST_CASE("26: tanh at the corner of the critical line: lengths and gradients fall as powers of the depth") {
  double q = 1, product = 1;
  for (int l = 1; l <= 1000; ++l) {
    product *= mean_field::chi(tanh_of, q, 1);
    q = mean_field::length_map(tanh_of, q, {.sigma_w = 1});
    if (l == 100) {
      CHECK(l * q == near(0.50690, 1e-5));
      CHECK(product == near(7.1343e-3, 1e-5));
    }
  }
  CHECK(product == near(7.0748e-4, 1e-5));
  CHECK(mean_field::critical(tanh_of, 0).sigma_w == near(1, 1e-6));
}
