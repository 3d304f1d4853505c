#include "fathom/nn/residual.h"

#include <cmath>

#include "fathom/autograd/checkpoint.h"
#include "tests/nn/modules.h"

using namespace fathom;

TEST_CASE("ReZero: the identity at first; derivatives") {
  nn::ReZero m(nn::Linear(3, 3), {.dtype = f32});
  m.to(f64);
  const Tensor x = normal({2, 3});
  CHECK(m(x).to_vector() == x.to_vector());
  CHECK(m.named_parameters()[0].name == "alpha");
  m.parameters()[0].detach().fill_(0.3);
  check_module(m, x);
  nn::ReZero wrong(nn::Linear(3, 2));
  CHECK(error_of([&] { wrong(ones({2, 3})); }) == "ReZero: f maps (2, 3) to (2, 2); it must keep the shape");
}

TEST_CASE("StochasticDepth: whole samples are dropped, the mean stays, evaluation drops none") {
  Rng rng(4);
  nn::StochasticDepth m(nn::Identity(), {.p = 0.25, .rng = &rng});
  const Tensor x = ones({4000, 3}, {.dtype = f64});
  int dropped = 0;
  const std::vector<double> y = m(x).to_vector();
  for (size_t i = 0; i < y.size(); i += 3) {
    CHECK((y[i] == 1 || y[i] == 1 + 1 / 0.75));
    CHECK((y[i] == y[i + 1] && y[i] == y[i + 2]));
    dropped += y[i] == 1;
  }
  CHECK(std::abs(dropped / 4000.0 - 0.25) < 3 * std::sqrt(0.25 * 0.75 / 4000));
  m.eval();
  CHECK(m(x).to_vector()[0] == 2);
  CHECK(error_of([] { nn::StochasticDepth(nn::Identity(), {.p = 1}); }).find("StochasticDepth: p is in [0, 1)") == 0);
}

TEST_CASE("DeepNorm and EulerStep: their formulas and derivatives") {
  const Tensor x = normal({2, 3});
  nn::DeepNorm deep(3, nn::Linear(3, 3), {.alpha = 2.5});
  check_module(deep, x);
  nn::LayerNorm norm(3, {.dtype = f64});
  nn::Linear zero(3, 3, {.dtype = f64});
  nn::init::zeros(zero.weight), nn::init::zeros(zero.bias);
  nn::DeepNorm plain(3, std::move(zero), {.alpha = 2.5, .norm = {.dtype = f64}});
  CHECK(allclose(plain(x), norm(x * 2.5), 1e-12, 1e-12));
  nn::EulerStep step(nn::Tanh(), {.h = 0.25});
  CHECK(allclose(step(x), x + tanh(x) * 0.25, 1e-15, 1e-15));
  check_module(step, x);
}

TEST_CASE("fixup: the last weight zero, the others by depth") {
  std::vector<Tensor> w{Tensor({200, 100}, f64), Tensor({100, 200}, f64), Tensor({50, 100}, f64)};
  nn::init::fixup(w, 16);
  const auto variance = [](const Tensor& t) { return mean(square(t)).item(); };
  CHECK(variance(w[0]) == doctest::Approx(2.0 / 100 / 4).epsilon(0.05));  // 16^(-1/4) squared
  CHECK(variance(w[1]) == doctest::Approx(2.0 / 200 / 4).epsilon(0.05));
  CHECK(variance(w[2]) == 0);
  CHECK(error_of([] { nn::init::fixup({}, 3); }) == "init::fixup: needs weights and a branch, got 0 and 3");
}

TEST_CASE("stochastic depth: a checkpoint that runs again draws the same samples from a generator of its own") {
  Rng rng(3);
  nn::StochasticDepth m(nn::Linear(3, 3, {.dtype = f64}), {.p = 0.5, .rng = &rng});
  const Tensor x = normal({16, 3}, 7).requires_grad_();
  const Tensor y = checkpoint([&](const Tensor& at) { return m(at); }, x);
  const Rng after = rng;
  const auto kept = sum(abs(y - x), 1).to_vector();
  sum(y).backward();
  CHECK(rng == after);
  const auto changed = sum(abs(x.grad() - 1), 1).to_vector();
  for (size_t i = 0; i < kept.size(); ++i) CHECK((kept[i] > 0) == (changed[i] > 0));
}
