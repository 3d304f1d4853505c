// What products are taken along: layers as linear maps, of a tape or of matrices. Internal to the probes.
#pragma once
#include <functional>
#include <span>

#include "fathom/probe/product.h"

namespace fathom::probe {

// One layer, for all samples at once: from (batch, in) to (batch, out) and the other way.
struct Layer {
  int64_t in, out;
  std::function<void(const double*, double*)> forward, back;
  struct Norms {
    std::vector<double> lower, upper;  // of each sample; no upper ones where they are given
  };
  std::function<Norms(double)> norms;  // an upper one may fail with this probability
};
struct Chain {
  std::vector<Layer> layers;  // J_1, ..., J_L
  int64_t batch = 1;
  bool batched = false, coupled = false;
};

// See products_along; throws as it does.
Chain chain_along(std::span<Node* const> xs, const ProductOptions& options);
Chain chain_of(std::span<const Tensor> matrices);
std::vector<Node*> nodes_of(std::span<const Tensor> xs);

}  // namespace fathom::probe
