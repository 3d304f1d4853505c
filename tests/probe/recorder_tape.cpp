// What else may be on the tape, or in the program, beside the one pass of one network.
#include <sys/resource.h>

#include <cmath>
#include <csignal>

#include "fathom/autograd/checkpoint.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "fathom/optim/optim.h"
#include "fathom/probe/jacobian.h"
#include "fathom/probe/recorder.h"
#include "tests/probe/recorder_support.h"
#include "tests/support.h"

using probe::Recorder;

namespace {

const TensorOptions exact{.dtype = f64};
Tensor normal(const Shape& shape, uint64_t seed = 3) {
  Rng rng(seed);
  return randn(shape, exact, rng);
}

// a, then b, whose input goes around it too where `skip` says so.
struct Two : nn::Module {
  nn::Linear a{4, 4, {.dtype = f64}}, b{4, 4, {.dtype = f64}};
  bool skip = false;
  Tensor forward(Tensor x) override {
    const Tensor h = tanh(a(std::move(x)));
    return skip ? h + b(h) : b(h);
  }
  void fields(nn::Fields& f) override { f("a", a), f("b", b); }
};
double gain_of(const Recorder& recorder, const std::string& site, int64_t call = 0) {
  for (const auto& m : recorder.last())
    if (m.site == site && m.call == call) return m.gain;
  return NAN;
}

}  // namespace

TEST_CASE("Recorder: that samples reach each other is seen through factors that are 0, dead units, NaN and modes") {
  const auto linear_then_norm = [] {
    return nn::Sequential(nn::Linear(4, 4, {.dtype = f64}), nn::ReLU(), nn::BatchNorm1d(4, {.dtype = f64}));
  };
  const auto in = [](nn::Module& net, const char* name) {
    for (const auto& each : net.named_parameters())
      if (each.name.ends_with(name)) return each.tensor;
    return Tensor();
  };
  for (const char* start : {"weight of 0", "dead", "NaN", "evaluating"}) {
    INFO(start);
    const Folder folder;
    manual_seed(1);
    nn::Residual net(linear_then_norm());
    const std::string what = start;
    {
      const NoGrad off;
      if (what == "weight of 0") in(net, "2.weight").zero_();
      if (what == "dead") in(net, "0.bias").fill_(-100);
    }
    Recorder recorder(net, {.every = 1, .details_every = 1, .out = folder, .sites = "net"});
    for (int step = 0; step < 2; ++step) {
      net.train();
      if (what == "evaluating" && step == 0)
        for (const auto& each : net.modules())
          if (each.name.ends_with("2")) each.module->eval();
      if (step == 1) {
        const NoGrad off;
        in(net, "2.weight").fill_(1), in(net, "0.bias").fill_(0);
      }
      Tensor x = normal({6, 4}, uint64_t(step));
      if (what == "NaN" && step == 0) x = where(isnan(x) || x == x.amax(), NAN, x);
      recorder.backward(mean(square(net(x))));
    }
    const Tensor x = normal({6, 4}, 1).requires_grad_();
    const probe::Jacobian whole(net(x), x, {.samples = probe::Samples::coupled});
    const auto& m = recorder.last()[0];
    CHECK(m.coupled);
    CHECK(m.sigma_max == doctest::Approx(whole.singular_values().amax().item()).epsilon(1e-9));
  }
}

TEST_CASE("Recorder: sites that do not lead to the loss are in no one's way") {
  struct Heads : nn::Module {
    nn::Linear body{4, 4, {.dtype = f64}}, policy{4, 2, {.dtype = f64}}, value{4, 1, {.dtype = f64}};
    Tensor seen;
    Tensor forward(Tensor x) override {
      const Tensor h = tanh(body(std::move(x)));
      Tensor y = policy(h);
      seen = value(h);
      return y;
    }
    void fields(nn::Fields& f) override { f("body", body), f("policy", policy), f("value", value); }
  } net;
  const Folder folder;
  Recorder recorder(net, {.every = 1, .details_every = 1, .out = folder, .alarms = {.no_gradient = false}});
  const Tensor x = normal({3, 4});
  recorder.backward(mean(square(net(x))));
  REQUIRE(recorder.last().size() == 2);
  recorder.finish();
  const auto run = folder.run();
  CHECK(run.no_chain.empty());
  const Tensor x0 = x.detach().requires_grad_(), y = net.policy(tanh(net.body(x0)));
  const double norm = probe::Jacobian(y, x0).singular_values().amax().item();
  CHECK(run.layers.frames.at(0).rows.at(0).second[probe::record::product] ==
        doctest::Approx(std::log10(norm)).epsilon(1e-6));
}

