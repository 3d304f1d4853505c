// What the probes return: plain numbers, each with what is known of its error. All tensors are f64 and of each sample:
// (batch), or rank 0 where there is no batch; with << they print as tables.
//   1. An upper (or, of an estimate, lower) bound holds for each sample with probability `confidence` over the random
//      directions, whatever the matrix: 1 is rigorous, else it is at least 1 - 1e-6.
//   2. Bounds are those of exact arithmetic: rounding adds some units in the last place of the dtype.
//   3. A sample whose Jacobian is not finite has NaN (or infinity), in its bounds too.
#pragma once
#include <iosfwd>

#include "fathom/tensor/tensor.h"

namespace fathom::probe {

inline constexpr double chance_of_error = 1e-6;

// The largest singular value: sigma <= it <= upper.
struct Sigma {
  Tensor sigma;             // a lower bound
  Tensor residual;          // |J^T u - s v| for s = |J v|, u = J v / s: a singular value lies within it of s
  Tensor upper;             // infinite where it was not asked for
  Tensor direction;         // of x's shape and dtype; each sample's is of norm 1 and finite: the next call's `start`
  int64_t iterations = 0;   // of each, one product with J and one with its transpose
  const char* method = "";  // "lanczos", "power" or "diagonal"
  const char* bound = "";   // where upper comes from: "frobenius" or "exact" (both rigorous), "random start", both
                            // that and "frobenius", or "none"
  double confidence = 1;
  double seconds = 0;
};

// The Frobenius norm, or its square: lower <= it <= upper.
struct Estimate {
  Tensor value;
  Tensor standard_error;  // zero when exact; of one probe alone, the bound that holds for any matrix
  Tensor lower, upper;
  const char* method = "";  // "formula", "matrix" (both exact) or "hutchinson"
  double confidence = 1;
  double seconds = 0;
};

// Singular values, descending. Where `complete`, all min(outputs, inputs) of them, exact to rounding; else the largest:
// then they are lower bounds of the true ones in their order, what is said of the smallest is NaN, and condition a
// lower bound.
struct Spectrum {
  Tensor values;            // (batch, count)
  Tensor residuals;         // (batch, count): a singular value lies within it of the value; zero where complete
  Tensor upper;             // (batch, count): bounds of the true ones in their order
  Tensor sigma_min;         // the smallest
  Tensor active_rows;       // how many rows of J are not zero: a ReLU's dead units have none
  Tensor sigma_min_active;  // the smallest of J without the other rows
  Tensor condition;         // largest over smallest; infinite where that is 0
  Tensor condition_active;  // of J without its zero rows
  Tensor frobenius;
  Tensor stable_rank;     // (Frobenius norm / largest)^2
  Tensor effective_rank;  // exp of the entropy of the values over their sum (Roy & Vetterli 2007)
  bool complete = false;
  const char* method = "";  // "svd", "lanczos" or "diagonal"
  double confidence = 1;
  double seconds = 0;
};

std::ostream& operator<<(std::ostream& out, const Sigma& sigma);
std::ostream& operator<<(std::ostream& out, const Estimate& estimate);
std::ostream& operator<<(std::ostream& out, const Spectrum& spectrum);

}  // namespace fathom::probe
