// The optimisers against PyTorch's arithmetic, written out in double.
#include <cmath>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/nn/linear.h"
#include "fathom/optim/for_each.h"
#include "fathom/optim/lbfgs.h"
#include "fathom/optim/observer.h"
#include "fathom/optim/optim.h"
#include "fathom/tensor/parallel.h"
#include "tests/optim/weights.h"
#include "tests/support.h"

using namespace fathom;

namespace {

// The gradient of step t, different for each element.
double gradient(int t, size_t i) { return std::sin(1.3 * t + double(i)) * (1 + 0.5 * double(i)); }

template <class Optimizer>
void check(Optimizer& opt, const Tensor& w, List expected, auto reference, double tolerance) {
  struct Memory {
    double a = 0, b = 0;
  };
  std::vector<Memory> memory(expected.size());
  for (int t = 1; t <= 5; ++t) {
    List g(expected.size());
    for (size_t i = 0; i < g.size(); ++i) g[i] = gradient(t, i);
    w.set_grad(from_data(g, w.shape(), {.dtype = w.dtype()}));
    opt.step();
    for (size_t i = 0; i < g.size(); ++i) reference(t, expected[i], g[i], memory[i].a, memory[i].b);
    const List now = w.to_vector();
    for (size_t i = 0; i < g.size(); ++i) CHECK(now[i] == doctest::Approx(expected[i]).epsilon(tolerance));
  }
}

template <class Optimizer, class Options>
void check_both(Options options, auto reference) {
  for (const Dtype dtype : {f64, f32}) {
    const Tensor w = weights(dtype);
    Optimizer opt({w}, options);
    check(opt, w, start, reference, dtype == f64 ? 1e-12 : 2e-6);
  }
}

}  // namespace

TEST_CASE("SGD: five steps of each form") {
  const double lr = 0.1, mu = 0.9, damp = 0.25, decay = 0.05;
  check_both<optim::SGD, optim::SGDOptions>({.lr = lr},
                                            [=](int, double& w, double g, double&, double&) { w -= lr * g; });
  check_both<optim::SGD, optim::SGDOptions>(
      {.lr = lr, .weight_decay = decay},
      [=](int, double& w, double g, double&, double&) { w -= lr * (g + decay * w); });
  check_both<optim::SGD, optim::SGDOptions>({.lr = lr, .momentum = mu, .dampening = damp, .weight_decay = decay},
                                            [=](int t, double& w, double g, double& m, double&) {
                                              g += decay * w;
                                              m = t == 1 ? g : mu * m + (1 - damp) * g;
                                              w -= lr * m;
                                            });
  check_both<optim::SGD, optim::SGDOptions>({.lr = lr, .momentum = mu, .weight_decay = decay, .nesterov = true},
                                            [=](int t, double& w, double g, double& m, double&) {
                                              g += decay * w;
                                              m = t == 1 ? g : mu * m + g;
                                              w -= lr * (g + mu * m);
                                            });
}

TEST_CASE("Adam: five steps, the decay in the gradient") {
  const double lr = 0.01, b1 = 0.8, b2 = 0.95, eps = 1e-3, decay = 0.1;
  check_both<optim::Adam, optim::AdamOptions>({.lr = lr, .beta1 = b1, .beta2 = b2, .eps = eps, .weight_decay = decay},
                                              [=](int t, double& w, double g, double& m, double& v) {
                                                g += decay * w;
                                                m = b1 * m + (1 - b1) * g;
                                                v = b2 * v + (1 - b2) * g * g;
                                                const double root = std::sqrt(v) / std::sqrt(1 - std::pow(b2, t));
                                                w -= lr / (1 - std::pow(b1, t)) * m / (root + eps);
                                              });
}

TEST_CASE("AdamW: five steps, the decay off the weight") {
  const double lr = 0.01, b1 = 0.9, b2 = 0.999, eps = 1e-8, decay = 0.5;
  check_both<optim::AdamW, optim::AdamWOptions>({.lr = lr, .weight_decay = decay},
                                                [=](int t, double& w, double g, double& m, double& v) {
                                                  w *= 1 - lr * decay;
                                                  m = b1 * m + (1 - b1) * g;
                                                  v = b2 * v + (1 - b2) * g * g;
                                                  const double root = std::sqrt(v) / std::sqrt(1 - std::pow(b2, t));
                                                  w -= lr / (1 - std::pow(b1, t)) * m / (root + eps);
                                                });
  CHECK(optim::AdamWOptions{}.weight_decay == 0.01);
  CHECK(optim::AdamOptions{}.weight_decay == 0);
}

