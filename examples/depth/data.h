// The data: MNIST from a folder, or ten spiral arms, which need no download.
#pragma once
#include <fathom/fathom.h>

#include <cmath>

namespace depth {

// n points on ten interleaved arms of a spiral in the plane, carried into 64 dimensions by a random linear map, with
// noise: x f32 (n, 64), y i64 (n), the arm. No line, and no shallow net soon, separates the arms.
inline fathom::io::Dataset spirals(int64_t n, fathom::Rng rng) {
  using namespace fathom;
  constexpr int arms = 10, features = 64;
  constexpr double pi = 3.141592653589793, turns = 0.75, noise = 0.02;
  Rng map_rng(0, 1);  // one map for training and test
  double map[2][features];
  for (auto& row : map)
    for (double& m : row) m = map_rng.normal();

  std::vector<float> x(size_t(n) * features);
  std::vector<int64_t> y(size_t(n), 0);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t arm = i % arms;
    const double radius = 0.2 + 0.8 * rng.uniform();
    const double angle = 2 * pi * (double(arm) / arms + turns * radius);
    const double a = radius * std::cos(angle), b = radius * std::sin(angle);
    for (int j = 0; j < features; ++j)
      x[size_t(i) * features + j] = float(a * map[0][j] + b * map[1][j] + noise * rng.normal());
    y[size_t(i)] = arm;
  }
  return {from_data(x, {n, features}), from_data(y, {n})};
}

inline fathom::io::Split load(const std::string& folder) {
  if (!folder.empty()) return fathom::io::mnist(folder);
  return {spirals(8000, fathom::Rng(0, 2)), spirals(2000, fathom::Rng(0, 3))};
}

}  // namespace depth
