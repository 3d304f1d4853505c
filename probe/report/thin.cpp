#include "fathom/probe/report/thin.h"

#include <array>
#include <cmath>

namespace fathom::probe::report {

using namespace record;

namespace {

// How many quantities a board has anywhere.
size_t present(const Board& board) {
  std::array<bool, quantities> seen{};
  for (const Frame& frame : board.frames)
    for (const auto& [row, values] : frame.rows)
      for (size_t q = 0; q < quantities; ++q) seen[q] |= values[q] != missing;
  return static_cast<size_t>(std::count(seen.begin(), seen.end(), true));
}

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

}  // namespace

std::vector<const Frame*> thinned(const std::vector<Frame>& frames, size_t most) {
  std::vector<const Frame*> kept;
  const size_t inner = most - 2, size = frames.size();
  for (size_t g = 0; g < inner && size > most; ++g) {
    const auto from = frames.begin() + static_cast<std::ptrdiff_t>(1 + g * (size - 2) / inner);
    const auto to = frames.begin() + static_cast<std::ptrdiff_t>(1 + (g + 1) * (size - 2) / inner);
    kept.push_back(&*std::max_element(from, to, [](auto& a, auto& b) { return severity(a) < severity(b); }));
  }
  if (size <= most) {
    for (const Frame& frame : frames) kept.push_back(&frame);
  } else {
    kept.insert(kept.begin(), &frames.front());
    kept.push_back(&frames.back());
  }
  return kept;
}

std::vector<const Point*> thinned(const std::vector<Point>& points, size_t most) {
  std::vector<const Point*> kept;
  const size_t size = points.size(), groups = size <= most ? size : most / 2;
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
  if (size && kept.front() != &points.front()) kept.insert(kept.begin(), &points.front());
  if (size && kept.back() != &points.back()) kept.push_back(&points.back());
  return kept;
}

size_t frames_that_fit(const std::vector<const Board*>& boards, double most_bytes) {
  size_t most = 2;
  std::vector<size_t> numbers;  // a frame
  for (const Board* board : boards) {
    most = std::max(most, board->frames.size());
    numbers.push_back(board->rows.size() * present(*board));
  }
  const auto bytes = [&](size_t frames) {
    double sum = 0;
    for (size_t i = 0; i < boards.size(); ++i)
      sum += static_cast<double>(std::min(frames, boards[i]->frames.size()) * numbers[i]) * 8 / 3;
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
