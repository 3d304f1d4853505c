// Claim: what a layer does to a gradient before training follows from the variance of its weights and its activation
// alone. In wide random layers h' = W phi(h) + b the squares of h go as the length map says (Poole et al., "Exponential
// expressivity in deep neural networks through transient chaos", 2016, equation 3), and the squared norm of a gradient
// by chi = sigma_w^2 E phi'(h)^2 a layer (equation 7; Schoenholz et al., "Deep information propagation", 2017).
// Orthogonal weights have the chi of normal ones, but without activations their product keeps every norm; that of
// others at best the mean of the squares (Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep
// linear neural networks", 2014).
//
// The theory is of infinite width. At width n the log of a gain over L layers is about normal, here with a variance of
// at most 5 L / 4n, relu's, and a mean at most 5 L / 4n below the theory (Hanin & Nica, "Products of many large random
// matrices and gradients in deep neural networks", 2018). What the last line allows is that and two deviations.
#include <fathom/fathom.h>

#include <cmath>
#include <cstdio>

#include "../arguments.h"

using namespace fathom;

namespace {

struct Options {
  int64_t depth = 50, width = 256, batch = 8;
  uint64_t seed = 0;
};
int read_options(int argc, char** argv, Options& o) {
  Arguments arguments(
      "depth_at_start",
      "What deep wide nets do to gradients before training, beside the mean-field theory of random nets,\n"
      "for three activations and four ways to draw the weights.");
  arguments.whole("--depth", o.depth, "layers", 1, 10000);
  arguments.whole("--width", o.width, "units of a layer", 2, 4096);
  arguments.whole("--batch", o.batch, "inputs, each with a gradient at the end, over which is averaged", 1, 10000);
  arguments.seed(o.seed, "of weights, inputs and gradients");
  return arguments.parse(argc, argv);
}

struct Activation {
  const char* name;
  Tensor (*phi)(Tensor);
};
struct Weights {
  const char* name;
  double sigma_w;  // their deviation times sqrt(width)
  void (*draw)(Tensor& w);
  bool bias = false;  // uniform within 1 / sqrt(width), as nn::Linear has it; else zero
};

int run(const Options& o) {
  const Activation activations[] = {{"linear", [](Tensor x) { return x; }},
                                    {"relu", [](Tensor x) { return relu(x); }},
                                    {"tanh", [](Tensor x) { return tanh(x); }}};
  const Weights weights[] = {{"default", std::sqrt(1.0 / 3), [](Tensor&) {}, true},
                             {"xavier", 1, [](Tensor& w) { nn::init::xavier_uniform(w); }},
                             {"kaiming", std::sqrt(2.0), [](Tensor& w) { nn::init::kaiming_normal(w); }},
                             {"orthogonal", 1, [](Tensor& w) { nn::init::orthogonal(w); }}};
  const double depth = double(o.depth), width = double(o.width);
  double farthest = 0;
  std::printf("%-11s %-11s %7s   %-26s   log10 of the gain of all %lld layers\n", "", "", "", "gain of a layer",
              static_cast<long long>(o.depth));
  std::printf("%-11s %-11s %7s   %8s %8s %8s   %8s %8s %8s\n", "activation", "weights", "sigma_w", "measured", "theory",
              "off", "measured", "theory", "largest");
  for (const auto& [name, phi] : activations)
    for (const Weights& kind : weights) {
      manual_seed(o.seed);
      std::vector<Tensor> h = {randn({o.batch, o.width}).requires_grad_()};
      double log_chi = 0, q = 1;  // the theory's, from inputs of variance 1 on
      for (int64_t layer = 0; layer < o.depth; ++layer) {
        nn::Linear linear(o.width, o.width, {.bias = kind.bias});
        kind.draw(linear.weight);
        h.push_back(linear(phi(h.back())));
        log_chi += std::log10(probe::mean_field::chi(phi, q, kind.sigma_w));
        q = probe::mean_field::length_map(phi, q, {kind.sigma_w, kind.bias ? std::sqrt(1 / (3 * width)) : 0});
      }
      const auto products = probe::products_along(h, {.cotangent = randn({o.batch, o.width})});
      const double measured = mean(products.log10_gain.select(1, 0)).item(), theory = log_chi / 2;
      const double off = std::pow(10, (measured - theory) / depth) - 1;
      std::printf("%-11s %-11s %7.3f   %8.4f %8.4f %6.2f %%   %8.2f %8.2f %8.2f\n", name, kind.name, kind.sigma_w,
                  std::pow(10, measured / depth), std::pow(10, theory / depth), 100 * off, measured, theory,
                  mean(products.log10_norm.select(1, 0)).item());
      farthest = std::fmax(farthest, std::fabs(off));
    }
  const double allowed = std::sqrt(5 / (width * depth)) + 5 / (4 * width);
  std::printf(
      "\nGain: a gradient's norm before the layer over that behind it; geometric mean. Largest: that of the gradient\n"
      "which gains most, the product's sigma_max. Theory: sqrt(chi), from inputs of variance 1 on.\n\n"
      "Seen: every gain of a layer is %s theory's: within %.2f %%, where a finite width allows %.2f %%.\n",
      farthest < allowed ? "the" : "NOT the", 100 * farthest, 100 * allowed);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("depth_at_start", argc, argv, read_options, run); }
