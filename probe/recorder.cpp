#include "fathom/probe/recorder.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>  // uncaught_exceptions
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "fathom/autograd/hooks.h"
#include "fathom/autograd/recording.h"
#include "fathom/probe/jacobian.h"
#include "fathom/probe/record_file.h"
#include "fathom/probe/report.h"
#include "fathom/probe/samples.h"
#include "fathom/probe/sites.h"

namespace fathom::probe {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// JSON's numbers know no infinity and no NaN.
json number(double x) {
  if (std::isfinite(x)) return x;
  return std::isnan(x) ? "NaN" : x > 0 ? "Infinity" : "-Infinity";
}

json whole_number(const std::string& text) {
  char* end = nullptr;
  const long long n = std::strtoll(text.c_str(), &end, 10);
  return !text.empty() && !*end ? json(n) : json(text);
}

// Adds the time of a scope; the innermost one only counts once.
class Stopwatch {
 public:
  explicit Stopwatch(double& total) : total_(total), before_(total) {}
  ~Stopwatch() { total_ = before_ + seconds_since(start_); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double &total_, before_;
  Clock::time_point start_ = Clock::now();
};

class Scope {
 public:
  explicit Scope(bool& flag) : flag_(flag), before_(std::exchange(flag, true)) {}
  ~Scope() { flag_ = before_; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  bool &flag_, before_;
};

}  // namespace

struct Recorder::State : std::enable_shared_from_this<State> {
  struct Site {
    std::string path;
    int64_t calls = 0;               // in this step, recorded ones
    std::optional<bool> coupled[2];  // found out once, in evaluation and in training
    std::vector<Tensor> directions;  // of each call: where its power iteration ended
  };
  struct Call {
    const nn::Module* module;
    Ref<Node> input;
  };

  RecorderOptions options;
  RecordFile file;
  std::unordered_map<const nn::Module*, Site> sites;
  std::vector<std::string> paths;
  std::vector<Tensor> parameters;
  std::vector<Call> calls;  // begun and not ended
  struct Found {
    std::shared_ptr<SiteMeasure> row;
    uint64_t node;
  };
  std::vector<Found> found;  // in this step, from the output on
  std::vector<SiteMeasure> last;
  std::optional<json> waiting;  // a step's line without its norm
  Clock::time_point start = Clock::now();
  double measuring = 0, loss = NAN;
  int64_t steps = 0;
  bool open = true, in_backward = false, busy = false;
  int exceptions = std::uncaught_exceptions();
  State* next = nullptr;  // the recorders of this thread

  State(nn::Module& net, RecorderOptions o) : options(std::move(o)), file(options.out) {
    for (const nn::NamedModule& site : sites_of(net, options.sites)) {
      sites[site.module].path = site.name;
      paths.push_back(site.name);
    }
    parameters = net.parameters();
  }

  bool due() const { return options.every > 0 && steps % options.every == 0; }
  bool watches() const { return open && !busy && recording() && due(); }

  void write(const json& line) { file.append(line.dump(-1, ' ', false, json::error_handler_t::replace)); }
  void write_run();
  void write_step(std::optional<double> grad_norm);
  void write_layers();
  double grad_norm() const;

  Tensor before(nn::Module& module, Tensor x);
  void after(nn::Module& module, const Tensor& y);
  void measure(SiteMeasure& row, Site& site, bool training, int64_t call, Node& y, Node& x, const Tensor& g);
};

// What nn tells, to each recorder of this thread.
struct Recorder::Observing final : nn::Observer {
  Tensor before(nn::Module& module, Tensor x) override {
    for (State* state = first; state; state = state->next) x = state->before(module, std::move(x));
    return other ? other->before(module, std::move(x)) : x;
  }
  void after(nn::Module& module, const Tensor& x, const Tensor& y) override;

  // Requires: no observer of another kind comes or goes between.
  static void add(State& state) {
    if (!first) other = std::exchange(nn::observer, &one);
    state.next = std::exchange(first, &state);
  }
  static void remove(State& state) {
    State** at = &first;
    while (*at && *at != &state) at = &(*at)->next;
    if (*at) *at = state.next;
    if (!first && nn::observer == &one) nn::observer = other;
  }

