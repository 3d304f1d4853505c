#include "tests/agreement/cases.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"

using namespace fathom;

namespace agreement {
namespace {

void keep(Results& results, std::string name, const Tensor& x) {
  results.push_back({std::move(name), x.defined() ? x.to_vector() : std::vector<double>()});
}

}  // namespace

Tensor random(const Shape& shape, uint64_t seed, Dtype dtype, double low, double high) {
  Rng rng(seed, 7);
  Tensor x(shape, f64);
  fill_uniform(x, low, high, rng);
  return x.to(dtype);
}

List inputs_of(const Case& c, Dtype dtype) {
  List list;
  uint64_t seed = 1;
  for (const Input& input : c.inputs) {
    if (input.integers) {
      Rng rng(seed++, 7);
      Tensor x(input.shape, i64);
      fill_integers(x, 0, input.integers, rng);
      list.push_back(x);
    } else {
      list.push_back(random(input.shape, seed++, dtype, input.low, input.high).requires_grad_());
    }
  }
  return list;
}

Results ours(const Case& c, Dtype dtype) {
  const List x = inputs_of(c, dtype);
  Results results;
  const Tensor y = c.ours(x);
  keep(results, "y", y);
  List wanted;
  for (const Tensor& each : x)
    if (each.requires_grad()) wanted.push_back(each);
  if (!y.requires_grad()) return results;
  const GradOptions options{.create_graph = c.smooth, .allow_unused = true};
  const List gs = vjp(y, std::span<const Tensor>(wanted), random(y.shape(), 101, y.dtype()), options);
  for (size_t i = 0; i < gs.size(); ++i) keep(results, numbered("g", i), gs[i]);
  if (!c.smooth) return results;
  Tensor s = zeros({}, {.dtype = dtype});
  for (size_t i = 0; i < gs.size(); ++i)
    if (gs[i].defined()) s = s + sum(gs[i] * random(gs[i].shape(), 201 + i, dtype));
  List hs(wanted.size());
  if (s.requires_grad()) hs = grad(s, std::span<const Tensor>(wanted), {.allow_unused = true});
  for (size_t i = 0; i < hs.size(); ++i)
    keep(results, numbered("h", i), hs[i].defined() ? hs[i] : zeros_like(wanted[i]));
  return results;
}

double difference(const Results& a, const Results& b, std::string& where) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  where = "the number of tensors";
  if (a.size() != b.size()) return infinite;
  double worst = 0;
  where.clear();
  for (size_t i = 0; i < a.size(); ++i) {
    const auto &p = a[i].numbers, &q = b[i].numbers;
    double far = a[i].name != b[i].name || p.size() != q.size() ? infinite : 0, scale = 1;
    for (const double number : q)
      if (std::isfinite(number)) scale = std::max(scale, std::abs(number));
    for (size_t k = 0; k < std::min(p.size(), q.size()); ++k) {
      if (p[k] == q[k] || (std::isnan(p[k]) && std::isnan(q[k]))) continue;
      const double d = std::abs(p[k] - q[k]) / scale;
      far = std::isnan(d) ? infinite : std::max(far, d);
    }
    if (far > worst) worst = far, where = a[i].name;
  }
  return worst;
}

}  // namespace agreement
