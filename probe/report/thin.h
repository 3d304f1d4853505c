#pragma once
// What of a long run a page keeps. Internal to the report.

#include <algorithm>
#include <cstddef>
#include <vector>

#include "fathom/probe/record.h"

namespace fathom::probe::report {

// Whether any row of the frame has it.
bool has(const record::Frame& frame, size_t quantity);

// At most `most` frames: the first, the last, those with details as far as half of the room goes, evenly, and from
// equal groups of all each time the most extreme.
std::vector<const record::Frame*> thinned(const std::vector<record::Frame>& frames, size_t most);

// About `most` points: the first, the last, of each equal group the one with the lowest loss and the one with the
// highest (or with none), and the last until each of these steps.
std::vector<const record::Point*> thinned(const std::vector<record::Point>& points, size_t most,
                                          const std::vector<int64_t>& steps);

// How many frames of each board fit into this many bytes together.
size_t frames_that_fit(const std::vector<const record::Board*>& boards, double most_bytes);

// At most `most` of them, evenly, with the first and the last.
template <class T>
std::vector<const T*> some(const std::vector<T>& list, size_t most) {
  std::vector<const T*> out;
  const size_t n = std::min(most, list.size());
  for (size_t i = 0; i < n; ++i) out.push_back(&list[n == 1 ? 0 : i * (list.size() - 1) / (n - 1)]);
  return out;
}

}  // namespace fathom::probe::report
