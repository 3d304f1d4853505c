// Mean-field theory of wide random nets h' = W phi(h) + b, with weights of variance sigma_w^2 / width and biases of
// sigma_b^2, as nn::init::mean_field draws them: the h of a layer are normal, of a variance q that is the same for all.
// Poole et al. 2016; Schoenholz et al. 2017.
#pragma once
#include "fathom/tensor/parallel.h"  // FunctionRef
#include "fathom/tensor/tensor.h"

namespace fathom::probe::mean_field {

// phi: a pointwise op or several, such as [](Tensor x) { return tanh(x); }. Its averages over normal numbers are sums
// over 1,000 points: to 1e-12 where it is smooth or bends at 0 only, and q is below 100.
// Each function throws Error when q is negative or not finite, and when phi changes the shape.
using Activation = FunctionRef<Tensor(Tensor)>;

struct Ensemble {
  double sigma_w = 1, sigma_b = 0;  // standard deviations
};

// The variance in the next layer: sigma_w^2 E phi(sqrt(q) z)^2 + sigma_b^2 (Poole et al., equation 3).
double length_map(Activation phi, double q, Ensemble ensemble);
// The mean of the squared singular values of a layer's Jacobian dh'/dh, so what squared norms of gradients grow by:
// sigma_w^2 E phi'(sqrt(q) z)^2 (Poole et al., equation 7).
double chi(Activation phi, double q, double sigma_w);

struct FixedPoint {
  double q = 0;            // to which the length map leads from 1
  double chi = 0;          // there; below 1 layers forget and gradients vanish, above 1 they are chaotic and explode
  double depth_scale = 0;  // 1 / |ln chi|: squared norms of gradients change by a factor of e in so many layers
};
// Throws Error when the lengths grow without end.
FixedPoint fixed_point(Activation phi, Ensemble ensemble);

// The critical line, where chi at the fixed point is 1: at which sigma_w, and its q. Throws Error when there is none
// for this sigma_b.
struct Critical {
  double sigma_w = 0, q = 0;
};
Critical critical(Activation phi, double sigma_b);

}  // namespace fathom::probe::mean_field
