#include "fathom/tensor/kernels/map.h"

#include <cstring>

namespace fathom::kernel {

void dtypes_differ(const char* op, Dtype a, Dtype b) {
  throw Error(std::string(op) + ": dtypes differ: " + to_string(a) + " and " + to_string(b) + "; convert with .to(" +
              to_string(is_floating(a) ? a : b) + ")");
}

void copy(const Tensor& x, const Tensor& out) {
  if (x.dtype() == out.dtype() && x.is_contiguous() && out.is_contiguous() && x.shape() == out.shape()) {
    visit(x.dtype(), [&]<class T>(T) {
      if (const size_t bytes = size_t(x.numel()) * sizeof(T)) std::memcpy(out.data<T>(), x.data<T>(), bytes);
    });
    return;
  }
  visit(out.dtype(), [&]<class Out>(Out) {
    visit(x.dtype(), [&]<class In>(In) { map_into<Out, In>([](In e) { return e; }, out, x); });
  });
}

Tensor clone(const Tensor& x) {
  Tensor out(x.shape(), x.dtype());
  copy(x, out);
  return out;
}

Tensor fill(Tensor x, double value) {
  visit(x.dtype(), [&]<class T>(T) { map_into<T>([v = T(value)] { return v; }, x); });
  return x;
}

}  // namespace fathom::kernel
