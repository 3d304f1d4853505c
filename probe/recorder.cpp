#include "fathom/probe/recorder.h"

#include <algorithm>
#include <cmath>
#include <exception>  // uncaught_exceptions

#include "fathom/nn/size.h"
#include "fathom/probe/farthest.h"
#include "fathom/probe/left.h"
#include "fathom/probe/recorder/state.h"
#include "fathom/probe/report.h"
#include "fathom/probe/sites.h"

namespace fathom::probe {

Recorder::State::State(nn::Module& n, RecorderOptions o)
    : options(std::move(o)),
      file(options.out, options.name),
      net(&n),
      batch_axis(n.batch_axis()),
      exceptions(std::uncaught_exceptions()) {
  for (const nn::NamedModule& site : sites_of(n, options.sites)) {
    const auto [at, is_new] = sites.try_emplace(site.module);
    if (!is_new) continue;  // under another name, too
    State::Site& watched = at->second;
    watched.path = site.name;
    watched.weights = site.module->parameters();
    paths.push_back(site.name);
  }
  parameters = n.named_parameters();
  if (options.alarms.nonfinite && options.alarms.trace) trace.emplace(n, TraceOptions{.stop = false});
}

Recorder::Recorder(nn::Module& net, RecorderOptions options) {
  const auto check = [](const char* name, int64_t value, int64_t least) {
    nn::checked_size("Recorder", name, value, least);
  };
  check("every", options.every, 0);
  check("gains_every", options.gains_every, 0);
  check("details_every", options.details_every, 0);
  check("parameters_every", options.parameters_every, 0);
  check("samples", options.samples, 0);
  check("power_steps", options.power_steps, 1);
  check("cold_steps", options.cold_steps, 1);
  check("probes", options.probes, 1);
  check("alarms.window", options.alarms.window, 1);
  for (const auto& [name, threshold] : {std::pair("loss_spike", options.alarms.loss_spike),
                                        {"exploding", options.alarms.exploding},
                                        {"vanishing", options.alarms.vanishing}})
    if (!(threshold >= 0))
      throw Error(std::string("Recorder: alarms.") + name + " must not be negative, got " + short_text(threshold));
  if (options.name.empty()) throw Error("Recorder: the run has no name");
  if (options.probe.defined() && options.probe.numel() == 0)
    throw Error("Recorder: the probe has no samples, its shape is " + to_string(options.probe.shape()));
  check_kinds(options.alarms.stop_on);
  state_ = Ref(new State(net, std::move(options)));
  state_->write_run();
  state_->write();
  add_member<nn::Observer>(nn::observer, *state_);
  add_member<optim::StepObserver>(optim::observer, *state_);
}

Recorder::~Recorder() {
  try {
    if (state_->open && std::uncaught_exceptions() <= state_->exceptions) finish();
    state_->write_step();
    state_->write();
  } catch (const Error&) {  // a destructor cannot tell
  }
  state_->open = false;
  state_->file.release_name();
  state_->calls.clear();  // of a step without backward(): their nodes' hooks own the state
  state_->links.clear();
  remove_member<nn::Observer>(nn::observer, *state_);
  remove_member<optim::StepObserver>(optim::observer, *state_);
}

void Recorder::State::walk_back(const Tensor& of, const BackwardOptions& how) {
  struct Reset {  // also after an error
    State& state;
    ~Reset() {
      state.in_backward = false;
      state.calls.clear();
      state.links.clear();
      state.frozen.clear();
      state.inputs.clear();
      state.shares_input.clear();
      state.inputs_looked_at = 0;
      for (auto& [module, site] : state.sites) site.calls = site.found = 0;
    }
  } reset{*this};
  find_shared_inputs();
  if (Node* const node = node_of(of)) measure_frozen(*node);
  in_backward = true;
  fathom::backward(of, how);
  for (Frozen& each : frozen) {  // from the output on
    const auto at = std::find_if(found.begin(), found.end(), [&](const Found& other) { return other.node < each.y; });
    found.insert(at, {std::move(each.row), each.site, each.y, WayBack::none});
  }
}

namespace {

bool has_jacobians(const std::vector<SiteMeasure>& sites) {
  return std::any_of(sites.begin(), sites.end(), [](const SiteMeasure& m) { return m.has_jacobian; });
}

}  // namespace

void Recorder::State::gather() {
  if (!jacobians_due() && has_jacobians(last)) last.swap(last_jacobians);
  last.clear();
  ways.clear();
  for (auto each = found.rbegin(); each != found.rend(); ++each) {
    SiteMeasure m = *each->row;
    m.site = each->site->path;
    m.call = each->site->found++;
    if (const auto on_probe = probed.find({m.site, m.call}); on_probe != probed.end()) {
      SiteMeasure& row = on_probe->second;
      row.site = m.site, row.call = m.call;
      row.grad_in = m.grad_in, row.grad_out = m.grad_out, row.trained = m.trained;
      row.activation_rms = m.activation_rms, row.weight_norm = m.weight_norm;
      m = std::move(row);
    }
    if (std::isnan(m.gain) && each->way != WayBack::shared) m.gain = m.grad_in / m.grad_out;
    last.push_back(std::move(m));
    ways.push_back(each->way);
  }
  found.clear();
  probed.clear();
}

double log10_gain(const std::vector<SiteMeasure>& sites) {
  for (const SiteMeasure& m : sites) {
    const double before =
        std::isnan(m.grad_in) ? log10_before(std::log10(m.gain), std::log10(m.grad_out)) : std::log10(m.grad_in);
    if (!std::isnan(before)) return log10_left(before, std::log10(sites.back().grad_out));
  }
  return not_known;
}

void Recorder::backward(const Tensor& loss, const BackwardOptions& options) {
  State& s = *state_;
  if (!s.open) return fathom::backward(loss, options);
  s.write_step();
  s.check_replaced();
  s.loss = loss.defined() && loss.numel() == 1 ? std::optional(loss.item()) : std::nullopt;
  s.found.clear();
  s.product.reset();
  if (s.trace) s.trace->attach(loss);
  if (s.options.probe.defined() && s.jacobians_due()) s.measure_probe();
  s.walk_back(loss, options);
  if (s.trace) s.trace->check();

  const Stopwatch watch(s.measuring);
  if (s.due()) {
    s.gather();
    if (!s.last.empty()) s.write_layers();
  }
  s.waiting = {s.steps, s.loss, {}, {}};
  if (s.options.grad_norm) s.waiting->grad_norm = s.grad_norm();
  s.write_in_time();
  struct Next {  // also after an alarm that stops
    int64_t& steps;
    ~Next() { ++steps; }
  } next{s.steps};
  s.check_gradients();
  if (s.due()) s.check_sites();
  s.check_loss();
  s.check_trace();
  s.check_grad_norm();
  s.stop_if_asked();
}

void Recorder::step(double grad_norm) {
  const Stopwatch watch(state_->measuring);
  if (!state_->open) return;
  if (state_->waiting) state_->waiting->grad_norm = grad_norm;
  state_->check_grad_norm();
  state_->stop_if_asked();
  state_->write_step();
  state_->write_in_time();
}

double Recorder::sharpness(const Tensor& loss, double lr) {
  State& s = *state_;
  const Stopwatch watch(s.measuring);
  const Flag busy(s.busy);
  std::vector<Tensor> parameters;
  for (const nn::NamedTensor& each : s.parameters) parameters.push_back(each.tensor);
  Sharpness found = probe::sharpness(loss, parameters, {.start = std::move(s.sharpest)});
  s.sharpest = std::move(found.direction);
  if (!s.open) return found.value;
  s.write_sharpness(found, lr);
  s.write_in_time();
  return found.value;
}

void Recorder::lyapunov(const std::string& site, const Lyapunov& found) {
  const Stopwatch watch(state_->measuring);
  if (!state_->open) return;
  state_->write_lyapunov(site, found);
  state_->write_in_time();
}

void Recorder::finish(RecorderEnd end) {
  State& s = *state_;
  if (!s.open) return;
  s.write_step();
  s.check_steps();
  s.write_end(end);
  s.write();
  s.open = false;
  s.file.release_name();
  s.stop_if_asked();
}

void Recorder::flush() {
  if (state_->options.grad_norm) state_->write_step();
  state_->write();
}

void Recorder::report(const std::string& page_path) {
  state_->write_step();
  state_->check_steps();
  state_->write();
  write_report(path(), page_path);
  state_->stop_if_asked();
}

std::string Recorder::status(size_t layers) const {
  std::vector<const SiteMeasure*> measured;
  std::vector<double> logarithms;
  for (const SiteMeasure& m : has_jacobians(state_->last) ? state_->last : state_->last_jacobians)
    if (m.has_jacobian) measured.push_back(&m), logarithms.push_back(std::log10(m.sigma_max));
  const std::vector<size_t> worst = farthest_from_one(logarithms);
  if (!state_->steps) return "no step yet: recorder.backward(loss) makes one";
  std::string line =
      "step " + std::to_string(state_->steps - 1) + "  loss " + (state_->loss ? short_text(*state_->loss) : "-");
  if (const auto& all = state_->alarms; !all.empty() && all.back().step == state_->steps - 1)
    line += "  " + all.back().kind + (all.back().site.empty() ? "" : " at " + all.back().site);
  for (size_t i = 0; i < std::min(layers, worst.size()); ++i) {
    line += i ? ", " : "  sigma_max ";
    const SiteMeasure& m = *measured[worst[i]];
    line += m.site + " " + short_text(m.sigma_max);
  }
  return line;
}

const std::string& Recorder::path() const { return state_->file.path(); }
const std::vector<SiteMeasure>& Recorder::last() const { return state_->last; }
const std::vector<ParameterMeasure>& Recorder::last_parameters() const { return state_->last_parameters; }
const std::vector<Alarm>& Recorder::alarms() const { return state_->alarms; }
std::vector<std::string> Recorder::sites() const { return state_->paths; }
int64_t Recorder::steps() const { return state_->steps; }
double Recorder::seconds() const { return state_->since_start.seconds(); }
double Recorder::measuring_seconds() const { return state_->measuring; }

}  // namespace fathom::probe
