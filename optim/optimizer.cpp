#include "fathom/optim/optimizer.h"

#include <algorithm>  // min, lower_bound
#include <cmath>
#include <functional>  // less

#include "fathom/autograd/node.h"
#include "fathom/autograd/recording.h"
#include "fathom/optim/for_each.h"
#include "fathom/optim/observer.h"
#include "fathom/tensor/kernels/reduce.h"

namespace fathom::optim {
namespace {

// Cut at fixed multiples, so that the sum does not depend on the number of threads.
double sum_of_squares(const Tensor& g) {
  const Tensor x = g.is_contiguous() ? g : kernel::clone(g);
  return visit_floating("grad_norm", x.dtype(), [&]<class T>(T) {
    constexpr int64_t piece = 65536;
    const T* from = x.data<T>();
    const int64_t n = x.numel();
    if (n <= piece) return kernel::sum_of_squares(from, n);
    pool::vector<double> sums(size_t((n + piece - 1) / piece));
    parallel(int64_t(sums.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        sums[size_t(i)] = kernel::sum_of_squares(from + i * piece, std::min(piece, n - i * piece));
    });
    double total = 0;
    for (const double s : sums) total += s;
    return total;
  });
}

// The square of the norm of w's gradient; 0 without one.
double squared_norm(const Tensor& w) {
  const Tensor g = w.grad();
  return g.defined() ? sum_of_squares(g) : 0;
}

[[noreturn]] void not_finite(const std::string& op, const std::string& name, const Tensor& w) {
  throw Error(op + ": the gradient of " + name + ", of shape " + to_string(w.shape()) +
              ", is not finite: its norm is " + std::to_string(std::sqrt(squared_norm(w))));
}
// Each gradient is finite; the sum of their squares is not.
[[noreturn]] void not_finite(const std::string& op) {
  throw Error(op + ": the norm of all gradients together is not finite");
}

double clip_scale(double norm, double max_norm) { return std::min(1.0, max_norm / (norm + 1e-6)); }

}  // namespace

double grad_norm(std::span<const Tensor> parameters) {
  double total = 0;
  for (const Tensor& w : parameters) total += squared_norm(w);
  return std::sqrt(total);
}

double clip_grad_norm(std::span<const Tensor> parameters, double max_norm, OnNonfinite on_nonfinite) {
  if (!(max_norm > 0)) throw Error("clip_grad_norm: the norm must be positive, got " + std::to_string(max_norm));
  const NoGrad off;
  const double norm = grad_norm(parameters);
  if (!std::isfinite(norm)) {
    if (on_nonfinite == OnNonfinite::skip) return norm;
    for (size_t i = 0; i < parameters.size(); ++i)
      if (!std::isfinite(squared_norm(parameters[i])))
        not_finite("clip_grad_norm", "parameter " + std::to_string(i), parameters[i]);
    not_finite("clip_grad_norm");
  }
  const double scale = clip_scale(norm, max_norm);
  if (scale == 1) return norm;
  for (const Tensor& w : parameters)
    if (Tensor g = w.grad(); g.defined()) g.mul_(scale);
  return norm;
}

void clip_grad_value(std::span<const Tensor> parameters, double max) {
  if (!(max > 0)) throw Error("clip_grad_value: the value must be positive, got " + std::to_string(max));
  for (const Tensor& w : parameters) {
    const Tensor g = w.grad();
    if (!g.defined()) continue;
    visit_floating("clip_grad_value", g.dtype(), [&]<class T>(T) {
      kernel::map_into<T, T>([m = T(max)](T e) { return e < -m ? -m : e > m ? m : e; }, g, g);
    });
    g.storage().changed("clip_grad_value");
  }
}

void Optimizer::add(std::string name, const Tensor& w, size_t group) {
  const auto refuse = [&](const std::string& why) {
    throw Error("optim: " + name + ", of shape " + to_string(w.shape()) + ", " + why);
  };
  if (!is_floating(w.dtype())) refuse(std::string("is not floating but ") + to_string(w.dtype()));
  if (const Node* node = node_of(w); node && !node->is_leaf()) refuse("was computed by " + describe(*node));
  if (!w.is_contiguous()) refuse("is not contiguous");
  const auto at = std::lower_bound(known_.begin(), known_.end(), &w.shape(), std::less<>());
  if (at != known_.end() && *at == &w.shape()) refuse("is listed twice");
  known_.insert(at, &w.shape());
  parameters_.push_back({std::move(name), w, group, 0, {}, {}});
}
void Optimizer::add(const std::vector<Tensor>& parameters, size_t group) {
  for (const Tensor& w : parameters) add("parameter " + std::to_string(parameters_.size()), w, group);
}

std::vector<Tensor> Optimizer::parameters() const {
  std::vector<Tensor> list;
  for (const Parameter& p : parameters_) list.push_back(p.w);
  return list;
}

void Optimizer::zero_grad() {
  for (const Parameter& p : parameters_)
    if (p.w.requires_grad()) p.w.set_grad({});
}

double Optimizer::step(StepOptions options) {
  if (!(options.clip_norm >= 0))
    throw Error("step: clip_norm must not be negative, got " + std::to_string(options.clip_norm));
  const NoGrad off;
  double norm = 0, scale = 1;
  if (options.clip_norm > 0 || options.measure_norm || options.on_nonfinite == OnNonfinite::skip) {
    double total = 0;
    for (const Parameter& p : parameters_) total += squared_norm(p.w);
    norm = std::sqrt(total);
    if (!std::isfinite(norm)) {
      if (options.on_nonfinite == OnNonfinite::skip) return norm;
      for (const Parameter& p : parameters_)
        if (!std::isfinite(squared_norm(p.w))) not_finite("step", p.name, p.w);
      not_finite("step");
    }
    if (options.clip_norm > 0) scale = clip_scale(norm, options.clip_norm);
  }
  const bool observed = observer && observer->wants_norms();
  std::vector<StepNorms> norms;
  for (Parameter& p : parameters_) {
    const Tensor g = p.w.grad();
    if (!g.defined()) continue;
    ++p.steps;
    StepSums sums;
    if (observed) step_sums = &sums;
    update(p, g.is_contiguous() ? g : kernel::clone(g), scale);
    step_sums = nullptr;
    p.w.storage().changed("step");
    if (observed) norms.push_back({p.w, std::sqrt(sums.weight), std::sqrt(sums.gradient), std::sqrt(sums.update)});
  }
  if (observed) observer->stepped(norms);
  return norm;
}

}  // namespace fathom::optim
