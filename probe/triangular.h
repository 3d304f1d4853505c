// Products of small upper triangular matrices, of any number of decades. Internal to the probes.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>  // greater
#include <vector>

#include "fathom/tensor/kernels/lapack.h"
#include "fathom/tensor/kernels/reduce.h"

namespace fathom::probe {

// A small upper triangular matrix (k, k) that is a product of many: 10^scale times its numbers.
class Factor {
 public:
  explicit Factor(int64_t k) : k_(k), numbers_(size_t(k * k), 0.0) {
    for (int64_t i = 0; i < k; ++i) numbers_[size_t(i * k + i)] = 1;
  }
  void multiply(const std::vector<double>& r) {  // from the left
    std::vector<double> product(numbers_.size(), 0.0);
    double largest = 0;
    for (int64_t i = 0; i < k_; ++i)
      for (int64_t j = i; j < k_; ++j)
        for (int64_t c = j; c < k_; ++c)
          product[size_t(i * k_ + c)] += r[size_t(i * k_ + j)] * numbers_[size_t(j * k_ + c)];
    for (double x : product) largest = std::isnan(x) ? x : std::max(largest, std::abs(x));
    if (largest > 0 && std::isfinite(largest)) {
      scale_ += std::log10(largest);
      for (double& x : product) x /= largest;
    }
    numbers_ = std::move(product);
  }
  double log10_norm() const {
    std::vector<double> copy = numbers_, values(size_t(k_), 0.0);
    kernel::singular_values(k_, k_, copy.data(), values.data());
    return scale_ + std::log10(values[0]);
  }
  // Of the columns of r from `first` on, the one that becomes largest.
  double log10_largest_image(const std::vector<double>& r, int64_t first) const {
    double largest = 0;
    for (int64_t c = first; c < k_; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < k_; ++i) {
        double part = 0;
        for (int64_t j = i; j < k_; ++j) part += numbers_[size_t(i * k_ + j)] * r[size_t(j * k_ + c)];
        sum += part * part;
      }
      largest = std::max(largest, sum);
    }
    return scale_ + std::log10(largest) / 2;
  }

 private:
  int64_t k_;
  std::vector<double> numbers_;
  double scale_ = 0;
};

// Rows t_i of norm 1 times exp(e_i): a matrix whose rows may lie any number of decades apart.
class GradedRows {
 public:
  explicit GradedRows(int64_t k) : k_(k), rows_(size_t(k * k), 0.0), exponents_(size_t(k), 0.0) {
    for (int64_t i = 0; i < k; ++i) row(i)[i] = 1;
  }
  void multiply(const std::vector<double>& r) {  // from the left, by an upper triangular matrix
    for (int64_t i = 0; i < k_; ++i) {           // row i is made of itself and of what is below it
      double top = -INFINITY;
      for (int64_t j = i; j < k_; ++j)
        if (r[size_t(i * k_ + j)] != 0) top = std::max(top, exponents_[size_t(j)]);
      std::vector<double> sum(size_t(k_), 0.0);
      for (int64_t j = i; j < k_ && top > -INFINITY; ++j) {
        const double factor = r[size_t(i * k_ + j)] * std::exp(exponents_[size_t(j)] - top);
        for (int64_t c = 0; c < k_; ++c) sum[size_t(c)] += factor * row(j)[c];
      }
      std::copy(sum.begin(), sum.end(), row(i));
      exponents_[size_t(i)] = top;
      normalise(i);
    }
  }
  // The logarithms of the singular values, descending, by one-sided Jacobi rotations of the rows (Demmel & Veselic
  // 1992). A pair a, rho b: tan of the angle is rho tau, which is Gram-Schmidt where rho is nothing.
  std::vector<double> log_singular_values() {
    bool turned = true;
    for (int sweep = 0; turned && sweep < 60; ++sweep) {
      turned = false;
      for (int64_t p = 0; p < k_; ++p)
        for (int64_t q = p + 1; q < k_; ++q) turned |= rotate(p, q);
    }
    std::vector<double> values = exponents_;
    std::sort(values.begin(), values.end(), std::greater<>());
    return values;
  }

 private:
  double* row(int64_t i) { return rows_.data() + i * k_; }
  void normalise(int64_t i) {
    const double norm = std::sqrt(kernel::dot(row(i), row(i), k_));
    exponents_[size_t(i)] += std::log(norm);
    if (norm > 0)
      for (int64_t c = 0; c < k_; ++c) row(i)[c] /= norm;
  }
  bool rotate(int64_t i, int64_t j) {
    if (exponents_[size_t(i)] < exponents_[size_t(j)]) std::swap(i, j);
    double *a = row(i), *b = row(j);
    const double g = kernel::dot(a, b, k_);
    if (!(std::abs(g) > 1e-15)) return false;
    const double rho = std::exp(exponents_[size_t(j)] - exponents_[size_t(i)]), z = (rho * rho - 1) / (2 * g);
    const double tau = (z < 0 ? -1 : 1) / (std::abs(z) + std::sqrt(rho * rho + z * z));
    const double c = 1 / std::sqrt(1 + rho * tau * rho * tau);
    for (int64_t k = 0; k < k_; ++k) {
      const double x = a[k], y = b[k];
      a[k] = c * (x - rho * rho * tau * y);
      b[k] = c * (tau * x + y);
    }
    normalise(i);
    normalise(j);
    return true;
  }

  int64_t k_;
  std::vector<double> rows_, exponents_;
};

}  // namespace fathom::probe
