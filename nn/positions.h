// Where a step stands, told to what has no order of its own. Steps are counted from 0 along the axis before the last.
#pragma once
#include "fathom/nn/module.h"

namespace fathom::nn {

// The table of Vaswani et al. 2017, section 3.5, (steps, width): sin(t / 10000^(2i / width)) at 2i, cos of it at 2i
// + 1. Throws Error on negative sizes.
Tensor sinusoids(int64_t steps, int64_t width, Dtype dtype = f32);

// x (..., steps, width) + the sinusoids of its steps.
struct SinusoidalPositions : Module {
  Tensor forward(Tensor x) override;

 private:
  Tensor table_;  // of the longest x so far
};

struct LearnedPositionsOptions {
  double deviation = 1;  // of the normal numbers it starts with
  Dtype dtype = f32;
};
// x (..., steps, width) + weight's first rows.
struct LearnedPositions : Module {
  Tensor weight;  // (most steps, width)

  LearnedPositions(int64_t most_steps, int64_t width, LearnedPositionsOptions options = {});
  Tensor forward(Tensor x) override;  // Throws Error on more steps.
  void fields(Fields& f) override;
};

// Rotary positions (Su et al., "RoFormer", 2021, equation 34): step t turns each pair of elements (2i, 2i + 1) of x
// (..., steps, width) by the angle t / base^(2i / width). The product of a query and a key so turned depends on the
// distance between them alone.
struct RotaryPositions : Module {
  explicit RotaryPositions(int64_t width, double base = 10000);  // Throws Error on an odd width.
  Tensor forward(Tensor x) override;

 private:
  int64_t width_;
  double base_;
  Tensor table_;  // (steps, width): cosine and sine of each angle, side by side
};

}  // namespace fathom::nn
