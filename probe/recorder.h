// Measures the layers of a network while it trains, and writes what it sees to OUT/record.jsonl.
//
//   probe::Recorder recorder(net, {.every = 10, .out = "run"});
//   ...
//   recorder.backward(loss);  // loss.backward(), with the measurements that are due at this step
//
//   1. Training's numbers are the same, bit for bit, with a recorder and without.
//   2. A site is one call of a module: its Jacobian is that of its output by its input, over what training recorded.
//   Only
//      calls that lead to the loss are measured, each on the way back, before its part of the tape is consumed.
//   3. The record is whole after every step: JSON Lines, appended, each by one write.
//   4. Recorder and module may die in either order; both stay on the thread and at the address where they are.
#pragma once
#include <limits>
#include <map>
#include <memory>  // shared_ptr
#include <string>
#include <vector>

#include "fathom/autograd/backward.h"
#include "fathom/nn/module.h"

namespace fathom::probe {

struct RecorderOptions {
  int64_t every = 10;        // steps between measurements of the layers, the first at step 0; 0: never
  std::string out = "run";   // the folder; made where there is none
  std::string name = "run";  // of this run within the record
  std::string sites =
      {};  // paths of modules, such as "blocks.*" or "in,blocks.*.linear": * is any name, ** any path, net the network
           // itself; none: the children of the network, and those of a Sequential in its place
  int64_t samples = 0;  // how many samples of a batch count, from the first on; 0: all
  std::map<std::string, std::string> info =
      {};                   // goes into the record; "net", "depth" and "seed" have their own places
  int64_t power_steps = 2;  // of the power iteration, from where the last measurement ended
  int64_t cold_steps = 10;  // the first time
  int64_t probes = 1;       // for the Frobenius norm: random directions a sample
  bool grad_norm = true;    // sum up the gradients' norm; false: `step(norm)` tells it
};

// One site at one step. A batch's singular values are those of its samples; norms are over the whole batch.
struct SiteMeasure {
  std::string site;           // the module's path
  int64_t call = 0;           // of this module, in the step
  bool has_jacobian = false;  // its input is floating and leads to its output; else the next eight are not there
  bool coupled = false;       // samples reach each other: sigma and frobenius are the whole batch's
  double sigma_max = 0, sigma_median = 0, sigma_min = 0;  // of the samples' largest singular values: lower bounds
  double residual = 0;                                    // the largest of the samples' (see probe::Sigma)
  double frobenius = 0;                                   // root mean square over the samples; an estimate
  double grad_in = 0;                                     // |dloss / d input|
  double gain = 0;                                        // grad_in / grad_out
  double grad_out = 0;                                    // |dloss / d output|
  double weight_norm = 0;
  double activation_rms = 0;  // of the output
};

struct RecorderEnd {
  double accuracy = std::numeric_limits<double>::quiet_NaN();  // NaN: none
};

class Recorder {
 public:
  // Throws Error when the record cannot be written, naming it; when no module fits `sites`; on a negative number.
  explicit Recorder(nn::Module& net, RecorderOptions options = {});
  // Writes the end of the run, unless finish() has, or an exception is on its way.
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // loss.backward(options), measured when due, and a step in the record. Throws as backward does, and when the record
  // cannot be written.
  void backward(const Tensor& loss, const BackwardOptions& options = {});
  // With `.grad_norm = false`: the norm that the step's line is waiting for, such as what opt.step() returned.
  void step(double grad_norm);
  // Writes the end of the run; what comes after it is not recorded.
  void finish(RecorderEnd end = {});
  // Draws the record, with all its runs, as one page: see write_report.
  void report(const std::string& page_path);

  const std::string& path() const;               // of the record
  const std::vector<SiteMeasure>& last() const;  // the last measurement, from the input on
  std::vector<std::string> sites() const;        // the paths of the modules that are watched
  int64_t steps() const;                         // so far
  double seconds() const;                        // since the start
  double measuring_seconds() const;              // of them, spent measuring and writing

 private:
  struct State;
  struct Observing;
  struct SiteHook;
  struct InputHook;
  std::shared_ptr<State> state_;
};

}  // namespace fathom::probe
