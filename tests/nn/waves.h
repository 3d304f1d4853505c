// Numbers that tests of modules share with the values they are compared with.
#pragma once
#include <cmath>

#include "fathom/autograd/recording.h"
#include "fathom/nn/module.h"

// Element i is scale sin(0.7 i + phase).
inline fathom::Tensor waves(const fathom::Shape& shape, double phase, double scale = 1) {
  fathom::Tensor x(shape, fathom::f64);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = scale * std::sin(0.7 * double(i) + phase);
  return x;
}
inline void set_waves(fathom::nn::Module& m) {
  const fathom::NoGrad off;
  double phase = 1;
  for (fathom::Tensor w : m.parameters()) w.copy_(waves(w.shape(), phase++, 0.5));
}
inline fathom::Tensor leaf(fathom::Tensor x) { return x.requires_grad_(); }
