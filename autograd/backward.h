// backward(): each leaf's gradient is added to it.
#pragma once
#include "fathom/autograd/recording.h"
#include "fathom/tensor/tensor.h"

namespace fathom {

struct BackwardOptions {
  Tensor cotangent = {};      // of y's shape; needed when y is no scalar
  bool retain_graph = false;  // keep the tape for another walk
};

// Walks the tape from y to the leaves and adds to each the gradient of y. The tape is consumed as the walk goes: what
// the rules held is given back at once, and memory falls.
// Throws Error when nothing was recorded for y, when y is no scalar and no cotangent is given, when a part of the tape
// was consumed before, or when something a rule needs was changed in place.
void backward(const Tensor& y, const BackwardOptions& options = {});

}  // namespace fathom
