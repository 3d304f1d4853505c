// Convolutions as modules. Names, weight layouts, defaults and initialisation are PyTorch's.
#pragma once
#include "fathom/autograd/ops/convolution.h"
#include "fathom/nn/module.h"

namespace fathom::nn {

enum class PaddingMode { zeros, circular };

struct Conv2dOptions {
  Size2d stride = 1;
  Size2d padding = 0;
  Size2d dilation = 1;
  int64_t groups = 1;
  bool bias = true;
  PaddingMode padding_mode = PaddingMode::zeros;
  Dtype dtype = f32;
};
// (batch, in, rows, columns) to (batch, out, ...): see conv2d. Both parameters start uniform within 1 / sqrt(fan_in).
struct Conv2d : Module {
  Tensor weight;  // (out, in / groups, kernel rows, kernel columns)
  Tensor bias;    // (out), undefined without a bias
  Conv2dForm form;
  PaddingMode padding_mode;

  // Throws Error on a size that is too small, and where the groups do not divide the channels.
  Conv2d(int64_t in, int64_t out, Size2d kernel, Conv2dOptions options = {});
  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;
};

struct Conv1dOptions {
  int64_t stride = 1, padding = 0, dilation = 1, groups = 1;
  bool bias = true;
  PaddingMode padding_mode = PaddingMode::zeros;
  Dtype dtype = f32;
};
// (batch, in, length) to (batch, out, ...).
struct Conv1d : Module {
  Tensor weight;  // (out, in / groups, kernel)
  Tensor bias;    // (out), undefined without a bias
  Conv1dForm form;
  PaddingMode padding_mode;

  // Throws Error as Conv2d's.
  Conv1d(int64_t in, int64_t out, int64_t kernel, Conv1dOptions options = {});
  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;
};

}  // namespace fathom::nn
