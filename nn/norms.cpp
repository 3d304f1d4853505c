#include "fathom/nn/norms.h"

#include <algorithm>  // find
#include <limits>

#include "fathom/autograd/checkpoint.h"  // recomputing
#include "fathom/autograd/create.h"
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/fused.h"
#include "fathom/autograd/recording.h"
#include "fathom/nn/size.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom::nn {
namespace {

void make_affine(Tensor& weight, Tensor* bias, int64_t n, bool affine, Dtype dtype) {
  if (!affine) return;
  weight = ones({n}, {.dtype = dtype, .requires_grad = true});
  if (bias) *bias = zeros({n}, {.dtype = dtype, .requires_grad = true});
}
void check_channels(const char* name, const Tensor& x, int64_t channels) {
  if (x.dim() < 2 || x.size(1) != channels)
    throw Error(std::string(name) + ": x has " + std::to_string(channels) + " channels along axis 1, got " +
                to_string(x.shape()));
}

}  // namespace

RMSNorm::RMSNorm(int64_t n, RMSNormOptions options) : eps(options.eps), n_(checked_size("RMSNorm", "n", n, 1)) {
  if (eps) checked_eps("RMSNorm", *eps);
  make_affine(weight, nullptr, n, options.affine, options.dtype);
}
Tensor RMSNorm::forward(Tensor x) {
  if (x.dim() < 1 || x.shape().back() != n_)
    throw Error("RMSNorm: the last axis has " + std::to_string(n_) + " elements, got " + to_string(x.shape()));
  const double spacing =
      x.dtype() == f32 ? double(std::numeric_limits<float>::epsilon()) : std::numeric_limits<double>::epsilon();
  return rms_norm(x, weight, eps.value_or(spacing));
}
void RMSNorm::fields(Fields& f) { f("weight", weight); }

GroupNorm::GroupNorm(int64_t g, int64_t channels, GroupNormOptions options)
    : groups(checked_size("GroupNorm", "groups", g, 1)),
      eps(checked_eps("GroupNorm", options.eps)),
      channels_(checked_size("GroupNorm", "channels", channels, 1)) {
  if (channels % g)
    throw Error("GroupNorm: " + std::to_string(g) + " groups do not divide " + std::to_string(channels) + " channels");
  make_affine(weight, &bias, channels, options.affine, options.dtype);
}
Tensor GroupNorm::forward(Tensor x) {
  check_channels("GroupNorm", x, channels_);
  return group_norm(x, groups, weight, bias, eps);
}
void GroupNorm::fields(Fields& f) {
  f("weight", weight);
  f("bias", bias);
}

BatchNorm::BatchNorm(const char* name, std::initializer_list<int64_t> ranks, int64_t channels,
                     const BatchNormOptions& options)
    : eps(checked_eps(name, options.eps)),
      momentum(options.momentum),
      name_(name),
      ranks_(ranks),
      channels_(checked_size(name, "channels", channels, 1)) {
  if (momentum && !(*momentum >= 0 && *momentum <= 1))
    throw Error(std::string(name) + ": momentum must be in [0, 1], got " + std::to_string(*momentum));
  make_affine(weight, &bias, channels, options.affine, options.dtype);
  if (!options.track_running_stats) return;
  running_mean = zeros({channels}, {.dtype = options.dtype});
  running_var = ones({channels}, {.dtype = options.dtype});
  num_batches_tracked = zeros({}, {.dtype = i64});
}

Tensor BatchNorm::forward(Tensor x) {
  if (std::find(ranks_.begin(), ranks_.end(), x.dim()) == ranks_.end())
    throw Error(std::string(name_) + ": x of rank " + std::to_string(x.dim()) + ": " + to_string(x.shape()));
  check_channels(name_, x, channels_);
  if (running_mean.defined()) kernel::check_dtypes(name_, x, running_mean);
  if (!training && running_mean.defined()) return batch_norm(x, {running_mean, running_var}, weight, bias, eps);
  const int64_t count = x.numel() / channels_;
  if (training && count < 2)
    throw Error(std::string(name_) + ": training needs more than one value a channel, got " + to_string(x.shape()));
  ChannelMoments moments;
  Tensor y = batch_norm(x, weight, bias, eps, &moments);
  if (training && running_mean.defined() && !recomputing()) track(moments.mean, moments.var, count);
  return y;
}

void BatchNorm::track(const Tensor& mean, const Tensor& var, int64_t count) {
  const NoGrad off;
  num_batches_tracked.add_(1);
  const double share = momentum.value_or(1 / num_batches_tracked.item());
  running_mean.mul_(1 - share).add_(mean * share);
  running_var.mul_(1 - share).add_(var * (share * double(count) / double(count - 1)));
}

void BatchNorm::fields(Fields& f) {
  f("weight", weight);
  f("bias", bias);
  f.buffer("running_mean", running_mean);
  f.buffer("running_var", running_var);
  f.buffer("num_batches_tracked", num_batches_tracked);
}

}  // namespace fathom::nn
