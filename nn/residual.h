// Residual forms that keep deep nets stable, beside Residual in containers.h, whose fixed scale may be 1 / sqrt(L).
// Each throws Error when f changes the shape.
#pragma once
#include <span>

#include "fathom/nn/containers.h"
#include "fathom/nn/linear.h"

namespace fathom::nn {

struct ReZeroOptions {
  double begin = 0;
  Dtype dtype = f32;
};
// x + alpha f(x) with alpha learned from zero, so that each block begins as the identity (Bachlechner et al., "ReZero
// is all you need", 2020; SkipInit: De & Smith 2020).
struct ReZero : Module {
  Tensor alpha;  // ()

  template <std::derived_from<Module> M>
  explicit ReZero(M f, ReZeroOptions options = {}) : ReZero(options, Owned<Module>(new M(std::move(f)))) {}
  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;

 private:
  ReZero(ReZeroOptions options, Owned<Module> f);
  Owned<Module> f_;
};

struct StochasticDepthOptions {
  double p = 0.1;      // that the branch is dropped
  Rng* rng = nullptr;  // draws it; the thread's default when null. What runs again draws the last numbers once more.
};
// x + f(x) b / (1 - p), with b of each sample (along axis 0) 0 with probability p, else 1; without b and the division
// out of training (Huang et al., "Deep networks with stochastic depth", 2016, in the inverted form of dropout).
struct StochasticDepth : Module {
  // Throws Error unless 0 <= p < 1.
  template <std::derived_from<Module> M>
  explicit StochasticDepth(M f, StochasticDepthOptions options = {})
      : StochasticDepth(options, Owned<Module>(new M(std::move(f)))) {}
  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;

 private:
  StochasticDepth(StochasticDepthOptions options, Owned<Module> f);
  Owned<Module> f_;
  StochasticDepthOptions options_;
  Rng before_{0};  // as it was for the last drawing
};

struct EulerStepOptions {
  double h = 0.1;
};
// One explicit step of x' = f(x): x + h f(x). Linear decay at rate k is unstable beyond h k = 2, and a rotation grows
// at any h.
struct EulerStep : Residual {
  template <std::derived_from<Module> M>
  explicit EulerStep(M f, EulerStepOptions options = {}) : Residual(std::move(f), {.scale = options.h}) {}
};

// Wang et al., "DeepNet: scaling transformers to 1,000 layers", 2022: LayerNorm(alpha x + f(x)), where f's weights (of
// attention: value and output projections alone) begin as Xavier's times beta.
struct DeepNormConstants {
  double alpha, beta;
};
DeepNormConstants deepnorm(int64_t layers);  // of an encoder or a decoder alone: (2N)^(1/4), (8N)^(-1/4)
struct DeepNormPair {
  DeepNormConstants encoder, decoder;
};
DeepNormPair deepnorm(int64_t encoder_layers, int64_t decoder_layers);

struct DeepNormOptions {
  double alpha = 1;
  LayerNormOptions norm = {};
};
struct DeepNorm : Module {
  double alpha;
  LayerNorm norm;

  template <std::derived_from<Module> M>
  DeepNorm(int64_t width, M f, DeepNormOptions options = {})
      : alpha(options.alpha), norm(width, options.norm), f_(new M(std::move(f))) {}
  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;

 private:
  Owned<Module> f_;
};

namespace init {

// Zhang et al., "Fixup initialization", 2019, of the weights of one of `branches` residual branches, in their order:
// the last is zero, the m - 1 others are Kaiming's normal times branches^(-1 / (2m - 2)). Throws Error without weights.
void fixup(std::span<Tensor> weights, int64_t branches, Rng& rng = default_rng());

}  // namespace init

}  // namespace fathom::nn
