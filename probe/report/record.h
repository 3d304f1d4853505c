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

enum Quantity {
  sigma_max,
  sigma_median,
  sigma_min,
  residual,
  upper,
  frobenius,
  condition,
  effective_rank,
  gain,
  product,
  grad_in,
  weight_norm,
  activation_rms,
  kurtosis,
  dead,
  saturated,  // of a layer
  grad_norm,
  update_norm,
  update_ratio,  // of a parameter, with its weight_norm
};
inline constexpr std::array quantity_names = {"sigma_max", "sigma_median", "sigma_min",      "residual",    "upper",
                                              "frobenius", "condition",    "effective_rank", "gain",        "product",
                                              "grad_in",   "weight_norm",  "activation_rms", "kurtosis",    "dead",
                                              "saturated", "grad_norm",    "update_norm",    "update_ratio"};
inline constexpr size_t quantities = quantity_names.size();

// log10 of each quantity: -infinity is an exact zero, NaN stays NaN.
using Values = std::array<float, quantities>;
inline constexpr float missing = std::numeric_limits<float>::lowest();

struct Point {
  int64_t step = 0;
  std::optional<double> loss, grad_norm;
  bool clipped = false;
};

// What was measured at one step: of some rows (by their index in Board::rows) their values.
struct Frame {
  int64_t step = 0;
  std::vector<std::pair<int, Values>> rows;
};

// Rows by steps: layers (one called more than once has a row for each call) or parameters.
struct Board {
  std::vector<std::string> rows;
  std::vector<int> order;  // indices into rows, from the input to the output
  std::vector<Frame> frames;
  std::map<std::string, int> index;
};

// Of some layers the singular values, the largest first, as log10.
struct Spectra {
  int64_t step = 0;
  std::vector<std::pair<int, std::vector<float>>> layers;
};

struct Alarm {
  int64_t step = 0;
  std::string kind, site, message, action;
};

struct Sharpness {
  int64_t step = 0;
  std::optional<double> value, edge;
};

// Exponents in nats a step.
struct Lyapunov {
  int64_t step = 0;
  std::string site;
  std::vector<double> exponents;
  std::vector<int64_t> steps;                    // of the convergence
  std::vector<std::vector<double>> convergence;  // at each of these steps, the exponents so far
  std::optional<double> sum, log_det, kaplan_yorke;
};

struct Ending {
  int64_t steps = 0;
  std::optional<double> seconds, measuring_seconds, loss, accuracy;
  std::map<std::string, double> costs;  // seconds by what they were spent on
};

struct Run {
  std::string name, net, dtype, version, no_chain;  // no_chain: why there is no product over layers
  std::optional<int64_t> depth, seed;
  std::map<std::string, std::string> options, facts;
  std::vector<Point> points;
  Board layers, parameters;
  std::vector<Spectra> spectra;
  std::vector<Alarm> alarms;
  std::vector<Sharpness> sharpness;
  std::vector<Lyapunov> lyapunov;
  std::optional<Ending> ending;  // empty when the run was cut
};

// Throws Error when the file cannot be read, when a line (but a torn last one) is no JSON object of a record,
// and when there is no run in it.
std::vector<Run> read_record(const std::string& path);

}  // namespace fathom::probe::report
