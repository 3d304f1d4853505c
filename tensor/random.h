// Random numbers from a counter (Philox4x32-10; Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2,
// 3", 2011). The same seed gives the same numbers on any machine and with any number of threads.
#pragma once
#include <array>

#include "fathom/tensor/tensor.h"

namespace fathom {

// A sequence of 64-bit draws: draw i of (seed, stream) is a function of these three numbers alone, so that a copy of an
// Rng repeats what comes, and what came is repeated by setting `position` back.
struct Rng {
  uint64_t seed, stream;
  uint64_t position = 0;  // the number of draws so far

  explicit Rng(uint64_t seed_, uint64_t stream_ = 0) : seed(seed_), stream(stream_) {}
  bool operator==(const Rng&) const = default;

  uint64_t draw();
  double uniform();  // in [0, 1), 53 bits
  double normal();   // mean 0, deviation 1; exact to 1e-15 by inversion, within 8.3 deviations
  // In 0 .. below - 1, each equally likely. Throws Error when below is 0.
  uint64_t integer(uint64_t below);
};

// What creation and dropout draw from, one for each thread.
Rng& default_rng();
// Begins this thread's default sequence anew.
void manual_seed(uint64_t seed);

// Each fills x, in row-major order, a draw an element; f32 numbers are those of f64, rounded.
// In [lo, hi). Throws Error when x is not floating, or lo > hi, or either is not finite.
void fill_uniform(const Tensor& x, double lo, double hi, Rng& rng);
// Throws Error when x is not floating, or the deviation is negative, or either is not finite.
void fill_normal(const Tensor& x, double mean, double deviation, Rng& rng);
// Whole numbers lo .. hi - 1. Throws Error when x is boolean or the range is empty.
void fill_integers(const Tensor& x, int64_t lo, int64_t hi, Rng& rng);
// 1 with probability p, else 0. Throws Error when p is not in [0, 1].
void fill_bernoulli(const Tensor& x, double p, Rng& rng);
// The numbers 0 .. n - 1 in random order, i64 (n). Throws Error when n is negative.
Tensor permutation(int64_t n, Rng& rng);

// The generator itself: one block of random bits.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

}  // namespace fathom
