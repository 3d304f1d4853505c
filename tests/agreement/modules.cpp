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
constexpr auto with_statistics = [](auto& module, const Tensor& x) {
  const Tensor y = module(x);
  return concat({flatten(y), module.running_mean, module.running_var});
};
constexpr auto after_batches = [](auto& module, const Tensor& x) {  // in evaluation
  module(x), module(2 * x + 1), module.eval();
  return module(x);
};

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
constexpr auto batch_second = [](auto& module, const auto& x) {
  return module->forward(x.transpose(0, 1)).transpose(0, 1);
};
constexpr auto attending = [](auto& module, const auto& x) {  // batch first
  const torch::Tensor t = x.transpose(0, 1);
  return std::get<0>(module->forward(t, t, t)).transpose(0, 1);
};
constexpr auto attending_causally = [](auto& module, const auto& x) {
  const torch::Tensor t = x.transpose(0, 1);
  const torch::Tensor later = torch::full({t.size(0), t.size(0)}, -INFINITY, t.dtype()).triu(1);  // added to the scores
  return std::get<0>(module->forward(t, t, t, {}, true, later)).transpose(0, 1);
};
constexpr auto attending_across = [](auto& module, const auto& x) {  // the first two steps to the others
  const torch::Tensor t = x.transpose(0, 1), query = t.slice(0, 0, 2), key = t.slice(0, 2);
  const torch::Tensor mask = to_torch(random({2, t.size(0) - 2}, 3, t.dtype() == torch::kFloat32 ? f32 : f64));
  return std::get<0>(module->forward(query, key, key, {}, true, mask)).transpose(0, 1);
};
constexpr auto norm_first = [](auto& module, const auto& x) {
  const torch::Tensor t = x.transpose(0, 1), n = module->norm1(t);
  const torch::Tensor h = t + std::get<0>(module->self_attn(n, n, n));
  return (h + module->linear2(torch::gelu(module->linear1(module->norm2(h))))).transpose(0, 1);
};
constexpr auto torch_with_statistics = [](auto& module, const auto& x) {
  const torch::Tensor y = module->forward(x);
  return torch::cat({y.flatten(), module->running_mean, module->running_var});
};
constexpr auto torch_after_batches = [](auto& module, const auto& x) {
  module->forward(x), module->forward(2 * x + 1), module->eval();
  return module->forward(x);
};
constexpr auto torch_plain = [](auto& module, const auto& x) { return module->forward(x); };

template <class Holder, class Call = decltype(torch_plain)>
Results torch_run(Holder module, Dtype dtype, const Given& given, Call call = {}) {
  module->to(dtype == f32 ? torch::kFloat32 : torch::kFloat64);
  const auto parameters = module->named_parameters();
  for (const auto& each : parameters) {
    torch::NoGradGuard off;
    const Shape shape(each.value().sizes());
    each.value().copy_(to_torch(weight_of(each.key(), shape, dtype)));
  }
  torch::Tensor x = to_torch(input_of(given, dtype));
  if (!given.integers) x.requires_grad_();
  const torch::Tensor y = call(module, x);
  const Shape shape(y.sizes());
  (y * to_torch(random(shape, 101, dtype))).sum().backward();
  Results results = {{"y", numbers_of(y)}};
  if (!given.integers) results.push_back({"x", numbers_of(x.grad())});
  for (const auto& each : parameters) results.push_back({each.key(), numbers_of(each.value().grad())});
  return results;
}
#endif

}  // namespace

