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

// Fills options from the arguments. Returns what parse_arguments does.
inline int read_options(int argc, char** argv, Options& options) {
  CLI::App app(
      "Trains networks of growing depth and shows why some learn and some do not: while they train, the Jacobian of\n"
      "every layer is measured. Writes OUT/record.jsonl and OUT/report.html.");
  app.name("depth");
  app.add_option("--nets", options.nets,
                 "plain (tanh, default initialisation), orthogonal (tanh, orthogonal weights),\n"
                 "residual (x + tanh(linear(x)) / sqrt(depth)), prenorm (the same, each branch normalised first)")
      ->delimiter(',')
      ->check(CLI::IsMember({"plain", "orthogonal", "residual", "prenorm"}))
      ->capture_default_str();
  app.add_option("--depths", options.depths, "numbers of layers between the first and the last")
      ->delimiter(',')
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--width", options.width, "units of a layer")->check(CLI::Range(1, 16384))->capture_default_str();
  app.add_option("--steps", options.steps, "training steps of each net")
      ->check(CLI::Range(1, 1000000000))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "samples a step")->check(CLI::Range(1, 1000000))->capture_default_str();
  app.add_option("--every", options.every, "steps from one measurement to the next")
      ->check(CLI::Range(1, 1000000000))
      ->capture_default_str();
  app.add_option("--lr", options.lr, "learning rate of AdamW")->check(number_from(0, 1e3))->capture_default_str();
  app.add_option("--clip", options.clip, "largest norm of the gradient, 0 for none")
      ->check(number_from(0, 1e30))
      ->capture_default_str();
  app.add_option("--weight-decay", options.weight_decay, "weight decay of AdamW")
      ->check(number_from(0, 1e3))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "threads to use; without, as many as the machine has cores")
      ->check(CLI::Range(1, 256));
  app.add_option("--seed", options.seed, "of the weights and of the order of the samples")->capture_default_str();
  app.add_option("--data", options.data, "folder with the files of MNIST, gzipped or not; without, ten spiral arms");
  app.add_option("--out", options.out, "folder for the record and the report")->capture_default_str();
  return parse_arguments(app, argc, argv);
}

}  // namespace depth
