// Derivatives of a line of mathematics: in reverse mode, in forward mode, of second order, over one recorded tape.
#include <fathom/fathom.h>

#include <iostream>

using namespace fathom;

int main() {
  const Tensor x = tensor({0.5, 1.0, 2.0}, {.dtype = f64, .requires_grad = true});
  const Tensor y = sum(sin(x) * x);  // recorded as it is computed
  std::cout << "x            " << x << "\ny = sum(sin(x) x)  " << y << "\n\n";

  // Reverse mode: the gradient, sin x + x cos x.
  const Tensor g = grad(y, x, {.create_graph = true});
  std::cout << "dy/dx        " << g << "\n  by hand    " << sin(x) + x * cos(x) << "\n\n";

  // Forward mode over the same tape: how y moves when x moves along v.
  const Tensor v = tensor({1.0, 0.0, -1.0}, {.dtype = f64});
  std::cout << "dy along v   " << jvp(y, x, v) << "\n  g . v      " << sum(g * v) << "\n\n";

  // Second order: the gradient was recorded too, so it has a gradient; and the Hessian times v without it.
  std::cout << "d2y/dx2      " << grad(sum(g), x) << "\n  by hand    " << 2 * cos(x) - x * sin(x) << '\n';
  std::cout << "H v          " << hvp(y, x, v) << "\n\n";

  // A layer's Jacobian is a stretch of the tape: an operator, and a matrix if you ask for it.
  const Tensor w = tensor({{1.0, -0.5, 0.0}, {0.5, 1.0, 0.25}}, {.dtype = f64});
  const Tensor layer = tanh(matmul(w, x));
  std::cout << "J = d tanh(W x) / dx, its rows by reverse mode\n";
  for (int64_t i = 0; i < 2; ++i) std::cout << "             " << grad(layer[i], x) << '\n';

  // What a training loop does: gradients are added to the leaves.
  y.backward();
  std::cout << "\nx.grad()     " << x.grad() << '\n';
}
