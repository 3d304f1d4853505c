#include "fathom/probe/record.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "fathom/probe/left.h"
#include "fathom/probe/record_file.h"
#include "fathom/tensor/error.h"

namespace fathom::probe::record {

namespace {

using nlohmann::json;

// A number, or "NaN", "Infinity", "-Infinity", which JSON's numbers cannot say. Anything else counts as absent.
std::optional<double> number(const json& value) {
  if (value.is_number()) return value.get<double>();
  if (value.is_null() || value == "NaN") return NAN;
  if (value == "Infinity") return INFINITY;
  if (value == "-Infinity") return -INFINITY;
  return {};
}
std::optional<double> number(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? std::nullopt : number(*found);
}
std::vector<double> numbers(const json& list) {
  std::vector<double> out;
  for (const json& each : list) out.push_back(number(each).value_or(NAN));
  return out;
}
std::vector<double> numbers(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_array() ? numbers(*found) : std::vector<double>();
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

// log10 of what a row has under this name, as a logarithm or, as all had before schema 4, as a number.
std::optional<double> log10_of(const json& row, const char* name) {
  if (const auto logs = row.find("log10"); logs != row.end() && logs->is_object())
    if (const auto log = number(*logs, name)) return log;
  if (const auto value = number(row, name)) return std::log10(*value);
  return {};
}
std::vector<double> log10_of_all(const json& row, const char* name) {
  if (const auto logs = row.find("log10"); logs != row.end() && logs->is_object())
    if (std::vector<double> list = numbers(*logs, name); !list.empty()) return list;
  std::vector<double> list = numbers(row, name);
  for (double& x : list) x = std::log10(x);
  return list;
}

Values values(const json& row) {
  Values logs;
  for (size_t q = 0; q < quantities; ++q) logs[q] = log10_of(row, quantity_names[q]).value_or(missing);
  if (const auto log = number(row, "log10_gain")) logs[gain] = *log;  // schemas 2 and 3: of what no double holds
  if (const auto costs = row.find("seconds"); costs != row.end() && costs->is_object()) {
    double sum = 0;
    for (const json& each : *costs) sum += number(each).value_or(0);
    logs[seconds] = std::log10(sum);
  }
  if (const auto heads = row.find("attention"); heads != row.end() && heads->is_array() && !heads->empty())
    for (const auto& [quantity, name] :
         {std::pair(attention_entropy, "entropy"), std::pair(logit_variance, "logit_variance")}) {
      double sum = 0;
      for (const json& head : *heads) sum += number(head, name).value_or(NAN);
      logs[quantity] = std::log10(sum / double(heads->size()));
    }
  if (logs[update_norm] != missing && logs[weight_norm] != missing)
    logs[update_ratio] = logs[update_norm] - logs[weight_norm];
  return logs;
}

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(record_at(path)) {}

  Record read() {
    std::ifstream file(path_, std::ios::binary);
    if (!file) throw Error("record: cannot read " + path_);
    std::string line, torn;
    while (std::getline(file, line)) {
      if (!torn.empty()) throw Error(torn);  // it was not the last one
      ++line_;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const json object = json::parse(line, nullptr, false);
      if (object.is_object()) take(object);
      else torn = where() + "not a JSON object, so not a line of a record";
    }
    if (file.bad()) throw Error("record: cannot read " + path_);
    if (runs_.empty()) throw Error(!torn.empty() ? torn : "record: no run in " + path_);
    for (size_t i = 0; i < runs_.size(); ++i) finish(runs_[i], places_[i]);
    return {std::move(runs_), torn.empty() ? "" : torn + "; skipped"};
  }

 private:
  std::string where() const { return "record: " + path_ + ":" + std::to_string(line_) + ": "; }

  void take(const json& object) {
    const std::string type = text(object, "type");
    if (type.empty()) throw Error(where() + "no \"type\", so not a line of a record");
    if (type == "run") start(object);
    else if (type == "step") step(object);
    else if (type == "clip") clip(object);
    else if (type == "layers") layers(object);
    else if (type == "parameters") add_rows(runs_[running(object)].parameters, object, "rows", "name");
    else if (type == "sharpness") sharpness(object);
    else if (type == "alarm") alarm(object);
    else if (type == "lyapunov") lyapunov(object);
    else if (type == "end") end(object);
  }

  void start(const json& object) {
    const auto schema = integer(object, "schema");
    if (schema && (*schema < 1 || *schema > 4))
      throw Error(where() + "schema " + std::to_string(*schema) + ", this program reads 1 to 4");
    const std::string name = text(object, "run");
    if (name.empty()) throw Error(where() + "a run without a name");
    Run run;
    const int times = ++starts_[name];
    run.name = times == 1 ? name : name + " (" + std::to_string(times) + ")";
    run.net = text(object, "net");
    run.depth = integer(object, "depth");
    if (const auto seed = object.find("seed");
        seed != object.end() && seed->is_number_integer() && (seed->is_number_unsigned() || seed->get<int64_t>() >= 0))
      run.seed = seed->get<uint64_t>();
    run.dtype = text(object, "dtype");
    run.version = text(object, "fathom");
    if (const auto options = object.find("options"); options != object.end() && options->is_object())
      for (const auto& [key, value] : options->items())
        run.options[key] = value.is_string() ? value.get<std::string>() : value.dump();
    for (const char* fact : {"time", "processor", "blas", "build", "plan"})
      if (const std::string value = text(object, fact); !value.empty()) run.facts[fact] = value;
    const auto parameters = object.find("parameters");
    places_.emplace_back();
    if (parameters != object.end() && parameters->is_array())
      for (const json& each : *parameters)
        if (each.is_string()) places_.back().emplace(each.get<std::string>(), places_.back().size());
    open_[name] = runs_.size();
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
    auto norm = number(object, "grad_norm");
    if (const auto log = number(object, "log10_grad_norm")) norm = std::pow(10, *log);
    runs_[running(object)].points.push_back(
        {step_of(object), number(object, "loss"), norm, number(object, "clip").has_value()});
  }

  void clip(const json& object) {
    std::vector<Point>& points = runs_[running(object)].points;
    for (auto point = points.rbegin(); point != points.rend() && point->step >= step_of(object); ++point)
      if (point->step == step_of(object)) point->clipped = true;
  }

  // Of each row of the line's list: its values, under its name in the board.
  void add_rows(Board& board, const json& object, const char* list, const char* name_of_row) {
    Frame frame{step_of(object), {}};
    const auto rows = object.find(list);
    if (rows == object.end() || !rows->is_array()) throw Error(where() + "no \"" + list + "\"");
    auto place = board.order.begin();  // where a row that is new here belongs: after the one named before it
    for (const json& each : *rows) {
      if (!each.is_object()) throw Error(where() + "a row of \"" + list + "\" is no object");
      const int64_t call = integer(each, "call").value_or(0);
      const std::string name = text(each, name_of_row) + (call ? " #" + std::to_string(call) : "");
      const auto [row, is_new] = board.index.try_emplace(name, static_cast<int>(board.rows.size()));
      if (is_new) {
        board.rows.push_back(name);
        place = board.order.insert(place, row->second) + 1;
      } else {
        place = std::find(place, board.order.end(), row->second);
        if (place == board.order.end()) place = std::find(board.order.begin(), board.order.end(), row->second);
        ++place;
      }
      if (each.value("coupled", json()) == true) board.coupled.insert(row->second);
      frame.rows.emplace_back(row->second, values(each));
    }
    board.frames.push_back(std::move(frame));
  }

  void layers(const json& object) {
    Run& run = runs_[running(object)];
    add_rows(run.layers, object, "sites", "site");
    Frame& frame = run.layers.frames.back();
    Spectra spectra{frame.step, {}};
    for (size_t i = 0; i < frame.rows.size(); ++i) {
      std::vector<double> logs = log10_of_all(object["sites"][i], "spectrum");
      if (!logs.empty()) spectra.layers.emplace_back(frame.rows[i].first, std::move(logs));
    }
    if (!spectra.layers.empty()) run.spectra.push_back(std::move(spectra));
    find_left(object["sites"], frame);

    const auto found = object.find("product");
    if (found == object.end() || !found->is_object()) return;
    if (const std::string why = text(*found, "why"); !why.empty()) run.no_chain = why;
    for (const auto& [quantity, name] : {std::pair(product, "log10_norm"), std::pair(product_upper, "log10_upper"),
                                         std::pair(product_bound, "log10_bound")})
      if (const std::vector<double> list = numbers(*found, name); list.size() == frame.rows.size())
        for (size_t i = 0; i < list.size(); ++i) frame.rows[i].second[quantity] = list[i];
  }

  static void find_left(const json& sites, Frame& frame) {
    const auto behind = [&](size_t i) { return log10_of(sites[i], "grad_out"); };
    const auto last = sites.empty() ? std::nullopt : behind(sites.size() - 1);
    for (size_t i = 0; i < frame.rows.size() && last; ++i) {
      Values& logs = frame.rows[i].second;
      double before = logs[grad_in];
      if (before == missing && logs[gain] != missing && behind(i)) before = log10_before(logs[gain], *behind(i));
      if (before != missing) logs[gradient_left] = log10_left(before, *last);
    }
  }

  void sharpness(const json& object) {
    runs_[running(object)].sharpness.push_back({step_of(object), number(object, "sharpness"), number(object, "edge"),
                                                number(object, "residual"), number(object, "seconds")});
  }
  void alarm(const json& object) {
    runs_[running(object)].alarms.push_back(
        {step_of(object), text(object, "kind"), text(object, "site"), text(object, "message"), text(object, "action")});
  }
  void lyapunov(const json& object) {
    Lyapunov found{.step = integer(object, "step").value_or(0),
                   .site = text(object, "site"),
                   .exponents = numbers(object, "exponents"),
                   .standard_errors = numbers(object, "standard_errors"),
                   .steps = {},
                   .convergence = {},
                   .sum = number(object, "sum"),
                   .log_det = number(object, "log_det"),
                   .kaplan_yorke = number(object, "kaplan_yorke"),
                   .seconds = number(object, "seconds")};
    if (const auto course = object.find("convergence"); course != object.end() && course->is_object()) {
      const std::vector<double> steps = numbers(*course, "steps");
      const auto rows = course->find("exponents");
      if (rows != course->end() && rows->is_array() && rows->size() == steps.size())
        for (size_t i = 0; i < steps.size(); ++i) {
          found.steps.push_back(steps[i]);
          found.convergence.push_back(numbers((*rows)[i]));
        }
    }
    runs_[running(object)].lyapunov.push_back(std::move(found));
  }

  void end(const json& object) {
    Run& run = runs_[running(object)];
    run.ending = Ending{integer(object, "steps").value_or(static_cast<int64_t>(run.points.size())),
                        number(object, "seconds"),
                        number(object, "measuring_seconds"),
                        number(object, "loss"),
                        number(object, "accuracy"),
                        {}};
    if (const auto costs = object.find("costs"); costs != object.end() && costs->is_object())
      for (const auto& [what, seconds] : costs->items())
        if (seconds.is_number()) run.ending->costs[what] = seconds.get<double>();
  }

  static void finish(Run& run, const std::map<std::string, size_t>& places) {
    const auto place = [&](int row) {
      const auto at = places.find(run.parameters.rows[size_t(row)]);
      return at == places.end() ? places.size() : at->second;
    };
    std::stable_sort(run.parameters.order.begin(), run.parameters.order.end(),
                     [&](int a, int b) { return place(a) < place(b); });
    const auto earlier = [](const auto& a, const auto& b) { return a.step < b.step; };
    std::stable_sort(run.points.begin(), run.points.end(), earlier);
    std::stable_sort(run.layers.frames.begin(), run.layers.frames.end(), earlier);
    std::stable_sort(run.parameters.frames.begin(), run.parameters.frames.end(), earlier);
  }

  std::string path_;
  int64_t line_ = 0;
  std::vector<Run> runs_;
  std::vector<std::map<std::string, size_t>> places_;  // of each run its parameters, in the network's order
  std::map<std::string, size_t> open_;                 // name in the record -> the run started last under it
  std::map<std::string, int> starts_;
};

}  // namespace

std::string Board::label(int row) const {
  return rows[static_cast<size_t>(row)] + (coupled.contains(row) ? " (whole batch)" : "");
}

Record read(const std::string& path) { return Reader(path).read(); }

}  // namespace fathom::probe::record
