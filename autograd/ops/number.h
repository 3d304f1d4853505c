// Numbers that meet a tensor take its dtype.
#pragma once
#include <cmath>

#include "fathom/tensor/dtype.h"

namespace fathom {

// Throws Error when c is no value of this dtype.
inline void check_number(const char* op, double c, Dtype dtype) {
  const bool fits = dtype == i64 ? c == std::trunc(c) && std::abs(c) < 0x1p63 : dtype != boolean || c == 0 || c == 1;
  if (!fits)
    throw Error(std::string(op) + ": the number " + std::to_string(c) + " with a tensor of " + to_string(dtype) +
                "; convert with .to(f32)");
}

}  // namespace fathom
