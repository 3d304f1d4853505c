// Estimates against the exact singular values of every kind of module, in f64.
#include <cmath>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/nn/nn.h"
#include "fathom/probe/jacobian.h"
#include "tests/support.h"

using namespace fathom;

namespace {

constexpr Dtype dtype = f64;

// The estimates of the module's Jacobian at a random input, and of twice that input, against the matrix.
void check(const char* name, nn::Module& module, const Shape& shape, int64_t batch_axis = 0) {
  CAPTURE(name);
  for (double scale : {1.0, 2.0}) {
    const Tensor x = (randn(shape, {.dtype = dtype}) * scale).requires_grad_();
    const probe::Jacobian j(module(x), x, {.batch_axis = batch_axis, .seed = uint64_t(scale)});
    const auto spectrum = j.spectrum();
    const size_t count = size_t(spectrum.values.shape().back());
    const auto values = spectrum.values.to_vector(), norms = spectrum.frobenius.to_vector();
    const auto sigma = j.sigma_max({.tolerance = 1e-3}), rough = j.sigma_max({.iterations = 2}),
               power = j.sigma_max({.iterations = 5, .method = probe::SigmaMethod::power});
    const auto frobenius = j.frobenius({.exact_below = 0, .probes = 8}), exact = j.frobenius();
    const auto top = j.spectrum({.exact_below = 0, .top = 3});
    for (size_t i = 0; i < norms.size(); ++i) {
      const double largest = values[i * count];
      for (const probe::Sigma* s : {&sigma, &rough, &power}) {
        CHECK(s->sigma.to_vector()[i] <= largest * (1 + 1e-10));
        CHECK(s->upper.to_vector()[i] >= largest * (1 - 1e-10));
      }
      CHECK(sigma.sigma.to_vector()[i] == doctest::Approx(largest).epsilon(2e-3));
      CHECK(frobenius.lower.to_vector()[i] <= norms[i] * (1 + 1e-10));
      CHECK(frobenius.upper.to_vector()[i] >= norms[i] * (1 - 1e-10));
      CHECK(exact.value.to_vector()[i] == doctest::Approx(norms[i]).epsilon(exact.confidence < 1 ? 0.3 : 1e-9));
      for (size_t k = 0; k < std::min<size_t>(3, count); ++k) {
        const size_t at = i * std::min<size_t>(3, count) + k;
        CHECK(top.values.to_vector()[at] <= values[i * count + k] + 1e-10 * largest);
        CHECK(top.upper.to_vector()[at] >= values[i * count + k] - 1e-10 * largest);
      }
    }
  }
}

}  // namespace

TEST_CASE("modules: intervals contain the exact values") {
  manual_seed(41);
  nn::Linear wide(9, 14, {.dtype = dtype}), narrow(9, 5, {.dtype = dtype});
  check("wide", wide, {4, 9});
  check("narrow", narrow, {4, 9});
  check("linear over steps", narrow, {3, 4, 9});
  nn::LayerNorm norm(9, {.dtype = dtype});
  check("layer_norm", norm, {4, 9});
  nn::Tanh tanh_;
  nn::ReLU relu_;
  nn::GELU gelu_;
  nn::SiLU silu_;
  nn::ELU elu_;
  nn::Softplus softplus_;
  nn::Sigmoid sigmoid_;
  for (nn::Module* each :
       std::initializer_list<nn::Module*>{&tanh_, &relu_, &gelu_, &silu_, &elu_, &softplus_, &sigmoid_})
    check("activation", *each, {4, 9});
  nn::Dropout dropout(0.3);
  check("dropout", dropout, {4, 9});
  nn::Sequential net(nn::Linear(9, 20, {.dtype = dtype}), nn::Tanh(), nn::Linear(20, 9, {.dtype = dtype}), nn::ReLU());
  check("sequential", net, {4, 9});
  nn::Residual residual(nn::Linear(9, 9, {.dtype = dtype}), {.scale = 0.5});
  check("residual", residual, {4, 9});
  nn::MultiheadAttention attention(8, 2, {.dtype = dtype}),
      causal(8, 2, {.causal = true, .rotary = true, .dtype = dtype});
  check("attention", attention, {2, 5, 8});
  check("causal attention", causal, {2, 5, 8});
  nn::TransformerBlock pre(8, 2, {.dtype = dtype}), post(8, 2, {.norm_first = false, .dtype = dtype});
  check("pre-norm block", pre, {2, 4, 8});
  check("post-norm block", post, {2, 4, 8});
  nn::RNN rnn(4, 6, {.dtype = dtype});
  nn::LSTM lstm(4, 6, {.layers = 2, .dtype = dtype});
  nn::GRU gru(4, 6, {.batch_first = true, .bidirectional = true, .dtype = dtype});
  check("rnn", rnn, {5, 3, 4}, 1);
  check("lstm", lstm, {5, 3, 4}, 1);
  check("gru", gru, {3, 5, 4});
}
