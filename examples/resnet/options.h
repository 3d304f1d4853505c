// The command line of `resnet`.
#pragma once
#include <cstdint>
#include <string>

#include "../arguments.h"

namespace resnet {

struct Options {
  int64_t epochs = 6;
  int64_t batch = 64;
  int64_t width = 16;
  double lr = 3e-3;
  double weight_decay = 0.01;
  int64_t every = 20;
  int threads = 0;
  uint64_t seed = 0;
  std::string data;
  std::string out;
};

// Fills options from the arguments. Returns what parse_arguments does.
inline int read_options(int argc, char** argv, Options& options) {
  CLI::App app(
      "A small residual convolutional net (He et al. 2016) learns to read digits. With --out it writes "
      "OUT/resnet.csv,\n"
      "OUT/record.jsonl and OUT/report.html, the Jacobians of its layers.");
  app.name("resnet");
  app.add_option("--epochs", options.epochs, "times through the data")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "images a step")->check(CLI::Range(2, 100000))->capture_default_str();
  app.add_option("--width", options.width, "channels of the first stage; the second has twice as many")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--lr", options.lr, "learning rate of AdamW; a cosine takes it to zero")
      ->check(number_from(0, 1e3))
      ->capture_default_str();
  app.add_option("--weight-decay", options.weight_decay, "weight decay of AdamW")
      ->check(number_from(0, 1e3))
      ->capture_default_str();
  app.add_option("--every", options.every, "steps from one measurement to the next, with --out")
      ->check(CLI::Range(1, 1000000000))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "threads to use; without, as many as the machine has cores")
      ->check(CLI::Range(1, 256));
  app.add_option("--seed", options.seed, "of the weights and of the order of the images")->capture_default_str();
  app.add_option("--data", options.data, "folder with the files of MNIST, gzipped or not; without, bars and rings");
  app.add_option("--out", options.out, "folder for the curve, the record and the report; without, none are written");
  return parse_arguments(app, argc, argv);
}

}  // namespace resnet
