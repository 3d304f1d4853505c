#include "fathom/probe/report/data.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "fathom/probe/report/thin.h"

namespace fathom::probe::report {
namespace {

using namespace record;

using nlohmann::json;

constexpr double bytes_of_layers = 400e3, bytes_of_parameters = 120e3, bytes_of_spectra = 120e3,
                 bytes_of_points = 200e3;

// JSON has no NaN and no infinity: they travel as strings, and the page's Number() reads them back.
json number(std::optional<double> value) {
  if (!value) return nullptr;
  if (std::isnan(*value)) return "NaN";
  if (std::isinf(*value)) return *value > 0 ? "Infinity" : "-Infinity";
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.5g", *value);
  return std::strtod(digits, nullptr);
}

std::string base64(const std::vector<uint16_t>& codes) {
  constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes, out;
  for (const uint16_t code : codes) bytes += {static_cast<char>(code & 255), static_cast<char>(code >> 8)};
  const size_t size = bytes.size();
  bytes.resize((size + 2) / 3 * 3);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](size_t k) { return static_cast<unsigned char>(bytes[i + k]); };
    const unsigned three = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (const int shift : {18, 12, 6, 0}) out += alphabet[three >> shift & 63];
  }
  for (size_t i = size; i < bytes.size(); ++i) out[out.size() - (bytes.size() - i)] = '=';
  return out;
}

// One quantity of all frames and rows, frame after frame, in 16 bits each: a straight line from lo to hi,
// and four codes for what is no number.
json packed(const Board& board, const std::vector<const Frame*>& frames, size_t quantity) {
  constexpr uint16_t top = 65531, absent = 65532, nan = 65533, infinite = 65534, zero = 65535;
  std::vector<size_t> place(board.rows.size());
  for (size_t i = 0; i < board.order.size(); ++i) place[static_cast<size_t>(board.order[i])] = i;
  double lo = INFINITY, hi = -INFINITY;
  for (const Frame* frame : frames)
    for (const auto& [row, values] : frame->rows)
      if (const double v = values[quantity]; std::isfinite(v) && v != missing)
        lo = std::min(lo, v), hi = std::max(hi, v);
  if (lo > hi) lo = hi = 0;
  const double scale = hi > lo ? top / (hi - lo) : 0;
  std::vector<uint16_t> codes(frames.size() * board.rows.size(), absent);
  bool any = false;
  for (size_t f = 0; f < frames.size(); ++f)
    for (const auto& [row, values] : frames[f]->rows) {
      const double v = values[quantity];
      if (v == missing) continue;
      any = true;
      codes[f * board.rows.size() + place[static_cast<size_t>(row)]] =
          std::isnan(v)   ? nan
          : std::isinf(v) ? (v > 0 ? infinite : zero)
                          : static_cast<uint16_t>(std::lround((v - lo) * scale));
    }
  if (!any) return nullptr;
  return {{"lo", static_cast<float>(lo)}, {"hi", static_cast<float>(hi)}, {"codes", base64(codes)}};
}

json board_of(const Board& board, size_t frames_kept) {
  const auto frames = thinned(board.frames, frames_kept);
  json out = {{"frames", json::array()},
              {"measured", board.frames.size()},
              {"rows", json::array()},
              {"values", json::object()}};
  for (const Frame* frame : frames) out["frames"].push_back(frame->step);
  for (const int row : board.order) out["rows"].push_back(board.rows[static_cast<size_t>(row)]);
  for (size_t q = 0; q < quantities; ++q) {
    json values = packed(board, frames, q);
    if (!values.is_null()) out["values"][quantity_names[q]] = std::move(values);
  }
  return out;
}

// A few steps' spectra: of each layer at most 33 of its log10 singular values, evenly from the first to the last.
json spectra_of(const Run& run, size_t most) {
  std::vector<size_t> place(run.layers.rows.size());
  for (size_t i = 0; i < run.layers.order.size(); ++i) place[static_cast<size_t>(run.layers.order[i])] = i;
  json out = json::array();
  for (const Spectra* spectra : some(run.spectra, most)) {
    json layers = json::object();
    for (const auto& [row, logs] : spectra->layers) {
      json list = json::array();
      for (const double* log : some(logs, 33)) list.push_back(number(*log));
      layers[std::to_string(place[static_cast<size_t>(row)])] = {{"values", std::move(list)}, {"of", logs.size()}};
    }
    out.push_back({{"step", spectra->step}, {"layers", std::move(layers)}});
  }
  return out;
}

json numbers(const std::vector<double>& list) {
  json out = json::array();
  for (const double each : list) out.push_back(number(each));
  return out;
}

