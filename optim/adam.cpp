#include "fathom/optim/adam.h"

#include <cmath>

#include "fathom/optim/for_each.h"

namespace fathom::optim {

template class Grouped<AdamOptions>;
template class Grouped<AdamWOptions>;
namespace {

// The powers of beta that the parameter stepped last needed: most have made as many steps.
struct Corrections {
  double beta1 = 0, beta2 = 0, first = 0, root = 0;  // 1 - beta1^t and sqrt(1 - beta2^t)
  int64_t steps = 0;
};

// Kingma & Ba, Algorithm 1, in the order that closes their section 2: rate and eps carry the bias corrections.
// `coupled` decay is added to the gradient, `decoupled` taken off the weight.
template <class P, class Options>
void adam_step(P& p, const Tensor& gradient, double clip_scale, const Options& o, double coupled, double decoupled) {
  static constinit thread_local Corrections at;
  if (at.steps != p.steps || at.beta1 != o.beta1 || at.beta2 != o.beta2)
    at = {o.beta1, o.beta2, 1 - std::pow(o.beta1, double(p.steps)), std::sqrt(1 - std::pow(o.beta2, double(p.steps))),
          p.steps};
  if (!p.first.defined()) {
    p.first = kernel::full(p.w.shape(), 0, p.w.dtype());
    p.second = kernel::full(p.w.shape(), 0, p.w.dtype());
  }
  if (o.amsgrad && !p.third.defined()) p.third = kernel::full(p.w.shape(), 0, p.w.dtype());
  visit_floating("step", p.w.dtype(), [&]<class T>(T) {
    const T rate = T(o.lr * at.root / at.first), eps = T(o.eps * at.root), scale = T(clip_scale);
    const T beta1 = T(o.beta1), beta2 = T(o.beta2), rest1 = T(1 - o.beta1), rest2 = T(1 - o.beta2);
    const T decay = T(coupled), keep = T(1 - o.lr * decoupled);
    if (o.amsgrad)
      return for_each<T>(
          [=](T& w, T g, T& m, T& v, T& largest) {
            g = scale * g + decay * w;
            m = beta1 * m + rest1 * g;
            v = beta2 * v + rest2 * g * g;
            largest = v < largest ? largest : v;
            w = keep * w - rate * m / (std::sqrt(largest) + eps);
          },
          p.w, gradient, p.first, p.second, p.third);
    for_each<T>(
        [=](T& w, T g, T& m, T& v) {
          g = scale * g + decay * w;
          m = beta1 * m + rest1 * g;
          v = beta2 * v + rest2 * g * g;
          w = keep * w - rate * m / (std::sqrt(v) + eps);
        },
        p.w, gradient, p.first, p.second);
  });
}

void check_betas(double beta1, double beta2) {
  if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1))
    throw Error("step: beta1 and beta2 must be in [0, 1), got " + std::to_string(beta1) + " and " +
                std::to_string(beta2));
}

}  // namespace

void Adam::check_options(size_t group) const { check_betas(groups[group].beta1, groups[group].beta2); }
void AdamW::check_options(size_t group) const { check_betas(groups[group].beta1, groups[group].beta2); }

void Adam::update(Parameter& p, const Tensor& g, double scale) {
  const AdamOptions& o = groups[p.group];
  adam_step(p, g, scale, o, o.weight_decay, 0);
}
void AdamW::update(Parameter& p, const Tensor& g, double scale) {
  const AdamWOptions& o = groups[p.group];
  adam_step(p, g, scale, o, 0, o.weight_decay);
}

}  // namespace fathom::optim
