// Ops that read or write where an i64 tensor says.
#include "fathom/autograd/ops/index.h"

#include <algorithm>

#include "fathom/autograd/ops/axes.h"
#include "fathom/autograd/ops/compare.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/autograd/record.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom {
namespace {

Tensor dense(const Tensor& x) { return x.is_contiguous() ? x.alias() : kernel::clone(x); }

// The indices, in row-major order. Throws Error when they are not i64 or not within 0 .. size - 1.
Tensor checked(const char* op, const Tensor& index, int64_t size, const std::string& what) {
  if (index.dtype() != i64)
    throw Error(std::string(op) + ": the index must be i64, got " + to_string(index.dtype()) +
                "; convert with .to(i64)");
  const Tensor list = dense(index);
  const int64_t* at = list.data<int64_t>();
  for (int64_t i = 0, n = list.numel(); i < n; ++i)
    if (at[i] < 0 || at[i] >= size)
      throw Error(std::string(op) + ": index " + std::to_string(at[i]) + " for " + what + " of size " +
                  std::to_string(size));
  return list;
}
std::string axis_name(int d) { return "axis " + std::to_string(d); }

// ---- whole slices ----

Tensor selected(const Tensor& x, int d, const Tensor& index) {
  const Tensor list = checked("index_select", index, x.shape()[d], axis_name(d));
  const int64_t n = list.numel();
  Shape shape = x.shape();
  shape[d] = n;
  Tensor y(shape, x.dtype());
  visit(x.dtype(), [&]<class T>(T) {
    const Blocks b = blocks(x, 1u << d);
    const T* from = b.x.template data<T>();
    const int64_t* at = list.data<int64_t>();
    T* to = y.data<T>();
    parallel(b.outer * n, std::max<int64_t>(1, kernel::parallel_grain / std::max<int64_t>(1, b.inner)),
             [&](int64_t begin, int64_t end) {
               for (int64_t i = begin; i < end; ++i)
                 std::copy_n(from + (i / n * b.reduced + at[i % n]) * b.inner, b.inner, to + i * b.inner);
             });
  });
  return y;
}

// The transpose of index_select: slice i of x, added to slice index[i] of zeros with `size` slices.
Tensor added_slices(const Tensor& x, int d, const Tensor& index, int64_t size) {
  const Tensor list = checked("index_select", index, size, axis_name(d));
  Shape shape = x.shape();
  shape[d] = size;
  Tensor y = kernel::full(shape, 0, x.dtype());
  visit_floating("index_select", x.dtype(), [&]<class T>(T) {
    const Blocks b = blocks(x, 1u << d);
    const T* from = b.x.template data<T>();
    const int64_t* at = list.data<int64_t>();
    T* to = y.data<T>();
    const int64_t each = std::max<int64_t>(1, b.outer * b.reduced);
    parallel(b.inner, std::max<int64_t>(1, kernel::parallel_grain / each), [&](int64_t begin, int64_t end) {
      for (int64_t i = 0; i < b.outer * b.reduced; ++i) {
        const T* slice = from + i * b.inner;
        T* sum = to + (i / b.reduced * size + at[i % b.reduced]) * b.inner;
        for (int64_t j = begin; j < end; ++j) sum[j] += slice[j];
      }
    });
  });
  return y;
}
Tensor add_slices(const Tensor& x, int d, const Tensor& index, int64_t size) {
  return record("index_add", added_slices(x, d, index, size), keep(index),
                wrt(
                    x, [d](const Tensor& g, const Tensor& i) { return index_select(g, d, i); },
                    [d, size](const Tensor& t, const Tensor& i) { return add_slices(t, d, i, size); }));
}

// ---- single elements ----

// Throws Error unless the index has whole's rank and is no larger, along axis d excepted.
void check_fits(const char* op, const Tensor& whole, const Tensor& index, int d) {
  bool fits = whole.dim() == index.dim();
  for (int k = 0; fits && k < whole.shape().rank; ++k) fits = k == d || index.shape()[k] <= whole.shape()[k];
  if (!fits)
    throw Error(std::string(op) + ": the index " + to_string(index.shape()) + " does not fit " +
                to_string(whole.shape()) + " along axis " + std::to_string(d));
}

// f(element of whole that the index names, element of part) for each index; part has the index's shape.
template <class T, class F>
void each_indexed(const Tensor& whole, int d, const Tensor& list, const Tensor& part, F f) {
  const Shape& shape = list.shape();
  Shape strides[3] = {whole.strides(), part.strides(), list.strides()};
  const int last = shape.rank - 1;
  const int64_t along = whole.strides()[d];
  strides[0][d] = 0;
  const int64_t step = strides[0][last], step_part = strides[1][last];
  T* const a = whole.data<T>();
  T* const b = part.data<T>();
  const int64_t* const at = list.data<int64_t>();
  kernel::each_row(shape, strides, [&](const int64_t* row) {
    for (int64_t j = 0; j < shape[last]; ++j)
      f(a[row[0] + j * step + at[row[2] + j] * along], b[row[1] + j * step_part]);
  });
}

Tensor gathered(const Tensor& x, int d, const Tensor& index) {
  check_fits("gather", x, index, d);
  const Tensor list = checked("gather", index, x.shape()[d], axis_name(d));
  Tensor y(index.shape(), x.dtype());
  visit(x.dtype(), [&]<class T>(T) { each_indexed<T>(x, d, list, y, [](T from, T& to) { to = from; }); });
  return y;
}

Tensor scattered(const Tensor& x, int d, const Tensor& index, const Tensor& source) {
  const Tensor list = checked("scatter_add", index, x.shape()[d], axis_name(d));
  Tensor y = kernel::clone(x);
  visit_number("scatter_add", x.dtype(),
               [&]<class T>(T) { each_indexed<T>(y, d, list, source, [](T& to, T from) { to += from; }); });
  return y;
}

}  // namespace

