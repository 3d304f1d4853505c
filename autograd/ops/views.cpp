#include "fathom/autograd/ops/views.h"

#include <algorithm>

#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/number.h"
#include "fathom/autograd/ops/reduce.h"

namespace fathom {
namespace {

constexpr auto pass = [](Tensor g) { return g; };

// The strides that read x under another shape of as many elements, if there are any.
bool strides_for(const Tensor& x, const Shape& shape, Shape& strides) {
  if (x.is_contiguous()) {
    strides = row_major(shape);
    return true;
  }
  strides.rank = shape.rank;
  int d = shape.rank - 1;
  for (int from = x.shape().rank - 1; from >= 0;) {  // groups of axes that lie in memory as one
    int64_t size = x.shape()[from], step = x.strides()[from];
    int next = from - 1;
    while (next >= 0 && (x.shape()[next] == 1 || x.strides()[next] == step * size)) size *= x.shape()[next--];
    int64_t filled = 1;
    while (d >= 0 && filled < size) {
      strides[d] = step * filled;
      filled *= shape[d--];
    }
    if (filled != size) return false;
    from = next;
  }
  for (; d >= 0; --d) {
    if (shape[d] != 1) return false;
    strides[d] = 1;
  }
  return true;
}

// `shape` with its one -1, if any, worked out.
Shape complete(const Tensor& x, Shape shape) {
  int open = -1;
  int64_t known = 1;
  bool wrong = false;
  for (int d = 0; d < shape.rank; ++d) {
    if (shape[d] == -1 && open < 0) open = d;
    else if (shape[d] < 0 || __builtin_mul_overflow(known, shape[d], &known)) wrong = true;
  }
  const Shape asked = shape;
  if (!wrong && open >= 0 && known > 0) shape[open] = x.numel() / known;
  if (wrong || (open >= 0 && known == 0) || shape.numel() != x.numel())
    throw Error("reshape: " + to_string(x.shape()) + ", of " + std::to_string(x.numel()) + " elements, does not fit " +
                to_string(asked));
  return shape;
}

Tensor swapped(const Tensor& x, int a, int b) {
  Shape shape = x.shape(), strides = x.strides();
  std::swap(shape[a], shape[b]);
  std::swap(strides[a], strides[b]);
  return x.view(shape, strides);
}

}  // namespace

Tensor identity(const Tensor& x) {
  return linear_op(
      "identity", x, [](const Tensor& t) { return t.alias(); }, pass);
}

Tensor reshape(const Tensor& x, const Shape& asked) {
  const Shape shape = complete(x, asked);
  if (shape == x.shape()) return x;
  return linear_op(
      "reshape", x,
      [shape](const Tensor& t) {
        Shape strides;
        return strides_for(t, shape, strides) ? t.view(shape, strides) : kernel::clone(t).view(shape, row_major(shape));
      },
      [from = x.shape()](const Tensor& g) { return reshape(g, from); });
}

Tensor flatten(const Tensor& x, int64_t from, int64_t to) {
  if (x.dim() == 0) return reshape(x, {1});
  const int first = axis("flatten", from, x.shape().rank), last = axis("flatten", to, x.shape().rank);
  if (first > last) throw Error("flatten: axes " + std::to_string(from) + " to " + std::to_string(to));
  Shape shape;
  for (int d = 0; d < x.shape().rank; ++d) {
    if (d > first && d <= last) shape[shape.rank - 1] *= x.shape()[d];
    else shape.push_back(x.shape()[d]);
  }
  return reshape(x, shape);
}

Tensor transpose(const Tensor& x, int64_t a, int64_t b) {
  const int i = axis("transpose", a, x.shape().rank), j = axis("transpose", b, x.shape().rank);
  return linear_op(
      "transpose", x, [i, j](const Tensor& t) { return swapped(t, i, j); },
      [i, j](const Tensor& g) { return transpose(g, i, j); });
}

Tensor permute(const Tensor& x, const Axes& axes) {
  const int rank = x.shape().rank;
  if (axes.rank != rank)
    throw Error("permute: axes " + to_string(axes) + " for a tensor of shape " + to_string(x.shape()));
  axis_bits("permute", axes, rank);
  Axes order, back;
  order.rank = back.rank = rank;
  for (int d = 0; d < rank; ++d) {
    order[d] = axis("permute", axes[d], rank);
    back[int(order[d])] = d;
  }
  return linear_op(
      "permute", x,
      [order](const Tensor& t) {
        Shape shape, strides;
        for (int64_t d : order) {
          shape.push_back(t.shape()[int(d)]);
          strides.push_back(t.strides()[int(d)]);
        }
        return t.view(shape, strides);
      },
      [back](const Tensor& g) { return permute(g, back); });
}

Tensor squeeze(const Tensor& x, int64_t at) {
  const int d = axis("squeeze", at, x.shape().rank);
  if (x.shape()[d] != 1)
    throw Error("squeeze: axis " + std::to_string(at) + " of " + to_string(x.shape()) + " is not of size 1");
  return linear_op(
      "squeeze", x,
      [d](const Tensor& t) {
        Shape shape = t.shape(), strides = t.strides();
        shape.erase(d);
        strides.erase(d);
        return t.view(shape, strides);
      },
      [d](const Tensor& g) { return unsqueeze(g, d); });
}

Tensor unsqueeze(const Tensor& x, int64_t at) {
  const int d = axis("unsqueeze", at, x.shape().rank + 1);
  return linear_op(
      "unsqueeze", x,
      [d](const Tensor& t) {
        Shape shape = t.shape(), strides = t.strides();
        shape.insert(d, 1);
        strides.insert(d, 1);
        return t.view(shape, strides);
      },
      [d](const Tensor& g) { return squeeze(g, d); });
}

Tensor expand(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  checked_bytes(shape, x.dtype());
  if (broadcast("expand", x.shape(), shape) != shape)
    throw Error("expand: " + to_string(x.shape()) + " to " + to_string(shape));
  return linear_op(
      "expand", x, [shape](const Tensor& t) { return t.view(shape, broadcast_strides(t.shape(), t.strides(), shape)); },
      [from = x.shape()](const Tensor& g) { return sum_to(g, from); });
}

Tensor slice(const Tensor& x, int64_t at, int64_t begin, int64_t end, int64_t by) {
  const int d = axis("slice", at, x.shape().rank);
  const int64_t size = x.shape()[d];
  if (by < 1) throw Error("slice: a step of " + std::to_string(by) + "; it must be at least 1");
  const int64_t step = std::min(by, std::max<int64_t>(size, 1));  // a longer one takes no more
  const auto within = [size](int64_t i) { return std::clamp(i < 0 ? i + size : i, int64_t{0}, size); };
  const int64_t first = within(begin), count = std::max<int64_t>(0, (within(end) - first + step - 1) / step);
  return part_op("slice", x, [=](const Tensor& t) {
    Shape shape = t.shape(), strides = t.strides();
    shape[d] = count;
    const int64_t skip = count ? first * strides[d] : 0;
    strides[d] *= step;
    return t.view(shape, strides, skip);
  });
}

Tensor select(const Tensor& x, int64_t at, int64_t index) {
  const int d = axis("select", at, x.shape().rank);
  const int64_t size = x.shape()[d], i = index < 0 ? index + size : index;
  if (i < 0 || i >= size)
    throw Error("select: index " + std::to_string(index) + " for axis " + std::to_string(at) + " of size " +
                std::to_string(size));
  return part_op("select", x, [=](const Tensor& t) {
    Shape shape = t.shape(), strides = t.strides();
    const int64_t skip = i * strides[d];
    shape.erase(d);
    strides.erase(d);
    return t.view(shape, strides, skip);
  });
}

Tensor diagonal(const Tensor& x, int64_t offset, int64_t a, int64_t b) {
  const int i = axis("diagonal", a, x.shape().rank), j = axis("diagonal", b, x.shape().rank);
  if (i == j) throw Error("diagonal: axes " + std::to_string(a) + " and " + std::to_string(b) + " are the same");
  const int64_t rows = x.shape()[i] - std::max<int64_t>(-offset, 0),
                columns = x.shape()[j] - std::max<int64_t>(offset, 0);
  const int64_t count = std::max<int64_t>(0, std::min(rows, columns));
  return part_op("diagonal", x, [=](const Tensor& t) {
    Shape shape = t.shape(), strides = t.strides();
    const int64_t step = strides[i] + strides[j];
    const int64_t skip = count ? (offset < 0 ? -offset * strides[i] : offset * strides[j]) : 0;
    shape.erase(std::max(i, j)), shape.erase(std::min(i, j)), shape.push_back(count);
    strides.erase(std::max(i, j)), strides.erase(std::min(i, j)), strides.push_back(step);
    return t.view(shape, strides, skip);
  });
}

std::vector<Tensor> unbind(const Tensor& x, int64_t d) {
  std::vector<Tensor> parts;
  const int64_t size = x.shape()[axis("unbind", d, x.shape().rank)];
  for (int64_t i = 0; i < size; ++i) parts.push_back(select(x, d, i));
  return parts;
}

std::vector<Tensor> split(const Tensor& x, int64_t size, int64_t d) {
  if (size < 1) throw Error("split: pieces of size " + std::to_string(size));
  std::vector<Tensor> parts;
  const int64_t all = x.shape()[axis("split", d, x.shape().rank)];
  for (int64_t begin = 0; begin < std::max<int64_t>(all, 1); begin += size)
    parts.push_back(slice(x, d, begin, std::min(begin + size, all)));
  return parts;
}

std::vector<Tensor> chunk(const Tensor& x, int64_t pieces, int64_t d) {
  if (pieces < 1) throw Error("chunk: " + std::to_string(pieces) + " pieces");
  const int64_t all = x.shape()[axis("chunk", d, x.shape().rank)];
  return split(x, std::max<int64_t>(1, all / pieces + (all % pieces != 0)), d);
}

// ---- methods ----

Tensor Tensor::to(Dtype dtype) const {
  if (dtype == this->dtype()) return *this;
  if (dtype == i64) check_fits_i64("to", *this);
  const auto converted = [dtype](const Tensor& x) {
    Tensor y(x.shape(), dtype);
    kernel::copy(x, y);
    return y;
  };
  if (!is_floating(dtype)) return converted(*this);
  return linear_op("to", *this, converted, [from = this->dtype()](const Tensor& g) { return g.to(from); });
}
Tensor Tensor::clone() const {
  return linear_op(
      "clone", *this, [](const Tensor& x) { return kernel::clone(x); }, pass);
}
Tensor Tensor::contiguous() const { return is_contiguous() ? *this : clone(); }
Tensor Tensor::detach() const { return alias(); }
Tensor Tensor::operator[](int64_t i) const { return fathom::select(*this, 0, i); }
Tensor Tensor::reshape(const Shape& shape) const { return fathom::reshape(*this, shape); }
Tensor Tensor::flatten(int64_t from, int64_t to) const { return fathom::flatten(*this, from, to); }
Tensor Tensor::transpose(int64_t a, int64_t b) const { return fathom::transpose(*this, a, b); }
Tensor Tensor::permute(const Axes& axes) const { return fathom::permute(*this, axes); }
Tensor Tensor::squeeze(int64_t d) const { return fathom::squeeze(*this, d); }
Tensor Tensor::unsqueeze(int64_t d) const { return fathom::unsqueeze(*this, d); }
Tensor Tensor::expand(const Shape& shape) const { return fathom::expand(*this, shape); }
Tensor Tensor::select(int64_t d, int64_t i) const { return fathom::select(*this, d, i); }
Tensor Tensor::slice(int64_t d, int64_t begin, int64_t end, int64_t step) const {
  return fathom::slice(*this, d, begin, end, step);
}

}  // namespace fathom
