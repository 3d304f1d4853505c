// RMSprop (Tieleman & Hinton, "Lecture 6.5", 2012), centred as in Graves (2013) where asked for; PyTorch's form.
#pragma once
#include "fathom/optim/optimizer.h"

namespace fathom::optim {

struct RMSpropOptions {
  static constexpr const char* method = "RMSprop";
  double lr = 1e-2, alpha = 0.99, eps = 1e-8, momentum = 0;
  double weight_decay = 0;            // coupled: added to the gradient, times the weight
  double decoupled_weight_decay = 0;  // times lr, taken off the weight
  bool centered = false;              // divide by the deviation, not by the root of the mean square
};
extern template class Grouped<RMSpropOptions>;
class RMSprop : public Grouped<RMSpropOptions> {
 public:
  using Grouped::Grouped;

 private:
  void update(Parameter& p, const Tensor& g, double scale) override;
  Memory remembers() const override { return {1, 3}; }
  void check_options(size_t group) const override;
};

}  // namespace fathom::optim
