#include "fathom/probe/sharpness.h"

#include <Eigen/Eigenvalues>
#include <cmath>

#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/recording.h"
#include "fathom/autograd/slice.h"
#include "fathom/probe/samples.h"

namespace fathom::probe {
namespace {

using Vector = std::vector<Tensor>;  // a tensor a parameter

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const Tensor x = contiguous_of(a[i]), y = contiguous_of(b[i]);
    visit_floating("sharpness", x.dtype(),
                   [&]<class T>(T) { sum += kernel::dot(x.data<T>(), y.data<T>(), x.numel()); });
  }
  return sum;
}
double norm(const Vector& a) {
  double sum = 0;
  for (const Tensor& x : a) sum = std::hypot(sum, norm_of(x));
  return sum;
}
// a + c b, in a
void add(Vector& a, double c, const Vector& b) {
  for (size_t i = 0; i < a.size(); ++i)
    visit_floating("sharpness", a[i].dtype(), [&]<class T>(T) {
      kernel::map_into<T, T, T>([c = T(c)](T x, T y) { return x + c * y; }, a[i], a[i], b[i]);
    });
}
Vector zeros(std::span<const Tensor> parameters) {
  Vector out;
  for (const Tensor& w : parameters) out.push_back(kernel::full(w.shape(), 0, w.dtype()));
  return out;
}

// Of a loss: its gradient once, recorded; each product is a walk over that.
class Hessian {
 public:
  Hessian(const Tensor& loss, std::span<const Tensor> parameters)
      : parameters_(parameters), gradient_(grad(loss, parameters, {.create_graph = true, .allow_unused = true})) {
    for (const Tensor& g : gradient_)
      if (g.defined()) return;
    throw Error("sharpness: the loss depends on none of the " + std::to_string(parameters.size()) + " parameters");
  }

  Vector times(const Vector& v) const {  // the gradient of <gradient, v>: one walk for all parameters
    const Recording on(true);
    Tensor along;
    for (size_t i = 0; i < v.size(); ++i)
      if (gradient_[i].defined()) accumulate(along, sum(gradient_[i] * v[i]).to(f64));
    const NoGrad off;
    Vector out = zeros(parameters_);
    if (!along.defined() || !node_of(along)) return out;
    const pool::vector<Tensor> found = Slice(along, parameters_).vjp(kernel::full({}, 1, along.dtype()));
    for (size_t i = 0; i < out.size(); ++i)
      if (found[i].defined()) out[i] = kernel::clone(found[i]);
    return out;
  }

 private:
  std::span<const Tensor> parameters_;
  Vector gradient_;
};

Vector start_of(std::span<const Tensor> parameters, const SharpnessOptions& options) {
  Vector v;
  for (size_t i = 0; i < options.start.size(); ++i) {
    check_direction("sharpness", options.start[i], parameters[i].shape(), parameters[i].dtype());
    v.push_back(kernel::clone(options.start[i]));
  }
  if (const double size = norm(v); size > 0 && std::isfinite(size)) return v;
  Rng rng(options.seed, 0x7368617270);
  v = zeros(parameters);
  for (const Tensor& each : v) fill_normal(each, 0, 1, rng);
  return v;
}

}  // namespace

Sharpness sharpness(const Tensor& loss, std::span<const Tensor> parameters, const SharpnessOptions& options) {
  if (options.iterations < 1)
    throw Error("sharpness: " + std::to_string(options.iterations) + " iterations, at least 1 is needed");
  if (!options.start.empty() && options.start.size() != parameters.size())
    throw Error("sharpness: a start of " + std::to_string(options.start.size()) + " tensors for " +
                std::to_string(parameters.size()) + " parameters");
  const Timer timer;
  Vector v = start_of(parameters, options);
  const Hessian hessian(loss, parameters);
  const NoGrad off;
  Sharpness result;
  std::vector<Vector> basis;
  std::vector<double> alpha, beta;  // the Hessian in that basis: on the diagonal, and beside it
  Eigen::VectorXd weights;          // of its eigenvector, over the basis
  double size = norm(v);
  while (result.iterations < options.iterations && size > 0 && std::isfinite(size)) {
    for (const Tensor& x : v) divide_samples(x, -1, {size});
    basis.push_back(std::move(v));
    v = hessian.times(basis.back());
    alpha.push_back(dot(v, basis.back()));
    for (int twice = 0; twice < 2; ++twice)
      for (const Vector& b : basis) add(v, -dot(v, b), b);
    size = norm(v);
    ++result.iterations;

    const Eigen::Index n = Eigen::Index(alpha.size());
    const Eigen::VectorXd diagonal = Eigen::Map<Eigen::VectorXd>(alpha.data(), n);
    const Eigen::VectorXd beside = Eigen::Map<Eigen::VectorXd>(beta.data(), n - 1);
    if (!diagonal.allFinite()) {
      result.value = result.residual = NAN;
      break;
    }
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver;
    solver.computeFromTridiagonal(diagonal, beside);
    weights = solver.eigenvectors().col(n - 1);
    result.value = solver.eigenvalues()[n - 1];
    result.residual = size * std::abs(weights[n - 1]);
    if (result.residual <= options.tolerance * std::abs(result.value)) break;
    beta.push_back(size);
  }
  result.direction = zeros(parameters);
  for (size_t k = 0; k < basis.size() && Eigen::Index(k) < weights.size(); ++k)
    add(result.direction, weights[Eigen::Index(k)], basis[k]);
  result.seconds = timer.seconds();
  return result;
}

}  // namespace fathom::probe
