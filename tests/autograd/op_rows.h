#pragma once
// What the tests of ops on a matrix share: small tensors, and the checks that hold of every op.

#include <limits>

#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "tests/autograd/tensors.h"
#include "tests/support.h"

namespace op_rows {

using namespace fathom;

using Numbers = std::vector<double>;
using Whole = std::vector<int64_t>;
constexpr double inf = std::numeric_limits<double>::infinity(), quiet_nan = std::numeric_limits<double>::quiet_NaN();

inline Tensor doubles(const Numbers& x) { return from_data(x, {int64_t(x.size())}); }
inline Tensor whole(const Shape& shape, const Whole& x) { return from_data(x, shape); }
inline Tensor counted(const Shape& shape) {  // 0, 1, 2, ...
  return arange(shape.numel()).to(f64).reshape(shape);
}
inline Whole places(const Tensor& x) { return x.to_vector<int64_t>(); }

// An op on x of shape (n, m).
struct Row {
  const char* name;
  Tensor (*f)(const Tensor&);
};

// Both modes to second order, of dense and of strided x.
inline void check_op(const Row& row, const Tensor& x) {
  INFO(row.name << " of " << to_string(x.shape()));
  CHECK_NOTHROW(check_grads([&](List in) { return square(row.f(sin(in[0]))); }, {x}));
  CHECK_NOTHROW(check_grads([&](List in) { return square(row.f(transpose(in[0]))); }, {x}));
  CHECK_NOTHROW(check_grads([&](List in) { return square(row.f(slice(in[0], 1, 0, x.size(1), 2))); }, {x}));
}

inline void check_rows(std::span<const Row> rows) {
  for (const Row& row : rows) {
    check_op(row, normal({3, 4}));
    check_op(row, normal({1, 1}));
    const Tensor x = normal({4, 3}), y = row.f(transpose(x)), same = row.f(transpose(x).contiguous());
    CHECK(y.shape() == same.shape());
    CHECK(allclose(y, same, 1e-12, 1e-14));
  }
}

// f of an x without elements has this shape, and its gradient x's.
template <class F>
void check_empty(F f, const Shape& shape, const Shape& result) {
  Tensor x = zeros(shape, {.dtype = f64, .requires_grad = true});
  const Tensor y = f(x);
  CHECK(y.shape() == result);
  CHECK(grad(sum(y), x, {.allow_unused = true}).shape() == shape);
  CHECK_NOTHROW(check_grads([&](List in) { return f(in[0]); }, {zeros(shape, {.dtype = f64})}));
}

}  // namespace op_rows
