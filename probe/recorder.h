// Measures the layers of a network while it trains, and writes what it sees to OUT/record.jsonl.
//
//   probe::Recorder recorder(net, {.every = 10, .out = "run"});
//   ...
//   recorder.backward(loss);  // loss.backward(), with the measurements that are due at this step
//
//   1. Training's numbers are the same, bit for bit, with a recorder and without.
//   2. A site is one call of a module: its Jacobian is that of its output by its input, over what training recorded.
//      Only calls that lead to the loss are measured, each on the way back, before its part of the tape is consumed.
//   3. The record is JSON Lines, appended in whole lines, twenty times a second and at an alarm; see flush().
//   4. Recorder and module may die in either order; both stay on the thread and at the address where they are.
#pragma once
#include <string>
#include <vector>

#include "fathom/autograd/backward.h"
#include "fathom/nn/module.h"
#include "fathom/probe/alarms.h"
#include "fathom/probe/attention.h"
#include "fathom/probe/not_known.h"

namespace fathom::probe {

struct Lyapunov;

struct Fact {
  std::string name, value;
};

struct RecorderOptions {
  // How often, in steps, the first at step 0; 0: never.
  int64_t every = 10;         // of each site sigma_max, Frobenius norm, gain, and the norms around it
  int64_t gains_every = 0;    // at steps between those: the gain and the norms alone; no gain of a site whose input is
                              // data or goes to others too: it would cost a product of its own
  int64_t details_every = 0;  // of those at `every`: singular values with bounds, condition, ranks, the products over
                              // the sites, statistics of outputs and attention; dear, best with few samples in `probe`
  int64_t parameters_every = 0;  // norms of each weight, gradient and update, from the optimiser's own pass

  // Where.
  std::string out = "run";   // the folder; made where there is none
  std::string name = "run";  // of this run within the record; of those recorded at once each has its own
  std::string sites = {};  // paths of modules, such as "blocks.*" or "in,blocks.*.linear": * is any name, ** any path,
                           // net the network itself; none: the children of the network, and those of a Sequential in
                           // its place

  // On what. With `probe`, these inputs go through the network too at the steps that are due, and the Jacobians are
  // theirs: fewer samples than a batch has cost less, and the same ones all along can be compared. Gains stay the
  // batch's, without that of a site whose input is data. Batch statistics and the default random numbers are left
  // alone.
  Tensor probe = {};
  int64_t samples = 0;  // of the batch, or the probe, how many count, from the first on; 0: all

  // What else is known of the run: it goes into the record; "net", "depth" and "seed" have their own places.
  // Untold, the seed is that of the default random numbers.
  std::vector<Fact> info = {};

  // How.
  int64_t power_steps = 1;  // of the power iteration, from where the last measurement ended
  int64_t cold_steps = 10;  // the first time
  bool frobenius = true;    // measure Frobenius norms too, which bound sigma_max where there are no details
  int64_t probes = 1;       // random directions a sample, for those that no formula gives
  bool grad_norm = true;    // sum up the gradients' norm at every step; false: `step(norm)` tells it
  Alarms alarms = {};
};

// One site at one step. A batch's singular values are those of its samples; norms are over the whole batch.
struct SiteMeasure {
  std::string site;           // the module's path
  int64_t call = 0;           // of this module, in the step
  bool has_jacobian = false;  // its input is floating and leads to its output; else nothing is, up to grad_in
  bool coupled = false;       // samples reach each other: sigma and frobenius are the whole batch's
  double sigma_max = 0, sigma_median = 0, sigma_least = 0;  // of the samples' largest singular values: lower bounds
  double residual = 0;                                      // the largest of the samples' (see probe::Sigma)
  double upper = not_known;      // of sigma_max: from the Frobenius norms or the details, where there are some
  double confidence = 1;         // that it lies below; 1: rigorous, else 1 - 1e-6
  double frobenius = not_known;  // root mean square over the samples
  // It lies between them with probability 1 - 1e-6; both are it where it is exact.
  double frobenius_lower = not_known, frobenius_upper = not_known;
  double sigma_seconds = 0, frobenius_seconds = 0, details_seconds = 0;  // that these measurements took
  bool trained = true;  // backward() brings a gradient to its output; else, as where all up to it is frozen, the next
                        // three are not known
  double grad_in = not_known;  // |dloss / d input|; NaN: not known
  double grad_out = 0;         // |dloss / d output|
  // What the site made of the gradient, |J^T dloss / d output| / grad_out: grad_in / grad_out where grad_in comes of
  // this site alone, else by a product of its own, of `samples`, at the steps of `every`.
  double gain = not_known;
  double weight_norm = not_known;
  double activation_rms = 0;  // of the output

