#include "fathom/probe/lyapunov.h"

#include <cmath>
#include <sstream>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/nn/linear.h"
#include "fathom/probe/jacobian.h"
#include "fathom/probe/product.h"
#include "tests/support.h"

using namespace fathom;

namespace {

Rng rng(31);
Tensor normal(const Shape& shape, double scale = 1) { return randn(shape, {.dtype = f64}, rng) * scale; }

// log |R_ii| by another way: the QR of products of Jacobians that are formed one by one.
template <class Step>
double largest_by_hand(Step step, Tensor h, int64_t transient, int64_t steps) {
  Tensor q = normal({h.size(1), 1});
  double sum = 0;
  for (int64_t t = 0; t < transient + steps; ++t) {
    const Tensor x = h.detach().requires_grad_(), y = step(x, t);
    q = matmul(probe::Jacobian(y, x).matrix()[0], q);
    const double norm = std::sqrt(square(q).sum().item());
    if (t >= transient) sum += std::log(norm);
    q = q / norm;
    h = y.detach();
  }
  return sum / double(steps);
}

}  // namespace

TEST_CASE("dual: derivatives of every function") {
  using D = probe::Dual<1>;
  const auto check = [](auto f, double at) {
    D x(at);
    x.tangents[0] = 1;
    const double h = 1e-6, slope = (f(D(at + h)).value - f(D(at - h)).value) / (2 * h);
    CHECK(f(x).tangents[0] == doctest::Approx(slope).epsilon(1e-7));
  };
  check([](auto x) { return sin(x) * cos(x) + tan(x); }, 0.7);
  check([](auto x) { return exp(x) / (1 + x) - log(x); }, 0.7);
  check([](auto x) { return sqrt(x) * tanh(x) - pow(x, 2.5); }, 0.7);
  check([](auto x) { return atan(x) + abs(-x) + 2 / x; }, 0.7);
  check([](auto x) { return (x - 1) * (1 - x) * (x + 1) / 3 + 2 * x - floor(x); }, 0.7);
  CHECK(D(1) < D(2));
  CHECK(D(1) > 0.5);
}

TEST_CASE("lyapunov: a map by dual numbers, by its Jacobian, by tensors") {
  for (const double a : {0.2, 1.4}) {  // a fixed point; chaos, where rounding decides which orbit it is
    const auto henon = [a](const auto& x) { return std::array{1 - a * x[0] * x[0] + x[1], 0.3 * x[0]}; };
    const probe::LyapunovOptions options{.steps = 2000, .transient = 500};
    const auto dual = probe::lyapunov_map(henon, std::array{0.1, 0.1}, options);
    const auto jacobian = probe::lyapunov_map(
        henon,
        [a](const auto& x) {
          return std::array{std::array{-2 * a * x[0], 1.0}, std::array{0.3, 0.0}};
        },
        std::array{0.1, 0.1}, options);
    const auto tensors = probe::lyapunov(
        [a](const Tensor& h, int64_t) {
          const Tensor x = h.slice(1, 0, 1), y = h.slice(1, 1, 2);
          return concat({1 - a * square(x) + y, 0.3 * x}, 1);
        },
        full({2}, 0.1, {.dtype = f64}), options);
    const double tolerance = a < 1 ? 1e-9 : 0.05;
    for (size_t k = 0; k < 2; ++k) {
      CHECK(std::abs(dual.exponents[k] - jacobian.exponents[k]) < tolerance);
      CHECK(std::abs(dual.exponents[k] - tensors.exponents[k]) < tolerance);
    }
    CHECK(tensors.sum_error < 1e-12);
    CHECK(dual.curve.size() == 100);
    CHECK(dual.curve.back().exponents == dual.exponents);
    CHECK(dual.curve.back().time == 2000);
    CHECK(dual.trajectories.size() == 1);
    CHECK((a < 1 || dual.standard_errors[0] > 0));
  }
}

