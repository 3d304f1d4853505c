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

// Fills options from the arguments. Returns what Arguments::parse does.
inline int read_options(int argc, char** argv, Options& o) {
  Arguments arguments(
      "flow",
      "A normalizing flow (RealNVP; Dinh et al. 2016) learns the density of two moons from points. As the true\n"
      "density is known, the table at the end says how far the flow's is from it.\n"
      "Writes OUT/flow.csv, the likelihoods by step, and OUT/flow.svg, both densities and samples of the flow.");
  arguments.whole("--couplings", o.couplings, "affine couplings, each after an ActNorm", 1, 1000);
  arguments.whole("--width", o.width, "hidden units of their nets, in two layers", 1, 16384);
  arguments.whole("--steps", o.steps, "training steps");
  arguments.whole("--batch", o.batch, "points a step, drawn anew", 2, 10000000);
  arguments.number("--lr", o.lr, "learning rate of Adam, which falls to a hundredth along a cosine", 1e-30);
  arguments.number("--noise", o.noise, "deviation of the points from the arcs", 0.02, 10);
  arguments.threads(o.threads);
  arguments.seed(o.seed, "of the weights and of the points");
  arguments.option("--out", o.out, "folder for the curve and the picture");
  return arguments.parse(argc, argv);
}

}  // namespace moons
