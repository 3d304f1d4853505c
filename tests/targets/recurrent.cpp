// Numbers about recurrent layers.
#include <doctest/doctest.h>

#include <cmath>

#include "fathom/fathom.h"

using namespace fathom;

namespace {

const TensorOptions exact{.dtype = f64};
auto near(double value, double relative) { return doctest::Approx(value).epsilon(relative); }

}  // namespace

TEST_CASE("52: an LSTM with weights of zero forgets at the rate of its forget gate's bias") {
  const int64_t steps = 100;
  for (const double b : {-1.0, 0.0, 1.0, 3.0}) {
    nn::LSTM m(1, 2, {.forget_bias = b, .dtype = f64});
    {
      const NoGrad off;
      m.weights[0].weight_ih.zero_();
      m.weights[0].weight_hh.zero_();
    }
    const Tensor c0 = randn({1, 3, 2}, {.dtype = f64, .requires_grad = true});
    const auto [y, state] = m(randn({steps, 3, 1}, exact), LSTMState{{}, c0});
    const double rate = std::pow(1 / (1 + std::exp(-b)), double(steps));
    for (const double g : grad(sum(state.c), c0).to_vector()) CHECK(g == near(rate, 1e-12));
    for (const double t : jvp(state.c, c0, ones({1, 3, 2}, exact)).to_vector()) CHECK(t == near(rate, 1e-12));
    if (b == 1) CHECK(rate == near(2.48438e-14, 1e-6));
  }
}

TEST_CASE("53: an IRNN's steps are the identity on active units") {
  manual_seed(1);
  nn::RNN m(2, 6, {.nonlinearity = Nonlinearity::relu, .identity = true, .dtype = f64});
  const Tensor h0 = tensor({{{1.0, -1.0, 2.0, -2.0, 0.5, 3.0}}}, exact).requires_grad_();  // stays on its side
  const auto [y, h] = m(zeros({50, 1, 2}, exact), h0);
  const auto j = probe::Jacobian(h, h0, {.batch_axis = 1}).matrix().to_vector();
  REQUIRE(j.size() == 36);
  for (size_t i = 0; i < 6; ++i)
    for (size_t k = 0; k < 6; ++k) CHECK(j[6 * i + k] == (i == k && h0.to_vector()[i] > 0 ? 1 : 0));
}

TEST_CASE("54: the adding problem's error when the answer is always 1") {
  manual_seed(2);
  const int64_t count = 100000;
  const Tensor answers = rand({count}, exact) + rand({count}, exact);
  CHECK(std::abs(nn::mse_loss(answers, ones({count}, exact)).item() - 1.0 / 6) < 3 / std::sqrt(double(count)));
}
