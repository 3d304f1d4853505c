// Numbers that carry their derivatives along K directions: what probe/lyapunov.h differentiates maps and flows with.
// Functions are the compiler's own names for those of <cmath>, which would be a tenth of what fathom.h costs.
#pragma once
#include <array>
#include <cstddef>

namespace fathom::probe {

template <size_t K>
struct Dual {
  double value = 0;
  std::array<double, K> tangents{};

  Dual() = default;
  Dual(double x) : value(x) {}  // NOLINT: constants mix in
};

// y with tangents slope * those of x: every function of one number.
template <size_t K>
Dual<K> chain(const Dual<K>& x, double y, double slope) {
  Dual<K> out(y);
  for (size_t k = 0; k < K; ++k) out.tangents[k] = slope * x.tangents[k];
  return out;
}
template <size_t K>
Dual<K> operator+(const Dual<K>& a, const Dual<K>& b) {
  Dual<K> out(a.value + b.value);
  for (size_t k = 0; k < K; ++k) out.tangents[k] = a.tangents[k] + b.tangents[k];
  return out;
}
template <size_t K>
Dual<K> operator-(const Dual<K>& a, const Dual<K>& b) {
  Dual<K> out(a.value - b.value);
  for (size_t k = 0; k < K; ++k) out.tangents[k] = a.tangents[k] - b.tangents[k];
  return out;
}
template <size_t K>
Dual<K> operator*(const Dual<K>& a, const Dual<K>& b) {
  Dual<K> out(a.value * b.value);
  for (size_t k = 0; k < K; ++k) out.tangents[k] = a.tangents[k] * b.value + a.value * b.tangents[k];
  return out;
}
template <size_t K>
Dual<K> operator/(const Dual<K>& a, const Dual<K>& b) {
  const double inverse = 1 / b.value, y = a.value * inverse;
  Dual<K> out(y);
  for (size_t k = 0; k < K; ++k) out.tangents[k] = (a.tangents[k] - y * b.tangents[k]) * inverse;
  return out;
}
template <size_t K>
Dual<K> operator-(const Dual<K>& a) {
  return chain(a, -a.value, -1);
}
template <size_t K>
Dual<K> operator+(const Dual<K>& a, double b) {
  return chain(a, a.value + b, 1);
}
template <size_t K>
Dual<K> operator+(double a, const Dual<K>& b) {
  return chain(b, a + b.value, 1);
}
template <size_t K>
Dual<K> operator-(const Dual<K>& a, double b) {
  return chain(a, a.value - b, 1);
}
template <size_t K>
Dual<K> operator-(double a, const Dual<K>& b) {
  return chain(b, a - b.value, -1);
}
template <size_t K>
Dual<K> operator*(const Dual<K>& a, double b) {
  return chain(a, a.value * b, b);
}
template <size_t K>
Dual<K> operator*(double a, const Dual<K>& b) {
  return chain(b, a * b.value, a);
}
template <size_t K>
Dual<K> operator/(const Dual<K>& a, double b) {
  return chain(a, a.value / b, 1 / b);
}
template <size_t K>
Dual<K> operator/(double a, const Dual<K>& b) {
  return Dual<K>(a) / b;
}
// The rest compares values alone.
template <size_t K>
bool operator<(const Dual<K>& a, const Dual<K>& b) {
  return a.value < b.value;
}
template <size_t K>
bool operator>(const Dual<K>& a, const Dual<K>& b) {
  return a.value > b.value;
}
template <size_t K>
bool operator<(const Dual<K>& a, double b) {
  return a.value < b;
}
template <size_t K>
bool operator>(const Dual<K>& a, double b) {
  return a.value > b;
}

template <size_t K>
Dual<K> sin(const Dual<K>& x) {
  return chain(x, __builtin_sin(x.value), __builtin_cos(x.value));
}
template <size_t K>
Dual<K> cos(const Dual<K>& x) {
  return chain(x, __builtin_cos(x.value), -__builtin_sin(x.value));
}
template <size_t K>
Dual<K> tan(const Dual<K>& x) {
  const double y = __builtin_tan(x.value);
  return chain(x, y, 1 + y * y);
}
template <size_t K>
Dual<K> atan(const Dual<K>& x) {
  return chain(x, __builtin_atan(x.value), 1 / (1 + x.value * x.value));
}
template <size_t K>
Dual<K> exp(const Dual<K>& x) {
  const double y = __builtin_exp(x.value);
  return chain(x, y, y);
}
template <size_t K>
Dual<K> log(const Dual<K>& x) {
  return chain(x, __builtin_log(x.value), 1 / x.value);
}
template <size_t K>
Dual<K> sqrt(const Dual<K>& x) {
  const double y = __builtin_sqrt(x.value);
  return chain(x, y, 0.5 / y);
}
template <size_t K>
Dual<K> tanh(const Dual<K>& x) {
  const double y = __builtin_tanh(x.value);
  return chain(x, y, 1 - y * y);
}
template <size_t K>
Dual<K> pow(const Dual<K>& x, double p) {
  return chain(x, __builtin_pow(x.value, p), p * __builtin_pow(x.value, p - 1));
}
template <size_t K>
Dual<K> abs(const Dual<K>& x) {
  return chain(x, __builtin_fabs(x.value), x.value < 0 ? -1 : 1);
}
template <size_t K>
Dual<K> floor(const Dual<K>& x) {  // x - floor(x) has slope 1
  return Dual<K>(__builtin_floor(x.value));
}

}  // namespace fathom::probe
