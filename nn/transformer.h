// Transformers on (batch, steps, width).
#pragma once
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/nn/attention.h"

namespace fathom::nn {

struct TransformerOptions {
  bool norm_first = true;   // pre-norm (Xiong et al. 2020); else post-norm (Vaswani et al. 2017)
  bool causal = false;      // step i attends to steps 0 to i only
  bool rotary = false;      // queries and keys turn with their position
  int64_t feedforward = 0;  // width between linear1 and linear2; 0: four times the width
  Tensor (*activation)(Tensor) = [](Tensor x) { return gelu(std::move(x)); };
  double dropout = 0;                // in training: of the weights, of each branch, and after the activation
  std::optional<double> scale = {};  // of the scores; 1 / sqrt(width / heads) without
  double eps = 1e-5;                 // of the norms
  bool bias = true;                  // of the linear maps
  Dtype dtype = f32;
};

// Attention and two linear maps, each in a residual branch with a norm: of PyTorch's TransformerEncoderLayer, its names
// and arithmetic.
//   norm_first:  x + f(norm(x))       else:  norm(x + f(x))
struct TransformerBlock : Module {
  MultiheadAttention self_attn;
  Linear linear1, linear2;
  LayerNorm norm1, norm2;
  double dropout;
  bool norm_first;
  Tensor (*activation)(Tensor);

  TransformerBlock(int64_t width, int64_t heads, TransformerOptions options = {});
  Tensor forward(Tensor x) override { return run(std::move(x), {}); }
  Tensor forward_masked(Tensor x, const Tensor& mask);  // see MultiheadAttention for what a mask is
  void fields(Fields& f) override;

 private:
  Tensor run(Tensor x, const Tensor& mask);
  Tensor attend(Tensor x, const Tensor& mask);
  Tensor feed_forward(Tensor x);
};

// Blocks one after the other; with norm_first a last norm.
struct Transformer : Module {
  std::vector<TransformerBlock> layers;
  Owned<LayerNorm> norm;  // null unless norm_first

  Transformer(int64_t width, int64_t heads, int64_t blocks, TransformerOptions options = {});
  Tensor forward(Tensor x) override;
  Tensor forward_masked(Tensor x, const Tensor& mask);
  void fields(Fields& f) override;
};

}  // namespace fathom::nn
