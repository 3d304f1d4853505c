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

template <class List, class F>
json array_of(const List& list, F f) {
  json out = json::array();
  for (const auto& each : list) out.push_back(f(each));
  return out;
}

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

// Of each row, where it is from the input to the output.
std::vector<size_t> places(const Board& board) {
  std::vector<size_t> place(board.rows.size());
  for (size_t i = 0; i < board.order.size(); ++i) place[static_cast<size_t>(board.order[i])] = i;
  return place;
}

// One quantity of all rows, frame after frame of those that have it, in 16 bits each: a straight line from lo to hi,
// and four codes for what is no number. "frames" are the indices of these frames, where they are not all.
json packed(const Board& board, const std::vector<const Frame*>& frames, size_t quantity) {
  constexpr uint16_t top = 65531, absent = 65532, nan = 65533, infinite = 65534, zero = 65535;
  const std::vector<size_t> place = places(board);
  double lo = INFINITY, hi = -INFINITY;
  std::vector<size_t> having;
  for (size_t f = 0; f < frames.size(); ++f) {
    if (has(*frames[f], quantity)) having.push_back(f);
    for (const auto& [row, values] : frames[f]->rows)
      if (const double v = values[quantity]; std::isfinite(v) && v != missing)
        lo = std::min(lo, v), hi = std::max(hi, v);
  }
  if (having.empty()) return nullptr;
  if (lo > hi) lo = hi = 0;
  const double scale = hi > lo ? top / (hi - lo) : 0;
  std::vector<uint16_t> codes(having.size() * board.rows.size(), absent);
  for (size_t k = 0; k < having.size(); ++k)
    for (const auto& [row, values] : frames[having[k]]->rows) {
      const double v = values[quantity];
      if (v == missing) continue;
      codes[k * board.rows.size() + place[static_cast<size_t>(row)]] =
          std::isnan(v)   ? nan
          : std::isinf(v) ? (v > 0 ? infinite : zero)
                          : static_cast<uint16_t>(std::lround((v - lo) * scale));
    }
  json out = {{"lo", static_cast<float>(lo)}, {"hi", static_cast<float>(hi)}, {"codes", base64(codes)}};
  if (having.size() < frames.size()) out["frames"] = having;
  return out;
}

// The median of the steps from one frame to the next; 1 where there are none.
int64_t usual_gap(const std::vector<Frame>& frames) {
  std::vector<int64_t> gaps;
  for (size_t f = 1; f < frames.size(); ++f) gaps.push_back(frames[f].step - frames[f - 1].step);
  if (gaps.empty()) return 1;
  const auto middle = gaps.begin() + static_cast<std::ptrdiff_t>(gaps.size() / 2);
  std::nth_element(gaps.begin(), middle, gaps.end());
  return *middle;
}

json board_of(const Board& board, const std::vector<const Frame*>& frames) {
  json out = {{"frames", array_of(frames, [](const Frame* frame) { return frame->step; })},
              {"measured", board.frames.size()},
              {"gap", usual_gap(board.frames)},
              {"rows", array_of(board.order, [&](int row) { return board.label(row); })},
              {"values", json::object()}};
  for (size_t q = 0; q < quantities; ++q) {
    json values = packed(board, frames, q);
    if (!values.is_null()) out["values"][quantity_names[q]] = std::move(values);
  }
  return out;
}

// A few steps' spectra: of each layer some of its log10 singular values, evenly from the first to the last.
json spectra_of(const Run& run, size_t most, size_t values) {
  const std::vector<size_t> place = places(run.layers);
  return array_of(some(run.spectra, most), [&](const Spectra* spectra) {
    json layers = json::object();
    for (const auto& [row, logs] : spectra->layers)
      layers[std::to_string(place[static_cast<size_t>(row)])] = {
          {"values", array_of(some(logs, values), [](const double* log) { return number(*log); })},
          {"of", logs.size()}};
    return json{{"step", spectra->step}, {"layers", std::move(layers)}};
  });
}

json numbers(const std::vector<double>& list) { return array_of(list, number); }

json lyapunov_of(const Lyapunov& found) {
  return {{"step", found.step},
          {"site", found.site},
          {"exponents", numbers(found.exponents)},
          {"sum", number(found.sum)},
          {"log_det", number(found.log_det)},
          {"kaplan_yorke", number(found.kaplan_yorke)},
          {"steps", array_of(some(found.steps, 200), [](const double* step) { return number(*step); })},
          {"convergence", array_of(some(found.convergence, 200), [](const auto* list) { return numbers(*list); })}};
}
json alarm_of(const Alarm* alarm) {
  return {{"step", alarm->step},
          {"kind", alarm->kind},
          {"site", alarm->site},
          {"message", alarm->message},
          {"action", alarm->action}};
}
json sharpness_of(const Sharpness* found) {
  return {{"step", found->step}, {"value", number(found->value)}, {"edge", number(found->edge)}};
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
  out["open"] = !run.ending;
  const std::vector<Frame>& frames = run.layers.frames;
  if (frames.empty()) return out;
  const auto last =
      std::find_if(frames.rbegin(), frames.rend(), [](const Frame& each) { return has(each, sigma_max); });
  const Frame& frame = last == frames.rend() ? frames.back() : *last;
  double sum = 0, lo = INFINITY, hi = -INFINITY;
  size_t sigmas = 0;
  bool broken = false;
  for (auto row = frame.rows.rbegin(); row != frame.rows.rend(); ++row) {
    const Values& values = row->second;
    if (values[gradient_left] != missing) out["gain"] = number(values[gradient_left]);  // at the end, the first one's
    if (const double sigma = values[sigma_max]; values[sigma_max] != missing) {
      sum += sigma, ++sigmas;
      lo = std::min(lo, sigma), hi = std::max(hi, sigma);
      broken = broken || std::isnan(sigma);
    }
  }
  if (sigmas) {
    out["sigma"] = {number(broken ? NAN : std::pow(10, lo)), number(std::pow(10, sum / static_cast<double>(sigmas))),
                    number(broken ? NAN : std::pow(10, hi))};
  }
  return out;
}

