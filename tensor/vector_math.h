// Lets the compiler vectorise a loop over these functions by itself: glibc's libmvec has them for vectors, float and
// double, contiguous or strided. Elsewhere the same loops run, slower. Requires: -fno-math-errno and
// -fno-trapping-math.
#pragma once
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
extern "C" {
[[gnu::simd("notinbranch"), gnu::const]] double tanh(double);
[[gnu::simd("notinbranch"), gnu::const]] float expf(float);
[[gnu::simd("notinbranch"), gnu::const]] double exp(double);
[[gnu::simd("notinbranch"), gnu::const]] float expm1f(float);
[[gnu::simd("notinbranch"), gnu::const]] double expm1(double);
[[gnu::simd("notinbranch"), gnu::const]] float logf(float);
[[gnu::simd("notinbranch"), gnu::const]] double log(double);
[[gnu::simd("notinbranch"), gnu::const]] float log1pf(float);
[[gnu::simd("notinbranch"), gnu::const]] double log1p(double);
[[gnu::simd("notinbranch"), gnu::const]] float erff(float);
[[gnu::simd("notinbranch"), gnu::const]] double erf(double);
[[gnu::simd("notinbranch"), gnu::const]] float sinf(float);
[[gnu::simd("notinbranch"), gnu::const]] double sin(double);
[[gnu::simd("notinbranch"), gnu::const]] float cosf(float);
[[gnu::simd("notinbranch"), gnu::const]] double cos(double);
[[gnu::simd("notinbranch"), gnu::const]] float powf(float, float);
[[gnu::simd("notinbranch"), gnu::const]] double pow(double, double);
}
#endif

namespace fathom {

// Of a float to within 3 units in the last place, in a form that any compiler vectorises: with 2 |x| = n log 2 + r it
// is e / (e + 2), e = 2^n e^r - 1, where e^r - 1 is a minimax polynomial for |r| <= log(2) / 2. Beyond 9.01 it rounds
// to 1.
template <std::floating_point T>
[[gnu::always_inline]] inline T tanh(T x) {
  if constexpr (!std::same_as<T, float>) {
    return std::tanh(x);
  } else {
    constexpr float to_exponent = 0x1.8p23f + 127;  // the sum's last bits are those of 2^n
    const float twice = 2 * (std::abs(x) > 9.1f ? 9.1f : std::abs(x));
    const float shifted = twice * 1.44269504f + to_exponent;
    const float power = std::bit_cast<float>(std::bit_cast<uint32_t>(shifted) << 23);
    const float r = twice - (shifted - to_exponent) * 0.693147181f;
    const float rest =
        0.49999998f + r * (0.166665437f + r * (0.0416671997f + r * (0.00836651393f + r * 0.00138825215f)));
    const float e = power * (r + r * r * rest) + (power - 1);
    return std::copysign(e / (e + 2), x);
  }
}

}  // namespace fathom
