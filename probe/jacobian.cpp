#include "fathom/probe/jacobian.h"

#include <Eigen/SVD>
#include <algorithm>
#include <limits>

#include "fathom/autograd/recording.h"
#include "fathom/probe/samples.h"

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

Slice slice_between(Node* y, Node* x) {
  Slice slice(y, std::span<Node* const>(&x, 1));
  if (!slice.reaches(0)) throw Error("Jacobian: y, " + describe(*y) + ", does not depend on x, " + describe(*x));
  return slice;
}

void check_like(const char* op, const Tensor& x, const Shape& shape, Dtype dtype) {
  if (x.shape() != shape || x.dtype() != dtype)
    throw Error(std::string("Jacobian: ") + op + ": a direction of shape " + to_string(x.shape()) + " and " +
                to_string(x.dtype()) + ", not " + to_string(shape) + " and " + to_string(dtype));
}

Tensor tensor_of(const std::vector<double>& numbers, const Shape& shape) {
  Tensor out(shape, f64);
  std::copy(numbers.begin(), numbers.end(), out.data<double>());
  return out;
}

// Whether sample i alone is other than zero.
bool only_sample(const Tensor& x, int axis, int64_t i) {
  const std::vector<double> norms = norms_of(x, axis);
  for (size_t j = 0; j < norms.size(); ++j)
    if (int64_t(j) != i && norms[j] > 0) return false;
  return true;
}

}  // namespace

Jacobian::Jacobian(const Tensor& y, const Tensor& x, JacobianOptions options)
    : Jacobian(on_tape(y, "y"), on_tape(x, "x"), options) {}

Jacobian::Jacobian(Node* y, Node* x, JacobianOptions options)
    : slice_(slice_between(y, x)),
      y_shape_(y->shape),
      x_shape_(x->shape),
      y_dtype_(y->dtype),
      x_dtype_(x->dtype),
      axis_(checked_axis(y->shape, x->shape, options.batch_axis)),
      rng_(options.seed, directions_stream) {
  const bool no_common_axis = axis_ < 0 && options.batch_axis >= 0 && x_shape_.rank > 1;
  coupled_ = no_common_axis || (axis_ >= 0 && (options.samples == Samples::coupled ||
                                               (options.samples == Samples::tested && some_sample_reaches_another())));
  if (coupled_) axis_ = -1;
  const Layout in(x_shape_, axis_), out(y_shape_, axis_);
  batch_ = in.batch;
  inputs_ = in.size();
  outputs_ = out.size();
}

bool Jacobian::some_sample_reaches_another() {
  const Layout layout(y_shape_, axis_);
  for (int64_t i : {int64_t{0}, layout.batch - 1}) {
    if (layout.batch < 2) return false;
    const Tensor u = kernel::full(y_shape_, 0, y_dtype_);
    draw_direction(u, axis_, i, rng_);
    if (!only_sample(apply_transposed(u), axis_, i)) return true;
  }
  return false;
}

Shape Jacobian::per_sample(std::initializer_list<int64_t> sizes) const {
  Shape shape;
  if (batched()) shape.push_back(batch_);
  for (int64_t size : sizes) shape.push_back(size);
  return shape;
}

Tensor Jacobian::apply(const Tensor& v) const {
  check_like("apply", v, x_shape_, x_dtype_);
  const NoGrad off;
  Tensor y = slice_.jvp(v.alias());
  return y.defined() ? y : kernel::full(y_shape_, 0, y_dtype_);
}

Tensor Jacobian::apply_transposed(const Tensor& u) const {
  check_like("apply_transposed", u, y_shape_, y_dtype_);
  const NoGrad off;
  Tensor g = slice_.vjp(u.alias())[0];
  return g.defined() ? g : kernel::full(x_shape_, 0, x_dtype_);
}

Tensor Jacobian::matrix() const {
  const Layout in(x_shape_, axis_), out(y_shape_, axis_);
  const bool by_rows = outputs_ <= inputs_;
  const Layout &from = by_rows ? out : in, &to = by_rows ? in : out;
  Tensor matrix(per_sample({outputs_, inputs_}), y_dtype_);
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

Tensor Jacobian::singular_values() const {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Tensor matrices = kernel::clone(matrix());
  const int64_t n = std::min(outputs_, inputs_);
  Tensor values(per_sample({n}), f64);
  visit_floating("Jacobian", matrices.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < batch_; ++i) {
      const T* numbers = matrices.data<T>() + i * outputs_ * inputs_;
      double* to = values.data<double>() + i * n;
      const Matrix m = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
                           numbers, outputs_, inputs_)
                           .template cast<double>();
      Eigen::Map<Eigen::VectorXd> out(to, n);
      if (!m.allFinite()) out.setConstant(NAN);
      else if (n > 16) out = Eigen::BDCSVD<Matrix>(m).singularValues();
      else if (n > 0) out = Eigen::JacobiSVD<Matrix>(m).singularValues();
    }
  });
  return values;
}

Tensor Jacobian::condition() const {
  const Tensor values = singular_values();
  const int64_t n = std::min(outputs_, inputs_);
  if (n == 0) throw Error("Jacobian: condition: the Jacobian is empty, " + to_string(per_sample({outputs_, inputs_})));
  Tensor out(per_sample({}), f64);
  for (int64_t i = 0; i < batch_; ++i) {
    const double* s = values.data<double>() + i * n;
    out.data<double>()[i] = s[n - 1] == 0 ? std::numeric_limits<double>::infinity() : s[0] / s[n - 1];
  }
  return out;
}