TEST_CASE("step: given named parameters, errors tell the names") {
  struct Named {
    std::string name;
    Tensor tensor;
  };
  const std::vector<Named> list = {{"in.weight", weights(f32)}, {"out.bias", weights(f32)}};
  optim::Adam opt(list, {.lr = 1});
  list[1].tensor.set_grad(tensor({INFINITY, 0.0, 0.0}));
  CHECK(error_of([&] { opt.step({.clip_norm = 1}); }) ==
        "step: the gradient of out.bias, of shape (3), is not finite: its norm is inf");
  const Tensor huge = from_data(List{1}, {1}, {.requires_grad = true}),
               more = from_data(List{1}, {1}, {.requires_grad = true});
  for (const double size : {9e153, 1.2e154, 1.2e308, 1e-170}) {  // whose squares may be beyond double's range
    for (const Tensor& w : {huge, more}) w.set_grad(from_data(List{size}, {1}));
    CHECK(optim::SGD({huge, more}, {.lr = 0}).step({.clip_norm = 1}) == doctest::Approx(size * std::sqrt(2)));
  }
  for (const Tensor& w : {huge, more}) w.set_grad(from_data(List{1.7e308}, {1}));
  CHECK(error_of([&] {
          optim::SGD({huge, more}).step({.clip_norm = 1});
        }) == "step: the norm of all gradients together is not finite");
}

TEST_CASE("step: options that make no sense are refused before anything changes") {
  const Tensor w = weights(f64);
  w.set_grad(from_data(List{1, 1, 1}, {3}));
  CHECK(error_of([&] { optim::Adam({w}, {.eps = -1}).step(); }) ==
        "step: eps must be finite and not negative, got -1.000000");
  CHECK(error_of([&] { optim::AdamW({w}, {.weight_decay = -0.1}).step(); }) ==
        "step: weight_decay must be finite and not negative, got -0.100000");
  CHECK(error_of([&] { optim::SGD({w}, {.lr = 1, .weight_decay = NAN}).step(); }) ==
        "step: weight_decay must be finite and not negative, got nan");
  CHECK(error_of([&] { optim::SGD({w}, {.lr = 1, .momentum = -3}).step(); }) ==
        "step: momentum must be finite and not negative, got -3.000000");
  CHECK(error_of([&] { optim::RMSprop({w}, {.eps = INFINITY}).step(); }) ==
        "step: eps must be finite and not negative, got inf");
  CHECK(w.to_vector() == start);
}

TEST_CASE("groups: options of their own, changed between steps") {
  const Tensor a = weights(f64), b = weights(f64), idle = weights(f64);
  optim::SGD opt({{.parameters = {a, idle}, .options = {.lr = 1}}, {.parameters = {b}, .options = {.lr = 0.5}}});
  const auto step = [&] {
    for (const Tensor& w : {a, b}) w.set_grad(from_data(List{1, 1, 1}, {3}));
    opt.step();
  };
  step();
  CHECK(a.to_vector() == List{0, -3, -0.5});
  CHECK(b.to_vector() == List{0.5, -2.5, 0});
  CHECK(idle.to_vector() == start);
  opt.groups[1].lr = 2;
  step();
  CHECK(b.to_vector() == List{-1.5, -4.5, -2});
  CHECK(opt.lr() == 1);
  opt.set_lr(0);
  step();
  CHECK(b.to_vector() == List{-1.5, -4.5, -2});
  opt.zero_grad();
  CHECK_FALSE(a.grad().defined());
}

TEST_CASE("a parameter that rests keeps its own count of steps") {
  const Tensor a = weights(f64), b = weights(f64);
  optim::Adam opt({a, b}, {.lr = 0.1});
  for (int t = 1; t <= 4; ++t) {
    a.set_grad(t % 2 ? Tensor() : from_data(List{1, 2, 3}, {3}));
    b.set_grad(t > 2 ? Tensor() : from_data(List{1, 2, 3}, {3}));
    opt.step();
  }
  CHECK(a.to_vector() == b.to_vector());
}

