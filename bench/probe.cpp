// What the instruments cost: one thread. The cases layer_jacobian_* have yardsticks of the same name.
#include <benchmark/benchmark.h>

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

}  // namespace

int main(int argc, char** argv) {
  set_threads(1);
  manual_seed(0);
  add_layer_case("sigma_max", [](const probe::Jacobian& j) { return j.sigma_max({.tolerance = 1e-3}); });
  add_layer_case("spectrum", [](const probe::Jacobian& j) { return j.spectrum(); });
  add_layer_case("frobenius", [](const probe::Jacobian& j) { return j.frobenius(); });

  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
