#include "fathom/nn/losses.h"

#include <algorithm>  // max
#include <cmath>      // INFINITY

#include "fathom/autograd/create.h"
#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/number.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"

namespace fathom::nn {
namespace {

void check_same_shape(const char* op, const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape())
    throw Error(std::string(op) + ": the shapes differ: " + to_string(a.shape()) + " and " + to_string(b.shape()));
}
Tensor mean_loss(const char* op, const Tensor& each) {
  if (!each.numel()) throw Error(std::string(op) + ": the mean over no elements: " + to_string(each.shape()));
  return mean(each);
}

}  // namespace

Tensor l1_loss(const Tensor& prediction, const Tensor& target) {
  check_same_shape("l1_loss", prediction, target);
  return mean_loss("l1_loss", abs(prediction - target));
}

Tensor huber_loss(const Tensor& prediction, const Tensor& target, double delta) {
  check_same_shape("huber_loss", prediction, target);
  if (!(delta > 0)) throw Error("huber_loss: delta must be positive, got " + std::to_string(delta));
  // With c = d clipped to delta, c^2 / 2 + c (d - c) is both branches; where d - c is not 0, c is constant.
  const Tensor d = prediction - target, c = clamp(d, -delta, delta);
  return mean_loss("huber_loss", square(c) * 0.5 + c.detach() * (d - c));
}

Tensor bce_with_logits(const Tensor& logits, const Tensor& target) {
  check_same_shape("bce_with_logits", logits, target);
  // |x| times what the target has on the other side of 0, and log(1 + exp(-|x|)).
  const auto loss = [](auto x, auto t) {
    const auto wrong = where(x > 0_r, 1 - t, t);
    return log1p(exp(-abs(x))) + where(wrong == 0, 0_r, abs(x)) * wrong;
  };
  return mean_loss("bce_with_logits",
                   pointwise(
                       "bce_with_logits", logits, target, loss, [](auto x, auto t, Unused) { return sigmoid(x) - t; },
                       [](auto x, Unused, Unused) { return -x; }));
}

Tensor nll_loss(const Tensor& log_p, const Tensor& labels, std::optional<int64_t> ignore_index) {
  if (log_p.dim() < 1 || labels.dim() != log_p.dim() - 1)
    throw Error("nll_loss: log_p is (..., classes), labels (...), got " + to_string(log_p.shape()) + " and " +
                to_string(labels.shape()));
  for (int d = 0; d < labels.dim(); ++d)
    if (labels.shape()[d] != log_p.shape()[d])
      throw Error("nll_loss: log_p is (..., classes), labels (...), got " + to_string(log_p.shape()) + " and " +
                  to_string(labels.shape()));
  if (labels.dtype() != i64) throw Error(std::string("nll_loss: labels are i64, got ") + to_string(labels.dtype()));
  check_each("nll_loss", "label", labels, log_p.shape().back(), "classes", ignore_index);
  const Tensor at = unsqueeze(labels, -1);
  if (!ignore_index || !at.numel()) return -mean_loss("nll_loss", gather(log_p, -1, at));
  const Tensor counts = at != tensor(*ignore_index);
  return -sum(where(counts, gather(log_p, -1, where(counts, at, 0)), 0)) / std::max(1.0, sum(counts).item());
}

Tensor kl_div(const Tensor& log_p, const Tensor& q) {
  check_same_shape("kl_div", log_p, q);
  if (log_p.dim() < 1) throw Error("kl_div: needs a last axis to sum over");
  return mean_loss("kl_div", sum(q * (log(where(q == 0, 1, q)) - log_p), {-1}));
}

Tensor cosine_similarity(const Tensor& a, const Tensor& b, int64_t d, double eps) {
  check_same_shape("cosine_similarity", a, b);
  const auto size = [&](const Tensor& x) { return clamp(norm(x, 2, {d}), eps, INFINITY); };
  return sum(a * b, {d}) / (size(a) * size(b));
}

}  // namespace fathom::nn
