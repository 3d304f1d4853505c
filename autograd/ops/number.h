// Numbers that meet a tensor take its dtype; numbers in a tensor that count something.
#pragma once
#include <cmath>
#include <optional>

#include "fathom/tensor/kernels/walk.h"
#include "fathom/tensor/tensor.h"

namespace fathom {

// Throws Error when c is no value of this dtype.
inline void check_number(const char* op, double c, Dtype dtype) {
  const bool fits = dtype == i64 ? c == std::trunc(c) && std::abs(c) < 0x1p63 : dtype != boolean || c == 0 || c == 1;
  if (!fits)
    throw Error(std::string(op) + ": the number " + std::to_string(c) + " with a tensor of " + to_string(dtype) +
                "; convert with .to(f32)");
}

// Throws Error when x has a number whose whole part i64 does not hold.
inline void check_fits_i64(const char* op, const Tensor& x) {
  if (!is_floating(x.dtype())) return;
  visit_floating(op, x.dtype(), [&]<class T>(T) {
    kernel::each_offset(x.shape(), x.strides(), [&, from = x.data<T>()](int64_t i) {
      if (from[i] >= T(-0x1p63) && from[i] < T(0x1p63)) return;
      throw Error(std::string(op) + ": the number " + std::to_string(from[i]) + " for a tensor of i64");
    });
  });
}

// Throws Error, "op: label 3 is not one of 3 classes", unless each of these i64 numbers is in 0 .. n - 1, or `but`.
inline void check_each(const char* op, const char* what, const Tensor& numbers, int64_t n, const char* of_what,
                       std::optional<int64_t> but = {}) {
  const Tensor list = numbers.contiguous();
  const int64_t* at = list.data<int64_t>();
  for (int64_t i = 0; i < list.numel(); ++i)
    if ((at[i] < 0 || at[i] >= n) && at[i] != but)
      throw Error(std::string(op) + ": " + what + " " + std::to_string(at[i]) + " is not one of " + std::to_string(n) +
                  " " + of_what);
}

}  // namespace fathom
