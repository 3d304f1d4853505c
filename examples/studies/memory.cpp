// Claim: over time a recurrent net's gradient decays or grows as exp(lambda t), with lambda the largest Lyapunov
// exponent of the net as a dynamical system. |ds_T / ds_t| is the norm of a product of T - t Jacobians (Pascanu,
// Mikolov & Bengio, "On the difficulty of training recurrent neural networks", 2013, equation 5), and lambda is what
// its log grows by a step in the limit (Vogt et al., "On Lyapunov exponents for RNNs", 2022; Engelken, "Gradient
// flossing", 2023). The first is measured on the way back from a random gradient at the end; the second on the way
// forward, on another sequence. A spectral radius above 1, with which a linear net explodes, is not enough: tanh takes
// from it.
//
// Both are means over finite time: "within" is three standard errors, and 1 nat over the steps between, for how the
// gradient lies at either end.
#include <fathom/fathom.h>

#include <cmath>
#include <cstdio>
#include <string>

#include "../arguments.h"

using namespace fathom;

namespace {

struct Options {
  int64_t width = 64, steps = 600, batch = 32, exponent_steps = 10000;
  double input = 1;
  uint64_t seed = 0;
};
int read_options(int argc, char** argv, Options& o) {
  Arguments arguments("memory",
                      "How gradients decay over time in recurrent nets before training, beside the nets' largest\n"
                      "Lyapunov exponents: tanh nets by spectral radius, LSTMs by forget bias, a GRU.");
  arguments.whole("--width", o.width, "units", 2, 4096);
  arguments.whole("--steps", o.steps, "of the sequences; from the last sixth to the half the gradient is measured", 60,
                  1000);
  arguments.whole("--batch", o.batch, "sequences, each with a gradient at the end, over which is averaged", 2, 10000);
  arguments.whole("--exponent-steps", o.exponent_steps, "of the sequence that the exponent is measured on", 100,
                  10000000);
  arguments.number("--input", o.input, "standard deviation of the inputs, one normal number a step");
  arguments.seed(o.seed, "of weights, inputs and gradients");
  return arguments.parse(argc, argv);
}

// Prints a row of the table; whether the two agree.
template <class Net>
bool compare(const std::string& name, const Net& net, const Options& o) {
  Rng rng(o.seed, 1);
  const auto normal = [&](const Shape& shape) { return randn(shape, {.dtype = f64}, rng); };
  const std::vector<Tensor> states = probe::states_along(net, o.input * normal({o.steps, o.batch, 1}));
  const std::vector<Tensor> gradients = vjp(states.back(), states, normal(states.back().shape()));
  const int64_t from = o.steps / 2, to = o.steps - o.steps / 6;
  const auto log_norm = [&](int64_t t) { return log(norm(gradients[size_t(t)], 2, {1})); };
  const Tensor rates = (log_norm(from) - log_norm(to)) / double(to - from);
  const double rate = mean(rates).item(), error = fathom::std(rates).item() / std::sqrt(double(o.batch));

  const int64_t transient = 1000;
  const auto lyapunov = probe::lyapunov(net, o.input * normal({transient + o.exponent_steps, 1}),
                                        {.steps = o.exponent_steps, .transient = transient, .exponents = 1});
  const double exponent = lyapunov.exponents[0], exponent_error = lyapunov.standard_errors[0];
  const double within = 3 * std::hypot(error, exponent_error) + 1 / double(to - from);
  std::printf("%-24s   %8.4f +- %.4f   %8.4f +- %.4f   %7.4f %7.4f   %14.1f\n", name.c_str(), rate, error, exponent,
              exponent_error, rate - exponent, within, 100 * rate / std::log(10));
  return std::fabs(rate - exponent) <= within;
}

nn::RNN rnn_of_radius(double radius, int64_t width) {
  nn::RNN rnn(1, width, {.bias = false, .dtype = f64});
  Tensor& w = rnn.weights[0].weight_hh;
  nn::init::normal(w);
  const NoGrad off;
  const auto linear = [&](const Tensor& h, int64_t) { return matmul(h, w.transpose()); };  // its exponent: log radius
  w *= radius / std::exp(probe::lyapunov(linear, randn({width}, {.dtype = f64}), {.exponents = 1}).exponents[0]);
  return rnn;
}

int run(const Options& o) {
  std::printf("%-24s   %-18s   %-18s   %15s   %14s\n", "", "gradient,", "largest exponent,", "", "log10 of what");
  std::printf("%-24s   %-18s   %-18s   %7s %7s   %14s\n", "net", "nats a step", "nats a step", "off", "within",
              "100 steps keep");
  bool agreed = true;
  for (const double radius : {0.8, 1.0, 1.2, 2.0}) {
    manual_seed(o.seed);
    const std::string name = "RNN, spectral radius " + std::to_string(radius).substr(0, 3);
    agreed &= compare(name, rnn_of_radius(radius, o.width), o);
  }
  for (const double bias : {0.0, 1.0, 3.0}) {
    manual_seed(o.seed);
    const std::string name = "LSTM, forget bias " + std::to_string(bias).substr(0, 3);
    agreed &= compare(name, nn::LSTM(1, o.width, {.forget_bias = bias, .dtype = f64}), o);
  }
  manual_seed(o.seed);
  agreed &= compare("GRU", nn::GRU(1, o.width, {.dtype = f64}), o);
  std::printf(
      "\nNats are natural logarithms: -0.1 a step is 1/e in 10 steps. States are h, of LSTMs h and c.\n\n"
      "Seen: %s.\n",
      agreed ? "in every net a gradient decays, or grows, at the rate of the largest Lyapunov exponent"
             : "NOT in every net the gradient's rate is the largest Lyapunov exponent");
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("memory", argc, argv, read_options, run); }
