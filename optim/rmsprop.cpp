#include "fathom/optim/rmsprop.h"

#include <cmath>
#include <string>

#include "fathom/optim/for_each.h"

namespace fathom::optim {

template class Grouped<RMSpropOptions>;

void RMSprop::check_options(size_t group) const {
  const double alpha = groups[group].alpha;
  if (!(alpha >= 0 && alpha < 1)) throw Error("step: alpha must be in [0, 1), got " + std::to_string(alpha));
}

void RMSprop::update(Parameter& p, const Tensor& g, double clip_scale) {
  const RMSpropOptions& o = groups[p.group];
  const bool plain = o.momentum == 0 && !o.centered;
  const auto begin = [&](Tensor& memory) {
    if (!memory.defined()) memory = kernel::full(p.w.shape(), 0, p.w.dtype());
  };
  begin(p.first);
  if (!plain) begin(p.second), begin(p.third);
  visit_floating("step", p.w.dtype(), [&]<class T>(T) {
    const T rate = T(o.lr), eps = T(o.eps), alpha = T(o.alpha), rest = T(1 - o.alpha), momentum = T(o.momentum);
    const T scale = T(clip_scale), decay = T(o.weight_decay), keep = T(1 - o.lr * o.decoupled_weight_decay);
    const T centre = T(o.centered);
    if (plain)
      return for_each<T>(
          [=](T& w, T d, T& v) {
            d = scale * d + decay * w;
            v = alpha * v + rest * d * d;
            w = keep * w - rate * d / (std::sqrt(v) + eps);
          },
          p.w, g, p.first);
    for_each<T>(
        [=](T& w, T d, T& v, T& m, T& mean) {
          d = scale * d + decay * w;
          v = alpha * v + rest * d * d;
          mean = alpha * mean + rest * d;
          m = momentum * m + d / (std::sqrt(v - centre * mean * mean) + eps);
          w = keep * w - rate * m;
        },
        p.w, g, p.first, p.second, p.third);
  });
}

}  // namespace fathom::optim
