// The training steps of bench/train_step as a user of libtorch writes them.
#include <torch/torch.h>

#include <array>
#include <cmath>

#include "measure.h"

namespace {

namespace nn = torch::nn;
namespace optim = torch::optim;
using torch::Tensor;

struct ScalarChain {
  Tensor x = torch::ones({1}, torch::requires_grad());

  void operator()() {
    Tensor y = x;
    for (int i = 0; i < 1000; ++i) y = y + x;
    y.backward();
    x.mutable_grad().reset();
  }
};

// A training step around a model's loss.
template <class Model, class Optimizer>
struct Training {
  Model model;
  std::vector<Tensor> parameters = model.parameters();
  Optimizer optimizer{parameters, 1e-3};
  bool clip = false;

  Training(Model m, bool clip_norm) : model(std::move(m)), clip(clip_norm) {}

  void operator()() {
    optimizer.zero_grad();
    model.loss().backward();
    if (clip) nn::utils::clip_grad_norm_(parameters, 1.0);
    optimizer.step();
  }
};
template <class Optimizer, class Model>
Training<Model, Optimizer> training(Model model, bool clip) {
  return {std::move(model), clip};
}

void append(std::vector<Tensor>& all, const std::vector<Tensor>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

// linear, tanh, hidden times (linear, tanh), linear
struct Mlp {
  nn::Sequential net;
  Tensor x, y;

  Mlp(int in, int width, int hidden, int out, Tensor input, Tensor target) : x(std::move(input)), y(std::move(target)) {
    net->push_back(nn::Linear(in, width));
    net->push_back(nn::Tanh());
    for (int i = 0; i < hidden; ++i) {
      net->push_back(nn::Linear(width, width));
      net->push_back(nn::Tanh());
    }
    net->push_back(nn::Linear(width, out));
  }

  std::vector<Tensor> parameters() { return net->parameters(); }
  Tensor loss() {
    const Tensor output = net->forward(x);
    return y.is_floating_point() ? torch::mse_loss(output, y) : torch::cross_entropy_loss(output, y);
  }
};

// A recurrent layer over a sequence of pairs, and a linear head on its last output.
template <class Layer>
struct Recurrent {
  Layer layer;
  nn::Linear head;
  Tensor x, y = torch::randn({32, 1});

  Recurrent(Layer recurrent, int steps, int width)
      : layer(std::move(recurrent)), head(width, 1), x(torch::randn({steps, 32, 2})) {}

  std::vector<Tensor> parameters() {
    auto all = layer->parameters();
    append(all, head->parameters());
    return all;
  }
  Tensor loss() {
    const Tensor outputs = std::get<0>(layer->forward(x));
    return torch::mse_loss(head(outputs[-1]), y);
  }
};

// Forward and backward of a 3 x 3 convolution of 128 images, also to the images.
struct Convolution {
  nn::Conv2d layer;
  Tensor x, g;

  Convolution(int in, int out, int side, int stride)
      : layer(nn::Conv2dOptions(in, out, 3).stride(stride).padding(1).bias(false)),
        x(torch::randn({128, in, side, side}, torch::requires_grad())),
        g(torch::ones_like(layer(x))) {}

  void operator()() {
    layer->weight.mutable_grad().reset(), x.mutable_grad().reset();
    layer(x).backward(g);
  }
};

struct BlockImpl : nn::Module {
  int64_t heads;
  nn::LayerNorm norm_attention, norm_mlp;
  nn::Linear qkv, projection, widen, narrow;

  BlockImpl(int64_t width, int64_t n_heads)
      : heads(n_heads),
        norm_attention(nn::LayerNormOptions({width})),
        norm_mlp(nn::LayerNormOptions({width})),
        qkv(width, 3 * width),
        projection(width, width),
        widen(width, 4 * width),
        narrow(4 * width, width) {
    register_module("norm_attention", norm_attention);
    register_module("norm_mlp", norm_mlp);
    register_module("qkv", qkv);
    register_module("projection", projection);
    register_module("widen", widen);
    register_module("narrow", narrow);
  }

  Tensor attention(const Tensor& x) {
    const int64_t batch = x.size(0), steps = x.size(1), width = x.size(2);
    const Tensor parts = qkv(x).view({batch, steps, 3, heads, width / heads}).permute({2, 0, 3, 1, 4});
    const Tensor scores = torch::matmul(parts[0], parts[1].transpose(-1, -2)) / std::sqrt(double(width / heads));
    const Tensor future = torch::ones({steps, steps}, torch::kBool).triu(1);
    const Tensor weights = torch::softmax(scores.masked_fill(future, -INFINITY), -1);
    return projection(torch::matmul(weights, parts[2]).transpose(1, 2).reshape({batch, steps, width}));
  }
  Tensor forward(Tensor x) {
    x = x + attention(norm_attention(x));
    return x + narrow(torch::gelu(widen(norm_mlp(x))));
  }
};
TORCH_MODULE(Block);

struct TransformerSize {
  int64_t width, steps, batch, layers;

  std::string name() const {
    const auto number = [](int64_t n) { return std::to_string(n); };
    return "transformer_d" + number(width) + "_T" + number(steps) + "_b" + number(batch) + "_L" + number(layers);
  }
};

// Predicts the next of 96 symbols.
struct Transformer {
  static constexpr int64_t symbols = 96, heads = 4;

  nn::Embedding embedding;
  std::vector<Block> blocks;
  nn::Linear head;
  Tensor x, y;

  explicit Transformer(const TransformerSize& size)
      : embedding(symbols, size.width),
        head(size.width, symbols),
        x(torch::randint(symbols, {size.batch, size.steps})),
        y(torch::randint(symbols, {size.batch * size.steps})) {
    for (int64_t i = 0; i < size.layers; ++i) blocks.emplace_back(size.width, heads);
  }

  std::vector<Tensor> parameters() {
    auto all = embedding->parameters();
    for (Block& block : blocks) append(all, block->parameters());
    append(all, head->parameters());
    return all;
  }
  Tensor loss() {
    Tensor h = embedding(x);
    for (Block& block : blocks) h = block(h);
    return torch::cross_entropy_loss(head(h).view({-1, symbols}), y);
  }
};

// The singular values of tanh(linear)'s Jacobian: a vector-Jacobian product for each row, then an SVD.
struct LayerJacobian {
  int64_t width;
  nn::Linear layer{width, width};
  Tensor x = torch::randn({width});

  explicit LayerJacobian(int64_t w) : width(w) {}

  void operator()() {
    const Tensor input = x.detach().requires_grad_();
    const Tensor output = torch::tanh(layer(input));
    const Tensor identity = torch::eye(width);
    std::vector<Tensor> rows;
    for (int64_t i = 0; i < width; ++i)
      rows.push_back(torch::autograd::grad({output}, {input}, {identity[i]}, /*retain_graph=*/true)[0]);
    torch::linalg_svdvals(torch::stack(rows))[0].item<float>();
  }
};

}  // namespace

int main(int argc, char** argv) {
  const yardstick::Cases cases(argc, argv);
  torch::set_num_threads(cases.threads());
  torch::manual_seed(0);
  std::printf("# libtorch %s, threads: %d\n", TORCH_VERSION, cases.threads());

  cases.run("scalar_chain_1000_fwd_bwd", [] { return ScalarChain(); });
  cases.run("tiny_mlp_b32_w32_sgd", [] {
    return training<optim::SGD>(Mlp(2, 32, 1, 1, torch::randn({32, 2}), torch::randn({32, 1})), false);
  });
  for (int depth : {4, 16, 64, 256})
    cases.run("deep_mlp_w64_b32_d" + std::to_string(depth) + "_adam", [=] {
      return training<optim::Adam>(Mlp(64, 64, depth, 10, torch::randn({32, 64}), torch::randint(10, {32})), true);
    });
  cases.run("mnist_mlp_784_512_512_10_b128_adamw", [] {
    return training<optim::AdamW>(Mlp(784, 512, 1, 10, torch::randn({128, 784}), torch::randint(10, {128})), false);
  });
  for (auto [in, out, side, stride] : {std::array<int, 4>{32, 32, 14, 1}, {32, 64, 14, 2}, {64, 64, 7, 1}})
    cases.run("conv2d_" + std::to_string(in) + "_" + std::to_string(out) + "_n" + std::to_string(side) + "_s" +
                  std::to_string(stride) + "_b128_fwd_bwd",
              [in = in, out = out, side = side, stride = stride] { return Convolution(in, out, side, stride); });
  for (int width : {64, 256})
    cases.run("rnn_tanh_T100_h" + std::to_string(width) + "_b32_sgd_clip", [=] {
      const nn::RNN layer(nn::RNNOptions(2, width).nonlinearity(torch::kTanh));
      return training<optim::SGD>(Recurrent(layer, 100, width), true);
    });
  cases.run("lstm_T100_h128_b32_sgd_clip",
            [] { return training<optim::SGD>(Recurrent(nn::LSTM(2, 128), 100, 128), true); });
  for (const TransformerSize& size : {TransformerSize{64, 32, 8, 4}, TransformerSize{256, 128, 8, 4}})
    cases.run(size.name() + "_adamw", [=] { return training<optim::AdamW>(Transformer(size), true); });
  for (const char* what : {"sigma_max", "spectrum"})  // the same work
    for (int width : {64, 256})
      cases.run(std::string("layer_jacobian_") + what + "_w" + std::to_string(width),
                [=] { return LayerJacobian(width); });
}
