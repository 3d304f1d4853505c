// Losses: the mean over all elements, or over the rows, as a scalar.
#pragma once
#include <optional>

#include "fathom/autograd/ops/fused.h"

namespace fathom::nn {

using fathom::cross_entropy;  // (logits, labels, {.label_smoothing, .ignore_index})
using fathom::mse_loss;       // (prediction, target)

// Each throws Error when the shapes differ, and over no elements.
Tensor l1_loss(const Tensor& prediction, const Tensor& target);
// d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d the difference (Huber 1964). Throws Error unless
// delta > 0.
Tensor huber_loss(const Tensor& prediction, const Tensor& target, double delta = 1);
// -target log p - (1 - target) log(1 - p) with p = sigmoid(logits); exact for large logits, infinite
// ones too. Targets in [0, 1].
Tensor bce_with_logits(const Tensor& logits, const Tensor& target);

// The mean of -log_p[label] over the rows, but those whose label is to be ignored, which may be any number; 0 where
// none is left. log_p (..., classes), labels (...) i64. With log_softmax: cross_entropy.
Tensor nll_loss(const Tensor& log_p, const Tensor& labels, std::optional<int64_t> ignore_index = {});
// Kullback & Leibler's sum of q (log q - log p) over the last axis, the mean over the rows (PyTorch's "batchmean"); q
// log q and its slope are 0 at q = 0.
Tensor kl_div(const Tensor& log_p, const Tensor& q);
// The cosine of the angle between a and b along axis d, norms below eps counting as eps.
Tensor cosine_similarity(const Tensor& a, const Tensor& b, int64_t d = -1, double eps = 1e-8);

}  // namespace fathom::nn
