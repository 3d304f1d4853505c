#include "fathom/probe/jacobian.h"

#include <algorithm>  // all_of
#include <string_view>

#include "fathom/autograd/recording.h"
#include "fathom/autograd/slice.h"
#include "fathom/probe/samples.h"
#include "fathom/tensor/kernels/gemm.h"

namespace fathom::probe {
namespace {

constexpr uint64_t directions_stream = 0x6a61636f6269616e;  // apart from the default generator's

Node* on_tape(const Tensor& x, const char* name) {
  if (Node* node = node_of(x)) return node;
  throw Error(std::string("Jacobian: ") + name + " of shape " + to_string(x.shape()) +
              " is not on the tape; record it with x.requires_grad_() before");
}

int checked_axis(const Shape& y, const Shape& x, int64_t asked) {
  if (asked < -1 || asked >= Shape::max_rank)
    throw Error("Jacobian: the batch axis is " + std::to_string(asked) + ", not -1 (none) or an axis");
  if (x.rank < 2 || asked < 0) return -1;
  if (asked >= x.rank)
    throw Error("Jacobian: the batch axis is " + std::to_string(asked) + ", but x has shape " + to_string(x));
  const int axis = int(asked);
  return axis < y.rank && y[axis] == x[axis] ? axis : -1;
}

bool is_elementwise(const Node& node) {
  if (node.elementwise) return true;
  for (std::string_view name : {"add", "sub", "mul", "div"})  // with a number, or without a product
    if (node.name == name) return true;
  return false;
}

template <class F>
bool any_other(const pool::vector<double>& norms, int64_t than, F f) {
  for (size_t j = 0; j < norms.size(); ++j)
    if (int64_t(j) != than && f(norms[j])) return true;
  return false;
}

}  // namespace

Jacobian::Jacobian(const Tensor& y, const Tensor& x, JacobianOptions options)
    : Jacobian(on_tape(y, "y"), on_tape(x, "x"), options) {}

Jacobian::Jacobian(Node* y, Node* x, JacobianOptions options)
    : Jacobian(Slice(y, std::span<Node* const>(&x, 1)), options) {}

Jacobian::Jacobian(Slice slice, JacobianOptions options)
    : slice_(new Slice(std::move(slice))),
      y_shape_(slice_->y()->shape),
      x_shape_(slice_->x(0).shape),
      y_dtype_(slice_->y()->dtype),
      x_dtype_(slice_->x(0).dtype),
      axis_(checked_axis(y_shape_, x_shape_, options.batch_axis)),
      rng_(options.seed, directions_stream) {
  if (!slice_->reaches(0))
    throw Error("Jacobian: y, " + describe(*slice_->y()) + ", does not depend on x, " + describe(slice_->x(0)));
  const bool no_common_axis = axis_ < 0 && options.batch_axis >= 0 && x_shape_.rank > 1;
  coupled_ = no_common_axis || (axis_ >= 0 && (options.samples == Samples::coupled ||
                                               (options.samples == Samples::tested && some_sample_reaches_another())));
  if (coupled_) axis_ = -1;
  if (options.leading < 0)
    throw Error("Jacobian: the leading samples are " + std::to_string(options.leading) + ", at least 0 are needed");
  if (batched() && options.leading && options.leading < x_shape_[axis_]) {
    x_shape_[axis_] = y_shape_[axis_] = options.leading;
    factors_sought_ = false;  // the test may have found those of all samples
  }
  const Layout in(x_shape_, axis_), out(y_shape_, axis_);
  batch_ = in.batch;
  inputs_ = in.size();
  outputs_ = out.size();
}

bool Jacobian::some_sample_reaches_another() {
  const int64_t batch = y_shape_[axis_];
  certain_ = batch > 1;  // one alone does not tell
  for (const int64_t i : {int64_t{0}, batch - 1}) {
    if (batch < 2) return false;
    const Tensor u = kernel::full(y_shape_, 0, y_dtype_);
    draw_direction(u, axis_, i, rng_);
    const pool::vector<double> usual = norms_of(apply_transposed(u), axis_);
    if (any_other(usual, i, [](double norm) { return norm > 0; })) return true;
    if (!std::all_of(usual.begin(), usual.end(), [](double norm) { return std::isfinite(norm); })) {
      certain_ = false;
      continue;
    }
    kernel::fill(u.slice(axis_, i, i + 1), NAN);
    const pool::vector<double> marked = norms_of(apply_transposed(u), axis_);
    if (any_other(marked, i, [](double norm) { return std::isnan(norm); })) return true;
    certain_ &= std::isnan(marked[size_t(i)]);
  }
  return false;
}

Shape Jacobian::per_sample(std::initializer_list<int64_t> sizes) const {
  Shape shape;
  if (batched()) shape.push_back(batch_);
  for (int64_t size : sizes) shape.push_back(size);
  return shape;
}

Tensor Jacobian::leading_of(const Tensor& all) const {
  return batched() && all.shape()[axis_] > x_shape_[axis_] ? kernel::clone(all.slice(axis_, 0, x_shape_[axis_])) : all;
}
Tensor Jacobian::with_the_rest(const Tensor& leading, const Shape& all) const {
  if (leading.shape() == all) return leading.alias();
  Tensor whole = kernel::full(all, 0, leading.dtype());
  kernel::copy(leading, whole.slice(axis_, 0, leading.shape()[axis_]));
  return whole;
}

Tensor Jacobian::apply(const Tensor& v) const {
  check_direction("apply", v, x_shape_, x_dtype_);
  const NoGrad off;
  if (const Factors* known = factors()) return known->times(v, false);
  const Tensor y = slice_->jvp(with_the_rest(v, slice_->x(0).shape));
  return y.defined() ? leading_of(y) : kernel::full(y_shape_, 0, y_dtype_);
}

Tensor Jacobian::apply_transposed(const Tensor& u) const {
  check_direction("apply_transposed", u, y_shape_, y_dtype_);
  const NoGrad off;
  if (const Factors* known = factors()) return known->times(u, true);
  const Tensor g = slice_->vjp(with_the_rest(u, slice_->y()->shape))[0];
  return g.defined() ? leading_of(g) : kernel::full(x_shape_, 0, x_dtype_);
}

Tensor Jacobian::Factors::weight() const { return layer ? contiguous_of(layer->kept_tensor(1)) : Tensor(); }

// J v, or J^T v; or the same of W diag(before).
Tensor Jacobian::Factors::times(const Tensor& v, bool transposed, bool with_after) const {
  const Tensor w = weight();
  Tensor x = contiguous_of(v);
  visit_floating("Jacobian", x.dtype(), [&]<class T>(T) {
    const auto scale = [&](const Tensor& factor) {
      if (!factor.defined()) return;
      const Tensor y = x.is_same(v) ? Tensor(x.shape(), x.dtype()) : x;
      kernel::map_row([](T a, T b) { return a * b; }, y.numel(), y.data<T>(), factor.data<T>(), x.data<T>());
      x = y;
    };
    if (with_after || !transposed) scale(transposed ? after : before);
    if (w.defined()) {
      const int64_t in = w.shape()[transposed ? 0 : 1], out = w.shape()[transposed ? 1 : 0];
      Shape shape = x.shape();
      shape[shape.rank - 1] = out;
      const Tensor y(shape, x.dtype());
      const int64_t rows = out ? y.numel() / out : 0;
      kernel::gemm<T>(rows, out, in, {x.data<T>(), in}, {w.data<T>(), w.shape()[1], !transposed}, y.data<T>());
      x = y;
    }
    if (with_after || transposed) scale(transposed ? before : after);
  });
  return x;
}

Jacobian::~Jacobian() = default;
Jacobian::Jacobian(Jacobian&&) noexcept = default;
Jacobian& Jacobian::operator=(Jacobian&&) noexcept = default;

const Jacobian::Factors* Jacobian::factors() const {
  if (!std::exchange(factors_sought_, true)) factors_ = find_factors();
  return factors_.get();
}

Owned<Jacobian::Factors> Jacobian::find_factors() const {
  Node* layer = nullptr;
  bool fits = x_dtype_ == y_dtype_ && slice_->y() != &slice_->x(0);
  slice_->each_edge([&](Node& from, Node& to, size_t i) {
    fits &= to.dtype == x_dtype_;
    const bool elementwise = is_elementwise(to) && from.shape == to.shape;
    const bool dense = !elementwise && !layer && i == 0 && std::string_view(to.name) == "linear";
    fits &= elementwise || dense;  // a weight on the way is a second edge of its layer, and fits neither
    if (dense) layer = &to;
    else if (layer && from.number < layer->number) fits = false;  // a way around it
  });
  if (!fits) return {};
  const NoGrad off;
  // Of a way of elementwise ops; undefined where there is none.
  const auto diagonal = [&](Node* from, Node* to) {
    if (from == to) return Tensor();
    return contiguous_of(leading_of(slice_->jvp_between(*from, *to, kernel::full(from->shape, 1, from->dtype))));
  };
  Node *y = const_cast<Node*>(slice_->y()), *x = const_cast<Node*>(&slice_->x(0));
  if (!layer) return Owned(new Factors{{}, diagonal(x, y), {}, nullptr});
  return Owned(new Factors{{}, diagonal(layer, y), diagonal(x, layer->input(0)), layer});
}

bool Jacobian::same_for_all() const {
  const Factors* known = factors();
  return batch_ > 1 && axis_ + 1 < x_shape_.rank && known && known->layer && !known->after.defined() &&
         !known->before.defined();
}

Jacobian::Jacobian(const Jacobian& all, First)
    : y_shape_(all.y_shape_),
      x_shape_(all.x_shape_),
      y_dtype_(all.y_dtype_),
      x_dtype_(all.x_dtype_),
      axis_(all.axis_),
      inputs_(all.inputs_),
      outputs_(all.outputs_),
      rng_(all.rng_),
      factors_sought_(true),
      factors_(new Factors(*all.factors_)) {
  x_shape_[axis_] = y_shape_[axis_] = 1;
}

Tensor Jacobian::for_each_sample(const Tensor& one, int axis) const {
  Shape all = one.shape();
  all[axis] = batch_;
  return kernel::clone(one.expand(all));
}

// diag(after) W diag(before) of each sample; undefined where W is not a whole sample's.
Tensor Jacobian::matrix_of_factors() const {
  const Factors* known = factors();
  const Tensor weight = known ? known->weight() : Tensor();
  if (!weight.defined() || weight.shape() != Shape{outputs_, inputs_}) return {};
  const Tensor matrix(per_sample({outputs_, inputs_}), y_dtype_);
  visit_floating("Jacobian", y_dtype_, [&]<class T>(T) {
    const T *after = known->after.defined() ? known->after.data<T>() : nullptr,
            *before = known->before.defined() ? known->before.data<T>() : nullptr;
    T* to = matrix.data<T>();
    for (int64_t i = 0; i < batch_; ++i)
      for (int64_t o = 0; o < outputs_; ++o, to += inputs_) {
        const T factor = after ? after[i * outputs_ + o] : 1, *w = weight.data<T>() + o * inputs_;
        for (int64_t k = 0; k < inputs_; ++k) to[k] = factor * w[k];
        for (int64_t k = 0; before && k < inputs_; ++k) to[k] *= before[i * inputs_ + k];
      }
  });
  return matrix;
}

Tensor Jacobian::matrix() const {
  if (Tensor known = matrix_of_factors(); known.defined()) return known;
  const Tensor matrix(per_sample({outputs_, inputs_}), y_dtype_);
  const Layout in(x_shape_, axis_), out(y_shape_, axis_);
  const bool by_rows = outputs_ <= inputs_;
  const Layout &from = by_rows ? out : in, &to = by_rows ? in : out;
  visit_floating("Jacobian", by_rows ? y_dtype_ : x_dtype_, [&]<class From>(From) {
    visit_floating("Jacobian", by_rows ? x_dtype_ : y_dtype_, [&]<class To>(To) {
      visit_floating("Jacobian", y_dtype_, [&]<class M>(M) {
        M* numbers = matrix.data<M>();
        for (int64_t k = 0; k < from.size(); ++k) {  // the k-th unit vector of every sample at once
          const Tensor unit = kernel::full(by_rows ? y_shape_ : x_shape_, 0, by_rows ? y_dtype_ : x_dtype_);
          for (int64_t i = 0; i < batch_; ++i) unit.data<From>()[from.at(i, k)] = 1;
          const Tensor image = contiguous_of(by_rows ? apply_transposed(unit) : apply(unit));
          for (int64_t i = 0; i < batch_; ++i)
            for (int64_t j = 0; j < to.size(); ++j)
              numbers[(i * outputs_ + (by_rows ? k : j)) * inputs_ + (by_rows ? j : k)] =
                  M(image.data<To>()[to.at(i, j)]);
        }
      });
    });
  });
  return matrix;
}

}  // namespace fathom::probe
