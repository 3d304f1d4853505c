// Numbers about single layers and their products that can be worked out by hand.
#include <doctest/doctest.h>

#include <cmath>

#include "fathom/fathom.h"

using namespace fathom;

namespace {

const TensorOptions exact{.dtype = f64};

Tensor leaf(const Tensor& x) { return x.clone().requires_grad_(); }
Tensor diag(std::vector<double> d) {
  const int64_t n = int64_t(d.size());
  return from_data(d, {n}, exact).unsqueeze(1) * eye(n, exact);
}
std::vector<double> spectrum(const Tensor& y, const Tensor& x) {
  return probe::Jacobian(y, x).singular_values().to_vector();
}
double frobenius(const Tensor& m) { return std::sqrt(square(m).sum().item()); }

const Tensor w_seed() { return diag({1.6, 0.4}); }
const Tensor ones2() { return ones({2}, {.dtype = f64, .requires_grad = true}); }

auto near(double value, double relative) { return doctest::Approx(value).epsilon(relative); }

}  // namespace

TEST_CASE("1: one ReLU layer") {
  const Tensor x = ones2(), y = relu(matmul(w_seed(), x));
  const Tensor J = probe::Jacobian(y, x).matrix();
  CHECK(allclose(J, w_seed(), 1e-12));
  const auto s = spectrum(y, x);
  CHECK(s[0] == near(1.6, 1e-12));
  CHECK(frobenius(J) == near(std::sqrt(2.72), 1e-12));
  CHECK(s[0] / s[1] == near(4, 1e-12));
}

TEST_CASE("2: one tanh layer") {
  const Tensor x = ones2(), y = tanh(matmul(w_seed(), x));
  const Tensor J = probe::Jacobian(y, x).matrix();
  CHECK(J[0][0].item() == near(0.2408433213, 1e-9));
  CHECK(J[1][1].item() == near(0.3422555144, 1e-9));
  CHECK(J[0][1].item() == 0);
  const auto s = spectrum(y, x);
  CHECK(s[0] == near(0.3422555144, 1e-9));
  CHECK(s[0] / s[1] == near(1.4210712, 1e-7));
  CHECK(frobenius(J) == near(0.4185024999, 1e-9));
}

TEST_CASE("3, 4: stacks of ReLU layers") {
  const auto stack = [](int depth) {
    const Tensor x = ones2(), w = w_seed();
    Tensor h = x;
    for (int i = 0; i < depth; ++i) h = relu(matmul(w, h));
    return spectrum(h, x);
  };
  const auto ten = stack(10);
  CHECK(ten[0] == near(109.95116278, 1e-10));
  CHECK(ten[1] == near(1.048576e-4, 1e-10));
  CHECK(ten[0] / ten[1] == near(1048576, 1e-10));
  CHECK(stack(20)[0] == near(12089.2581961, 1e-10));
  int past_thousand = 0, past_million = 0;
  for (int depth = 30; depth > 0; --depth) {
    const double norm = stack(depth)[0];
    if (norm > 1e3) past_thousand = depth;
    if (norm > 1e6) past_million = depth;
  }
  CHECK(past_thousand == 15);
  CHECK(past_million == 30);
}

TEST_CASE("5, 6: stacks of tanh layers") {
  const Tensor x = ones2(), w = w_seed();
  std::vector<Tensor> h{x};
  for (int i = 0; i < 2000; ++i) h.push_back(tanh(matmul(w, h.back())));
  CHECK(spectrum(h[10], x)[0] == near(8.7300669e-5, 1e-7));
  CHECK(spectrum(h[20], x)[0] == near(9.1541386e-9, 1e-7));
  CHECK(spectrum(h[30], h[29])[0] == near(0.4, 1e-6));
  const double fixed = h.back()[0].item();
  CHECK(fixed == near(0.8906434786, 1e-9));
  CHECK(1.6 * (1 - fixed * fixed) == near(0.3308067106, 1e-9));
}

TEST_CASE("7: three layers with spectral norm 0.9") {
  manual_seed(1);
  const Tensor x = randn({6}, {.dtype = f64, .requires_grad = true});
  Tensor orthogonal = x, other = x;
  for (int i = 0; i < 3; ++i) {
    Tensor q = zeros({6, 6}, exact);
    nn::init::orthogonal(q, 0.9);
    orthogonal = matmul(q, orthogonal);
    const Tensor w = leaf(randn({6, 6}, exact)), z = ones({6}, {.dtype = f64, .requires_grad = true});
    const double sigma = spectrum(matmul(w, z), z)[0];
    other = matmul(w.detach() * (0.9 / sigma), other);
  }
  CHECK(spectrum(orthogonal, x)[0] == near(0.729, 1e-12));
  CHECK(spectrum(other, x)[0] <= 0.729 * (1 + 1e-12));
}

