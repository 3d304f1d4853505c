// Two moons: half of the points on an upper half circle, half on a lower one that reaches into it, plus normal noise.
#pragma once
#include <fathom/fathom.h>

#include <cmath>
#include <numbers>  // pi

namespace moons {

struct Point {
  double x, y;
};
inline Point on_arc(bool lower, double angle) {
  if (lower) return {1 - std::cos(angle), 0.5 - std::sin(angle)};
  return {std::cos(angle), std::sin(angle)};
}

// (n, 2)
inline fathom::Tensor draw(int64_t n, double noise, fathom::Rng& rng) {
  const fathom::Tensor points({n, 2}, fathom::f32);
  float* to = points.data<float>();
  for (int64_t i = 0; i < n; ++i) {
    const bool lower = rng.uniform() < 0.5;
    const Point p = on_arc(lower, std::numbers::pi * rng.uniform());
    to[2 * i] = float(p.x + noise * rng.normal());
    to[2 * i + 1] = float(p.y + noise * rng.normal());
  }
  return points;
}

// The logarithm of the true density: the mean, over both arcs and all angles, of the normal density around the arc's
// point. By the midpoint rule on pieces of 1/20 of the least noise and less, where it is exact to rounding but for the
// arcs' ends.
inline double log_density(double x, double y, double noise) {
  constexpr int pieces = 3000;
  double largest = -INFINITY, exponents[2 * pieces];
  for (int i = 0; i < 2 * pieces; ++i) {
    const Point p = on_arc(i % 2, std::numbers::pi * (i / 2 + 0.5) / pieces);
    const double dx = x - p.x, dy = y - p.y;
    exponents[i] = -(dx * dx + dy * dy) / (2 * noise * noise);
    largest = std::max(largest, exponents[i]);
  }
  double sum = 0;
  for (const double e : exponents) sum += std::exp(e - largest);
  return largest + std::log(sum / (2 * pieces)) - std::log(2 * std::numbers::pi * noise * noise);
}
// The same of each of the points (n, 2): f64 (n).
inline fathom::Tensor log_density(const fathom::Tensor& points, double noise) {
  const fathom::Tensor out({points.size(0)}, fathom::f64);
  const std::vector<double> at = points.to_vector();
  fathom::parallel(out.numel(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      out.data<double>()[i] = log_density(at[size_t(2 * i)], at[size_t(2 * i + 1)], noise);
  });
  return out;
}

}  // namespace moons
