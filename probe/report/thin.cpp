#include "fathom/probe/report/thin.h"

#include <cmath>

namespace fathom::probe::report {

using namespace record;

namespace {

// How far a frame is from calm: the largest |log10| of what counts most, infinite for what is no number.
double severity(const Frame& frame) {
  double worst = 0;
  for (const auto& [row, values] : frame.rows) {
    const double v = values[sigma_max] != missing ? values[sigma_max] : values[grad_norm];
    if (v == missing) continue;
    worst = std::max(worst, std::isfinite(v) ? std::fabs(v) : INFINITY);
  }
  return worst;
}

// Of elements of one array.
template <class T>
std::vector<const T*> in_order(std::vector<const T*> list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

}  // namespace

bool has(const Frame& frame, size_t quantity) {
  return std::any_of(frame.rows.begin(), frame.rows.end(),
                     [=](const auto& row) { return row.second[quantity] != missing; });
}

std::vector<const Frame*> thinned(const std::vector<Frame>& frames, size_t most) {
  std::vector<const Frame*> detailed, kept;
  const size_t size = frames.size();
  for (const Frame& frame : frames)
    if (size <= most) kept.push_back(&frame);
    else if (has(frame, condition) || has(frame, product)) detailed.push_back(&frame);
  if (size <= most) return kept;
  kept = {&frames.front(), &frames.back()};
  for (const Frame* const* each : some(detailed, (most - 2) / 2)) kept.push_back(*each);
  const size_t groups = most - kept.size();
  for (size_t g = 0; g < groups; ++g) {
    const auto from = frames.begin() + static_cast<std::ptrdiff_t>(1 + g * (size - 2) / groups);
    const auto to = frames.begin() + static_cast<std::ptrdiff_t>(1 + (g + 1) * (size - 2) / groups);
    kept.push_back(&*std::max_element(from, to, [](auto& a, auto& b) { return severity(a) < severity(b); }));
  }
  return in_order(std::move(kept));
}

std::vector<const Point*> thinned(const std::vector<Point>& points, size_t most, const std::vector<int64_t>& steps) {
  std::vector<const Point*> kept;
  const size_t size = points.size(), groups = size <= most ? size : (most - std::min(most, steps.size())) / 2;
  const auto height = [](const Point& p) {
    const double loss = p.loss.value_or(0);
    return std::isnan(loss) ? INFINITY : loss;
  };
  for (size_t g = 0; g < groups; ++g) {
    const auto from = points.begin() + static_cast<std::ptrdiff_t>(g * size / groups);
    const auto to = points.begin() + static_cast<std::ptrdiff_t>((g + 1) * size / groups);
    auto [low, high] = std::minmax_element(from, to, [&](auto& a, auto& b) { return height(a) < height(b); });
    if (low > high) std::swap(low, high);
    kept.push_back(&*low);
    if (high != low) kept.push_back(&*high);
  }
  if (size) kept.push_back(&points.front()), kept.push_back(&points.back());
  for (const int64_t step : steps) {
    const auto after = std::upper_bound(points.begin(), points.end(), step,
                                        [](int64_t until, const Point& point) { return until < point.step; });
    if (after != points.begin()) kept.push_back(&*(after - 1));
  }
  return in_order(std::move(kept));
}

size_t frames_that_fit(const std::vector<const Board*>& boards, double most_bytes) {
  struct Part {  // a quantity of a board
    size_t rows, frames;
  };
  size_t most = 2;
  std::vector<Part> parts;
  for (const Board* board : boards) {
    most = std::max(most, board->frames.size());
    for (size_t q = 0; q < quantities; ++q)
      parts.push_back(
          {board->rows.size(), static_cast<size_t>(std::count_if(board->frames.begin(), board->frames.end(),
                                                                 [=](const Frame& f) { return has(f, q); }))});
  }
  const auto bytes = [&](size_t frames) {
    double sum = 0;
    for (const Part& part : parts) sum += static_cast<double>(std::min(frames, part.frames) * part.rows) * 8 / 3;
    return sum;
  };
  size_t least = 2;
  while (least < most) {  // the largest number whose bytes fit
    const size_t middle = (least + most + 1) / 2;
    if (bytes(middle) <= most_bytes) least = middle;
    else most = middle - 1;
  }
  return least;
}

}  // namespace fathom::probe::report
