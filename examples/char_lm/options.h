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

// Fills options from the arguments. Returns what Arguments::parse does.
inline int read_options(int argc, char** argv, Options& o) {
  Arguments arguments(
      "char_lm",
      "A transformer learns to write, character by character: the first 90 % of a text to train, the last tenth to\n"
      "tell how well. Prints the loss in nats a character and a sample. Writes OUT/char_lm.csv, the losses by step.");
  arguments.option("--data", o.data, "a text file in UTF-8; without, this project's own documentation");
  arguments.whole("--layers", o.layers, "blocks", 1, 100000);
  arguments.whole("--heads", o.heads, "heads of the attention; they divide the width", 1, 16384);
  arguments.whole("--width", o.width, "features of a character", 1, 16384);
  arguments.whole("--context", o.context, "characters the net looks at", 1, 1000000);
  arguments
      .option("--positions", o.positions, "how the net knows where a character stands: rotary, learned, sinusoidal")
      ->check(CLI::IsMember({"rotary", "learned", "sinusoidal"}).description(""));
  arguments.whole("--batch", o.batch, "sequences a step", 1, 1000000);
  arguments.whole("--steps", o.steps, "training steps");
  arguments.whole("--warmup", o.warmup, "steps in which the learning rate rises to --lr", 0);
  arguments.whole("--every", o.every, "steps from one look at the last tenth to the next");
  arguments.number("--lr", o.lr, "highest learning rate of AdamW");
  arguments.number("--least-lr", o.least_lr, "the rate in the end, by a cosine");
  arguments.number("--weight-decay", o.weight_decay, "of the matrices");
  arguments.number("--clip", o.clip, "largest norm of the gradient, 0 for none", 0, 1e30);
  arguments.number("--dropout", o.dropout, "of the weights of the attention and of each branch", 0, 0.99);
  arguments.whole("--sample", o.sample, "characters to write in the end", 0);
  arguments.number("--temperature", o.temperature, "of the sample: below 1 it keeps to what is likely", 1e-3);
  arguments.threads(o.threads);
  arguments.seed(o.seed, "of the weights, the batches and the sample");
  arguments.option("--out", o.out, "folder for the losses by step");
  arguments.together([&o]() -> std::string {
    if (o.width % o.heads)
      return "--heads: " + std::to_string(o.heads) + " heads do not divide a width of " + std::to_string(o.width);
    if (const int64_t each = o.width / o.heads; o.positions == "rotary" && each % 2)
      return "--heads: rotary positions need an even width for each head, not " + std::to_string(each);
    return {};
  });
  return arguments.parse(argc, argv);
}

}  // namespace char_lm
