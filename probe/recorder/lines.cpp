// The lines of a record, by their type:
//   run: a run begins. schema, version, time (UTC), dtype, plan, sites, parameters, machine, the user's own facts.
//   step: of each step. loss, log10_grad_norm, and clip, the part of the gradients' norm that was left where the
//     optimiser or one of the functions clip_grad_... clipped them.
//   clip: a second optimiser clipped at that step.
//   layers: of a step that was due. "sites", from the input on, and "product" over them. Of a site, "log10" has its
//     norms and singular values; sigma_max lies below `upper` with probability `confidence`; "seconds" is what each
//     measurement took. A site with attention in it has a list "attention": of each head the numbers of
//     AttentionStatistics.
//   parameters: of a step. "rows", with the norms of weight, gradient and update in "log10".
//   sharpness: the curvature of the loss beside `edge`, 2 / rate.
//   lyapunov: of a site. exponents, their standard errors, sum, log_det and dimension; "convergence", the exponents up
//   to
//     each of these steps of the sequence.
//   alarm: kind, site, message, action.
//   end: steps, seconds, costs.
// Norms are kept as log10, so that none leaves the number range. What is measured of layers and parameters has the
// digits of a float. Numbers that JSON has not are "NaN", "Infinity" and "-Infinity". What was not measured is left
// out.
#include <cblas.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <fstream>
#include <numeric>  // accumulate

#include "fathom/probe/lyapunov.h"
#include "fathom/probe/recorder/json_line.h"
#include "fathom/probe/recorder/state.h"
#include "fathom/tensor/random.h"

namespace fathom::probe {
namespace {

std::string time_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      if (const size_t at = line.find(": "); at != std::string::npos) return line.substr(at + 2);
  return {};
}

void add_text_or_number(JsonLine& line, const std::string& name, const std::string& text) {
  int64_t n = 0;
  uint64_t large = 0;
  const char *const begin = text.data(), *const end = begin + text.size();
  const auto is_number = [&](auto& x) {
    const auto [at, error] = std::from_chars(begin, end, x);
    return error == std::errc() && at == end;
  };
  if (is_number(n)) line.add(name, n);
  else if (is_number(large)) line.add(name, large);
  else line.add(name, text);
}

std::string plan_of(const RecorderOptions& o) {
  std::string plan = "layers every " + std::to_string(o.every);
  const auto add = [&](const char* what, int64_t every) {
    if (every > 0) plan += std::string(", ") + what + " every " + std::to_string(every);
  };
  add("gains", o.gains_every);
  add("details", o.details_every);
  add("parameters", o.parameters_every);
  if (o.probe.defined()) plan += ", on a probe of " + to_string(o.probe.shape());
  if (o.samples > 0) plan += ", " + std::to_string(o.samples) + " samples";
  return plan;
}

}  // namespace

void Recorder::State::write_in_time() {
  if (waited.seconds() >= longest_wait || lines.size() >= most_waiting) write();
}

void Recorder::State::write() {
  waited = {};
  if (lines.empty()) return;
  const Stopwatch watch(writing);
  struct Clear {  // also when it fails
    std::string& text;
    ~Clear() { text.clear(); }
  } clear{lines};
  file.append(lines);
}

void Recorder::State::write_run() {
  JsonLine line(lines, "run");
  line.add("run", options.name);
  line.add("schema", int64_t{4});
  line.add("fathom", FATHOM_VERSION);
  line.add("time", time_now());
  const auto has_place = [](const Fact& fact) {
    return fact.name == "net" || fact.name == "depth" || fact.name == "seed";
  };
  for (const Fact& fact : options.info)
    if (has_place(fact)) add_text_or_number(line, fact.name, fact.value);
  const auto is_seed = [](const Fact& fact) { return fact.name == "seed"; };
  if (std::none_of(options.info.begin(), options.info.end(), is_seed)) line.add("seed", default_rng().seed);
  if (!parameters.empty()) line.add("dtype", to_string(parameters[0].tensor.dtype()));
  line.add("every", options.every);
  line.add("plan", plan_of(options));
  line.add("sites", paths);
  std::vector<std::string> names;
  for (const nn::NamedTensor& each : parameters) names.push_back(each.name);
  line.add("parameters", names);
  line.add("processor", processor());
  line.add("blas", std::string(openblas_get_config()));
#ifdef NDEBUG
  line.add("build", "release");
#else
  line.add("build", "debug");
#endif
  line.object("options", [&] {
    for (const Fact& fact : options.info)
      if (!has_place(fact)) line.add_text(fact.name, fact.value);
  });
}

