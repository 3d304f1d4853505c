// Vectors as wide as the processor's registers: the compiler's own type, with its operators.
#pragma once
#include <cstdint>
#include <cstring>

namespace fathom::kernel {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif

template <class T>
using Vector [[gnu::vector_size(vector_bytes)]] = T;
template <class T>
inline constexpr int64_t vector_size = vector_bytes / int64_t(sizeof(T));

template <class T>
Vector<T> load(const T* x) {
  Vector<T> v;
  std::memcpy(&v, x, sizeof(v));
  return v;
}
template <class V, class T>
void store(V v, T* x) {
  std::memcpy(x, &v, sizeof(v));
}
// As many numbers, converted.
template <class To, class T>
Vector<To> load_as(const T* x) {
  if constexpr (sizeof(To) == sizeof(T)) {
    return load(x);
  } else {
    using Narrow [[gnu::vector_size(vector_bytes / sizeof(To) * sizeof(T))]] = T;
    Narrow numbers;
    std::memcpy(&numbers, x, sizeof(numbers));
    return __builtin_convertvector(numbers, Vector<To>);
  }
}

template <class T>
using Quarter [[gnu::vector_size(16)]] = T;
// Halves added to halves, down to 16 bytes.
template <class T, int bytes = vector_bytes>
Quarter<T> fold(Vector<T> v) {
  using Half [[gnu::vector_size(32)]] = T;
  if constexpr (bytes == 16) {
    return v;
  } else {
    Half halves[bytes / 32];
    std::memcpy(halves, &v, sizeof(v));
    if constexpr (bytes == 64) halves[0] += halves[1];
    Quarter<T> quarters[2];
    std::memcpy(quarters, halves, sizeof(quarters));
    return quarters[0] + quarters[1];
  }
}
template <class T>
T sum_of_vector(Vector<T> v) {
  const Quarter<T> q = fold<T>(v);
  if constexpr (sizeof(T) == 4) return (q[0] + q[2]) + (q[1] + q[3]);
  else return q[0] + q[1];
}
template <class T>
void sums_of_vectors(const Vector<T> (&vectors)[1], T (&sums)[1]) {
  sums[0] = sum_of_vector<T>(vectors[0]);
}
// Four at once: the same numbers.
template <class T>
void sums_of_vectors(const Vector<T> (&vectors)[4], T (&sums)[4]) {
  Quarter<T> q[4];
  for (int r = 0; r < 4; ++r) q[r] = fold<T>(vectors[r]);
  if constexpr (sizeof(T) == 4) {
    const auto in_pairs = [](Quarter<T> a, Quarter<T> b) {
      return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
    };
    const Quarter<T> a = in_pairs(q[0], q[1]), b = in_pairs(q[2], q[3]);
    const Quarter<T> all = __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
    std::memcpy(sums, &all, sizeof(all));
  } else {
    for (int r = 0; r < 4; ++r) sums[r] = q[r][0] + q[r][1];
  }
}

}  // namespace fathom::kernel
