#include "fathom/probe/lanczos.h"

#include <algorithm>
#include <limits>

#include "fathom/probe/samples.h"
#include "fathom/tensor/kernels/lapack.h"
#include "fathom/tensor/kernels/norm.h"

namespace fathom::probe {
namespace {

using kernel::norm;

void subtract(double c, const double* x, double* from, int64_t n) {
#pragma GCC ivdep
  for (int64_t k = 0; k < n; ++k) from[k] -= c * x[k];
}
void divide(double* x, double c, int64_t n) {
  for (int64_t k = 0; k < n; ++k) x[k] /= c;
}

}  // namespace

Lanczos::Lanczos(const Jacobian& jacobian, const Tensor& start, Rng& rng)
    : jacobian_(jacobian),
      rng_(rng),
      batch_(jacobian.batch()),
      in_(jacobian.inputs()),
      out_(jacobian.outputs()),
      eps_(jacobian.x_dtype_ == f64 && jacobian.y_dtype_ == f64 ? std::numeric_limits<double>::epsilon()
                                                                : std::numeric_limits<float>::epsilon()),
      v_(size_t(batch_ * in_)),
      size_(size_t(batch_), 0.0),
      not_finite_(size_t(batch_), 0.0) {
  v_.reserve(17 * v_.size());
  u_.reserve(size_t(16 * batch_ * out_));
  to_rows(start, jacobian.axis_, v_.data());
}

bool Lanczos::exhausted() const { return steps_ > std::min(in_, out_); }

// w without its parts along `count` rows of the basis, and of norm 1; where next to nothing is left of it, `size` being
// what is much, norm is 0 and w a random direction beyond the basis, or 0 where there is none.
void Lanczos::complete(double* w, int64_t i, double& length, double size, const pool::vector<double>& basis,
                       int64_t count, int64_t n) {
  const auto row = [&](int64_t j) { return basis.data() + (j * batch_ + i) * n; };
  const auto clean = [&] {
    double before = norm(w, n), after = 0;
    for (int pass = 0; pass < 3; ++pass, before = after) {
      for (int64_t j = 0; j < count; ++j) subtract(kernel::dot(w, row(j), n), row(j), w, n);
      after = norm(w, n);
      if (!(after < 0.5 * before)) break;
    }
    return after;
  };
  length = clean();
  if (length > size * eps_ * 4) return divide(w, length, n);
  length = 0;
  std::fill_n(w, n, 0.0);
  if (count >= n) return;
  for (int64_t k = 0; k < n; ++k) w[k] = rng_.normal();
  divide(w, norm(w, n), n);
  if (const double left = clean(); left > 1e-8) divide(w, left, n);
  else std::fill_n(w, n, 0.0);
}

void Lanczos::step() {
  const size_t at = size_t(steps_ * batch_);
  alpha_.resize(at + size_t(batch_)), beta_.resize(at + size_t(batch_));
  u_.resize(u_.size() + size_t(batch_ * out_)), v_.resize(v_.size() + size_t(batch_ * in_));
  const auto v = [&](int64_t k, int64_t i) { return v_.data() + (k * batch_ + i) * in_; };
  const auto u = [&](int64_t k, int64_t i) { return u_.data() + (k * batch_ + i) * out_; };
  const int axis = jacobian_.axis_;

  to_rows(jacobian_.apply(from_rows(v(steps_, 0), jacobian_.x_shape_, jacobian_.x_dtype_, axis)), axis, u(steps_, 0));
  for (int64_t i = 0; i < batch_; ++i) {
    double &alpha = alpha_[at + size_t(i)], &size = size_[size_t(i)], &bad = not_finite_[size_t(i)];
    double* w = u(steps_, i);
    const double image = norm(w, out_);
    if (bad == 0 && !std::isfinite(image)) bad = image;
    if (bad != 0) {
      std::fill_n(w, out_, 0.0);
      alpha = 0;
      continue;
    }
    if (steps_) subtract(beta_[at - size_t(batch_) + size_t(i)], u(steps_ - 1, i), w, out_);
    size = std::max(size, image);
    complete(w, i, alpha, size, u_, steps_, out_);
  }
  to_rows(jacobian_.apply_transposed(from_rows(u(steps_, 0), jacobian_.y_shape_, jacobian_.y_dtype_, axis)), axis,
          v(steps_ + 1, 0));
  for (int64_t i = 0; i < batch_; ++i) {
    double &beta = beta_[at + size_t(i)], &size = size_[size_t(i)], &bad = not_finite_[size_t(i)];
    double* w = v(steps_ + 1, i);
    const double image = norm(w, in_);
    if (bad == 0 && !std::isfinite(image)) bad = image;
    if (bad != 0) {
      std::copy_n(v(steps_, i), in_, w);
      beta = 0;
      continue;
    }
    subtract(alpha_[at + size_t(i)], v(steps_, i), w, in_);
    size = std::max(size, image);
    complete(w, i, beta, size, v_, steps_ + 1, in_);
  }
  ++steps_;
}

Lanczos::Ritz Lanczos::ritz(int64_t i) const {
  if (const double bad = not_finite_[size_t(i)]; bad != 0) return {{bad}, {bad}};
  const size_t k = size_t(steps_);
  Ritz found{pool::vector<double>(k, 0.0), pool::vector<double>(k, 0.0)};
  if (size_[size_t(i)] == 0) return found;
  pool::vector<double> above(k);
  for (size_t j = 0; j < k; ++j) found.values[j] = alpha(int64_t(j), i), above[j] = beta(int64_t(j), i);
  const double last = above[k - 1];
  kernel::bidiagonal_svd(steps_, found.values.data(), above.data(), found.residuals.data());
  for (double& value : found.values) value *= size_[size_t(i)];
  for (double& r : found.residuals) r = std::abs(r) * last * size_[size_t(i)];
  return found;
}

Lanczos::Top Lanczos::top(int64_t i) const {
  if (const double bad = not_finite_[size_t(i)]; bad != 0) return {bad, bad, {}};
  if (size_[size_t(i)] == 0) return {0, 0, {}};
  // x - B^T B = L D L^T, D (j) = x - diagonal (j) - off (j - 1)^2 / D (j - 1): all positive iff x is above.
  const size_t k = size_t(steps_);
  pool::vector<double> diagonal(k), off(k), d(k), y(k, 1.0);
  double low = 0, high = 0;
  for (size_t j = 0; j < k; ++j) {
    const double a = alpha(int64_t(j), i), b = j ? beta(int64_t(j) - 1, i) : 0;
    diagonal[j] = a * a + b * b, off[j] = j + 1 < k ? a * beta(int64_t(j), i) : 0;
    low = std::max(low, diagonal[j]);
    high = std::max(high, diagonal[j] + off[j] + (j ? off[j - 1] : 0));
  }
  const auto above = [&](double x) {
    for (size_t j = 0; j < k; ++j) {
      d[j] = x - diagonal[j] - (j ? off[j - 1] * off[j - 1] / d[j - 1] : 0);
      if (!(d[j] > 0)) return false;
    }
    return true;
  };
  high *= 1 + 1e-15;
  for (int step = 0; step < 60 && high - low > 1e-15 * high; ++step) {
    const double middle = (low + high) / 2;
    (above(middle) ? high : low) = middle;
  }
  while (!above(high)) high *= 1 + 4e-16;
  for (int step = 0; step < 3; ++step) {  // inverse iteration
    for (size_t j = 1; j < k; ++j) y[j] += off[j - 1] / d[j - 1] * y[j - 1];
    for (size_t j = k; j-- > 0;) y[j] = (y[j] + (j + 1 < k ? off[j] * y[j + 1] : 0)) / d[j];
    divide(y.data(), norm(y.data(), steps_), steps_);
  }
  const double s = std::sqrt(high), left = alpha(steps_ - 1, i) * y[k - 1] / s;  // the last of B y / s
  return {s * size_[size_t(i)], std::abs(left * beta(steps_ - 1, i)) * size_[size_t(i)], std::move(y)};
}

bool Lanczos::is_below(double x, int64_t i, double part) const {
  const double most = 1 / (part * part), square = x / size_[size_t(i)] * (x / size_[size_t(i)]);
  double p = 1, before = 0, sum = 1, last = 0, corner = 0;
  for (int64_t j = 0; j < steps_ && sum <= most; ++j) {
    const double a = alpha(j, i), b = beta(j, i), next = (square - a * a - corner) * p - last * before;
    corner = b * b, last = a * b;
    if (last == 0) return next != 0;  // the bidiagonalisation is complete
    before = p, p = next / last;
    sum += p * p;
  }
  return sum > most;
}

double Lanczos::upper(int64_t i, double sigma, double part) const {
  if (!(sigma > 0 && std::isfinite(sigma))) return sigma;
  double excess = 1e-8, inside = 0;
  for (; !is_below(sigma * (1 + excess), i, part) && excess < 1e15; excess *= 4) inside = excess;
  for (int k = 0; k < 12; ++k) {
    const double middle = (inside + excess) / 2;
    (is_below(sigma * (1 + middle), i, part) ? excess : inside) = middle;
  }
  return sigma * (1 + excess) * (1 + 8 * eps_);
}

Tensor Lanczos::directions(const std::vector<Top>& tops) const {
  pool::vector<double> rows(size_t(batch_ * in_), 0.0);
  for (int64_t i = 0; i < batch_; ++i) {
    double* to = rows.data() + i * in_;
    const pool::vector<double>& right = tops[size_t(i)].right;
    for (size_t j = 0; j < right.size(); ++j) subtract(-right[j], v_.data() + (int64_t(j) * batch_ + i) * in_, to, in_);
    const double length = norm(to, in_);
    if (length > 0) divide(to, length, in_);
    else std::copy_n(v_.data() + i * in_, in_, to);
  }
  return from_rows(rows.data(), jacobian_.x_shape_, jacobian_.x_dtype_, jacobian_.axis_);
}

Sigma Jacobian::sigma_by_lanczos(const SigmaOptions& options) const {
  constexpr int64_t most_steps = 64;  // then it begins again, from the best yet
  const size_t n = size_t(batch_);
  const double usual_part = least_part(inputs_, 0.01);
  double part;
  Sigma result;
  result.method = "lanczos", result.bound = "none";
  result.direction = start_of(options, part);
  pool::vector<double> sigma(n, 0.0), residual(n, 0.0), upper(n, inputs_ && outputs_ ? INFINITY : 0.0);
  std::vector<Lanczos::Top> tops(n);
  for (bool done = inputs_ == 0 || outputs_ == 0, first = true; !done; first = false) {
    Lanczos lanczos(*this, result.direction, rng_);
    for (bool again = false; !done && !again;) {
      lanczos.step();
      const int64_t k = lanczos.steps();
      done = ++result.iterations >= options.iterations || lanczos.exhausted();
      again = k == most_steps;
      if (!done && !again && k > 2 && k % (k < 12 ? 2 : 4)) continue;
      bool converged = true;
      for (size_t i = 0; i < n; ++i) {
        tops[i] = lanczos.top(int64_t(i));
        const double s = tops[i].sigma;
        converged &=
            !(s > 0) || !std::isfinite(s) || lanczos.is_below(s * (1 + options.tolerance), int64_t(i), usual_part);
      }
      done |= converged;
    }
    for (size_t i = 0; i < n; ++i) {
      sigma[i] = tops[i].sigma, residual[i] = tops[i].residual;
      if (first && options.upper && part > 0)
        upper[i] = lanczos.upper(int64_t(i), sigma[i], part * least_part(inputs_, options.chance));
    }
    result.direction = lanczos.directions(tops);
  }
  if (options.upper && part > 0) {
    for (size_t i = 0; i < n; ++i) upper[i] = sigma[i] > upper[i] ? sigma[i] : upper[i];
    result.confidence = 1 - options.chance, result.bound = "random start";
  }
  result.sigma = tensor_of(sigma, per_sample({}));
  result.residual = tensor_of(residual, per_sample({}));
  result.upper = tensor_of(upper, per_sample({}));
  return result;
}

}  // namespace fathom::probe
