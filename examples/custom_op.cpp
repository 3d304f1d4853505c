// Ops of your own, with both derivatives, of any order, through the interface that the library's own ops use.
#include <fathom/autograd/families.h>
#include <fathom/fathom.h>

#include <iostream>

using namespace fathom;

// Pointwise: the value and the slope. Mish (Misra 2019), x tanh(log(1 + exp x)). The slope reads x alone; the output is
// `Unused`, so it is not kept.
Tensor mish(Tensor x) {
  return pointwise(
      "mish", std::move(x), [](auto v) { return v * tanh(log1p(exp(v))); },
      [](auto v, Unused) {
        const auto t = tanh(log1p(exp(v)));
        return t + v * (1 - t * t) / (1 + exp(-v));
      });
}

// Anything else: the value, what its rules read, and for each input a rule back (of a cotangent g) and a rule forward
// (of a tangent t). Here y = x / |x|, x's direction: dy = (t - y (y . t)) / |x|, a symmetric map, so one rule is both.
// Written with ops, it can itself be differentiated.
Tensor direction(const Tensor& x) {
  const auto rule = [](const Tensor& flow, const Tensor& v, const Tensor& unit) {
    return (flow - unit * sum(unit * flow)) / norm(v);
  };
  Tensor y;
  {
    NoGrad off;
    y = x / norm(x);
  }
  return record("direction", y, keep(x, output), wrt(x, rule));
}

int main() {
  const Tensor x = tensor({-1.0, 0.5, 2.0}, {.dtype = f64, .requires_grad = true});

  const Tensor a = mish(x);
  std::cout << "mish(x)                " << a << '\n';
  const Tensor slope = grad(sum(a), x, {.create_graph = true});
  std::cout << "its slope              " << slope << '\n';
  std::cout << "the slope's slope      " << grad(sum(slope), x) << "\n\n";

  const Tensor u = tensor({1.0, 2.0, 3.0}, {.dtype = f64});
  const Tensor y = direction(x);
  const Tensor composed = x / norm(x);
  std::cout << "direction(x)           " << y << '\n';
  std::cout << "J^T u                  " << vjp(y, x, u) << '\n';
  std::cout << "  by the library's ops " << vjp(composed, x, u) << '\n';
  std::cout << "J u                    " << jvp(y, x, u) << '\n';
  std::cout << "  by the library's ops " << jvp(composed, x, u) << '\n';
}
