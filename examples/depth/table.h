// What a net's training came to, and the closing table of all.
#pragma once
#include <fathom/fathom.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

namespace depth {

struct Row {
  std::string net;
  int64_t depth = 0;
  double loss = 0;             // the mean over the last steps
  double accuracy = 0;         // on the test samples, 0 to 1
  double log10_gain = 0;       // |dloss / d input of the first block| over |dloss / d output of the last|
  double log10_sigma = 0;      // the blocks' sigma_max, the mean of their logarithms
  double least = 0, most = 0;  // the extremes of them
  double ms = 0;               // a step, measuring included
  double measuring = 0;        // the part of the time that it took, 0 to 1
};

// Of the last measurement: the blocks, from the first to the last.
inline void summarise(const std::vector<fathom::probe::SiteMeasure>& blocks, Row& row) {
  row.least = std::numeric_limits<double>::infinity();
  double log10_sum = 0;
  for (const auto& block : blocks) {
    log10_sum += std::log10(block.sigma_max);
    row.least = std::fmin(row.least, block.sigma_max);
    row.most = std::fmax(row.most, block.sigma_max);
  }
  row.log10_sigma = log10_sum / double(blocks.size());
  row.log10_gain = fathom::probe::log10_gain(blocks);
}

inline void print_table(const std::vector<Row>& rows) {
  std::printf("\n%-10s %6s %11s %9s %14s %29s %9s %10s\n", "", "", "", "test", "gradient gain",
              "sigma_max of the layers", "", "of it");
  std::printf("%-10s %6s %11s %9s %14s %9s %9s %9s %9s %10s\n", "net", "depth", "final loss", "accuracy", "log10",
              "mean", "least", "most", "ms/step", "measuring");
  for (const Row& row : rows)
    std::printf("%-10s %6lld %11.4f %7.2f %% %14.2f %9.3g %9.3g %9.3g %9.2f %8.1f %%\n", row.net.c_str(),
                static_cast<long long>(row.depth), row.loss, 100 * row.accuracy, row.log10_gain,
                std::pow(10, row.log10_sigma), row.least, row.most, row.ms, 100 * row.measuring);
  std::printf(
      "\nGradient gain: the gradient's norm before the first layer over that behind the last, from end to end.\n"
      "sigma_max: the most a layer's Jacobian stretches a vector; geometric mean and extremes at the last "
      "measurement.\n");
}

}  // namespace depth
