// Claim: where gradients through time can explode, the loss has cliffs: a step from one, where the gradient is huge,
// throws the weights far away, and what was learned is lost. Scaling a gradient whose norm is above a threshold down to
// it keeps them near (Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks", 2013,
// section 3.2 and algorithm 1). Here relu nets whose recurrent weights begin as the identity (Le, Jaitly & Hinton, "A
// simple way to initialize recurrent networks of rectified linear units", 2015) learn to add two marked numbers of a
// sequence, from the same weights and samples with every threshold.
//
// Theory: with momentum m a gradient of norm c moves the weights by lr c / (1 - m) in all. As relu's slope is at most
// 1, it can multiply the identity's gain over T steps, which is 1, by (1 + lr c / (1 - m))^T: little while c is below
// about (1 - m) / (lr T), here 0.1. Of that the thresholds are multiples. (A lower rate may do as well: --lr 0.005.)
#include <fathom/fathom.h>

#include <cmath>
#include <cstdio>

#include "../arguments.h"

using namespace fathom;

namespace {

constexpr double momentum = 0.9;
struct Options {
  int64_t width = 32, length = 20, batch = 32, steps = 4000;
  double lr = 0.05;
  uint64_t seed = 0;
};
int read_options(int argc, char** argv, Options& o) {
  Arguments arguments("clipping",
                      "Recurrent nets learn to add two marked numbers of a sequence by gradient descent with momentum\n"
                      "0.9: what becomes of them without clipping of gradients, and with.");
  arguments.whole("--width", o.width, "units", 1, 4096);
  arguments.whole("--length", o.length, "steps of a sequence", 2, 10000);
  arguments.whole("--batch", o.batch, "sequences a training step, all new", 1, 100000);
  arguments.whole("--steps", o.steps, "training steps of a run", 100);
  arguments.number("--lr", o.lr, "learning rate", 1e-30);
  arguments.seed(o.seed, "of the weights and the sequences");
  return arguments.parse(argc, argv);
}

struct Samples {
  Tensor x, y;  // numbers and marks (length, batch, 2), and sums (batch, 1)
};
Samples draw(const Options& o, Rng& rng) {
  const Tensor numbers = rand({o.length, o.batch}, {}, rng), marks = zeros({o.length, o.batch});
  for (int64_t b = 0; b < o.batch; ++b) {
    const int64_t half = o.length / 2, first = int64_t(rng.integer(uint64_t(half)));
    marks.data<float>()[first * o.batch + b] = 1;
    marks.data<float>()[(half + int64_t(rng.integer(uint64_t(o.length - half)))) * o.batch + b] = 1;
  }
  return {stack({numbers, marks}, -1), sum(numbers * marks, {0}).reshape({-1, 1})};
}

struct Run {
  double worst = 0, last = 0;  // loss: of any step, and the mean of the last 100
};
// Trains, and prints a row of the table.
Run train(double clip, const Options& o) {
  manual_seed(o.seed);
  Rng rng(o.seed, 1);
  nn::RNN rnn(2, o.width, {.nonlinearity = Nonlinearity::relu, .identity = true});
  nn::Linear head(o.width, 1);
  std::vector<Tensor> parameters = rnn.parameters();
  for (const Tensor& each : head.parameters()) parameters.push_back(each);
  optim::SGD opt(parameters, {.lr = o.lr, .momentum = momentum});
  Run run;
  double clipped = 0, largest = 0;
  for (int64_t step = 0; step < o.steps; ++step) {
    const auto [x, y] = draw(o, rng);
    const Tensor loss = nn::mse_loss(head(rnn(x)[-1]), y);
    opt.zero_grad();
    loss.backward();
    const double norm = opt.step({.clip_norm = clip, .measure_norm = true, .on_nonfinite = optim::OnNonfinite::skip});
    clipped += clip > 0 && norm > clip ? 100 / double(o.steps) : 0;
    largest = std::fmax(largest, norm);
    run.worst = std::fmax(run.worst, loss.item());
    if (step >= o.steps - 100) run.last += loss.item() / 100;
  }
  const auto states = probe::states_along(rnn, draw(o, rng).x);
  const Tensor u = randn(states.back().shape());
  const double gain = (norm(vjp(states.back(), states[0], u)) / norm(u)).item();
  char name[16] = "none";
  if (clip > 0) std::snprintf(name, sizeof name, "%.2g", clip);
  const double reach = o.lr * (clip > 0 ? std::fmin(clip, largest) : largest) / (1 - momentum);
  std::printf("%-9s %9.1f %% %14.4g %14.2f %9.4g %9.4f %11.2g\n", name, clipped, largest,
              double(o.length) * std::log10(1 + reach), run.worst, run.last, gain);
  return run;
}

int run(const Options& o) {
  std::printf("%-9s %11s %14s %14s %9s %9s %11s\n", "", "steps", "largest norm", "growth that it", "worst", "last",
              "last gain");
  std::printf("%-9s %11s %14s %14s %9s %9s %11s\n", "threshold", "clipped", "of a gradient", "allows, log10", "loss",
              "loss", "over time");
  const double safe = (1 - momentum) / (o.lr * double(o.length));
  const Run none = train(0, o);
  train(100 * safe, o), train(10 * safe, o), train(3 * safe, o);
  const Run clipped = train(safe, o);
  train(0.3 * safe, o);
  const bool decides = !(none.last < 0.15) && clipped.last < 0.05;
  std::printf(
      "\nLoss: mean squared error; always to answer 1 has 1/6 = 0.1667. Last: mean of the last 100 steps. Gain over\n"
      "time: a gradient's norm at the first state over that at the last; growth of it, by one gradient, at most.\n\n"
      "Seen: %s: unclipped the loss is %.4g at worst and %.4f in the end, clipped at %.2g it is %.4g and %.4f.\n",
      decides ? "clipping decides" : "NOT that clipping decides", none.worst, none.last, safe, clipped.worst,
      clipped.last);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("clipping", argc, argv, read_options, run); }
