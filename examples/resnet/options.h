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

// Fills options from the arguments. Returns what Arguments::parse does.
inline int read_options(int argc, char** argv, Options& o) {
  Arguments arguments(
      "resnet",
      "A small residual convolutional net (He et al. 2016) learns to read digits. With --out it writes\n"
      "OUT/resnet.csv, OUT/record.jsonl and OUT/report.html, the Jacobians of its layers.");
  arguments.whole("--epochs", o.epochs, "times through the data", 1, 100000);
  arguments.whole("--batch", o.batch, "images a step", 2, 100000);
  arguments.whole("--width", o.width, "channels of the first stage; the second has twice as many", 1, 1024);
  arguments.number("--lr", o.lr, "learning rate of AdamW; a cosine takes it to zero");
  arguments.number("--weight-decay", o.weight_decay, "weight decay of AdamW");
  arguments.whole("--every", o.every, "steps from one measurement to the next, with --out");
  arguments.threads(o.threads);
  arguments.seed(o.seed, "of the weights and of the order of the images");
  arguments.option("--data", o.data, "folder with the files of MNIST, gzipped or not; without, bars and rings");
  arguments.option("--out", o.out, "folder for the curve, the record and the report; without, none are written");
  return arguments.parse(argc, argv);
}

}  // namespace resnet
