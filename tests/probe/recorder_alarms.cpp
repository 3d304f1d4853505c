// What a recorder watches for, alarms, and what it is told: the sharpness of the loss, Lyapunov exponents.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <thread>

#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "fathom/optim/optim.h"
#include "fathom/probe/jacobian.h"
#include "fathom/probe/lyapunov.h"
#include "fathom/probe/recorder.h"
#include "fathom/probe/sharpness.h"
#include "tests/probe/recorder_support.h"
#include "tests/support.h"

using probe::Recorder;

TEST_CASE("Recorder: alarms of the loss") {
  const Folder folder;
  nn::Sequential net(nn::Linear(5, 1, {.dtype = f64}));
  std::vector<std::string> called;
  {
    Recorder recorder(net, {.every = 0, .out = folder, .alarms = {.loss_spike = 4, .call = [&](const probe::Alarm& a) {
                                                                    called.push_back(a.kind);
                                                                  }}});
    for (double scale : {1.0, 1.1, 5.0, 1.0, double(NAN)}) recorder.backward(sum(net(inputs(2)) * 0) + scale);
    CHECK(recorder.alarms().size() == 2);
  }
  CHECK(called == std::vector<std::string>{"loss_spike", "nonfinite"});
  const auto run = folder.run();
  REQUIRE(run.alarms.size() == 2);
  CHECK(run.alarms[0].step == 2);
  CHECK(run.alarms[0].message == "the loss 5 is 4.545 times the median of the last 2 steps");
  CHECK(run.alarms[1].step == 4);
  CHECK(run.alarms[1].message == "the loss is NaN");
  CHECK(run.points.size() == 5);
}

TEST_CASE("Recorder: a loss that may be negative has no spikes in multiples of its median") {
  const Folder folder;
  nn::Sequential net = tanh_layers(1);
  Recorder recorder(net, {.every = 0, .out = folder, .alarms = {.loss_spike = 4}});
  for (double loss : {-10.0, -9.0, -11.0, 0.0, 2.0}) recorder.backward(sum(net(inputs(2)) * 0) + loss);
  CHECK(recorder.alarms().empty());
}

TEST_CASE("Recorder: the line of a step that an alarm stops is in the file at once") {
  const Folder folder;
  nn::Sequential net = tanh_layers(1);
  Recorder recorder(net, {.every = 0, .out = folder, .alarms = {.stop_on = "*"}});
  CHECK_THROWS_AS(recorder.backward(sum(net(inputs(2))) * NAN), Error);
  const auto run = folder.run();
  CHECK(run.alarms.size() == 1);
  CHECK(run.points.size() == 1);
}

TEST_CASE("Recorder: alarms of the layers; one that stops is an Error after the record is written") {
  const Folder folder;
  nn::Sequential net = tanh_layers(3);
  for (Tensor& w : net.parameters()) {
    const NoGrad off;
    w *= 0.01;
  }
  Recorder recorder(
      net, {.every = 1, .out = folder, .sites = "*", .alarms = {.vanishing = 1e-3, .stop_on = "exploding,vanishing"}});
  const std::string message = error_of([&] { recorder.backward(mean(square(net(inputs(2))))); });
  CHECK(message.starts_with("Recorder: step 0: vanishing at 0: through 3 layers the gradient changes by 10^-"));
  CHECK(message.ends_with("the threshold is 10^-3"));
  CHECK(recorder.steps() == 1);
  CHECK(folder.run().alarms.at(0).action == "stop");
  CHECK(folder.run().layers.frames.size() == 1);
}

TEST_CASE("Recorder: backward() without it makes no step, and that is told once") {
  const Folder folder;
  nn::Linear net(5, 1, {.dtype = f64});
  {
    Recorder recorder(net, {.out = folder});
    mean(net(inputs(2))).backward();
    CHECK(recorder.status() == "no step yet: recorder.backward(loss) makes one");
    CHECK(recorder.alarms().empty());
    recorder.report(folder / "report.html");
    REQUIRE(recorder.alarms().size() == 1);
    CHECK(recorder.alarms()[0].kind == "no_steps");
  }
  CHECK(folder.run().alarms.size() == 1);
  Recorder measured(net, {.out = folder, .name = "measured"});
  mean(net(inputs(2))).backward();
  measured.backward(mean(net(inputs(2))));
  measured.finish();
  CHECK(measured.alarms().empty());
}

