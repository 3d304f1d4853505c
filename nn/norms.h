// Norms beside LayerNorm. Names, defaults and arithmetic are PyTorch's.
#pragma once
#include <optional>

#include "fathom/nn/module.h"

namespace fathom::nn {

struct RMSNormOptions {
  std::optional<double> eps = {};  // by default the spacing of the dtype's numbers at 1
  bool affine = true;              // with a weight
  Dtype dtype = f32;
};
// x / sqrt(mean of x^2 + eps) * weight over the last axis, of n elements (Zhang & Sennrich 2019).
struct RMSNorm : Module {
  Tensor weight;  // (n), of ones; undefined unless affine
  std::optional<double> eps;

  explicit RMSNorm(int64_t n, RMSNormOptions options = {});
  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;

 private:
  int64_t n_;
};

struct GroupNormOptions {
  double eps = 1e-5;
  bool affine = true;
  Dtype dtype = f32;
};
// (x - mean) / sqrt(var + eps) * weight + bias over each of `groups` groups of channels of a sample, for x
// (batch, channels, ...) (Wu & He 2018).
struct GroupNorm : Module {
  Tensor weight, bias;  // (channels), of ones and zeros; undefined unless affine
  int64_t groups;
  double eps;

  GroupNorm(int64_t groups, int64_t channels, GroupNormOptions options = {});
  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;

 private:
  int64_t channels_;
};

struct BatchNormOptions {
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  // what a batch weighs in the running statistics; none: all batches alike
  bool affine = true;
  bool track_running_stats = true;  // without, evaluation norms by the batch's own statistics too
  Dtype dtype = f32;
};
// (x - mean) / sqrt(var + eps) * weight + bias of each channel (Ioffe & Szegedy 2015). In training mean and variance
// are the batch's, and the running ones move towards them (the variance over n - 1); in evaluation they are the running
// ones. A checkpoint's second run and the instrument leave the running ones alone.
struct BatchNorm : Module {
  Tensor weight, bias;               // (channels), of ones and zeros; undefined unless affine
  Tensor running_mean, running_var;  // (channels), buffers, from 0 and 1; undefined unless tracked
  Tensor num_batches_tracked;        // i64, a buffer
  double eps;
  std::optional<double> momentum;

  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;

 protected:
  BatchNorm(const char* name, std::initializer_list<int64_t> ranks, int64_t channels, const BatchNormOptions& options);

 private:
  void track(const Tensor& mean, const Tensor& var, int64_t count);

  const char* name_;
  Shape ranks_;  // that x may have
  int64_t channels_;
};
// x (batch, channels) or (batch, channels, length)
struct BatchNorm1d : BatchNorm {
  explicit BatchNorm1d(int64_t channels, BatchNormOptions options = {})
      : BatchNorm("BatchNorm1d", {2, 3}, channels, options) {}
};
// x (batch, channels, rows, columns)
struct BatchNorm2d : BatchNorm {
  explicit BatchNorm2d(int64_t channels, BatchNormOptions options = {})
      : BatchNorm("BatchNorm2d", {4}, channels, options) {}
};

}  // namespace fathom::nn
