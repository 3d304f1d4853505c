// The command line of `depth`.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "../arguments.h"

namespace depth {

struct Options {
  std::vector<std::string> nets = {"plain", "orthogonal", "residual", "prenorm"};
  std::vector<int64_t> depths = {4, 16, 64};
  int64_t width = 64;
  int64_t steps = 3000;
  int64_t batch = 64;
  int64_t every = 20;
  double lr = 1e-3;
  double clip = 1;
  double weight_decay = 0.01;
  int threads = 0;
  uint64_t seed = 0;
  std::string data;
  std::string out = "run";
};

// Fills options from the arguments. Returns what Arguments::parse does.
inline int read_options(int argc, char** argv, Options& o) {
  Arguments arguments(
      "depth",
      "Trains networks of growing depth and shows why some learn and some do not: while they train, the Jacobian of\n"
      "every layer is measured. Writes OUT/record.jsonl and OUT/report.html.");
  arguments
      .option("--nets", o.nets,
              "plain (tanh, default initialisation), orthogonal (tanh, orthogonal weights),\n"
              "residual (x + tanh(linear(x)) / sqrt(depth)), prenorm (the same, each branch normalised first)")
      ->delimiter(',')
      ->check(CLI::IsMember({"plain", "orthogonal", "residual", "prenorm"}).description(""));
  arguments.whole("--depths", o.depths, "numbers of layers between the first and the last", 1, 100000)->delimiter(',');
  arguments.whole("--width", o.width, "units of a layer", 1, 16384);
  arguments.whole("--steps", o.steps, "training steps of each net");
  arguments.whole("--batch", o.batch, "samples a step", 1, 1000000);
  arguments.whole("--every", o.every, "steps from one measurement to the next");
  arguments.number("--lr", o.lr, "learning rate of AdamW");
  arguments.number("--clip", o.clip, "largest norm of the gradient, 0 for none", 0, 1e30);
  arguments.number("--weight-decay", o.weight_decay, "weight decay of AdamW");
  arguments.threads(o.threads);
  arguments.seed(o.seed, "of the weights and of the order of the samples");
  arguments.option("--data", o.data, "folder with the files of MNIST, gzipped or not; without, ten spiral arms");
  arguments.option("--out", o.out, "folder for the record and the report");
  return arguments.parse(argc, argv);
}

}  // namespace depth
