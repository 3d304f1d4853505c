// A tensor under a name: what parameters, states and files are lists of.
#pragma once
#include <string>
#include <vector>

#include "fathom/tensor/tensor.h"

namespace fathom {

struct NamedTensor {
  std::string name;  // a path, such as "encoder.0.weight"
  Tensor tensor;
};
// What a module or an optimiser is made of, and a file holds.
using State = std::vector<NamedTensor>;

}  // namespace fathom
