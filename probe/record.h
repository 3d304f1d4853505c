// A record, read back from its JSON Lines: the runs in the order of their start, each with its curves and its frames;
// and its export to files that other programs read.
#pragma once
#include <array>
#include <cstdint>
#include <iterator>  // size
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace fathom::probe::record {

enum Quantity {
  sigma_max,
  sigma_median,
  sigma_least,
  residual,
  upper,
  frobenius,
  frobenius_lower,  // where it was estimated
  frobenius_upper,
  condition,
  sigma_min_active,
  effective_rank,
  stable_rank,
  gain,
  gradient_left,  // before the layer, of what there is behind the last one
  product,
  product_upper,
  product_bound,
  grad_in,
  weight_norm,
  activation_rms,
  kurtosis,
  dead,
  saturated,
  attention_entropy,
  logit_variance,  // of attention the means over the heads
  seconds,         // that it took to measure a layer
  grad_norm,
  update_norm,
  update_ratio,  // of a parameter, with its weight_norm
};
inline constexpr const char* quantity_names[] = {
    // of layers
    "sigma_max", "sigma_median", "sigma_least", "residual", "upper", "frobenius", "frobenius_lower", "frobenius_upper",
    "condition", "sigma_min_active", "effective_rank", "stable_rank", "gain", "gradient_left", "product",
    "product_upper", "product_bound", "grad_in", "weight_norm", "activation_rms", "kurtosis", "dead", "saturated",
    "attention_entropy", "logit_variance", "seconds",
    // of parameters
    "grad_norm", "update_norm", "update_ratio"};
inline constexpr size_t quantities = std::size(quantity_names);

// log10 of each quantity: -infinity is an exact zero, NaN stays NaN.
using Values = std::array<double, quantities>;
inline constexpr double missing = std::numeric_limits<double>::lowest();

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
  std::set<int> coupled;  // rows whose Jacobian is that of the whole batch, once at least

  std::string label(int row) const;  // its name, with a note where it is one of those
};

// Of some layers the singular values, the largest first, as log10.
struct Spectra {
  int64_t step = 0;
  std::vector<std::pair<int, std::vector<double>>> layers;
};

struct Alarm {
  int64_t step = 0;
  std::string kind, site, message, action;
};

struct Sharpness {
  int64_t step = 0;
  std::optional<double> value, edge, residual, seconds;
};

// Exponents in nats a step.
struct Lyapunov {
  int64_t step = 0;
  std::string site;
  std::vector<double> exponents, standard_errors;
  std::vector<double> steps;                     // of the convergence; of a flow, its time
  std::vector<std::vector<double>> convergence;  // at each of these, the exponents so far
  std::optional<double> sum, log_det, kaplan_yorke, seconds;
};

struct Ending {
  int64_t steps = 0;
  std::optional<double> seconds, measuring_seconds, loss, accuracy;
  std::map<std::string, double> costs;  // seconds by what they were spent on
};

struct Run {
  std::string name, net, dtype, version, no_chain;  // no_chain: why there is no product over layers
  std::optional<int64_t> depth;
  std::optional<uint64_t> seed;
  std::map<std::string, std::string> options, facts;
  std::vector<Point> points;
  Board layers, parameters;
  std::vector<Spectra> spectra;
  std::vector<Alarm> alarms;
  std::vector<Sharpness> sharpness;
  std::vector<Lyapunov> lyapunov;
  std::optional<Ending> ending;  // empty while the run goes on, or when it was stopped
};

struct Record {
  std::vector<Run> runs;
  std::string note;  // of a last line that is torn, as an interrupted program leaves it, and was skipped; else empty
};

// Of a folder, its record.jsonl. Throws Error, naming the file and the line, when it cannot be read, when a line (but a
// torn last one) is no JSON object of a record, and when there is no run in it.
Record read(const std::string& path);

// Writes into the folder, made where there is none, steps.csv (run, step, loss, grad_norm, clipped), layers.csv and
// parameters.csv (run, step, name and what was measured in any; empty where it was not; what goes over many layers as
// log10).
// clipped is 1 where the gradients were clipped, else 0. A cell is quoted where it must be. Throws Error, naming the
// file, when one cannot be written.
void write_csv(const Record& record, const std::string& folder);

// Writes into the folder, for each run, 0 on, and each quantity measured in it, RUN_layers_QUANTITY.npy and
// RUN_parameters_QUANTITY.npy: f64 (frames, rows), NaN where nothing was measured; RUN_layers_steps.npy and
// RUN_parameters_steps.npy: i64 (frames). Throws Error, naming the file, when one cannot be written.
void write_npy(const Record& record, const std::string& folder);

// Writes into the folder, for each run, 0 on, RUN/events.out.tfevents.0.fathom, which TensorBoard reads: loss,
// grad_norm, and of every layer and parameter the log10 of what was measured. Throws Error, naming the file, when one
// cannot be written.
void write_events(const Record& record, const std::string& folder);

}  // namespace fathom::probe::record
