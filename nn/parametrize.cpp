#include "fathom/nn/parametrize.h"

#include <Eigen/Eigenvalues>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/ops/linalg.h"
#include "fathom/autograd/recording.h"

namespace fathom::nn {
namespace {

Tensor matrix(const Tensor& w) { return w.dim() == 2 ? w : w.reshape({w.size(0), -1}); }
Tensor leaf(const Tensor& x) {
  const NoGrad off;
  return x.detach().clone().requires_grad_();
}
void check_matrix(const char* name, const Tensor& w) {
  if (!is_floating(w.dtype()) || w.dim() < 2 || !w.numel())
    throw Error(std::string(name) + ": needs a floating weight (out, in, ...), got " + to_string(w.dtype()) + " " +
                to_string(w.shape()));
}

struct Spectral final : Parametrization {
  SpectralNormOptions options;
  Tensor raw, u, v;  // u (out, 1) and v (in * field, 1): the first singular vectors, or nearly

  Spectral(const Tensor& w, const SpectralNormOptions& o) : Parametrization(o.weight), options(o), raw(leaf(w)) {
    solve();
  }
  // By the Gram matrix of the shorter side.
  void solve() {
    const NoGrad off;
    const Tensor w = matrix(raw.detach()).to(f64), right = transpose(w);
    const bool tall = w.size(0) > w.size(1);
    const Tensor gram = tall ? matmul(right, w) : matmul(w, right);
    const int64_t n = gram.size(0);
    const Eigen::Map<const Eigen::MatrixXd> map(gram.data<double>(), n, n);
    if (!map.allFinite()) throw Error("spectral_norm: " + weight + " is not finite");
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(map);
    Tensor top({n, 1}, f64);
    Eigen::Map<Eigen::VectorXd>(top.data<double>(), n) = eigen.eigenvectors().col(n - 1);
    const Tensor other = unit(matmul(tall ? w : right, top));
    u = (tall ? other : top).to(raw.dtype()), v = (tall ? top : other).to(raw.dtype());
  }
  static Tensor unit(const Tensor& x) { return x / clamp(norm(x), 1e-30, INFINITY); }
  void advance() override {
    if (options.exact) return;
    const NoGrad off;
    const Tensor w = matrix(raw.detach());
    for (int i = 0; i < options.iterations; ++i) v = unit(matmul(transpose(w), u)), u = unit(matmul(w, v));
  }
  Tensor effective() override {
    if (options.exact) solve();
    const Tensor sigma = sum(matmul(matrix(raw), v) * u);
    if (!options.always && sigma.item() <= options.cap) return raw * 1;
    return raw * (options.cap / sigma);
  }
  void fields(Fields& f) override {
    f(weight + ".raw", raw);
    f.buffer(weight + ".u", u);
    f.buffer(weight + ".v", v);
  }
};

struct NormAndDirection final : Parametrization {
  Tensor g, v;  // g (out, 1, ...)

  NormAndDirection(const Tensor& w, const ParametrizeOptions& o) : Parametrization(o.weight), v(leaf(w)) {
    const NoGrad off;
    g = leaf(norms());
  }
  Tensor norms() const {
    Shape shape = v.shape();
    for (int d = 1; d < shape.rank; ++d) shape[d] = 1;
    return norm(matrix(v), 2, {1}, true).reshape(shape);
  }
  Tensor effective() override { return v * (g / norms()); }
  void fields(Fields& f) override {
    f(weight + ".g", g);
    f(weight + ".v", v);
  }
};

struct Rotation final : Parametrization {
  Tensor raw, base;  // raw (n, n), base (out, in, ...)

  Rotation(const Tensor& w, const ParametrizeOptions& o) : Parametrization(o.weight) {
    const NoGrad off;
    const Tensor m = matrix(w.detach());
    const bool tall = m.size(0) >= m.size(1);
    const auto [q, r] = qr(tall ? m : transpose(m).contiguous());
    const Tensor q_positive = q * (step(diagonal(r)) * 2 - 1);
    base = (tall ? q_positive : transpose(q_positive)).contiguous().reshape(w.shape());
    const int64_t n = std::max(m.size(0), m.size(1));
    raw = zeros({n, n}, {.dtype = w.dtype(), .requires_grad = true});
  }
  Tensor effective() override {
    const Tensor a = tril(raw, -1), turn = matrix_exp(a - transpose(a)), q = matrix(base);
    return (q.size(0) >= q.size(1) ? matmul(turn, q) : matmul(q, turn)).reshape(base.shape());
  }
  void fields(Fields& f) override {
    f(weight + ".raw", raw);
    f.buffer(weight + ".base", base);
  }
};

}  // namespace

Tensor& field(Module& m, const std::string& name) {
  struct Find final : Fields {
    const std::string& name;
    Tensor* found = nullptr;
    bool is_buffer = false;
    std::string others;
    explicit Find(const std::string& n) : name(n) {}
    void on_tensor(std::string_view last, Tensor& x, bool buffer) override {
      const std::string here = path(last);
      if (here == name) found = &x, is_buffer = buffer;
      else others += (others.empty() ? "" : ", ") + here;
    }
  } find(name);
  m.fields(find);
  if (!find.found) throw Error("parametrize: no weight " + name + " among " + find.others);
  if (find.is_buffer)
    throw Error("parametrize: " + name + " is a buffer; only a parameter can be computed from others");
  return *find.found;
}

Owned<Parametrization> spectral(const Tensor& weight, const SpectralNormOptions& options) {
  check_matrix("spectral_norm", weight);
  if (!(options.cap > 0 && options.cap < INFINITY))
    throw Error("spectral_norm: cap must be positive and finite, got " + std::to_string(options.cap));
  return Owned<Parametrization>(new Spectral(weight, options));
}
Owned<Parametrization> norm_and_direction(const Tensor& weight, const ParametrizeOptions& options) {
  check_matrix("weight_norm", weight);
  return Owned<Parametrization>(new NormAndDirection(weight, options));
}
Owned<Parametrization> rotation(const Tensor& weight, const ParametrizeOptions& options) {
  check_matrix("orthogonal", weight);
  return Owned<Parametrization>(new Rotation(weight, options));
}

}  // namespace fathom::nn
