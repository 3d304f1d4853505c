// Norms of gradients, and clipping, within a step and before it.
#include <cmath>

#include "fathom/autograd/hooks.h"
#include "fathom/autograd/ops.h"
#include "fathom/optim/observer.h"
#include "fathom/optim/optim.h"
#include "tests/optim/weights.h"
#include "tests/support.h"

using namespace fathom;

TEST_CASE("step: clipping within it is clip_grad_norm before it") {
  const auto train = [](bool within) {
    const Tensor a = weights(f64), b = weights(f64);
    optim::Adam opt({a, b}, {.lr = 0.1});
    List norms;
    for (int t = 1; t <= 3; ++t) {
      a.set_grad(from_data(List{3.0 * t, 0, 0}, {3}));
      b.set_grad(from_data(List{0, 4.0 * t, 0}, {3}));
      if (within) norms.push_back(opt.step({.clip_norm = 1}));
      else norms.push_back(optim::clip_grad_norm(opt.parameters(), 1)), opt.step();
    }
    CHECK(norms == List{5, 10, 15});
    List all = a.to_vector();
    for (const double e : b.to_vector()) all.push_back(e);
    return all;
  };
  const List within = train(true), before = train(false);
  for (size_t i = 0; i < within.size(); ++i) CHECK(within[i] == doctest::Approx(before[i]).epsilon(1e-13));
}

TEST_CASE("clip_grad_norm: PyTorch's scale; small gradients stay bit for bit") {
  const Tensor w = weights(f64);
  w.set_grad(from_data(List{3, 4, 0}, {3}));
  CHECK(optim::clip_grad_norm(std::vector{w}, 6) == 5);
  CHECK(w.grad().to_vector() == List{3, 4, 0});
  CHECK(optim::clip_grad_norm(std::vector{w}, 1) == 5);
  CHECK(w.grad().to_vector()[0] == doctest::Approx(3 / (5 + 1e-6)).epsilon(1e-15));
  CHECK(error_of([&] { optim::clip_grad_norm(std::vector{w}, 0); }).find("clip_grad_norm: the norm must be positive") ==
        0);
}

TEST_CASE("clip_grad_norm: squares beyond float's range, and a norm over more than one piece") {
  const Tensor w = zeros({2}, {.requires_grad = true});
  w.set_grad(tensor({3e30, 4e30}));
  CHECK(optim::grad_norm(std::vector{w}) == doctest::Approx(5e30).epsilon(1e-6));
  const Tensor large = zeros({200000}, {.requires_grad = true});
  large.set_grad(full({200000}, 0.5));
  const double norm = optim::grad_norm(std::vector{large});
  CHECK(norm == doctest::Approx(std::sqrt(50000.0)).epsilon(1e-7));
  const int before = threads();
  set_threads(3);
  CHECK(optim::grad_norm(std::vector{large}) == norm);
  set_threads(before);
}

TEST_CASE("clip_grad_value: each element by itself") {
  const Tensor w = weights(f32);
  w.set_grad(tensor({3.0, -0.25, -7.0}));
  optim::clip_grad_value(std::vector{w}, 0.5);
  CHECK(w.grad().to_vector() == List{0.5, -0.25, -0.5});
  CHECK(error_of([&] {
          optim::clip_grad_value(std::vector{w}, -1);
        }).find("clip_grad_value: the value must be positive") == 0);
}

