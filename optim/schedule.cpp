#include "fathom/optim/schedule.h"

#include <algorithm>  // clamp, max, min
#include <cmath>
#include <cstdio>
#include <numbers>
#include <string>

#include "fathom/tensor/error.h"

namespace fathom::optim {
namespace {

void check(const char* schedule, bool fits, const char* rule, double got) {
  if (fits) return;
  char number[32];
  std::snprintf(number, sizeof number, "%g", got);
  throw Error(std::string(schedule) + ": " + rule + ", got " + number);
}

// From a, at 0, to b, at 1, along half a cosine.
double half_cosine(double a, double b, double at) { return b + (a - b) * (1 + std::cos(std::numbers::pi * at)) / 2; }

}  // namespace

double step_decay(int64_t step, StepDecayOptions o) {
  check("step_decay", o.every >= 1, "`every` must be at least 1", double(o.every));
  return o.lr * std::pow(o.gamma, double(std::max<int64_t>(step, 0) / o.every));
}

double exponential(int64_t step, ExponentialOptions o) {
  return o.lr * std::pow(o.gamma, double(std::max<int64_t>(step, 0)));
}

double linear_warmup(int64_t step, int64_t steps) {
  check("linear_warmup", steps >= 0, "steps must not be negative", double(steps));
  return step >= steps ? 1 : double(std::max<int64_t>(step, 0) + 1) / double(steps);
}

double cosine(int64_t step, CosineOptions o) {
  check("cosine", o.warmup >= 0, "warmup must not be negative", double(o.warmup));
  check("cosine", o.steps > o.warmup, "steps must be more than warmup", double(o.steps));
  check("cosine", o.growth >= 1, "growth must be at least 1", double(o.growth));
  if (step < o.warmup) return o.lr * linear_warmup(step, o.warmup);
  int64_t t = std::max<int64_t>(step, 0) - o.warmup, period = o.steps - o.warmup;
  if (!o.restarts) t = std::min(t, period);
  else if (o.growth == 1) t %= period;
  else
    for (; t >= period; period *= o.growth) t -= period;
  return half_cosine(o.lr, o.end, double(t) / double(period));
}

double one_cycle(int64_t step, OneCycleOptions o) {
  check("one_cycle", o.steps >= 2, "steps must be at least 2", double(o.steps));
  check("one_cycle", o.rise > 0 && o.rise < 1, "rise must be between 0 and 1", o.rise);
  const double last = double(o.steps - 1), top = o.rise * double(o.steps) - 1;
  const double t = std::clamp(double(step), 0.0, last), begin = o.lr / o.div;
  if (t <= top) return half_cosine(begin, o.lr, top > 0 ? t / top : 1);
  return half_cosine(o.lr, begin / o.final_div, (t - top) / (last - top));
}

Plateau::Plateau(PlateauOptions o)
    : state{o.lr, (o.maximum ? -1 : 1) * std::numeric_limits<double>::infinity(), 0, 0}, options_(o) {
  check("Plateau", o.factor > 0 && o.factor < 1, "factor must be between 0 and 1", o.factor);
  check("Plateau", o.patience >= 0, "patience must not be negative", double(o.patience));
}

double Plateau::operator()(double measure) {
  const PlateauOptions& o = options_;
  const bool better = o.maximum ? measure > state.best * (1 + o.threshold) : measure < state.best * (1 - o.threshold);
  if (better) state.best = measure, state.bad = 0;
  else ++state.bad;
  if (state.cooling > 0) --state.cooling, state.bad = 0;
  if (state.bad > o.patience) {
    const double next = std::max(state.lr * o.factor, o.least);
    if (state.lr - next > 1e-8) state.lr = next;
    state.cooling = o.cooldown, state.bad = 0;
  }
  return state.lr;
}

}  // namespace fathom::optim
