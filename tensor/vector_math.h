// Lets the compiler vectorise a loop over these functions by itself: glibc's libmvec has them for vectors, float and
// double, contiguous or strided. Elsewhere the same loops run, slower. Requires: -fno-math-errno.
#pragma once
#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
extern "C" {
[[gnu::simd("notinbranch"), gnu::const]] float tanhf(float);
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
