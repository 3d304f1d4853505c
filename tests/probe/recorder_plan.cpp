// What a recorder measures beside sigma_max: parameters, clipping, on a probe.
#include <algorithm>  // max
#include <cmath>
#include <optional>

#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "fathom/optim/optim.h"
#include "fathom/probe/farthest.h"
#include "fathom/probe/jacobian.h"
#include "fathom/probe/recorder.h"
#include "tests/probe/recorder_support.h"
#include "tests/support.h"

using probe::Recorder;

TEST_CASE("Recorder: with all it can do, training is the same, bit for bit") {
  const auto trained = [](const Folder* folder) {
    manual_seed(5);
    nn::Sequential net(nn::Linear(5, 6), nn::ReLU(), nn::Dropout(0.3), nn::Linear(6, 6), nn::Tanh(), nn::Linear(6, 2));
    optim::AdamW opt(net.parameters(), {.lr = 0.01});
    std::optional<Recorder> recorder;
    if (folder)
      recorder.emplace(net, probe::RecorderOptions{.every = 2,
                                                   .gains_every = 1,
                                                   .details_every = 4,
                                                   .parameters_every = 1,
                                                   .out = *folder,
                                                   .probe = inputs(3).to(f32),
                                                   .alarms = {.loss_spike = 3, .exploding = 1e3, .vanishing = 1e-9}});
    std::vector<double> numbers;
    for (int step = 0; step < 9; ++step) {
      const Tensor loss = mean(square(net(inputs(7, uint64_t(step)).to(f32))));
      numbers.push_back(loss.item());
      opt.zero_grad();
      if (recorder) recorder->backward(loss);
      else loss.backward();
      opt.step({.clip_norm = 0.5});
    }
    for (const Tensor& w : net.parameters())
      for (double value : w.to_vector()) numbers.push_back(value);
    numbers.push_back(double(default_rng().position));
    return numbers;
  };
  const Folder folder;
  CHECK(trained(&folder) == trained(nullptr));
}

TEST_CASE("Recorder: on a probe, the Jacobians are the probe's and the gradients the batch's") {
  const Folder folder;
  manual_seed(1);
  nn::Sequential net = tanh_layers(2);
  const Tensor probe_inputs = inputs(3, 9), x = inputs(8);
  Recorder recorder(net, {.every = 1, .out = folder, .sites = "*", .probe = probe_inputs, .cold_steps = 500});
  recorder.backward(mean(square(net(x))));
  const auto& last = recorder.last();
  REQUIRE(last.size() == 2);
  const Tensor p0 = probe_inputs.detach().requires_grad_(), p1 = net[0](p0), p2 = net[1](p1);
  const Tensor of[] = {p0, p1, p2};
  for (size_t l = 0; l < 2; ++l) {
    const auto values = probe::Jacobian(of[l + 1], of[l]).singular_values().to_vector();
    CHECK(last[l].sigma_max == doctest::Approx(std::max({values[0], values[5], values[10]})).epsilon(1e-3));
  }
  const Tensor x0 = x.detach().requires_grad_(), x1 = net[0](x0), x2 = net[1](x1);
  const auto g = grad(mean(square(x2)), {x0, x1, x2});
  CHECK(std::isnan(last[0].grad_in));  // training does not find it
  CHECK(last[0].grad_out == doctest::Approx(norm(g[1]).item()));
  CHECK(last[1].gain == doctest::Approx(norm(g[1]).item() / norm(g[2]).item()));
  recorder.flush();
  const auto rows = folder.run().layers.frames.at(0).rows;
  CHECK(rows[0].second[probe::record::gain] == probe::record::missing);
  CHECK(rows[0].second[probe::record::grad_in] == probe::record::missing);
  CHECK(rows[1].second[probe::record::gain] == doctest::Approx(std::log10(last[1].gain)).epsilon(1e-5));
}

