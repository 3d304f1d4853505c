// Training steps, forward and backward and the optimiser's, of the models that the yardsticks train too; see
// bench/compare. FATHOM_THREADS says how many threads an op may use, one by default.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <string>

#include "fathom/autograd/backward.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/nn/nn.h"
#include "fathom/optim/optim.h"
#include "fathom/tensor/parallel.h"

using namespace fathom;

namespace {

void scalar_chain(benchmark::State& state) {
  Tensor x = ones({1}, {.requires_grad = true});
  for (auto _ : state) {
    Tensor y = x;
    for (int i = 0; i < 1000; ++i) y = y + x;
    y.backward();
    x.set_grad({});
  }
}

// linear, tanh, hidden times (linear, tanh), linear
nn::Sequential mlp(int64_t in, int64_t width, int hidden, int64_t out) {
  nn::Sequential net(nn::Linear(in, width), nn::Tanh());
  for (int i = 0; i < hidden; ++i) {
    net.push_back(nn::Linear(width, width));
    net.push_back(nn::Tanh());
  }
  net.push_back(nn::Linear(width, out));
  return net;
}

template <class Optimizer, class Loss>
void train(benchmark::State& state, nn::Sequential& net, const Tensor& x, Loss loss, optim::StepOptions options) {
  Optimizer opt(net.parameters(), {.lr = 1e-3});
  for (auto _ : state) {
    opt.zero_grad();
    loss(net(x)).backward();
    opt.step(options);
  }
}

void tiny_mlp(benchmark::State& state) {
  nn::Sequential net = mlp(2, 32, 1, 1);
  const Tensor x = randn({32, 2}), y = randn({32, 1});
  train<optim::SGD>(state, net, x, [&](const Tensor& out) { return nn::mse_loss(out, y); }, {});
}

template <class Optimizer>
void classify(benchmark::State& state, nn::Sequential net, int64_t batch, int64_t in, optim::StepOptions options) {
  const Tensor x = randn({batch, in}), labels = randint(0, 10, {batch});
  train<Optimizer>(
      state, net, x, [&](const Tensor& out) { return nn::cross_entropy(out, labels); }, options);
}

// A recurrent layer over 100 steps of pairs, and a linear head on its last output.
template <class Layer>
void recurrent(benchmark::State& state, Layer layer, int64_t width) {
  nn::Linear head(width, 1);
  const Tensor x = randn({100, 32, 2}), y = randn({32, 1});
  std::vector<Tensor> parameters = layer.parameters();
  for (const Tensor& w : head.parameters()) parameters.push_back(w);
  optim::SGD opt(parameters, {.lr = 1e-3});
  for (auto _ : state) {
    opt.zero_grad();
    nn::mse_loss(head(layer(x)[-1]), y).backward();
    opt.step({.clip_norm = 1});
  }
}

// Forward and backward of a 3 x 3 convolution of 128 images, also to the images.
void convolution(benchmark::State& state, int64_t in, int64_t out, int64_t side, int64_t stride) {
  nn::Conv2d layer(in, out, 3, {.stride = stride, .padding = 1, .bias = false});
  Tensor x = randn({128, in, side, side}, {.requires_grad = true});
  const Tensor g = ones_like(layer(x));
  for (auto _ : state) {
    layer.zero_grad(), x.set_grad({});
    backward(layer(x), {.cotangent = g});
  }
}

// Predicts the next of 96 symbols.
void transformer(benchmark::State& state, int64_t width, int64_t steps, int64_t batch, int64_t layers) {
  nn::Sequential net(nn::Embedding(96, width));
  for (int64_t i = 0; i < layers; ++i) net.push_back(nn::TransformerBlock(width, 4, {.causal = true}));
  net.push_back(nn::Linear(width, 96));
  const Tensor x = randint(0, 96, {batch, steps}), y = randint(0, 96, {batch, steps});
  train<optim::AdamW>(state, net, x, [&](const Tensor& out) { return nn::cross_entropy(out, y); }, {.clip_norm = 1});
}

}  // namespace

int main(int argc, char** argv) {
  const char* threads = std::getenv("FATHOM_THREADS");
  set_threads(threads ? std::atoi(threads) : 1);

  benchmark::RegisterBenchmark("scalar_chain_1000_fwd_bwd", scalar_chain)->UseRealTime();
  benchmark::RegisterBenchmark("tiny_mlp_b32_w32_sgd", tiny_mlp)->UseRealTime();
  for (int depth : {4, 16, 64, 256})
    benchmark::RegisterBenchmark(("deep_mlp_w64_b32_d" + std::to_string(depth) + "_adam").c_str(),
                                 [depth](benchmark::State& state) {
                                   classify<optim::Adam>(state, mlp(64, 64, depth, 10), 32, 64, {.clip_norm = 1});
                                 })
        ->UseRealTime();
  benchmark::RegisterBenchmark("mnist_mlp_784_512_512_10_b128_adamw", [](benchmark::State& state) {
    classify<optim::AdamW>(state, mlp(784, 512, 1, 10), 128, 784, {});
  })->UseRealTime();

  for (auto [in, out, side, stride] : {std::array{32, 32, 14, 1}, {32, 64, 14, 2}, {64, 64, 7, 1}})
    benchmark::RegisterBenchmark(("conv2d_" + std::to_string(in) + "_" + std::to_string(out) + "_n" +
                                  std::to_string(side) + "_s" + std::to_string(stride) + "_b128_fwd_bwd")
                                     .c_str(),
                                 [in = in, out = out, side = side, stride = stride](benchmark::State& state) {
                                   convolution(state, in, out, side, stride);
                                 })
        ->UseRealTime();
  for (int width : {64, 256})
    benchmark::RegisterBenchmark(("rnn_tanh_T100_h" + std::to_string(width) + "_b32_sgd_clip").c_str(),
                                 [width](benchmark::State& state) { recurrent(state, nn::RNN(2, width), width); })
        ->UseRealTime();
  benchmark::RegisterBenchmark("lstm_T100_h128_b32_sgd_clip", [](benchmark::State& state) {
    recurrent(state, nn::LSTM(2, 128), 128);
  })->UseRealTime();
  for (auto [width, steps] : {std::pair{64, 32}, std::pair{256, 128}})
    benchmark::RegisterBenchmark(
        ("transformer_d" + std::to_string(width) + "_T" + std::to_string(steps) + "_b8_L4_adamw").c_str(),
        [width = width, steps = steps](benchmark::State& state) { transformer(state, width, steps, 8, 4); })
        ->UseRealTime();

  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
