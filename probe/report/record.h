#pragma once
// A record, read back from its JSON Lines: the runs in the order of their start, each with its curve and its frames.
// Internal to the report.

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fathom::probe::report {

enum Quantity { sigma_max, residual, frobenius, gain, grad_in, weight_norm, activation_rms };
inline constexpr int quantities = 7;
inline constexpr std::array<const char*, quantities> quantity_names = {
    "sigma_max", "residual", "frobenius", "gain", "grad_in", "weight_norm", "activation_rms"};

// log10 of each quantity: -infinity is an exact zero, NaN stays NaN.
using Values = std::array<float, quantities>;
inline constexpr float missing = std::numeric_limits<float>::lowest();

struct Point {
  int64_t step = 0;
  std::optional<double> loss, grad_norm;
};

// What was measured at one step: of some layers (by their index in Run::layers) their values.
struct Frame {
  int64_t step = 0;
  std::vector<std::pair<int, Values>> layers;
};

struct Ending {
  int64_t steps = 0;
  std::optional<double> seconds, measuring_seconds, loss, accuracy;
};

struct Run {
  std::string name, net, dtype, version;
  std::optional<int64_t> depth, seed;
  std::map<std::string, std::string> options;
  std::vector<std::string> layers;  // a layer called more than once has a row for each call
  std::vector<int> order;           // indices into layers, from the input to the output
  std::vector<Point> points;
  std::vector<Frame> frames;
  std::optional<Ending> ending;  // empty when the run was cut
};

// Throws Error when the file cannot be read, when a line (but a torn last one) is no JSON object of a record,
// and when there is no run in it.
std::vector<Run> read_record(const std::string& path);

}  // namespace fathom::probe::report
