// Adagrad (Duchi, Hazan & Singer, "Adaptive subgradient methods", 2011), in PyTorch's form.
#pragma once
#include "fathom/optim/optimizer.h"

namespace fathom::optim {

struct AdagradOptions {
  static constexpr const char* method = "Adagrad";
  double lr = 1e-2, eps = 1e-10;
  double lr_decay = 0;      // the rate of step t, from 0, is lr / (1 + lr_decay t)
  double initial = 0;       // of the sums of squares
  double weight_decay = 0;  // coupled: added to the gradient, times the weight
};
extern template class Grouped<AdagradOptions>;
class Adagrad : public Grouped<AdagradOptions> {
 public:
  using Grouped::Grouped;

 private:
  void update(Parameter& p, const Tensor& g, double scale) override;
  Memory remembers() const override { return {1, 1}; }
};

}  // namespace fathom::optim
