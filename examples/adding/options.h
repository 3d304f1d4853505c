// The command line of `adding`.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "../arguments.h"

namespace adding {

struct Options {
  std::vector<std::string> nets = {"rnn", "irnn", "lstm", "gru"};
  std::vector<int64_t> lengths = {100, 200};
  int64_t width = 64;
  int64_t steps = 6000;
  int64_t batch = 32;
  double lr = 0;  // 0: the net's own
  double clip = 1;
  double target = 0.01;
  int threads = 0;
  uint64_t seed = 0;
  std::string out = "run";
};

// Fills options from the arguments. Returns what parse_arguments does.
inline int read_options(int argc, char** argv, Options& options) {
  CLI::App app(
      "The adding problem (Hochreiter & Schmidhuber 1997): the sum of two marked numbers of a sequence. Trains every\n"
      "net at every length with clipping and without, until it has learned or the steps are over, and prints a table.\n"
      "Writes OUT/adding.csv, the errors of each run by step.");
  app.name("adding");
  app.add_option("--nets", options.nets,
                 "rnn (tanh, default initialisation), irnn (relu, identity initialisation), lstm, gru")
      ->delimiter(',')
      ->check(CLI::IsMember({"rnn", "irnn", "lstm", "gru"}))
      ->capture_default_str();
  app.add_option("--lengths", options.lengths, "steps of the sequences")
      ->delimiter(',')
      ->check(CLI::Range(2, 100000))
      ->capture_default_str();
  app.add_option("--width", options.width, "hidden units")->check(CLI::Range(1, 16384))->capture_default_str();
  app.add_option("--steps", options.steps, "training steps of a run, at most")
      ->check(CLI::Range(1, 1000000000))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "sequences a step")->check(CLI::Range(1, 1000000))->capture_default_str();
  app.add_option("--lr", options.lr, "learning rate of Adam; without, 0.01 for lstm and gru, 0.001 for rnn and irnn")
      ->check(number_from(1e-30, 1e3));
  app.add_option("--clip", options.clip, "largest norm of the gradient in the runs that clip")
      ->check(number_from(1e-30, 1e30))
      ->capture_default_str();
  app.add_option("--target", options.target, "mean squared error at which a run ends as learned")
      ->check(number_from(0, 1e3))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "threads to use; without, as many as the machine has cores")
      ->check(CLI::Range(1, 256));
  app.add_option("--seed", options.seed, "of the weights and of the sequences")->capture_default_str();
  app.add_option("--out", options.out, "folder for the errors by step")->capture_default_str();
  return parse_arguments(app, argc, argv);
}

}  // namespace adding
