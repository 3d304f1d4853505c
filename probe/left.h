// What is left of a gradient on its way back, in log10 of its norms: where nothing is left, nothing comes of it, and of
// nothing. Internal to the probes.
#pragma once
#include <cmath>

namespace fathom::probe {

// Before a layer of this gain.
inline double log10_before(double gain, double behind) { return behind == -INFINITY ? behind : gain + behind; }
// Of what there was behind the last layer.
inline double log10_left(double before, double behind_last) {
  return before == -INFINITY ? before : before - behind_last;
}

}  // namespace fathom::probe
