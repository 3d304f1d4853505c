// Ops whose derivatives share work: first order in both modes by kernels, higher orders by composition.
#pragma once
#include <optional>

#include "fathom/tensor/random.h"
#include "fathom/tensor/tensor.h"

namespace fathom {

Tensor softmax(Tensor x, int64_t d = -1);
Tensor log_softmax(Tensor x, int64_t d = -1);
// (x - mean) / sqrt(var + eps) * weight + bias over the last axis (Ba et al. 2016); weight and bias (n) or undefined.
Tensor layer_norm(const Tensor& x, const Tensor& weight = {}, const Tensor& bias = {}, double eps = 1e-5);
// x / sqrt(mean of x^2 + eps) * weight over the last axis (Zhang & Sennrich 2019); weight (n) or undefined.
Tensor rms_norm(const Tensor& x, const Tensor& weight = {}, double eps = 1e-5);
// (x - mean) / sqrt(var + eps) * weight + bias for x (batch, channels, ...), with the mean and the variance (over n,
// not n - 1) of each sample's `groups` groups of channels (Wu & He 2018); weight and bias (channels) or undefined.
Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight = {}, const Tensor& bias = {},
                  double eps = 1e-5);
struct ChannelMoments {
  Tensor mean, var;  // (channels), without history
};
// The same with each channel's over the batch and all places (Ioffe & Szegedy 2015), which are written to `moments`
// where it is not null; or with given ones, which are constants.
Tensor batch_norm(const Tensor& x, const Tensor& weight = {}, const Tensor& bias = {}, double eps = 1e-5,
                  ChannelMoments* moments = nullptr);
Tensor batch_norm(const Tensor& x, const ChannelMoments& given, const Tensor& weight, const Tensor& bias,
                  double eps = 1e-5);
// The mean of (a - b)^2.
Tensor mse_loss(const Tensor& a, const Tensor& b);
struct CrossEntropyOptions {
  double label_smoothing = 0;
  std::optional<int64_t> ignore_index = {};  // rows with this label, which may be any number, do not count
};
// The mean of -sum_k q_k log softmax(logits)_k over the rows that count, 0 where none does; logits (..., classes),
// labels (...) i64, q = (1 - smoothing) onehot(label) + smoothing / classes. Throws Error over no rows at all.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, CrossEntropyOptions options = {});
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, double label_smoothing);
// Each element is zero with probability p, else scaled by 1 / (1 - p) (Srivastava et al. 2014).
Tensor dropout(Tensor x, double p, Rng& rng = default_rng());

}  // namespace fathom
