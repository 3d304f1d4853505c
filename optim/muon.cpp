#include "fathom/optim/muon.h"

#include <algorithm>  // max
#include <cmath>
#include <utility>  // exchange

#include "fathom/autograd/ops.h"
#include "fathom/autograd/recording.h"
#include "fathom/optim/for_each.h"

namespace fathom::optim {

template class Grouped<MuonOptions>;

Tensor orthogonalized(const Tensor& g, int steps) {
  if (g.dim() != 2) throw Error("orthogonalized: needs a matrix, got " + to_string(g.shape()));
  const NoGrad off;
  const bool tall = g.size(0) > g.size(1);
  Tensor x = tall ? transpose(g) : g;
  x = x / (norm(x) + 1e-7);  // singular values at most 1
  for (int i = 0; i < steps; ++i) {
    const Tensor a = matmul(x, transpose(x));
    x = x * 3.4445 + matmul(a * -4.7750 + matmul(a, a) * 2.0315, x);
  }
  return (tall ? transpose(x) : x).contiguous();
}

void Muon::check_options(size_t group) const {
  for (const Parameter& p : parameters_)
    if (p.group == group && p.w.dim() < 2 && p.w.grad().defined())
      throw Error("Muon: " + p.name + ", of shape " + to_string(p.w.shape()) + ", is no matrix; give it to AdamW");
}

void Muon::update(Parameter& p, const Tensor& g, double clip_scale) {
  const MuonOptions& o = groups[p.group];
  if (!p.w.numel()) return;
  if (!p.first.defined()) p.first = kernel::full(p.w.shape(), 0, p.w.dtype());
  visit_floating("step", p.w.dtype(), [&]<class T>(T) {
    const T scale = T(clip_scale), momentum = T(o.momentum), rest = T(1 - o.momentum);
    const bool nesterov = o.nesterov;
    Tensor direction(p.w.shape(), p.w.dtype());
    StepSums* const sums = std::exchange(step_sums, nullptr);  // they are about the weight's pass
    for_each<T>(
        [=](T& u, T d, T& m) {
          d = scale * d;
          m = momentum * m + rest * d;
          u = nesterov ? momentum * m + rest * d : m;
        },
        direction, g, p.first);
    step_sums = sums;  // but for the gradient's
    const int64_t out = p.w.size(0), in = p.w.numel() / out;
    const T keep = T(1 - o.lr * o.weight_decay);
    const T rate = T(o.lr * std::sqrt(std::max(1.0, double(out) / double(in))));
    for_each<T>([=](T& w, T u) { w = keep * w - rate * u; }, p.w,
                orthogonalized(direction.reshape({out, in}), o.steps));
    if (!sums) return;
    sums->gradient = {};
    sums->gradient.add(kernel::sum_of_squares(g), [&] { return kernel::norm(g.data<T>(), g.numel()); });
  });
}

}  // namespace fathom::optim
