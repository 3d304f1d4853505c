// The schedules against their closed forms, and against numbers of PyTorch's.
#include "fathom/optim/schedule.h"

#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "tests/support.h"

using namespace fathom::optim;

namespace {

auto near(double x) { return doctest::Approx(x).epsilon(1e-12); }

}  // namespace

TEST_CASE("schedules: step and exponential") {
  const StepDecayOptions o{.lr = 0.5, .every = 3, .gamma = 0.1};
  CHECK(step_decay(-4, o) == 0.5);
  CHECK(step_decay(2, o) == 0.5);
  CHECK(step_decay(3, o) == near(0.05));
  CHECK(step_decay(8, o) == near(0.005));
  CHECK(exponential(0, {.lr = 2, .gamma = 0.9}) == 2);
  CHECK(exponential(7, {.lr = 2, .gamma = 0.9}) == near(2 * std::pow(0.9, 7)));
  CHECK(error_of([] { step_decay(0, {.every = 0}); }) == "step_decay: `every` must be at least 1, got 0");
}

TEST_CASE("schedules: warm-up") {
  CHECK(linear_warmup(0, 4) == 0.25);
  CHECK(linear_warmup(2, 4) == 0.75);
  CHECK(linear_warmup(3, 4) == 1);
  CHECK(linear_warmup(100, 4) == 1);
  CHECK(linear_warmup(0, 0) == 1);
  CHECK(error_of([] { linear_warmup(0, -1); }) == "linear_warmup: steps must not be negative, got -1");
}

TEST_CASE("schedules: cosine, with warm-up and restarts") {
  const CosineOptions o{.lr = 1e-3, .end = 1e-4, .steps = 2000, .warmup = 100};
  CHECK(cosine(0, o) == near(1e-5));
  CHECK(cosine(99, o) == near(1e-3));
  CHECK(cosine(100, o) == near(1e-3));
  CHECK(cosine(100 + 950, o) == near(5.5e-4));
  CHECK(cosine(100 + 475, o) == near(1e-4 + 9e-4 * (1 + std::sqrt(0.5)) / 2));
  CHECK(cosine(2000, o) == near(1e-4));
  CHECK(cosine(9000, o) == near(1e-4));
  // CosineAnnealingWarmRestarts(T_0 = 4, T_mult = 2, eta_min = 0.1): periods 4, 8, 16, ...
  const CosineOptions r{.lr = 1, .end = 0.1, .steps = 4, .restarts = true, .growth = 2};
  for (auto [step, t, period] : std::vector<std::array<int64_t, 3>>{
           {0, 0, 4}, {3, 3, 4}, {4, 0, 8}, {11, 7, 8}, {12, 0, 16}, {27, 15, 16}, {28, 0, 32}})
    CHECK(cosine(step, r) == near(0.1 + 0.45 * (1 + std::cos(std::numbers::pi * double(t) / double(period)))));
  CHECK(cosine(1001, {.steps = 10, .restarts = true}) == cosine(1, {.steps = 10}));
  CHECK(error_of([] { cosine(0, {.steps = 5, .warmup = 5}); }) == "cosine: steps must be more than warmup, got 5");
  CHECK(error_of([] { cosine(0, {.growth = 0}); }) == "cosine: growth must be at least 1, got 0");
}

TEST_CASE("schedules: one cycle") {
  // OneCycleLR(max_lr = 0.1, total_steps = 10): the top is at 0.3 * 10 - 1 = 2.
  const OneCycleOptions o{.lr = 0.1, .steps = 10};
  CHECK(one_cycle(0, o) == near(0.004));
  CHECK(one_cycle(1, o) == near(0.052));
  CHECK(one_cycle(2, o) == near(0.1));
  CHECK(one_cycle(9, o) == near(0.004 / 1e4));
  CHECK(one_cycle(50, o) == one_cycle(9, o));
  const double end = 0.004 / 1e4;
  for (int t = 3; t < 9; ++t)
    CHECK(one_cycle(t, o) == near(end + (0.1 - end) * (1 + std::cos(std::numbers::pi * (t - 2) / 7)) / 2));
  CHECK(error_of([] { one_cycle(0, {.steps = 1}); }) == "one_cycle: steps must be at least 2, got 1");
  CHECK(error_of([] { one_cycle(0, {.rise = 1}); }) == "one_cycle: rise must be between 0 and 1, got 1");
}

TEST_CASE("schedules: plateau") {
  const PlateauOptions o{.lr = 1, .factor = 0.5, .patience = 2, .cooldown = 1, .least = 0.2};
  const std::vector<double> losses{3, 2, 2, 2, 1.9999, 2, 2, 2, 1, 1, NAN, 1, 1, 1, 1, 1, 1};
  //              best 2; the third without progress is the fifth loss: 0.5, then one call cools
  const std::vector<double> rates{1, 1, 1, 1, .5, .5, .5, .5, .5, .5, .5, .25, .25, .25, .25, .2, .2};
  Plateau whole(o), first(o);
  for (size_t t = 0; t < losses.size(); ++t) {
    CAPTURE(t);
    CHECK(whole(losses[t]) == rates[t]);
    Plateau second(o);  // its state carried over at every step
    second.state = first.state;
    CHECK(second(losses[t]) == rates[t]);
    first.state = second.state;
  }
  CHECK(whole.state == first.state);
  Plateau up({.lr = 1, .factor = 0.5, .patience = 0, .maximum = true});
  CHECK(up(0.5) == 1);
  CHECK(up(0.6) == 1);
  CHECK(up(0.6) == 0.5);
  CHECK(error_of([] { Plateau({.factor = 1}); }) == "Plateau: factor must be between 0 and 1, got 1");
}
