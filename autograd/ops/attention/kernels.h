// The kernels of attention: value, vjp and jvp, tile by tile of the weights. Internal.
#pragma once
#include "fathom/autograd/ops/attention.h"

namespace fathom::attention {

// Shapes (..., queries or keys, width) with one batch (...); the rows are of consecutive elements and lie apart, except
// the mask's, whose strides are free.
struct Inputs {
  Tensor q, k, v;
  Tensor mask;  // (..., queries, keys) or undefined
};
struct Setting {
  double scale, dropout;
  bool causal;
  Rng rng;  // as it was before the value's draws
};

// y (..., queries, width of v) and the logarithms of the sums of exp(scores), (..., queries), infinite where there is
// nothing to sum.
void value(const Inputs& in, const Setting& setting, const Tensor& y, const Tensor& log_sums);

// The cotangents of the inputs when y's is g; those not wanted are undefined, the mask's has its full shape and begins
// as zeros.
void vjp(const Inputs& in, const Setting& setting, const Tensor& y, const Tensor& log_sums, const Tensor& g,
         const Inputs& cotangents);

// The tangent of y when those of the inputs are `tangents`, undefined where zero.
void jvp(const Inputs& in, const Setting& setting, const Tensor& y, const Tensor& log_sums, const Inputs& tangents,
         const Tensor& tangent);

}  // namespace fathom::attention
