// Euclidean norms, without overflow or underflow on the way. NaN stays NaN.
#pragma once
#include <cmath>
#include <cstdint>

#include "fathom/tensor/kernels/reduce.h"

namespace fathom::kernel {

// Whether a sum of squares has lost nothing to the ends of double's range.
constexpr bool may_be_rooted(double squares) { return squares > 1e-200 && squares < 1e200; }

// Of the numbers of x in the pieces that pieces(f) shows to f(first, n).
template <class T, class Pieces>
double norm_of_pieces(const T* x, Pieces pieces) {
  double sum = 0;
  pieces([&](int64_t first, int64_t n) { sum += sum_of_squares(x + first, n); });
  if (may_be_rooted(sum)) return std::sqrt(sum);
  double largest = 0;
  bool nan = false;
  pieces([&](int64_t first, int64_t n) {
    for (int64_t k = first; k < first + n; ++k) {
      const double size = std::abs(double(x[k]));
      nan |= std::isnan(size);
      if (size > largest) largest = size;
    }
  });
  if (nan) return NAN;
  if (largest == 0 || std::isinf(largest)) return largest;
  // Powers of two: exact. Two of them, as 1 / largest may itself overflow.
  const int exponent = std::ilogb(largest);
  sum = 0;
  pieces([&](int64_t first, int64_t n) {
    for (int64_t k = first; k < first + n; ++k) {
      const double part = std::ldexp(double(x[k]), -exponent);
      sum += part * part;
    }
  });
  return std::ldexp(std::sqrt(sum), exponent);
}
template <class T>
double norm(const T* x, int64_t n) {
  return norm_of_pieces(x, [n](auto f) { f(int64_t{0}, n); });
}

// The norm of numbers that come in parts.
class NormSum {
 public:
  // A part: the sum of its squares, and its norm() where that sum has left T's range.
  template <class T, class F>
  void add(T squares, F norm) {
    if ((is_usual(squares) && may_be_rooted(squares)) || std::isnan(squares)) squares_ += squares;
    else rest_ = std::hypot(rest_, norm());
  }
  void add(const NormSum& more) { squares_ += more.squares_, rest_ = std::hypot(rest_, more.rest_); }
  double norm() const { return std::isnan(squares_) ? squares_ : std::hypot(std::sqrt(squares_), rest_); }

 private:
  double squares_ = 0, rest_ = 0;
};

}  // namespace fathom::kernel