  static constinit thread_local Observing one;
  static constinit thread_local State* first;
  static constinit thread_local nn::Observer* other;
};
constinit thread_local Recorder::Observing Recorder::Observing::one;
constinit thread_local Recorder::State* Recorder::Observing::first = nullptr;
constinit thread_local nn::Observer* Recorder::Observing::other = nullptr;

// On a site's output: measures the site, with the cotangent that backward() brings.
struct Recorder::SiteHook final : Hook {
  std::shared_ptr<State> state;
  std::shared_ptr<SiteMeasure> row;
  State::Site* site;
  int64_t call;
  bool training;
  Node* y;            // it owns this hook
  Ref<Node> x;        // null: not on the tape
  bool same = false;  // the module gives back its input

  Tensor operator()(const Tensor& g) override {
    if (!state->open || !state->in_backward || state->busy || !state->due()) return {};
    const Stopwatch watch(state->measuring);
    const Scope busy(state->busy);
    row->grad_out = norm_of(g);
    if (same) row->grad_in = row->grad_out;
    if (same || x) state->measure(*row, *site, training, call, *y, same ? *y : *x, g);
    // Of sites with one and the same output, the hook of the first is called first.
    auto at = state->found.end();
    while (at != state->found.begin() && (at - 1)->node == y->number) --at;
    state->found.insert(at, {row, y->number});
    return {};
  }
};

// On a site's input: the norm of the cotangent there.
struct Recorder::InputHook final : Hook {
  std::shared_ptr<State> state;
  std::shared_ptr<SiteMeasure> row;

