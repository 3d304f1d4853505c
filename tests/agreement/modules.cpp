// One row a module, in both libraries: the same weights by name, the same input; compared are the output and the
// gradients of the input and of every parameter.
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/recording.h"
#include "fathom/nn/nn.h"
#include "tests/agreement/cases.h"
#include "tests/agreement/torch.h"

using namespace fathom;

namespace agreement {
namespace {

uint64_t seed_of(const std::string& name) {  // FNV-1a
  uint64_t hash = 14695981039346656037u;
  for (const char c : name) hash = (hash ^ uint8_t(c)) * 1099511628211u;
  return hash;
}
Tensor weight_of(const std::string& name, const Shape& shape, Dtype dtype) {
  return random(shape, seed_of(name), dtype, -0.6, 0.6);
}

// call(module, x) gives the output, of x random of this shape, or whole numbers below `integers`.
struct Given {
  Shape shape;
  int64_t integers = 0;
};
Tensor input_of(const Given& given, Dtype dtype) {
  if (!given.integers) return random(given.shape, 1, dtype, -2, 2).requires_grad_();
  Rng rng(1, 7);
  Tensor x(given.shape, i64);
  fill_integers(x, 0, given.integers, rng);
  return x;
}

constexpr auto plain = [](auto& module, const auto& x) { return module(x); };

template <class M, class Call = decltype(plain)>
Results run(M module, Dtype dtype, const Given& given, Call call = {}) {
  module.to(dtype);
  const std::vector<nn::NamedTensor> parameters = module.named_parameters();
  for (const auto& [name, w] : parameters) {
    const NoGrad off;
    Tensor(w).copy_(weight_of(name, w.shape(), dtype));
  }
  const Tensor x = input_of(given, dtype), y = call(module, x);
  sum(y * random(y.shape(), 101, dtype)).backward();
  Results results = {{"y", y.to_vector()}};
  if (x.requires_grad()) results.push_back({"x", x.grad().to_vector()});
  for (const auto& [name, w] : parameters) results.push_back({name, w.grad().to_vector()});
  return results;
}

#ifdef FATHOM_WITH_TORCH
constexpr auto first_output = [](auto& module, const auto& x) { return std::get<0>(module->forward(x)); };
constexpr auto attending = [](auto& module, const auto& x) {  // batch first
  const torch::Tensor t = x.transpose(0, 1);
  return std::get<0>(module->forward(t, t, t)).transpose(0, 1);
};
constexpr auto batch_second = [](auto& module, const auto& x) {
  return module->forward(x.transpose(0, 1)).transpose(0, 1);
};
constexpr auto torch_plain = [](auto& module, const auto& x) { return module->forward(x); };

template <class Holder, class Call = decltype(torch_plain)>
Results torch_run(Holder module, Dtype dtype, const Given& given, Call call = {}) {
  module->to(dtype == f32 ? torch::kFloat32 : torch::kFloat64);
  const auto parameters = module->named_parameters();
  for (const auto& each : parameters) {
    torch::NoGradGuard off;
    const Shape shape(std::span<const int64_t>(each.value().sizes().data(), each.value().sizes().size()));
    each.value().copy_(to_torch(weight_of(each.key(), shape, dtype)));
  }
  torch::Tensor x = to_torch(input_of(given, dtype));
  if (!given.integers) x.requires_grad_();
  const torch::Tensor y = call(module, x);
  const Shape shape(std::span<const int64_t>(y.sizes().data(), y.sizes().size()));
  (y * to_torch(random(shape, 101, dtype))).sum().backward();
  Results results = {{"y", numbers_of(y)}};
  if (!given.integers) results.push_back({"x", numbers_of(x.grad())});
  for (const auto& each : parameters) results.push_back({each.key(), numbers_of(each.value().grad())});
  return results;
}
#endif

#ifdef FATHOM_WITH_TORCH
torch::Tensor later_steps(const torch::Tensor& steps_first) {  // added to the scores: -infinity where it is later
  const int64_t n = steps_first.size(0);
  return torch::full({n, n}, -INFINITY, steps_first.options().requires_grad(false)).triu(1);
}
constexpr auto torch_causal = [](auto& module, const auto& x) {
  const torch::Tensor t = x.transpose(0, 1);
  return std::get<0>(module->forward(t, t, t, {}, true, later_steps(t))).transpose(0, 1);
};
constexpr auto torch_output = [](auto& module, const auto& x) { return std::get<0>(module->forward(x)); };
#endif

}  // namespace

#define OURS_RUN(...) [](Dtype dtype) -> Results { return __VA_ARGS__; }

const std::vector<Run> modules = {
    {"Linear", OURS_RUN(run(nn::Linear(3, 4), dtype, {{2, 5, 3}})),
     TORCH_RUN(torch_run(torch::nn::Linear(3, 4), dtype, {{2, 5, 3}}))},
    {"Linear without bias", OURS_RUN(run(nn::Linear(3, 4, {.bias = false}), dtype, {{5, 3}})),
     TORCH_RUN(torch_run(torch::nn::Linear(torch::nn::LinearOptions(3, 4).bias(false)), dtype, {{5, 3}}))},
    {"LayerNorm", OURS_RUN(run(nn::LayerNorm(5), dtype, {{2, 3, 5}})),
     TORCH_RUN(torch_run(torch::nn::LayerNorm(torch::nn::LayerNormOptions({5})), dtype, {{2, 3, 5}}))},
    {"Embedding", OURS_RUN(run(nn::Embedding(4, 3), dtype, {{2, 5}, 4})),
     TORCH_RUN(torch_run(torch::nn::Embedding(4, 3), dtype, {{2, 5}, 4}))},
    {"RNN, two layers, two directions",
     OURS_RUN(run(nn::RNN(3, 4, {.layers = 2, .bidirectional = true}), dtype, {{5, 2, 3}})),
     TORCH_RUN(torch_run(torch::nn::RNN(torch::nn::RNNOptions(3, 4).num_layers(2).bidirectional(true)), dtype,
                         {{5, 2, 3}}, first_output))},
    {"RNN of ReLU", OURS_RUN(run(nn::RNN(3, 4, {.nonlinearity = Nonlinearity::relu}), dtype, {{5, 2, 3}})),
     TORCH_RUN(torch_run(torch::nn::RNN(torch::nn::RNNOptions(3, 4).nonlinearity(torch::kReLU)), dtype, {{5, 2, 3}},
                         first_output))},
    {"LSTM, two layers", OURS_RUN(run(nn::LSTM(3, 4, {.layers = 2}), dtype, {{5, 2, 3}})),
     TORCH_RUN(
         torch_run(torch::nn::LSTM(torch::nn::LSTMOptions(3, 4).num_layers(2)), dtype, {{5, 2, 3}}, first_output))},
    {"LSTM, batch first", OURS_RUN(run(nn::LSTM(3, 4, {.batch_first = true}), dtype, {{2, 5, 3}})),
     TORCH_RUN(
         torch_run(torch::nn::LSTM(torch::nn::LSTMOptions(3, 4).batch_first(true)), dtype, {{2, 5, 3}}, first_output))},
    {"GRU, two directions", OURS_RUN(run(nn::GRU(3, 4, {.bidirectional = true}), dtype, {{5, 2, 3}})),
     TORCH_RUN(
         torch_run(torch::nn::GRU(torch::nn::GRUOptions(3, 4).bidirectional(true)), dtype, {{5, 2, 3}}, first_output))},
    {"RNNCell", OURS_RUN(run(nn::RNNCell(3, 4), dtype, {{2, 3}})),
     TORCH_RUN(torch_run(torch::nn::RNNCell(3, 4), dtype, {{2, 3}}))},
    {"LSTMCell", OURS_RUN(run(nn::LSTMCell(3, 4), dtype, {{2, 3}})),
     TORCH_RUN(torch_run(torch::nn::LSTMCell(3, 4), dtype, {{2, 3}}, first_output))},
    {"GRUCell", OURS_RUN(run(nn::GRUCell(3, 4), dtype, {{2, 3}})),
     TORCH_RUN(torch_run(torch::nn::GRUCell(3, 4), dtype, {{2, 3}}))},
    {"MultiheadAttention", OURS_RUN(run(nn::MultiheadAttention(6, 2), dtype, {{2, 4, 6}})),
     TORCH_RUN(torch_run(torch::nn::MultiheadAttention(6, 2), dtype, {{2, 4, 6}}, attending))},
    {"TransformerBlock, post-norm",
     OURS_RUN(run(nn::TransformerBlock(6, 2, {.norm_first = false, .feedforward = 8}), dtype, {{2, 4, 6}})),
     TORCH_RUN(torch_run(
         torch::nn::TransformerEncoderLayer(
             torch::nn::TransformerEncoderLayerOptions(6, 2).dim_feedforward(8).dropout(0).activation(torch::kGELU)),
         dtype, {{2, 4, 6}}, batch_second))},
    {"RNN, relu, two layers in two directions",
     OURS_RUN(run(nn::RNN(3, 4, {.layers = 2, .nonlinearity = Nonlinearity::relu, .bidirectional = true}), dtype,
                  {{5, 2, 3}})),
     TORCH_RUN(torch_run(
         torch::nn::RNN(torch::nn::RNNOptions(3, 4).num_layers(2).nonlinearity(torch::kReLU).bidirectional(true)),
         dtype, {{5, 2, 3}}, torch_output))},
    {"RNN, batch first, without bias",
     OURS_RUN(run(nn::RNN(3, 4, {.bias = false, .batch_first = true}), dtype, {{2, 5, 3}})),
     TORCH_RUN(torch_run(torch::nn::RNN(torch::nn::RNNOptions(3, 4).bias(false).batch_first(true)), dtype, {{2, 5, 3}},
                         torch_output))},
    {"LSTM, two layers in two directions",
     OURS_RUN(run(nn::LSTM(3, 4, {.layers = 2, .bidirectional = true}), dtype, {{5, 2, 3}})),
     TORCH_RUN(torch_run(torch::nn::LSTM(torch::nn::LSTMOptions(3, 4).num_layers(2).bidirectional(true)), dtype,
                         {{5, 2, 3}}, torch_output))},
    {"GRU, two layers in two directions",
     OURS_RUN(run(nn::GRU(3, 4, {.layers = 2, .bidirectional = true}), dtype, {{5, 2, 3}})),
     TORCH_RUN(torch_run(torch::nn::GRU(torch::nn::GRUOptions(3, 4).num_layers(2).bidirectional(true)), dtype,
                         {{5, 2, 3}}, torch_output))},
    {"LSTM, last states",
     OURS_RUN(run(nn::LSTM(3, 4), dtype, {{5, 2, 3}},
                  [](auto& m, const Tensor& x) {
                    const auto [y, state] = m(x, LSTMState{});
                    return concat({state.h, state.c});
                  })),
     TORCH_RUN(torch_run(torch::nn::LSTM(3, 4), dtype, {{5, 2, 3}},
                         [](auto& m, const torch::Tensor& x) {
                           const auto [h, c] = std::get<1>(m->forward(x));
                           return torch::cat({h, c});
                         }))},
    {"MultiheadAttention, causal", OURS_RUN(run(nn::MultiheadAttention(6, 2, {.causal = true}), dtype, {{2, 5, 6}})),
     TORCH_RUN(torch_run(torch::nn::MultiheadAttention(torch::nn::MultiheadAttentionOptions(6, 2)), dtype, {{2, 5, 6}},
                         torch_causal))},
};

}  // namespace agreement
