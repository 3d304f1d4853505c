// Muon: momentum whose matrices are made orthogonal (Jordan et al., "Muon: an optimizer for hidden layers in neural
// networks", 2024). For weights (out, in, ...), seen as (out, in * field); embeddings, heads, gains and biases are for
// AdamW.
#pragma once
#include "fathom/optim/optimizer.h"

namespace fathom::optim {

// A matrix with g's singular vectors and singular values near 1: between 0.68 and 1.21 after five steps, but for those
// that were below a thousandth of g's norm. Iterates x <- a x + b (x x^T) x + c (x x^T)^2 x (Newton and Schulz's, of
// fifth degree).
Tensor orthogonalized(const Tensor& g, int steps = 5);

struct MuonOptions {
  static constexpr const char* method = "Muon";
  double lr = 0.02, momentum = 0.95;
  double weight_decay = 0;  // decoupled: times lr, taken off the weight
  bool nesterov = true;
  int steps = 5;
};
extern template class Grouped<MuonOptions>;
// Throws Error, at the step and before any change, on a parameter of fewer than two axes.
class Muon : public Grouped<MuonOptions> {
 public:
  using Grouped::Grouped;

 private:
  void update(Parameter& p, const Tensor& g, double scale) override;
  Memory remembers() const override { return {1, 1}; }
  void check_options(size_t group) const override;
};

}  // namespace fathom::optim
