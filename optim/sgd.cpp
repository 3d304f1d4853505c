#include "fathom/optim/sgd.h"

#include "fathom/optim/for_each.h"

namespace fathom::optim {

template class Grouped<SGDOptions>;

void SGD::check_options(size_t group) const {
  const SGDOptions& o = groups[group];
  if (o.nesterov && (o.momentum <= 0 || o.dampening != 0))
    throw Error("SGD: nesterov needs momentum and no dampening, got momentum " + std::to_string(o.momentum) +
                " and dampening " + std::to_string(o.dampening));
}

void SGD::update(Parameter& p, const Tensor& g, double scale) {
  const SGDOptions& o = groups[p.group];
  visit_floating("step", p.w.dtype(), [&]<class T>(T) {
    const T rate = T(o.lr), clip = T(scale), decay = T(o.weight_decay);
    const T keep = T(1 - o.lr * o.decoupled_weight_decay);
    if (o.momentum == 0 && o.weight_decay == 0 && keep == 1)
      return for_each<T>([=, r = T(o.lr * scale)](T& w, T d) { w -= r * d; }, p.w, g);
    if (o.momentum == 0) return for_each<T>([=](T& w, T d) { w = keep * w - rate * (clip * d + decay * w); }, p.w, g);
    const bool begins = !p.first.defined();  // with the whole first gradient
    if (begins) p.first = kernel::full(p.w.shape(), 0, p.w.dtype());
    const T momentum = T(o.momentum), share = begins ? T(1) : T(1 - o.dampening);
    if (o.nesterov)
      return for_each<T>(
          [=](T& w, T d, T& m) {
            d = clip * d + decay * w;
            m = momentum * m + share * d;
            w = keep * w - rate * (d + momentum * m);
          },
          p.w, g, p.first);
    for_each<T>(
        [=](T& w, T d, T& m) {
          m = momentum * m + share * (clip * d + decay * w);
          w = keep * w - rate * m;
        },
        p.w, g, p.first);
  });
}

}  // namespace fathom::optim
