#include "fathom/nn/linear.h"

#include <cmath>

#include "fathom/autograd/ops/fused.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/matmul.h"
#include "fathom/autograd/ops/number.h"
#include "fathom/nn/init.h"
#include "fathom/nn/size.h"

namespace fathom::nn {

Linear::Linear(int64_t in, int64_t out, LinearOptions options)
    : weight({checked_size("Linear", "out", out), checked_size("Linear", "in", in)}, options.dtype) {
  // Kaiming's uniform with a = sqrt(5): the bound is 1 / sqrt(in).
  const double bound = in > 0 ? 1 / std::sqrt(double(in)) : 0;
  init::uniform(weight, -bound, bound);
  weight.requires_grad_();
  if (!options.bias) return;
  bias = Tensor({out}, options.dtype);
  init::uniform(bias, -bound, bound);
  bias.requires_grad_();
}
Tensor Linear::forward(Tensor x) { return linear(std::move(x), weight, bias); }
void Linear::fields(Fields& f) {
  f("weight", weight);
  f("bias", bias);
}

LayerNorm::LayerNorm(int64_t n, LayerNormOptions options)
    : eps(checked_eps("LayerNorm", options.eps)), n_(checked_size("LayerNorm", "n", n, 1)) {
  if (!options.affine) return;
  weight = Tensor({n}, options.dtype);
  bias = Tensor({n}, options.dtype);
  init::ones(weight);
  init::zeros(bias);
  weight.requires_grad_();
  bias.requires_grad_();
}
Tensor LayerNorm::forward(Tensor x) {
  if (x.dim() < 1 || x.shape().back() != n_)
    throw Error("LayerNorm: the last axis has " + std::to_string(n_) + " elements, got " + to_string(x.shape()));
  return layer_norm(x, weight, bias, eps);
}
void LayerNorm::fields(Fields& f) {
  f("weight", weight);
  f("bias", bias);
}

Embedding::Embedding(int64_t count, int64_t width, EmbeddingOptions options)
    : weight({checked_size("Embedding", "count", count), checked_size("Embedding", "width", width)}, options.dtype) {
  init::normal(weight);
  weight.requires_grad_();
}
Tensor Embedding::forward(Tensor x) {
  if (x.dtype() != i64) throw Error(std::string("Embedding: rows are numbered by i64, got ") + to_string(x.dtype()));
  check_each("Embedding", "row", x, weight.size(0), "rows");
  Shape shape = x.shape();
  shape.push_back(weight.shape()[1]);
  return index_select(weight, 0, x.reshape({x.numel()})).reshape(shape);
}
void Embedding::fields(Fields& f) { f("weight", weight); }

}  // namespace fathom::nn
