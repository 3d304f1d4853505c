#include <algorithm>  // any_of
#include <limits>
#include <span>

#include "fathom/probe/jacobian.h"
#include "fathom/probe/lanczos.h"
#include "fathom/probe/samples.h"
#include "fathom/tensor/kernels/lapack.h"
#include "fathom/tensor/parallel.h"

namespace fathom::probe {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// Those of each matrix of a batch.
void singular_values_of(const Tensor& matrices, int64_t batch, int64_t rows, int64_t columns, double* values) {
  visit_floating("Jacobian", matrices.dtype(), [&]<class T>(T) {
    const T* all = matrices.data<T>();
    parallel(batch, rows * columns < 64 ? 64 : 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* numbers = all + i * rows * columns;
        std::vector<T> m(numbers, numbers + rows * columns);
        kernel::singular_values(rows, columns, m.data(), values + i * std::min(rows, columns));
      }
    });
  });
}

double ratio(double largest, double smallest) { return smallest == 0 ? infinity : largest / smallest; }

// The rows of (rows, columns) that hold something other than zeros.
int64_t active_rows_of(const Tensor& matrices, int64_t i, int64_t rows, int64_t columns) {
  return visit_floating("Jacobian", matrices.dtype(), [&]<class T>(T) {
    const T* m = matrices.data<T>() + i * rows * columns;
    int64_t active = 0;
    for (int64_t r = 0; r < rows; ++r)
      active += std::any_of(m + r * columns, m + (r + 1) * columns, [](T x) { return x != 0; });
    return active;
  });
}

// exp of the entropy of the values over their sum.
double effective_rank_of(std::span<const double> values) {
  double sum = 0, entropy = 0;
  for (double s : values) sum += s;
  for (double s : values)
    if (const double p = s / sum; p > 0) entropy -= p * std::log(p);
  return std::isnan(sum) ? NAN : sum > 0 ? std::exp(entropy) : 0;
}

}  // namespace

Tensor Jacobian::singular_values() const {
  if (same_for_all()) return for_each_sample(Jacobian(*this, First()).singular_values());
  const Tensor matrices = matrix();
  const Tensor values(per_sample({std::min(outputs_, inputs_)}), f64);
  singular_values_of(matrices, batch_, outputs_, inputs_, values.data<double>());
  return values;
}

Tensor Jacobian::condition() const {
  const Tensor values = singular_values();
  const int64_t n = std::min(outputs_, inputs_);
  if (n == 0) throw Error("Jacobian: condition: the Jacobian is empty, " + to_string(per_sample({outputs_, inputs_})));
  Tensor out(per_sample({}), f64);
  for (int64_t i = 0; i < batch_; ++i) {
    const double* s = values.data<double>() + i * n;
    out.data<double>()[i] = ratio(s[0], s[n - 1]);
  }
  return out;
}

Spectrum Jacobian::spectrum(const SpectrumOptions& options) const {
  const Timer timer;
  const int64_t all = std::min(outputs_, inputs_);
  if (all == 0) throw Error("Jacobian: spectrum: the Jacobian is empty, " + to_string(per_sample({outputs_, inputs_})));
  if (options.top < 1)
    throw Error("Jacobian: spectrum: top is " + std::to_string(options.top) + ", at least 1 is needed");
  Spectrum result;
  const std::initializer_list<Tensor*> lists = {&result.values, &result.residuals, &result.upper};
  const std::initializer_list<Tensor*> numbers = {
      &result.sigma_min,        &result.active_rows, &result.sigma_min_active, &result.condition,
      &result.condition_active, &result.frobenius,   &result.stable_rank,      &result.effective_rank};
  if (same_for_all()) {
    const Jacobian first(*this, First());
    result = first.spectrum(options);
    rng_ = first.rng_;
    for (const auto& tensors : {lists, numbers})
      for (Tensor* each : tensors) *each = for_each_sample(*each);
    result.seconds = timer.seconds();
    return result;
  }
  result.complete = all <= std::max(options.exact_below, options.top);
  const int64_t count = result.complete ? all : options.top;
  for (Tensor* each : lists) *each = kernel::full(per_sample({count}), 0, f64);
  for (Tensor* each : numbers) *each = kernel::full(per_sample({}), NAN, f64);
  if (result.complete) spectrum_by_svd(result);
  else spectrum_by_lanczos(options, result);
  for (int64_t i = 0; i < batch_; ++i) {
    const double largest = result.values.data<double>()[i * count];
    const double r = result.frobenius.data<double>()[i] / largest;
    result.stable_rank.data<double>()[i] = largest == 0 ? 0 : r * r;
  }
  result.seconds = timer.seconds();
  return result;
}

void Jacobian::spectrum_by_svd(Spectrum& result) const {
  const Tensor matrices = matrix();
  const int64_t count = std::min(outputs_, inputs_);
  double* values = result.values.data<double>();
  singular_values_of(matrices, batch_, outputs_, inputs_, values);
  result.upper = result.values;
  result.method = "svd";
  for (int64_t i = 0; i < batch_; ++i, values += count) {
    const auto put = [i](const Tensor& to, double x) { to.data<double>()[i] = x; };
    const int64_t active = active_rows_of(matrices, i, outputs_, inputs_);
    put(result.active_rows, double(active));
    put(result.sigma_min, values[count - 1]);
    put(result.condition, ratio(values[0], values[count - 1]));
    if (active > 0) {
      const double smallest = values[std::min(active, inputs_) - 1];
      put(result.sigma_min_active, smallest);
      put(result.condition_active, ratio(values[0], smallest));
    }
    put(result.frobenius, kernel::norm(values, count));
    put(result.effective_rank, effective_rank_of(std::span(values, size_t(count))));
  }
}

void Jacobian::spectrum_by_lanczos(const SpectrumOptions& options, Spectrum& result) const {
  const int64_t count = options.top, steps = options.iterations > 0 ? options.iterations : 3 * count + 16;
  double part;
  Lanczos lanczos(*this, start_of({}, part), rng_);
  while (lanczos.steps() < std::max(steps, count) && !lanczos.exhausted()) lanczos.step();
  const std::optional<pool::vector<double>> norms = norms_by_formula();
  result.frobenius = frobenius({.exact_below = 0}).value;
  result.method = "lanczos";
  result.confidence = 1 - chance_of_error;
  for (int64_t i = 0; i < batch_; ++i) {
    const Lanczos::Ritz found = lanczos.ritz(i);
    const bool finite = std::isfinite(found.values[0]);
    const double largest = lanczos.upper(i, found.values[0], least_part(inputs_, chance_of_error));
    // Of the sum of squares, for this value and the next.
    double left = norms ? (*norms)[size_t(i)] * (*norms)[size_t(i)] : infinity;
    double *values = result.values.data<double>() + i * count, *upper = result.upper.data<double>() + i * count;
    for (int64_t k = 0; k < count; ++k) {
      const double s = found.values[finite ? size_t(k) : 0];
      values[k] = s;
      result.residuals.data<double>()[i * count + k] = found.residuals[finite ? size_t(k) : 0];
      upper[k] = std::max(s, std::min(largest, std::sqrt(std::max(left, 0.0))));
      left -= s * s;
    }
    result.condition.data<double>()[i] = ratio(values[0], values[count - 1]);
  }
}

}  // namespace fathom::probe