TEST_CASE("8: softmax and cross-entropy") {
  manual_seed(2);
  const Tensor z = randn({5, 7}, {.dtype = f64, .requires_grad = true});
  const Tensor labels = randint(0, 7, {5});
  const Tensor g = grad(cross_entropy(z, labels), z) * 5;  // a mean over five rows
  CHECK(allclose(g, softmax(z.detach()) - one_hot(labels, 7).to(f64), 1e-12, 1e-14));
  CHECK(abs(g.sum(1)).amax().item() < 1e-14);
  CHECK(g.amax().item() <= 1);
  CHECK(g.amin().item() >= -1);
  CHECK(g.abs().sum(1).amax().item() <= 2);
  CHECK(norm(g, 2, 1).amax().item() <= std::sqrt(2.0));
}

TEST_CASE("9: the Jacobian of softmax") {
  for (int64_t n : {2, 5, 10}) {
    const Tensor z = zeros({n}, {.dtype = f64, .requires_grad = true});
    CHECK(spectrum(softmax(z), z)[0] == near(1.0 / double(n), 1e-12));
  }
  Tensor z = full({5}, -1000, exact);
  z[0].fill_(0), z[1].fill_(0);
  z.requires_grad_();
  CHECK(spectrum(softmax(z), z)[0] == near(0.5, 1e-12));
}

TEST_CASE("10, 11: LayerNorm") {
  manual_seed(3);
  const double eps = 1e-5;
  const Tensor x = randn({8}, {.dtype = f64, .requires_grad = true});
  const Tensor y = layer_norm(x, {}, {}, eps);
  const double s = std::sqrt(var(x.detach(), {}, false, 0).item() + eps);
  const auto spectrum_ = spectrum(y, x);
  for (int i = 0; i < 6; ++i) CHECK(spectrum_[size_t(i)] == near(1 / s, 1e-10));
  CHECK(spectrum_[6] == near(eps / (s * s * s), 1e-6));
  CHECK(spectrum_[7] < 1e-12);
  CHECK(frobenius(probe::Jacobian(y, x).matrix()) == near(std::sqrt(6 / (s * s) + eps * eps / std::pow(s, 6)), 1e-10));
  const Tensor constant = full({8}, 3, {.dtype = f64, .requires_grad = true});
  CHECK(spectrum(layer_norm(constant, {}, {}, eps), constant)[0] == near(1 / std::sqrt(eps), 1e-9));
}

TEST_CASE("14, 15: volume-preserving maps may stretch") {
  const Tensor shear = tensor({{1.0, 1.0}, {0.0, 1.0}}, exact), x = ones2();
  const auto stack = [&](const Tensor& w, int depth) {
    Tensor h = x;
    for (int i = 0; i < depth; ++i) h = matmul(w, h);
    return spectrum(h, x);
  };
  const double golden = 1.6180339887498949;
  CHECK(stack(shear, 1)[0] == near(golden, 1e-9));
  CHECK(stack(shear, 10)[0] == near(10.0990195, 1e-8));
  CHECK(std::pow(stack(shear, 1)[0], 10) == near(122.9918694, 1e-8));
  CHECK(stack(shear, 100)[0] == near(100.01, 1e-6));
  const double a = 1.7;
  const auto squeeze_ = stack(diag({a, 1 / a}), 1);
  CHECK(squeeze_[0] == near(a, 1e-12));
  CHECK(squeeze_[0] / squeeze_[1] == near(a * a, 1e-12));
  CHECK(stack(diag({a, 1 / a}), 12)[0] == near(std::pow(a, 12), 1e-12));
}

TEST_CASE("29: orthogonal layers of gain g") {
  manual_seed(4);
  const Tensor x = randn({16}, {.dtype = f64, .requires_grad = true});
  Tensor h = x;
  for (int i = 0; i < 20; ++i) {
    Tensor q = zeros({16, 16}, exact);
    nn::init::orthogonal(q, 1.1);
    h = matmul(q, h);
  }
  const auto s = spectrum(h, x);
  CHECK(s.front() == near(std::pow(1.1, 20), 1e-10));
  CHECK(s.front() / s.back() == near(1, 1e-10));
}

TEST_CASE("32: the linear residual stream grows to e") {
  manual_seed(5);
  const int64_t n = 128;
  const auto growth = [&](int depth, double scale) {
    double total = 0;
    for (int net = 0; net < 20; ++net) {
      Tensor h = randn({n}, exact);
      const double start = square(h).sum().item();
      for (int l = 0; l < depth; ++l) h = h + matmul(randn({n, n}, exact), h) * (scale / std::sqrt(double(n)));
      total += square(h).sum().item() / start;
    }
    return total / 20;
  };
  CHECK(growth(10, 1 / std::sqrt(10.0)) == near(2.593742, 0.15));
  CHECK(growth(10, 1) == near(1024, 0.35));
}

TEST_CASE("33: a residual branch that starts at zero is the identity") {
  manual_seed(6);
  const Tensor x = randn({7}, {.dtype = f64, .requires_grad = true});
  const Tensor alpha = zeros({1}, {.dtype = f64, .requires_grad = true});
  Tensor h = x;
  for (int l = 0; l < 30; ++l) h = h + alpha * tanh(matmul(randn({7, 7}, exact), h));
  for (double s : spectrum(h, x)) CHECK(s == near(1, 1e-12));
}