TEST_CASE("clip_grad: who watches is told what is left of the norm, and nothing where nothing was clipped") {
  struct Observer final : optim::StepObserver {
    List told;
    bool wants_norms() override { return false; }
    void stepped(std::span<const optim::StepNorms>) override {}
    void clipped(double left) override { told.push_back(left); }
  } seen;
  optim::observer = &seen;
  const std::vector<Tensor> parameters{weights(f64), weights(f64)};
  const auto told = [&](auto clip) {
    parameters[0].set_grad(from_data(List{3, 4, 0}, {3}));
    parameters[1].set_grad(from_data(List{0, 0, 12}, {3}));
    seen.told.clear();
    clip();
    return seen.told;
  };
  const auto close_to = [](const List& found, double left) {
    return found.size() == 1 && std::abs(found[0] - left) < 1e-6;
  };
  CHECK(close_to(told([&] { optim::clip_grad_norm(parameters, 6.5); }), 0.5));
  CHECK(close_to(told([&] { optim::clip_grad_norm_each(parameters, 5); }), std::sqrt(50.0) / 13));
  CHECK(close_to(told([&] { optim::clip_grad_value(parameters, 4); }), std::sqrt(41.0) / 13));
  CHECK(told([&] { optim::clip_grad_adaptive(parameters, 1e-9); }).size() == 1);
  CHECK(told([&] { optim::clip_grad_norm(parameters, 14); }).empty());
  CHECK(told([&] { optim::clip_grad_norm_each(parameters, 14); }).empty());
  CHECK(told([&] { optim::clip_grad_value(parameters, 14); }).empty());
  CHECK(told([&] { optim::clip_grad_adaptive(parameters, 1e9); }).empty());
  optim::observer = nullptr;
}

TEST_CASE("step: a norm that is not finite is an error that names the parameter, or a skipped step") {
  const Tensor a = weights(f32), b = weights(f32);
  optim::SGD opt({a, b}, {.lr = 1});
  a.set_grad(tensor({1.0, 1.0, 1.0}));
  b.set_grad(tensor({1.0, -NAN, 1.0}));
  CHECK(error_of([&] { opt.step({.clip_norm = 1}); }) ==
        "step: the gradient of parameter 1, of shape (3), is not finite: its norm is nan");
  CHECK(a.to_vector() == start);
  CHECK(std::isnan(opt.step({.on_nonfinite = optim::OnNonfinite::skip})));
  CHECK(a.to_vector() == start);
  CHECK(error_of([&] {
          optim::clip_grad_norm(opt.parameters(), 1);
        }).find("clip_grad_norm: the gradient of parameter 1") == 0);
  CHECK(std::isnan(optim::clip_grad_norm(opt.parameters(), 1, {.on_nonfinite = optim::OnNonfinite::skip})));
  CHECK(a.grad().to_vector() == List{1, 1, 1});
  CHECK(error_of([&] { opt.step({.clip_norm = -1}); }).find("step: clip_norm must not be negative") == 0);
}

TEST_CASE("step: the norm comes back when asked for") {
  const Tensor w = weights(f64);
  optim::SGD opt({w}, {.lr = 1});
  w.set_grad(from_data(List{3, 4, 0}, {3}));
  CHECK(opt.step({.measure_norm = true}) == 5);
  CHECK(w.to_vector() == List{-2, -6, 0.5});
  CHECK(opt.step() == 0);
}

TEST_CASE("step: the norm is that of the gradient as it is, whoever has changed it since backward()") {
  const Tensor w = from_data(List{3, 4, 0}, {3}, {.dtype = f32, .requires_grad = true});
  optim::SGD opt({w}, {.lr = 0});
  const auto norm = [&] { return opt.step({.measure_norm = true}); };
  const auto backward = [&] { sum(square(w)).backward(); };  // 2 w
  const auto again = [&] {
    CHECK(norm() == doctest::Approx(norm()));
    opt.zero_grad();
    CHECK(norm() == 0);
    backward();
  };
  backward();
  again();
  CHECK(norm() == 10);
  again();
  backward();  // another gradient is added
  CHECK(norm() == 20);
  again();
  *w.grad().data<float>() = 0;
  CHECK(norm() == 8);
  again();
  w.grad().mul_(3);
  CHECK(norm() == 30);
  again();
  w.set_grad(full({3}, 2));
  CHECK(norm() == doctest::Approx(std::sqrt(12.0)));
  again();
  Tensor held = w.grad();
  CHECK(optim::grad_norm(opt.parameters()) == 10);
  held.mul_(2);
  CHECK(norm() == 20);
  again();
  sum(w.select(0, 1) * 5).backward();  // adds into a part
  CHECK(norm() == doctest::Approx(std::sqrt(36.0 + 13 * 13)));
  again();
  CHECK(optim::clip_grad_norm(opt.parameters(), 1) == 10);
  CHECK(norm() == doctest::Approx(1).epsilon(1e-5));
  register_hook(w, [](const Tensor& g) { return g * 2; });
  again();
  CHECK(norm() == 20);
}
