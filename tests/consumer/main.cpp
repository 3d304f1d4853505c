// Fits a line, y = 2 a - 3 b, with nothing but what the package gives.
#include <fathom/fathom.h>

#include <cmath>
#include <cstdio>

using namespace fathom;

int main() {
  const Tensor x = tensor({{1.0, 2.0}, {3.0, 1.0}, {-1.0, 0.5}, {0.5, -2.0}});
  const Tensor y = matmul(x, tensor({{2.0}, {-3.0}}));
  Tensor w = tensor({{0.0}, {0.0}}, {.requires_grad = true});

  double loss_value = 0;
  for (int step = 0; step < 200; ++step) {
    const Tensor error = matmul(x, w) - y;
    const Tensor loss = sum(error * error);
    loss_value = loss.item();
    loss.backward();

    NoGrad no_grad;
    w -= 0.02 * w.grad();
    w.grad().zero_();
  }
  std::printf("loss %g\n", loss_value);
  return std::isfinite(loss_value) && loss_value < 1e-6 ? 0 : 1;
}
