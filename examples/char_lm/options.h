// The command line of `char_lm`.
#pragma once
#include <cstdint>
#include <string>

#include "../arguments.h"

namespace char_lm {

struct Options {
  std::string data, positions = "rotary";
  int64_t layers = 4, heads = 4, width = 128, context = 64;
  int64_t batch = 12, steps = 2000, warmup = 100, every = 250;
  double lr = 1e-3, least_lr = 1e-4, weight_decay = 0.1, clip = 1, dropout = 0;
  int64_t sample = 500;
  double temperature = 0.8;
  int threads = 0;
  uint64_t seed = 0;
  std::string out = "run";
};

// Fills options from the arguments. Returns what parse_arguments does.
inline int read_options(int argc, char** argv, Options& o) {
  CLI::App app(
      "A transformer learns to write, character by character: the first 90 % of a text to train, the last tenth to\n"
      "tell how well. Prints the loss in nats a character and a sample. Writes OUT/char_lm.csv, the losses by step.");
  app.name("char_lm");
  const auto whole = [&](const char* name, int64_t& value, const char* what, int64_t low = 1) {
    app.add_option(name, value, what)->check(CLI::Range(low, int64_t{1000000000}))->capture_default_str();
  };
  const auto number = [&](const char* name, double& value, const char* what, double low, double high) {
    app.add_option(name, value, what)->check(number_from(low, high))->capture_default_str();
  };
  app.add_option("--data", o.data, "a text file in UTF-8; without, this project's own documentation");
  whole("--layers", o.layers, "blocks");
  whole("--heads", o.heads, "heads of the attention; they divide the width");
  whole("--width", o.width, "features of a character");
  whole("--context", o.context, "characters the net looks at");
  app.add_option("--positions", o.positions, "how the net knows where a character stands: rotary, learned, sinusoidal")
      ->check(CLI::IsMember({"rotary", "learned", "sinusoidal"}))
      ->capture_default_str();
  whole("--batch", o.batch, "sequences a step");
  whole("--steps", o.steps, "training steps");
  whole("--warmup", o.warmup, "steps in which the learning rate rises to --lr", 0);
  whole("--every", o.every, "steps from one look at the last tenth to the next");
  number("--lr", o.lr, "highest learning rate of AdamW", 0, 1e3);
  number("--least-lr", o.least_lr, "the rate in the end, by a cosine", 0, 1e3);
  number("--weight-decay", o.weight_decay, "of the matrices", 0, 1e3);
  number("--clip", o.clip, "largest norm of the gradient, 0 for none", 0, 1e30);
  number("--dropout", o.dropout, "of the weights of the attention and of each branch", 0, 0.99);
  whole("--sample", o.sample, "characters to write in the end", 0);
  number("--temperature", o.temperature, "of the sample: below 1 it keeps to what is likely", 1e-3, 1e3);
  app.add_option("--threads", o.threads, "threads to use; without, as many as the machine has cores")
      ->check(CLI::Range(1, 256));
  app.add_option("--seed", o.seed, "of the weights, the batches and the sample")->capture_default_str();
  app.add_option("--out", o.out, "folder for the losses by step")->capture_default_str();
  return parse_arguments(app, argc, argv);
}

}  // namespace char_lm