Tensor index_select(const Tensor& x, int64_t at, const Tensor& index) {
  const int d = axis("index_select", at, x.shape().rank);
  if (index.dim() != 1) throw Error("index_select: the index must have one axis, got " + to_string(index.shape()));
  return record("index_select", selected(x, d, index), keep(index),
                wrt(
                    x, [d, size = x.shape()[d]](const Tensor& g, const Tensor& i) { return add_slices(g, d, i, size); },
                    [d](const Tensor& t, const Tensor& i) { return index_select(t, d, i); }));
}

Tensor gather(const Tensor& x, int64_t at, const Tensor& index) {
  const int d = axis("gather", at, x.shape().rank);
  return record("gather", gathered(x, d, index), keep(index),
                wrt(
                    x,
                    [d, shape = x.shape()](const Tensor& g, const Tensor& i) {
                      return scatter_add(kernel::full(shape, 0, g.dtype()), d, i, g);
                    },
                    [d](const Tensor& t, const Tensor& i) { return gather(t, d, i); }));
}

Tensor scatter_add(const Tensor& x, int64_t at, const Tensor& index, const Tensor& source) {
  const int d = axis("scatter_add", at, x.shape().rank);
  kernel::check_dtypes("scatter_add", x, source);
  check_fits("scatter_add", x, index, d);
  bool fits = source.dim() == index.dim();
  for (int k = 0; fits && k < source.shape().rank; ++k) fits = index.shape()[k] <= source.shape()[k];
  if (!fits)
    throw Error("scatter_add: the index " + to_string(index.shape()) + " does not fit the source " +
                to_string(source.shape()));
  Tensor part = source;
  for (int k = 0; k < index.shape().rank; ++k)
    if (index.shape()[k] < part.shape()[k]) part = slice(part, k, 0, index.shape()[k]);
  return record("scatter_add", scattered(x, d, index, part), keep(index),
                wrt(x, [](const Tensor& g, const Tensor&) { return g; }),
                wrt(
                    part, [d](const Tensor& g, const Tensor& i) { return gather(g, d, i); },
                    [d, shape = x.shape()](const Tensor& t, const Tensor& i) {
                      return scatter_add(kernel::full(shape, 0, t.dtype()), d, i, t);
                    }));
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, double value) {
  if (mask.dtype() != boolean)
    throw Error(std::string("masked_fill: needs a boolean mask, got ") + to_string(mask.dtype()) +
                "; compare it with 0");
  if (broadcast("masked_fill", x.shape(), mask.shape()) != x.shape())
    throw Error("masked_fill: a mask " + to_string(mask.shape()) + " for a tensor of shape " + to_string(x.shape()));
  return where(mask, value, x);
}

Tensor one_hot(const Tensor& index, int64_t classes) {
  if (classes < 0) throw Error("one_hot: " + std::to_string(classes) + " classes");
  Shape shape = index.shape();
  shape.push_back(classes);
  const Tensor list = checked("one_hot", index, classes, "classes");
  Tensor y = kernel::full(shape, 0, i64);
  const int64_t* at = list.data<int64_t>();
  int64_t* to = y.data<int64_t>();
  for (int64_t i = 0, n = list.numel(); i < n; ++i) to[i * classes + at[i]] = 1;
  return y;
}

}  // namespace fathom
