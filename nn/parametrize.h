// Weights that are computed from others, in one line around any module that names the weight in its fields:
//
//   auto layer = nn::spectral_norm(nn::Linear(64, 64), {.cap = 0.9, .exact = true});
//   auto rnn = nn::orthogonal(nn::RNN(8, 32), {.weight = "weight_hh_l0"});
//
//   1. The raw numbers are parameters, for the optimiser, named after the weight: weight.raw, or weight.g and weight.v.
//   2. The effective weight stands in the wrapped module's own field and is listed under its own name, as a buffer,
//      computed anew whenever fields are listed: what is saved fits the plain module too, and load_from, which carries
//      raw numbers and buffers over, is exact.
//   3. forward computes it once a call by recorded ops, so that instruments and gradients see through it.
//   4. A weight (out, in, field...) counts as the matrix (out, in * field).
#pragma once
#include "fathom/autograd/checkpoint.h"  // recomputing
#include "fathom/nn/module.h"

namespace fathom::nn {

// How an effective weight comes from raw numbers.
struct Parametrization {
  std::string weight;  // the name in the module's fields

  explicit Parametrization(std::string name) : weight(std::move(name)) {}
  virtual ~Parametrization() = default;
  virtual Tensor effective() = 0;
  virtual void advance() {}  // once a call in training, before `effective`; not in one that is computed again
  virtual void fields(Fields& f) = 0;
};

// The parameter that m's fields call by this path. Throws Error, naming those there are, when there is none.
Tensor& field(Module& m, const std::string& name);

template <std::derived_from<Module> M>
struct Parametrized : Module {
  M module;

  // make(weight) gives the parametrisation that begins at this weight.
  template <class Make>
  Parametrized(M m, const std::string& weight, Make make) : module(std::move(m)), how_(make(field(module, weight))) {
    field(module, weight) = how_->effective().detach();
  }
  // The module with its effective weight as it is now, recorded, for further forms of its call: rnn.now()(x, h0).
  M& now() {
    module.training = training;
    if (training && !recomputing()) how_->advance();
    field(module, how_->weight) = how_->effective();
    return module;
  }
  Tensor forward(Tensor x) override {
    M& m = now();
    struct Detach {  // else it would hold this call's tape; also when it fails
      Tensor& w;
      ~Detach() {
        if (w.defined()) w = w.detach();
      }
    } detach{field(m, how_->weight)};
    return m.forward(std::move(x));
  }
  int64_t batch_axis() const override { return module.batch_axis(); }
  void fields(Fields& f) override {
    Tensor& w = field(module, how_->weight);
    w = {};
    module.fields(f);  // undefined: left out
    w = how_->effective().detach();
    f.buffer(how_->weight, w);
    how_->fields(f);
  }

 private:
  Owned<Parametrization> how_;
};

struct SpectralNormOptions {
  std::string weight = "weight";
  double cap = 1;
  bool always = true;  // scaled up to the cap, too, as PyTorch's; else only what is above it is scaled
  bool exact = false;  // the largest singular value by an eigenvalue solver, not by power iteration
  int iterations = 1;  // of power iteration at each call in training, from where the last call ended
};
// raw * cap / sigma(raw) (Miyato et al., "Spectral normalization", 2018). The singular vectors count as constants:
// first derivatives are right where they have converged, as they have from the beginning; higher ones leave out their
// change.
Owned<Parametrization> spectral(const Tensor& weight, const SpectralNormOptions& options);
template <std::derived_from<Module> M>
Parametrized<M> spectral_norm(M m, const SpectralNormOptions& options = {}) {
  return {std::move(m), options.weight, [&](const Tensor& w) { return spectral(w, options); }};
}

struct ParametrizeOptions {
  std::string weight = "weight";
};
// g v / norm(v), each row by itself, g beginning at the rows' norms (Salimans & Kingma, "Weight normalization", 2016).
Owned<Parametrization> norm_and_direction(const Tensor& weight, const ParametrizeOptions& options);
template <std::derived_from<Module> M>
Parametrized<M> weight_norm(M m, const ParametrizeOptions& options = {}) {
  return {std::move(m), options.weight, [&](const Tensor& w) { return norm_and_direction(w, options); }};
}

// exp(A) Q with A = tril(raw) - tril(raw)^T antisymmetric, of the longer side's size, and raw beginning at zero: rows
// or columns stay orthonormal (Lezcano-Casado & Martinez-Rubio 2019). Q is that of the weight's QR decomposition with
// R's diagonal positive: the weight itself if it is orthogonal.
Owned<Parametrization> rotation(const Tensor& weight, const ParametrizeOptions& options);
template <std::derived_from<Module> M>
Parametrized<M> orthogonal(M m, const ParametrizeOptions& options = {}) {
  return {std::move(m), options.weight, [&](const Tensor& w) { return rotation(w, options); }};
}

}  // namespace fathom::nn
