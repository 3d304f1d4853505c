// Products.
#pragma once
#include <span>
#include <string_view>

#include "fathom/tensor/tensor.h"

namespace fathom {

// a b for vectors (n), matrices (m, n) and batches (..., m, n) whose leading axes broadcast, as NumPy's matmul.
Tensor matmul(const Tensor& a, const Tensor& b);
// x W^T + b for x (..., in), weight (out, in), bias (out) or undefined.
Tensor linear(Tensor x, const Tensor& weight, const Tensor& bias = {});
// Einstein's summation: einsum("bij,bjk->bik", {a, b}); "..." is not supported, a repeated index of one operand is its
// diagonal.
Tensor einsum(std::string_view formula, std::span<const Tensor> operands);
Tensor einsum(std::string_view formula, std::initializer_list<Tensor> operands);

}  // namespace fathom
