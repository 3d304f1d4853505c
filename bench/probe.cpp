// What the instruments cost: one thread. The cases layer_jacobian_* have yardsticks of the same name.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <string>

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

// deep_mlp_w64_b32_d16_adam of train_step, its layers tanh(linear) as one site each.
struct Deep {
  nn::Sequential net;
  optim::Adam opt;
  Tensor x = randn({32, 64}), labels = randint(0, 10, {32});

  static nn::Sequential layers() {
    nn::Sequential net;
    for (int i = 0; i < 17; ++i) net.push_back(nn::Sequential(nn::Linear(64, 64), nn::Tanh()));
    net.push_back(nn::Linear(64, 10));
    return net;
  }
  Deep() : net(layers()), opt(net.parameters(), {.lr = 1e-3}) {}
  template <class Backward>
  void step(Backward backward) {
    const Tensor loss = nn::cross_entropy(net(x), labels);
    opt.zero_grad();
    backward(loss);
    opt.step({.clip_norm = 1});
  }
};

// The same step without a recorder, with one that has nothing to do, and with measurements at every step.
void add_recorder_cases() {
  const auto add = [](const char* name, bool recorded, probe::RecorderOptions options) {
    benchmark::RegisterBenchmark(name, [=](benchmark::State& state) {
      Deep deep;
      if (!recorded) {
        for (auto _ : state) deep.step([](const Tensor& loss) { loss.backward(); });
        return;
      }
      probe::Recorder recorder(deep.net, options);
      for (auto _ : state) deep.step([&](const Tensor& loss) { recorder.backward(loss); });
    })->Unit(benchmark::kMicrosecond);
  };
  const std::string out = (std::filesystem::temp_directory_path() / "fathom_bench_probe").string();
  add("deep_mlp_w64_b32_d16", false, {});
  add("deep_mlp_w64_b32_d16_nothing_due", true, {.every = 0, .out = out, .grad_norm = false});
  add("deep_mlp_w64_b32_d16_sigma_max", true,
      {.every = 1, .out = out, .sites = "*", .power_steps = 1, .grad_norm = false});
  add("deep_mlp_w64_b32_d16_every_tenth", true,
      {.every = 10, .out = out, .sites = "*", .power_steps = 1, .grad_norm = false});
}

}  // namespace

int main(int argc, char** argv) {
  set_threads(1);
  manual_seed(0);
  add_layer_case("sigma_max", [](const probe::Jacobian& j) { return j.sigma_max({.tolerance = 1e-3}); });
  add_layer_case("spectrum", [](const probe::Jacobian& j) { return j.spectrum(); });
  add_layer_case("frobenius", [](const probe::Jacobian& j) { return j.frobenius(); });
  add_recorder_cases();

  benchmark::RegisterBenchmark("lyapunov_map_3", map_case)->Unit(benchmark::kMicrosecond);
  for (bool with_bound : {false, true})
    benchmark::RegisterBenchmark(with_bound ? "products_w64_b8_d64_bound" : "products_w64_b8_d64",
                                 [=](benchmark::State& state) { products_case(state, with_bound); })
        ->Unit(benchmark::kMicrosecond);

  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
