// What the instruments cost: one thread. The cases layer_jacobian_* have yardsticks of the same name.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "fathom/autograd/node.h"
#include "fathom/fathom.h"

using namespace fathom;

namespace {

// One tanh(linear) layer of a batch of one.
struct Layer {
  nn::Linear linear;
  Tensor input;

  explicit Layer(int64_t width) : linear(width, width), input(randn({1, width})) {}
  // From nothing: the layer is recorded, and asked.
  template <class F>
  void measure(F f) {
    const Tensor x = input.detach().requires_grad_();
    benchmark::DoNotOptimize(f(probe::Jacobian(tanh(linear(x)), x)));
  }
};

template <class F>
void add_layer_case(const std::string& name, F f) {
  for (int64_t width : {64, 256})
    benchmark::RegisterBenchmark(("layer_jacobian_" + name + "_w" + std::to_string(width)).c_str(),
                                 [=](benchmark::State& state) {
                                   Layer layer(width);
                                   for (auto _ : state) layer.measure(f);
                                 })
        ->Unit(benchmark::kMicrosecond);
}

// A step of a map of three numbers (Baier & Klein's generalised Henon map): its three exponents.
void map_case(benchmark::State& state) {
  const auto map = [](const auto& x) { return std::array{1.76 - x[1] * x[1] - 0.1 * x[2], x[0] + 0, x[1] + 0}; };
  for (auto _ : state)
    benchmark::DoNotOptimize(
        probe::lyapunov_map(map, std::array{0.1, 0.2, 0.3}, {.steps = 99000, .transient = 1000}).exponents[0]);
  state.counters["step"] =
      benchmark::Counter(1e5 * double(state.iterations()), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// The norms of all products of a net of tanh layers, with those of the single layers and without.
void products_case(benchmark::State& state, bool with_bound) {
  constexpr int64_t width = 64, depth = 64, batch = 8;
  std::vector<Tensor> xs{randn({batch, width}, {.requires_grad = true})};
  for (int64_t l = 0; l < depth; ++l) xs.push_back(tanh(linear(xs.back(), randn({width, width}) * 0.15)));
  probe::ProductOptions options;
  if (!with_bound) options.sigma.assign(depth, ones({batch}, {.dtype = f64}));
  for (auto _ : state) benchmark::DoNotOptimize(probe::products_along(xs, options));
}

// Layers tanh(linear), each one site, and a last linear one: of width 64, batch 32 and depth 16
// deep_mlp_w64_b32_d16_adam of train_step.
struct Deep {
  int64_t width, batch, depth;
  nn::Sequential net = layers();
  optim::Adam opt{net.parameters(), {.lr = 1e-3}};
  Tensor x = randn({batch, width}), labels = randint(0, 10, {batch});

  nn::Sequential layers() const {
    nn::Sequential made;
    for (int64_t i = 0; i < depth; ++i) made.push_back(nn::Sequential(nn::Linear(width, width), nn::Tanh()));
    made.push_back(nn::Linear(width, 10));
    return made;
  }
  template <class Backward>
  void step(Backward backward) {
    train(net(x), backward);
  }
  template <class Backward>
  void train(const Tensor& logits, Backward backward) {
    const Tensor loss = nn::cross_entropy(logits, labels);
    opt.zero_grad();
    backward(loss);
    opt.step({.clip_norm = 1});
  }
};

double median(std::vector<double> list) {
  const auto middle = list.begin() + std::ptrdiff_t(list.size() / 2);
  std::nth_element(list.begin(), middle, list.end());
  return *middle;
}

// One step with something to measure, then `others` without, and again: the median time of the first, beside it that of
// the others (`alone_us`) and how much longer training takes (`percent`; with one other, as if each step had it).
template <class With, class Without>
void in_turn(benchmark::State& state, int64_t others, With with, Without without) {
  const auto seconds = [](auto& step) {
    const auto begin = std::chrono::steady_clock::now();
    step();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  std::vector<double> long_ones, short_ones;
  const auto round = [&] {
    long_ones.push_back(seconds(with));
    for (int64_t i = 0; i < others; ++i) short_ones.push_back(seconds(without));
    return long_ones.back();
  };
  for (int i = 0; i < 3; ++i) round();  // the first power iteration starts from nothing
  long_ones.clear(), short_ones.clear();
  for (auto _ : state) state.SetIterationTime(round());
  const double alone = median(short_ones), extra = median(long_ones) - alone;
  state.counters["alone_us"] = 1e6 * alone;
  state.counters["percent"] = 100 * extra / alone / double(others == 1 ? 1 : others + 1);
}

// Every `period`-th step has something due; with a period of 1 the others are those of a second net, without a
// recorder.
void recorded_steps(benchmark::State& state, Deep deep, int64_t period, probe::RecorderOptions options) {
  options.out = (std::filesystem::temp_directory_path() / "fathom_bench_probe").string();
  options.sites.assign(1, '*');
  probe::Recorder recorder(deep.net, options);
  const auto recorded = [&] { deep.step([&](const Tensor& loss) { recorder.backward(loss); }); };
  if (period > 1) return in_turn(state, period - 1, recorded, recorded);
  Deep unrecorded{deep.width, deep.batch, deep.depth};
  in_turn(state, 1, recorded, [&] { unrecorded.step([](const Tensor& loss) { loss.backward(); }); });
}

// sigma_max of each layer by one warm power step, over the tape of the training step, and nothing else.
void power_steps(benchmark::State& state, Deep deep, int64_t period, int64_t samples) {
  std::vector<Tensor> directions(deep.net.size());
  const auto measured = [&] {
    std::vector<Tensor> xs{deep.x.alias()};
    xs[0].set_history(new Leaf(xs[0], false));  // a place on the tape, as a recorder makes one: no gradient is wanted
    for (size_t l = 0; l < deep.net.size(); ++l) xs.push_back(deep.net[l](xs.back()));
    for (size_t l = 0; l < deep.net.size(); ++l) {
      const probe::Jacobian layer(xs[l + 1], xs[l], {.samples = probe::Samples::independent, .leading = samples});
      probe::SigmaOptions how{.iterations = 1, .method = probe::SigmaMethod::power, .upper = false};
      how.start = directions[l], how.unit_start = directions[l].defined();
      directions[l] = layer.sigma_max(how).direction;
    }
    const Tensor logits = xs.back();
    xs.clear();
    deep.train(logits, [](const Tensor& loss) { loss.backward(); });
  };
  in_turn(state, period - 1, measured, [&] { deep.step([](const Tensor& loss) { loss.backward(); }); });
}

void add_recorder_cases(const std::string& net, int64_t width, int64_t batch, int64_t depth) {
  const auto add = [&](const std::string& name, auto run) {
    benchmark::RegisterBenchmark((net + name).c_str(),
                                 [=](benchmark::State& state) {
                                   run(state, Deep{width, batch, depth});
                                 })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  };
  const auto add_recorded = [&](const std::string& name, int64_t period, const probe::RecorderOptions& options) {
    add(name, [=](benchmark::State& state, Deep deep) { recorded_steps(state, std::move(deep), period, options); });
  };
  add_recorded("_nothing_due", 1, {.every = 0, .grad_norm = false});
  add_recorded("_norms", 2, {.every = 0, .gains_every = 2, .parameters_every = 2, .grad_norm = false});
  for (int64_t samples : {batch, int64_t{8}})
    for (int64_t period : {2, 10}) {
      std::string name = "_of_";
      name += std::to_string(samples);
      if (period == 10) name += "_every_10";
      add("_sigma_max" + name,
          [=](benchmark::State& state, Deep deep) { power_steps(state, std::move(deep), period, samples); });
      add_recorded("_recorded" + name, period,
                   {.every = period, .samples = samples, .frobenius = false, .grad_norm = false});
    }
}

}  // namespace

int main(int argc, char** argv) {
  set_threads(1);
  manual_seed(0);
  add_layer_case("sigma_max", [](const probe::Jacobian& j) { return j.sigma_max({.tolerance = 1e-3}); });
  add_layer_case("spectrum", [](const probe::Jacobian& j) { return j.spectrum(); });
  add_layer_case("frobenius", [](const probe::Jacobian& j) { return j.frobenius(); });
  add_recorder_cases("deep_mlp_w64_b32_d16", 64, 32, 17);
  add_recorder_cases("mlp_w512_b128_d8", 512, 128, 8);

  benchmark::RegisterBenchmark("lyapunov_map_3", map_case)->Unit(benchmark::kMicrosecond);
  for (bool with_bound : {false, true})
    benchmark::RegisterBenchmark(with_bound ? "products_w64_b8_d64_bound" : "products_w64_b8_d64",
                                 [=](benchmark::State& state) { products_case(state, with_bound); })
        ->Unit(benchmark::kMicrosecond);

  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
