#include "fathom/optim/clip.h"

#include <algorithm>  // max, min
#include <cmath>
#include <string>

#include "fathom/autograd/node.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/recording.h"
#include "fathom/optim/observer.h"
#include "fathom/tensor/kernels/map.h"
#include "fathom/tensor/kernels/norm.h"

namespace fathom::optim {
namespace {

void check_positive(const char* op, const char* what, double value) {
  if (!(value > 0)) throw Error(std::string(op) + ": " + what + " must be positive, got " + std::to_string(value));
}

// What w's gradient adds to `total`: sum |g|^p, or the largest |g|. p is not 2.
void add_powers(const Tensor& w, double p, double& total) {
  const Tensor g = w.grad();
  if (!g.defined()) return;
  const Tensor x = g.is_contiguous() ? g : kernel::clone(g);
  visit_floating("grad_norm", x.dtype(), [&]<class T>(T) {
    const T* at = x.data<T>();
    for (int64_t i = 0; i < x.numel(); ++i) {
      const double size = std::abs(double(at[i]));
      if (!std::isinf(p)) total += std::pow(size, p);
      else if (!std::isnan(total) && !(size <= total)) total = size;  // a NaN stays
    }
  });
}
double root(double total, double p) { return std::isinf(p) ? total : std::pow(total, 1 / p); }

void scale_grad(const Tensor& w, double scale) {
  if (Tensor g = w.grad(); g.defined() && scale != 1) g.mul_(scale);
}

// To who watches: what of the gradients' norm a clipping left.
void tell_left(std::span<const Tensor> parameters, double before) {
  if (!observer) return;
  if (const double left = grad_norm(parameters) / before; left < 1) tell_clipped(left);
}

}  // namespace

double squared_grad_norm(const Tensor& w) {
  if (Node* node = node_of(w); node && node->is_leaf()) return static_cast<Leaf*>(node)->squared_grad_norm();
  const Tensor g = w.grad();
  return g.defined() ? kernel::sum_of_squares(g) : 0;
}

using kernel::may_be_rooted;

double grad_norm_of(const Tensor& w, double squares) {
  if (may_be_rooted(squares) || std::isnan(squares)) return std::sqrt(squares);
  const Tensor g = w.grad();
  return g.defined() ? norm(g.detach()).item() : 0;
}
double grad_norm_of(std::span<const double> squares, FunctionRef<const Tensor&(size_t)> w) {
  double total = 0, norm = 0;
  for (const double each : squares) total += each;
  if (may_be_rooted(total) || std::isnan(total)) return std::sqrt(total);
  for (size_t i = 0; i < squares.size(); ++i) norm = std::hypot(norm, grad_norm_of(w(i), squares[i]));
  return norm;
}

double clip_scale(double norm, double max_norm) { return std::min(1.0, max_norm / (norm + 1e-6)); }

void not_finite(const char* op, const std::string& name, const Tensor& w) {
  throw Error(std::string(op) + ": the gradient of " + name + ", of shape " + to_string(w.shape()) +
              ", is not finite: its norm is " + (std::isnan(squared_grad_norm(w)) ? "nan" : "inf"));
}
void not_finite(const char* op) { throw Error(std::string(op) + ": the norm of all gradients together is not finite"); }

double grad_norm(std::span<const Tensor> parameters, double p) {
  check_positive("grad_norm", "p", p);
  if (p == 2) {
    pool::vector<double> squares;
    for (const Tensor& w : parameters) squares.push_back(squared_grad_norm(w));
    return grad_norm_of(squares, [&](size_t i) -> const Tensor& { return parameters[i]; });
  }
  double total = 0;
  for (const Tensor& w : parameters) add_powers(w, p, total);
  return root(total, p);
}

double clip_grad_norm(std::span<const Tensor> parameters, double max_norm, ClipOptions options) {
  check_positive("clip_grad_norm", "the norm", max_norm);
  const NoGrad off;
  const double norm = grad_norm(parameters, options.p);
  if (!std::isfinite(norm)) {
    if (options.on_nonfinite == OnNonfinite::skip) return norm;
    for (size_t i = 0; i < parameters.size(); ++i)
      if (!std::isfinite(grad_norm_of(parameters[i], squared_grad_norm(parameters[i]))))
        not_finite("clip_grad_norm", "parameter " + std::to_string(i), parameters[i]);
    not_finite("clip_grad_norm");
  }
  const double scale = clip_scale(norm, max_norm);
  for (const Tensor& w : parameters) scale_grad(w, scale);
  if (scale < 1) tell_clipped(scale);
  return norm;
}

std::vector<double> clip_grad_norm_each(std::span<const Tensor> parameters, double max_norm, double p) {
  check_positive("clip_grad_norm_each", "the norm", max_norm);
  const NoGrad off;
  const double before = observer ? grad_norm(parameters) : 0;
  std::vector<double> norms;
  for (const Tensor& w : parameters) {
    norms.push_back(grad_norm({&w, 1}, p));
    scale_grad(w, clip_scale(norms.back(), max_norm));
  }
  tell_left(parameters, before);
  return norms;
}

double clip_grad_value(std::span<const Tensor> parameters, double max) {
  check_positive("clip_grad_value", "the value", max);
  const double before = grad_norm(parameters);
  for (const Tensor& w : parameters) {
    const Tensor g = w.grad();
    if (!g.defined()) continue;
    visit_floating("clip_grad_value", g.dtype(), [&]<class T>(T) {
      kernel::map_into<T, T>([m = T(max)](T e) { return e < -m ? -m : e > m ? m : e; }, g, g);
    });
    g.storage().changed("clip_grad_value");
  }
  tell_left(parameters, before);
  return before;
}

double clip_grad_adaptive(std::span<const Tensor> parameters, double factor, double eps) {
  check_positive("clip_grad_adaptive", "the factor", factor);
  check_positive("clip_grad_adaptive", "eps", eps);
  const NoGrad off;
  const double before = grad_norm(parameters);
  for (const Tensor& w : parameters) {
    Tensor g = w.grad();
    if (!g.defined() || !g.numel()) continue;
    const auto unit_norm = [&](const Tensor& x) {
      return w.dim() < 2 ? norm(x, 2, {}, true) : norm(flatten(x, 1), 2, {1}, true);
    };
    const Tensor limit = clamp(unit_norm(w.detach()), eps, INFINITY) * factor, size = unit_norm(g);
    Shape units = g.shape();
    for (int d = w.dim() < 2 ? 0 : 1; d < g.dim(); ++d) units[d] = 1;
    g.mul_(where(size > limit, limit / size, 1.0 + 0 * size).reshape(units));
  }
  tell_left(parameters, before);
  return before;
}

}  // namespace fathom::optim
