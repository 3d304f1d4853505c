// Normalizing flows: invertible maps f of the last axis, and what they do to volumes. A density of z = f(x) gives one
// of x: log p(x) = log p(z) + log |det df/dx|.
#pragma once
#include "fathom/nn/containers.h"

namespace fathom::nn {

struct Transformed {
  Tensor y;        // (..., n)
  Tensor log_det;  // (...): log |det dy/dx| of each sample
};

struct Invertible : Module {
  // y = f(x) and its log-determinant; told to this thread's observer as a call of forward is.
  Transformed transform(Tensor x);
  // The x with forward(x) = y.
  virtual Tensor inverse(Tensor y) = 0;
  Tensor forward(Tensor x) override { return map(std::move(x)).y; }

 protected:
  virtual Transformed map(Tensor x) = 0;  // what both run
  friend struct Flow;
};

struct CouplingOptions {
  bool swap = false;  // the second part stays, the first changes
};
// The first n / 2 elements stay; the others change by what a net makes of the first: any net does, it is never
// inverted. Throws Error where x has fewer than two elements, or the net's output does not fit.
struct Coupling : Invertible {
  Module& net() { return *net_; }
  void fields(Fields& f) override { f("net", net_); }

 protected:
  template <std::derived_from<Module> M>
  Coupling(const char* name, M net, CouplingOptions options)
      : name_(name), swap_(options.swap), net_(new M(std::move(net))) {}
  struct Parts {
    Tensor same, other;
  };
  Parts split(const Tensor& x) const;
  Tensor join(const Tensor& same, const Tensor& other) const;
  Tensor net_of(const Tensor& same, int64_t outputs);

 private:
  const char* name_;
  bool swap_;
  Owned<Module> net_;
};

// other + net(same): keeps all volumes (Dinh, Krueger & Bengio, "NICE", 2014). The net has as many outputs as there are
// others.
struct AdditiveCoupling : Coupling {
  template <std::derived_from<Module> M>
  explicit AdditiveCoupling(M net, CouplingOptions options = {})
      : Coupling("AdditiveCoupling", std::move(net), options) {}
  Tensor inverse(Tensor y) override;

 protected:
  Transformed map(Tensor x) override;
};

struct AffineCouplingOptions {
  bool swap = false;
  double bound = 2;  // the logarithm of the scale is bound tanh(s / bound)
};
// other exp(s) + t with (s, t) = net(same), twice as many outputs as there are others (Dinh, Sohl-Dickstein & Bengio,
// "Density estimation using Real NVP", 2016).
struct AffineCoupling : Coupling {
  double bound;

  template <std::derived_from<Module> M>
  explicit AffineCoupling(M net, AffineCouplingOptions options = {})
      : Coupling("AffineCoupling", std::move(net), {.swap = options.swap}), bound(options.bound) {}
  Tensor inverse(Tensor y) override;

 protected:
  Transformed map(Tensor x) override;

 private:
  Parts log_scale_and_shift(const Tensor& same, int64_t others);
};

struct ActNormOptions {
  double eps = 1e-6;  // added to the first batch's deviations
  Dtype dtype = f32;
};
// x exp(log_scale) + bias. The first batch of training sets them so that its y has mean 0 and deviation 1 (Kingma &
// Dhariwal, "Glow", 2018); before, it is the identity.
struct ActNorm : Invertible {
  Tensor log_scale, bias;  // (n)
  Tensor initialised;      // boolean, rank 0
  double eps;

  explicit ActNorm(int64_t n, ActNormOptions options = {});
  Tensor inverse(Tensor y) override;
  void fields(Fields& f) override;

 protected:
  Transformed map(Tensor x) override;

 private:
  void initialise(const Tensor& x);
};

struct InvertibleLinearOptions {
  // W = exp(weight), which is never singular, with log |det W| = trace(weight); else W = weight.
  bool exponential = false;
  Dtype dtype = f32;
};
// x W^T. W starts as a random orthogonal matrix (Glow), or as the identity where it is an exponential.
struct InvertibleLinear : Invertible {
  Tensor weight;  // (n, n)
  bool exponential;

  explicit InvertibleLinear(int64_t n, InvertibleLinearOptions options = {});
  Tensor inverse(Tensor y) override;
  void fields(Fields& f) override { f("weight", weight); }

 protected:
  Transformed map(Tensor x) override;
};

// Element i of y is element index[i] of x.
struct Permutation : Invertible {
  Tensor index;  // i64 (n)

  explicit Permutation(int64_t n, Rng& rng = default_rng());  // a random one
  explicit Permutation(Tensor numbers);                       // Throws Error unless each of 0 .. n - 1 is there once
  Tensor inverse(Tensor y) override;
  void fields(Fields& f) override { f.buffer("index", index); }

 protected:
  Transformed map(Tensor x) override;
};

// One after the other, from x to z, which is standard normal: Flow flow(ActNorm(2), AffineCoupling(net), ...). Its
// parts are named 0, 1, ...
struct Flow : Invertible {
  template <std::derived_from<Invertible>... M>
  explicit Flow(M... parts) {
    (push_back(std::move(parts)), ...);
  }
  template <std::derived_from<Invertible> M>
  void push_back(M part) {
    parts_.push_back(std::move(part));
  }
  size_t size() const { return parts_.size(); }
  Invertible& operator[](size_t i) { return static_cast<Invertible&>(parts_[i]); }

  Tensor inverse(Tensor y) override;
  Tensor log_prob(Tensor x);  // (...) for x (..., n), in nats
  // x = inverse(z) for random z of this shape (..., n). Nothing is recorded.
  Tensor sample(const Shape& shape, Dtype dtype = f32, Rng& rng = default_rng());
  void fields(Fields& f) override { parts_.fields(f); }

 protected:
  Transformed map(Tensor x) override;

 private:
  Sequential parts_;  // all invertible
};

}  // namespace fathom::nn