TEST_CASE("lyapunov: other distances between decompositions, fewer exponents, more dimensions") {
  const auto map = [](const auto& x) {  // coupled logistic maps
    using T = std::decay_t<decltype(x[0])>;
    std::array<T, 5> y, f;
    for (size_t i = 0; i < 5; ++i) f[i] = 3.9 * x[i] * (1 - x[i]);
    for (size_t i = 0; i < 5; ++i) y[i] = 0.9 * f[i] + 0.05 * (f[(i + 1) % 5] + f[(i + 4) % 5]);
    return y;
  };
  const std::array x0{0.1, 0.2, 0.3, 0.4, 0.51};
  const auto all = probe::lyapunov_map(map, x0, {.steps = 3000}),
             few = probe::lyapunov_map(map, x0, {.steps = 3000, .exponents = 2}),
             rare = probe::lyapunov_map(map, x0, {.steps = 3000, .qr_every = 4});
  CHECK(all.complete);
  CHECK(all.sum_error < 1e-11);
  CHECK_FALSE(few.complete);
  CHECK(std::isnan(few.log_det));
  REQUIRE(few.exponents.size() == 2);
  for (size_t k = 0; k < 2; ++k) CHECK(few.exponents[k] == doctest::Approx(all.exponents[k]).epsilon(1e-9));
  for (size_t k = 0; k < 5; ++k) CHECK(rare.exponents[k] == doctest::Approx(all.exponents[k]).epsilon(1e-3));
}

TEST_CASE("lyapunov: a map that loses a dimension, and one that leaves the numbers") {
  const auto flat = probe::lyapunov_map(
      [](const auto& x) {
        return std::array{0.5 * x[0], 0 * x[1]};
      },
      std::array{1.0, 1.0}, {.steps = 50, .transient = 0});
  CHECK(flat.exponents[0] < 0);
  CHECK(std::isinf(flat.exponents[1]));
  CHECK(flat.dimension == 0);
  const auto nan = probe::lyapunov_map([](const auto& x) { return std::array{x[0] * x[0]}; }, std::array{10.0},
                                       {.steps = 50, .transient = 0});
  CHECK_FALSE(std::isfinite(nan.exponents[0]));
}

TEST_CASE("lyapunov: dimensions of Kaplan and Yorke") {
  CHECK(probe::kaplan_yorke(std::vector<double>{0.9, 0, -14.57}) == doctest::Approx(2 + 0.9 / 14.57));
  CHECK(probe::kaplan_yorke(std::vector<double>{-14.57, 0.9, 0}) == doctest::Approx(2 + 0.9 / 14.57));
  CHECK(probe::kaplan_yorke(std::vector<double>{-0.1, -1}) == 0);
  CHECK(probe::kaplan_yorke(std::vector<double>{1, -0.5}) == 2);
  CHECK(std::isnan(probe::kaplan_yorke(std::vector<double>{1, -0.5}, false)));
  CHECK(std::isnan(probe::kaplan_yorke(std::vector<double>{1, NAN})));
}

TEST_CASE("lyapunov: recurrent modules against Jacobians formed one by one") {
  manual_seed(7);
  const Tensor x = normal({60, 3});
  const auto check = [&](auto& module, int64_t size, auto cell) {
    const auto found = probe::lyapunov(module, x, {.transient = 20, .exponents = 1});
    CHECK(found.time == 40);
    const auto step = [&](const Tensor& s, int64_t t) { return cell(x.select(0, t).unsqueeze(0), s); };
    const double by_hand = largest_by_hand(step, zeros({1, size}, {.dtype = f64}), 20, 40);
    CHECK(std::abs(found.exponents[0] - by_hand) < 0.03);  // they start from other directions
    const auto all = probe::lyapunov(module, x, {.transient = 20, .exponents = size});
    CHECK(all.complete);
    CHECK(all.sum_error < 1e-9);
    // The states are those of the sequence, and their Jacobians those of the steps.
    const auto states = probe::states_along(module, x);
    REQUIRE(states.size() == 61);
    const Tensor y = module(x);  // (60, hidden)
    const int64_t hidden = y.size(1);
    CHECK(allclose(y[59], states[60].slice(1, 0, hidden).reshape({hidden}), 1e-10, 1e-12));  // h comes first
    CHECK(probe::chain_break(states).empty());
  };
  nn::RNN rnn(3, 5, {.dtype = f64});
  check(rnn, 5, [&](const Tensor& in, const Tensor& s) { return rnn_cell(in, s, rnn.weights[0]); });
  nn::GRU gru(3, 5, {.dtype = f64});
  check(gru, 5, [&](const Tensor& in, const Tensor& s) { return gru_cell(in, s, gru.weights[0]); });
  nn::LSTM lstm(3, 4, {.dtype = f64});
  check(lstm, 8, [&](const Tensor& in, const Tensor& s) {
    const LSTMState state = lstm_cell(in, {s.slice(1, 0, 4), s.slice(1, 4, 8)}, lstm.weights[0]);
    return concat({state.h, state.c}, 1);
  });
}

