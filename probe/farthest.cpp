#include "fathom/probe/farthest.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace fathom::probe {

std::vector<size_t> farthest_from_one(std::span<const double> logarithms) {
  std::vector<size_t> places(logarithms.size());
  std::iota(places.begin(), places.end(), size_t{0});
  const auto distance = [&](size_t i) { return std::isnan(logarithms[i]) ? INFINITY : std::abs(logarithms[i]); };
  std::stable_sort(places.begin(), places.end(), [&](size_t a, size_t b) { return distance(a) > distance(b); });
  return places;
}

}  // namespace fathom::probe
