// The libtorch side of a comparison.
#pragma once
#ifdef FATHOM_WITH_TORCH
#include "tests/agreement/cases.h"

namespace agreement {

inline torch::Tensor to_torch(const Tensor& x) {
  const auto shape = std::vector<int64_t>(x.shape().begin(), x.shape().end());
  if (x.dtype() == fathom::i64) {
    const auto numbers = x.to_vector<int64_t>();
    return torch::tensor(numbers, torch::kInt64).reshape(shape);
  }
  return torch::tensor(x.to_vector(), torch::kFloat64)
      .reshape(shape)
      .to(x.dtype() == fathom::f32 ? torch::kFloat32 : torch::kFloat64);
}
inline std::vector<double> numbers_of(const torch::Tensor& x) {
  if (!x.defined()) return {};
  const torch::Tensor flat = x.detach().to(torch::kFloat64).contiguous().reshape({-1});
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

}  // namespace agreement
#endif
