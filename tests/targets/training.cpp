// Numbers about optimisation, precision, and identities that hold at every step.
#include <doctest/doctest.h>

#include <cmath>

#include "fathom/fathom.h"

using namespace fathom;

namespace {

const TensorOptions exact{.dtype = f64};
auto near(double value, double relative) { return doctest::Approx(value).epsilon(relative); }
double dot(const Tensor& a, const Tensor& b) { return (a * b).sum().item(); }

}  // namespace

TEST_CASE("18: clipping by norm") {
  manual_seed(1);
  Tensor w = randn({20}, {.dtype = f64, .requires_grad = true});
  const Tensor c = randn({20}, exact) * 10;
  (w * c).sum().backward();
  const Tensor g = w.grad().clone();
  const double before = norm(g).item();
  const std::vector<Tensor> parameters{w};
  CHECK(optim::clip_grad_norm(parameters, 1.5) == near(before, 1e-12));
  CHECK(allclose(w.grad(), g * (1.5 / (before + 1e-6)), 1e-12));
  CHECK(norm(w.grad()).item() == near(1.5, 1e-6));
  w.set_grad(g.clone());
  CHECK(optim::clip_grad_norm(parameters, 2 * before) == near(before, 1e-12));
  CHECK(allclose(w.grad(), g, 1e-15));
}

TEST_CASE("19: weight decay shrinks the spectral radius") {
  Tensor w = tensor({{0.9, 10.0}, {0.0, 0.7}}, exact).requires_grad_();
  const double rate = 0.1, decay = 0.02;
  optim::SGD opt({w}, {.lr = rate, .weight_decay = decay});
  for (int k = 0; k < 25; ++k) {
    opt.zero_grad();
    (w * 0).sum().backward();
    opt.step();
  }
  const double factor = std::pow(1 - rate * decay, 25);
  CHECK(w[0][0].item() == near(0.9 * factor, 1e-12));  // triangular: the diagonal holds the eigenvalues
  CHECK(w[1][1].item() == near(0.7 * factor, 1e-12));
}

TEST_CASE("56: gradient descent on a quadratic") {
  const auto ratio = [](double rate_times_curvature) {
    const double curvature = 3;
    Tensor w = ones({1}, {.dtype = f64, .requires_grad = true});
    optim::SGD opt({w}, {.lr = rate_times_curvature / curvature});
    const auto loss = [&] { return (square(w) * (curvature / 2)).sum(); };
    const double before = loss().item();
    opt.zero_grad();
    loss().backward();
    opt.step();
    return loss().item() / before;
  };
  CHECK(ratio(2.1) == near(1.21, 1e-10));
  CHECK(ratio(1.9) == near(0.81, 1e-10));
  CHECK(ratio(2) == near(1, 1e-10));
}

TEST_CASE("57: the sharpness of a deep scalar net is its depth") {
  for (int depth : {2, 7, 30}) {
    std::vector<Tensor> w, v;
    Tensor product = ones({}, exact);
    for (int l = 0; l < depth; ++l) {
      w.push_back(ones({}, {.dtype = f64, .requires_grad = true}));
      v.push_back(full({}, 1 / std::sqrt(depth), exact));
      product = product * w.back();
    }
    const Tensor loss = square(product - 1) * 0.5;
    const std::vector<Tensor> Hv = hvp(loss, w, v);  // v is the top eigenvector
    for (const Tensor& h : Hv) CHECK(h.item() == near(depth / std::sqrt(double(depth)), 1e-8));
  }
}

TEST_CASE("58: gradient descent on a tanh net works at the edge of stability") {
  // A Chebyshev polynomial by full batches. Left alone its sharpness rises to 29.
  const auto course = [](double rate, int steps) {
    manual_seed(1);
    nn::Sequential net(nn::Linear(1, 16, {.dtype = f64}), nn::Tanh(), nn::Linear(16, 16, {.dtype = f64}), nn::Tanh(),
                       nn::Linear(16, 1, {.dtype = f64}));
    const Tensor x = linspace(-1, 1, 20, exact).reshape({20, 1}), y = 8 * square(square(x)) - 8 * square(x) + 1;
    optim::SGD opt(net.parameters(), {.lr = rate});
    std::vector<double> sharpness;
    std::vector<Tensor> direction;
    for (int step = 0; step < steps; ++step) {
      const Tensor loss = mean(square(net(x) - y));
      if (step % 10 == 0) {
        auto found = probe::sharpness(loss, net.parameters(), {.start = std::move(direction)});
        sharpness.push_back(found.value);
        direction = std::move(found.direction);
      }
      opt.zero_grad();
      loss.backward();
      opt.step();
    }
    return sharpness;
  };
  for (const double rate : {0.1, 0.15}) {
    const double edge = 2 / rate;
    const std::vector<double> all = course(rate, 4000);
    CHECK(all.front() < 0.6 * edge);
    double sum = 0;
    for (size_t i = all.size() / 2; i < all.size(); ++i) sum += all[i];
    const double hovers = sum / double(all.size() / 2);
    CHECK(hovers == near(edge, 0.02));
  }
  const double calm = course(0.05, 8000).back();
  CHECK(calm > 25);
  CHECK(calm < 2 / 0.05);
}

