// What a record holds, on the terminal: each run's summary, its worst layers, its alarms; two records beside each
// other; its export to CSV, npy and event files.
#include <fathom/fathom.h>
#include <fathom/probe/farthest.h>
#include <fathom/probe/record.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "arguments.h"

using namespace fathom;
using namespace fathom::probe::record;

namespace {

struct Options {
  std::string record, other, csv, npy, events;
  size_t worst = 3;
};

struct Summary {
  int64_t steps = 0;
  std::optional<double> loss, accuracy, ms, measuring;
  std::optional<double> log10_gain, sigma;  // at the last measurement: from end to end, the layers' geometric mean
};

// The last frame with the Jacobians of layers in it; null: none.
const Frame* last_measurement(const Run& run) {
  const std::vector<Frame>& frames = run.layers.frames;
  const auto has_jacobians = [](const Frame& frame) {
    return std::any_of(frame.rows.begin(), frame.rows.end(),
                       [](const auto& row) { return row.second[Quantity::sigma_max] != missing; });
  };
  const auto found = std::find_if(frames.rbegin(), frames.rend(), has_jacobians);
  return found == frames.rend() ? nullptr : &*found;
}

Summary summary_of(const Run& run) {
  Summary s;
  for (const Point& point : run.points) {
    s.steps = point.step + 1;
    if (point.loss) s.loss = point.loss;
  }
  if (run.ending) {
    const Ending& end = *run.ending;
    s.steps = end.steps;
    if (end.loss) s.loss = end.loss;
    s.accuracy = end.accuracy;
    if (end.steps > 0 && end.seconds) s.ms = *end.seconds * 1e3 / double(end.steps);
    if (end.measuring_seconds && end.seconds) s.measuring = *end.measuring_seconds / *end.seconds;
  }
  const Frame* frame = last_measurement(run);
  if (!frame) return s;
  double sigma = 0, layers = 0;
  for (auto row = frame->rows.rbegin(); row != frame->rows.rend(); ++row) {
    const Values& values = row->second;
    if (values[Quantity::gradient_left] != missing) s.log10_gain = values[Quantity::gradient_left];
    if (values[Quantity::sigma_max] == missing) continue;
    sigma += values[Quantity::sigma_max];
    ++layers;
  }
  s.sigma = std::pow(10, sigma / layers);
  return s;
}

// "-": not measured.
std::string number(std::optional<double> x, const char* format = "%.4g", double unit = 1) {
  if (!x) return "-";
  if (std::isnan(*x)) return "NaN";
  char text[40];
  std::snprintf(text, sizeof text, format, *x / unit);
  return text;
}

// The layers whose sigma_max is farthest from 1 at the last measurement.
void print_worst(const Run& run, size_t most) {
  const Frame* frame = last_measurement(run);
  if (!frame || !most) return;
  std::vector<size_t> rows;
  std::vector<double> logarithms;
  for (size_t i = 0; i < frame->rows.size(); ++i)
    if (const double log = frame->rows[i].second[Quantity::sigma_max]; log != missing)
      rows.push_back(i), logarithms.push_back(log);
  std::printf("  worst layers at step %lld:\n", static_cast<long long>(frame->step));
  for (const size_t i : probe::farthest_from_one(logarithms)) {
    if (!most--) break;
    const auto& [row, values] = frame->rows[rows[i]];
    const auto value = [&logs = values](Quantity q) {
      return number(logs[q] == missing ? std::nullopt : std::optional(std::pow(10, logs[q])));
    };
    std::printf("    %-28s sigma_max %-10s gain %-10s activation rms %s\n", run.layers.label(row).c_str(),
                value(Quantity::sigma_max).c_str(), value(Quantity::gain).c_str(),
                value(Quantity::activation_rms).c_str());
  }
}

void print_alarms(const Run& run, size_t most) {
  for (size_t i = 0; i < std::min(most, run.alarms.size()); ++i) {
    const Alarm& alarm = run.alarms[i];
    const std::string site = alarm.site.empty() ? "" : " " + alarm.site;
    std::printf("  alarm at step %lld: %s%s: %s%s\n", static_cast<long long>(alarm.step), alarm.kind.c_str(),
                site.c_str(), alarm.message.c_str(), alarm.action == "stop" ? " (stopped)" : "");
  }
  if (run.alarms.size() > most) std::printf("  and %zu alarms more\n", run.alarms.size() - most);
}

constexpr const char* head = "%-24s %8s %11s %9s %11s %11s %9s %10s\n";

void print_head() {
  std::printf(head, "run", "steps", "loss", "accuracy", "log10 gain", "sigma mean", "ms/step", "measuring");
}
void print_row(const std::string& name, const Summary& s) {
  std::printf(head, name.c_str(), std::to_string(s.steps).c_str(), number(s.loss).c_str(),
              number(s.accuracy, "%.2f %%", 0.01).c_str(), number(s.log10_gain, "%.2f").c_str(),
              number(s.sigma).c_str(), number(s.ms).c_str(), number(s.measuring, "%.1f %%", 0.01).c_str());
}

Record read_with_note(const std::string& path) {
  Record record = read(path);
  if (!record.note.empty()) std::fprintf(stderr, "inspect: %s\n", record.note.c_str());
  return record;
}

// What was found once of a whole run, as last.
void print_dynamics(const Run& run) {
  if (!run.sharpness.empty()) {
    const Sharpness& last = run.sharpness.back();
    std::printf("  sharpness at step %lld: %s, stable below %s\n", static_cast<long long>(last.step),
                number(last.value).c_str(), number(last.edge).c_str());
  }
  for (const Lyapunov& each : run.lyapunov) {
    std::printf("  Lyapunov exponents of %s at step %lld:", each.site.c_str(), static_cast<long long>(each.step));
    for (size_t k = 0; k < std::min<size_t>(each.exponents.size(), 8); ++k)
      std::printf(" %s", number(each.exponents[k]).c_str());
    std::printf("%s nats a step\n", each.exponents.size() > 8 ? " ..." : "");
  }
}

void compare(const Record& a, const Record& b, const Options& options) {
  std::printf("A: %s\nB: %s\n\n", options.record.c_str(), options.other.c_str());
  print_head();
  const auto show_in = [&](const char* which, const Run& run) {
    print_row(std::string(which) + ": " + run.name, summary_of(run));
    print_alarms(run, 3);
  };
  const auto run_of = [](const Record& in, const std::string& name) {
    const auto at = std::find_if(in.runs.begin(), in.runs.end(), [&](const Run& run) { return run.name == name; });
    return at == in.runs.end() ? nullptr : &*at;
  };
  for (const Run& run : a.runs) {
    show_in("A", run);
    if (const Run* other = run_of(b, run.name)) show_in("B", *other);
  }
  for (const Run& run : b.runs)
    if (!run_of(a, run.name)) show_in("B", run);
}

void show(const Record& record, size_t worst) {
  print_head();
  for (const Run& run : record.runs) {
    print_row(run.name + (run.ending ? "" : " (open)"), summary_of(run));
    print_worst(run, worst);
    print_dynamics(run);
    print_alarms(run, 10);
  }
}

int read_options(int argc, char** argv, Options& o) {
  Arguments arguments(
      "inspect", "Prints what a record holds: summary, worst layers, alarms. Of two records, their runs side by side.");
  arguments.option("RECORD", o.record, "record.jsonl, or the folder it is in")->required();
  arguments.option("OTHER", o.other, "another, to compare with");
  arguments.whole("--worst", o.worst, "how many of the worst layers", 0);
  arguments.option("--csv", o.csv, "folder to write steps.csv, layers.csv and parameters.csv of RECORD to");
  arguments.option("--npy", o.npy, "folder to write npy arrays to");
  arguments.option("--events", o.events, "folder to write event files for TensorBoard to");
  return arguments.parse(argc, argv);
}

int run(const Options& options) {
  const Record record = read_with_note(options.record);
  if (!options.other.empty()) compare(record, read_with_note(options.other), options);
  else show(record, options.worst);
  if (!options.csv.empty()) write_csv(record, options.csv);
  if (!options.npy.empty()) write_npy(record, options.npy);
  if (!options.events.empty()) write_events(record, options.events);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("inspect", argc, argv, read_options, run); }
