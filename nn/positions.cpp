#include "fathom/nn/positions.h"

#include <cmath>

#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/nn/init.h"
#include "fathom/nn/size.h"

namespace fathom::nn {
namespace {

// f(angle, two places) for the pair 2i, 2i + 1 of each step: t / base^(2i / width).
template <class F>
Tensor table(int64_t steps, int64_t width, double base, Dtype dtype, F f) {
  const Tensor y({steps, width}, dtype);
  visit_floating("positions", dtype, [&]<class T>(T) {
    T* row = y.data<T>();
    for (int64_t i = 0; i < width; i += 2) {
      const double rate = std::pow(base, -double(i) / double(width));
      for (int64_t t = 0; t < steps; ++t) {
        const double angle = double(t) * rate;
        double pair[2];
        f(angle, pair);
        for (int64_t c = i; c < std::min(width, i + 2); ++c) row[t * width + c] = T(pair[c - i]);
      }
    }
  });
  return y;
}
// The table of at least these steps; a shorter one is made anew, longer.
template <class Make>
Tensor rows_of(Tensor& kept, int64_t steps, Dtype dtype, Make make) {
  if (!kept.defined() || kept.size(0) < steps || kept.dtype() != dtype) kept = make(steps);
  return kept.view({steps, kept.size(1)}, kept.strides());
}

void check_axes(const char* name, const Tensor& x) {
  if (x.dim() < 2) throw Error(std::string(name) + ": needs (..., steps, width), got " + to_string(x.shape()));
  if (!is_floating(x.dtype())) not_floating(name, x.dtype());
}
void check_width(const char* name, const Tensor& x, int64_t width) {
  check_axes(name, x);
  if (x.size(-1) != width)
    throw Error(std::string(name) + ": the width is " + std::to_string(width) + ", got " + to_string(x.shape()));
}

// Each pair of x times cosine + i sine, or, back, cosine - i sine.
Tensor turned(const Tensor& x, const Tensor& angles, double direction) {
  const Tensor y(x.shape(), x.dtype());
  const int last = x.shape().rank - 1;
  const Shape strides[] = {x.strides(), y.strides(), broadcast_strides(angles.shape(), angles.strides(), x.shape())};
  visit_floating("rotary", x.dtype(), [&]<class T>(T) {
    const T *from = x.data<T>(), *a = angles.data<T>(), sign = T(direction);
    T* to = y.data<T>();
    const int64_t width = x.shape()[last], step = strides[0][last];
    kernel::each_row(x.shape(), strides, [&](const int64_t* at) {
      const T *row = from + at[0], *angle = a + at[2];
      T* out = to + at[1];
      for (int64_t i = 0; i < width; i += 2) {
        const T p = row[i * step], q = row[(i + 1) * step], c = angle[i], s = sign * angle[i + 1];
        out[i] = c * p - s * q;
        out[i + 1] = s * p + c * q;
      }
    });
  });
  return y;
}
Tensor turn(const Tensor& x, const Tensor& angles, double direction) {
  return linear_op(
      "rotary", x, [=](const Tensor& t) { return turned(t, angles, direction); },
      [=](const Tensor& g) { return turn(g, angles, -direction); });
}

}  // namespace

Tensor sinusoids(int64_t steps, int64_t width, Dtype dtype) {
  checked_size("sinusoids", "steps", steps);
  checked_size("sinusoids", "width", width);
  return table(steps, width, 10000, dtype, [](double angle, double* pair) {
    pair[0] = std::sin(angle);
    pair[1] = std::cos(angle);
  });
}

Tensor SinusoidalPositions::forward(Tensor x) {
  check_axes("SinusoidalPositions", x);
  const int64_t steps = x.size(-2), width = x.size(-1);
  if (table_.defined() && table_.size(1) != width) table_ = {};
  const Tensor rows = rows_of(table_, steps, x.dtype(), [&](int64_t n) { return sinusoids(n, width, x.dtype()); });
  return std::move(x) + rows;
}

LearnedPositions::LearnedPositions(int64_t most_steps, int64_t width, LearnedPositionsOptions options)
    : weight({checked_size("LearnedPositions", "most_steps", most_steps),
              checked_size("LearnedPositions", "width", width)},
             options.dtype) {
  init::normal(weight, 0, options.deviation);
  weight.requires_grad_();
}
Tensor LearnedPositions::forward(Tensor x) {
  check_width("LearnedPositions", x, weight.size(1));
  if (x.size(-2) > weight.size(0))
    throw Error("LearnedPositions: there are " + std::to_string(weight.size(0)) + " positions, got " +
                to_string(x.shape()));
  const int64_t steps = x.size(-2);
  return std::move(x) + slice(weight, 0, 0, steps);
}
void LearnedPositions::fields(Fields& f) { f("weight", weight); }

RotaryPositions::RotaryPositions(int64_t width, double base)
    : width_(checked_size("RotaryPositions", "width", width)), base_(base) {
  if (width % 2) throw Error("RotaryPositions: needs an even width, got " + std::to_string(width));
}
Tensor RotaryPositions::forward(Tensor x) {
  check_width("RotaryPositions", x, width_);
  const Tensor angles = rows_of(table_, x.size(-2), x.dtype(), [&](int64_t n) {
    return table(n, width_, base_, x.dtype(), [](double angle, double* pair) {
      pair[0] = std::cos(angle);
      pair[1] = std::sin(angle);
    });
  });
  return turn(x, angles, 1);
}

}  // namespace fathom::nn
