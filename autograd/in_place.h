// Changes in place: to the numbers, and, when recorded, to the tensor's history.
#pragma once
#include "fathom/autograd/ops/views.h"
#include "fathom/autograd/record.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom {

// Throws Error when x must not be changed in place now: one expanded; while recording, a leaf that requires grad; and,
// where the change is recorded and leads to such a leaf, a view and what has living views.
inline void check_in_place(const char* op, const Tensor& x, const History* other) {
  for (int d = 0; d < x.shape().rank && !x.is_contiguous(); ++d)
    if (x.strides()[d] == 0 && x.shape()[d] > 1)
      throw Error(std::string(op) + ": the tensor of shape " + to_string(x.shape()) + " and strides " +
                  to_string(x.strides()) + " has several elements in one place; change its clone()");
  if (!recording()) return;
  const Node* node = node_of(x);
  if (node && node->is_leaf() && node->trained)
    throw Error(std::string(op) + ": a leaf of shape " + to_string(x.shape()) +
                " that requires grad is changed in place; do it within a NoGrad scope");
  const Storage& storage = x.storage();
  const bool trained = (node && node->trained) || (other && static_cast<const Node*>(other)->trained);
  if (trained && storage.refs - storage.kept > 1)
    throw Error(
        std::string(op) + ": the tensor of shape " + to_string(x.shape()) +
        " is a view or has living views; while recording only a tensor alone on its storage is changed in place");
}

// y, or a copy of it when it is another view of the storage of x, which is about to change.
inline Tensor apart_from(const Tensor& x, const Tensor& y) {
  if (&y.storage() != &x.storage()) return y;
  if (y.offset() == x.offset() && y.shape() == x.shape() && y.strides() == x.strides()) return y;
  return kernel::clone(y);
}
// x as it is now, with its history, for rules to keep.
inline Tensor as_before(const Tensor& x, const Tensor& changing) {
  if (&x.storage() != &changing.storage()) return x;
  Tensor before = kernel::clone(x);
  before.set_history(x.history());
  return before;
}

template <class F, class Op, class... Y>
Tensor& change_in_place_of(const char* op, Tensor& x, F f, Op recorded, const Y&... y) {
  (kernel::check_dtypes(op, x, y), ...);
  ((broadcast(op, x.shape(), y.shape()) != x.shape()
        ? throw Error(std::string(op) + ": " + to_string(y.shape()) + " does not fit into " + to_string(x.shape()))
        : void()),
   ...);
  const History* other = nullptr;
  ((y.history() ? void(other = y.history()) : void()), ...);
  check_in_place(op, x, other);
  if (recording() && (x.history() || other)) {
    const Tensor result = recorded(as_before(x, x), as_before(y, x)...);
    kernel::copy(result, x);
    x.set_history(result.history());
  } else {
    visit_number(op, x.dtype(), [&]<class T>(T) { kernel::map_all<T>(f, x, x, apart_from(x, y)...); });
  }
  x.storage().changed(op);
  return x;
}
template <class F, class Op>
Tensor& change_in_place(const char* op, Tensor& x, const Tensor& y, F f, Op recorded) {
  return change_in_place_of(op, x, f, recorded, y);
}
template <class F, class Op>
Tensor& change_in_place(const char* op, Tensor& x, F f, Op recorded) {
  return change_in_place_of(op, x, f, recorded);
}

}  // namespace fathom
