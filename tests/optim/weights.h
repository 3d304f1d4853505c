// The small parameter that tests of steps begin with.
#pragma once
#include <vector>

#include "fathom/autograd/create.h"

using List = std::vector<double>;

const List start = {1, -2, 0.5};
inline fathom::Tensor weights(fathom::Dtype dtype) {
  return fathom::from_data(start, {3}, {.dtype = dtype, .requires_grad = true});
}
