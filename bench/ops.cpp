// What an op costs, recorded and not, on tensors of 1, 64 and 4,096 elements: nanoseconds a call, the release of the
// result and its node included. One thread.
#include <benchmark/benchmark.h>

#include <string>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/recording.h"
#include "fathom/tensor/parallel.h"

using namespace fathom;

namespace {

template <class F>
void add_case(const std::string& name, F f) {
  for (int64_t n : {1, 64, 4096})
    for (bool recorded : {false, true})
      benchmark::RegisterBenchmark((name + (recorded ? "/recorded/" : "/unrecorded/") + std::to_string(n)).c_str(),
                                   [=](benchmark::State& state) {
                                     const Tensor a = rand({n}, {.requires_grad = recorded}),
                                                  b = rand({n}, {.requires_grad = recorded});
                                     const Recording mode(recorded);
                                     for (auto _ : state) benchmark::DoNotOptimize(f(a, b));
                                   });
}

}  // namespace

int main(int argc, char** argv) {
  set_threads(1);
  add_case("add", [](const Tensor& a, const Tensor& b) { return a + b; });
  add_case("mul", [](const Tensor& a, const Tensor& b) { return a * b; });
  add_case("scale", [](const Tensor& a, const Tensor&) { return a * 0.5; });
  add_case("tanh", [](const Tensor& a, const Tensor&) { return tanh(a); });
  add_case("exp", [](const Tensor& a, const Tensor&) { return exp(a); });
  add_case("sum", [](const Tensor& a, const Tensor&) { return sum(a); });
  add_case("reshape", [](const Tensor& a, const Tensor&) { return reshape(a, {1, a.numel()}); });
  add_case("slice", [](const Tensor& a, const Tensor&) { return slice(a, 0, 0, 1); });
  add_case("softmax", [](const Tensor& a, const Tensor&) { return softmax(a); });
  add_case("layer_norm", [](const Tensor& a, const Tensor& b) { return layer_norm(a, b); });
  add_case("mse_loss", [](const Tensor& a, const Tensor& b) { return mse_loss(a, b); });
  add_case("dot", [](const Tensor& a, const Tensor& b) { return matmul(a, b); });

  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
