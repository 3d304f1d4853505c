// One row an op that a layer or a loss is made of: its inputs, itself in Fathom, itself in libtorch.
#include "fathom/autograd/ops.h"
#include "fathom/nn/losses.h"
#include "tests/agreement/cases.h"

using namespace fathom;

namespace agreement {
namespace {

// From the i-th input on.
RecurrentWeights weights(const List& x, size_t i) { return {x[i], x[i + 1], x[i + 2], x[i + 3]}; }
#ifdef FATHOM_WITH_TORCH
TorchList weights(const TorchList& x, size_t i) { return {x.begin() + int64_t(i), x.begin() + int64_t(i) + 4}; }
// Causal, of queries, keys and values (3, batch, heads, steps, width), to (batch, steps, heads width).
torch::Tensor self_attention(const torch::Tensor& qkv) {
  const int64_t steps = qkv.size(3), width = qkv.size(4);
  const torch::Tensor later = torch::full({steps, steps}, -INFINITY, qkv.dtype()).triu(1);
  const torch::Tensor scores = torch::matmul(qkv[0], qkv[1].transpose(-1, -2)) / std::sqrt(double(width)) + later;
  return torch::matmul(torch::softmax(scores, -1), qkv[2]).transpose(1, 2).flatten(2);
}
#endif

}  // namespace

const std::vector<Case> layers = {
    {"softmax", {{{3, 5}, -8, 8}}, OURS(softmax(x[0], 1)), TORCH(torch::softmax(x[0], 1))},
    {"softmax along the first axis", {{{3, 5}}}, OURS(softmax(x[0], 0)), TORCH(torch::softmax(x[0], 0))},
    {"log_softmax", {{{3, 5}, -8, 8}}, OURS(log_softmax(x[0])), TORCH(torch::log_softmax(x[0], -1))},
    {"cross_entropy",
     {{{4, 3}}, {{4}, 0, 0, 3}},
     OURS(cross_entropy(x[0], x[1])),
     TORCH(torch::cross_entropy_loss(x[0], x[1]))},
    {"cross_entropy, smoothed",
     {{{4, 3}}, {{4}, 0, 0, 3}},
     OURS(cross_entropy(x[0], x[1], 0.1)),
     TORCH(torch::cross_entropy_loss(x[0], x[1], {}, at::Reduction::Mean, -100, 0.1))},
    {"cross_entropy, smoothed, with a label ignored",
     {{{8, 3}}, {{8}, 0, 0, 3}},
     OURS(cross_entropy(x[0], x[1], {.label_smoothing = 0.1, .ignore_index = 1})),
     TORCH(torch::cross_entropy_loss(x[0], x[1], {}, at::Reduction::Mean, 1, 0.1))},
    {"attention",
     {{{2, 3, 4}}, {{2, 5, 4}}, {{2, 5, 3}}},
     OURS(scaled_dot_product_attention(x[0], x[1], x[2])),
     TORCH(torch::matmul(torch::softmax(torch::matmul(x[0], x[1].transpose(1, 2)) / 2, -1), x[2]))},
    {"attention, causal, with a mask and a scale",
     {{{5, 4}}, {{5, 4}}, {{5, 3}}, {{5, 5}}},
     OURS(scaled_dot_product_attention(x[0], x[1], x[2], {.mask = x[3], .causal = true, .scale = 0.7})),
     TORCH(torch::matmul(
         torch::softmax(
             torch::matmul(x[0], x[1].t()) * 0.7 + x[3] + torch::full({5, 5}, -INFINITY, x[0].dtype()).triu(1), -1),
         x[2]))},
    {"attention weights",
     {{{3, 4}}, {{5, 4}}},
     OURS(attention_weights(x[0], x[1])),
     TORCH(torch::softmax(torch::matmul(x[0], x[1].t()) / 2, -1))},
    {"self_attention",
     {{{1, 3, 12}}},
     OURS(self_attention(x[0], 2, {.causal = true})),
     TORCH(self_attention(x[0].view({1, 3, 3, 2, 2}).permute({2, 0, 3, 1, 4})))},
    {"layer_norm",
     {{{3, 5}}, {{5}}, {{5}}},
     OURS(layer_norm(x[0], x[1], x[2])),
     TORCH(torch::layer_norm(x[0], {5}, x[1], x[2]))},
    {"rms_norm",
     {{{3, 5}}, {{5}}},
     OURS(rms_norm(x[0], x[1], 0.1)),
     TORCH(x[0] * torch::rsqrt(torch::mean(torch::square(x[0]), -1, true) + 0.1) * x[1])},
    {"group_norm",
     {{{2, 4, 3}}, {{4}}, {{4}}},
     OURS(group_norm(x[0], 2, x[1], x[2])),
     TORCH(torch::group_norm(x[0], 2, x[1], x[2]))},
    {"batch_norm",
     {{{3, 2, 2}}, {{2}}, {{2}}},
     OURS(batch_norm(x[0], x[1], x[2])),
     TORCH(torch::batch_norm(x[0], x[1], x[2], {}, {}, true, 0.1, 1e-5, false))},
    {"batch_norm by given moments",
     {{{3, 2, 2}}, {{2}}, {{2}}},
     OURS(batch_norm(x[0], {mean(x[0].detach(), {0, 2}), var(x[0].detach(), {0, 2})}, x[1], x[2])),
     TORCH(torch::batch_norm(x[0], x[1], x[2], x[0].detach().mean(at::IntArrayRef({0, 2})),
                             x[0].detach().var(at::IntArrayRef({0, 2})), false, 0.1, 1e-5, false))},

    {"conv2d",
     {{{2, 2, 4, 3}}, {{3, 2, 3, 2}}, {{3}}},
     OURS(conv2d(x[0], x[1], x[2])),
     TORCH(torch::conv2d(x[0], x[1], x[2]))},
    {"conv2d, with all it can",
     {{{1, 4, 5, 4}}, {{4, 2, 2, 3}}, {{4}}},
     OURS(conv2d(x[0], x[1], x[2], {{2, 1}, {1, 2}, {1, 2}, 2})),
     TORCH(torch::conv2d(x[0], x[1], x[2], {2, 1}, {1, 2}, {1, 2}, 2))},
    {"conv2d of many channels",
     {{{1, 16, 2, 2}}, {{1, 16, 2, 2}}},
     OURS(conv2d(x[0], x[1], {}, {.padding = 1})),
     TORCH(torch::conv2d(x[0], x[1], {}, 1, 1))},
    {"conv1d",
     {{{2, 2, 6}}, {{2, 1, 3}}, {{2}}},
     OURS(conv1d(x[0], x[1], x[2], {2, 1, 2, 2})),
     TORCH(torch::conv1d(x[0], x[1], x[2], 2, 1, 2, 2))},
    {"pad_circular",
     {{{1, 1, 2, 3}}},
     OURS(square(pad_circular(x[0], {1, 2}))),
     TORCH(torch::square(torch::pad(x[0], {2, 2, 1, 1}, "circular")))},
    {"max_pool2d",
     {{{1, 2, 5, 4}}},
     OURS(square(max_pool2d(x[0], {{3, 2}, {2, 1}, 1}))),
     TORCH(torch::square(torch::max_pool2d(x[0], {3, 2}, {2, 1}, 1)))},
    {"avg_pool2d",
     {{{1, 2, 5, 4}}},
     OURS(square(avg_pool2d(x[0], {{3, 2}, {2, 1}, 1}))),
     TORCH(torch::square(torch::avg_pool2d(x[0], {3, 2}, {2, 1}, 1)))},
    {"avg_pool2d, padding not counted",
     {{{1, 2, 5, 4}}},
     OURS(square(avg_pool2d(x[0], {{3, 2}, {2, 1}, 1}, false))),
     TORCH(torch::square(torch::avg_pool2d(x[0], {3, 2}, {2, 1}, 1, false, false)))},
    {"adaptive_avg_pool2d",
     {{{1, 2, 5, 4}}},
     OURS(square(adaptive_avg_pool2d(x[0], {2, 3}))),
     TORCH(torch::square(torch::adaptive_avg_pool2d(x[0], {2, 3})))},
    {"adaptive_max_pool2d",
     {{{1, 2, 5, 4}}},
     OURS(square(adaptive_max_pool2d(x[0], {2, 3}))),
     TORCH(torch::square(std::get<0>(torch::adaptive_max_pool2d(x[0], {2, 3}))))},

    {"rnn",
     {{{3, 2, 2}}, {{2, 2}}, {{2, 2}}, {{2, 2}}, {{2}}, {{2}}},
     OURS(rnn(x[0], x[1], weights(x, 2))),
     TORCH(std::get<0>(torch::rnn_tanh(x[0], x[1].unsqueeze(0), weights(x, 2), true, 1, 0, true, false, false)))},
    {"lstm",
     {{{3, 2, 2}}, {{2, 2}}, {{2, 2}}, {{8, 2}}, {{8, 2}}, {{8}}, {{8}}},
     OURS(lstm(x[0], {x[1], x[2]}, weights(x, 3)).output),
     TORCH(std::get<0>(
         torch::lstm(x[0], {x[1].unsqueeze(0), x[2].unsqueeze(0)}, weights(x, 3), true, 1, 0, true, false, false)))},
    {"gru",
     {{{3, 2, 2}}, {{2, 2}}, {{6, 2}}, {{6, 2}}, {{6}}, {{6}}},
     OURS(gru(x[0], x[1], weights(x, 2))),
     TORCH(std::get<0>(torch::gru(x[0], x[1].unsqueeze(0), weights(x, 2), true, 1, 0, true, false, false)))},
    {"rnn_cell, relu",
     {{{2, 2}}, {{2, 2}}, {{2, 2}}, {{2, 2}}, {{2}}, {{2}}},
     OURS(rnn_cell(x[0], x[1], weights(x, 2), Nonlinearity::relu)),
     TORCH(torch::rnn_relu_cell(x[0], x[1], x[2], x[3], x[4], x[5]))},
    {"lstm_cell",
     {{{1, 2}}, {{1, 2}}, {{1, 2}}, {{8, 2}}, {{8, 2}}, {{8}}, {{8}}},
     OURS(lstm_cell(x[0], {x[1], x[2]}, weights(x, 3)).c),
     TORCH(std::get<1>(torch::lstm_cell(x[0], {x[1], x[2]}, x[3], x[4], x[5], x[6])))},
    {"gru_cell",
     {{{1, 2}}, {{1, 2}}, {{6, 2}}, {{6, 2}}, {{6}}, {{6}}},
     OURS(gru_cell(x[0], x[1], weights(x, 2))),
     TORCH(torch::gru_cell(x[0], x[1], x[2], x[3], x[4], x[5]))},

    {"mse_loss", {{{3, 5}}, {{3, 5}}}, OURS(mse_loss(x[0], x[1])), TORCH(torch::mse_loss(x[0], x[1]))},
    {"l1_loss", {{{3, 5}}, {{3, 5}}}, OURS(nn::l1_loss(x[0], x[1])), TORCH(torch::l1_loss(x[0], x[1])), false},
    {"huber_loss",
     {{{3, 5}}, {{3, 5}}},
     OURS(nn::huber_loss(x[0], x[1], 0.7)),
     TORCH(torch::huber_loss(x[0], x[1], at::Reduction::Mean, 0.7))},
    {"bce_with_logits",
     {{{3, 5}, -20, 20}, {{3, 5}, 0, 1}},
     OURS(nn::bce_with_logits(x[0], x[1])),
     TORCH(torch::binary_cross_entropy_with_logits(x[0], x[1]))},
    {"nll_loss", {{{4, 3}}, {{4}, 0, 0, 3}}, OURS(nn::nll_loss(x[0], x[1])), TORCH(torch::nll_loss(x[0], x[1]))},
    {"nll_loss, a label ignored",
     {{{8, 3}}, {{8}, 0, 0, 3}},
     OURS(nn::nll_loss(x[0], x[1], 1)),
     TORCH(torch::nll_loss(x[0], x[1], {}, at::Reduction::Mean, 1))},
    {"kl_div",
     {{{3, 4}}, {{3, 4}, 0.1, 1}},
     OURS(nn::kl_div(x[0], x[1])),
     TORCH(torch::kl_div(x[0], x[1], at::Reduction::Sum) / 3)},
    {"kl_div, zeros among the targets",
     {{{2, 3}}, {{2, 3}}},
     OURS(nn::kl_div(x[0], relu(x[1]))),
     TORCH(torch::kl_div(x[0], torch::relu(x[1]), at::Reduction::Sum) / 2)},
    {"cosine_similarity",
     {{{3, 4}}, {{3, 4}}},
     OURS(nn::cosine_similarity(x[0], x[1])),
     TORCH(torch::cosine_similarity(x[0], x[1], -1))},
};

}  // namespace agreement
