// Stochastic gradient descent (Robbins & Monro 1951), with momentum in PyTorch's form (Sutskever et al. 2013).
#pragma once
#include "fathom/optim/optimizer.h"

namespace fathom::optim {

struct SGDOptions {
  static constexpr const char* method = "SGD";
  double lr = 1e-3, momentum = 0, dampening = 0;
  double weight_decay = 0;            // coupled: added to the gradient, times the weight
  double decoupled_weight_decay = 0;  // times lr, taken off the weight: momentum does not see it
  bool nesterov = false;              // needs momentum, and no dampening
};

extern template class Grouped<SGDOptions>;
class SGD : public Grouped<SGDOptions> {
 public:
  using Grouped::Grouped;

 private:
  void update(Parameter& p, const Tensor& g, double scale) override;
  Memory remembers() const override { return {0, 1}; }
  void check_options(size_t group) const override;
};

}  // namespace fathom::optim