  Tensor operator()(const Tensor& g) override {
    if (!state->open || !state->in_backward || state->busy) return {};
    const Stopwatch watch(state->measuring);
    row->grad_in = norm_of(g);
    return {};
  }
};

namespace {

void hang(Node& node, std::unique_ptr<Hook> hook) {
  if (!node.watch) node.watch = std::make_unique<Watch>();
  auto* at = &node.watch->hooks;
  while (*at) at = &(*at)->next;
  *at = std::move(hook);
}

// Whether backward() passes this node with a cotangent, and a hook on it changes nothing.
bool is_passed(const Node& node) { return node.trained && !node.is_leaf(); }

}  // namespace

Tensor Recorder::State::before(nn::Module& module, Tensor x) {
  if (!watches() || !sites.count(&module)) return x;
  const Stopwatch watch(measuring);
  if (x.defined() && !x.history() && is_floating(x.dtype())) {  // an anchor
    x = x.alias();
    x.set_history(new Leaf(x, false));
  }
  calls.push_back({&module, share(x.defined() ? node_of(x) : nullptr)});
  return x;
}

void Recorder::State::after(nn::Module& module, const Tensor& y) {
  if (calls.empty() || !watches()) return;
  const auto site = sites.find(&module);
  if (site == sites.end()) return;
  const Stopwatch watch(measuring);
  Ref<Node> x;
  bool begun = false;
  while (!calls.empty() && !begun) {  // calls that an exception ended have no end
    begun = calls.back().module == &module;
    if (begun) x = std::move(calls.back().input);
    calls.pop_back();
  }
  Node* node = y.defined() ? node_of(y) : nullptr;
  if (!begun || !node || !is_floating(y.dtype()) || !is_passed(*node)) return;

  auto row = std::make_shared<SiteMeasure>();
  row->site = site->second.path;
  row->activation_rms = y.numel() ? norm_of(y) / std::sqrt(double(y.numel())) : 0;
  for (const Tensor& w : module.parameters()) row->weight_norm = std::hypot(row->weight_norm, norm_of(w));
  if (x && is_passed(*x) && x.get() != node) {
    auto hook = std::make_unique<InputHook>();
    hook->state = shared_from_this();
    hook->row = row;
    hang(*x, std::move(hook));
  }
  auto hook = std::make_unique<SiteHook>();
  hook->state = shared_from_this();
  hook->row = std::move(row);
  hook->site = &site->second;
  hook->call = site->second.calls++;
  hook->training = module.training;
  hook->y = node;
  hook->same = x.get() == node;
  if (!hook->same) hook->x = std::move(x);  // a node does not own itself
  hang(*node, std::move(hook));
}

void Recorder::State::measure(SiteMeasure& row, Site& site, bool training, int64_t call, Node& y, Node& x,
                              const Tensor& g) {
  std::optional<bool>& coupled = site.coupled[training];
  JacobianOptions how{.seed = uint64_t(steps) << 24 ^ uint64_t(found.size())};
  if (coupled) how.samples = *coupled ? Samples::coupled : Samples::independent;
  Node* const from = &x;
  Slice slice(&y, std::span<Node* const>(&from, 1));
  if (!slice.reaches(0)) return;
  const Jacobian jacobian(std::move(slice), how);
  if (!coupled) coupled = jacobian.coupled();
  row.has_jacobian = true;
  row.coupled = jacobian.coupled();

  if (site.directions.size() <= size_t(call)) site.directions.resize(size_t(call) + 1);
  Tensor& direction = site.directions[size_t(call)];
  const bool warm = direction.defined() && direction.shape() == x.shape && direction.dtype() == x.dtype;
  Sigma sigmas = jacobian.sigma_max({.iterations = warm ? options.power_steps : options.cold_steps,
                                     .tolerance = 1e-3,
                                     .start = warm ? std::move(direction) : Tensor(),
                                     .upper = false,
                                     .noise = 0});
  direction = std::move(sigmas.direction);
  std::vector<double> sigma = sigmas.sigma.to_vector(), residual = sigmas.residual.to_vector();
  std::vector<double> squares =
      jacobian.frobenius({.exact_below = options.probes, .probes = options.probes}).value.to_vector();
  const size_t count = options.samples ? std::min(sigma.size(), size_t(options.samples)) : sigma.size();
  sigma.resize(count), residual.resize(count), squares.resize(count);
  const auto is_nan = [](double value) { return std::isnan(value); };
  if (count == 0 || std::any_of(sigma.begin(), sigma.end(), is_nan)) {
    row.sigma_max = row.sigma_median = row.sigma_min = row.residual = NAN;
  } else {
    std::sort(sigma.begin(), sigma.end());
    row.sigma_min = sigma.front();
    row.sigma_median = (sigma[(count - 1) / 2] + sigma[count / 2]) / 2;
    row.sigma_max = sigma.back();
    row.residual = *std::max_element(residual.begin(), residual.end());
  }
  row.frobenius =
      scaled_norm(squares.data(), [&](auto f) { f(int64_t{0}, int64_t(count)); }) / std::sqrt(double(count));
  if (!is_passed(x)) row.grad_in = norm_of(jacobian.apply_transposed(g));  // backward() brings nothing there
}

void Recorder::Observing::after(nn::Module& module, const Tensor& x, const Tensor& y) {
  if (other) other->after(module, x, y);
  for (State* state = first; state; state = state->next) state->after(module, y);
}

double Recorder::State::grad_norm() const {
  double norm = 0;
  for (const Tensor& w : parameters)
    if (const Tensor g = w.grad(); g.defined()) norm = std::hypot(norm, norm_of(g));
  return norm;
}

void Recorder::State::write_run() {
  json line = {{"type", "run"}, {"run", options.name}, {"schema", 1}};
  json rest = json::object();
  for (const auto& [key, value] : options.info) {
    if (key == "net") line[key] = value;
    else if (key == "depth" || key == "seed") line[key] = whole_number(value);
    else rest[key] = value;
  }
  if (!parameters.empty()) line["dtype"] = to_string(parameters[0].dtype());
  line["every"] = options.every;
  line["sites"] = paths;
  line["options"] = std::move(rest);
  write(line);
}

void Recorder::State::write_step(std::optional<double> norm) {
  if (!waiting) return;
  json line = std::move(*waiting);
  waiting.reset();
  if (norm) line["grad_norm"] = number(*norm);
  write(line);
}

void Recorder::State::write_layers() {
  json rows = json::array();
  for (const SiteMeasure& m : last) {
    json row = {{"site", m.site}, {"call", m.call}};
    if (m.has_jacobian) {
      row["sigma_max"] = number(m.sigma_max);
      row["log10_sigma_max"] = number(std::log10(m.sigma_max));
      row["sigma_median"] = number(m.sigma_median);
      row["sigma_min"] = number(m.sigma_min);
      row["residual"] = number(m.residual);
      row["frobenius"] = number(m.frobenius);
      row["grad_in"] = number(m.grad_in);
      row["gain"] = number(m.gain);
      row["log10_gain"] = number(std::log10(m.gain));
      if (m.coupled) row["coupled"] = true;
    }
    row["grad_out"] = number(m.grad_out);
    row["weight_norm"] = number(m.weight_norm);
    row["activation_rms"] = number(m.activation_rms);
    rows.push_back(std::move(row));
  }
  write({{"type", "layers"}, {"run", options.name}, {"step", steps}, {"sites", std::move(rows)}});
}

Recorder::Recorder(nn::Module& net, RecorderOptions options) {
  for (const auto& [name, value] : {std::pair("every", options.every), std::pair("samples", options.samples)})
    if (value < 0)
      throw Error(std::string("Recorder: ") + name + " is " + std::to_string(value) + ", at least 0 is needed");
  for (const auto& [name, value] : {std::pair("power_steps", options.power_steps),
                                    std::pair("cold_steps", options.cold_steps), std::pair("probes", options.probes)})
    if (value < 1)
      throw Error(std::string("Recorder: ") + name + " is " + std::to_string(value) + ", at least 1 is needed");
  if (options.name.empty()) throw Error("Recorder: the run has no name");
  state_ = std::make_shared<State>(net, std::move(options));
  state_->write_run();
  Observing::add(*state_);
}

Recorder::~Recorder() {
  if (state_->open && std::uncaught_exceptions() <= state_->exceptions) {
    try {
      finish();
    } catch (const Error&) {  // a destructor cannot tell
    }
  }
  state_->open = false;
  Observing::remove(*state_);
}

void Recorder::backward(const Tensor& loss, const BackwardOptions& options) {
  State& s = *state_;
  if (!s.open) return fathom::backward(loss, options);
  s.write_step({});
  s.loss = loss.defined() && loss.numel() == 1 ? loss.item() : NAN;
  s.found.clear();
  {
    struct Reset {
      State& state;
      ~Reset() {
        state.in_backward = false;
        state.calls.clear();
        for (auto& [module, site] : state.sites) site.calls = 0;
      }
    } reset{s};
    s.in_backward = true;
    fathom::backward(loss, options);
  }
  const Stopwatch watch(s.measuring);
  if (s.due()) {
    std::map<std::string, int64_t> calls;
    s.last.clear();
    for (auto row = s.found.rbegin(); row != s.found.rend(); ++row) {
      SiteMeasure& m = *row->row;
      m.call = calls[m.site]++;
      m.gain = m.grad_in / m.grad_out;
      s.last.push_back(m);
    }
    s.found.clear();
    if (!s.last.empty()) s.write_layers();
  }
  s.waiting = json{{"type", "step"}, {"run", s.options.name}, {"step", s.steps}, {"loss", number(s.loss)}};
  if (s.options.grad_norm) s.write_step(s.grad_norm());
  ++s.steps;
}

void Recorder::step(double grad_norm) {
  const Stopwatch watch(state_->measuring);
  if (state_->open) state_->write_step(grad_norm);
}

void Recorder::finish(RecorderEnd end) {
  State& s = *state_;
  if (!s.open) return;
  s.write_step({});
  json line = {{"type", "end"},
               {"run", s.options.name},
               {"steps", s.steps},
               {"seconds", number(seconds())},
               {"measuring_seconds", number(s.measuring)},
               {"loss", number(s.loss)}};
  if (!std::isnan(end.accuracy)) line["accuracy"] = number(end.accuracy);
  s.write(line);
  s.open = false;
}

void Recorder::report(const std::string& page_path) {
  state_->write_step({});
  write_report(path(), page_path);
}

const std::string& Recorder::path() const { return state_->file.path(); }
const std::vector<SiteMeasure>& Recorder::last() const { return state_->last; }
std::vector<std::string> Recorder::sites() const { return state_->paths; }
int64_t Recorder::steps() const { return state_->steps; }
double Recorder::seconds() const { return seconds_since(state_->start); }
double Recorder::measuring_seconds() const { return state_->measuring; }

}  // namespace fathom::probe
