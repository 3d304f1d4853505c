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
Vector copy_of(std::span<const Tensor> list) {
  Vector out;
  for (const Tensor& x : list) out.push_back(kernel::clone(x));
  return out;
}

}  // namespace

Sharpness sharpness(const Tensor& loss, std::span<const Tensor> parameters, const SharpnessOptions& options) {
  if (options.iterations < 1)
    throw Error("sharpness: " + std::to_string(options.iterations) + " iterations, at least 1 is needed");
  if (!options.start.empty() && options.start.size() != parameters.size())
    throw Error("sharpness: a start of " + std::to_string(options.start.size()) + " tensors for " +
                std::to_string(parameters.size()) + " parameters");
  // The gradient once, recorded; each product with the Hessian is a walk over it.
  const std::vector<Tensor> gradient = grad(loss, parameters, {.create_graph = true, .allow_unused = true});
  const auto hessian_times = [&](const Vector& v) {  // the gradient of <gradient, v>: one walk for all parameters
    const Recording on(true);
    Tensor along;
    for (size_t i = 0; i < v.size(); ++i)
      if (gradient[i].defined()) accumulate(along, sum(gradient[i] * v[i]));
    const NoGrad off;
    Vector out(parameters.size());
    if (along.defined() && node_of(along)) {
      const Tensor one = kernel::full({}, 1, along.dtype());
      const pool::vector<Tensor> found = Slice(along, parameters).vjp(one);
      for (size_t i = 0; i < out.size(); ++i)
        if (found[i].defined()) out[i] = kernel::clone(found[i]);
    }
    for (size_t i = 0; i < out.size(); ++i)
      if (!out[i].defined()) out[i] = kernel::full(parameters[i].shape(), 0, parameters[i].dtype());
    return out;
  };

  const NoGrad off;
  Vector v;
  Rng rng(options.seed, 0x7368617270);
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!options.start.empty()) {
      check_direction("sharpness", options.start[i], parameters[i].shape(), parameters[i].dtype());
      v.push_back(kernel::clone(options.start[i]));
    } else {
      v.emplace_back(parameters[i].shape(), parameters[i].dtype());
      fill_normal(v.back(), 0, 1, rng);
    }
  }
  Sharpness result;
  std::vector<Vector> basis;
  std::vector<double> alpha, beta;
  Eigen::VectorXd weights;
  double size = norm(v);
  for (int64_t k = 0; k < options.iterations && size > 0 && std::isfinite(size); ++k) {
    for (const Tensor& x : v) divide_samples(x, -1, {size});
    basis.push_back(copy_of(v));
    Vector w = hessian_times(v);
    alpha.push_back(dot(w, v));
    for (int twice = 0; twice < 2; ++twice)
      for (const Vector& b : basis) add(w, -dot(w, b), b);
    size = norm(w);
    ++result.iterations;

    const Eigen::Index n = Eigen::Index(alpha.size());
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver;
    Eigen::VectorXd diagonal = Eigen::Map<Eigen::VectorXd>(alpha.data(), n);
    Eigen::VectorXd beside = Eigen::Map<Eigen::VectorXd>(beta.data(), n - 1);
    if (!diagonal.allFinite()) {
      result.value = result.residual = NAN;
      break;
    }
    solver.computeFromTridiagonal(diagonal, beside);
    weights = solver.eigenvectors().col(n - 1);
    result.value = solver.eigenvalues()[n - 1];
    result.residual = size * std::abs(weights[n - 1]);
    if (result.residual <= options.tolerance * std::abs(result.value)) break;
    beta.push_back(size);
    v = std::move(w);
  }
  for (const Tensor& w : parameters) result.direction.push_back(kernel::full(w.shape(), 0, w.dtype()));
  for (size_t k = 0; k < basis.size() && Eigen::Index(k) < weights.size(); ++k)
    add(result.direction, weights[Eigen::Index(k)], basis[k]);
  return result;
}

}  // namespace fathom::probe
