// Multi-head attention (Vaswani et al. 2017), batch first; parameters named and laid out as PyTorch's.
#pragma once
#include <optional>
#include <utility>  // pair

#include "fathom/autograd/ops/attention.h"
#include "fathom/nn/linear.h"
#include "fathom/nn/positions.h"

namespace fathom::nn {

struct MultiheadAttentionOptions {
  bool causal = false;               // step i attends to steps 0 to i only
  double dropout = 0;                // of the weights, in training
  std::optional<double> scale = {};  // of the scores; 1 / sqrt(width / heads) without
  bool rotary = false;               // queries and keys turn with their position
  bool bias = true;
  Dtype dtype = f32;
};
// x (batch, steps, width) to the same shape. The projections start Xavier-uniform, their biases zero.
// A mask broadcasts to (batch, heads, queries, keys): boolean, true where a query may attend (the opposite of PyTorch's
// attn_mask), or floating, added to the scores. A step that may attend to nothing gets out_proj's bias alone.
struct MultiheadAttention : Module {
  Tensor in_proj_weight, in_proj_bias;  // (3 width, width): of queries, keys, values; (3 width) or undefined
  Linear out_proj;
  double dropout;
  bool causal;
  std::optional<double> scale;
  Owned<RotaryPositions> rotary;  // null: none

  // Throws Error when heads does not divide the width, or dropout is not in [0, 1).
  MultiheadAttention(int64_t width, int64_t heads, MultiheadAttentionOptions options = {});
  Tensor forward(Tensor x) override { return self_attend(std::move(x), {}); }
  void fields(Fields& f) override;

  Tensor attend(Tensor x, const Tensor& mask);
  // Cross attention: query (batch, queries, width), key and value (batch, keys, width).
  Tensor attend(Tensor query, const Tensor& key, const Tensor& value, const Tensor& mask = {});
  // What attend compares: each (batch, heads, steps, width / heads), turned by their positions where these are rotary.
  std::pair<Tensor, Tensor> queries_and_keys(const Tensor& query, const Tensor& key);
  // The weights that attend uses, before dropout: (batch, heads, queries, keys).
  Tensor weights(const Tensor& query, const Tensor& key, const Tensor& mask = {});

 private:
  Tensor self_attend(Tensor x, const Tensor& mask);
  Tensor project(Tensor x, int64_t part, bool turn);
  AttentionOptions setting(const Tensor& mask) const;
  Tensor joined(const Tensor& by_heads);
  void check(const Tensor& x) const;

  int64_t width_, heads_;
};

}  // namespace fathom::nn