TEST_CASE("Recorder: a module may change its data in place, as it may without") {
  struct Doubles : nn::Module {
    nn::Linear a{4, 4, {.dtype = f64}};
    Tensor forward(Tensor x) override {
      Tensor flat = x.reshape({12});
      flat.add_(1);
      x.mul_(2);
      return a(x);
    }
    void fields(nn::Fields& f) override { f("a", a); }
  };
  const auto trained = [](bool recorded) {
    const Folder folder;
    manual_seed(1);
    nn::Sequential net(Doubles{}, nn::Linear(4, 2, {.dtype = f64}));
    std::optional<Recorder> recorder;
    if (recorded) recorder.emplace(net, probe::RecorderOptions{.every = 1, .out = folder});
    const Tensor x = normal({3, 4});
    const Tensor loss = mean(square(net(x)));
    recorded ? recorder->backward(loss) : loss.backward();
    std::vector<double> seen = x.to_vector();
    for (const Tensor& w : net.parameters())
      for (const double g : w.grad().to_vector()) seen.push_back(g);
    return seen;
  };
  CHECK(trained(true) == trained(false));
}

TEST_CASE("Recorder: the gain of a site with a shared input is its own, whatever else is recorded") {
  const Tensor x = normal({3, 4});
  const auto measured = [&](bool within_checkpoint, bool another_pass) {
    const Folder folder;
    manual_seed(2);
    Two net;
    net.skip = true;
    Recorder recorder(net, {.every = 1, .out = folder});
    const Tensor loss = mean(square(within_checkpoint ? checkpoint([&](Tensor at) { return net(at); }, x) : net(x)));
    Tensor other;
    if (another_pass) other = net(x * 3);
    recorder.backward(loss);
    return gain_of(recorder, "b");
  };
  manual_seed(2);
  Two net;
  const Tensor h = tanh(net.a(x)).detach().requires_grad_(), z = net.b(h);
  const Tensor u = (2.0 / 12) * (h + z).detach();
  const double truth = (norm(vjp(z, h, u)) / norm(u)).item();
  for (const bool within_checkpoint : {false, true})
    for (const bool another_pass : {false, true})
      CHECK(measured(within_checkpoint, another_pass) == doctest::Approx(truth).epsilon(1e-9));
}

TEST_CASE("Recorder: the product over the sites is the pass's that the loss came of; of two there is none, and why") {
  const Tensor x = normal({3, 4});
  const auto product = [&](int passes) {
    const Folder folder;
    manual_seed(2);
    Two net;
    Recorder recorder(net, {.every = 1, .details_every = 1, .out = folder});
    Tensor loss = mean(square(net(x)));
    Tensor other;
    if (passes == 2) other = net(x * 3);
    if (passes == 3) loss = loss + mean(square(net(x * 2)));
    recorder.backward(loss);
    recorder.finish();
    const auto run = folder.run();
    return std::pair(run.layers.frames.at(0).rows.at(0).second[probe::record::product], run.no_chain);
  };
  CHECK(product(1).first != probe::record::missing);
  CHECK(product(1) == product(2));
  CHECK(product(3) ==
        std::pair(probe::record::missing, std::string("of the 4 sites only 2 lie on the way to the last one")));
}

TEST_CASE("Recorder: what is frozen is measured too, without a gradient") {
  const Folder folder;
  manual_seed(2);
  Two net;
  net.a.freeze();
  Recorder recorder(net, {.every = 1, .details_every = 1, .out = folder});
  const Tensor x = normal({3, 4});
  recorder.backward(mean(square(net(x))));
  REQUIRE(recorder.last().size() == 2);
  const auto& a = recorder.last()[0];
  CHECK(a.site == "a");
  CHECK(!a.trained);
  const Tensor x0 = x.detach().requires_grad_();
  CHECK(a.sigma_max == doctest::Approx(probe::Jacobian(net.a(x0), x0).singular_values().amax().item()));
  CHECK(recorder.last()[1].trained);
  CHECK(recorder.alarms().empty());
  {
    const NoGrad off;
    net.a.weight.fill_(NAN);
  }
  recorder.backward(mean(square(net(x))));
  CHECK(recorder.alarms().at(0).site == "a");
  recorder.finish();
  const auto run = folder.run();
  CHECK(run.no_chain.empty());
  const auto& rows = run.layers.frames.at(0).rows;
  CHECK(run.layers.rows == std::vector<std::string>{"a", "b"});
  CHECK(rows.at(0).second[probe::record::product] != probe::record::missing);
  CHECK(rows.at(0).second[probe::record::gain] == probe::record::missing);
  CHECK(rows.at(1).second[probe::record::gain] != probe::record::missing);
}

