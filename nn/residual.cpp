#include "fathom/nn/residual.h"

#include <cmath>

#include "fathom/autograd/checkpoint.h"  // recomputing
#include "fathom/autograd/create.h"
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/nn/init.h"
#include "fathom/nn/size.h"

namespace fathom::nn {
namespace {

Tensor branch(const char* name, Module& f, const Tensor& x) {
  Tensor y = f(x);
  if (y.shape() != x.shape())
    throw Error(std::string(name) + ": f maps " + to_string(x.shape()) + " to " + to_string(y.shape()) +
                "; it must keep the shape");
  return y;
}

}  // namespace

ReZero::ReZero(ReZeroOptions options, Owned<Module> f)
    : alpha(full({}, options.begin, {.dtype = options.dtype, .requires_grad = true})), f_(std::move(f)) {}
Tensor ReZero::forward(Tensor x) { return x + branch("ReZero", *f_, x) * alpha; }
void ReZero::fields(Fields& f) {
  f("alpha", alpha);
  f("f", f_);
}

StochasticDepth::StochasticDepth(StochasticDepthOptions options, Owned<Module> f)
    : f_(std::move(f)), options_(options) {
  if (!(options.p >= 0 && options.p < 1))
    throw Error("StochasticDepth: p is in [0, 1), got " + std::to_string(options.p));
}
Tensor StochasticDepth::forward(Tensor x) {
  Tensor y = branch("StochasticDepth", *f_, x);
  if (!training || options_.p == 0) return x + y;
  Shape rows = x.shape();
  for (int d = 1; d < rows.rank; ++d) rows[d] = 1;
  const Tensor kept(rows, x.dtype());
  Rng& rng = options_.rng ? *options_.rng : default_rng();
  if (&rng != &default_rng() && recomputing()) {
    Rng again = before_;
    fill_bernoulli(kept, 1 - options_.p, again);
  } else {
    before_ = rng;
    fill_bernoulli(kept, 1 - options_.p, rng);
  }
  return x + y * (kept / (1 - options_.p));
}
void StochasticDepth::fields(Fields& f) { f("f", f_); }

DeepNormConstants deepnorm(int64_t layers) {
  checked_size("deepnorm", "layers", layers, 1);
  return {std::pow(2.0 * double(layers), 0.25), std::pow(8.0 * double(layers), -0.25)};
}
DeepNormPair deepnorm(int64_t encoder_layers, int64_t decoder_layers) {
  checked_size("deepnorm", "encoder_layers", encoder_layers, 1);
  checked_size("deepnorm", "decoder_layers", decoder_layers, 1);
  const double n = double(encoder_layers), m = double(decoder_layers), root = std::pow(n * n * n * n * m, 1.0 / 16);
  return {{0.81 * root, 0.87 / root}, {std::pow(3 * m, 0.25), std::pow(12 * m, -0.25)}};
}
Tensor DeepNorm::forward(Tensor x) { return norm(x * alpha + branch("DeepNorm", *f_, x)); }
void DeepNorm::fields(Fields& f) {
  f("f", f_);
  f("norm", norm);
}

void init::fixup(std::span<Tensor> weights, int64_t branches, Rng& rng) {
  if (weights.empty() || branches < 1)
    throw Error("init::fixup: needs weights and a branch, got " + std::to_string(weights.size()) + " and " +
                std::to_string(branches));
  const double m = double(weights.size()), scale = m > 1 ? std::pow(double(branches), -1 / (2 * m - 2)) : 1;
  for (size_t i = 0; i + 1 < weights.size(); ++i) kaiming_normal(weights[i], {.gain = relu_gain * scale}, rng);
  zeros(weights.back());
}

}  // namespace fathom::nn
