#include "fathom/probe/attention.h"

#include <cmath>
#include <limits>

#include "fathom/autograd/joint.h"
#include "fathom/autograd/ops/attention/scores.h"
#include "fathom/autograd/recording.h"

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
    if (const double size = std::abs(scores[j]); !(size <= sums.largest_logit || std::isnan(sums.largest_logit)))
      sums.largest_logit = size;  // a NaN too
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

std::vector<AttentionStatistics> attention_statistics(const Tensor& scores) {
  const int64_t axes = scores.dim();
  if (axes < 2)
    throw Error("attention_statistics: needs scores (batch, heads, queries, keys), got " + to_string(scores.shape()));
  const NoGrad off;
  const Tensor numbers = scores.to(f64).contiguous();
  const int64_t heads = axes < 4 ? 1 : scores.size(-3), queries = scores.size(-2), keys = scores.size(-1);
  std::vector<AttentionStatistics> all(static_cast<size_t>(heads));
  std::vector<int64_t> counts(static_cast<size_t>(heads));
  for (int64_t at = 0, row = 0; at < numbers.numel(); at += keys, ++row) {
    const size_t head = size_t(row / queries % heads);
    counts[head] += add_query(all[head], numbers.data<double>() + at, keys);
  }
  for (size_t head = 0; head < all.size(); ++head)
    for (double* sum : {&all[head].entropy, &all[head].uniform, &all[head].logit_variance})
      *sum /= double(counts[head]);
  return all;
}

std::vector<AttentionStatistics> attention_statistics(const Tensor& q, const Tensor& k, AttentionOptions options) {
  const NoGrad off;
  if (options.mask.defined() && options.mask.dtype() != boolean) options.mask = options.mask.to(f64);
  return attention_statistics(attention_scores(q.to(f64), k.to(f64), options));
}

std::vector<AttentionStatistics> attention_statistics(const Slice& slice) {
  std::vector<AttentionStatistics> all;
  const NoGrad off;
  const Node* last = nullptr;  // an op may be met once for each of its inputs
  slice.each_edge([&](Node&, Node& to, size_t) {
    if (&to == std::exchange(last, &to)) return;
    auto* attention = dynamic_cast<Hidden*>(&to);
    if (!attention) return;
    const std::vector<AttentionStatistics> heads = attention_statistics(attention->hidden());
    all.insert(all.end(), heads.begin(), heads.end());
  });
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
