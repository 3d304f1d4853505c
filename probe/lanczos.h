// Golub-Kahan-Lanczos bidiagonalisation of each sample's Jacobian (Golub & Kahan 1965): J V = U B and
// J^T U = V B^T + beta v e^T, B upper bidiagonal, with full reorthogonalisation, in f64. Internal to the probes.
#pragma once
#include "fathom/probe/jacobian.h"

namespace fathom::probe {

// See sigma.cpp.
double least_part(int64_t n, double chance);

class Lanczos {
 public:
  // Each sample of start has norm 1.
  Lanczos(const Jacobian& jacobian, const Tensor& start, Rng& rng);

  void step();  // one product with J, one with its transpose
  int64_t steps() const { return steps_; }
  bool exhausted() const;  // what is left to find is zero

  // Of sample i: all singular values of B, descending: lower bounds of J's, in their order. With each the norm of
  // J^T u - s v. One number that is not finite where a product was not.
  struct Ritz {
    pool::vector<double> values, residuals;
  };
  Ritz ritz(int64_t i) const;
  // The largest alone, in far less time; `right` is its right singular vector of B.
  struct Top {
    double sigma, residual;
    pool::vector<double> right;
  };
  Top top(int64_t i) const;

  // Whether the largest singular value of sample i is below x, x above all of B's, if the start's part along its vector
  // is at least `part`: a measure with the moments seen has mass 1 / sum_j p_j(x^2)^2 at most at x^2, p_j being its
  // orthonormal polynomials.
  bool is_below(double x, int64_t i, double part) const;
  // The least such x, a little rounded up.
  double upper(int64_t i, double sigma, double part) const;

  // Of x's shape: for each sample the right singular vector of J that belongs to its largest value.
  Tensor directions(const std::vector<Top>& tops) const;

 private:
  double alpha(int64_t j, int64_t i) const { return alpha_[size_t(j * batch_ + i)] / size_[size_t(i)]; }
  double beta(int64_t j, int64_t i) const { return beta_[size_t(j * batch_ + i)] / size_[size_t(i)]; }
  void complete(double* w, int64_t i, double& norm, double size, const pool::vector<double>& basis, int64_t count,
                int64_t n);

  const Jacobian& jacobian_;
  Rng& rng_;
  int64_t batch_, in_, out_, steps_ = 0;
  double eps_;
  pool::vector<double> v_, u_;         // (steps + 1, batch, in), (steps, batch, out)
  pool::vector<double> alpha_, beta_;  // (steps, batch)
  pool::vector<double> size_;          // (batch): the largest alpha or beta yet
  pool::vector<double> not_finite_;    // (batch): zero, or what came
};

}  // namespace fathom::probe
