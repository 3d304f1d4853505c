// Layers with weights of their own.
#pragma once
#include "fathom/nn/module.h"

namespace fathom::nn {

struct LinearOptions {
  bool bias = true;
  Dtype dtype = f32;
};
// y = x W^T + b for x of shape (..., in). Both start uniform within 1 / sqrt(in), as PyTorch's.
struct Linear : Module {
  Tensor weight;  // (out, in)
  Tensor bias;    // (out), undefined without a bias

  // Throws Error on a negative size.
  Linear(int64_t in, int64_t out, LinearOptions options = {});
  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;
};

struct LayerNormOptions {
  double eps = 1e-5;
  bool affine = true;  // with weight and bias
  Dtype dtype = f32;
};
// (x - mean) / sqrt(var + eps) * weight + bias over the last axis, of n elements (Ba et al. 2016).
struct LayerNorm : Module {
  Tensor weight, bias;  // (n), of ones and zeros; undefined unless affine
  double eps;

  // Throws Error unless n > 0, and on an eps that is negative or not finite; so do the other norms.
  explicit LayerNorm(int64_t n, LayerNormOptions options = {});
  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;

 private:
  int64_t n_;
};

struct EmbeddingOptions {
  Dtype dtype = f32;
};
// Rows of weight by their numbers: x (...) of i64 in 0 .. count - 1 gives (..., width). The weight starts standard
// normal.
struct Embedding : Module {
  Tensor weight;  // (count, width)

  // Throws Error on a negative size.
  Embedding(int64_t count, int64_t width, EmbeddingOptions options = {});
  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;
};

}  // namespace fathom::nn