void Recorder::State::write_step() {
  if (!waiting) return;
  JsonLine line(lines, "step");
  line.add("run", options.name);
  line.add("step", waiting->step);
  if (waiting->loss) line.add("loss", *waiting->loss);
  if (waiting->grad_norm) line.add("log10_grad_norm", std::log10(*waiting->grad_norm));
  if (waiting->clip) line.measure("clip", *waiting->clip);
  waiting.reset();
}

void Recorder::State::write_clip(double scale) {
  JsonLine line(lines, "clip");
  line.add("run", options.name);
  line.add("step", steps - 1);
  line.measure("clip", scale);
}

void Recorder::State::write_layers() {
  JsonLine line(lines, "layers");
  line.add("run", options.name);
  line.add("step", steps);
  auto of_site = ways.begin();
  line.objects("sites", last, [&](const SiteMeasure& m) {
    const WayBack way = *of_site++;
    // A NaN may be a gradient, or one that is not known.
    const bool has_gradient = (way != WayBack::none || !std::isfinite(m.grad_out)) && m.has_jacobian && m.trained;
    line.add("site", m.site);
    line.add("call", m.call);
    if (m.coupled) line.add("coupled", true);
    const bool bounded = m.has_jacobian && (options.frobenius || m.has_details);
    line.object("log10", [&] {
      if (m.has_jacobian) {
        line.add_log10("sigma_max", m.sigma_max);
        line.add_log10("sigma_median", m.sigma_median);
        line.add_log10("sigma_least", m.sigma_least);
        line.add_log10("residual", m.residual);
        if (bounded) line.add_log10("upper", m.upper);
        if (options.frobenius) line.add_log10("frobenius", m.frobenius);
        if (m.frobenius_lower < m.frobenius_upper) {
          line.add_log10("frobenius_lower", m.frobenius_lower);
          line.add_log10("frobenius_upper", m.frobenius_upper);
        }
      }
      if (m.has_details) {
        if (m.complete) {
          line.add_log10("condition", m.condition);
          line.add_log10("sigma_min_active", m.sigma_min_active);
          line.add_log10("effective_rank", m.effective_rank);
        }
        line.add_log10("stable_rank", m.stable_rank);
        line.add_log10("spectrum", m.spectrum);
        if (!m.complete) line.add_log10("spectrum_upper", m.spectrum_upper);
      }
      if (has_gradient || !std::isnan(m.grad_in)) line.add_log10("grad_in", m.grad_in);
      if (m.grad_in == 0 && m.grad_out == 0) {  // of nothing there is no gain
      } else if (has_gradient && way != WayBack::shared) line.add_log10_ratio("gain", m.grad_in, m.grad_out);
      else if (!std::isnan(m.gain)) line.add_log10("gain", m.gain);
      if (m.trained) line.add_log10("grad_out", m.grad_out);
      if (!std::isnan(m.weight_norm)) line.add_log10("weight_norm", m.weight_norm);
      line.add_log10("activation_rms", m.activation_rms);
    });
    if (bounded) line.add("confidence", m.confidence);
    if (m.has_jacobian)
      line.object("seconds", [&] {
        line.measure("sigma_max", m.sigma_seconds);
        if (options.frobenius) line.measure("frobenius", m.frobenius_seconds);
        if (m.has_details) line.measure("details", m.details_seconds);
      });
    if (m.has_details) {
      line.measure("kurtosis", m.kurtosis);
      line.measure("dead", m.dead);
      line.measure("saturated", m.saturated);
      if (!m.attention.empty())
        line.objects("attention", m.attention, [&](const AttentionStatistics& head) {
          line.measure("entropy", head.entropy);
          line.measure("uniform", head.uniform);
          line.measure("logit_variance", head.logit_variance);
          line.measure("largest_logit", head.largest_logit);
        });
    }
  });
  if (product && product->why_none.empty() && product->norm.size() != last.size())
    product->why_none = "of the " + std::to_string(last.size()) + " sites only " +
                        std::to_string(product->norm.size()) + " lie on the way to the last one";
  if (product)
    line.object("product", [&] {
      line.add("chain", product->why_none.empty());
      if (!product->why_none.empty()) return line.add("why", product->why_none);
      line.add("log10_norm", product->norm);
      line.add("log10_upper", product->upper);
      line.add("confidence", product->confidence);
      line.add("log10_bound", product->bound);
      if (!product->gain.empty()) line.add("log10_gain", product->gain);
      line.measure("seconds", product->seconds);
    });
}

