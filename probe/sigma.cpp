// The largest singular value: by power iteration, and where it is known without.
#include <limits>

#include "fathom/autograd/recording.h"
#include "fathom/probe/jacobian.h"
#include "fathom/probe/samples.h"

namespace fathom::probe {

constexpr double infinity = std::numeric_limits<double>::infinity();

// |c|, c the part of a uniformly random direction of n numbers along a given one, is below this with probability
// `chance` at most: c's density is at most sqrt(n / (2 pi)) near 0.
double least_part(int64_t n, double chance) { return chance * std::sqrt(M_PI / 2 / double(std::max<int64_t>(n, 1))); }

namespace {

// Each sample is divided by its norm; one that has no direction (a zero, a NaN) gets a random one.
void make_directions(const Tensor& x, int axis, pool::vector<double> norms, Rng& rng) {
  for (size_t i = 0; i < norms.size(); ++i)
    if (!(norms[i] > 0 && std::isfinite(norms[i]))) {
      draw_direction(x, axis, int64_t(i), rng);
      norms[i] = 1;
    }
  divide_samples(x, axis, norms);
}

}  // namespace

Sigma Jacobian::sigma_max(const SigmaOptions& options) const {
  const Timer timer;
  const auto refuse = [](const std::string& what) { throw Error("Jacobian: sigma_max: " + what); };
  if (options.iterations < 1) refuse(std::to_string(options.iterations) + " iterations, at least 1 is needed");
  if (!(options.noise >= 0)) refuse("noise is " + std::to_string(options.noise) + ", at least 0 is needed");
  if (!(options.chance > 0 && options.chance < 1))
    refuse("chance is " + std::to_string(options.chance) + ", not between 0 and 1");
  if (options.start.defined()) check_direction("sigma_max", options.start, x_shape_, x_dtype_);
  Sigma result;
  if (const Factors* known = factors(); known && !known->layer) {
    result = sigma_of_diagonal(known->after);
  } else {
    const bool power =
        options.method == SigmaMethod::power || (options.method == SigmaMethod::chosen && options.start.defined());
    result = power ? sigma_by_power(options) : sigma_by_lanczos(options);
    if (options.upper) bound_by_frobenius(result);
  }
  result.seconds = timer.seconds();
  return result;
}

Tensor Jacobian::start_of(const SigmaOptions& options, double& part) const {
  const auto draw_all = [&] {
    Tensor random(x_shape_, x_dtype_);
    for (int64_t i = 0; i < batch_; ++i) draw_direction(random, axis_, i, rng_);
    return random;
  };
  part = 1;
  const bool noisy = options.upper && options.noise > 0;
  // Of 1 or 2 numbers a shifted random direction is not most likely near its middle, and a start is worth nothing.
  if (!options.start.defined() || (noisy && inputs_ < 3)) return draw_all();

  Tensor v = contiguous_of(options.start);
  const double rounding = x_dtype_ == f64 ? 1e-15 : 1e-6;
  const auto normalise = [&] {
    pool::vector<double> norms = norms_of(v, axis_);
    const auto is_one = [&](double norm) { return std::abs(norm - 1) < rounding; };
    if (std::all_of(norms.begin(), norms.end(), is_one)) return;
    if (v.is_same(options.start)) v = kernel::clone(v);
    make_directions(v, axis_, std::move(norms), rng_);
  };
  if (!options.unit_start) normalise();
  part = 0;
  if (!noisy) return v;
  const Tensor random = draw_all();
  if (v.is_same(options.start)) v = kernel::clone(v);
  visit_floating("Jacobian", x_dtype_, [&]<class T>(T) {
    T *to = v.data<T>(), *from = random.data<T>();
    for (int64_t k = 0, n = v.numel(); k < n; ++k) to[k] += T(options.noise) * from[k];
  });
  normalise();
  part = options.noise / (1 + options.noise);  // the sum's norm is at most 1 + noise
  return v;
}

void Jacobian::bound_by_frobenius(Sigma& sigma) const {
  const std::optional<pool::vector<double>> norms = norms_by_formula();
  if (!norms) return;
  bool all = true, any = false;
  double *upper = sigma.upper.data<double>(), *lower = sigma.sigma.data<double>();
  for (size_t i = 0; i < norms->size(); ++i) {
    const double bound = (*norms)[i];
    const bool better = bound < upper[i];
    if (better) upper[i] = std::max(bound, lower[i]);
    all &= better || bound == upper[i];
    any |= better;
  }
  if (any && all) sigma.confidence = 1, sigma.bound = "frobenius";
  else if (any) sigma.bound = "random start, frobenius";
}

Sigma Jacobian::sigma_of_diagonal(const Tensor& diagonal) const {
  pool::vector<double> sigma(size_t(batch_), 0.0);
  Tensor direction = kernel::full(x_shape_, 0, x_dtype_);
  const Layout layout(x_shape_, axis_);
  visit_floating("Jacobian", y_dtype_, [&]<class D>(D) {
    visit_floating("Jacobian", x_dtype_, [&]<class T>(T) {
      const D* d = diagonal.data<D>();
      for (int64_t i = 0; i < batch_; ++i) {
        double& largest = sigma[size_t(i)];
        int64_t where = -1;
        layout.pieces(i, [&](int64_t first, int64_t n) {
          for (int64_t k = first; k < first + n; ++k) {
            const double size = std::abs(double(d[k]));
            if (where < 0 || size > largest || std::isnan(size)) where = k;
            if (where == k && !std::isnan(largest)) largest = size;
          }
        });
        if (where >= 0) direction.data<T>()[where] = 1;
      }
    });
  });
  const Tensor values = tensor_of(sigma, per_sample({}));
  for (double& r : sigma) r = r - r;  // zero, or NaN
  Sigma result{values, tensor_of(sigma, per_sample({})), values, std::move(direction)};
  result.method = "diagonal", result.bound = "exact";
  return result;
}

namespace {

pool::vector<double> or_one(pool::vector<double> divisors) {
  for (double& d : divisors)
    if (!(d > 0 && std::isfinite(d))) d = 1;
  return divisors;
}

// |x / divisor - y| of each sample. Requires: of usual size.
pool::vector<double> distances(const Tensor& x, const pool::vector<double>& divisors, const Tensor& y, int axis) {
  const Layout layout(x.shape(), axis);
  pool::vector<double> found(size_t(layout.batch));
  visit_floating("Jacobian", x.dtype(), [&]<class T>(T) {
    layout.sums(x.data<T>(), y.data<T>(), found.data(), [&](int64_t i) {
      return [scale = T(1 / divisors[size_t(i)])](auto a, auto b) { return (scale * a - b) * (scale * a - b); };
    });
  });
  for (double& sum : found) sum = std::sqrt(sum);
  return found;
}

// What one product with J and one with its transpose make of directions v, u = J v / |J v|.
struct Round {
  Tensor w;                      // J^T u, but for a factor of each sample
  pool::vector<double> norms;    // of w
  pool::vector<double> stretch;  // |J v|
  pool::vector<double> scales;   // w / scale is J^T u / |J v|: v where it has converged
  pool::vector<double> changes;  // |w / scale - v|
};
Round round_of(const Jacobian& jacobian, const Tensor& v, int axis) {
  Tensor u = jacobian.apply(v);
  pool::vector<double> stretch = norms_of(u, axis), scales = stretch;
  if (std::all_of(stretch.begin(), stretch.end(), [](double s) { return s > 1e-12 && s < 1e12; })) {
    for (double& s : scales) s *= s;  // u's length may stay
  } else {
    if (!u.owned()) u = kernel::clone(u);
    divide_samples(u, axis, or_one(stretch));
  }
  Tensor w = jacobian.apply_transposed(u);
  if (!w.owned() || !w.is_contiguous()) w = kernel::clone(w);
  scales = or_one(std::move(scales));
  pool::vector<double> norms = norms_of(w, axis), changes = distances(w, scales, v, axis);
  return {std::move(w), std::move(norms), std::move(stretch), std::move(scales), std::move(changes)};
}

}  // namespace

Sigma Jacobian::sigma_by_power(const SigmaOptions& options) const {
  double part;
  Tensor v = start_of(options, part);
  const size_t n = size_t(batch_);
  pool::vector<double> sigma(n, 0.0), residual(n, 0.0), growth(n, 0.0);  // log |(J^T J)^k v|
  Sigma result;
  result.method = "power", result.bound = "none";
  for (bool done = inputs_ == 0 || outputs_ == 0; !done;) {
    Round round = round_of(*this, v, axis_);
    bool converged = true;
    for (size_t i = 0; i < n; ++i) {
      const double s = round.stretch[i];
      if (s > 0 && std::isfinite(s)) {
        sigma[i] = round.norms[i] / round.scales[i] * s;
        residual[i] = round.changes[i] * s;
        if (options.upper) growth[i] += std::log(s) + std::log(sigma[i]);
        converged &= !(round.changes[i] > options.tolerance);  // a NaN is not waited for
      } else {
        sigma[i] = residual[i] = s;
        growth[i] = infinity;
        round.norms[i] = 0;
      }
    }
    done = ++result.iterations >= options.iterations || converged;
    v = std::move(round.w);
    make_directions(v, axis_, std::move(round.norms), rng_);
  }
  pool::vector<double> upper(n, inputs_ && outputs_ ? infinity : 0.0);
  if (options.upper && part > 0) {
    const double k = double(std::max<int64_t>(result.iterations, 1));
    for (size_t i = 0; i < n; ++i)
      if (std::isfinite(growth[i]))  // it is at least log(part sigma^(2k))
        upper[i] =
            std::max(sigma[i], std::exp((growth[i] - std::log(part * least_part(inputs_, options.chance))) / (2 * k)));
      else if (!(sigma[i] > 0 && std::isfinite(sigma[i]))) upper[i] = sigma[i];
    result.confidence = 1 - options.chance, result.bound = "random start";
  }
  result.sigma = tensor_of(sigma, per_sample({}));
  result.residual = tensor_of(residual, per_sample({}));
  result.upper = tensor_of(upper, per_sample({}));
  result.direction = std::move(v);
  return result;
}

}  // namespace fathom::probe
