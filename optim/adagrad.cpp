#include "fathom/optim/adagrad.h"

#include <cmath>

#include "fathom/optim/for_each.h"

namespace fathom::optim {

template class Grouped<AdagradOptions>;

void Adagrad::update(Parameter& p, const Tensor& g, double clip_scale) {
  const AdagradOptions& o = groups[p.group];
  if (!p.first.defined()) p.first = kernel::full(p.w.shape(), o.initial, p.w.dtype());
  visit_floating("step", p.w.dtype(), [&]<class T>(T) {
    const T rate = T(o.lr / (1 + double(p.steps - 1) * o.lr_decay)), eps = T(o.eps);
    const T scale = T(clip_scale), decay = T(o.weight_decay);
    for_each<T>(
        [=](T& w, T d, T& sum) {
          d = scale * d + decay * w;
          sum += d * d;
          w -= rate * d / (std::sqrt(sum) + eps);
        },
        p.w, g, p.first);
  });
}

}  // namespace fathom::optim
