// What attention compares, for the probes.
#pragma once
#include "fathom/autograd/ops/attention.h"

namespace fathom {

// The scores of attention_weights, scaled and with the mask: (..., queries, keys), -infinity where a query may not
// attend. Those of a recorded attention are its node's Hidden.
Tensor attention_scores(const Tensor& q, const Tensor& k, const AttentionOptions& options = {});

}  // namespace fathom