TEST_CASE("Recorder: two optimisers of one network are both seen") {
  const Folder folder;
  Two net;
  optim::SGD first(net.b.parameters(), {.lr = 0.1}), second(net.a.parameters(), {.lr = 0.1});
  Recorder recorder(net, {.every = 0, .parameters_every = 1, .out = folder});
  for (int step = 0; step < 2; ++step) {
    net.zero_grad();
    recorder.backward(mean(square(net(normal({3, 4})))));
    first.step();
    second.step({.clip_norm = step ? 1e-6 : 0});
    CHECK(recorder.last_parameters().size() == 4);
  }
  recorder.finish();
  const auto run = folder.run();
  CHECK(!run.points.at(0).clipped);
  CHECK(run.points.at(1).clipped);
  std::vector<std::string> names;
  for (const int row : run.parameters.order) names.push_back(run.parameters.rows[size_t(row)]);
  CHECK(names == std::vector<std::string>{"a.weight", "a.bias", "b.weight", "b.bias"});
}

TEST_CASE("Recorder: a loss of several numbers is none; a gradient that is gone has no gain; to() is told") {
  const Folder folder;
  Two net;
  Recorder recorder(net, {.every = 1, .out = folder, .alarms = {.stop_on = "*"}});
  const Tensor y = net(normal({3, 4}));
  recorder.backward(y, {.cotangent = ones_like(y)});
  CHECK(recorder.status().find("loss -") != std::string::npos);
  net.zero_grad();
  recorder.backward(mean(square(net(normal({3, 4})))) * 0);
  recorder.flush();
  for (const json& line : folder.lines()) {
    if (line["type"] == "step") CHECK(line.contains("loss") == (line["step"] == 1));
    if (line["type"] == "layers")
      for (const json& site : line["sites"]) CHECK(site["log10"].contains("gain") == (line["step"] == 0));
  }
  net.to(f32);
  CHECK(error_of([&] {
          recorder.backward(mean(square(net(randn({3, 4})))));
        }) == "Recorder: a.weight was replaced by Module::to; make the recorder after it");
  CHECK(error_of([&] { Recorder(net, {.out = folder, .name = "b", .alarms = {.vanishing = -1}}); }) ==
        "Recorder: alarms.vanishing must not be negative, got -1");
}

TEST_CASE("Recorder: kurtosis does not depend on the unit of the numbers") {
  const auto kurtosis = [](double unit) {
    const Folder folder;
    manual_seed(2);
    nn::Linear net(4, 4, {.dtype = f64});
    {
      const NoGrad off;
      for (Tensor w : net.parameters()) w.mul_(unit);
    }
    Recorder recorder(net, {.every = 1, .details_every = 1, .out = folder, .sites = "net"});
    recorder.backward(mean(net(normal({30, 4}))));
    return recorder.last()[0].kurtosis;
  };
  for (const double unit : {1e-250, 1e-100, 1e100, 1e250}) CHECK(kurtosis(unit) == doctest::Approx(kurtosis(1)));
}

TEST_CASE("Recorder: a line that could not be written whole is taken back") {
  const Folder folder;
  Two net;
  Recorder recorder(net, {.every = 1, .out = folder});
  const auto step = [&] { recorder.backward(mean(square(net(normal({3, 4}))))), recorder.flush(); };
  step();
  const auto size = std::filesystem::file_size(recorder.path());
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit low = before;
  low.rlim_cur = size + 100;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &low) == 0);
  CHECK_THROWS_AS(step(), Error);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(std::filesystem::file_size(recorder.path()) == size);
  step();
  CHECK(folder.run().points.size() >= 2);
}
