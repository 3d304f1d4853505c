// Claim: the skip alone does not keep a residual net's gradients from exploding with depth; its branches must be scaled
// down too (Hanin & Rolnick, "How to start training", 2018), to about 1 / sqrt(L) (Zhang et al., "Stabilize deep ResNet
// with a sharp scaling factor tau", 2019; Hayou et al., "Stable ResNet", 2021). Where f is random and keeps norms in
// the mean, x + s f(x) makes 1 + s^2 of a gradient's squared norm, so L blocks make (1 + s^2)^(L / 2) of its norm. Here
// f(x) = W relu(x) with normal weights of variance 2 / n; ReZero begins with s = 0.
//   Pre-norm: after l blocks x has variance 1 + l, by which the norm divides: s^2 = 1 / (1 + l), and sqrt(L + 1) in
//   all. Post-norm: the norm divides by the sqrt(2) that the sum makes. (So it is with relu, which does to the squares
//   of signals and of gradients the same; tanh takes more from signals, so that gradients grow.)
//
// The theory is of infinite width. At width n the log of a gain varies, about, by a variance v that is the sum of
// (4 s^2 + 5 s^4) / (1 + s^2)^2 / 4n over the blocks, and its mean is v lower. "within" is v and three deviations.
#include <fathom/fathom.h>

#include <cmath>
#include <cstdio>

#include "../arguments.h"

using namespace fathom;

namespace {

struct Options {
  int64_t width = 256, batch = 4;
  std::vector<int64_t> depths = {4, 16, 64, 256};
  uint64_t seed = 0;
};
int read_options(int argc, char** argv, Options& o) {
  Arguments arguments("residual_scale",
                      "What residual nets do to gradients before training, by depth, beside theory: seven forms of a\n"
                      "block, with the same random weights in each.");
  arguments.whole("--depths", o.depths, "blocks", 1, 10000)->delimiter(',');
  arguments.whole("--width", o.width, "units of a block", 2, 4096);
  arguments.whole("--batch", o.batch, "inputs, each with a gradient at the end, over which is averaged", 1, 10000);
  arguments.seed(o.seed, "of weights, inputs and gradients");
  return arguments.parse(argc, argv);
}

Tensor f(const Tensor& x, const Tensor& w) { return matmul(relu(x), w); }
struct Form {
  const char* name;
  Tensor (*block)(const Tensor& x, const Tensor& w, double depth);
  // Of a gradient's squared norm, what block l of so many passes on by the skip and by the branch.
  double (*skip)(double l, double depth), (*branch)(double l, double depth);
};
double none(double, double) { return 0; }
double all(double, double) { return 1; }
double half(double, double) { return 0.5; }
const Form forms[] = {
    {"f(x)", [](auto& x, auto& w, double) { return f(x, w); }, none, all},
    {"x + f(x)", [](auto& x, auto& w, double) { return x + f(x, w); }, all, all},
    {"x + f(x) / sqrt(L)", [](auto& x, auto& w, double depth) { return x + f(x, w) / std::sqrt(depth); }, all,
     [](double, double depth) { return 1 / depth; }},
    {"x + f(x) / L", [](auto& x, auto& w, double depth) { return x + f(x, w) / depth; }, all,
     [](double, double depth) { return 1 / (depth * depth); }},
    {"x + 0 f(x), ReZero", [](auto& x, auto& w, double) { return x + 0 * f(x, w); }, all, none},
    {"x + f(norm(x))", [](auto& x, auto& w, double) { return x + f(layer_norm(x), w); }, all,
     [](double l, double) { return 1 / (1 + l); }},
    {"norm(x + f(x))", [](auto& x, auto& w, double) { return layer_norm(x + f(x, w)); }, half, half},
};

int run(const Options& o) {
  bool agreed = true;
  std::printf("%-19s %6s   %-26s   %-21s\n", "", "", "log10 of the gain", "sigma_max");
  std::printf("%-19s %6s   %8s %8s %8s   %10s %14s\n", "block", "blocks", "measured", "theory", "within", "of a block",
              "product, log10");
  for (const Form& form : forms)
    for (const int64_t depth : o.depths) {
      manual_seed(o.seed);
      const Tensor u = randn({o.batch, o.width}, {.dtype = f64});
      std::vector<Tensor> x = {randn({o.batch, o.width}, {.dtype = f64, .requires_grad = true})};
      double theory = 0, v = 0;
      for (int64_t l = 0; l < depth; ++l) {
        const Tensor w = randn({o.width, o.width}, {.dtype = f64}) * std::sqrt(2 / double(o.width));
        x.push_back(form.block(x.back(), w, double(depth)));
        const double skip = form.skip(double(l), double(depth)), branch = form.branch(double(l), double(depth));
        theory += std::log10(skip + branch) / 2;
        v += (4 * skip * branch + 5 * branch * branch) / ((skip + branch) * (skip + branch) * 4 * double(o.width));
      }
      const auto products = probe::products_along(x, {.columns = 1, .probes = 1, .cotangent = u});
      const double gain = mean(products.log10_gain.select(1, 0)).item(), within = (v + 3 * std::sqrt(v)) / std::log(10);
      const double bound = mean(products.log10_bound.select(1, 0)).item();
      std::printf("%-19s %6lld   %8.3f %8.3f %8.3f   %10.4f %14.2f\n", form.name, static_cast<long long>(depth), gain,
                  theory, within, std::pow(10, bound / double(depth)), bound);
      agreed = agreed && std::fabs(gain - theory) <= within + 1e-6;
    }
  std::printf(
      "\nGain: a gradient's norm before the first block over that behind the last. sigma_max: of the gradient which "
      "gains\n"
      "most in a block, geometric mean; what the product of all allows is far from what happens.\n\n"
      "Seen: %s\n",
      agreed ? "every gain is the theory's, within what a finite width allows: x + f(x) explodes, x + f(x) / sqrt(L) "
               "does not."
             : "NOT every gain is the theory's, within what a finite width allows.");
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("residual_scale", argc, argv, read_options, run); }
