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
  const auto outside = [size](int64_t i) { return (i < 0) | (i >= size); };
  int64_t wrong = 0;
  for (int64_t i = 0, n = list.numel(); i < n; ++i) wrong |= outside(at[i]);
  if (wrong)
    throw Error(std::string(op) + ": index " + std::to_string(*std::find_if(at, at + list.numel(), outside)) + " for " +
                what + " of size " + std::to_string(size));
  return list;
}
std::string axis_name(int d) { return "axis " + std::to_string(d); }

// ---- on the tape ----

// y = x taken at the index along d; its transpose adds into what flows into x, at the index, and nowhere else.
using Take = Tensor (*)(const Tensor& x, int64_t d, const Tensor& index);
using Add = Tensor (*)(Tensor x, int64_t d, const Tensor& index, const Tensor& source);
struct TakeNode final : Node {
  Ref<History> ref;
  Kept index;
  int d;
  Take take;
  Add add;

  TakeNode(const char* op, const Tensor& y, const Tensor& x, int axis, const Tensor& i, Take t, Add a)
      : Node(op, y.shape(), y.dtype()), ref(x.history()), index(i, false), d(axis), take(t), add(a) {
    take_inputs(std::span(&ref, 1));
  }
  void vjp(Tensor g, Wanted wanted, Cotangents& into) override {
    check_not_consumed();
    if (!wanted[0]) return;
    const Tensor places = index.get(*this);
    into.update(*input(0), [&](Tensor at) {
      if (!at.defined()) at = kernel::full(input(0)->shape, 0, dtype);
      return add(std::move(at), d, places, g);
    });
  }
  Tensor jvp(Wanted wanted) override {
    check_not_consumed();
    const Tensor t = wanted.tangent(0);
    return t.defined() ? take(t, d, index.get(*this)) : Tensor();
  }

 private:
  void give_back() override {
    index.~Kept(), new (&index) Kept;
    ref = Ref<History>();
  }
};
Tensor record_take(const char* op, Tensor y, const Tensor& x, int d, const Tensor& index, Take take, Add add) {
  if (recording() && x.history()) y.set_history(new TakeNode(op, y, x, d, index, take, add));
  return y;
}

constexpr auto pass = [](Tensor g, const Tensor&) { return g; };

// Such a sum y on the tape: linear in x and in the source.
template <class ToX>
Tensor record_add(const char* op, Tensor y, ToX to_x, int d, const Tensor& index, const Tensor& source, Take take,
                  Add add) {
  const Shape shape = y.shape();
  const Dtype dtype = y.dtype();
  return record(op, std::move(y), keep(index), std::move(to_x),
                wrt(
                    source, [=](const Tensor& g, const Tensor& at) { return take(g, d, at); },
                    AddingTo{[=](Tensor sum, const Tensor& t, const Tensor& at) {
                      return add(sum.defined() ? std::move(sum) : kernel::full(shape, 0, dtype), d, at, t);
                    }}));
}

// x's own buffer when nobody else holds it, else a copy.
Tensor to_change(const Tensor& x) { return x.owned() ? x.alias() : kernel::clone(x); }

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
    const auto take = [&](int64_t begin, int64_t end, auto inner) {
      while (begin < end) {  // as far as the list goes
        const int64_t k = begin % n, run = std::min(n - k, end - begin);
        const T* const block = from + begin / n * b.reduced * inner;
        for (int64_t i = 0; i < run; ++i) std::copy_n(block + at[k + i] * inner, inner, to + (begin + i) * inner);
        begin += run;
      }
    };
    parallel(b.outer * n, std::max<int64_t>(1, kernel::parallel_grain / std::max<int64_t>(1, b.inner)),
             [&](int64_t begin, int64_t end) {
               if (b.inner == 1) take(begin, end, std::integral_constant<int64_t, 1>());
               else take(begin, end, b.inner);
             });
  });
  return y;
}

// x with slice i of the source added to its slice index[i].
Tensor index_add(Tensor x, int64_t at, const Tensor& index, const Tensor& source) {
  const int d = int(at);
  auto to_x = wrt(x, pass);
  const Tensor y = to_change(x);
  const Tensor list = checked("index_add", index, x.shape()[d], axis_name(d));
  visit_floating("index_add", y.dtype(), [&]<class T>(T) {
    const Blocks b = blocks(source, 1u << d);
    const T* from = b.x.template data<T>();
    const int64_t* places = list.data<int64_t>();
    T* to = y.data<T>();
    const int64_t size = y.shape()[d], each = std::max<int64_t>(1, b.outer * b.reduced);
    parallel(b.inner, std::max<int64_t>(1, kernel::parallel_grain / each), [&](int64_t begin, int64_t end) {
      for (int64_t i = 0; i < b.outer * b.reduced; ++i) {
        const T* slice = from + i * b.inner;
        T* sum = to + (i / b.reduced * size + places[i % b.reduced]) * b.inner;
        for (int64_t j = begin; j < end; ++j) sum[j] += slice[j];
      }
    });
  });
  return record_add("index_add", y, std::move(to_x), d, index, source, index_select, index_add);
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

// Requires: the source has the index's shape.
Tensor scatter_into(Tensor x, int64_t at, const Tensor& index, const Tensor& source) {
  const int d = int(at);
  auto to_x = wrt(x, pass);
  const Tensor y = to_change(x);
  const Tensor list = checked("scatter_add", index, x.shape()[d], axis_name(d));
  visit_number("scatter_add", y.dtype(),
               [&]<class T>(T) { each_indexed<T>(y, d, list, source, [](T& to, T from) { to += from; }); });
  return record_add("scatter_add", y, std::move(to_x), d, index, source, gather, scatter_into);
}

}  // namespace

Tensor index_select(const Tensor& x, int64_t at, const Tensor& index) {
  const int d = axis("index_select", at, x.shape().rank);
  if (index.dim() != 1) throw Error("index_select: the index must have one axis, got " + to_string(index.shape()));
  return record_take("index_select", selected(x, d, index), x, d, index, index_select, index_add);
}

Tensor gather(const Tensor& x, int64_t at, const Tensor& index) {
  const int d = axis("gather", at, x.shape().rank);
  return record_take("gather", gathered(x, d, index), x, d, index, gather, scatter_into);
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
  return scatter_into(x, d, index, part);
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, double value) {
  if (mask.dtype() != boolean)
    throw Error(std::string("masked_fill: needs a boolean mask, got ") + to_string(mask.dtype()) +
                "; compare it with 0");
  if (broadcast("masked_fill", x.shape(), mask.shape()) != x.shape())
    throw Error("masked_fill: a mask " + to_string(mask.shape()) + " for a tensor of shape " + to_string(x.shape()));
  return where(mask, value, x);
}
Tensor Tensor::masked_fill(const Tensor& mask, double value) const { return fathom::masked_fill(*this, mask, value); }

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
