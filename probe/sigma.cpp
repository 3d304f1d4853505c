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
  const bool all = all_between(0, norms, infinity);
  for (size_t i = 0; !all && i < norms.size(); ++i)
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
  const Factors* known = factors();
  const auto by_iteration = [&] {
    const bool power =
        options.method == SigmaMethod::power || (options.method == SigmaMethod::chosen && options.start.defined());
    Sigma sigma = power ? sigma_by_power(options) : sigma_by_lanczos(options);
    if (options.upper) bound_by_frobenius(sigma);
    return sigma;
  };
  Sigma result = same_for_all()           ? sigma_of_first(options)
                 : known && !known->layer ? sigma_of_diagonal(known->after)
                                          : by_iteration();
  result.seconds = timer.seconds();
  return result;
}

// Of a Jacobian that all samples share.
Sigma Jacobian::sigma_of_first(const SigmaOptions& options) const {
  const Jacobian first(*this, First());
  SigmaOptions of_first = options;
  if (options.start.defined()) of_first.start = options.start.slice(axis_, 0, 1);
  Sigma result = first.sigma_max(of_first);
  rng_ = first.rng_;
  for (Tensor* each : {&result.sigma, &result.residual, &result.upper}) *each = for_each_sample(*each);
  result.direction = for_each_sample(result.direction, axis_);
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

}  // namespace

// What one product with J and one with its transpose make of directions v, u = J v / |J v|.
struct Jacobian::Round {
  Tensor w;                       // J^T u, but for a factor of each sample
  pool::vector<double> norms;     // of w
  pool::vector<double> stretch;   // |J v|
  pool::vector<double> sigma;     // |J^T u|
  pool::vector<double> residual;  // |J^T u - stretch v|
};

Jacobian::Round Jacobian::round_of(const Tensor& v) const {
  const Factors* known = factors();
  const Tensor after = known ? known->after : Tensor();  // it goes into the passes over u
  const auto times = [&](const Tensor& x, bool transposed) {
    if (known) return known->times(x, transposed, false);
    return transposed ? apply_transposed(x) : apply(x);
  };
  const auto owned = [](Tensor x) { return x.owned() && x.is_contiguous() ? x : kernel::clone(x); };
  Tensor u = times(v, false);
  const auto scale = [&](auto f) {
    if (!after.defined()) return;
    visit_floating("Jacobian", y_dtype_,
                   [&]<class T>(T) { kernel::map_row(f, u.numel(), u.data<T>(), u.data<T>(), after.data<T>()); });
  };
  pool::vector<double> stretch = after.defined() ? norms_of_product(u, after, axis_) : norms_of(u, axis_);
  const size_t n = size_t(batch_);
  pool::vector<double> factors(n);  // w times them is J^T u / |J v|
  const bool usual = all_between(1e-12, stretch, 1e12);
  if (usual) {  // u's length may stay
    for (size_t i = 0; i < n; ++i) factors[i] = 1 / (stretch[i] * stretch[i]);
    scale([](auto a, auto b) { return a * b * b; });
  } else {
    const pool::vector<double> lengths = or_one(stretch);
    factors = reciprocals(lengths);
    u = owned(std::move(u));
    scale([](auto a, auto b) { return a * b; });
    divide_samples(u, axis_, lengths);
    scale([](auto a, auto b) { return a * b; });
  }
  Tensor w = owned(times(u, true));

  pool::vector<double> norms(n), sigma(n), residual(n);
  visit_floating("Jacobian", x_dtype_, [&]<class T>(T) {
    const auto of_sample = [&](int64_t i) {
      return std::tuple([](auto a, auto) { return a * a; },
                        [f = T(factors[size_t(i)])](auto a, auto b) { return (f * a - b) * (f * a - b); });
    };
    Layout(x_shape_, axis_).sums(w.data<T>(), v.data<T>(), of_sample, {norms.data(), residual.data()});
  });
  norms = norms_from(std::move(norms), [&] { return norms_of(w, axis_); });
  for (size_t i = 0; i < n; ++i) {
    sigma[i] = norms[i] * (stretch[i] * factors[i]);
    residual[i] = std::sqrt(residual[i]) * stretch[i];
  }
  for (size_t i = 0; !usual && i < n; ++i)
    if (!(stretch[i] > 0 && std::isfinite(stretch[i]))) {
      sigma[i] = residual[i] = stretch[i];
      norms[i] = 0;
    }
  return {std::move(w), std::move(norms), std::move(stretch), std::move(sigma), std::move(residual)};
}

Sigma Jacobian::sigma_by_power(const SigmaOptions& options) const {
  double part;
  Tensor v = start_of(options, part);
  const size_t n = size_t(batch_);
  const bool empty = inputs_ == 0 || outputs_ == 0;
  pool::vector<double> sigma(empty ? n : 0), residual = sigma, growth(options.upper ? n : 0);  // log |(J^T J)^k v|
  Sigma result;
  result.method = "power", result.bound = "none";
  for (bool done = empty; !done;) {
    Round round = round_of(v);
    sigma = std::move(round.sigma), residual = std::move(round.residual);
    const auto settled = [&](double r, double stretch) { return !(r > options.tolerance * stretch); };  // or is NaN
    for (size_t i = 0; options.upper && i < n; ++i) growth[i] += std::log(round.stretch[i]) + std::log(sigma[i]);
    done = ++result.iterations >= options.iterations ||
           std::equal(residual.begin(), residual.end(), round.stretch.begin(), settled);
    v = std::move(round.w);
    make_directions(v, axis_, std::move(round.norms), rng_);
  }
  result.upper = kernel::full(per_sample({}), empty ? 0 : infinity, f64);
  if (options.upper && part > 0) {
    double* const upper = result.upper.data<double>();
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
  result.direction = std::move(v);
  return result;
}

}  // namespace fathom::probe
