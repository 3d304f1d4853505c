#include "fathom/autograd/grad.h"

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

std::vector<Tensor> zeros_where_flat(const Slice& slice, pool::vector<Tensor> found, std::span<const Tensor> xs) {
  std::vector<Tensor> out;
  for (size_t i = 0; i < xs.size(); ++i) {
    const bool flat = slice.reaches(i) && !found[i].defined();
    out.push_back(flat ? kernel::full(xs[i].shape(), 0, xs[i].dtype()) : std::move(found[i]));
  }
  return out;
}

}  // namespace

std::vector<Tensor> vjp(const Tensor& y, std::span<const Tensor> xs, const Tensor& u, GradOptions options) {
  check_like("vjp", "cotangent", u, y);
  const Slice J = slice("vjp", y, xs, options);
  const Recording scope(options.create_graph);
  return zeros_where_flat(J, J.vjp(u, true), xs);
}

Tensor jvp(const Tensor& y, std::span<const Tensor> xs, std::span<const Tensor> vs, GradOptions options) {
  if (xs.size() != vs.size())
    throw Error("jvp: " + std::to_string(xs.size()) + " tensors and " + std::to_string(vs.size()) + " tangents");
  for (size_t i = 0; i < xs.size(); ++i) check_like("jvp", "tangent", vs[i], xs[i]);
  const Slice J = slice("jvp", y, xs, options);
  const Recording scope(options.create_graph);
  Tensor t = J.jvp(vs);
  return t.defined() ? t : kernel::full(y.shape(), 0, y.dtype());
}

std::vector<Tensor> grad(const Tensor& y, std::span<const Tensor> xs, GradOptions options) {
  if (y.numel() != 1)
    throw Error("grad: y has shape " + to_string(y.shape()) + ", not one element; use vjp with a cotangent");
  const Slice J = slice("grad", y, xs, options);
  const Recording scope(options.create_graph);
  return zeros_where_flat(J, J.vjp(kernel::full(y.shape(), 1, y.dtype()), true), xs);
}

std::vector<Tensor> hvp(const Tensor& y, std::span<const Tensor> xs, std::span<const Tensor> vs, GradOptions options) {
  if (xs.size() != vs.size())
    throw Error("hvp: " + std::to_string(xs.size()) + " tensors and " + std::to_string(vs.size()) + " directions");
  for (size_t i = 0; i < xs.size(); ++i) check_like("hvp", "direction", vs[i], xs[i]);
  std::vector<Tensor> out;
  for (const Tensor& g : grad(y, xs, {.create_graph = true, .allow_unused = options.allow_unused})) {
    if (!g.defined()) {
      out.emplace_back();
    } else if (!node_of(g)) {
      out.push_back(kernel::full(g.shape(), 0, g.dtype()));
    } else {
      const Slice J(g, xs);
      const Recording scope(options.create_graph);
      Tensor t = J.jvp(vs);
      out.push_back(t.defined() ? t : kernel::full(g.shape(), 0, g.dtype()));
    }
  }
  return out;
}

}  // namespace fathom