TEST_CASE("a large parameter is stepped the same with any number of threads") {
  const auto train = [](int n) {
    const int before = threads();
    set_threads(n);
    const Tensor w = full({50000}, 0.25, {.requires_grad = true});
    Rng rng(1);
    Tensor g({50000}, f32);
    fill_normal(g, 0, 1, rng);
    optim::AdamW opt({w});
    for (int t = 0; t < 3; ++t) w.set_grad(g), opt.step({.clip_norm = 1});
    set_threads(before);
    return w.to_vector();
  };
  CHECK(train(1) == train(3));
}

TEST_CASE("a step counts as a change in place of what the tape still needs") {
  const Tensor w = weights(f32);
  const uint32_t version = w.storage().version;
  w.set_grad(tensor({1.0, 1.0, 1.0}));
  optim::SGD({w}).step();
  CHECK(w.storage().version != version);
  CHECK(std::string(w.storage().changed_by) == "step");
}

TEST_CASE("what cannot be optimised") {
  const Tensor w = weights(f32);
  CHECK(error_of([&] { optim::SGD({w, w}); }) == "optim: parameter 1, of shape (3), is listed twice");
  CHECK(error_of([&] { optim::SGD({w * 2}); }) == "optim: parameter 0, of shape (3), was computed by mul of shape (3)");
  CHECK(error_of([&] { optim::SGD({tensor({1, 2})}); }) == "optim: parameter 0, of shape (2), is not floating but i64");
  CHECK(error_of([&] {
          optim::SGD({ones({2, 3}).transpose()});
        }) == "optim: parameter 0, of shape (3, 2), is not contiguous");
  using Groups = std::vector<optim::Group<optim::SGDOptions>>;
  CHECK(error_of([&] { optim::SGD(Groups{}); }) == "SGD: no parameters");
  CHECK(error_of([&] { optim::SGD(Groups{{{}, {}}, {{w}, {}}}); }) == "");
  CHECK(error_of([&] { optim::AdamW(std::vector<Tensor>{}); }) == "AdamW: no parameters");
  CHECK(error_of([&] { optim::LBFGS(std::vector<NamedTensor>{}); }) == "LBFGS: no parameters");
  optim::SGD opt({w}, {.momentum = 0.9, .dampening = 0.1, .nesterov = true});
  w.set_grad(tensor({1.0, 1.0, 1.0}));
  CHECK(error_of([&] { opt.step(); }).find("SGD: nesterov needs momentum and no dampening") == 0);
  for (const double lr : {-1.0, double(NAN), double(INFINITY)}) {
    opt.set_lr(lr);
    CHECK(error_of([&] { opt.step(); }).find("step: the learning rate of group 0 must be finite and not negative") ==
          0);
  }
  CHECK(error_of([&] { optim::AdamW({w}, {.beta1 = 1}).step(); }) ==
        "step: beta1 and beta2 must be in [0, 1), got 1.000000 and 0.999000");
  CHECK(error_of([&] { optim::RMSprop({w}, {.alpha = 2}).step(); }) == "step: alpha must be in [0, 1), got 2.000000");
  const Tensor v = weights(f32);
  v.set_grad(tensor({1.0, 1.0, 1.0}));
  optim::AdamW two(std::vector<optim::Group<optim::AdamWOptions>>{{{w}, {}}, {{v}, {.beta2 = 1}}});
  CHECK(error_of([&] { two.step(); }) == "step: beta1 and beta2 must be in [0, 1), got 0.900000 and 1.000000");
  CHECK(w.to_vector() == weights(f32).to_vector());  // before any change
}

TEST_CASE("parameters that Module::to replaced are not stepped in silence") {
  nn::Linear net(2, 3);
  optim::SGD opt(net.parameters());
  optim::LBFGS whole(net.parameters());
  net.to(f32);  // nothing to do
  opt.step();
  net.to(f64);
  const auto loss = [&] {
    const Tensor y = mean(square(net(ones({4, 2}, {.dtype = f64}))));
    y.backward();
    return y;
  };
  loss();
  const std::string why =
      "step: parameter 0, of shape (3, 2) and f32, was replaced by Module::to; make the optimiser after it";
  CHECK(error_of([&] { opt.step(); }) == why);
  CHECK(error_of([&] { whole.step(loss); }) == why);
  const auto before = net.weight.to_vector();
  optim::SGD(net.parameters()).step();
  CHECK(net.weight.to_vector() != before);
}

