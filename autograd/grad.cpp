#include "fathom/autograd/grad.h"

#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/autograd/slice.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom {
namespace {

Slice slice(const char* op, const Tensor& y, std::span<const Tensor> xs, GradOptions options) {
  if (!node_of(y)) nothing_recorded(op, "y", y);
  for (size_t i = 0; i < xs.size(); ++i)
    if (!node_of(xs[i]) && !options.allow_unused)
      throw Error(std::string(op) + ": x " + std::to_string(i) + " of shape " + to_string(xs[i].shape()) +
                  " is not on the tape; call requires_grad_() on it before it is used");
  node_of(y)->check_not_consumed();
  Slice result(y, xs);
  for (size_t i = 0; i < xs.size(); ++i)
    if (!result.reaches(i) && !options.allow_unused)
      throw Error(std::string(op) + ": y does not depend on x " + std::to_string(i) + " of shape " +
                  to_string(xs[i].shape()) + "; with .allow_unused = true its derivative is an undefined tensor");
  return result;
}

void check_like(const char* op, const char* what, const Tensor& v, const Tensor& x) {
  if (v.shape() != x.shape() || v.dtype() != x.dtype())
    throw Error(std::string(op) + ": a " + what + " of " + to_string(v.shape()) + " and " + to_string(v.dtype()) +
                " for a tensor of " + to_string(x.shape()) + " and " + to_string(x.dtype()));
}

// A tensor of its own: a walk may give back what it was given, or one tensor twice.
Tensor apart(Tensor x, GradOptions options) {
  return options.create_graph || x.owned() ? std::move(x) : kernel::clone(x);
}

std::vector<Tensor> zeros_where_flat(const Slice& slice, pool::vector<Tensor> found, std::span<const Tensor> xs,
                                     GradOptions options) {
  std::vector<Tensor> out;
  for (size_t i = 0; i < xs.size(); ++i) {
    const bool flat = slice.reaches(i) && !found[i].defined();
    if (flat) out.push_back(kernel::full(xs[i].shape(), 0, xs[i].dtype()));
    else if (found[i].defined()) out.push_back(apart(std::move(found[i]), options));
    else out.emplace_back();
  }
  return out;
}

}  // namespace

std::vector<Tensor> vjp(const Tensor& y, std::span<const Tensor> xs, const Tensor& u, GradOptions options) {
  check_like("vjp", "cotangent", u, y);
  const Slice J = slice("vjp", y, xs, options);
  const Recording scope(options.create_graph);
  return zeros_where_flat(J, J.vjp(u, true), xs, options);
}

Tensor jvp(const Tensor& y, std::span<const Tensor> xs, std::span<const Tensor> vs, GradOptions options) {
  if (xs.size() != vs.size())
    throw Error("jvp: " + std::to_string(xs.size()) + " tensors and " + std::to_string(vs.size()) + " tangents");
  for (size_t i = 0; i < xs.size(); ++i) check_like("jvp", "tangent", vs[i], xs[i]);
  const Slice J = slice("jvp", y, xs, options);
  const Recording scope(options.create_graph);
  Tensor t = J.jvp(vs);
  return t.defined() ? apart(std::move(t), options) : kernel::full(y.shape(), 0, y.dtype());
}

std::vector<Tensor> grad(const Tensor& y, std::span<const Tensor> xs, GradOptions options) {
  if (y.numel() != 1)
    throw Error("grad: y has shape " + to_string(y.shape()) + ", not one element; use vjp with a cotangent");
  const Slice J = slice("grad", y, xs, options);
  const Recording scope(options.create_graph);
  return zeros_where_flat(J, J.vjp(kernel::full(y.shape(), 1, y.dtype()), true), xs, options);
}

std::vector<Tensor> hvp(const Tensor& y, std::span<const Tensor> xs, std::span<const Tensor> vs, GradOptions options) {
  if (xs.size() != vs.size())
    throw Error("hvp: " + std::to_string(xs.size()) + " tensors and " + std::to_string(vs.size()) + " directions");
  for (size_t i = 0; i < xs.size(); ++i) check_like("hvp", "direction", vs[i], xs[i]);
  const std::vector<Tensor> gs = grad(y, xs, {.create_graph = true, .allow_unused = options.allow_unused});
  std::vector<Tensor> out;
  for (const Tensor& g : gs) out.push_back(g.defined() ? kernel::full(g.shape(), 0, g.dtype()) : Tensor());
  for (const Dtype dtype : {f32, f64}) {  // one walk for all gradients of a dtype: over the list of their numbers
    const auto counts = [dtype](const Tensor& g) { return node_of(g) && g.dtype() == dtype; };
    const Tensor all = [&] {
      const Recording on(true);
      std::vector<Tensor> parts;
      for (const Tensor& g : gs)
        if (counts(g)) parts.push_back(reshape(g, {g.numel()}));
      return parts.empty() ? Tensor() : concat(parts, 0);
    }();
    if (!all.defined()) continue;
    const Slice J(all, xs);
    const Recording scope(options.create_graph);
    const Tensor t = J.jvp(vs);
    int64_t at = 0;
    for (size_t i = 0; i < gs.size() && t.defined(); ++i)
      if (counts(gs[i])) {
        const int64_t begin = std::exchange(at, at + gs[i].numel());
        out[i] = apart(reshape(slice(t, 0, begin, at), gs[i].shape()), options);
      }
  }
  return out;
}

}  // namespace fathom
