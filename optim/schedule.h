// Learning rates as plain functions of the step, which counts from 0 (a negative one is taken as 0):
//
//   opt.set_lr(optim::cosine(step, {.lr = 1e-3, .end = 1e-4, .steps = 2000, .warmup = 100}));
//
// They remember nothing, so that to resume one the step is enough; Plateau's memory is a plain struct.
// Each throws Error on options that make no sense, naming them.
#pragma once
#include <cstdint>
#include <limits>

namespace fathom::optim {

struct StepDecayOptions {
  double lr = 1e-3;
  int64_t every = 30;
  double gamma = 0.1;
};
// lr * gamma^floor(step / every)
double step_decay(int64_t step, StepDecayOptions options = {});

struct ExponentialOptions {
  double lr = 1e-3, gamma = 0.999;
};
// lr * gamma^step
double exponential(int64_t step, ExponentialOptions options = {});

// A factor: 1 / steps, 2 / steps, ..., 1, and 1 from there on. To go before any schedule s of the steps after it:
// linear_warmup(t, n) * s(t - n).
double linear_warmup(int64_t step, int64_t steps);

// Half a cosine from lr to end (Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017):
// end + (lr - end) (1 + cos(pi t / period)) / 2. With restarts, t begins anew after each period and periods grow.
struct CosineOptions {
  double lr = 1e-3, end = 0;
  int64_t steps = 1000;   // in all; then the rate stays at `end`, or restarts
  int64_t warmup = 0;     // of these, in a line from lr / warmup up to lr; the first period is the rest
  bool restarts = false;  // again from lr, without a warm-up
  int64_t growth = 1;     // each period is this many times as long as the one before
};
double cosine(int64_t step, CosineOptions options = {});

// Up and down in two halves of a cosine (Smith & Topin, "Super-convergence", 2018, in PyTorch's form): from lr / div to
// lr in the first `rise` of the steps, then to lr / div / final_div at the last; it stays there.
struct OneCycleOptions {
  double lr = 1e-3;  // the highest
  int64_t steps = 1000;
  double rise = 0.3, div = 25, final_div = 1e4;
};
double one_cycle(int64_t step, OneCycleOptions options = {});

// The rate falls when a loss has not for `patience` calls: PyTorch's ReduceLROnPlateau, with its defaults.
struct PlateauOptions {
  double lr = 1e-3, factor = 0.1;
  int64_t patience = 10;
  double threshold = 1e-4;  // better is below best * (1 - threshold), of a maximum above best * (1 + threshold)
  int64_t cooldown = 0;     // calls after a fall that do not count
  double least = 0;
  bool maximum = false;  // the measure is to grow
};
class Plateau {
 public:
  // All that it remembers; copied back, it goes on from there.
  struct State {
    double lr, best;
    int64_t bad = 0, cooling = 0;
    bool operator==(const State&) const = default;
  } state;

  explicit Plateau(PlateauOptions options = {});
  // The rate after this measure, once an epoch: opt.set_lr(plateau(validation_loss)). NaN is no improvement.
  double operator()(double measure);

 private:
  PlateauOptions options_;
};

}  // namespace fathom::optim