struct RootOfNothing : nn::Module {
  Tensor s = zeros({3}, {.dtype = f64, .requires_grad = true});
  Tensor forward(Tensor x) override { return std::move(x) + sum(sqrt(square(s))); }
  void fields(nn::Fields& f) override { f("s", s); }
};

TEST_CASE("Recorder: a gradient that is not finite is told at every step, by the parameter's name") {
  const Folder folder;
  nn::Sequential net(nn::Linear(5, 5, {.dtype = f64}), RootOfNothing{});
  {
    Recorder recorder(net, {.every = 10, .out = folder});
    for (int t = 0; t < 2; ++t) recorder.backward(mean(net(inputs(2))));
    REQUIRE(recorder.alarms().size() == 2);
    for (int t = 0; t < 2; ++t) {
      CHECK(recorder.alarms()[size_t(t)].step == t);
      CHECK(recorder.alarms()[size_t(t)].kind == "nonfinite");
      CHECK(recorder.alarms()[size_t(t)].site == "1.s");
      CHECK(recorder.alarms()[size_t(t)].message == "the norm of its gradient is NaN");
    }
    CHECK(recorder.status().starts_with("step 1  loss "));
    CHECK(recorder.status().find("nonfinite at 1.s") != std::string::npos);
  }
  Recorder told(net,
                {.every = 0, .out = folder, .name = "told", .grad_norm = false, .alarms = {.stop_on = "nonfinite"}});
  told.backward(mean(net(inputs(2))));
  CHECK(error_of([&] { told.step(NAN); }) == "Recorder: step 0: nonfinite at 1.s: the norm of its gradient is NaN");
  CHECK(error_of([&] { Recorder(net, {.out = folder, .name = "x", .alarms = {.stop_on = "exploding,nan"}}); }) ==
        "Recorder: alarms.stop_on has \"nan\", not one of *, nonfinite, loss_spike, exploding, vanishing, no_gradient, "
        "no_steps");
}

TEST_CASE("Recorder: only the alarms that are to stop do, and all of the step are told before") {
  const Folder folder;
  struct Unused : nn::Module {
    Tensor a = ones({2}, {.dtype = f64, .requires_grad = true}), b = ones({2}, {.dtype = f64, .requires_grad = true});
    Tensor forward(Tensor x) override { return x; }
    void fields(nn::Fields& f) override { f("a", a), f("b", b); }
  };
  nn::Sequential net(nn::Linear(5, 5, {.dtype = f64}), Unused{});
  Recorder going_on(net, {.every = 0, .out = folder, .alarms = {.stop_on = "nonfinite"}});
  going_on.backward(mean(net(inputs(2))));
  CHECK(going_on.alarms().size() == 2);
  Recorder stopping(net, {.every = 0, .out = folder, .name = "stops", .alarms = {.stop_on = "no_gradient"}});
  net.zero_grad();
  CHECK(
      error_of([&] { stopping.backward(mean(net(inputs(2)))); }).starts_with("Recorder: step 0: no_gradient at 1.a: "));
  CHECK(stopping.alarms().size() == 2);
}

TEST_CASE("Recorder: a step is in the file once the optimiser has made it") {
  const Folder folder;
  nn::Linear net(5, 1, {.dtype = f64});
  optim::SGD opt(net.parameters(), {.lr = 0.1});
  Recorder recorder(net, {.every = 0, .out = folder});
  for (size_t t = 1; t < 3; ++t) {
    recorder.backward(mean(square(net(inputs(2)))));
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    opt.step({.clip_norm = 1e-3});
    REQUIRE(folder.run().points.size() == t);
    CHECK(folder.run().points.back().clipped);
  }
}

