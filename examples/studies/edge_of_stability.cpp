// Claim: gradient descent on all of the data leaves the region where it is stable. As it trains, the sharpness, the
// largest eigenvalue of the loss's Hessian, rises to 2 / lr, above which descent on a quadratic diverges; there it
// stays, about, and the loss rises at many steps but falls in the long run (Cohen, Kaur, Li, Kolter & Talwalkar,
// "Gradient descent on neural networks typically occurs at the edge of stability", 2021). So sharpness * lr / 2 comes
// to 1 whatever the learning rate. It swings about 1, by some hundredths, as the loss bursts and calms; its mean over
// the second half of the steps should be 1 to within 0.01.
#include <fathom/fathom.h>

#include <cmath>
#include <cstdio>
#include <numeric>
#include <span>
#include <string>
#include <utility>

#include "../arguments.h"

using namespace fathom;

namespace {

struct Options {
  int64_t width = 64, points = 20, degree = 5, steps = 20000;
  uint64_t seed = 0;
};
int read_options(int argc, char** argv, Options& o) {
  Arguments arguments(
      "edge_of_stability",
      "The sharpness of the loss while gradient descent fits a polynomial by a tanh net with two hidden\n"
      "layers, at three learning rates: it rises to 2 / lr and stays there.");
  arguments.whole("--width", o.width, "units of the hidden layers", 1, 4096);
  arguments.whole("--points", o.points, "points from -1 to 1 that the polynomial is known at", 2, 10000);
  arguments.whole("--degree", o.degree, "of the polynomial", 1, 1000);
  arguments.whole("--steps", o.steps, "of gradient descent", 100, 10000000);
  arguments.seed(o.seed, "of the weights");
  return arguments.parse(argc, argv);
}

struct Run {
  double lr;
  std::vector<double> losses = {}, stability = {};  // at every hundredth of the steps; sharpness * lr / 2
  double rose = 0;                                  // the share of the second half's steps at which the loss did
};

void train(Run& run, const Tensor& x, const Tensor& y, const Options& o) {
  manual_seed(o.seed);
  nn::Sequential net(nn::Linear(1, o.width, {.dtype = f64}), nn::Tanh(), nn::Linear(o.width, o.width, {.dtype = f64}),
                     nn::Tanh(), nn::Linear(o.width, 1, {.dtype = f64}));
  optim::SGD opt(net.parameters(), {.lr = run.lr});
  double before = INFINITY;
  for (int64_t step = 0; step <= o.steps; ++step) {
    const Tensor loss = nn::mse_loss(net(x), y);
    if (step * 100 / o.steps != (step - 1) * 100 / o.steps || step == 0) {
      run.losses.push_back(loss.item());
      run.stability.push_back(probe::sharpness(loss, net.parameters()).value * run.lr / 2);
    }
    if (2 * step > o.steps) run.rose += double(loss.item() > before) * 2 / double(o.steps);
    before = loss.item();
    opt.zero_grad();
    loss.backward();
    opt.step();
  }
}

double mean_of(std::span<const double> numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), 0.0) / double(numbers.size());
}

int run(const Options& o) {
  const Tensor x = linspace(-1, 1, o.points, {.dtype = f64}).reshape({-1, 1});
  Tensor before = ones_like(x), y = x;  // Chebyshev's, of degree 0 and 1
  for (int64_t n = 1; n < o.degree; ++n) before = std::exchange(y, 2 * x * y - before);
  Run runs[] = {{0.02}, {0.04}, {0.08}};
  for (Run& each : runs) train(each, x, y, o);

  const auto row = [&](const std::string& name, auto cell) {
    std::printf("%-28s", name.c_str());
    for (const Run& each : runs) cell(each);
    std::printf("\n");
  };
  row("", [](const Run& r) { std::printf("   lr %-17g", r.lr); });
  row("", [](const Run&) { std::printf("   %8s %11s", "", "sharpness"); });
  row("step", [](const Run&) { std::printf("   %8s %11s", "loss", "* lr / 2"); });
  for (size_t k = 0; k <= 100; k += 10)
    row(std::to_string(o.steps * int64_t(k) / 100),
        [&](const Run& r) { std::printf("   %8.5f %11.3f", r.losses[k], r.stability[k]); });
  std::printf("\n");
  bool agreed = true;
  row("mean over the second half", [&](const Run& r) {
    const double stability = mean_of(std::span(r.stability).subspan(51));
    std::printf("   %8s %11.3f", "", stability);
    agreed &= std::fabs(stability - 1) < 0.01;
  });
  row("the loss falls there, times", [&](const Run& r) {  // geometric means
    std::vector<double> logs;
    for (const double loss : r.losses) logs.push_back(std::log(loss));
    const double fall = mean_of(std::span(logs).subspan(51, 10)) - mean_of(std::span(logs).subspan(91));
    std::printf("   %8.1f %11s", std::exp(fall), "");
    agreed &= fall > 0;
  });
  row("but rises, of the steps, at", [](const Run& r) { std::printf("   %6.1f %% %11s", 100 * r.rose, ""); });
  std::printf(
      "\nSeen: %s\n",
      agreed ? "at every learning rate the sharpness rises to 2 / lr and stays about there, and the loss still falls."
             : "NOT at every learning rate the sharpness rises to 2 / lr while the loss still falls.");
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("edge_of_stability", argc, argv, read_options, run); }