  // Details, where they were due.
  bool has_details = false;
  std::vector<double> spectrum, spectrum_upper;  // descending: the medians over the samples of each value, and of the
                                                 // bound above it
  bool complete = false;  // it has all singular values; else those are lower bounds, and the next three not known
  double condition = not_known, sigma_min_active = not_known, effective_rank = not_known;  // medians; see
  double stable_rank = 0;                                                                  // probe::Spectrum
  double kurtosis = 0;   // of the outputs: 3 for normal numbers
  double dead = 0;       // share of the outputs' elements that are 0 for the whole batch
  double saturated = 0;  // share of the outputs beyond 0.99 in size where none is beyond 1, else 0
  std::vector<AttentionStatistics> attention;  // of each head within, over the whole batch; none where none is
};

// log10 of what all sites make of the gradient, from end to end: its norm before the first of them over that behind the
// last; where that before the first is not known, before the second, and so on. NaN where none is.
double log10_gain(const std::vector<SiteMeasure>& sites);

// One parameter at one step, as the optimiser changed it.
struct ParameterMeasure {
  std::string name;
  double weight_norm = 0, grad_norm = 0, update_norm = 0;
};

struct RecorderEnd {
  double accuracy = not_known;  // NaN: none
  double loss = not_known;      // NaN: the last step's
};

class Recorder {
 public:
  // Throws Error when the record cannot be written, or another recorder is writing a run of this name to it, in any
  // process; when no module fits `sites`; on a negative number.
  explicit Recorder(nn::Module& net, RecorderOptions options = {});
  // Writes the end of the run, unless finish() has, or an exception is on its way.
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // loss.backward(options), measured when due, and a step in the record. Throws as backward does, when the record
  // cannot be written, and on an alarm that stops.
  void backward(const Tensor& loss, const BackwardOptions& options = {});
  // With `.grad_norm = false`: the norm that the step's line is waiting for, such as what opt.step() returned.
  void step(double grad_norm);
  // The sharpness of the loss at this step (see probe::sharpness) goes into the record beside 2 / lr. To be called
  // before backward(). Returns it.
  double sharpness(const Tensor& loss, double lr);
  // Lyapunov exponents that were found at this step go into the record, under the path of the module they are of:
  // recorder.lyapunov("rnn", probe::lyapunov(net.rnn, inputs)).
  void lyapunov(const std::string& site, const Lyapunov& found);
  // Writes the end of the run; what comes after it is not recorded.
  void finish(RecorderEnd end = {});
  // What waits goes to the file. It does so by itself twenty times a second: a call of the system at each step would
  // cost a small network a tenth of its time. Between backward() and the optimiser's step, the line of the step does
  // not say whether that clips.
  void flush();
  // Draws the record, with all its runs, as one page: see write_report. May be called while the run goes on.
  void report(const std::string& page_path);

  // One line for a terminal: the step, its loss, and the layers whose sigma_max is farthest from 1, as last measured.
  std::string status(size_t layers = 3) const;

  const std::string& path() const;               // of the record
  const std::vector<SiteMeasure>& last() const;  // the last measurement, from the input on
  const std::vector<ParameterMeasure>& last_parameters() const;
  const std::vector<Alarm>& alarms() const;  // all so far
  std::vector<std::string> sites() const;    // the paths of the modules that are watched
  int64_t steps() const;                     // so far
  double seconds() const;                    // since the start
  double measuring_seconds() const;          // of them, spent measuring and writing

 private:
  struct State;
  struct SiteHook;
  struct InputHook;
  Ref<State> state_;
};

}  // namespace fathom::probe
