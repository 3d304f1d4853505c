#include <cmath>

#include "fathom/probe/jacobian.h"
#include "tests/nn/modules.h"

using namespace fathom;

namespace {

nn::Sequential net(int64_t in, int64_t out) {
  return nn::Sequential(nn::Linear(in, 5), nn::Tanh(), nn::Linear(5, out));
}

// The Jacobian of m at each x: (samples, n, n).
Tensor jacobians(nn::Invertible& m, const Tensor& x) {
  const Tensor at = x.detach().requires_grad_();
  return probe::Jacobian(m(at), at, {.samples = probe::Samples::independent}).matrix();
}

// inverse undoes it, transform is forward, and log_det is that of its Jacobian.
void check_invertible(nn::Invertible& m, int64_t n) {
  m.to(f64);
  const Tensor x = normal({4, n}, 3);
  const auto [y, log_det] = m.transform(x);
  CHECK(allclose(m(x), y, 0, 0));
  CHECK(allclose(m.inverse(y), x, 1e-12, 1e-12));
  CHECK(allclose(m(m.inverse(x)), x, 1e-12, 1e-12));
  CHECK(log_det.shape() == Shape{4});
  CHECK(allclose(log_det, slogdet(jacobians(m, x)).logabsdet, 1e-11, 1e-11));
  const auto [ys, log_dets] = m.transform(x.reshape({2, 2, n}));
  CHECK(log_dets.shape() == Shape{2, 2});
  CHECK(allclose(ys.reshape({4, n}), y, 1e-14, 1e-14));
  CHECK(allclose(log_dets.reshape({4}), log_det, 1e-14, 1e-14));
  CHECK(m.transform(zeros({0, n}, {.dtype = f64})).log_det.shape() == Shape{0});
  CHECK(m.inverse(zeros({0, n}, {.dtype = f64})).shape() == Shape{0, n});
}

template <class... M>
nn::Flow trained_once(M... parts) {
  nn::Flow flow(std::move(parts)...);
  flow.to(f64);
  Rng rng(9);
  const NoGrad off;
  for (Tensor& w : flow.parameters()) w.add_(0.3 * randn(w.shape(), {.dtype = f64}, rng));
  return flow;
}
nn::Flow deep(int64_t n) {
  nn::Flow flow = trained_once(nn::ActNorm(n), nn::InvertibleLinear(n), nn::AffineCoupling(net(n / 2, 2 * (n - n / 2))),
                               nn::Permutation(n),
                               nn::Flow(nn::AdditiveCoupling(net(n - n / 2, n / 2), {.swap = true}),
                                        nn::InvertibleLinear(n, {.exponential = true})),
                               nn::AffineCoupling(net(n - n / 2, 2 * (n / 2)), {.swap = true, .bound = 1}));
  flow.eval();
  return flow;
}

}  // namespace

TEST_CASE("flows: inverse(forward(x)) = x, log_det is that of the Jacobian") {
  manual_seed(1);
  for (const int64_t n : {2, 3, 5}) {
    INFO(n);
    nn::AdditiveCoupling additive(net(n / 2, n - n / 2)), swapped(net(n - n / 2, n / 2), {.swap = true});
    check_invertible(additive, n);
    check_invertible(swapped, n);
    nn::AffineCoupling affine(net(n / 2, 2 * (n - n / 2)));
    check_invertible(affine, n);
    nn::InvertibleLinear linear(n);
    check_invertible(linear, n);
    nn::Permutation permutation(n);
    check_invertible(permutation, n);
    nn::Flow norm = trained_once(nn::ActNorm(n)),
             exponential = trained_once(nn::InvertibleLinear(n, {.exponential = true}));
    norm.eval();
    check_invertible(norm, n);
    check_invertible(exponential, n);
    nn::Flow flow = deep(n);
    check_invertible(flow, n);
    const auto [same, none] = nn::Flow().transform(normal({4, n}));
    CHECK(allclose(same, normal({4, n}), 0, 0));
    CHECK(none.to_vector() == std::vector<double>(4, 0));
  }
}

TEST_CASE("flows: an additive coupling keeps volumes exactly, its singular values need not be 1") {
  manual_seed(1);
  nn::AdditiveCoupling coupling(net(2, 2));
  coupling.to(f64);
  const auto [y, log_det] = coupling.transform(normal({6, 4}));
  CHECK(log_det.to_vector() == std::vector<double>(6, 0));
  const Tensor j = jacobians(coupling, normal({6, 4}));
  CHECK(allclose(slogdet(j).logabsdet, zeros({6}, {.dtype = f64}), 0, 1e-14));
  CHECK(amin(sum(square(j), {1, 2})).item() > 4.001);
}

TEST_CASE("flows: couplings by hand") {
  // one element each: the net is s = 0.5 a, t = 3 a
  nn::Linear line(1, 2, {.bias = false});
  {
    const NoGrad off;
    line.weight.copy_(tensor({{0.5}, {3.0}}));
  }
  nn::AffineCoupling affine(std::move(line), {.bound = 2});
  affine.to(f64);
  const auto [y, log_det] = affine.transform(tensor({{1.0, 10.0}}, {.dtype = f64}));
  const double s = 2 * std::tanh(0.25);
  CHECK(log_det.item() == doctest::Approx(s).epsilon(1e-7));
  CHECK(y[0][0].item() == 1);
  CHECK(y[0][1].item() == doctest::Approx(10 * std::exp(s) + 3).epsilon(1e-7));
}

