// Numbers about dynamics: Lyapunov exponents of maps, flows and recurrent networks.
#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "fathom/fathom.h"

using namespace fathom;

namespace {

const TensorOptions exact{.dtype = f64};
constexpr double log_2 = std::numbers::ln2;
auto near(double value, double relative) { return doctest::Approx(value).epsilon(relative); }
double sum(const std::vector<double>& x) {
  double total = 0;
  for (double each : x) total += each;
  return total;
}

// The discrete network h' = tanh(W h), W Gaussian of variance g^2 / n.
auto tanh_network(const Tensor& w) {
  return [w](const Tensor& h, int64_t) { return tanh(linear(h, w)); };
}
Tensor gaussian(int64_t n, double g) { return randn({n, n}, exact) * (g / std::sqrt(double(n))); }

}  // namespace

TEST_CASE("39: the logistic map") {
  const auto logistic = [](const auto& x) { return std::array{4 * x[0] * (1 - x[0])}; };
  const auto l = probe::lyapunov_map(logistic, std::array{0.3}, {.steps = 10000});
  CHECK(std::abs(l.exponents[0] - log_2) < 2e-4);
  CHECK(l.dimension == 1);
}

TEST_CASE("40: the cat map and the baker's map") {
  const auto cat = [](const auto& x) {
    const auto a = 2 * x[0] + x[1], b = x[0] + x[1];
    return std::array{a - floor(a), b - floor(b)};
  };
  const auto l = probe::lyapunov_map(cat, std::array{0.1, 0.2}, {.steps = 2000, .transient = 100});
  CHECK(std::abs(l.exponents[0] - 0.9624236501) < 1e-10);
  CHECK(std::abs(l.exponents[1] + 0.9624236501) < 1e-10);
  const auto baker = [](const auto& x) {
    return x[0] < 0.5 ? std::array{2 * x[0], x[1] / 2} : std::array{2 * x[0] - 1, (x[1] + 1) / 2};
  };
  // Doubling is exact in binary: an orbit of 50 steps.
  const auto b = probe::lyapunov_map(baker, std::array{0.3141592653589793, 0.2}, {.steps = 40, .transient = 10});
  CHECK(b.exponents[0] == near(log_2, 1e-10));
  CHECK(b.exponents[1] == near(-log_2, 1e-10));
}

TEST_CASE("41: Henon's map") {
  const auto henon = [](const auto& x) { return std::array{1 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]}; };
  constexpr int starts = 40;  // one run's exponents scatter by 1e-3
  double first = 0, second = 0, dimension = 0;
  for (int start = 0; start < starts; ++start) {
    const auto l = probe::lyapunov_map(henon, std::array{0.1 + 0.005 * start, 0.1}, {.steps = 100000});
    first += l.exponents[0] / starts;
    second += l.exponents[1] / starts;
    dimension += l.dimension / starts;
    CHECK(std::abs(sum(l.exponents) - std::log(0.3)) < 1e-10);
    CHECK(std::abs(l.log_det - std::log(0.3)) < 1e-10);
    CHECK(l.sum_error < 1e-10);
  }
  CHECK(std::abs(first - 0.41922) < 1e-3);
  CHECK(std::abs(second + 1.62319) < 1e-3);
  CHECK(std::abs(dimension - 1.25827) < 1e-3);
}

TEST_CASE("42: Lorenz's flow") {
  const auto lorenz = [](const auto& x) {
    return std::array{10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3 * x[2]};
  };
  constexpr int starts = 10;  // one run's exponent scatters by 7e-4
  double first = 0, early = 0, dimension = 0;
  for (int start = 0; start < starts; ++start) {
    const auto l = probe::lyapunov_flow(lorenz, std::array{1 + 0.1 * start, 1.0, 1.0}, 0.01,
                                        {.steps = 1000000, .transient = 10000});
    first += l.exponents[0] / starts;
    dimension += l.dimension / starts;
    CHECK(l.time == near(10000, 1e-12));
    CHECK(std::abs(l.exponents[1]) < 1e-3);
    CHECK(std::abs(sum(l.exponents) + 13.6666667) < 2e-4);
    CHECK(l.sum_error < 1e-10);
    early += l.curve[9].exponents[0] / starts;  // after 1,000
    CHECK(std::abs(l.exponents[0] - 0.9056) < 2 * l.standard_errors[0]);
  }
  CHECK(std::abs(first - 0.9056) < 1e-3);
  CHECK(std::abs(early - 0.9056) < 0.01);
  CHECK(std::abs(dimension - 2.06215) < 1e-4);
}

