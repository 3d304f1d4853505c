#include "fathom/probe/mean_field.h"

#include <cmath>
#include <numbers>

#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/recording.h"

namespace fathom::probe::mean_field {
namespace {

struct Averages {
  double square, slope_square;  // of phi and of its derivative
};
// By the midpoint rule: no point is at 0, where an activation may bend, and for smooth functions it converges
// faster than any power of the distance.
Averages averages(Activation phi, double q) {
  if (!(q >= 0 && std::isfinite(q))) throw Error("mean_field: a variance q of " + std::to_string(q));
  constexpr int64_t points = 1000;
  constexpr double distance = 20.0 / points;
  const Recording on(true);
  const Tensor z = (arange(points).to(f64) + (0.5 - points / 2)) * distance;
  const Tensor x = (z * std::sqrt(q)).requires_grad_();
  const Tensor y = phi(x);
  if (y.shape() != x.shape())
    throw Error("mean_field: phi is not pointwise: it makes " + to_string(y.shape()) + " of " + to_string(x.shape()));
  const Tensor slope = grad(sum(y), x);
  const NoGrad off;
  const Tensor weight = exp(square(z) * -0.5) * (distance / std::sqrt(2 * std::numbers::pi));
  return {sum(weight * square(y)).item(), sum(weight * square(slope)).item()};
}

}  // namespace

double length_map(Activation phi, double q, Ensemble e) {
  return e.sigma_w * e.sigma_w * averages(phi, q).square + e.sigma_b * e.sigma_b;
}
double chi(Activation phi, double q, double sigma_w) { return sigma_w * sigma_w * averages(phi, q).slope_square; }

FixedPoint fixed_point(Activation phi, Ensemble e) {
  double q = 1, moved = 1;
  for (int i = 0; i < 1000 && q < 1e100 && moved > 1e-12 * q + 1e-16; ++i) {
    const double once = length_map(phi, q, e), twice = length_map(phi, once, e);
    const double first = once - q, second = twice - once;
    const double leap = q - first * first / (second - first);  // Aitken 1926
    const double next = std::abs(second) < std::abs(first) && leap >= 0 ? leap : twice;
    moved = std::abs(next - q);
    q = next;
  }
  if (!(moved <= 1e-12 * q + 1e-16))
    throw Error("mean_field: the lengths have no fixed point at sigma_w " + std::to_string(e.sigma_w) + ", sigma_b " +
                std::to_string(e.sigma_b));
  const double growth = chi(phi, q, e.sigma_w);
  return {q, growth, 1 / std::abs(std::log(growth))};
}

// Both sigmas follow from q: chi = 1 gives sigma_w, the fixed point sigma_b.
Critical critical(Activation phi, double sigma_b) {
  const auto too_far = [&](double q) {
    const Averages mean = averages(phi, q);
    return q - mean.square / mean.slope_square > sigma_b * sigma_b;
  };
  double low = 0, high = 1;
  while (!too_far(high) && high < 1e4) low = high, high *= 2;
  if (!too_far(high)) throw Error("mean_field: no critical point at sigma_b " + std::to_string(sigma_b));
  for (double middle = (low + high) / 2; low < middle && middle < high; middle = (low + high) / 2)
    (too_far(middle) ? high : low) = middle;
  return {1 / std::sqrt(averages(phi, low).slope_square), low};
}

}  // namespace fathom::probe::mean_field
