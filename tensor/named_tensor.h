// A tensor under a name: what parameters, states and files are lists of.
#pragma once
#include <string>

#include "fathom/tensor/tensor.h"

namespace fathom {

struct NamedTensor {
  std::string name;  // a path, such as "encoder.0.weight"
  Tensor tensor;
};

}  // namespace fathom
