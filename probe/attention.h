// What attention looks at: how sharply, and on scores of which spread.
#pragma once
#include <vector>

#include "fathom/nn/attention.h"

namespace fathom {
class Slice;
}

namespace fathom::probe {

// Of one head, over the batch; means over the queries that may attend to something.
struct AttentionStatistics {
  double entropy = 0;  // of the weights of a query, -sum p log p, in nats
  double uniform = 0;  // the entropy that equal weights would have: log of the number of keys a query may attend to
  double logit_variance = 0;  // of the scaled scores of a query over those keys; with one key there is none
  double largest_logit = 0;   // in size, over all: float halves overflow at 65,504
};

// Of scores (batch, heads, queries, keys), scaled, -infinity where a query may not attend; fewer axes are of one head.
// Queries and keys of variance 1 have logits of variance width, 1 after scaling (Vaswani et al. 2017). Throws Error
// when there are fewer than two axes.
std::vector<AttentionStatistics> attention_statistics(const Tensor& scores);
// The same of q (batch, heads, queries, width) and k (batch, heads, keys, width), in f64; nothing is recorded. Dropout
// does not count. Throws Error when the shapes do not fit.
std::vector<AttentionStatistics> attention_statistics(const Tensor& q, const Tensor& k, AttentionOptions options = {});
// Of all attention that leads from the slice's input to its output, as it was recorded: the heads of the first op, then
// those of the next.
std::vector<AttentionStatistics> attention_statistics(const Slice& slice);
// Of a module on an input, as in attend(x, mask) and attend(query, key, value, mask).
std::vector<AttentionStatistics> attention_statistics(nn::MultiheadAttention& module, const Tensor& x,
                                                      const Tensor& mask = {});
std::vector<AttentionStatistics> attention_statistics(nn::MultiheadAttention& module, const Tensor& query,
                                                      const Tensor& key, const Tensor& mask);

}  // namespace fathom::probe