TEST_CASE("an observed step that throws leaves no sums behind") {
  struct Observer final : optim::StepObserver {
    bool wants_norms() override { return true; }
    void stepped(std::span<const optim::StepNorms>) override {}
  } watching;
  Tensor w = ones({2}, {.requires_grad = true});
  w.set_grad(ones({2}));
  optim::LBFGS opt(std::vector<Tensor>{w});
  optim::observer = &watching;
  CHECK_THROWS_AS(static_cast<optim::Optimizer&>(opt).step(), Error);  // it needs the loss
  optim::observer = nullptr;
  CHECK(optim::step_sums == nullptr);
}

TEST_CASE("an observer is told finite norms of finite numbers, and NaN of NaN") {
  struct Observer final : optim::StepObserver {
    optim::StepNorms seen;
    bool wants_norms() override { return true; }
    void stepped(std::span<const optim::StepNorms> parameters) override { seen = parameters[0]; }
  } watching;
  const auto norms_of = [&](double size, double of_last) {
    // More than one block: the first within the range of squares, the second beyond it.
    std::vector<double> numbers(1000, 1);
    std::fill(numbers.begin() + 512, numbers.end(), size);
    Tensor w = from_data(numbers, {1000}, {.dtype = f64, .requires_grad = true});
    w.set_grad(full({1000}, size / 2, {.dtype = f64}));
    w.set_grad(concat({w.grad().slice(0, 0, 999), full({1}, of_last, {.dtype = f64})}, 0));
    optim::SGD opt({w}, {.lr = 0.5});
    optim::observer = &watching;
    opt.step();
    optim::observer = nullptr;
    return watching.seen;
  };
  for (const double size : {1e200, 1e250, 1e300, 1e-200, 1e-300}) {
    const optim::StepNorms of = norms_of(size, size / 2);
    CHECK(of.weight == doctest::Approx(size > 1 ? size * std::sqrt(488.0) : std::sqrt(512.0)).epsilon(1e-12));
    CHECK(of.gradient == doctest::Approx(size / 2 * std::sqrt(1000.0)).epsilon(1e-12));
    const double moved = size > 1 ? 1000 : 488;  // where the weight is 1 a small step is none
    CHECK(of.update / size == doctest::Approx(std::sqrt(moved) / 4).epsilon(1e-12));
  }
  const optim::StepNorms of = norms_of(1e250, NAN);
  CHECK(std::isnan(of.update));
  CHECK(std::isnan(of.gradient));
}

TEST_CASE("LBFGS tells an observer of each whole step, of parameters with a gradient") {
  struct Observer final : optim::StepObserver {
    std::vector<optim::StepNorms> seen;
    int steps = 0;
    bool wants_norms() override { return steps++ != 1; }
    void stepped(std::span<const optim::StepNorms> parameters) override {
      seen.assign(parameters.begin(), parameters.end());
    }
  } watching;
  const Tensor a = tensor({3.0, 4.0}, {.requires_grad = true}), idle = ones({2}, {.requires_grad = true});
  const Tensor b = tensor({12.0}, {.requires_grad = true});
  optim::LBFGS opt(std::vector<Tensor>{a, idle, b});
  const auto loss = [&] {
    const Tensor y = sum(square(a)) / 2 + sum(square(b));
    y.backward();
    return y;
  };
  optim::observer = &watching;
  opt.step(loss);  // to zero, where the gradients are a and 2 b
  REQUIRE(watching.seen.size() == 2);
  const auto& [of_a, of_b] = std::tie(watching.seen[0], watching.seen[1]);
  CHECK(of_a.w.history() == a.history());
  CHECK(of_a.weight == doctest::Approx(5));
  CHECK(of_a.gradient == doctest::Approx(5));
  CHECK(of_a.update == doctest::Approx(5).epsilon(1e-4));
  CHECK(of_b.w.history() == b.history());
  CHECK(of_b.weight == doctest::Approx(12));
  CHECK(of_b.gradient == doctest::Approx(24));
  CHECK(of_b.update == doctest::Approx(12).epsilon(1e-4));
  watching.seen.clear();
  opt.step(loss);  // not wanted
  CHECK(watching.seen.empty());
  a.detach().zero_(), b.detach().zero_();
  opt.step(loss);  // a step that has nothing to do
  REQUIRE(watching.seen.size() == 2);
  CHECK(watching.seen[0].update == 0);
  optim::observer = nullptr;
}
