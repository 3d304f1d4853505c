#include "fathom/nn/transformer.h"

#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/fused.h"
#include "fathom/nn/size.h"

namespace fathom::nn {

TransformerBlock::TransformerBlock(int64_t width, int64_t heads, TransformerOptions o)
    : self_attn(width, heads,
                {.causal = o.causal,
                 .dropout = o.dropout,
                 .scale = o.scale,
                 .rotary = o.rotary,
                 .bias = o.bias,
                 .dtype = o.dtype}),
      linear1(width, checked_size("TransformerBlock", "feedforward", o.feedforward) ? o.feedforward : 4 * width,
              {.bias = o.bias, .dtype = o.dtype}),
      linear2(linear1.weight.size(0), width, {.bias = o.bias, .dtype = o.dtype}),
      norm1(width, {.eps = o.eps, .dtype = o.dtype}),
      norm2(width, {.eps = o.eps, .dtype = o.dtype}),
      dropout(o.dropout),
      norm_first(o.norm_first),
      activation(o.activation) {}

void TransformerBlock::fields(Fields& f) {
  f("self_attn", self_attn);
  f("linear1", linear1);
  f("linear2", linear2);
  f("norm1", norm1);
  f("norm2", norm2);
}

Tensor TransformerBlock::attend(Tensor x, const Tensor& mask) {
  Tensor y = mask.defined() ? self_attn.attend(std::move(x), mask) : self_attn(std::move(x));
  return training ? fathom::dropout(std::move(y), dropout) : y;
}
Tensor TransformerBlock::feed_forward(Tensor x) {
  Tensor h = activation(linear1(std::move(x)));
  if (!training) return linear2(std::move(h));
  return fathom::dropout(linear2(fathom::dropout(std::move(h), dropout)), dropout);
}
Tensor TransformerBlock::run(Tensor x, const Tensor& mask) {
  if (norm_first) {
    x = attend(norm1(x), mask) + x;
    return feed_forward(norm2(x)) + x;
  }
  x = norm1(attend(x, mask) + x);
  return norm2(feed_forward(x) + x);
}
Tensor TransformerBlock::forward_masked(Tensor x, const Tensor& mask) {
  return call(std::move(x), [&](Tensor at) { return run(std::move(at), mask); });
}

Transformer::Transformer(int64_t width, int64_t heads, int64_t blocks, TransformerOptions o) {
  checked_size("Transformer", "blocks", blocks);
  for (int64_t i = 0; i < blocks; ++i) layers.emplace_back(width, heads, o);
  if (o.norm_first) norm = Owned(new LayerNorm(width, {.eps = o.eps, .dtype = o.dtype}));
}
Tensor Transformer::forward(Tensor x) {
  for (TransformerBlock& block : layers) x = block(std::move(x));
  return norm ? (*norm)(std::move(x)) : x;
}
Tensor Transformer::forward_masked(Tensor x, const Tensor& mask) {
  return call(std::move(x), [&](Tensor at) {
    for (TransformerBlock& block : layers) at = block.forward_masked(std::move(at), mask);
    return norm ? (*norm)(std::move(at)) : at;
  });
}
void Transformer::fields(Fields& f) {
  f("layers", layers);
  f("norm", norm);
}

}  // namespace fathom::nn
