// What a recorder says of the gradient at a site: gains and norms, where they are known.
#include <cmath>

#include "fathom/autograd/grad.h"
#include "fathom/autograd/node.h"
#include "fathom/autograd/ops.h"
#include "fathom/probe/recorder.h"
#include "tests/probe/recorder_support.h"
#include "tests/support.h"

using probe::Recorder;

TEST_CASE("Recorder: gains alone at the steps between") {
  const Folder folder;
  nn::Sequential net = tanh_layers(2);
  Recorder recorder(net, {.every = 2, .gains_every = 1, .out = folder, .sites = "*"});
  for (int step = 0; step < 2; ++step) {
    recorder.backward(mean(square(net(inputs(3)))));
    CHECK(recorder.last().size() == 2);
    CHECK(recorder.last()[0].has_jacobian == (step == 0));
    CHECK(std::isnan(recorder.last()[0].gain) == (step == 1));  // its input is data
    CHECK(recorder.last()[1].gain > 0);
    CHECK(recorder.status().find("sigma_max ") != std::string::npos);  // as last measured
  }
}

// Layers with an op between them that is no site's.
struct Squashed : nn::Module {
  nn::Sequential layers = tanh_layers(3);
  Tensor forward(Tensor x) override {
    for (size_t l = 0; l < layers.size(); ++l) x = sigmoid(0.1 * layers[l](x));
    return x;
  }
  void fields(nn::Fields& f) override { f("layers", layers); }
};

TEST_CASE("Recorder: from end to end counts what lies between the sites, live, in alarms and in the record") {
  const Folder folder;
  Squashed net;
  Recorder recorder(net, {.every = 1, .out = folder, .sites = "layers.*", .alarms = {.vanishing = 1e-3}});
  Tensor x = inputs(3).requires_grad_();
  const Tensor y = net(x);
  recorder.backward(sum(square(y)));
  recorder.flush();

  const auto& sites = recorder.last();
  REQUIRE(sites.size() == 3);
  const double expected = std::log10(sites[0].grad_in / sites[2].grad_out);
  CHECK(sites[0].grad_in == doctest::Approx(norm(x.grad()).item()));
  CHECK(expected < -3);
  CHECK(log10_gain(sites) == doctest::Approx(expected).epsilon(1e-12));
  double of_gains = 0;
  for (const auto& m : sites) of_gains += std::log10(m.gain);
  CHECK(of_gains > expected + 1);
  REQUIRE(recorder.alarms().size() == 1);
  CHECK(recorder.alarms()[0].kind == "vanishing");
  const auto run = folder.run();
  const auto left = [&](size_t l) { return run.layers.frames.at(0).rows.at(l).second[probe::record::gradient_left]; };
  CHECK(left(0) == doctest::Approx(expected).epsilon(1e-6));
  CHECK(left(1) == doctest::Approx(std::log10(sites[1].grad_in / sites[2].grad_out)).epsilon(1e-6));
  CHECK(left(2) == doctest::Approx(std::log10(sites[2].gain)).epsilon(1e-6));
}

TEST_CASE("Recorder: a gradient that is no number is in the record, though the input is data") {
  const Folder folder;
  nn::Sequential net = tanh_layers(2);
  Recorder recorder(net, {.every = 1, .out = folder, .sites = "*", .samples = 2});
  recorder.backward(mean(square(net(inputs(6)))) * NAN);
  recorder.flush();
  const auto run = folder.run();
  for (const auto& [row, values] : run.layers.frames.at(0).rows) {
    CHECK(std::isnan(values[probe::record::gain]));
    CHECK(std::isnan(values[probe::record::grad_in]));
  }
}

TEST_CASE("Recorder: the gain of a site whose input is data, of the samples that count") {
  const Folder folder;
  nn::Sequential net = tanh_layers(2);
  const Tensor x = inputs(6).requires_grad_();
  for (int64_t samples : {0, 2}) {
    Recorder recorder(net, {.every = 1, .out = folder, .sites = "*", .samples = samples});
    recorder.backward(mean(square(net(x.detach()))));
    const Tensor h = net[0](x), loss = mean(square(net[1](h))), g = grad(loss, {h})[0], back = grad(loss, {x})[0];
    const auto norm_of_them = [&](const Tensor& t) { return (samples ? t.slice(0, 0, samples) : t).norm().item(); };
    CHECK(recorder.last()[0].gain == doctest::Approx(norm_of_them(back) / norm_of_them(g)).epsilon(1e-5));
    CHECK(std::isnan(recorder.last()[0].grad_in) == (samples > 0));
    recorder.flush();
    const double grad_in =
        probe::record::read(recorder.path()).runs.back().layers.frames[0].rows[0].second[probe::record::grad_in];
    CHECK((grad_in == probe::record::missing) == (samples > 0));
  }
}

TEST_CASE("Recorder: where others read a site's input too, its gain is its own part") {
  struct Fork : nn::Module {
    nn::Linear in{5, 5, {.dtype = f64}}, left{5, 5, {.dtype = f64}}, right{5, 5, {.dtype = f64}};
    Tensor h, y_left, y_right;
    Tensor forward(Tensor x) override {
      h = tanh(in(std::move(x)));
      y_left = left(h), y_right = right(h);
      return 5 * y_left + tanh(y_right) + h;
    }
    void fields(nn::Fields& f) override {
      f("in", in);
      f("left", left);
      f("right", right);
    }
  };
  const Folder folder;
  manual_seed(2);
  Fork net;
  Recorder recorder(net, {.every = 2, .gains_every = 1, .out = folder});
  for (const bool due : {true, false}) {
    const Tensor loss = sum(square(net(inputs(6))));
    const auto own = [&](const Tensor& y) {
      const Tensor g = grad(loss, y);
      return norm(vjp(y, net.h, g)).item() / norm(g).item();
    };
    const double in_left = own(net.y_left), in_right = own(net.y_right), back = norm(grad(loss, net.h)).item();
    recorder.backward(loss);
    REQUIRE(recorder.last().size() == 3);
    for (const probe::SiteMeasure& m : recorder.last()) {
      if (m.site == "in") continue;
      CHECK(m.grad_in == doctest::Approx(back));
      CHECK(std::isnan(m.gain) == !due);
      if (!due) continue;
      CHECK(m.gain == doctest::Approx(m.site == "left" ? in_left : in_right));
      CHECK(m.gain < m.sigma_max);
      CHECK((m.site == "left" || m.grad_in / m.grad_out > m.sigma_max));
    }
  }
  recorder.finish();
  const auto run = folder.run();
  REQUIRE(run.layers.frames.size() == 2);
  using probe::record::gain, probe::record::grad_in, probe::record::missing;
  for (size_t i : {1, 2}) {
    CHECK(run.layers.frames[0].rows[i].second[gain] != missing);
    CHECK(run.layers.frames[1].rows[i].second[gain] == missing);
    CHECK(run.layers.frames[1].rows[i].second[grad_in] != missing);
  }
}

TEST_CASE("Recorder: a call without backward() leaves no tape behind") {
  const Folder folder;
  nn::Sequential net = tanh_layers(3);
  const Recorder recorder(net, {.every = 1, .out = folder, .sites = "*"});
  const Tensor x = inputs(2);
  const int64_t before = Node::live;
  net(x);
  CHECK(Node::live == before);
}
