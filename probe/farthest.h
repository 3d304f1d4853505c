// Which layers to look at first.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace fathom::probe {

// The places of the numbers whose logarithms these are, those farthest from 1 first; a NaN is farther than any. Equal
// ones keep their order.
std::vector<size_t> farthest_from_one(std::span<const double> logarithms);

}  // namespace fathom::probe
