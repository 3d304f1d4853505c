// Are the derivatives right? Both modes against central differences and against each other, in f64, to second order.
#pragma once
#include <span>
#include <vector>

#include "fathom/tensor/parallel.h"  // FunctionRef
#include "fathom/tensor/tensor.h"

namespace fathom {

struct CheckGradsOptions {
  int order = 2;            // 2: the gradients' derivatives too, and so on
  double eps = 1e-5;        // the step of the differences, along a standard normal direction
  double tolerance = 1e-7;  // between a derivative and the difference, relative to the greater of it and 1
  uint64_t seed = 0;        // of the directions
};

// Checks f, from tensors to a tensor, at `inputs`: vjp, jvp and backward() in random directions; then, for order 2, the
// same for what vjp and jvp record under create_graph. Throws Error naming the order, the mode and the numbers that
// disagree, and when an input is not f64.
// Requires: f is smooth within eps of the inputs and gives the same value each time.
//
//   check_grads([](auto x) { return tanh(x[0]) * x[1]; }, {a, b});
void check_grads(FunctionRef<Tensor(std::span<const Tensor>)> f, const std::vector<Tensor>& inputs,
                 CheckGradsOptions options = {});

}  // namespace fathom
