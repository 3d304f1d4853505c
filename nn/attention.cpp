#include "fathom/nn/attention.h"

#include "fathom/autograd/ops/matmul.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/autograd/recording.h"
#include "fathom/nn/init.h"
#include "fathom/nn/size.h"

namespace fathom::nn {
namespace {

// (batch, steps, width) as (batch, heads, steps, width / heads).
Tensor by_heads(const Tensor& x, int64_t heads) {
  return transpose(reshape(x, {x.size(0), x.size(1), heads, x.size(2) / heads}), 1, 2);
}

int64_t checked(int64_t width, int64_t heads) {
  checked_size("MultiheadAttention", "width", width, 1);
  checked_size("MultiheadAttention", "heads", heads, 1);
  if (width % heads)
    throw Error("MultiheadAttention: " + std::to_string(heads) + " heads do not divide a width of " +
                std::to_string(width));
  return width;
}

}  // namespace

MultiheadAttention::MultiheadAttention(int64_t width, int64_t heads, MultiheadAttentionOptions options)
    : in_proj_weight({3 * checked(width, heads), width}, options.dtype),
      out_proj(width, width, {.bias = options.bias, .dtype = options.dtype}),
      dropout(options.dropout),
      causal(options.causal),
      scale(options.scale),
      width_(width),
      heads_(heads) {
  if (!(dropout >= 0 && dropout < 1))
    throw Error("MultiheadAttention: the dropout must be in [0, 1), got " + std::to_string(dropout));
  if (options.rotary) rotary = Owned(new RotaryPositions(width / heads));
  init::xavier_uniform(in_proj_weight);
  in_proj_weight.requires_grad_();
  if (!options.bias) return;
  in_proj_bias = Tensor({3 * width}, options.dtype);
  init::zeros(in_proj_bias);
  in_proj_bias.requires_grad_();
  const NoGrad off;
  out_proj.bias.zero_();
}

void MultiheadAttention::fields(Fields& f) {
  f("in_proj_weight", in_proj_weight);
  f("in_proj_bias", in_proj_bias);
  f("out_proj", out_proj);
}

void MultiheadAttention::check(const Tensor& x) const {
  if (x.dim() != 3 || x.size(2) != width_)
    throw Error("MultiheadAttention: needs (batch, steps, " + std::to_string(width_) + "), got " +
                to_string(x.shape()));
}
AttentionOptions MultiheadAttention::setting(const Tensor& mask) const {
  return {.mask = mask, .causal = causal, .dropout = training ? dropout : 0, .scale = scale};
}
Tensor MultiheadAttention::joined(const Tensor& y) {
  return out_proj(reshape(transpose(y, 1, 2), {y.size(0), y.size(2), width_}));
}
// Part 0, 1, 2: the queries, keys, values of x, by heads.
Tensor MultiheadAttention::project(Tensor x, int64_t part, bool turn) {
  const int64_t begin = part * width_, end = begin + width_;
  const Tensor bias = in_proj_bias.defined() ? slice(in_proj_bias, 0, begin, end) : Tensor();
  const Tensor y = by_heads(linear(std::move(x), slice(in_proj_weight, 0, begin, end), bias), heads_);
  return turn && rotary ? rotary->forward(y) : y;
}

Tensor MultiheadAttention::self_attend(Tensor x, const Tensor& mask) {
  check(x);
  const Tensor qkv = linear(std::move(x), in_proj_weight, in_proj_bias);
  if (!rotary) return out_proj(self_attention(qkv, heads_, setting(mask)));
  const auto part = [&](int64_t i) { return by_heads(slice(qkv, 2, i * width_, (i + 1) * width_), heads_); };
  return joined(
      scaled_dot_product_attention(rotary->forward(part(0)), rotary->forward(part(1)), part(2), setting(mask)));
}
Tensor MultiheadAttention::attend(Tensor x, const Tensor& mask) {
  return call(std::move(x), [&](Tensor at) { return self_attend(std::move(at), mask); });
}
Tensor MultiheadAttention::attend(Tensor query, const Tensor& key, const Tensor& value, const Tensor& mask) {
  return call(std::move(query), [&](Tensor at) {
    for (const Tensor* x : {&std::as_const(at), &key, &value}) check(*x);
    const Tensor q = project(std::move(at), 0, true), k = project(key, 1, true);
    return joined(scaled_dot_product_attention(q, k, project(value, 2, false), setting(mask)));
  });
}
std::pair<Tensor, Tensor> MultiheadAttention::queries_and_keys(const Tensor& query, const Tensor& key) {
  for (const Tensor* x : {&query, &key}) check(*x);
  return {project(query, 0, true), project(key, 1, true)};
}
Tensor MultiheadAttention::weights(const Tensor& query, const Tensor& key, const Tensor& mask) {
  const auto [q, k] = queries_and_keys(query, key);
  return attention_weights(q, k, setting(mask));
}

}  // namespace fathom::nn
