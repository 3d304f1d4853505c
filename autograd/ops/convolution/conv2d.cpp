// A convolution is the three-way product <g, conv(x, w)>, linear in x, w and g: given two of them, its gradient in the
// third is conv itself, its transpose in x (`to_input`) or its transpose in w (`to_weight`), and the derivatives of
// each of these are the other two. Each is one matrix product a sample and group over what the kernel reads.
#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/convolution/products.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/views.h"

namespace fathom {
namespace convolution {
namespace {

// With many channels patches pay: they are copied, and added back, in long runs.
const Products& products(const Geometry& s) { return s.trivial() || s.in_group() < 16 ? by_columns : by_patches; }

Tensor apply(const Geometry& s, const Tensor& x, const Tensor& w, const Tensor& bias);
Tensor to_weight(const Geometry& s, const Tensor& x, const Tensor& g);

Tensor to_input(const Geometry& s, const Tensor& g, const Tensor& w) {
  return bilinear_op(
      "conv2d_to_input", g, w, [s](const Tensor& a, const Tensor& b) { return products(s).to_input(s, a, b); },
      [s](const Tensor& c, const Tensor& b) { return apply(s, c, b, {}); },
      [s](const Tensor& a, const Tensor& c) { return to_weight(s, c, a); });
}
Tensor to_weight(const Geometry& s, const Tensor& x, const Tensor& g) {
  return bilinear_op(
      "conv2d_to_weight", x, g, [s](const Tensor& a, const Tensor& b) { return products(s).to_weight(s, a, b); },
      [s](const Tensor& c, const Tensor& b) { return to_input(s, b, c); },
      [s](const Tensor& a, const Tensor& c) { return apply(s, a, c, {}); });
}
// bias (out, 1, 1), so that the walk sums and spreads it.
Tensor apply(const Geometry& s, const Tensor& x, const Tensor& w, const Tensor& bias) {
  return record("conv2d", products(s).value(s, x, w, bias), keep(kept_for(w, x), kept_for(x, w)),
                wrt(
                    x, [s](const Tensor& g, const Tensor&, const Tensor& b) { return to_input(s, g, b); },
                    [s](const Tensor& t, const Tensor&, const Tensor& b) { return apply(s, t, b, {}); }),
                wrt(
                    w, [s](const Tensor& g, const Tensor& a, const Tensor&) { return to_weight(s, a, g); },
                    [s](const Tensor& t, const Tensor& a, const Tensor&) { return apply(s, a, t, {}); }),
                wrt(bias, [](Tensor g, const Tensor&, const Tensor&) { return g; }));
}

Geometry geometry(const char* op, const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dForm& form) {
  kernel::check_dtypes(op, x, w);
  if (!is_floating(x.dtype())) not_floating(op, x.dtype());
  const auto refuse = [&](const std::string& what) {
    throw Error(std::string(op) + ": " + what + ": " + to_string(x.shape()) + " and " + to_string(w.shape()));
  };
  if (x.dim() != 4 || w.dim() != 4) refuse("needs x (batch, in, rows, columns) and a weight of four axes");
  if (form.stride.rows < 1 || form.stride.columns < 1)
    throw Error(std::string(op) + ": stride must be at least 1, got " + to_string(form.stride));
  if (form.dilation.rows < 1 || form.dilation.columns < 1)
    throw Error(std::string(op) + ": dilation must be at least 1, got " + to_string(form.dilation));
  if (form.padding.rows < 0 || form.padding.columns < 0)
    throw Error(std::string(op) + ": padding must not be negative, got " + to_string(form.padding));
  Geometry s{form, x.size(0), x.size(1), x.size(2), x.size(3), w.size(0), w.size(2), w.size(3)};
  if (form.groups < 1 || s.in % form.groups || s.out % form.groups)
    refuse(std::to_string(form.groups) + " groups do not divide the channels");
  if (w.size(1) != s.in_group()) refuse("channels differ, with " + std::to_string(form.groups) + " groups");
  const auto size = [&](int64_t n, int64_t kernel, int64_t pad, int64_t apart, int64_t step) {
    const int64_t room = n + 2 * pad - apart * (kernel - 1) - 1;
    if (kernel < 1 || room < 0)
      refuse("the kernel, with dilation " + to_string(form.dilation) + ", does not fit the input with padding " +
             to_string(form.padding));
    return room / step + 1;
  };
  s.y_rows = size(s.rows, s.kernel_rows, form.padding.rows, form.dilation.rows, form.stride.rows);
  s.y_columns = size(s.columns, s.kernel_columns, form.padding.columns, form.dilation.columns, form.stride.columns);
  if (!bias.defined()) return s;
  kernel::check_dtypes(op, w, bias);
  if (bias.shape() != Shape{s.out})
    throw Error(std::string(op) + ": weight and bias differ: " + to_string(w.shape()) + " and " +
                to_string(bias.shape()));
  return s;
}

}  // namespace
}  // namespace convolution

std::string to_string(const Size2d& pair) { return to_string(Shape{pair.rows, pair.columns}); }

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dForm& form) {
  const convolution::Geometry s = convolution::geometry("conv2d", x, weight, bias, form);
  return convolution::apply(s, x, weight, bias.defined() ? reshape(bias, {s.out, 1, 1}) : bias);
}

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dForm& form) {
  if (x.dim() != 3 || weight.dim() != 3)
    throw Error("conv1d: needs x (batch, in, length) and a weight of three axes: " + to_string(x.shape()) + " and " +
                to_string(weight.shape()));
  const Tensor image = unsqueeze(x, 2), w = unsqueeze(weight, 2);
  const Conv2dForm wide{{1, form.stride}, {0, form.padding}, {1, form.dilation}, form.groups};
  const convolution::Geometry s = convolution::geometry("conv1d", image, w, bias, wide);
  return squeeze(convolution::apply(s, image, w, bias.defined() ? reshape(bias, {s.out, 1, 1}) : bias), 2);
}

Tensor pad_circular(const Tensor& from, Size2d padding) {
  Tensor x = from;
  if (x.dim() < 2) throw Error("pad_circular: needs at least two axes, got " + to_string(x.shape()));
  const auto wrap = [&](int64_t d, int64_t n) {
    const int64_t size = x.size(d);
    if (n < 0 || n > size)
      throw Error("pad_circular: " + to_string(padding) + " is not within the axes of " + to_string(x.shape()));
    if (n) x = concat({slice(x, d, size - n, size), x, slice(x, d, 0, n)}, d);
  };
  wrap(-2, padding.rows);
  wrap(-1, padding.columns);
  return no_view_of(from, x);
}

}  // namespace fathom
