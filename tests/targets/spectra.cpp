// Numbers about the spectra of random and of special layers.
#include <doctest/doctest.h>

#include <cmath>

#include "fathom/fathom.h"

using namespace fathom;

namespace {

const TensorOptions exact{.dtype = f64};
auto near(double value, double relative) { return doctest::Approx(value).epsilon(relative); }
Tensor gaussian(int64_t out, int64_t in, double variance) { return randn({out, in}, exact) * std::sqrt(variance); }

// Of w as the Jacobian of a layer.
std::vector<double> spectrum(const Tensor& w) {
  const Tensor x = zeros({w.size(1)}, {.dtype = f64, .requires_grad = true});
  return probe::Jacobian(linear(x, w), x).spectrum().values.to_vector();
}

// Transformer blocks as Xiong et al. (2020) have them for their lemmas: one head, queries and keys of zero, so that
// each step attends to all alike; square matrices of variance 1 / width; ReLU; no biases.
nn::Transformer transformer(int64_t width, int64_t blocks, bool norm_first) {
  nn::Transformer net(width, 1, blocks,
                      {.norm_first = norm_first,
                       .feedforward = width,
                       .activation = [](Tensor x) { return relu(std::move(x)); },
                       .bias = false,
                       .dtype = f64});
  const NoGrad off;
  for (nn::TransformerBlock& block : net.layers) {
    for (Tensor* w : {&block.linear1.weight, &block.linear2.weight, &block.self_attn.out_proj.weight})
      nn::init::xavier_normal(*w);
    block.self_attn.in_proj_weight.copy_(
        concat({zeros({2 * width, width}, exact), gaussian(width, width, 1 / double(width))}));
  }
  return net;
}

// The slope of log y against log x.
double slope(const std::vector<double>& x, const std::vector<double>& y) {
  double mx = 0, my = 0, xy = 0, xx = 0;
  const double n = double(x.size());
  for (size_t i = 0; i < x.size(); ++i) mx += std::log(x[i]) / n, my += std::log(y[i]) / n;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (std::log(x[i]) - mx) * (std::log(y[i]) - my);
    xx += (std::log(x[i]) - mx) * (std::log(x[i]) - mx);
  }
  return xy / xx;
}

}  // namespace

TEST_CASE("13: the variance of attention logits") {
  manual_seed(1);
  const int64_t n = 40000, width = 32;
  const Tensor logits = (randn({n, width}, exact) * randn({n, width}, exact)).sum(1);
  const double tolerance = 3 * std::sqrt(2.0 / double(n));
  CHECK(square(logits).mean().item() == near(double(width), tolerance));
  CHECK(square(logits / std::sqrt(double(width))).mean().item() == near(1, tolerance));
}

TEST_CASE("27: Gaussian square layers") {
  manual_seed(2);
  const Tensor w = gaussian(512, 512, 1.3 * 1.3 / 512), x = zeros({512}, {.dtype = f64, .requires_grad = true});
  const auto found = probe::Jacobian(linear(x, w), x).sigma_max({.tolerance = 1e-3});
  CHECK(found.sigma.item() == near(2.6, 0.05));
  CHECK(found.upper.item() >= found.sigma.item());
  const int64_t n = 64;
  double sum = 0;
  for (int k = 0; k < 150; ++k) {
    const auto s = spectrum(gaussian(n, n, 1.0 / double(n)));
    sum += std::log(s.front() / s.back());
  }
  CHECK(std::abs(sum / 150 - (std::log(double(n)) + 1.537)) < 0.15);
}

TEST_CASE("28: a Gaussian layer four times as wide") {
  manual_seed(3);
  const auto s = spectrum(gaussian(2048, 512, 1.0 / 2048));
  CHECK(s.front() == near(1.5, 0.02));
  CHECK(s.back() == near(0.5, 0.02));
  CHECK(s.front() / s.back() == near(3, 0.03));
}

TEST_CASE("31: a sigmoid layer") {
  manual_seed(6);
  const int64_t n = 8;
  const Tensor w = gaussian(n, n, 1), zero = zeros({n}, {.dtype = f64, .requires_grad = true});
  const double norm = spectrum(w)[0];
  CHECK(probe::Jacobian(sigmoid(linear(zero, w)), zero).sigma_max().sigma.item() == near(norm / 4, 1e-6));
  const Tensor x = randn({n}, {.dtype = f64, .requires_grad = true});
  CHECK(probe::Jacobian(sigmoid(linear(x, w)), x).singular_values().to_vector()[0] <= norm / 4);
  std::vector<Tensor> h{zero};  // orthogonal layers at z = 0: centred, so that the next one's is 0 too
  for (int l = 0; l < 12; ++l) {
    Tensor q = zeros({n, n}, exact);
    nn::init::orthogonal(q);
    h.push_back(sigmoid(linear(h.back(), q)) - 0.5);
  }
  const double product = probe::products_along(h).log10_norm.to_vector()[0];
  CHECK(product == near(12 * std::log10(0.25), 1e-12));
}

TEST_CASE("36: the norm after a feed-forward branch, post-norm") {
  manual_seed(7);
  const int64_t d = 512;
  const Tensor x = randn({4, d}, exact);
  const Tensor w1 = gaussian(d, d, 1.0 / double(d)), w2 = gaussian(d, d, 1.0 / double(d));
  const Tensor s = (x + linear(relu(linear(x, w1)), w2)).requires_grad_();
  const auto norms = probe::Jacobian(layer_norm(s), s).sigma_max();
  double mean = 0;
  for (double norm : norms.sigma.to_vector()) mean += norm / 4;
  CHECK(mean == near(0.816497, 0.02));
}

TEST_CASE("37: the stream and the last gradient of pre-norm and post-norm transformers") {
  manual_seed(8);
  const int64_t d = 64, steps = 8, batch = 16;
  std::vector<double> depths;
  for (const bool norm_first : {true, false}) {
    std::vector<double> gradients;
    depths.clear();
    for (int64_t depth : {6, 12, 24, 48}) {
      nn::Transformer net = transformer(d, depth, norm_first);
      Tensor h = randn({batch, steps, d}, exact);
      int64_t l = 0;
      for (nn::TransformerBlock& block : net.layers) {
        h = block(h);
        const double square_norm = square(h.detach()).sum().item() / double(batch * steps), k = double(++l);
        if (norm_first) {
          CHECK(square_norm > 0.9 * (1 + k / 2) * double(d));
          CHECK(square_norm < 1.1 * (1 + 3 * k / 2) * double(d));
        }
      }
      if (net.norm) h = (*net.norm)(h);
      const Tensor logits = linear(h, gaussian(d, d, 1.0 / double(d))).reshape({batch * steps, d});
      const Tensor last = net.layers.back().linear2.weight;
      gradients.push_back(norm(grad(cross_entropy(logits, randint(0, d, {batch * steps})), last)).item());
      depths.push_back(double(depth));
    }
    CHECK(std::abs(slope(depths, gradients) - (norm_first ? -0.5 : 0)) < 0.1);
  }
}
