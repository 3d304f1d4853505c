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

Blocks rows(const Tensor& x, unsigned bits) {
  Blocks b;
  Shape sizes{}, strides{};
  for (int d = 0; d < x.shape().rank; ++d)
    if (!(bits >> d & 1)) {
      sizes.push_back(x.shape()[d]);
      strides.push_back(x.strides()[d]);
      b.outer *= x.shape()[d];
    }
  const int kept = sizes.rank;
  for (int d = 0; d < x.shape().rank; ++d)
    if (bits >> d & 1) {  // in the order of memory: a reduction does not ask for another
      int at = sizes.rank;
      while (at > kept && strides[at - 1] < x.strides()[d]) --at;
      sizes.insert(at, x.shape()[d]);
      strides.insert(at, x.strides()[d]);
      b.reduced *= x.shape()[d];
    }
  b.x = x.view(sizes, strides);
  if (!b.x.is_contiguous()) b.x = kernel::clone(b.x);
  return b;
}

Blocks blocks(const Tensor& x, unsigned bits) {
  const Shape& shape = x.shape();
  Blocks b;
  int first = 0, end = shape.rank;
  while (first < end && !(bits >> first & 1)) b.outer *= shape[first++];
  while (end > first && !(bits >> (end - 1) & 1)) b.inner *= shape[--end];
  bool together = x.is_contiguous() || first > 0 || end < shape.rank;
  for (int d = first; d < end; ++d) together &= (bits >> d & 1) != 0;
  if (!together) return rows(x, bits);
  b.reduced = reduced_size(shape, bits);
  b.x = x.is_contiguous() ? x.alias() : kernel::clone(x);
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
