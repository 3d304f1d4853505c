#include "fathom/autograd/ops/axes.h"

#include "fathom/autograd/ops/views.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom {

Shape reduced_shape(const Shape& shape, unsigned bits, bool keepdim) {
  Shape out{};
  for (int d = 0; d < shape.rank; ++d)
    if (!(bits >> d & 1)) out.push_back(shape[d]);
    else if (keepdim) out.push_back(1);
  return out;
}

int64_t reduced_size(const Shape& shape, unsigned bits) {
  int64_t n = 1;
  for (int d = 0; d < shape.rank; ++d)
    if (bits >> d & 1) n *= shape[d];
  return n;
}

Blocks blocks(const Tensor& x, unsigned bits) {
  const Shape& shape = x.shape();
  Blocks b;
  int first = 0, end = shape.rank;
  while (first < end && !(bits >> first & 1)) b.outer *= shape[first++];
  while (end > first && !(bits >> (end - 1) & 1)) b.inner *= shape[--end];
  bool together = true;
  for (int d = first; d < end; ++d) together &= (bits >> d & 1) != 0;
  if (together) {
    b.reduced = reduced_size(shape, bits);
    b.x = x.is_contiguous() ? x.alias() : kernel::clone(x);
    return b;
  }
  Shape sizes{}, strides{};
  b.outer = b.inner = 1;
  for (const bool reduced : {false, true})
    for (int d = 0; d < shape.rank; ++d)
      if (((bits >> d & 1) != 0) == reduced) {
        sizes.push_back(shape[d]);
        strides.push_back(x.strides()[d]);
        (reduced ? b.reduced : b.outer) *= shape[d];
      }
  b.x = kernel::clone(x.view(sizes, strides));
  return b;
}

Tensor spread(Tensor y, const Shape& shape, unsigned bits, bool keepdim) {
  // Without keepdim sizes still meet from the right when only leading axes are gone.
  if (!keepdim && (bits & (bits + 1)) != 0) y = reshape(y, reduced_shape(shape, bits, true));
  return y.shape() == shape ? y : expand(y, shape);
}

void check_not_empty(const char* op, const Shape& shape, unsigned bits) {
  if (reduced_size(shape, bits) == 0)
    throw Error(std::string(op) + ": over an empty axis of shape " + to_string(shape));
}

}  // namespace fathom