json lyapunov_of(const Lyapunov& found) {
  json out = {{"step", found.step},
              {"site", found.site},
              {"exponents", numbers(found.exponents)},
              {"sum", number(found.sum)},
              {"log_det", number(found.log_det)},
              {"kaplan_yorke", number(found.kaplan_yorke)},
              {"steps", json::array()},
              {"convergence", json::array()}};
  std::vector<size_t> rows(found.steps.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  for (const size_t* i : some(rows, 200)) {
    out["steps"].push_back(found.steps[*i]);
    out["convergence"].push_back(numbers(found.convergence[*i]));
  }
  return out;
}

// What the table at the top says of a run: over its layers at the last measured step.
json summary(const Run& run) {
  json out = json::object();
  std::optional<double> loss;
  for (const Point& point : run.points)
    if (point.loss) loss = point.loss;
  if (run.ending) {
    const Ending& end = *run.ending;
    if (end.loss) loss = end.loss;
    out["accuracy"] = number(end.accuracy);
    if (end.seconds && end.steps > 0) out["ms"] = number(*end.seconds * 1e3 / static_cast<double>(end.steps));
    if (end.seconds && end.measuring_seconds && *end.seconds > 0)
      out["measuring"] = number(*end.measuring_seconds / *end.seconds);
  }
  out["loss"] = number(loss);
  out["steps"] = run.ending ? run.ending->steps : run.points.empty() ? 0 : run.points.back().step + 1;
  out["cut"] = !run.ending;
  if (run.layers.frames.empty()) return out;
  double through = 0, sum = 0, lo = INFINITY, hi = -INFINITY;
  size_t gains = 0, sigmas = 0;
  bool broken = false;
  for (const auto& [layer, values] : run.layers.frames.back().rows) {
    if (values[gain] != missing) through += values[gain], ++gains;
    if (const double sigma = values[sigma_max]; values[sigma_max] != missing) {
      sum += sigma, ++sigmas;
      lo = std::min(lo, sigma), hi = std::max(hi, sigma);
      broken = broken || std::isnan(sigma);
    }
  }
  if (gains) out["gain"] = number(through);  // log10
  if (sigmas) {
    out["sigma"] = {number(broken ? NAN : std::pow(10, lo)), number(std::pow(10, sum / static_cast<double>(sigmas))),
                    number(broken ? NAN : std::pow(10, hi))};
  }
  return out;
}

json data_of(const std::vector<Run>& runs, const std::string& name) {
  std::vector<const Board*> layers, parameters;
  size_t rows = 1;  // of which a spectrum may be shown
  for (const Run& run : runs) {
    layers.push_back(&run.layers), parameters.push_back(&run.parameters);
    if (!run.spectra.empty()) rows += run.layers.rows.size();
  }
  const size_t frames_kept = frames_that_fit(layers, bytes_of_layers);
  const size_t parameter_frames_kept = frames_that_fit(parameters, bytes_of_parameters);
  const size_t spectra_kept = std::clamp<size_t>(static_cast<size_t>(bytes_of_spectra / 250) / rows, 2, 40);
  const auto share = static_cast<size_t>(bytes_of_points / 20 / static_cast<double>(runs.size()));
  const size_t points_kept = std::clamp<size_t>(share, 100, 2000);
  json out = {{"record", name}, {"runs", json::array()}};
  for (const Run& run : runs) {
    json entry = {{"name", run.name},
                  {"net", run.net},
                  {"dtype", run.dtype},
                  {"fathom", run.version},
                  {"options", run.options},
                  {"facts", run.facts},
                  {"no_chain", run.no_chain},
                  {"summary", summary(run)},
                  {"layers", board_of(run.layers, frames_kept)},
                  {"parameters", board_of(run.parameters, parameter_frames_kept)},
                  {"spectra", spectra_of(run, spectra_kept)}};
    for (const char* list : {"steps", "loss", "grad_norm", "clipped", "alarms", "sharpness", "lyapunov"})
      entry[list] = json::array();
    entry["depth"] = run.depth ? json(*run.depth) : json();
    entry["seed"] = run.seed ? json(*run.seed) : json();
    for (const Point* point : thinned(run.points, points_kept)) {
      entry["steps"].push_back(point->step);
      entry["loss"].push_back(number(point->loss));
      entry["grad_norm"].push_back(number(point->grad_norm));
    }
    size_t clips = 0;
    std::vector<int64_t> clipped;
    for (const Point& point : run.points)
      if (point.clipped) clipped.push_back(point.step), ++clips;
    for (const int64_t* step : some(clipped, 300)) entry["clipped"].push_back(*step);
    entry["clips"] = clips;
    for (const Alarm* alarm : some(run.alarms, 200))
      entry["alarms"].push_back({{"step", alarm->step},
                                 {"kind", alarm->kind},
                                 {"site", alarm->site},
                                 {"message", alarm->message},
                                 {"action", alarm->action}});
    for (const Sharpness* each : some(run.sharpness, 500))
      entry["sharpness"].push_back(
          {{"step", each->step}, {"value", number(each->value)}, {"edge", number(each->edge)}});
    for (const Lyapunov& each : run.lyapunov) entry["lyapunov"].push_back(lyapunov_of(each));
    entry["costs"] = run.ending ? json(run.ending->costs) : json::object();
    entry["seconds"] = number(run.ending ? run.ending->seconds : std::nullopt);
    entry["measuring_seconds"] = number(run.ending ? run.ending->measuring_seconds : std::nullopt);
    out["runs"].push_back(std::move(entry));
  }
  return out;
}

// Safe within <script>: no name can end the element or begin another.
std::string inert(const json& data) {
  std::string out;
  for (const char c : data.dump(-1, ' ', /*ensure_ascii*/ true)) {
    if (c == '<') out += "\\u003c";
    else if (c == '>') out += "\\u003e";
    else if (c == '&') out += "\\u0026";
    else out += c;
  }
  return out;
}

}  // namespace

std::string page_data(const std::vector<Run>& runs, const std::string& name) { return inert(data_of(runs, name)); }

}  // namespace fathom::probe::report