TEST_CASE("lyapunov: many trajectories, layers, and both directions in time") {
  manual_seed(8);
  nn::RNN rnn(2, 6, {.layers = 2, .dtype = f64});
  const Tensor x = normal({300, 3, 2});
  const auto many = probe::lyapunov(rnn, x, {.transient = 100, .exponents = 2});
  REQUIRE(many.trajectories.size() == 3);
  const auto one = probe::lyapunov(rnn, x.select(1, 1).contiguous(), {.transient = 100, .exponents = 2});
  CHECK(std::abs(one.exponents[0] - many.trajectories[1][0]) < 0.01);
  CHECK(many.exponents[0] ==
        doctest::Approx((many.trajectories[0][0] + many.trajectories[1][0] + many.trajectories[2][0]) / 3));
  const auto back = probe::lyapunov(rnn, x, {.transient = 100, .exponents = 2, .reverse = true});
  CHECK(back.time == 100);
  CHECK(back.exponents[0] == doctest::Approx(many.exponents[0]).epsilon(0.2));
  std::ostringstream text;
  text << many;
  CHECK(text.str().find("Lyapunov exponents over 200 ") == 0);
}

TEST_CASE("lyapunov: what is wrong is said") {
  const auto still = [](const Tensor& h, int64_t) { return h * 1; };
  const Tensor h = zeros({3}, {.dtype = f64});
  CHECK(error_of([&] { probe::lyapunov(still, h, {.steps = 0}); }) == "lyapunov: steps is 0, at least 1 is needed");
  CHECK(error_of([&] { probe::lyapunov(still, h, {.qr_every = 0}); }) ==
        "lyapunov: qr_every is 0, at least 1 is needed");
  CHECK(error_of([&] { probe::lyapunov(still, h, {.exponents = 4}); }) ==
        "lyapunov: exponents is 4, of a state of 3 numbers");
  CHECK(error_of([&] {
          probe::lyapunov(still, zeros({1, 2, 3}));
        }) == "lyapunov: a state of shape (1, 2, 3) and f32, not (n) or (trajectories, n) of floating numbers");
  CHECK(error_of([&] { probe::lyapunov([](const Tensor& s, int64_t) { return s.sum(1); }, h); }) ==
        "lyapunov: step 0 made (3) and f64 of states of (3, 3) and f64");
  CHECK(error_of([&] { probe::lyapunov_map([](const auto& x) { return x; }, std::array{1.0}, {.exponents = 2}); }) ==
        "lyapunov: exponents is 2, of a state of 1 numbers");
  nn::RNN rnn(2, 2), both(2, 2, {.bidirectional = true});
  CHECK(error_of([&] {
          probe::lyapunov(rnn, zeros({5, 3}));
        }) == "lyapunov: inputs of shape (5, 3) for a module of 2 inputs");
  CHECK(error_of([&] {
          probe::lyapunov(rnn, zeros({5, 2}), {.transient = 5});
        }) == "lyapunov: 5 inputs and a transient of 5 steps leave none to measure");
  CHECK(error_of([&] {
          probe::lyapunov(both, zeros({5, 2}), {.transient = 0});
        }) == "lyapunov: a module in two directions has no state that goes forward");
}