struct Breaks : nn::Module {
  Tensor unused = ones({2}, {.dtype = f64, .requires_grad = true});
  Tensor forward(Tensor x) override { return log(std::move(x) - 100); }
  void fields(nn::Fields& f) override { f("unused", unused); }
};

TEST_CASE("Recorder: where a value is not finite first, and a parameter without a gradient") {
  const Folder folder;
  nn::Sequential net(nn::Linear(5, 5, {.dtype = f64}), Breaks{}, nn::Tanh());
  Recorder recorder(net, {.every = 1, .out = folder, .sites = "*"});
  recorder.backward(mean(net(inputs(2))));
  REQUIRE(recorder.alarms().size() == 3);
  CHECK(recorder.alarms()[0].kind == "no_gradient");
  CHECK(recorder.alarms()[0].site == "1.unused");
  CHECK(recorder.alarms()[1].site == "1");
  CHECK(recorder.alarms()[1].message == "its output is not finite");
  CHECK(recorder.alarms()[2].message == "the loss is NaN");
}

TEST_CASE("Recorder: a parameter that loses its gradient later on is told of once, at a step that is due") {
  const Folder folder;
  nn::Sequential net = tanh_layers(2);
  Recorder recorder(net, {.every = 2, .out = folder});
  for (int step = 0; step < 7; ++step) {
    net.zero_grad();
    const Tensor x = inputs(2);
    recorder.backward(mean(square(step < 3 ? net(x) : net[1](x))));  // from step 3 on without the first layer
    CHECK(recorder.alarms().size() == (step < 4 ? 0 : 2));
  }
  CHECK(recorder.alarms()[0].step == 4);
  CHECK(recorder.alarms()[0].kind == "no_gradient");
  CHECK(recorder.alarms()[0].site == "0.0.weight");
  CHECK(recorder.alarms()[1].site == "0.0.bias");
}

TEST_CASE("Recorder: with a trace the alarm says where it comes from, once") {
  const Folder folder;
  nn::Sequential net(nn::Linear(5, 5, {.dtype = f64}), Breaks{}, nn::Tanh());
  Recorder recorder(net, {.every = 1, .out = folder, .alarms = {.trace = true, .no_gradient = false}});
  recorder.backward(mean(net(inputs(2))));
  REQUIRE(recorder.alarms().size() == 2);
  CHECK(recorder.alarms()[0].kind == "nonfinite");
  CHECK(recorder.alarms()[0].site == "1");
  CHECK(recorder.alarms()[0].message.starts_with("log (2, 5) in 1 is not finite: NaN at element 0, sample 0; 10 in"));
  CHECK(recorder.alarms()[1].site == "2");
  CHECK(recorder.alarms()[1].message.starts_with("the gradient of log (2, 5) in 1, made by the rule of tanh (2, 5)"));
  recorder.backward(mean(net(inputs(2))));
  CHECK(recorder.alarms().size() == 4);
  CHECK(recorder.alarms()[2].message == "its output is not finite");
}

TEST_CASE("sharpness: the largest eigenvalue, and its direction") {
  const Tensor a = tensor({{2.0, 1}, {1, 3}}, {.dtype = f64}), w = tensor({0.3, -0.2}, {.dtype = f64}).requires_grad_();
  const Tensor v = tensor({0.5}, {.dtype = f64}).requires_grad_();
  const Tensor loss = 0.5 * matmul(w, matmul(a, w)) + 4 * square(v[0]);
  const auto s = probe::sharpness(loss, std::vector<Tensor>{w, v});
  CHECK(s.value == doctest::Approx(8));
  CHECK(std::abs(s.direction[1].item()) == doctest::Approx(1));
  CHECK(s.residual < 1e-3);
  CHECK(probe::sharpness(loss, std::vector<Tensor>{w}).value == doctest::Approx((5 + std::sqrt(5)) / 2));
  const auto warm = probe::sharpness(loss, std::vector<Tensor>{w, v}, {.start = s.direction});
  CHECK(warm.iterations == 1);
  CHECK(error_of([&] { probe::sharpness(loss, std::vector<Tensor>{w}, {.iterations = 0}); }) ==
        "sharpness: 0 iterations, at least 1 is needed");
  const std::vector<Tensor> unused{ones({2}, {.requires_grad = true}), ones({3})};
  CHECK(error_of([&] { probe::sharpness(loss, unused); }) == "sharpness: the loss depends on none of the 2 parameters");
  // A loss that is no number leaves no direction, and what is measured next begins at random.
  const auto none = probe::sharpness(loss * NAN, std::vector<Tensor>{w, v});
  CHECK(std::isnan(none.value));
  CHECK(probe::sharpness(loss, std::vector<Tensor>{w, v}, {.start = none.direction}).value ==
        doctest::Approx(s.value).epsilon(1e-6));
}

