// Products over axes and running sums.
#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/axes.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"

namespace fathom {
namespace {

Tensor running_sum(const Tensor& x, int d, bool backwards) {
  Tensor y(x.shape(), x.dtype());
  visit_number("cumsum", x.dtype(), [&]<class T>(T) {
    using Sum = std::conditional_t<std::same_as<T, int64_t>, int64_t, double>;
    const Blocks b = blocks(x, 1u << d);
    const T* from = b.x.template data<T>();
    T* to = y.data<T>();
    for (int64_t o = 0; o < b.outer; ++o)
      for (int64_t j = 0; j < b.inner; ++j) {
        Sum total = 0;
        for (int64_t i = 0; i < b.reduced; ++i) {
          const int64_t at = (o * b.reduced + (backwards ? b.reduced - 1 - i : i)) * b.inner + j;
          to[at] = T(total += Sum(from[at]));
        }
      }
  });
  return y;
}
Tensor cumsum_from(const Tensor& x, int d, bool backwards) {
  return linear_op(
      "cumsum", x, [=](const Tensor& t) { return running_sum(t, d, backwards); },
      [=](const Tensor& g) { return cumsum_from(g, d, !backwards); });
}

}  // namespace

Tensor cumsum(const Tensor& x, int64_t d) {
  const int along = axis("cumsum", d, x.shape().rank);
  return cumsum_from(x.dtype() == boolean ? x.to(i64) : x, along, false);
}

// A tree of products: no division, so that zeros are right to any order.
Tensor prod(const Tensor& x, const Axes& axes, bool keepdim) {
  if (x.dtype() == boolean) return prod(x.to(i64), axes, keepdim);
  const Shape& shape = x.shape();
  const unsigned bits = axis_bits("prod", axes, shape.rank);
  int64_t n = reduced_size(shape, bits);
  if (n == 0) return sum(x, axes, keepdim) + 1.0;
  Axes order{};
  for (const bool reduced : {false, true})
    for (int d = 0; d < shape.rank; ++d)
      if (((bits >> d & 1) != 0) == reduced) order.push_back(d);
  Tensor y = order.rank ? permute(x, order) : x;
  y = reshape(y, Shape{y.numel() / n, n});
  Tensor odd;
  while (n > 1) {
    const int64_t half = n / 2;
    if (n % 2) {
      const Tensor last = select(y, 1, n - 1);
      odd = odd.defined() ? odd * last : last;
    }
    y = slice(y, 1, 0, half) * slice(y, 1, half, 2 * half);
    n = half;
  }
  y = select(y, 1, 0);
  if (odd.defined()) y = y * odd;
  return no_view_of(x, reshape(y, reduced_shape(shape, bits, keepdim)));
}

}  // namespace fathom