TEST_CASE("43: Rossler's flow") {
  const auto rossler = [](const auto& x) {
    return std::array{-x[1] - x[2], x[0] + 0.2 * x[1], 0.2 + x[2] * (x[0] - 5.7)};
  };
  constexpr int starts = 30;  // one run's exponents scatter by 2e-3
  std::array<double, 3> mean{};
  for (int start = 0; start < starts; ++start) {
    const auto l = probe::lyapunov_flow(rossler, std::array{1 + 0.03 * start, 1.0, 0.0}, 0.02,
                                        {.steps = 500000, .transient = 10000});
    CHECK(l.time == near(10000, 1e-12));
    for (size_t i = 0; i < 3; ++i) mean[i] += l.exponents[i] / starts;
  }
  CHECK(std::abs(mean[0] - 0.0714) < 2e-3);
  CHECK(std::abs(mean[1]) < 2e-3);
  CHECK(std::abs(mean[2] + 5.3943) < 2e-3);
}

TEST_CASE("44: the standard map at K = 1") {
  const auto standard = [](const auto& x) {
    const auto p = x[0] + sin(x[1]);
    return std::array{p, x[1] + p};
  };
  const auto l = probe::lyapunov_map(standard, std::array{2.0, 1.0}, {.steps = 20000000});
  CHECK(l.exponents[0] == near(0.10497, 0.01));
  CHECK(l.exponents[1] == near(-0.10497, 0.01));
  CHECK(std::abs(sum(l.exponents)) < 1e-9);
}

TEST_CASE("45: three continuous neurons of Beer") {
  const auto sigmoid_ = [](const auto& x) { return 1 / (1 + exp(-x)); };
  const auto neurons = [&](const auto& x) {
    const auto a = sigmoid_(x[0] - 4.108), b = sigmoid_(x[1] - 2.787), c = sigmoid_(x[2] - 1.114);
    return std::array{-x[0] + 5.422 * a - 0.018 * b + 2.75 * c, (-x[1] - 0.24 * a + 4.59 * b + 1.21 * c) / 2.5,
                      -x[2] + 0.535 * a - 2.25 * b + 3.885 * c};
  };
  const auto l = probe::lyapunov_flow(neurons, std::array{0.1, 0.1, 0.1}, 0.1, {.steps = 300000, .transient = 10000});
  CHECK(l.exponents[0] == near(0.010, 0.5));
  CHECK(std::abs(l.exponents[1]) < 1e-3);
  CHECK(l.exponents[2] < -0.05);
}

TEST_CASE("46, 47: the sum rule; forward with J and back with its transpose") {
  manual_seed(1);
  const Tensor w = gaussian(20, 2);
  const Tensor start = randn({20}, exact) * 0.1;
  probe::LyapunovOptions options{.steps = 10000, .transient = 500, .exponents = 4};
  const auto forward = probe::lyapunov(tanh_network(w), start, options);
  options.reverse = true;
  const auto back = probe::lyapunov(tanh_network(w), start, options);
  for (size_t k = 0; k < 4; ++k) CHECK(std::abs(forward.exponents[k] - back.exponents[k]) < 5e-3);
  for (bool reverse : {false, true}) {
    const auto all = probe::lyapunov(tanh_network(w), start, {.steps = 200, .transient = 50, .reverse = reverse});
    REQUIRE(all.complete);
    CHECK(all.sum_error < 1e-10);
    CHECK(std::abs(sum(all.exponents) - all.log_det) < 1e-10);
  }
}

TEST_CASE("48: the order of the products") {
  const Tensor layers[] = {tensor({{2.0, 1.0}, {0.0, 1.0}}, exact), tensor({{1.0, 0.0}, {1.0, 1.0}}, exact),
                           tensor({{1.0, 0.0}, {0.0, 3.0}}, exact)};
  const auto step = [&](const Tensor& h, int64_t t) { return linear(h, layers[t % 3]); };
  for (bool reverse : {false, true}) {
    const auto l =
        probe::lyapunov(step, ones({2}, exact) * 1e-300, {.steps = 600, .transient = 60, .reverse = reverse});
    CHECK(l.exponents[0] == near(0.6562760131, 1e-6));
    CHECK(l.exponents[1] == near(-0.0590228567, 1e-6));
  }
}

