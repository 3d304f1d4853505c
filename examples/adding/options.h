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

// Fills options from the arguments. Returns what Arguments::parse does.
inline int read_options(int argc, char** argv, Options& o) {
  Arguments arguments(
      "adding",
      "The adding problem (Hochreiter & Schmidhuber 1997): the sum of two marked numbers of a sequence. Trains every\n"
      "net at every length with clipping and without, until it has learned or the steps are over, and prints a table.\n"
      "Writes OUT/adding.csv, the errors of each run by step.");
  arguments
      .option("--nets", o.nets, "rnn (tanh, default initialisation), irnn (relu, identity initialisation), lstm, gru")
      ->delimiter(',')
      ->check(CLI::IsMember({"rnn", "irnn", "lstm", "gru"}).description(""));
  arguments.whole("--lengths", o.lengths, "steps of the sequences", 2, 100000)->delimiter(',');
  arguments.whole("--width", o.width, "hidden units", 1, 16384);
  arguments.whole("--steps", o.steps, "training steps of a run, at most");
  arguments.whole("--batch", o.batch, "sequences a step", 1, 1000000);
  arguments
      .number("--lr", o.lr, "learning rate of Adam; without, 0.01 for lstm and gru, 0.001 for rnn and irnn", 1e-30)
      ->default_str("");
  arguments.number("--clip", o.clip, "largest norm of the gradient in the runs that clip", 1e-30, 1e30);
  arguments.number("--target", o.target, "mean squared error at which a run ends as learned");
  arguments.threads(o.threads);
  arguments.seed(o.seed, "of the weights and of the sequences");
  arguments.option("--out", o.out, "folder for the errors by step");
  return arguments.parse(argc, argv);
}

}  // namespace adding
