#include "fathom/probe/report/record.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "fathom/tensor/error.h"

namespace fathom::probe::report {

namespace {

using nlohmann::json;

// A number, or "NaN", "Infinity", "-Infinity", which JSON's numbers cannot say. Anything else counts as absent.
std::optional<double> number(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return {};
  if (found->is_number()) return found->get<double>();
  if (found->is_null()) return NAN;
  if (*found == "NaN") return NAN;
  if (*found == "Infinity") return INFINITY;
  if (*found == "-Infinity") return -INFINITY;
  return {};
}

std::optional<int64_t> integer(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_integer()) return {};
  return found->get<int64_t>();
}

std::string text(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Values values(const json& site) {
  Values logs;
  for (int q = 0; q < quantities; ++q) {
    const auto value = number(site, quantity_names[q]);
    logs[q] = value ? static_cast<float>(std::log10(*value)) : missing;
  }
  // What a double cannot hold, its logarithm can.
  if (const auto log = number(site, "log10_sigma_max")) logs[sigma_max] = static_cast<float>(*log);
  const auto in = number(site, "grad_in"), out = number(site, "grad_out");
  if (logs[gain] == missing && in && out) logs[gain] = static_cast<float>(std::log10(*in) - std::log10(*out));
  return logs;
}

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  std::vector<Run> read() {
    std::ifstream file(path_, std::ios::binary);
    if (!file) throw Error("report: cannot read the record " + path_);
    std::string line, torn;
    while (std::getline(file, line)) {
      if (!torn.empty()) throw Error(torn);  // it was not the last one
      ++line_;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const json object = json::parse(line, nullptr, false);
      if (object.is_object()) take(object);
      else torn = where() + "not a JSON object, so not a line of a record";
    }
    if (file.bad()) throw Error("report: cannot read the record " + path_);
    if (runs_.empty()) throw Error(!torn.empty() ? torn : "report: no run in the record " + path_);
    for (Run& run : runs_) finish(run);
    return std::move(runs_);
  }

 private:
  std::string where() const { return "report: " + path_ + ":" + std::to_string(line_) + ": "; }

  void take(const json& object) {
    const std::string type = text(object, "type");
    if (type.empty()) throw Error(where() + "no \"type\", so not a line of a record");
    if (type == "run") start(object);
    else if (type == "step") step(object);
    else if (type == "layers") layers(object);
    else if (type == "end") end(object);
  }

  void start(const json& object) {
    const auto schema = integer(object, "schema");
    if (schema && *schema != 1) throw Error(where() + "schema " + std::to_string(*schema) + ", this program reads 1");
    const std::string name = text(object, "run");
    if (name.empty()) throw Error(where() + "a run without a name");
    Run run;
    const int times = ++starts_[name];
    run.name = times == 1 ? name : name + " (" + std::to_string(times) + ")";
    run.net = text(object, "net");
    run.depth = integer(object, "depth");
    run.seed = integer(object, "seed");
    run.dtype = text(object, "dtype");
    run.version = text(object, "fathom");
    if (const auto options = object.find("options"); options != object.end() && options->is_object())
      for (const auto& [key, value] : options->items())
        run.options[key] = value.is_string() ? value.get<std::string>() : value.dump();
    open_[name] = runs_.size();
    rows_.emplace_back();
    runs_.push_back(std::move(run));
  }

  size_t running(const json& object) const {
    const std::string name = text(object, "run");
    const auto found = open_.find(name);
    if (found == open_.end()) throw Error(where() + "run \"" + name + "\" was not started by a line above");
    return found->second;
  }

  int64_t step_of(const json& object) const {
    const auto step = integer(object, "step");
    if (!step) throw Error(where() + "no \"step\"");
    return *step;
  }

  void step(const json& object) {
    runs_[running(object)].points.push_back({step_of(object), number(object, "loss"), number(object, "grad_norm")});
  }

  void layers(const json& object) {
    const size_t index = running(object);
    Run& run = runs_[index];
    Frame frame{step_of(object), {}};
    const auto sites = object.find("sites");
    if (sites == object.end() || !sites->is_array()) throw Error(where() + "no \"sites\"");
    auto place = run.order.begin();  // where a layer that is new here belongs: after the one named before it
    for (const json& site : *sites) {
      if (!site.is_object()) throw Error(where() + "a site is no object");
      const int64_t call = integer(site, "call").value_or(0);
      const std::string name = text(site, "site") + (call ? " #" + std::to_string(call) : "");
      const auto [row, is_new] = rows_[index].try_emplace(name, static_cast<int>(run.layers.size()));
      if (is_new) {
        run.layers.push_back(name);
        place = run.order.insert(place, row->second) + 1;
      } else {
        place = std::find(place, run.order.end(), row->second);
        if (place == run.order.end()) place = std::find(run.order.begin(), run.order.end(), row->second);
        ++place;
      }
      frame.layers.emplace_back(row->second, values(site));
    }
    run.frames.push_back(std::move(frame));
  }

  void end(const json& object) {
    Run& run = runs_[running(object)];
    run.ending =
        Ending{integer(object, "steps").value_or(static_cast<int64_t>(run.points.size())), number(object, "seconds"),
               number(object, "measuring_seconds"), number(object, "loss"), number(object, "accuracy")};
  }

  static void finish(Run& run) {
    const auto earlier = [](const auto& a, const auto& b) { return a.step < b.step; };
    std::stable_sort(run.points.begin(), run.points.end(), earlier);
    std::stable_sort(run.frames.begin(), run.frames.end(), earlier);
  }

  std::string path_;
  int64_t line_ = 0;
  std::vector<Run> runs_;
  std::vector<std::map<std::string, int>> rows_;  // of each run: the index of a layer's name
  std::map<std::string, size_t> open_;            // name in the record -> the run started last under it
  std::map<std::string, int> starts_;
};

}  // namespace

std::vector<Run> read_record(const std::string& path) { return Reader(path).read(); }

}  // namespace fathom::probe::report
