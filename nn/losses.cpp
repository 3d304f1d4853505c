#include "fathom/nn/losses.h"

#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/autograd/ops/reduce.h"

namespace fathom::nn {
namespace {

void check_same_shape(const char* op, const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape())
    throw Error(std::string(op) + ": the shapes differ: " + to_string(a.shape()) + " and " + to_string(b.shape()));
}

}  // namespace

Tensor l1_loss(const Tensor& prediction, const Tensor& target) {
  check_same_shape("l1_loss", prediction, target);
  return mean(abs(prediction - target));
}

Tensor huber_loss(const Tensor& prediction, const Tensor& target, double delta) {
  check_same_shape("huber_loss", prediction, target);
  if (!(delta > 0)) throw Error("huber_loss: delta must be positive, got " + std::to_string(delta));
  // With c = d clipped to delta, c (d - c / 2) is both branches.
  const Tensor d = prediction - target, c = clamp(d, -delta, delta);
  return mean(c * (d - c * 0.5));
}

Tensor bce_with_logits(const Tensor& logits, const Tensor& target) {
  check_same_shape("bce_with_logits", logits, target);
  return mean(softplus(logits) - logits * target);
}

}  // namespace fathom::nn