TEST_CASE("sharpness: of parameters of two dtypes") {
  const Tensor w = ones({2}, {.requires_grad = true}), v = ones({2}, {.dtype = f64, .requires_grad = true});
  const Tensor loss = sum(square(w).to(f64) * v) + sum(square(v)) * 2;  // the Hessian's blocks are (2, 2; 2, 4)
  const auto s = probe::sharpness(loss, std::vector<Tensor>{w, v});
  CHECK(s.value == doctest::Approx(3 + std::sqrt(5)));
  CHECK(s.direction[0].dtype() == f32);
  CHECK(s.direction[1].dtype() == f64);
}

TEST_CASE("Recorder: sharpness goes into the record beside 2 / lr") {
  const Folder folder;
  nn::Sequential net(nn::Linear(5, 1, {.bias = false, .dtype = f64}));
  const Tensor x = inputs(6);
  {
    Recorder recorder(net, {.every = 0, .out = folder});
    const Tensor loss = 0.5 * mean(square(net(x)));
    const double found = recorder.sharpness(loss, 0.1);
    const Tensor w = zeros({5}, {.dtype = f64, .requires_grad = true});  // the Hessian is x^T x / 6
    const double s = probe::Jacobian(matmul(x, w), w, {.batch_axis = -1}).singular_values().to_vector()[0];
    CHECK(found == doctest::Approx(s * s / 6).epsilon(1e-6));
    recorder.backward(loss);
  }
  const auto run = folder.run();
  REQUIRE(run.sharpness.size() == 1);
  CHECK(run.sharpness[0].edge == 20.0);
}

TEST_CASE("Recorder: Lyapunov exponents go into the record, with their course") {
  const Folder folder;
  manual_seed(4);
  nn::Sequential net(nn::RNN(5, 3, {.dtype = f64}));
  const nn::RNN& rnn = dynamic_cast<nn::RNN&>(net[0]);
  const probe::Lyapunov found = probe::lyapunov(rnn, inputs(60), {.steps = 40, .transient = 20, .points = 4});
  const probe::Lyapunov two = probe::lyapunov(rnn, inputs(60), {.steps = 40, .transient = 20, .exponents = 2});
  {
    Recorder recorder(net, {.every = 0, .out = folder});
    recorder.backward(sum(net(inputs(6).reshape({6, 1, 5}))));
    recorder.lyapunov("0", found);
    recorder.lyapunov("0", two);
    recorder.finish();
    recorder.lyapunov("0", found);  // not recorded
  }
  const auto run = folder.run();
  REQUIRE(run.lyapunov.size() == 2);
  const auto& first = run.lyapunov[0];
  CHECK((first.step == 1 && first.site == "0" && first.exponents == found.exponents));
  CHECK(first.steps == std::vector<double>{10, 20, 30, 40});
  REQUIRE(first.convergence.size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(first.convergence[i] == found.curve[i].exponents);
  CHECK(*first.log_det == found.log_det);
  CHECK(*first.sum == doctest::Approx(found.log_det).epsilon(1e-9));
  CHECK(first.kaplan_yorke == found.dimension);
  CHECK(run.lyapunov[1].exponents == two.exponents);
  CHECK((!run.lyapunov[1].sum && !run.lyapunov[1].log_det));
}