TEST_CASE("20: the exponents of a non-normal matrix") {
  const Tensor w = tensor({{0.9, 10.0}, {0.0, 0.9}}, exact);
  const auto l = probe::lyapunov([&](const Tensor& h, int64_t) { return linear(h, w); }, zeros({2}, exact),
                                 {.steps = 5000, .transient = 5000});
  CHECK(std::abs(l.exponents[0] - std::log(0.9)) < 2e-4);  // a defective matrix: the difference falls as 1 / T
  CHECK(std::abs(l.exponents[1] - std::log(0.9)) < 2e-4);
  CHECK(sum(l.exponents) == near(2 * std::log(0.9), 1e-10));
}

TEST_CASE("49: a linear network of Gaussian weights") {
  manual_seed(2);
  const int64_t n = 512;
  const double g = 1.4;
  const Tensor w = gaussian(n, g), x = zeros({n}, {.dtype = f64, .requires_grad = true});
  CHECK(probe::Jacobian(linear(x, w), x).sigma_max({.tolerance = 1e-3}).sigma.item() == near(2 * g, 0.05));
  const auto l = probe::lyapunov([&](const Tensor& h, int64_t) { return linear(h, w); }, zeros({n}, exact),
                                 {.steps = 300, .transient = 100, .exponents = 1});
  CHECK(std::abs(l.exponents[0] - std::log(g)) < 0.05);  // log of the spectral radius
}

TEST_CASE("50: discrete tanh networks become chaotic at g = 1") {
  manual_seed(3);
  const int64_t n = 250;
  for (const auto& [g, expected] : {std::pair(1.5, 0.0652172), std::pair(2.0, 0.1547242)}) {
    const auto l = probe::lyapunov(tanh_network(gaussian(n, g)), randn({n}, exact),
                                   {.steps = 1500, .transient = 300, .exponents = 1});
    CHECK(std::abs(l.exponents[0] - expected) < 0.02);
  }
  const auto dead = probe::lyapunov(tanh_network(gaussian(n, 0.8)), randn({n}, exact),
                                    {.steps = 300, .transient = 100, .exponents = 1});
  CHECK(dead.exponents[0] < -0.1);
}

TEST_CASE("51: continuous tanh networks") {
  // Finite networks lie below the limit by about 12 / n: means of 0.083 at n = 400, 0.097 at 800, 0.103 at 1600. One
  // trajectory lies about it, with a deviation of 0.008 at 800, and which it is rounding decides.
  manual_seed(1);
  const int64_t n = 1600;
  const double dt = 0.2;
  const Tensor j = randn({n, n}) * (2 / std::sqrt(double(n)));
  const auto flow = [&](const Tensor& x) { return linear(tanh(x), j) - x; };
  const auto step = [&](const Tensor& x, int64_t) {  // Runge-Kutta
    const Tensor a = flow(x), b = flow(x + a * (dt / 2)), c = flow(x + b * (dt / 2)), d = flow(x + c * dt);
    return x + (a + b * 2 + c * 2 + d) * (dt / 6);
  };
  const auto l = probe::lyapunov(step, randn({n}), {.steps = 1200, .transient = 400, .exponents = 1});
  CHECK(std::abs(l.exponents[0] / dt - 0.1124580) < 0.02);
}

TEST_CASE("52, 53: an LSTM that only forgets and an IRNN, by their time-step Jacobians") {
  nn::LSTM lstm(2, 3, {.forget_bias = 1, .dtype = f64});
  const NoGrad off;
  for (RecurrentWeights& w : lstm.weights) {
    nn::init::zeros(w.weight_ih), nn::init::zeros(w.weight_hh);
    nn::init::zeros(w.bias_ih), nn::init::zeros(w.bias_hh);
    w.bias_ih.copy_(tensor({0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0}).to(f64));  // i, f, g, o
  }
  const Recording on(true);
  const auto states = probe::states_along(lstm, zeros({100, 1, 2}, exact));
  CHECK(std::pow(10, probe::products_along(states).log10_norm.to_vector()[0]) == near(2.48438e-14, 2e-6));

  manual_seed(5);
  nn::RNN rnn(2, 16, {.nonlinearity = Nonlinearity::relu, .identity = true, .dtype = f64});
  const auto h = probe::states_along(rnn, rand({50, 1, 2}, exact) * 1000);
  const auto p = probe::products_along(h);
  // dh_T/dh_1: from zero half of the units are switched on, and they stay on while their inputs do.
  const Tensor j = probe::Jacobian(h[2], h[1]).matrix();
  for (int64_t i = 0; i < 16; ++i)
    for (int64_t k = 0; k < 16; ++k) {
      const double entry = j[0][i][k].item();
      CHECK((entry == double(i == k) || (i == k && entry == 0)));
    }
  CHECK(p.log10_norm.to_vector()[25] == near(0, 1e-12));
}
