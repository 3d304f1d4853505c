// Adam (Kingma & Ba, "Adam: a method for stochastic optimization", 2015), and AdamW (Loshchilov & Hutter, "Decoupled
// weight decay regularization", 2019). A step throws Error on a beta outside [0, 1).
#pragma once
#include "fathom/optim/optimizer.h"

namespace fathom::optim {

struct AdamOptions {
  static constexpr const char* method = "Adam";
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0;  // coupled: added to the gradient, times the weight
  bool amsgrad = false;     // divide by the largest second moment so far (Reddi et al. 2018)
};
extern template class Grouped<AdamOptions>;
class Adam : public Grouped<AdamOptions> {
 public:
  using Grouped::Grouped;

 private:
  void update(Parameter& p, const Tensor& g, double scale) override;
  Memory remembers() const override { return {2, 3}; }
  void check_options(size_t group) const override;
};

struct AdamWOptions {
  static constexpr const char* method = "AdamW";
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.01;  // decoupled: times lr, taken off the weight
  bool amsgrad = false;        // as Adam's
};
extern template class Grouped<AdamWOptions>;
class AdamW : public Grouped<AdamWOptions> {
 public:
  using Grouped::Grouped;

 private:
  void update(Parameter& p, const Tensor& g, double scale) override;
  Memory remembers() const override { return {2, 3}; }
  void check_options(size_t group) const override;
};

}  // namespace fathom::optim
