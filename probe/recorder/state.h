// What a recorder holds, and how it follows the calls of modules. Internal to the recorder.
#pragma once
#include <deque>
#include <map>
#include <memory>  // shared_ptr
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "fathom/autograd/node.h"
#include "fathom/optim/observer.h"
#include "fathom/probe/record_file.h"
#include "fathom/probe/recorder.h"
#include "fathom/probe/samples.h"
#include "fathom/probe/sharpness.h"
#include "fathom/probe/trace.h"

namespace fathom::probe {

// Adds the time of a scope; the innermost one only counts once.
class Stopwatch {
 public:
  explicit Stopwatch(double& total) : total_(total), before_(total) {}
  ~Stopwatch() { total_ = before_ + timer_.seconds(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double &total_, before_;
  Timer timer_;
};

class Flag {  // set for a scope
 public:
  explicit Flag(bool& flag) : flag_(flag), before_(std::exchange(flag, true)) {}
  ~Flag() { flag_ = before_; }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;

 private:
  bool &flag_, before_;
};

struct Recorder::State final : nn::Observer, optim::StepObserver {
  struct Site {
    std::string path;
    int64_t calls = 0;                 // in this step, recorded ones
    int64_t found = 0;                 // of them, those that lead to the loss
    std::map<uint64_t, bool> coupled;  // found out once for what the same ops made
    std::vector<Tensor> weights;       // the module's parameters
    std::vector<Tensor> directions;    // of each call: where its power iteration ended
  };
  struct Call {  // of a site, begun and not ended
    const nn::Module* module;
    Ref<Node> input;
    uint64_t begun = Node::last_number;  // the newest node before it
  };
  struct Input {  // of a call that has ended, where backward() brings a gradient to it: numbers of nodes
    uint64_t x, y;
    uint64_t begun, ended;  // what was recorded in between belongs to the call
  };
  struct Waiting {  // a step whose line waits for what the optimiser makes of its gradients
    int64_t step;
    std::optional<double> loss, grad_norm, clip;
  };
  // What training's gradient at a site's input is: none, what comes of the site's output alone, or of others too.
  enum class WayBack { none, alone, shared };
  struct Found {
    std::shared_ptr<SiteMeasure> row;
    Site* site;
    uint64_t node;
    WayBack way;
  };
  struct Frozen {  // a call whose output no gradient comes to: numbers of nodes
    std::shared_ptr<SiteMeasure> row;
    Site* site;
    int64_t batch_axis, call;
    uint64_t x, y;
  };
  struct Link {  // a site of this step, in the order of the calls: numbers of nodes; 0: not on the tape
    uint64_t x, y;
  };
  // Over the sites, from each one's input to the last one's output; see probe::Products.
  struct Product {
    std::string why_none;
    std::vector<double> norm, upper, bound, gain;
    double confidence, seconds;
  };

  uint32_t refs = 0;
  static void dispose(State* state) { delete state; }

  RecorderOptions options;
  RecordFile file;
  nn::Module* net;
  int64_t batch_axis;  // of the network
  std::unordered_map<const nn::Module*, Site> sites;
  std::vector<std::string> paths;
  std::vector<nn::NamedTensor> parameters;
  std::vector<Call> calls;
  std::vector<Input> inputs;
  size_t inputs_looked_at = 0;
  std::unordered_set<uint64_t> shares_input;  // numbers of outputs, in this step: others read their site's input too
  SiteHook* last_hook = nullptr;              // of the latest call
  uint64_t last_node = 0;                     // whose it is
  std::vector<Found> found;                   // in this step, from the output on
  std::vector<Frozen> frozen;
  std::vector<Link> links;
  std::map<std::pair<std::string, int64_t>, SiteMeasure> probed;  // by path and call: what the probe gave
  std::optional<Product> product;
  std::vector<SiteMeasure> last;
  std::vector<WayBack> ways;                // of each of `last`
  std::vector<SiteMeasure> last_jacobians;  // of the last step that was due for them, where `last` was not
  std::vector<ParameterMeasure> last_parameters;
  int64_t parameters_of = -1;  // the step of these
  std::vector<Alarm> alarms;
  std::set<std::string> without_gradient;  // parameters that were told of
  std::string stop;                        // what the Error will say; empty: there is none to throw
  std::optional<Trace> trace;              // until it has found something
  std::deque<double> losses;               // the last ones
  std::vector<Tensor> sharpest;
  std::optional<Waiting> waiting;
  std::string lines;  // not written yet
  Timer since_start, waited;
  std::optional<double> loss;                                     // empty: it was no scalar
  double measuring = 0, jacobians = 0, details = 0, writing = 0;  // seconds
  int64_t steps = 0;
  bool open = true, in_backward = false, busy = false, probing = false;
  bool passed = false;  // a site, by a walk that was not recorder.backward()'s
  int exceptions;

  State(nn::Module& n, RecorderOptions o);

  static bool at(int64_t step, int64_t every) { return every > 0 && step % every == 0; }
  bool jacobians_due() const { return at(steps, options.every); }
  bool details_due() const { return jacobians_due() && at(steps, options.details_every); }
  bool parameters_due(int64_t step) const { return at(step, options.parameters_every); }
  bool due() const { return jacobians_due() || at(steps, options.gains_every); }
  bool watches() const;

  // Following the calls, and the steps.
  Tensor before(nn::Module& module, Tensor x) override;
  void after(nn::Module& module, const Tensor& x, const Tensor& y) override;
  // The module's call, the last one begun but for those that an exception ended; none: it began before.
  std::optional<Call> end_call(const nn::Module& module);
  void find_shared_inputs();
  bool wants_norms() override;
  void stepped(std::span<const optim::StepNorms> norms) override;
  void clipped(double scale) override;
  void ended() override;

  // Measuring.
  void walk_back(const Tensor& of, const BackwardOptions& how);
  void gather();  // what the hooks found, as `last`
  void describe_output(SiteMeasure& row, const Site& site, const nn::Module& module, const Tensor& y) const;
  // g: the cotangent of y, where there is one.
  void measure(SiteMeasure& row, Site& site, int64_t batch_axis, int64_t call, Node& y, Node& x, const Tensor& g);
  void measure_frozen(Node& loss);
  void measure_probe();
  void measure_product(Node& end, const Tensor& g);  // of the sites that lead there; g: the end's cotangent
  double grad_norm() const;

  // Watching.
  void check_replaced() const;
  void check_trace();
  void check_loss();
  void check_sites();
  void check_gradients();
  void check_grad_norm();
  void check_steps();  // at the end, or where somebody looks
  void raise(std::string kind, std::string site, std::string message);
  void stop_if_asked();

  // Writing: a step's lines are made first, and then wait.
  static constexpr double longest_wait = 0.05;     // seconds
  static constexpr size_t most_waiting = 1 << 20;  // bytes
  void write();
  void write_in_time();
  void write_run();
  void write_step();  // that waits, if one does
  void write_clip(double scale);
  void write_layers();
  void write_sharpness(const Sharpness& curvature, double lr);
  void write_lyapunov(const std::string& site, const Lyapunov& spectrum);
  void write_alarm(const Alarm& alarm, const char* action);
  void write_parameters(std::span<const optim::StepNorms> norms);
  void write_end(const RecorderEnd& end);
};

void check_kinds(std::string_view stop_on);  // Throws Error where one is not an alarm's.

}  // namespace fathom::probe
