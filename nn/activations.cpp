#include "fathom/nn/activations.h"

#include "fathom/autograd/ops/fused.h"

namespace fathom::nn {

Dropout::Dropout(double probability) : p(probability) {
  if (!(p >= 0 && p < 1)) throw Error("Dropout: the probability must be in [0, 1), got " + std::to_string(p));
}
Tensor Dropout::forward(Tensor x) { return training && p > 0 ? dropout(std::move(x), p) : x; }

}  // namespace fathom::nn
