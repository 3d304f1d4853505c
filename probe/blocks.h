// Blocks of directions. Internal to the probes.
#pragma once
#include <cmath>
#include <limits>
#include <vector>

#include "fathom/tensor/kernels/norm.h"
#include "fathom/tensor/random.h"

namespace fathom::probe {

// `columns` vectors of `size` numbers for each of `batch` samples: (columns, batch, size).
struct Block {
  int64_t columns, batch, size;
  std::vector<double> numbers;

  Block(int64_t k, int64_t b, int64_t n) : columns(k), batch(b), size(n), numbers(size_t(k * b * n), 0.0) {}
  double* of(int64_t column, int64_t sample = 0) { return numbers.data() + (column * batch + sample) * size; }
  void fill_normal(Rng& rng, int64_t from = 0) {
    for (size_t k = size_t(from * batch * size); k < numbers.size(); ++k) numbers[k] = rng.normal();
  }

  // The columns of a sample become orthonormal, q_j; r (columns, columns), upper triangular, has what they were:
  // column c = sum_j q_j r_jc. A column that depends on those before it becomes zero. (Gram-Schmidt, twice.)
  void orthonormalise(int64_t sample, double* r) {
    std::fill_n(r, columns * columns, 0.0);
    for (int64_t c = 0; c < columns; ++c) {
      double* w = of(c, sample);
      double before = kernel::norm(w, size);
      const double whole = before;
      if (!(whole > 0) || !std::isfinite(whole)) {
        r[c * columns + c] = whole;
        if (!(whole > 0)) r[c * columns + c] = whole == 0 ? 0 : NAN;
        std::fill_n(w, size, 0.0);
        continue;
      }
      for (int64_t k = 0; k < size; ++k) w[k] /= whole;
      double left = 1;
      for (int pass = 0; pass < 3; ++pass) {
        before = left;
        for (int64_t j = 0; j < c; ++j) {
          const double* q = of(j, sample);
          const double part = kernel::dot(q, w, size);
#pragma GCC ivdep
          for (int64_t k = 0; k < size; ++k) w[k] -= part * q[k];
          r[j * columns + c] += part * whole;
        }
        left = kernel::norm(w, size);
        if (!(left < 0.5 * before)) break;
      }
      const bool none = left < 8 * std::numeric_limits<double>::epsilon();
      for (int64_t k = 0; k < size; ++k) w[k] = none ? 0 : w[k] / left;
      r[c * columns + c] = none ? 0 : left * whole;
    }
  }
};

}  // namespace fathom::probe
