// Ops that put numbers elsewhere, each one's place known from the shapes.
#include <algorithm>

#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/number.h"
#include "fathom/autograd/ops/views.h"

namespace fathom {
namespace {

std::string pair_of(const Shape& a, const Shape& b) { return to_string(a) + " and " + to_string(b); }

// Elements begin .. begin + count - 1 along axis d; without history.
Tensor part(const Tensor& x, int d, int64_t begin, int64_t count) {
  Shape shape = x.shape();
  shape[d] = count;
  return x.view(shape, x.strides(), count ? begin * x.strides()[d] : 0);
}

// One rule for all inputs in each mode, so that the tangent too is put together once.
struct ConcatNode final : Node {
  pool::vector<Ref<History>> refs;
  pool::vector<int64_t> begins;  // of each input along d, and the end
  int d;

  ConcatNode(const Tensor& y, std::span<const Tensor> xs, int along) : Node("concat", y.shape(), y.dtype()), d(along) {
    begins.push_back(0);
    for (const Tensor& x : xs) {
      refs.emplace_back(x.history());
      begins.push_back(begins.back() + x.shape()[d]);
    }
    take_inputs(refs);
  }
  void vjp(Tensor g, Wanted wanted, Cotangents& into) override {
    check_not_consumed();
    for (size_t i = 0; i < inputs.size(); ++i)
      if (wanted[i]) into.add(*input(i), slice(g, d, begins[i], begins[i + 1]));
  }
  Tensor jvp(Wanted wanted) override {
    check_not_consumed();
    std::vector<Tensor> ts(inputs.size());
    bool any = false;
    for (size_t i = 0; i < ts.size(); ++i) any |= (ts[i] = wanted.tangent(i)).defined();
    if (!any) return {};
    for (size_t i = 0; i < ts.size(); ++i) {
      Shape s = shape;
      s[d] = begins[i + 1] - begins[i];
      ts[i] = ts[i].defined() ? expand_to(ts[i], s) : kernel::full(s, 0, dtype);
    }
    return concat(ts, d);
  }

