// L-BFGS (Liu & Nocedal 1989) with a line search for the strong Wolfe conditions (Nocedal & Wright, "Numerical
// optimization", algorithms 7.4, 3.5 and 3.6), for smooth losses without noise; PyTorch's steps and defaults.
//
//   optim::LBFGS opt(net.parameters());
//   double loss = opt.step([&] {
//     Tensor loss = nn::mse_loss(net(x), y);
//     loss.backward();
//     return loss;
//   });
#pragma once
#include "fathom/optim/optimizer.h"
#include "fathom/tensor/parallel.h"  // FunctionRef

namespace fathom::optim {

struct LBFGSOptions {
  static constexpr const char* method = "LBFGS";
  double lr = 1;               // the length that a line search tries first
  int64_t iterations = 20;     // in one step, at most
  int64_t evaluations = 25;    // of the loss in one step, after which no iteration begins
  size_t history = 100;        // pairs of moves and changes of the gradient that are kept
  double gradient_tol = 1e-7;  // ends when no element of the gradient is greater,
  double change_tol = 1e-9;    // or when neither the loss nor an element of a move changes by more
};
extern template class Grouped<LBFGSOptions>;
// Its state: method.LBFGS, then numbers (length, curvature, loss, iterations), direction (n), gradient (n),
// moves (k, n), changes (k, n), groups.0.lr, all f64, n counting the elements of all parameters.
class LBFGS : public Grouped<LBFGSOptions> {
 public:
  using Grouped::Grouped;  // one group only

  // `loss` computes it and calls its backward; gradients are cleared before each call. Returns the loss before the
  // step. Throws Error where the loss or its gradient is not finite at the beginning. An observer is told of the whole
  // step at its end: of the gradient where it began, and of the change since.
  double step(FunctionRef<Tensor()> loss);

 private:
  using Vector = std::vector<double>;
  struct Point {  // on the line from where an iteration stands
    double length, loss, slope;
    Vector gradient;
  };
  void update(Parameter& p, const Tensor& g, double scale) override;  // an Error: a step needs the loss
  State remembered() const override;
  void restore(const State& state) override;
  size_t count() const;
  Vector numbers(bool of_gradients) const;
  void remember(Vector move, Vector change);
  void set_direction(const Vector& gradient);
  void begin_iteration(Point& now);
  void go_to(const Vector& x, double length) const;  // the parameters become x + length direction
  void tell_observer(const Vector& before, const Vector& gradient) const;

  std::vector<Vector> moves_, changes_;  // s and y, the oldest first
  Vector direction_, gradient_;
  double length_ = 0, curvature_ = 1, loss_ = 0;
  int64_t iterations_ = 0;
};

}  // namespace fathom::optim
