#include "fathom/probe/attention.h"

#include <cmath>
#include <limits>

#include "fathom/autograd/ops/matmul.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/autograd/recording.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom::probe {
namespace {

constexpr double masked = -std::numeric_limits<double>::infinity();

// What a query's scores over its keys add to the head's sums. False: it may attend to nothing.
bool add_query(AttentionStatistics& sums, const double* scores, int64_t keys) {
  double largest = masked, mean = 0, squares = 0;
  int64_t n = 0;
  for (int64_t j = 0; j < keys; ++j) {
    if (scores[j] == masked) continue;
    const double from_mean = scores[j] - mean;  // Welford 1962
    mean += from_mean / double(++n);
    squares += from_mean * (scores[j] - mean);
    largest = std::fmax(largest, scores[j]);
    sums.largest_logit = std::fmax(sums.largest_logit, std::abs(scores[j]));
  }
  if (n == 0) return false;
  // With z = sum exp(s - max): -sum p log p = log z - sum p (s - max).
  double z = 0, weighted = 0;
  for (int64_t j = 0; j < keys; ++j) {
    if (scores[j] == masked) continue;
    const double below = scores[j] - largest, e = std::exp(below);
    z += e;
    if (e > 0) weighted += e * below;
  }
  sums.entropy += z > 0 ? std::log(z) - weighted / z : NAN;  // a NaN among the scores leaves z NaN
  sums.uniform += std::log(double(n));
  if (n > 1) sums.logit_variance += squares / double(n - 1);
  return true;
}

}  // namespace

std::vector<AttentionStatistics> attention_statistics(const Tensor& q, const Tensor& k,
                                                      const AttentionOptions& options) {
  if (q.dim() != 4 || k.dim() != 4 || q.size(0) != k.size(0) || q.size(1) != k.size(1) || q.size(3) != k.size(3))
    throw Error("attention_statistics: needs (batch, heads, queries, width) and (batch, heads, keys, width), got " +
                to_string(q.shape()) + " and " + to_string(k.shape()));
  const int64_t batch = q.size(0), heads = q.size(1), queries = q.size(2), keys = k.size(2);
  const Shape shape{batch, heads, queries, keys};
  const NoGrad off;
  const double scale = options.scale.value_or(1 / std::sqrt(double(std::max<int64_t>(q.size(3), 1))));
  const Tensor scores = matmul(q.to(f64), transpose(k.to(f64))).contiguous();
  Tensor mask;
  if (options.mask.defined()) {
    if (broadcast("attention_statistics", options.mask.shape(), shape) != shape)
      throw Error("attention_statistics: a mask " + to_string(options.mask.shape()) + " for weights " +
                  to_string(shape));
    mask = kernel::clone(expand(options.mask.dtype() == boolean ? options.mask : options.mask.to(f64), shape));
  }
  std::vector<AttentionStatistics> all(static_cast<size_t>(heads));
  std::vector<int64_t> counts(static_cast<size_t>(heads));
  for (int64_t row = 0; row < batch * heads * queries; ++row) {
    double* const s = scores.data<double>() + row * keys;
    for (int64_t j = 0; j < keys; ++j) {
      s[j] *= scale;
      if (options.causal && j > row % queries) s[j] = masked;
      else if (mask.defined() && mask.dtype() == boolean) s[j] = mask.data<bool>()[row * keys + j] ? s[j] : masked;
      else if (mask.defined()) s[j] += mask.data<double>()[row * keys + j];
    }
    const size_t head = size_t(row / queries % heads);
    counts[head] += add_query(all[head], s, keys);
  }
  for (size_t head = 0; head < all.size(); ++head)
    for (double* sum : {&all[head].entropy, &all[head].uniform, &all[head].logit_variance})
      *sum /= double(counts[head]);
  return all;
}

std::vector<AttentionStatistics> attention_statistics(nn::MultiheadAttention& module, const Tensor& x,
                                                      const Tensor& mask) {
  return attention_statistics(module, x, x, mask);
}
std::vector<AttentionStatistics> attention_statistics(nn::MultiheadAttention& module, const Tensor& query,
                                                      const Tensor& key, const Tensor& mask) {
  const NoGrad off;
  const auto [q, k] = module.queries_and_keys(query, key);
  return attention_statistics(q, k, {.mask = mask, .causal = module.causal, .scale = module.scale});
}

}  // namespace fathom::probe
