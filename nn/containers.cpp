#include "fathom/nn/containers.h"

#include "fathom/autograd/ops/arithmetic.h"

namespace fathom::nn {

void Sequential::add(Owned<Module> module) { list_.push_back(std::move(module)); }
Tensor Sequential::forward(Tensor x) {
  for (const auto& each : list_) x = (*each)(std::move(x));
  return x;
}
void Sequential::fields(Fields& f) {
  for (size_t i = 0; i < list_.size(); ++i) f(std::to_string(i), list_[i]);
}
int64_t Sequential::batch_axis() const {
  for (const auto& each : list_)
    if (const int64_t axis = each->batch_axis()) return axis;
  return 0;
}

Tensor Residual::forward(Tensor x) {
  Tensor y = (*f_)(x);
  if (y.shape() != x.shape())
    throw Error("Residual: f maps " + to_string(x.shape()) + " to " + to_string(y.shape()) +
                "; it must keep the shape");
  return std::move(x) + (scale == 1 ? std::move(y) : std::move(y) * scale);
}
void Residual::fields(Fields& f) { f("f", f_); }

}  // namespace fathom::nn
