#include "fathom/autograd/check_grads.h"

#include <algorithm>  // max
#include <cmath>
#include <cstdio>

#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/tensor/kernels/map.h"
#include "fathom/tensor/random.h"

namespace fathom {
namespace {

using List = std::span<const Tensor>;
using Function = FunctionRef<Tensor(List)>;

constexpr GradOptions recorded{.create_graph = true, .allow_unused = true};
constexpr double rounding = 1e-9;  // between two ways to compute the same number

Tensor direction(const Tensor& x, Rng& rng) {
  const Tensor t(x.shape(), f64);
  fill_normal(t, 0, 1, rng);
  return t;
}

double dot(const Tensor& a, const Tensor& b) {
  double total = 0;
  if (!a.defined()) return 0;
  const std::vector<double> p = a.to_vector(), q = b.to_vector();
  for (size_t i = 0; i < p.size(); ++i) total += p[i] * q[i];
  return total;
}
double dot(List a, List b) {
  double total = 0;
  for (size_t i = 0; i < a.size(); ++i) total += dot(a[i], b[i]);
  return total;
}

// x + h t, as leaves.
std::vector<Tensor> moved(List xs, double h, List ts) {
  std::vector<Tensor> out;
  for (size_t i = 0; i < xs.size(); ++i) {
    Tensor z = kernel::map(
        "check_grads", [h](auto x, auto t) { return x + h * t; }, xs[i].alias(), ts[i]);
    out.push_back(z.requires_grad_());
  }
  return out;
}

void compare(const std::string& where, const char* a_name, double a, const char* b_name, double b, double tolerance) {
  if (std::abs(a - b) <= tolerance * std::max({1.0, std::abs(a), std::abs(b)})) return;
  char numbers[200];
  std::snprintf(numbers, sizeof numbers, ": %s gives %.15g, %s %.15g; tolerance %g", a_name, a, b_name, b, tolerance);
  throw Error("check_grads: " + where + numbers);
}

void check(const std::string& where, Function f, List inputs, const CheckGradsOptions& options, int order, Rng& rng) {
  std::vector<Tensor> xs, ts;
  for (const Tensor& input : inputs) {
    ts.push_back(direction(input, rng));
    xs.push_back(input.alias().requires_grad_());
  }
  const Tensor y = f(xs);
  const Tensor u = direction(y, rng);
  const bool on_tape = y.requires_grad();

  const double ahead = dot(f(moved(inputs, options.eps, ts)), u);
  const double behind = dot(f(moved(inputs, -options.eps, ts)), u);
  const double difference = (ahead - behind) / (2 * options.eps);
  const double reverse = on_tape ? dot(vjp(y, xs, u, {.allow_unused = true}), ts) : 0;
  const double forward = on_tape ? dot(jvp(y, xs, ts, {.allow_unused = true}), u) : 0;
  compare(where, "vjp", reverse, "the difference", difference, options.tolerance);
  compare(where, "jvp", forward, "the difference", difference, options.tolerance);
  compare(where, "vjp", reverse, "jvp", forward, rounding);
  if (!on_tape) return;

  y.backward({.cotangent = u});
  double accumulated = 0;
  for (size_t i = 0; i < xs.size(); ++i) accumulated += dot(xs[i].grad(), ts[i]);
  compare(where, "backward", accumulated, "vjp", reverse, rounding);
  if (order <= 1) return;

  const auto by_vjp = [&](List x) {
    const Tensor value = f(x);
    Tensor total = kernel::full({}, 0, f64);
    const std::vector<Tensor> gs = vjp(value, x, u, recorded);
    for (size_t i = 0; i < gs.size(); ++i)
      if (gs[i].defined()) total = total + sum(gs[i] * ts[i]);
    return total;
  };
  const auto by_jvp = [&](List x) { return jvp(f(x), x, ts, recorded); };
  compare(where, "vjp under create_graph", by_vjp(xs).item(), "vjp", reverse, rounding);
  compare(where, "jvp under create_graph", dot(by_jvp(xs), u), "jvp", forward, rounding);
  check(where + " of its vjp", by_vjp, inputs, options, order - 1, rng);
  check(where + " of its jvp", by_jvp, inputs, options, order - 1, rng);
}

}  // namespace

void check_grads(FunctionRef<Tensor(std::span<const Tensor>)> f, const std::vector<Tensor>& inputs,
                 CheckGradsOptions options) {
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].dtype() != f64)
      throw Error("check_grads: input " + std::to_string(i) + " is " + to_string(inputs[i].dtype()) +
                  "; differences need f64");
  const Recording scope(true);
  Rng rng(options.seed, 0x6368656b);
  check("derivative", f, inputs, options, options.order, rng);
}

}  // namespace fathom