void Recorder::State::write_parameters(std::span<const optim::StepNorms> norms) {
  std::vector<ParameterMeasure> rows;
  for (const optim::StepNorms& each : norms)
    for (const nn::NamedTensor& named : parameters)
      if (named.tensor.is_same(each.w)) rows.push_back({named.name, each.weight, each.gradient, each.update});
  if (rows.empty()) return;
  if (std::exchange(parameters_of, steps - 1) != steps - 1) last_parameters.clear();  // else of another optimiser
  last_parameters.insert(last_parameters.end(), rows.begin(), rows.end());
  JsonLine line(lines, "parameters");
  line.add("run", options.name);
  line.add("step", steps - 1);
  line.objects("rows", rows, [&](const ParameterMeasure& m) {
    line.add("name", m.name);
    line.object("log10", [&] {
      line.add_log10("weight_norm", m.weight_norm);
      line.add_log10("grad_norm", m.grad_norm);
      line.add_log10("update_norm", m.update_norm);
    });
  });
}

void Recorder::State::write_sharpness(const Sharpness& curvature, double lr) {
  JsonLine line(lines, "sharpness");
  line.add("run", options.name);
  line.add("step", steps);
  line.add("sharpness", curvature.value);
  line.add("residual", curvature.residual);
  line.measure("seconds", curvature.seconds);
  line.add("edge", 2 / lr);
}

void Recorder::State::write_lyapunov(const std::string& site, const Lyapunov& spectrum) {
  std::vector<double> times;
  std::vector<std::vector<double>> exponents;
  for (const Lyapunov::Point& point : spectrum.curve) times.push_back(point.time), exponents.push_back(point.exponents);
  JsonLine line(lines, "lyapunov");
  line.add("run", options.name);
  line.add("step", steps);
  line.add("site", site);
  line.add("exponents", spectrum.exponents);
  line.add("standard_errors", spectrum.standard_errors);
  line.measure("seconds", spectrum.seconds);
  if (spectrum.complete) {
    line.add("sum", std::accumulate(spectrum.exponents.begin(), spectrum.exponents.end(), 0.0));
    line.add("log_det", spectrum.log_det);
  }
  if (!std::isnan(spectrum.dimension)) line.add("kaplan_yorke", spectrum.dimension);
  line.object("convergence", [&] {
    line.add("steps", times);
    line.add("exponents", exponents);
  });
}

void Recorder::State::write_alarm(const Alarm& alarm, const char* action) {
  JsonLine line(lines, "alarm");
  line.add("run", options.name);
  line.add("step", alarm.step);
  line.add("kind", alarm.kind);
  line.add("site", alarm.site);
  line.add("message", alarm.message);
  line.add("action", action);
}

void Recorder::State::write_end(const RecorderEnd& end) {
  JsonLine line(lines, "end");
  line.add("run", options.name);
  line.add("steps", steps);
  line.add("seconds", since_start.seconds());
  line.add("measuring_seconds", measuring);
  if (loss || !std::isnan(end.loss)) line.add("loss", std::isnan(end.loss) ? *loss : end.loss);
  if (!std::isnan(end.accuracy)) line.add("accuracy", end.accuracy);
  line.object("costs", [&] {
    line.add("Jacobians", jacobians - details);
    line.add("details", details);
    line.add("writing", writing);
    line.add("norms and rest", std::max(0.0, measuring - jacobians - writing));
  });
}

}  // namespace fathom::probe
