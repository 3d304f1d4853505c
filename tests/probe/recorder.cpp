#include "fathom/probe/recorder.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/fused.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/slice.h"
#include "fathom/nn/activations.h"
#include "fathom/nn/containers.h"
#include "fathom/nn/linear.h"
#include "fathom/probe/jacobian.h"
#include "fathom/probe/record.h"
#include "tests/probe/recorded_net.h"
#include "tests/probe/recorder_support.h"
#include "tests/support.h"

using namespace fathom;
using namespace recorded_net;
using probe::Recorder;

namespace {

// The losses and the weights after a few steps of gradient descent, and the random numbers used.
std::vector<double> trained(const Folder* folder) {
  manual_seed(5);
  Net net;
  std::optional<Recorder> recorder;
  if (folder) recorder.emplace(net, probe::RecorderOptions{.every = 2, .out = *folder});
  std::vector<double> numbers;
  for (int step = 0; step < 6; ++step) {
    const Tensor loss = mean(square(net(batch(7, uint64_t(step)))));
    numbers.push_back(loss.item());
    net.zero_grad();
    if (recorder) recorder->backward(loss);
    else loss.backward();
    const NoGrad off;
    for (Tensor& w : net.parameters()) w -= w.grad() * 0.3;
  }
  for (const Tensor& w : net.parameters())
    for (double value : w.to_vector()) numbers.push_back(value);
  numbers.push_back(double(default_rng().position));
  return numbers;
}

}  // namespace

TEST_CASE("Recorder: training is the same, bit for bit, with one and without") {
  const Folder folder;
  const auto with = trained(&folder), without = trained(nullptr);
  REQUIRE(with.size() == without.size());
  for (size_t i = 0; i < with.size(); ++i) CHECK(with[i] == without[i]);
}

TEST_CASE("Recorder: what it measures is what the Jacobians are") {
  const Folder folder;
  manual_seed(1);
  Net net;
  net.eval();
  Recorder recorder(net, {.every = 1, .out = folder, .cold_steps = 2000, .probes = 8});
  CHECK(recorder.sites() == std::vector<std::string>{"in", "blocks.0", "blocks.1", "dropout", "out"});
  const Tensor x = batch(4);
  recorder.backward(mean(square(net(x))));
  const auto& last = recorder.last();
  REQUIRE(last.size() == 5);
  CHECK(last[0].site == "in");
  CHECK(last[4].site == "out");

  // The same by hand, over a tape of one's own.
  std::vector<Tensor> at = {batch(4).requires_grad_()};
  at.push_back(net.in.forward(at[0]));
  for (Block& block : net.blocks) at.push_back(block.forward(at.back()));
  at.push_back(net.out.forward(at.back()));
  const Tensor loss = mean(square(at.back()));
  const std::vector<Tensor> g = grad(loss, at);
  for (size_t i = 0; i < 4; ++i) {
    const auto& m = last[i < 3 ? i : 4];
    const probe::Jacobian j(at[i + 1], at[i]);
    double largest = 0, squares = 0;
    const Tensor values = j.singular_values();
    for (double s : values.to_vector()) largest = std::max(largest, s), squares += s * s;
    CHECK(m.has_jacobian);
    CHECK_FALSE(m.coupled);
    CHECK(m.sigma_max == doctest::Approx(largest).epsilon(1e-4));
    CHECK(m.sigma_max <= largest * (1 + 1e-5));
    CHECK(m.sigma_least <= m.sigma_median);
    CHECK(m.sigma_median <= m.sigma_max);
    CHECK(m.frobenius == doctest::Approx(std::sqrt(squares / 4)).epsilon(1e-5));  // exact: a side is at most 8
    CHECK(m.grad_in == doctest::Approx(g[i].norm().item()).epsilon(1e-5));
    CHECK(m.grad_out == doctest::Approx(g[i + 1].norm().item()).epsilon(1e-5));
    CHECK(m.gain == doctest::Approx(m.grad_in / m.grad_out));
    const Tensor y = at[i + 1];
    CHECK(m.activation_rms == doctest::Approx(y.norm().item() / std::sqrt(double(y.numel()))).epsilon(1e-5));
  }
  CHECK(last[3].sigma_max == doctest::Approx(1));  // dropout in evaluation gives back its input
  CHECK(last[3].gain == doctest::Approx(1));
  CHECK(last[4].weight_norm ==
        doctest::Approx(std::hypot(net.out.weight.norm().item(), net.out.bias.norm().item())).epsilon(1e-5));
}