 private:
  void give_back() override { refs.clear(); }
};

Tensor padded(const Tensor& x, const Shape& before, const Shape& after, double value) {
  Shape shape = x.shape();
  for (int d = 0; d < shape.rank; ++d)
    if (__builtin_add_overflow(shape[d], before[d], &shape[d]) || __builtin_add_overflow(shape[d], after[d], &shape[d]))
      throw Error("pad: " + to_string(x.shape()) + " by " + pair_of(before, after) + " is too large");
  Tensor y = kernel::full(shape, value, x.dtype());
  Tensor inner = y;
  for (int d = 0; d < shape.rank; ++d) inner = part(inner, d, before[d], x.shape()[d]);
  kernel::copy(x, inner);
  return y;
}
Tensor pad_by(const Tensor& x, const Shape& before, const Shape& after, double value) {
  return record("pad", padded(x, before, after, value),
                wrt(
                    x,
                    [before, shape = x.shape()](Tensor g) {
                      for (int d = 0; d < shape.rank; ++d)
                        if (g.shape()[d] != shape[d]) g = slice(g, d, before[d], before[d] + shape[d]);
                      return g;
                    },
                    [before, after](const Tensor& t) { return pad_by(t, before, after, 0); }));
}

// x with zeros where, in the last two axes, column - row < first or > last.
Tensor banded(const Tensor& x, int64_t first, int64_t last) {
  Tensor y = kernel::clone(x);
  if (y.numel() == 0) return y;
  const int64_t rows = y.size(-2), columns = y.size(-1);
  visit(y.dtype(), [&]<class T>(T) {
    T* row = y.data<T>();
    for (int64_t r = 0, n = y.numel() / columns; r < n; ++r, row += columns) {
      const int64_t i = r % rows;
      const int64_t begin = std::clamp<int64_t>(first + i, 0, columns);
      const int64_t end = std::clamp<int64_t>(last + i + 1, begin, columns);
      std::fill(row, row + begin, T(0));
      std::fill(row + end, row + columns, T(0));
    }
  });
  return y;
}
Tensor band(const char* op, const Tensor& x, int64_t first, int64_t last) {
  if (x.dim() < 2) throw Error(std::string(op) + ": needs at least two axes, got " + to_string(x.shape()));
  return linear_op(
      op, x, [=](const Tensor& t) { return banded(t, first, last); },
      [=](const Tensor& g) { return band(op, g, first, last); });
}
constexpr int64_t far = int64_t{1} << 61;

}  // namespace

Tensor concat(std::span<const Tensor> xs, int64_t at) {
  if (xs.empty()) throw Error("concat: no tensors");
  Shape shape = xs[0].shape();
  const int d = axis("concat", at, shape.rank);
  for (size_t i = 1; i < xs.size(); ++i) {
    kernel::check_dtypes("concat", xs[0], xs[i]);
    Shape other = xs[i].shape();
    if (other.rank == shape.rank) other[d] = shape[d];
    if (other != shape)
      throw Error("concat: shapes differ beside axis " + std::to_string(d) + ": " +
                  pair_of(xs[0].shape(), xs[i].shape()));
    shape[d] += xs[i].shape()[d];
  }
  const Tensor y(shape, xs[0].dtype());
  int64_t begin = 0;
  bool recorded = false;
  for (const Tensor& x : xs) {
    kernel::copy(x, part(y, d, begin, x.shape()[d]));
    begin += x.shape()[d];
    recorded |= x.history() != nullptr;
  }
  if (recorded && recording()) y.set_history(new ConcatNode(y, xs, d));
  return y;
}
Tensor concat(std::initializer_list<Tensor> xs, int64_t d) { return concat(std::span(xs.begin(), xs.size()), d); }

Tensor stack(std::span<const Tensor> xs, int64_t at) {
  if (xs.empty()) throw Error("stack: no tensors");
  const int d = axis("stack", at, xs[0].shape().rank + 1);
  pool::vector<Tensor> list;
  list.reserve(xs.size());
  for (const Tensor& x : xs) {
    kernel::check_dtypes("stack", xs[0], x);
    if (x.shape() != xs[0].shape()) throw Error("stack: shapes differ: " + pair_of(xs[0].shape(), x.shape()));
    list.push_back(unsqueeze(x, d));
  }
  return concat(list, d);
}
Tensor stack(std::initializer_list<Tensor> xs, int64_t d) { return stack(std::span(xs.begin(), xs.size()), d); }

Tensor pad(const Tensor& x, std::span<const int64_t> before_after, double value) {
  const int rank = x.shape().rank;
  if (before_after.size() % 2 || before_after.size() > size_t(2 * rank))
    throw Error("pad: " + std::to_string(before_after.size()) + " numbers for a tensor of shape " +
                to_string(x.shape()) + "; it takes a pair for each axis, the last axis first");
  check_number("pad", value, x.dtype());
  Shape before = x.shape();
  for (int64_t& n : std::span(before.sizes, size_t(rank))) n = 0;
  Shape after = before;
  for (size_t i = 0; i < before_after.size(); ++i) {
    if (before_after[i] < 0) throw Error("pad: a width of " + std::to_string(before_after[i]));
    (i % 2 ? after : before)[rank - 1 - int(i / 2)] = before_after[i];
  }
  return pad_by(x, before, after, value);
}
Tensor pad(const Tensor& x, std::initializer_list<int64_t> before_after, double value) {
  return pad(x, std::span(before_after.begin(), before_after.size()), value);
}

Tensor flip(const Tensor& x, const Axes& axes) {
  const unsigned bits = axis_bits("flip", axes, x.shape().rank);
  return linear_op(
      "flip", x,
      [bits](const Tensor& t) {
        Shape strides = t.strides();
        int64_t skip = 0;
        for (int d = 0; d < strides.rank; ++d)
          if (bits >> d & 1) {
            skip += (t.shape()[d] - 1) * strides[d];
            strides[d] = -strides[d];
          }
        return t.numel() ? kernel::clone(t.view(t.shape(), strides, skip)) : kernel::clone(t);
      },
      [axes](const Tensor& g) { return flip(g, axes); });
}

Tensor roll(const Tensor& x, int64_t shift, int64_t at) {
  const int d = axis("roll", at, x.shape().rank);
  const int64_t size = x.shape()[d];
  const int64_t first = size ? (shift % size + size) % size : 0;  // where element 0 comes to lie
  return linear_op(
      "roll", x,
      [=](const Tensor& t) {
        Tensor y(t.shape(), t.dtype());
        kernel::copy(part(t, d, 0, size - first), part(y, d, first, size - first));
        kernel::copy(part(t, d, size - first, first), part(y, d, 0, first));
        return y;
      },
      [=](const Tensor& g) { return roll(g, -first, d); });
}

Tensor tril(const Tensor& x, int64_t diagonal) { return band("tril", x, -far, std::clamp(diagonal, -far, far)); }
Tensor triu(const Tensor& x, int64_t diagonal) { return band("triu", x, std::clamp(diagonal, -far, far), far); }

Tensor repeat(const Tensor& x, const Shape& times) {
  if (times.rank < x.dim())
    throw Error("repeat: " + to_string(times) + " times for a tensor of shape " + to_string(x.shape()));
  for (int64_t n : times)
    if (n < 0) throw Error("repeat: " + to_string(times) + " times");
  Shape shape = x.shape();
  while (shape.rank < times.rank) shape.insert(0, 1);
  Tensor y = reshape(x, shape);
  for (int d = 0; d < shape.rank; ++d) {
    if (times[d] == 1) continue;
    int64_t outer = 1, inner = 1;
    for (int k = 0; k < shape.rank; ++k) (k < d ? outer : inner) *= shape[k];
    if (__builtin_mul_overflow(shape[d], times[d], &shape[d]))
      throw Error("repeat: " + to_string(times) + " times for a tensor of shape " + to_string(x.shape()));
    checked_bytes(shape, x.dtype());
    y = reshape(expand(reshape(y, {outer, 1, inner}), {outer, times[d], inner}), shape);
  }
  return no_view_of(x, y);
}

}  // namespace fathom
