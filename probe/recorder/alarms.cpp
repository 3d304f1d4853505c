// What a recorder watches for.
#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>  // exchange

#include "fathom/optim/clip.h"
#include "fathom/probe/recorder/state.h"

namespace fathom::probe {

namespace {

constexpr std::string_view kinds[] = {"nonfinite", "loss_spike", "exploding", "vanishing", "no_gradient", "no_steps"};

// Calls f with each part between commas.
template <class F>
void each_part(std::string_view list, F f) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    f(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
}

}  // namespace

void check_kinds(std::string_view stop_on) {
  each_part(stop_on, [](std::string_view each) {
    if (each == "*" || std::count(std::begin(kinds), std::end(kinds), each)) return;
    std::string known = "*";
    for (const std::string_view kind : kinds) known += ", " + std::string(kind);
    throw Error("Recorder: alarms.stop_on has \"" + std::string(each) + "\", not one of " + known);
  });
}

void Recorder::State::raise(std::string kind, std::string site, std::string message) {
  alarms.push_back({waiting ? waiting->step : steps, std::move(kind), std::move(site), std::move(message)});
  const Alarm alarm = alarms.back();
  bool stops = false;
  each_part(options.alarms.stop_on, [&](std::string_view each) { stops |= each == "*" || each == alarm.kind; });
  write_alarm(alarm, stops ? "stop" : options.alarms.call ? "call" : "warn");
  write();
  if (options.alarms.call) options.alarms.call(alarm);
  if (stops && stop.empty())
    stop = "Recorder: step " + std::to_string(alarm.step) + ": " + alarm.kind +
           (alarm.site.empty() ? "" : " at " + alarm.site) + ": " + alarm.message;
}

void Recorder::State::stop_if_asked() {
  if (stop.empty()) return;
  write_step();  // no optimiser's step will come
  write();
  throw Error(std::exchange(stop, {}));
}

void Recorder::State::check_trace() {
  if (!trace) return;
  const std::optional<NonFinite> both[] = {trace->forward(), trace->backward()};
  if (both[0] || both[1]) trace.reset();
  for (const std::optional<NonFinite>& one : both)
    if (one) raise("nonfinite", one->at.module, one->text());
}

void Recorder::State::check_replaced() const {
  const size_t count = due() ? parameters.size() : std::min<size_t>(parameters.size(), 1);
  for (const nn::NamedTensor& each : std::span(parameters).first(count))
    if (const Node* node = node_of(each.tensor); node && node->is_leaf() && static_cast<const Leaf*>(node)->replaced)
      throw Error("Recorder: " + each.name + " was replaced by Module::to; make the recorder after it");
}

void Recorder::State::check_loss() {
  if (!loss) return;
  const double value = *loss;
  const Alarms& watch = options.alarms;
  if (watch.nonfinite && !trace && !std::isfinite(value)) raise("nonfinite", "", "the loss is " + short_text(value));
  if (watch.loss_spike > 0 && !losses.empty()) {
    std::vector<double> sorted(losses.begin(), losses.end());
    std::nth_element(sorted.begin(), sorted.begin() + std::ptrdiff_t(sorted.size() / 2), sorted.end());
    const double usual = sorted[sorted.size() / 2];
    if (usual > 0 && value > watch.loss_spike * usual)
      raise("loss_spike", "",
            "the loss " + short_text(value) + " is " + short_text(value / usual) + " times the median of the last " +
                std::to_string(losses.size()) + " steps");
  }
  if (std::isfinite(value)) losses.push_back(value);
  while (int64_t(losses.size()) > watch.window) losses.pop_front();
}

// The first site, from the input on, whose output is not finite; then the last whose gradient is not: where it began.
void Recorder::State::check_sites() {
  const Alarms& watch = options.alarms;
  const auto named = [](const SiteMeasure& m) { return m.site + (m.call ? " #" + std::to_string(m.call) : ""); };
  if (watch.nonfinite && !trace) {
    for (const SiteMeasure& m : last)
      if (!std::isfinite(m.activation_rms)) return raise("nonfinite", named(m), "its output is not finite");
    for (auto m = last.rbegin(); m != last.rend(); ++m)
      if (m->trained && !std::isfinite(m->grad_out))
        return raise("nonfinite", named(*m), "the gradient of its output is not finite");
  }
  const double gain = log10_gain(last);
  const auto tell = [&](const char* kind, double threshold) {
    raise(kind, last.front().site,
          "through " + std::to_string(last.size()) + " layers the gradient changes by 10^" + short_text(gain) +
              ", the threshold is 10^" + short_text(std::log10(threshold)));
  };
  if (watch.exploding > 0 && gain > std::log10(watch.exploding)) tell("exploding", watch.exploding);
  if (watch.vanishing > 0 && gain < std::log10(watch.vanishing)) tell("vanishing", watch.vanishing);
}

void Recorder::State::check_steps() {
  if (steps > 0 || !std::exchange(passed, false)) return;
  raise("no_steps", "",
        "loss.backward() went through the network, recorder.backward(loss) did not: it makes the steps");
}

void Recorder::State::check_grad_norm() {
  if (!options.alarms.nonfinite || trace || !waiting || std::isfinite(waiting->grad_norm.value_or(0))) return;
  for (auto each = alarms.rbegin(); each != alarms.rend() && each->step == waiting->step; ++each)
    if (each->kind == "nonfinite") return;  // that is where it comes from
  for (const nn::NamedTensor& each : parameters)
    if (const double norm = optim::grad_norm_of(each.tensor, optim::squared_grad_norm(each.tensor));
        !std::isfinite(norm))
      return raise("nonfinite", each.name, "the norm of its gradient is " + short_text(norm));
  raise("nonfinite", "", "the norm of all gradients is " + short_text(*waiting->grad_norm));
}

void Recorder::State::check_gradients() {
  if (!options.alarms.no_gradient || (steps > 0 && !due())) return;
  for (const nn::NamedTensor& each : parameters) {
    const Node* const node = node_of(each.tensor);
    if (!node || !node->trained || !node->is_leaf() || static_cast<const Leaf*>(node)->has_grad()) continue;
    if (without_gradient.insert(each.name).second)
      raise("no_gradient", each.name,
            "the parameter of shape " + to_string(each.tensor.shape()) + " received no gradient");
  }
}

}  // namespace fathom::probe