namespace {

// The first power at which the gradient of a chain of so many factors fails the test.
template <class Failed>
int first(double factor, Dtype dtype, Failed failed) {
  const Tensor x = ones({1}, {.dtype = dtype, .requires_grad = true});
  Tensor y = x;
  for (int k = 1;; ++k) {
    y = y * factor;
    if (failed(y.item()) && failed(grad(y, x).item())) return k;
  }
}
bool infinite(double v) { return std::isinf(v); }
bool zero(double v) { return v == 0; }

}  // namespace

TEST_CASE("59: chains of gains leave the number range") {
  {
    const KeepDenormals keep;
    CHECK(first(1.6, f32, infinite) == 189);
    CHECK(first(0.4, f32, zero) == 114);
    CHECK(first(1.6, f64, infinite) == 1511);
    CHECK(first(0.4, f64, zero) == 814);
  }
  CHECK(first(0.4, f32, zero) == 96);
  CHECK(first(0.4, f64, zero) == 774);
}

TEST_CASE("60: identities") {
  manual_seed(7);
  const int64_t n = 9, batch = 1;
  std::vector<Tensor> weights, h{randn({batch, n}, {.dtype = f64, .requires_grad = true})};
  for (int l = 0; l < 4; ++l) {
    weights.push_back(randn({n, n}, exact) * 0.5);
    h.push_back(tanh(linear(h.back(), weights.back())));
  }
  const probe::Jacobian J(h.back(), h.front());
  const Tensor u = randn({batch, n}, exact), v = randn({batch, n}, exact);
  CHECK(dot(u, J.apply(v)) == near(dot(J.apply_transposed(u), v), 1e-10));

  double bound = 1;
  for (int l = 0; l < 4; ++l) {
    const probe::Jacobian layer(h[size_t(l) + 1], h[size_t(l)]);
    const auto s = layer.singular_values().to_vector();
    const double frobenius = std::sqrt(square(layer.matrix()).sum().item());
    CHECK(s[0] <= frobenius * (1 + 1e-10));
    CHECK(frobenius <= std::sqrt(double(n)) * s[0] * (1 + 1e-10));
    bound *= s[0];
  }
  CHECK(J.singular_values().to_vector()[0] <= bound * (1 + 1e-10));

  const Tensor loss = square(h.back()).sum();
  double gains = 1;
  for (size_t l = 4; l > 0; --l) gains *= norm(grad(loss, h[l - 1])).item() / norm(grad(loss, h[l])).item();
  CHECK(gains == near(norm(grad(loss, h[0])).item() / norm(grad(loss, h[4])).item(), 1e-10));

  const Tensor permutation = tensor({8, 0, 3, 1, 2, 7, 6, 5, 4});
  const Tensor w1 = randn({n, n}, exact), w2 = randn({n, n}, exact);
  const Tensor plain = linear(tanh(linear(v, w1)), w2);
  const Tensor permuted = linear(tanh(linear(v, index_select(w1, 0, permutation))), index_select(w2, 1, permutation));
  CHECK(allclose(plain, permuted, 1e-10, 1e-12));

  const Tensor x = randn({n}, {.dtype = f64, .requires_grad = true});
  const auto one = probe::Jacobian(relu(matmul(w1, x)), x).singular_values().to_vector();
  const auto three = probe::Jacobian(relu(matmul(w1 * 3, x)), x).singular_values().to_vector();
  for (size_t i = 0; i < one.size(); ++i) CHECK(three[i] == near(3 * one[i], 1e-10));
}
