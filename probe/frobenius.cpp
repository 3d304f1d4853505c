#include "fathom/probe/jacobian.h"
#include "fathom/probe/samples.h"
#include "fathom/tensor/kernels/gemm.h"
#include "fathom/tensor/kernels/reduce.h"

namespace fathom::probe {
namespace {

// Where exp(m / 2 (1 - q + log q)) is `chance`, below 1 or above: Chernoff's bound says that the mean of m squares
// |J^T u|^2, u random directions, lies below q |J|^2, or above it, with that probability at most. J of rank 1 is the
// worst case, since prod(1 + c l) >= 1 + c sum(l); if no sigma^2 exceeds a part r of |J|^2, m / r takes m's place.
double extreme(double m, double chance, bool below) {
  const double target = -2 * std::log(chance) / m;  // q - 1 - log q
  double low = below ? std::exp(-1 - target) : 1, high = below ? 1 : 2 * (1 + target) + 2;
  for (int k = 0; k < 100; ++k) {
    const double q = (low + high) / 2;
    ((q - 1 - std::log(q) > target) == below ? low : high) = q;
  }
  return below ? low : high;
}

// Of |J|^2, in units in which the mean of m probes is `mean` and sigma the largest singular value at most.
struct Interval {
  double low, high;
};
Interval narrowed(Interval at, double mean, double m, double sigma) {
  for (int k = 0; k < 20; ++k) {
    const double part = sigma * sigma / at.low;  // of what the square is at least: no sigma^2 exceeds it
    if (!(part < 1)) break;
    at.low = std::max(at.low, mean / extreme(m / part, chance_of_error / 8, false));
    at.high = std::min(at.high, mean / extreme(m / part, chance_of_error / 8, true));
  }
  return at;
}

}  // namespace

std::optional<pool::vector<double>> Jacobian::norms_by_formula() const {
  const Factors* known = factors();
  if (!known) return {};
  const Tensor &after = known->after, &before = known->before, weight = known->weight();
  if (!weight.defined()) return norms_of(after, axis_);
  pool::vector<double> sums(size_t(batch_), 0.0);
  if (axis_ >= 0 && axis_ == x_shape_.rank - 1) return {};  // samples lie across the rows
  const int64_t out = weight.shape()[0], in = weight.shape()[1], rows = in ? x_shape_.numel() / in : 0;
  int64_t inner = 1;  // rows from one sample to the next
  for (int d = axis_ + 1; axis_ >= 0 && d + 1 < x_shape_.rank; ++d) inner *= x_shape_[d];
  visit_floating("Jacobian", weight.dtype(), [&]<class T>(T) {
    const T *w = weight.data<T>(), *a = after.defined() ? after.data<T>() : nullptr,
            *b = before.defined() ? before.data<T>() : nullptr;
    // Squares of the norms of W's rows, of W diag(before)'s for each row of numbers.
    const int64_t sets = b ? rows : 1;
    pool::vector<T> norms(size_t(sets * out));
    if (b) {
      pool::vector<T> ww(size_t(out * in)), bb(size_t(rows * in));
      for (size_t k = 0; k < ww.size(); ++k) ww[k] = w[k] * w[k];
      for (size_t k = 0; k < bb.size(); ++k) bb[k] = b[k] * b[k];
      kernel::gemm<T>(rows, out, in, {bb.data(), in}, {ww.data(), in, true}, norms.data());
    } else {
      for (int64_t o = 0; o < out; ++o) norms[size_t(o)] = T(kernel::sum_of_squares(w + o * in, in));
    }
    for (int64_t r = 0; r < rows; ++r) {
      const T* n = norms.data() + (b ? r * out : 0);
      sums[size_t(r / inner % batch_)] +=
          a ? kernel::sum_of(a + r * out, n, out, [](auto x, auto norm) { return x * x * norm; }) : kernel::sum(n, out);
    }
  });
  const double least = x_dtype_ == f64 ? 1e-250 : 1e-25;
  for (double& s : sums) {
    if (!(s > least && s < 1 / least)) return {};  // out of range, or not finite
    s = std::sqrt(s);
  }
  return sums;
}

Estimate Jacobian::frobenius(const FrobeniusOptions& options) const {
  const Timer timer;
  if (options.probes < 1)
    throw Error("Jacobian: frobenius: " + std::to_string(options.probes) + " probes, at least 1 is needed");
  if (options.sigma_upper.defined() &&
      (options.sigma_upper.shape() != per_sample({}) || options.sigma_upper.dtype() != f64))
    throw Error("Jacobian: frobenius: sigma_upper of shape " + to_string(options.sigma_upper.shape()) + " and " +
                to_string(options.sigma_upper.dtype()) + ", not " + to_string(per_sample({})) + " and f64");
  const auto exact = [&](pool::vector<double> norms, const char* method) {
    for (double& norm : norms) norm *= options.squared ? norm : 1;
    const Tensor value = tensor_of(norms, per_sample({}));
    return Estimate{value, kernel::full(per_sample({}), 0, f64), value, value, method};
  };
  auto known = norms_by_formula();
  Estimate result = known ? exact(std::move(*known), "formula")
                    : std::min(outputs_, inputs_) <= options.exact_below
                        ? exact(norms_of(matrix(), batched() ? 0 : -1), "matrix")
                        : frobenius_by_probes(options);
  result.seconds = timer.seconds();
  return result;
}

Estimate Jacobian::frobenius_by_probes(const FrobeniusOptions& options) const {
  const size_t n = size_t(batch_);
  const double m = double(options.probes), root = std::sqrt(double(outputs_));
  pool::vector<double> scale(n), sum(n, 0.0), squares(n, 0.0);  // in units of the first probe's square
  const Tensor u(y_shape_, y_dtype_);
  for (int64_t p = 0; p < options.probes; ++p) {
    for (int64_t i = 0; i < batch_; ++i) draw_direction(u, axis_, i, rng_);
    const pool::vector<double> norms = norms_of(apply_transposed(u), axis_);
    for (size_t i = 0; i < n; ++i) {
      if (scale[i] == 0) scale[i] = norms[i] * root;
      const double part = scale[i] == 0 ? 0 : norms[i] * root / scale[i];
      sum[i] += part * part;
      squares[i] += part * part * part * part;
    }
  }
  Estimate result;
  for (Tensor* each : {&result.value, &result.standard_error, &result.lower, &result.upper})
    *each = Tensor(per_sample({}), f64);
  const double least = 1 / extreme(m, chance_of_error / 8, false), most = 1 / extreme(m, chance_of_error / 8, true);
  for (size_t i = 0; i < n; ++i) {
    const double mean = sum[i] / m;
    Interval at{mean * least, mean * most};
    if (options.sigma_upper.defined() && scale[i] > 0)
      at = narrowed(at, mean, m, options.sigma_upper.data<double>()[i] / scale[i]);
    const auto put = [&](const Tensor& to, double square) {
      const double norm = std::sqrt(square);
      to.data<double>()[i] = options.squared ? scale[i] * scale[i] * norm * norm : scale[i] * norm;
    };
    put(result.value, mean);
    put(result.lower, at.low);
    put(result.upper, at.high);
    // The variance of one probe is at most 2 tr(J^T J)^2.
    const double spread =
        options.probes > 1 ? std::sqrt(std::max(0.0, squares[i] / m - mean * mean) / (m - 1)) : std::sqrt(2.0) * mean;
    result.standard_error.data<double>()[i] = options.squared ? scale[i] * scale[i] * spread
                                              : mean == 0     ? 0
                                                              : scale[i] * spread / (2 * std::sqrt(mean));
  }
  result.method = "hutchinson";
  result.confidence = 1 - chance_of_error;
  return result;
}

}  // namespace fathom::probe