const std::vector<Run> modules = {
    {"Linear", OURS_RUN(run(nn::Linear(3, 4), dtype, {{2, 5, 3}})),
     TORCH_RUN(torch_run(torch::nn::Linear(3, 4), dtype, {{2, 5, 3}}))},
    {"Linear without bias", OURS_RUN(run(nn::Linear(3, 4, {.bias = false}), dtype, {{5, 3}})),
     TORCH_RUN(torch_run(torch::nn::Linear(torch::nn::LinearOptions(3, 4).bias(false)), dtype, {{5, 3}}))},
    {"LayerNorm", OURS_RUN(run(nn::LayerNorm(5), dtype, {{2, 3, 5}})),
     TORCH_RUN(torch_run(torch::nn::LayerNorm(torch::nn::LayerNormOptions({5})), dtype, {{2, 3, 5}}))},
    {"Embedding", OURS_RUN(run(nn::Embedding(4, 3), dtype, {{2, 5}, 4})),
     TORCH_RUN(torch_run(torch::nn::Embedding(4, 3), dtype, {{2, 5}, 4}))},
    {"RNN, two layers in two directions",
     OURS_RUN(run(nn::RNN(2, 2, {.layers = 2, .bidirectional = true}), dtype, {{3, 2, 2}})),
     TORCH_RUN(torch_run(torch::nn::RNN(torch::nn::RNNOptions(2, 2).num_layers(2).bidirectional(true)), dtype,
                         {{3, 2, 2}}, first_output))},
    {"LSTM, batch first", OURS_RUN(run(nn::LSTM(2, 2, {.batch_first = true}), dtype, {{2, 3, 2}})),
     TORCH_RUN(
         torch_run(torch::nn::LSTM(torch::nn::LSTMOptions(2, 2).batch_first(true)), dtype, {{2, 3, 2}}, first_output))},
    {"RNNCell", OURS_RUN(run(nn::RNNCell(3, 4), dtype, {{2, 3}})),
     TORCH_RUN(torch_run(torch::nn::RNNCell(3, 4), dtype, {{2, 3}}))},
    {"LSTMCell", OURS_RUN(run(nn::LSTMCell(3, 4), dtype, {{2, 3}})),
     TORCH_RUN(torch_run(torch::nn::LSTMCell(3, 4), dtype, {{2, 3}}, first_output))},
    {"GRUCell", OURS_RUN(run(nn::GRUCell(3, 4), dtype, {{2, 3}})),
     TORCH_RUN(torch_run(torch::nn::GRUCell(3, 4), dtype, {{2, 3}}))},
    {"MultiheadAttention", OURS_RUN(run(nn::MultiheadAttention(4, 2), dtype, {{2, 3, 4}})),
     TORCH_RUN(torch_run(torch::nn::MultiheadAttention(4, 2), dtype, {{2, 3, 4}}, attending))},
    {"TransformerBlock, post-norm",
     OURS_RUN(run(nn::TransformerBlock(4, 2, {.norm_first = false, .feedforward = 3}), dtype, {{2, 3, 4}})),
     TORCH_RUN(torch_run(
         torch::nn::TransformerEncoderLayer(
             torch::nn::TransformerEncoderLayerOptions(4, 2).dim_feedforward(3).dropout(0).activation(torch::kGELU)),
         dtype, {{2, 3, 4}}, batch_second))},
    {"RNN of ReLU", OURS_RUN(run(nn::RNN(2, 2, {.nonlinearity = Nonlinearity::relu}), dtype, {{3, 2, 2}})),
     TORCH_RUN(torch_run(torch::nn::RNN(torch::nn::RNNOptions(2, 2).nonlinearity(torch::kReLU)), dtype, {{3, 2, 2}},
                         first_output))},
    {"RNN, batch first, without bias",
     OURS_RUN(run(nn::RNN(2, 2, {.bias = false, .batch_first = true}), dtype, {{2, 3, 2}})),
     TORCH_RUN(torch_run(torch::nn::RNN(torch::nn::RNNOptions(2, 2).bias(false).batch_first(true)), dtype, {{2, 3, 2}},
                         first_output))},
    {"LSTM, two layers in two directions",
     OURS_RUN(run(nn::LSTM(2, 2, {.layers = 2, .bidirectional = true}), dtype, {{3, 2, 2}})),
     TORCH_RUN(torch_run(torch::nn::LSTM(torch::nn::LSTMOptions(2, 2).num_layers(2).bidirectional(true)), dtype,
                         {{3, 2, 2}}, first_output))},
    {"GRU, two layers in two directions",
     OURS_RUN(run(nn::GRU(2, 2, {.layers = 2, .bidirectional = true}), dtype, {{3, 2, 2}})),
     TORCH_RUN(torch_run(torch::nn::GRU(torch::nn::GRUOptions(2, 2).num_layers(2).bidirectional(true)), dtype,
                         {{3, 2, 2}}, first_output))},
    {"LSTM, last states",
     OURS_RUN(run(nn::LSTM(2, 2), dtype, {{3, 2, 2}},
                  [](auto& m, const Tensor& x) {
                    const auto [y, state] = m(x, LSTMState{});
                    return concat({state.h, state.c});
                  })),
     TORCH_RUN(torch_run(torch::nn::LSTM(2, 2), dtype, {{3, 2, 2}},
                         [](auto& m, const torch::Tensor& x) {
                           const auto [h, c] = std::get<1>(m->forward(x));
                           return torch::cat({h, c});
                         }))},
    {"MultiheadAttention, causal", OURS_RUN(run(nn::MultiheadAttention(4, 2, {.causal = true}), dtype, {{2, 4, 4}})),
     TORCH_RUN(torch_run(torch::nn::MultiheadAttention(torch::nn::MultiheadAttentionOptions(4, 2)), dtype, {{2, 4, 4}},
                         attending_causally))},
    {"MultiheadAttention, across, with a mask, without bias",
     OURS_RUN(run(nn::MultiheadAttention(4, 2, {.bias = false}), dtype, {{2, 5, 4}},
                  [](auto& m, const Tensor& x) {
                    const Tensor key = x.slice(1, 2, 5);
                    return m.attend(x.slice(1, 0, 2), key, key, random({2, 3}, 3, x.dtype()));
                  })),
     TORCH_RUN(torch_run(torch::nn::MultiheadAttention(torch::nn::MultiheadAttentionOptions(4, 2).bias(false)), dtype,
                         {{2, 5, 4}}, attending_across))},
    {"TransformerBlock, pre-norm", OURS_RUN(run(nn::TransformerBlock(4, 2, {.feedforward = 3}), dtype, {{2, 3, 4}})),
     TORCH_RUN(torch_run(
         torch::nn::TransformerEncoderLayer(torch::nn::TransformerEncoderLayerOptions(4, 2).dim_feedforward(3).dropout(0)),
         dtype, {{2, 3, 4}}, norm_first))},
    {"Transformer, post-norm",
     OURS_RUN(run(nn::Transformer(2, 1, 2, {.norm_first = false, .feedforward = 2}), dtype, {{2, 3, 2}})),
     TORCH_RUN(torch_run(
         torch::nn::TransformerEncoder(torch::nn::TransformerEncoderLayer(
             torch::nn::TransformerEncoderLayerOptions(2, 1).dim_feedforward(2).dropout(0).activation(torch::kGELU)), 2),
         dtype, {{2, 3, 2}}, batch_second))},

    {"Conv2d, with all it can",
     OURS_RUN(run(nn::Conv2d(4, 2, {3, 2}, {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}, .groups = 2}), dtype,
                  {{1, 4, 5, 3}})),
     TORCH_RUN(torch_run(torch::nn::Conv2d(torch::nn::Conv2dOptions(4, 2, {3, 2})
                                               .stride({2, 1})
                                               .padding({1, 2})
                                               .dilation({1, 2})
                                               .groups(2)),
                         dtype, {{1, 4, 5, 3}}))},
    {"Conv2d, padded around",
     OURS_RUN(run(nn::Conv2d(2, 2, 3, {.padding = {1, 2}, .padding_mode = nn::PaddingMode::circular}), dtype, {{1, 2, 4, 3}})),
     TORCH_RUN(torch_run(torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 2, 3).padding({1, 2}).padding_mode(torch::kCircular)),
                         dtype, {{1, 2, 4, 3}}))},
    {"Conv1d, with all it can",
     OURS_RUN(run(nn::Conv1d(4, 2, 3, {.stride = 2, .padding = 1, .dilation = 2, .groups = 2}), dtype, {{2, 4, 7}})),
     TORCH_RUN(torch_run(torch::nn::Conv1d(torch::nn::Conv1dOptions(4, 2, 3).stride(2).padding(1).dilation(2).groups(2)),
                         dtype, {{2, 4, 7}}))},
    {"Conv1d, padded around, without bias",
     OURS_RUN(run(nn::Conv1d(2, 2, 3, {.padding = 2, .bias = false, .padding_mode = nn::PaddingMode::circular}), dtype,
                  {{2, 2, 4}})),
     TORCH_RUN(torch_run(
         torch::nn::Conv1d(torch::nn::Conv1dOptions(2, 2, 3).padding(2).bias(false).padding_mode(torch::kCircular)), dtype,
         {{2, 2, 4}}))},
    {"BatchNorm1d in training, with its statistics",
     OURS_RUN(run(nn::BatchNorm1d(3), dtype, {{4, 3}}, with_statistics)),
     TORCH_RUN(torch_run(torch::nn::BatchNorm1d(3), dtype, {{4, 3}}, torch_with_statistics))},
    {"BatchNorm1d of sequences in evaluation",
     OURS_RUN(run(nn::BatchNorm1d(2), dtype, {{2, 2, 3}}, after_batches)),
     TORCH_RUN(torch_run(torch::nn::BatchNorm1d(2), dtype, {{2, 2, 3}}, torch_after_batches))},
    {"BatchNorm2d in training, with its statistics",
     OURS_RUN(run(nn::BatchNorm2d(2), dtype, {{2, 2, 2, 3}}, with_statistics)),
     TORCH_RUN(torch_run(torch::nn::BatchNorm2d(2), dtype, {{2, 2, 2, 3}}, torch_with_statistics))},
    {"BatchNorm2d in evaluation, all batches alike",
     OURS_RUN(run(nn::BatchNorm2d(2, {.momentum = std::nullopt}), dtype, {{2, 2, 2, 3}}, after_batches)),
     TORCH_RUN(torch_run(torch::nn::BatchNorm2d(torch::nn::BatchNormOptions(2).momentum(c10::nullopt)), dtype,
                         {{2, 2, 2, 3}}, torch_after_batches))},
    {"BatchNorm2d without statistics or weights",
     OURS_RUN(run(nn::BatchNorm2d(2, {.affine = false, .track_running_stats = false}), dtype, {{2, 2, 2, 3}}, after_batches)),
     TORCH_RUN(torch_run(torch::nn::BatchNorm2d(torch::nn::BatchNormOptions(2).affine(false).track_running_stats(false)),
                         dtype, {{2, 2, 2, 3}}, torch_after_batches))},
    {"GroupNorm", OURS_RUN(run(nn::GroupNorm(2, 4), dtype, {{2, 4, 3}})),
     TORCH_RUN(torch_run(torch::nn::GroupNorm(2, 4), dtype, {{2, 4, 3}}))},
    {"MaxPool2d", OURS_RUN(run(nn::MaxPool2d(3, {.stride = 2, .padding = 1}), dtype, {{1, 2, 5, 4}})),
     TORCH_RUN(torch_run(torch::nn::MaxPool2d(torch::nn::MaxPool2dOptions(3).stride(2).padding(1)), dtype, {{1, 2, 5, 4}}))},
    {"MaxPool1d", OURS_RUN(run(nn::MaxPool1d(2), dtype, {{2, 2, 5}})),
     TORCH_RUN(torch_run(torch::nn::MaxPool1d(2), dtype, {{2, 2, 5}}))},
    {"AvgPool2d", OURS_RUN(run(nn::AvgPool2d(3, {.stride = 2, .padding = 1, .count_include_pad = false}), dtype, {{1, 2, 5, 4}})),
     TORCH_RUN(torch_run(
         torch::nn::AvgPool2d(torch::nn::AvgPool2dOptions(3).stride(2).padding(1).count_include_pad(false)), dtype,
         {{1, 2, 5, 4}}))},
    {"AvgPool1d", OURS_RUN(run(nn::AvgPool1d(3, 2, 1), dtype, {{2, 2, 5}})),
     TORCH_RUN(torch_run(torch::nn::AvgPool1d(torch::nn::AvgPool1dOptions(3).stride(2).padding(1)), dtype, {{2, 2, 5}}))},
    {"AdaptiveAvgPool2d", OURS_RUN(run(nn::AdaptiveAvgPool2d({2, 3}), dtype, {{1, 2, 5, 4}})),
     TORCH_RUN(torch_run(torch::nn::AdaptiveAvgPool2d(torch::nn::AdaptiveAvgPool2dOptions({2, 3})), dtype, {{1, 2, 5, 4}}))},
    {"AdaptiveAvgPool1d", OURS_RUN(run(nn::AdaptiveAvgPool1d(3), dtype, {{2, 2, 5}})),
     TORCH_RUN(torch_run(torch::nn::AdaptiveAvgPool1d(3), dtype, {{2, 2, 5}}))},
    {"AdaptiveMaxPool2d", OURS_RUN(run(nn::AdaptiveMaxPool2d({2, 3}), dtype, {{1, 2, 5, 4}})),
     TORCH_RUN(torch_run(torch::nn::AdaptiveMaxPool2d(torch::nn::AdaptiveMaxPool2dOptions({2, 3})), dtype, {{1, 2, 5, 4}}))},

    {"Tanh", OURS_RUN(run(nn::Tanh(), dtype, {{2, 3}})), TORCH_RUN(torch_run(torch::nn::Tanh(), dtype, {{2, 3}}))},
    {"Sigmoid", OURS_RUN(run(nn::Sigmoid(), dtype, {{2, 3}})), TORCH_RUN(torch_run(torch::nn::Sigmoid(), dtype, {{2, 3}}))},
    {"ReLU", OURS_RUN(run(nn::ReLU(), dtype, {{2, 3}})), TORCH_RUN(torch_run(torch::nn::ReLU(), dtype, {{2, 3}}))},
    {"LeakyReLU", OURS_RUN(run(nn::LeakyReLU(), dtype, {{2, 3}})), TORCH_RUN(torch_run(torch::nn::LeakyReLU(), dtype, {{2, 3}}))},
    {"ELU", OURS_RUN(run(nn::ELU(), dtype, {{2, 3}})), TORCH_RUN(torch_run(torch::nn::ELU(), dtype, {{2, 3}}))},
    {"GELU", OURS_RUN(run(nn::GELU(), dtype, {{2, 3}})), TORCH_RUN(torch_run(torch::nn::GELU(), dtype, {{2, 3}}))},
    {"SiLU", OURS_RUN(run(nn::SiLU(), dtype, {{2, 3}})), TORCH_RUN(torch_run(torch::nn::SiLU(), dtype, {{2, 3}}))},
    {"Softplus", OURS_RUN(run(nn::Softplus(), dtype, {{2, 3}})), TORCH_RUN(torch_run(torch::nn::Softplus(), dtype, {{2, 3}}))},
    {"Sequential: Flatten, Linear, Identity, Dropout in evaluation",
     OURS_RUN(run(nn::Sequential(nn::Flatten(), nn::Linear(6, 2), nn::Identity(), nn::Dropout()), dtype, {{2, 2, 3}},
                  [](auto& m, const Tensor& x) {
                    m.eval();
                    return m(x);
                  })),
     TORCH_RUN(torch_run(torch::nn::Sequential(torch::nn::Flatten(), torch::nn::Linear(6, 2), torch::nn::Identity(),
                                               torch::nn::Dropout()),
                         dtype, {{2, 2, 3}}, [](auto& m, const torch::Tensor& x) {
                           m->eval();
                           return m->forward(x);
                         }))},
};

}  // namespace agreement