TEST_CASE("Recorder: the record is whole after every step, and the report reads it") {
  const Folder folder;
  Net net;
  {
    Recorder recorder(net, {.every = 2,
                            .out = folder,
                            .name = "a",
                            .info = {{"net", "plain"}, {"depth", "2"}, {"lr", "0.1"}, {"a \"b\"", "c\\d\n"}}});
    for (int step = 0; step < 3; ++step) {
      recorder.backward(mean(square(net(batch(4)))));
      recorder.flush();
      CHECK(probe::record::read(recorder.path()).runs[0].points.size() == size_t(step + 1));
    }
    CHECK(recorder.steps() == 3);
    const std::string status = recorder.status(1);
    CHECK(status.starts_with("step 2  loss "));
    const auto far = [](const auto& m) { return std::abs(std::log10(m.sigma_max)); };
    const auto& last = recorder.last();
    const auto worst = std::max_element(last.begin(), last.end(), [&](auto& a, auto& b) { return far(a) < far(b); });
    CHECK(status.find("sigma_max " + worst->site + " ") != std::string::npos);
    CHECK(recorder.measuring_seconds() > 0);
    CHECK(recorder.measuring_seconds() < recorder.seconds());
    recorder.finish({.accuracy = 0.5});
    recorder.report(folder.path / "report.html");
    CHECK(std::filesystem::file_size(folder.path / "report.html") > 1000);
    recorder.backward(mean(square(net(batch(4)))));  // no longer recorded
  }
  const auto run = probe::record::read(folder.path / "record.jsonl").runs[0];
  CHECK(run.name == "a");
  CHECK(run.net == "plain");
  CHECK(run.depth == 2);
  CHECK(run.options.at("lr") == "0.1");
  CHECK(run.options.at("a \"b\"") == "c\\d\n");
  REQUIRE(run.layers.rows.size() == 5);
  CHECK(run.layers.rows[size_t(run.layers.order[0])] == "in");
  CHECK(run.layers.rows[size_t(run.layers.order[4])] == "out");
  REQUIRE(run.layers.frames.size() == 2);
  CHECK(run.layers.frames[1].step == 2);
  CHECK(run.points.size() == 3);
  CHECK(run.points[0].grad_norm.value() > 0);
  CHECK(run.ending.value().steps == 3);
  CHECK(run.ending.value().accuracy == 0.5);

  // Another run, appended; half a line that a crash left is cut off.
  std::ofstream(folder.path / "record.jsonl", std::ios::app) << R"({"type":"st)";
  manual_seed(77);
  { Recorder recorder(net, {.out = folder, .name = "b"}); }
  const auto both = probe::record::read(folder.path / "record.jsonl");
  REQUIRE(both.runs.size() == 2);
  CHECK(both.runs[1].seed == 77);  // the default random numbers', unless another is told

  { Recorder recorder(net, {.out = folder, .name = "c", .info = {{"seed", "18446744073709551615"}, {"depth", "-3"}}}); }
  for (const json& line : folder.lines())
    if (line["type"] == "run" && line["run"] == "c") {
      CHECK(line["seed"] == 18446744073709551615u);
      CHECK(line["depth"] == -3);
    }
}

TEST_CASE("Recorder: the norm may be told; numbers that are none are recorded as such") {
  const Folder folder;
  Net net;
  Recorder recorder(net, {.every = 0, .out = folder, .grad_norm = false});
  recorder.backward(mean(square(net(batch(4)))));
  CHECK(folder.lines().size() == 1);
  recorder.step(4.5);
  recorder.flush();
  CHECK(folder.lines().back()["log10_grad_norm"] == std::log10(4.5));
  CHECK(folder.run().points.back().grad_norm.value() == doctest::Approx(4.5).epsilon(1e-15));
  recorder.backward(mean(square(net(batch(4)))) * INFINITY);
  recorder.step(NAN);
  recorder.flush();
  CHECK(folder.lines().back()["loss"] == "Infinity");
  CHECK(folder.lines().back()["log10_grad_norm"] == "NaN");
}

