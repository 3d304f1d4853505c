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

Sigma Jacobian::sigma_max(const SigmaOptions& options) const {
  const Timer timer;
  const auto refuse = [](const std::string& what) { throw Error("Jacobian: sigma_max: " + what); };
  if (options.iterations < 1) refuse(std::to_string(options.iterations) + " iterations, at least 1 is needed");
  if (!(options.noise >= 0)) refuse("noise is " + std::to_string(options.noise) + ", at least 0 is needed");
  if (!(options.chance > 0 && options.chance < 1))
    refuse("chance is " + std::to_string(options.chance) + ", not between 0 and 1");
  if (options.start.defined()) check_direction("sigma_max", options.start, x_shape_, x_dtype_);
  Sigma result;
  const std::optional<Factors> known = factors();
  if (known && !known->weight.defined() && known->after.defined()) {
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

  Tensor v = kernel::clone(options.start);
  const auto normalise = [&] {
    std::vector<double> norms = norms_of(v, axis_);
    for (size_t i = 0; i < norms.size(); ++i)
      if (!(norms[i] > 0 && std::isfinite(norms[i]))) {
        draw_direction(v, axis_, int64_t(i), rng_);
        norms[i] = 1;
      }
    divide_samples(v, axis_, norms);
  };
  normalise();
  part = 0;
  if (!noisy) return v;
  const Tensor random = draw_all();
  visit_floating("Jacobian", x_dtype_, [&]<class T>(T) {
    T *to = v.data<T>(), *from = random.data<T>();
    for (int64_t k = 0, n = v.numel(); k < n; ++k) to[k] += T(options.noise) * from[k];
  });
  normalise();
  part = options.noise / (1 + options.noise);  // the sum's norm is at most 1 + noise
  return v;
}

void Jacobian::bound_by_frobenius(Sigma& sigma) const {
  const std::optional<std::vector<double>> norms = norms_by_formula();
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
  std::vector<double> sigma(size_t(batch_), 0.0);
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

Sigma Jacobian::sigma_by_power(const SigmaOptions& options) const {
  double part;
  Tensor v = start_of(options, part);
  const size_t n = size_t(batch_);
  std::vector<double> sigma(n, 0.0), residual(n, 0.0), growth(n, 0.0);
  Sigma result;
  result.method = "power", result.bound = "none";
  for (bool done = inputs_ == 0 || outputs_ == 0; !done;) {
    Tensor u = apply(v);
    if (!u.owned()) u = kernel::clone(u);
    std::vector<double> stretch = norms_of(u, axis_), divisors = stretch;
    for (double& d : divisors)
      if (!(d > 0 && std::isfinite(d))) d = 1;
    divide_samples(u, axis_, divisors);
    Tensor w = apply_transposed(u);
    if (!w.owned()) w = kernel::clone(w);
    std::vector<double> back = norms_of(w, axis_);
    done = ++result.iterations >= options.iterations;
    bool converged = true;
    for (size_t i = 0; i < n; ++i) {
      const bool good = stretch[i] > 0 && std::isfinite(stretch[i]);
      sigma[i] = good ? back[i] : stretch[i];
      residual[i] = good ? 0 : stretch[i];
      growth[i] += good ? std::log(stretch[i]) + std::log(back[i]) : infinity;
      if (!good) back[i] = 0;
    }
    const Layout layout(x_shape_, axis_);
    visit_floating("Jacobian", x_dtype_, [&]<class T>(T) {
      const T *to = w.data<T>(), *from = v.data<T>();
      for (int64_t i = 0; i < batch_; ++i) {
        const double s = stretch[size_t(i)];
        if (!(s > 0 && std::isfinite(s))) continue;
        double sum = 0;  // of squares, in units of s
        const double scale = 1 / s;
        layout.pieces(i, [&](int64_t first, int64_t count) {
          const T *a = to + first, *b = from + first;
#pragma omp simd reduction(+ : sum)
          for (int64_t k = 0; k < count; ++k) {
            const double difference = double(a[k]) * scale - double(b[k]);
            sum += difference * difference;
          }
        });
        residual[size_t(i)] = std::sqrt(sum) * s;
        converged &= !(residual[size_t(i)] > options.tolerance * s);  // a NaN is not waited for
      }
    });
    done |= converged;
    v = std::move(w);
    for (size_t i = 0; i < n; ++i)  // what has no direction (a zero, a NaN) gets a random one
      if (!(back[i] > 0 && std::isfinite(back[i]))) {
        draw_direction(v, axis_, int64_t(i), rng_);
        back[i] = 1;
      }
    divide_samples(v, axis_, back);
  }
  // |(J^T J)^k v| >= part sigma^(2k)
  std::vector<double> upper(n, inputs_ && outputs_ ? infinity : 0.0);
  if (options.upper && part > 0) {
    for (size_t i = 0; i < n; ++i) {
      const double k = double(std::max<int64_t>(result.iterations, 1));
      if (std::isfinite(growth[i]))
        upper[i] =
            std::max(sigma[i], std::exp((growth[i] - std::log(part * least_part(inputs_, options.chance))) / (2 * k)));
      else if (!(sigma[i] > 0 && std::isfinite(sigma[i]))) upper[i] = sigma[i];
    }
    result.confidence = 1 - options.chance, result.bound = "random start";
  }
  result.sigma = tensor_of(sigma, per_sample({}));
  result.residual = tensor_of(residual, per_sample({}));
  result.upper = tensor_of(upper, per_sample({}));
  result.direction = std::move(v);
  return result;
}

}  // namespace fathom::probe
