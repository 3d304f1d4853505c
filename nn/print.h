// Modules as text.
#pragma once
#include <iosfwd>

#include "fathom/nn/module.h"

namespace fathom::nn {

// A line for each module, below the one it is a field of: its name, its kind, and the shapes of its parameters and
// buffers; a tied parameter with the name that it has first. Then how many numbers the parameters have, each counted
// once:
//
//   Sequential
//     0: Linear, weight (32, 2), bias (32)
//     1: Tanh
//     2: Linear, weight (1, 32), bias (1)
//   parameters: 129
std::ostream& operator<<(std::ostream& out, const Module& m);

}  // namespace fathom::nn
