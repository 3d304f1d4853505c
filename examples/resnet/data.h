// The data: MNIST from a folder, or images drawn here, which need no download.
#pragma once
#include <fathom/fathom.h>

#include <cmath>

namespace resnet {

// n noisy images of 28 by 28, each with a shape at a random place: a horizontal bar, a vertical one, either diagonal,
// or a ring; y is which.
inline fathom::io::Dataset shapes(int64_t n, fathom::Rng rng) {
  using namespace fathom;
  constexpr int size = 28;
  std::vector<float> x(size_t(n) * size * size);
  std::vector<int64_t> y(size_t(n), 0);
  for (int64_t k = 0; k < n; ++k) {
    const int64_t kind = y[size_t(k)] = k % 5;
    const double row = 8 + 12 * rng.uniform(), column = 8 + 12 * rng.uniform(), radius = 4 + 3 * rng.uniform();
    for (int i = 0; i < size; ++i)
      for (int j = 0; j < size; ++j) {
        const double a = i - row, b = j - column, far = std::hypot(a, b);
        const double from[] = {std::abs(a), std::abs(b), std::abs(a - b) / std::sqrt(2.0),
                               std::abs(a + b) / std::sqrt(2.0), std::abs(far - radius)};
        const double ink = from[kind] < 1.2 && far < radius + 1.2 ? 1 : 0;
        x[(size_t(k) * size + size_t(i)) * size + size_t(j)] = float(ink + 0.3 * rng.normal());
      }
  }
  return {from_data(x, {n, size * size}), from_data(y, {n})};
}

inline fathom::io::Split load(const std::string& folder) {
  if (!folder.empty()) return fathom::io::mnist(folder);
  return {shapes(2000, fathom::Rng(0, 2)), shapes(500, fathom::Rng(0, 3))};
}

}  // namespace resnet
