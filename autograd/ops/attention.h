// Scaled dot-product attention (Vaswani et al. 2017): softmax(scale q k^T + mask) v, fused.
#pragma once
#include <optional>

#include "fathom/tensor/random.h"
#include "fathom/tensor/tensor.h"

namespace fathom {

struct AttentionOptions {
  // Broadcasts to (..., queries, keys). Boolean: true where a query may attend to a key; floating: added to the scores.
  Tensor mask = {};
  bool causal = false;               // query i attends to keys 0 to i only, beside what the mask says
  double dropout = 0;                // of the weights, after the softmax
  std::optional<double> scale = {};  // 1 / sqrt(width) without
  Rng* rng = nullptr;                // draws the dropout; the thread's default when null
};

// q (..., queries, width), k (..., keys, width), v (..., keys, width of v), leading axes broadcast, to (..., queries,
// width of v). No input is copied when its rows are of consecutive elements; the result and the gradients have the
// layouts of q, k and v. The weights are computed tile by tile, again for each derivative, and never kept: memory grows
// with queries + keys, and with their product only for the gradient of a mask. A query that may attend to no key gives
// zeros, and its gradients are zero.
// Throws Error when dtypes differ or are not floating, sizes do not fit, a mask is i64, dropout is not in [0, 1] or
// scale not finite.
Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v, AttentionOptions options = {});

// The same of q, k and v side by side, as one projection makes them: qkv (batch, steps, 3 heads width) to (batch,
// steps, heads width).
Tensor self_attention(const Tensor& qkv, int64_t heads, AttentionOptions options = {});

// The weights alone, before dropout: (..., queries, keys).
Tensor attention_weights(const Tensor& q, const Tensor& k, const AttentionOptions& options = {});

}  // namespace fathom