TEST_CASE("Recorder: of two at once in one record each has a name of its own") {
  const Folder folder;
  Net net;
  const auto record = [&](const std::string& name) { Recorder recorder(net, {.out = folder, .name = name}); };
  {
    Recorder first(net, {.out = folder, .name = "a"});
    CHECK(error_of([&] { record("a"); }) ==
          "Recorder: another is recording a run \"a\" in " + first.path() + "; give this one another .name or .out");
    record("b");
    first.finish();
    record("a");
  }
  Tensor y;
  try {
    Recorder last(net, {.out = folder, .name = "a"});
    y = net(batch(4));  // its tape outlives the recorder, and holds on to what it measured with
    throw Error("the program's own");
  } catch (const Error&) {
  }
  record("a");
  std::string names;
  for (const auto& run : probe::record::read(folder.path / "record.jsonl").runs) names += run.name + ";";
  CHECK(names == "a;b;a (2);a (3);a (4);");
}

TEST_CASE("Recorder: either may die first, and nothing is left behind") {
  const int64_t nodes = Node::live, storages = Storage::live;
  {
    const Folder folder;
    auto net = std::make_unique<Net>();
    Tensor loss;
    {
      Recorder recorder(*net, {.every = 1, .out = folder});
      loss = mean(square((*net)(batch(4))));
    }
    CHECK(nn::observer == nullptr);
    loss.backward();
    auto recorder = std::make_unique<Recorder>(*net, probe::RecorderOptions{.every = 1, .out = folder});
    Recorder second(*net, {.every = 1, .out = folder, .name = "second"});
    loss = mean(square((*net)(batch(4))));
    net.reset();
    recorder->backward(loss);
    CHECK(recorder->last().size() == 5);
    CHECK(second.last().empty());
    recorder.reset();
  }
  CHECK(nn::observer == nullptr);
  CHECK(Node::live == nodes);
  CHECK(Storage::live == storages);
}

TEST_CASE("Recorder: a step without its backward() is not left behind") {
  const int64_t nodes = Node::live, storages = Storage::live;
  {
    const Folder folder;
    Net net;
    const probe::RecorderOptions options{.every = 1, .details_every = 1, .out = folder};
    {
      Recorder recorder(net, options);
      net(batch(4));
    }
    {
      Recorder recorder(net, options);
      mean(square(net(batch(4)))).backward();
    }
    {
      Recorder recorder(net, options);
      CHECK_THROWS_AS(net(randn({4, 6}).requires_grad_() * 2), Error);
    }
  }
  CHECK(Node::live == nodes);
  CHECK(Storage::live == storages);
}

TEST_CASE("Recorder: what is wrong is said when it is made") {
  const Folder folder;
  Net net;
  std::ofstream(folder.path / "file") << "x";
  const std::string below = (folder.path / "file" / "run").string();
  CHECK(error_of([&] { Recorder(net, {.out = below}); }).find("Recorder: " + below + ": cannot be made: ") == 0);
  std::filesystem::create_directories(folder.path / "taken" / "record.jsonl");
  const std::string taken = (folder.path / "taken").string();
  CHECK(error_of([&] { Recorder(net, {.out = taken}); }) ==
        "Recorder: cannot write " + taken + "/record.jsonl: Is a directory");
  CHECK(error_of([&] { Recorder(net, {.out = folder, .sites = "none.*"}); }) ==
        "Recorder: no module fits the sites \"none.*\"; the first of 8 modules is in");
  CHECK(error_of([&] { Recorder(net, {.every = -1, .out = folder}); }) == "Recorder: every must be at least 0, got -1");
  CHECK(error_of([&] { Recorder(net, {.out = folder, .probes = 0}); }) == "Recorder: probes must be at least 1, got 0");
}