Sigma Jacobian::sigma_max(const SigmaOptions& options) const {
  if (options.iterations < 1)
    throw Error("Jacobian: sigma_max: " + std::to_string(options.iterations) + " iterations, at least 1 is needed");
  Tensor v;
  if (options.start.defined()) {
    check_like("sigma_max", options.start, x_shape_, x_dtype_);
    v = kernel::clone(options.start);
  } else {
    v = kernel::full(x_shape_, 0, x_dtype_);
    for (int64_t i = 0; i < batch_; ++i) draw_direction(v, axis_, i, rng_);
  }
  // What has no direction (a zero, a NaN) gets a random one.
  const auto normalise = [&](std::vector<double>& norms) {
    for (size_t i = 0; i < norms.size(); ++i)
      if (!(norms[i] > 0 && std::isfinite(norms[i]))) {
        draw_direction(v, axis_, int64_t(i), rng_);
        norms[i] = 1;
      }
    divide_samples(v, axis_, norms);
  };
  if (options.start.defined()) {
    std::vector<double> norms = norms_of(v, axis_);
    normalise(norms);
  }
  std::vector<double> sigma(size_t(batch_), 0.0), residual(size_t(batch_), 0.0);
  Sigma result;
  for (bool done = inputs_ == 0 || outputs_ == 0; !done;) {
    Tensor u = apply(v);
    if (!u.owned()) u = kernel::clone(u);
    std::vector<double> stretch = norms_of(u, axis_), divisors = stretch;
    for (double& d : divisors)
      if (!(d > 0 && std::isfinite(d))) d = 1;
    divide_samples(u, axis_, divisors);
    Tensor w = apply_transposed(u);
    if (!w.owned()) w = kernel::clone(w);
    std::vector<double> back = norms_of(w, axis_);
    done = ++result.iterations >= options.iterations;
    bool converged = true;
    for (size_t i = 0; i < back.size(); ++i) {
      const bool good = stretch[i] > 0 && std::isfinite(stretch[i]);
      sigma[i] = good ? back[i] : stretch[i];
      residual[i] = good ? 0 : stretch[i];
      if (!good) back[i] = 0;
    }
    const Layout layout(x_shape_, axis_);
    visit_floating("Jacobian", x_dtype_, [&]<class T>(T) {
      const T *to = w.data<T>(), *from = v.data<T>();
      for (int64_t i = 0; i < batch_; ++i) {
        const double s = stretch[size_t(i)];
        if (!(s > 0 && std::isfinite(s))) continue;
        double sum = 0;  // of squares, in units of s
        const double scale = 1 / s;
        layout.pieces(i, [&](int64_t first, int64_t n) {
          const T *a = to + first, *b = from + first;
#pragma omp simd reduction(+ : sum)
          for (int64_t k = 0; k < n; ++k) {
            const double part = double(a[k]) * scale - double(b[k]);
            sum += part * part;
          }
        });
        residual[size_t(i)] = std::sqrt(sum) * s;
        converged &= !(residual[size_t(i)] > options.tolerance * s);  // a NaN is not waited for
      }
    });
    done |= converged;
    v = std::move(w);
    normalise(back);
  }
  result.sigma = tensor_of(sigma, per_sample({}));
  result.residual = tensor_of(residual, per_sample({}));
  result.direction = std::move(v);
  return result;
}

Estimate Jacobian::frobenius(const FrobeniusOptions& options) const {
  const size_t n = size_t(batch_);
  std::vector<double> value(n), error(n, 0.0);
  if (std::min(outputs_, inputs_) <= options.exact_below) {
    const Tensor m = matrix();
    visit_floating("Jacobian", m.dtype(), [&]<class T>(T) {
      const int64_t size = outputs_ * inputs_;
      for (int64_t i = 0; i < batch_; ++i)
        value[size_t(i)] = scaled_norm(m.data<T>() + i * size, [&](auto f) { f(int64_t{0}, size); });
    });
    if (options.squared)
      for (double& x : value) x *= x;
    return {tensor_of(value, per_sample({})), tensor_of(error, per_sample({}))};
  }
  const int64_t probes = options.probes;
  if (probes < 1) throw Error("Jacobian: frobenius: " + std::to_string(probes) + " probes, at least 1 is needed");
  std::vector<double> scale(n), sum(n, 0.0), squares(n, 0.0);  // in units of the first probe's square
  Tensor u(y_shape_, y_dtype_);
  for (int64_t p = 0; p < probes; ++p) {
    fill_signs(u, rng_);
    const std::vector<double> norms = norms_of(apply_transposed(u), axis_);
    for (size_t i = 0; i < n; ++i) {
      if (scale[i] == 0) scale[i] = norms[i];
      const double part = scale[i] == 0 ? 0 : norms[i] / scale[i];
      sum[i] += part * part;
      squares[i] += part * part * part * part;
    }
  }
  for (size_t i = 0; i < n; ++i) {
    const double m = double(probes), mean = sum[i] / m;
    // The variance of one probe is at most 2 tr(J^T J)^2.
    const double spread =
        probes > 1 ? std::sqrt(std::max(0.0, squares[i] / m - mean * mean) / (m - 1)) : std::sqrt(2.0) * mean;
    const double root = std::sqrt(mean);
    value[i] = options.squared ? scale[i] * scale[i] * mean : scale[i] * root;
    error[i] = options.squared ? scale[i] * scale[i] * spread : root == 0 ? 0 : scale[i] * spread / (2 * root);
  }
  return {tensor_of(value, per_sample({})), tensor_of(error, per_sample({}))};
}

}  // namespace fathom::probe
