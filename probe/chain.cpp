#include "fathom/probe/chain.h"

#include <algorithm>
#include <memory>

#include "fathom/autograd/slice.h"
#include "fathom/probe/samples.h"
#include "fathom/tensor/kernels/gemm.h"
#include "fathom/tensor/kernels/lapack.h"

namespace fathom::probe {

std::vector<Node*> nodes_of(std::span<const Tensor> xs) {
  std::vector<Node*> nodes;
  for (size_t l = 0; l < xs.size(); ++l) {
    nodes.push_back(node_of(xs[l]));
    if (!nodes.back())
      throw Error("products: x_" + std::to_string(l) + " of shape " + to_string(xs[l].shape()) +
                  " is not on the tape; record it with x.requires_grad_() before");
  }
  return nodes;
}

std::string chain_break(std::span<Node* const> xs) {
  for (size_t l = 1; l < xs.size(); ++l)
    if (xs[l]->number <= xs[l - 1]->number)
      return "x_" + std::to_string(l) + ", " + describe(*xs[l]) + ", is not made after x_" + std::to_string(l - 1);
  if (xs.size() < 2) return {};
  const Slice slice(xs.back(), xs.subspan(0, 1));
  if (!slice.reaches(0)) return "y, " + describe(*xs.back()) + ", does not depend on x_0, " + describe(*xs.front());
  std::string why;
  slice.each_edge([&](Node& from, Node& to, size_t) {  // one that jumps over an x
    const auto next = std::upper_bound(xs.begin(), xs.end(), from.number,
                                       [](uint64_t number, const Node* x) { return number < x->number; });
    if (why.empty() && next != xs.end() && (*next)->number < to.number)
      why = "no chain: " + describe(to) + " is made of " + describe(from) + ", past x_" +
            std::to_string(next - xs.begin());
  });
  return why;
}
std::string chain_break(std::span<const Tensor> xs) { return chain_break(nodes_of(xs)); }

Chain chain_along(std::span<Node* const> xs, const ProductOptions& options) {
  if (xs.size() < 2) throw Error("products: " + std::to_string(xs.size()) + " tensors, at least 2 are needed");
  if (const std::string why = chain_break(xs); !why.empty()) throw Error("products: " + why);
  JacobianOptions how{.batch_axis = options.batch_axis, .samples = options.samples, .seed = options.seed};
  const Jacobian whole(xs.back(), xs.front(), how);
  how.samples = whole.coupled() ? Samples::coupled : Samples::independent;
  Chain chain;
  std::vector<std::shared_ptr<Jacobian>> links;
  for (const bool again : {false, true}) {
    links.clear();
    for (size_t l = 1; l < xs.size(); ++l) links.push_back(std::make_shared<Jacobian>(xs[l], xs[l - 1], how));
    const auto same = [&](const auto& link) { return link->batched() == whole.batched(); };
    if (again || std::all_of(links.begin(), links.end(), same)) break;
    how.batch_axis = -1;  // somewhere the batch axis is another one
  }
  chain.batched = links[0]->batched();
  chain.coupled = !chain.batched && xs[0]->shape.rank > 1 && options.batch_axis >= 0;
  chain.batch = links[0]->batch();
  const int axis = chain.batched ? int(how.batch_axis) : -1;
  for (size_t l = 0; l < links.size(); ++l) {
    const auto link = links[l];
    const Shape in = xs[l]->shape, out = xs[l + 1]->shape;
    const Dtype in_type = xs[l]->dtype, out_type = xs[l + 1]->dtype;
    chain.layers.push_back(
        {link->inputs(), link->outputs(),
         [=](const double* v, double* to) { to_rows(link->apply(from_rows(v, in, in_type, axis)), axis, to); },
         [=](const double* u, double* to) {
           to_rows(link->apply_transposed(from_rows(u, out, out_type, axis)), axis, to);
         },
         [=](double chance) {
           const Sigma found = link->sigma_max({.tolerance = 1e-3, .chance = chance});
           return Layer::Norms{found.sigma.to_vector(), found.upper.to_vector()};
         }});
  }
  return chain;
}

Chain chain_of(std::span<const Tensor> matrices) {
  if (matrices.empty()) throw Error("products: no matrix");
  Chain chain;
  for (size_t l = 0; l < matrices.size(); ++l) {
    const Tensor& given = matrices[l];
    const auto refuse = [&](const std::string& why) {
      throw Error("products: matrix " + std::to_string(l) + " of shape " + to_string(given.shape()) + " " + why);
    };
    if (given.dim() != 2 || given.numel() == 0) refuse("is no matrix (out, in)");
    if (!is_floating(given.dtype())) refuse("is of " + std::string(to_string(given.dtype())));
    if (l && given.size(1) != matrices[l - 1].size(0))
      refuse("does not fit behind one of shape " + to_string(matrices[l - 1].shape()));
    const int64_t out = given.size(0), in = given.size(1);
    Tensor matrix(given.shape(), f64);
    kernel::copy(given, matrix);
    chain.layers.push_back({in, out,
                            [=](const double* v, double* to) {
                              kernel::gemm<double>(out, 1, in, {matrix.data<double>(), in}, {v, 1}, to);
                            },
                            [=](const double* u, double* to) {
                              kernel::gemm<double>(1, in, out, {u, out}, {matrix.data<double>(), in}, to);
                            },
                            [=](double) {
                              const double* m = matrix.data<double>();
                              std::vector<double> copy(m, m + out * in), values(size_t(std::min(in, out)));
                              kernel::singular_values(out, in, copy.data(), values.data());
                              return Layer::Norms{{values[0]}, {values[0]}};
                            }});
  }
  return chain;
}

}  // namespace fathom::probe