TEST_CASE("act norm: the first batch of training sets it, once; evaluation does not; its state moves") {
  nn::ActNorm norm(3, {.dtype = f64});
  const Tensor x = normal({200, 3}) * tensor({0.5, 2.0, 3.0}, {.dtype = f64}) + 4;
  norm.eval();
  CHECK(allclose(norm(x), x));
  norm.train();
  const Tensor y = norm(x);
  CHECK(allclose(mean(y, 0), zeros({3}, {.dtype = f64}), 0, 1e-12));
  CHECK(allclose(fathom::std(y, 0, false, 0), ones({3}, {.dtype = f64}), 0, 1e-5));
  CHECK(norm.log_scale.requires_grad());
  const Tensor after = norm(x * 2);
  CHECK(allclose(after, norm(x * 2)));
  CHECK_FALSE(allclose(after, y));
  nn::ActNorm copy = nn::clone(norm, 3, nn::ActNormOptions{.dtype = f64});
  CHECK(allclose(copy(x * 2), after, 0, 0));
}

TEST_CASE("flows: log_prob of a linear map is the normal density it makes; samples follow it") {
  nn::InvertibleLinear linear(2);
  {
    const NoGrad off;
    linear.weight.copy_(tensor({{2.0, 0.0}, {1.0, 4.0}}));
  }
  nn::Flow flow(std::move(linear));
  flow.to(f64);
  const Tensor p = flow.log_prob(tensor({{0.5, -0.25}}, {.dtype = f64}));
  // z = (1, -0.5), det = 8
  CHECK(p.item() == doctest::Approx(std::log(8) - 0.5 * 1.25 - std::log(2 * 3.14159265358979323846)));
  Rng rng(3);
  const Tensor x = flow.sample({20000, 2}, f64, rng);
  CHECK_FALSE(x.requires_grad());
  const Tensor covariance = matmul(transpose(x), x) / 20000;  // W^-1 W^-T
  const Tensor inverted = inverse(flow.parameters()[0].detach());
  CHECK(allclose(covariance, matmul(inverted, transpose(inverted)), 0.05, 0.01));

  // a density of one variable beside a fixed one sums to 1
  nn::Flow deep_flow = deep(2);
  const NoGrad off;
  const int64_t side = 400;
  const Tensor line = linspace(-20, 20, side, {.dtype = f64});
  const Tensor grid = stack({expand(unsqueeze(line, 1), {side, side}), expand(line, {side, side})}, -1);
  const double cell = (40.0 / (side - 1)) * (40.0 / (side - 1));
  CHECK(sum(exp(deep_flow.log_prob(grid))).item() * cell == doctest::Approx(1).epsilon(0.01));
}

TEST_CASE("flows: derivatives of y and of the log-likelihood, in x and every parameter") {
  manual_seed(2);
  struct Likelihood : nn::Module {
    nn::Flow flow = deep(3);
    Tensor forward(Tensor x) override { return concat({flow(x), unsqueeze(flow.log_prob(x), -1)}, -1); }
    void fields(nn::Fields& f) override { f("flow", flow); }
  } both;
  check_module(both, normal({2, 3}));
  CHECK(forgotten_by_fields([] { return deep(2); }).empty());
}

TEST_CASE("flows: observers see the parts, bad input is named") {
  nn::Flow flow(nn::ActNorm(4), nn::AffineCoupling(nn::Linear(2, 3)));
  CHECK(error_of([&] { flow(ones({2, 3})); }) == "module 0: ActNorm: the last axis has 4 elements, got (2, 3)");
  CHECK(error_of([&] {
          flow.log_prob(ones({2, 4}));
        }) == "module 1: AffineCoupling: the net maps (2, 2) to (2, 3); it must give (2, 4)");
  CHECK(error_of([] {
          nn::AdditiveCoupling(nn::Linear(1, 1))(ones({2, 1}));
        }) == "AdditiveCoupling: needs a last axis of at least two elements, got (2, 1)");
  CHECK(error_of([] { nn::InvertibleLinear(2)(ones({3})); }) ==
        "InvertibleLinear: the last axis has 2 elements, got (3)");
  CHECK(error_of([] { nn::Permutation(2).inverse(ones({3})); }) ==
        "Permutation: the last axis has 2 elements, got (3)");
  CHECK(error_of([] { nn::Permutation(tensor({0, 2, 2})); }) == "Permutation: of 3 numbers, 1 must be there once");
  CHECK(error_of([] { nn::Permutation(tensor({0.0})); }) == "Permutation: needs i64 (n), got f32 (1)");
  nn::InvertibleLinear singular(2);
  {
    const NoGrad off;
    singular.weight.fill_(1);
  }
  CHECK(error_of([&] { singular.inverse(ones({1, 2})); }) == "inverse: the matrix is singular: (2, 2)");
}

TEST_CASE("flow: a sample without an axis is refused") {
  nn::Flow flow(nn::ActNorm(2));
  CHECK(error_of([&] { flow.log_prob(ones({})); }) == "Flow: needs a last axis, got ()");
}

TEST_CASE("ActNorm: a batch of another dtype is refused before it sets anything") {
  nn::ActNorm norm(3);
  CHECK(error_of([&] { norm(normal({4, 3})); }) == "ActNorm: dtypes differ: f64 and f32; convert with .to(f64)");
  CHECK(norm.log_scale.to_vector() == std::vector<double>{0, 0, 0});
}