// How much of each run a page keeps, so that it stays near 1 MB.
struct Kept {
  size_t frames, parameter_frames, spectra, values, points;
};
Kept kept_of(const std::vector<Run>& runs) {
  constexpr double bytes_of_layers = 360e3, bytes_of_parameters = 120e3, bytes_of_spectra = 120e3,
                   bytes_of_points = 200e3;
  std::vector<const Board*> layers, parameters;
  size_t rows = 1;  // of which a spectrum may be shown
  for (const Run& run : runs) {
    layers.push_back(&run.layers), parameters.push_back(&run.parameters);
    if (!run.spectra.empty()) rows += run.layers.rows.size();
  }
  return {frames_that_fit(layers, bytes_of_layers), frames_that_fit(parameters, bytes_of_parameters),
          std::clamp<size_t>(static_cast<size_t>(bytes_of_spectra / 250) / rows, 2, 40),
          std::clamp<size_t>(static_cast<size_t>(bytes_of_spectra) / rows, 5, 33),
          std::clamp<size_t>(static_cast<size_t>(bytes_of_points / 20 / static_cast<double>(runs.size())), 100, 2000)};
}

// 25 steps over all runs, evenly: what the table of the curves shows.
std::vector<int64_t> table_steps(const std::vector<Run>& runs) {
  int64_t last = 0;
  for (const Run& run : runs)
    if (!run.points.empty()) last = std::max(last, run.points.back().step);
  std::vector<int64_t> steps;
  for (int64_t i = 0; i <= std::min<int64_t>(last, 24); ++i)
    steps.push_back(last <= 24 ? i : std::llround(static_cast<double>(i) * static_cast<double>(last) / 24));
  return steps;
}

// Of stretches of the run's steps, evenly, which part of them was clipped.
json clipped_shares(const Run& run) {
  const size_t size = run.points.size(), stretches = std::min<size_t>(size, 300);
  json out = json::array();
  for (size_t i = 0; i < stretches; ++i) {
    const auto from = run.points.begin() + static_cast<std::ptrdiff_t>(i * size / stretches);
    const auto to = run.points.begin() + static_cast<std::ptrdiff_t>((i + 1) * size / stretches);
    const auto clips = std::count_if(from, to, [](const Point& point) { return point.clipped; });
    if (clips) out.push_back({from->step, (to - 1)->step, std::round(100.0 * double(clips) / double(to - from)) / 100});
  }
  return out;
}

json run_of(const Run& run, const Kept& kept, std::vector<int64_t> steps) {
  const auto layers = thinned(run.layers.frames, kept.frames);
  for (const Frame* const* frame : some(layers, kept.points / 2 - steps.size())) steps.push_back((*frame)->step);
  const auto points = thinned(run.points, kept.points, steps);
  const Ending end = run.ending.value_or(Ending{});
  return {
      {"name", run.name},
      {"net", run.net},
      {"dtype", run.dtype},
      {"depth", run.depth ? json(*run.depth) : json()},
      {"seed", run.seed ? json(*run.seed) : json()},
      {"fathom", run.version},
      {"options", run.options},
      {"facts", run.facts},
      {"no_chain", run.no_chain},
      {"summary", summary(run)},
      {"layers", board_of(run.layers, layers)},
      {"parameters", board_of(run.parameters, thinned(run.parameters.frames, kept.parameter_frames))},
      {"spectra", spectra_of(run, kept.spectra, kept.values)},
      {"steps", array_of(points, [](const Point* point) { return point->step; })},
      {"loss", array_of(points, [](const Point* point) { return number(point->loss); })},
      {"grad_norm", array_of(points, [](const Point* point) { return number(point->grad_norm); })},
      {"clipped", clipped_shares(run)},
      {"clips", std::count_if(run.points.begin(), run.points.end(), [](const Point& point) { return point.clipped; })},
      {"alarmed", run.alarms.size()},
      {"alarms", array_of(some(run.alarms, 200), alarm_of)},
      {"sharpness", array_of(some(run.sharpness, 500), sharpness_of)},
      {"lyapunov", array_of(run.lyapunov, lyapunov_of)},
      {"costs", end.costs},
      {"seconds", number(end.seconds)},
      {"measuring_seconds", number(end.measuring_seconds)}};
}

// Safe within <script>: no name can end the element or begin another.
std::string inert(const json& data) {
  std::string out;
  for (const char c : data.dump(-1, ' ', /*ensure_ascii*/ true, json::error_handler_t::replace)) {
    if (c == '<') out += "\\u003c";
    else if (c == '>') out += "\\u003e";
    else if (c == '&') out += "\\u0026";
    else out += c;
  }
  return out;
}

}  // namespace

std::string page_data(const std::vector<Run>& runs, const std::string& name, const std::string& note) {
  const Kept kept = kept_of(runs);
  const std::vector<int64_t> steps = table_steps(runs);
  return inert({{"record", name}, {"note", note}, {"steps", steps}, {"runs", array_of(runs, [&](const Run& run) {
                                                                       return run_of(run, kept, steps);
                                                                     })}});
}

}  // namespace fathom::probe::report
