// The command line of `flow`.
#pragma once
#include <cstdint>
#include <string>

#include "../arguments.h"

namespace moons {

struct Options {
  int64_t couplings = 8;
  int64_t width = 64;
  int64_t steps = 3000;
  int64_t batch = 512;
  double lr = 2e-3;
  double noise = 0.1;
  int threads = 0;
  uint64_t seed = 0;
  std::string out = "run";
};

// Fills options from the arguments. Returns what parse_arguments does.
inline int read_options(int argc, char** argv, Options& options) {
  CLI::App app(
      "A normalizing flow (RealNVP; Dinh et al. 2016) learns the density of two moons from points. As the true "
      "density\n"
      "is known, the table at the end says how far the flow's is from it.\n"
      "Writes OUT/flow.csv, the likelihoods by step, and OUT/flow.svg, both densities and samples of the flow.");
  app.name("flow");
  app.add_option("--couplings", options.couplings, "affine couplings, each after an ActNorm")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--width", options.width, "hidden units of their nets, in two layers")
      ->check(CLI::Range(1, 16384))
      ->capture_default_str();
  app.add_option("--steps", options.steps, "training steps")->check(CLI::Range(1, 1000000000))->capture_default_str();
  app.add_option("--batch", options.batch, "points a step, drawn anew")
      ->check(CLI::Range(2, 10000000))
      ->capture_default_str();
  app.add_option("--lr", options.lr, "learning rate of Adam, which falls to a hundredth along a cosine")
      ->check(number_from(1e-30, 1e3))
      ->capture_default_str();
  app.add_option("--noise", options.noise, "deviation of the points from the arcs")
      ->check(number_from(0.02, 10))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "threads to use; without, as many as the machine has cores")
      ->check(CLI::Range(1, 256));
  app.add_option("--seed", options.seed, "of the weights and of the points")->capture_default_str();
  app.add_option("--out", options.out, "folder for the curve and the picture")->capture_default_str();
  return parse_arguments(app, argc, argv);
}

}  // namespace moons