TEST_CASE("Recorder: norms of weight, gradient and update, from the optimiser's own pass") {
  const Folder folder;
  manual_seed(3);
  nn::Sequential net(nn::Linear(5, 300), nn::Linear(300, 1));
  optim::Adam opt(net.parameters(), {.lr = 0.01});
  {
    Recorder recorder(net, {.every = 0, .parameters_every = 2, .out = folder});
    for (int step = 0; step < 3; ++step) {
      std::vector<Tensor> before;
      for (const Tensor& w : net.parameters()) before.push_back(w.detach().clone());
      opt.zero_grad();
      recorder.backward(mean(square(net(inputs(4).to(f32)))));
      opt.step({.clip_norm = 1e-3});
      if (step == 1) continue;
      const auto& last = recorder.last_parameters();
      REQUIRE(last.size() == 4);
      const auto named = net.named_parameters();
      for (size_t i = 0; i < 4; ++i) {
        CHECK(last[i].name == named[i].name);
        CHECK(last[i].weight_norm == doctest::Approx(norm(before[i]).item()).epsilon(1e-5));
        CHECK(last[i].grad_norm == doctest::Approx(norm(named[i].tensor.grad()).item()).epsilon(1e-5));
        CHECK(last[i].update_norm == doctest::Approx(norm(named[i].tensor.detach() - before[i]).item()).epsilon(1e-3));
      }
    }
  }
  const auto run = folder.run();
  CHECK(run.parameters.rows == std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias"});
  REQUIRE(run.parameters.frames.size() == 2);
  CHECK(run.parameters.frames[1].step == 2);
}

TEST_CASE("Recorder: a step whose gradients were clipped says so") {
  const Folder folder;
  nn::Linear net(5, 1);
  optim::SGD opt(net.parameters(), {.lr = 0.01});
  for (const bool summed : {true, false}) {
    Recorder recorder(net, {.every = 0, .out = folder, .name = summed ? "summed" : "told", .grad_norm = summed});
    for (const double limit : {1e-3, 1e9, 1e-3}) {
      opt.zero_grad();
      recorder.backward(mean(square(net(inputs(4).to(f32)))));
      const double norm = opt.step({.clip_norm = limit});
      if (!summed) recorder.step(norm);
    }
  }
  for (const probe::record::Run& run : probe::record::read((folder.path / "record.jsonl").string()).runs) {
    REQUIRE(run.points.size() == 3);
    for (size_t i = 0; i < 3; ++i) {
      CHECK(run.points[i].clipped == (i != 1));
      CHECK(run.points[i].grad_norm.has_value());
    }
  }
}

TEST_CASE("Recorder: a step says so too where clip_grad_norm clipped before the optimiser's step") {
  const Folder folder;
  nn::Linear net(5, 1);
  optim::SGD opt(net.parameters(), {.lr = 0.01});
  {
    Recorder recorder(net, {.every = 0, .out = folder});
    for (const double limit : {1e-3, 1e9}) {
      opt.zero_grad();
      recorder.backward(mean(square(net(inputs(4).to(f32)))));
      optim::clip_grad_norm(net.parameters(), limit);
      opt.step({.clip_norm = 1e9});
    }
  }
  const auto run = folder.run();
  REQUIRE(run.points.size() == 2);
  CHECK(run.points[0].clipped);
  CHECK(!run.points[1].clipped);
}

TEST_CASE("Recorder: the gradients' norm is that of all parameters, whatever an optimiser steps, before clipping") {
  for (const size_t stepped : {1, 4}) {
    const Folder folder;
    nn::Sequential net = tanh_layers(2);
    const std::vector<Tensor> all = net.parameters();
    optim::SGD some({all.begin(), all.begin() + std::ptrdiff_t(stepped)}, {.lr = 0.1});
    std::vector<double> norms;
    {
      Recorder recorder(net, {.every = 0, .parameters_every = 2, .out = folder});
      for (int step = 0; step < 3; ++step) {
        net.zero_grad();
        recorder.backward(mean(square(net(inputs(4)))));
        norms.push_back(optim::clip_grad_norm(all, 1e-3));
        some.step();
      }
    }
    for (size_t step = 0; step < 3; ++step)
      CHECK(folder.run().points.at(step).grad_norm.value() == doctest::Approx(norms[step]).epsilon(1e-12));
  }
}

TEST_CASE("Recorder: the step that ends in an exception is in the record") {
  const Folder folder;
  nn::Sequential net = tanh_layers(2);
  try {
    Recorder recorder(net, {.every = 0, .out = folder, .grad_norm = false});
    recorder.backward(mean(square(net(inputs(4)))));
    throw Error("the program's own");
  } catch (const Error&) {
  }
  CHECK(folder.run().points.size() == 1);
  CHECK_FALSE(folder.run().ending.has_value());
}

TEST_CASE("what is farthest from one comes first, a NaN before all") {
  const std::vector<double> logarithms = {0.5, -2, 0, NAN, 2, -INFINITY};
  CHECK(probe::farthest_from_one(logarithms) == std::vector<size_t>{3, 5, 1, 4, 0, 2});
  CHECK(probe::farthest_from_one({}).empty());
}

TEST_CASE("Recorder: a probe leaves running statistics as they are") {
  const Folder folder;
  manual_seed(6);
  nn::Sequential net(nn::Linear(5, 4, {.dtype = f64}), nn::BatchNorm1d(4, {.dtype = f64}), nn::Tanh());
  Recorder recorder(net, {.every = 1, .details_every = 1, .out = folder, .probe = inputs(6, 9)});
  const auto buffers = [&] {
    std::vector<std::vector<double>> all;
    for (const nn::NamedTensor& each : net.named_buffers()) all.push_back(each.tensor.to_vector());
    return all;
  };
  const auto before = buffers();
  const Tensor loss = mean(square(net(inputs(7))));
  const auto after = buffers();
  CHECK(before != after);
  recorder.backward(loss);
  CHECK(buffers() == after);
  REQUIRE(recorder.last().size() == 3);
  CHECK(recorder.last()[1].coupled);  // so the probe was there, in training
}

TEST_CASE("Recorder: the batch axis is the module's") {
  struct TimeFirst : nn::Module {
    nn::Linear linear{5, 5, {.dtype = f64}};
    Tensor forward(Tensor x) override { return cumsum(linear(std::move(x)), 0); }  // steps reach later ones
    void fields(nn::Fields& f) override { f("linear", linear); }
    int64_t batch_axis() const override { return 1; }
  };
  const Folder folder;
  nn::Sequential net(TimeFirst{});
  Recorder recorder(net, {.every = 1, .out = folder, .sites = "0", .cold_steps = 300});
  Rng rng(1);
  const Tensor x = randn({3, 2, 5}, {.dtype = f64}, rng);
  recorder.backward(sum(square(net(x))));
  CHECK_FALSE(recorder.last()[0].coupled);
  const Tensor x0 = x.detach().requires_grad_();
  const auto values = probe::Jacobian(net(x0), x0, {.batch_axis = 1}).singular_values().to_vector();
  CHECK(recorder.last()[0].sigma_max == doctest::Approx(values[0]).epsilon(1e-3));
}
