// Modules made of modules.
#pragma once
#include "fathom/nn/module.h"

namespace fathom::nn {

// One after the other: Sequential net(Linear(2, 32), Tanh(), Linear(32, 1)). Its modules are named 0, 1, ...
struct Sequential : Module {
  template <std::derived_from<Module>... M>
  explicit Sequential(M... modules) {
    (push_back(std::move(modules)), ...);
  }
  template <std::derived_from<Module> M>
  void push_back(M module) {
    add(Owned<Module>(new M(std::move(module))));
  }
  size_t size() const { return list_.size(); }
  Module& operator[](size_t i) { return *list_[i]; }

  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;
  int64_t batch_axis() const override;  // the first of its modules' that is not 0

 private:
  void add(Owned<Module> module);

  std::vector<Owned<Module>> list_;
};

struct ResidualOptions {
  double scale = 1;
};
// x + scale * f(x) (He et al. 2016). Throws Error when f changes the shape.
struct Residual : Module {
  double scale;

  template <std::derived_from<Module> M>
  explicit Residual(M f, ResidualOptions options = {}) : scale(options.scale), f_(new M(std::move(f))) {}
  Module& f() { return *f_; }

  Tensor forward(Tensor x) override;
  void fields(Fields& f) override;
  int64_t batch_axis() const override { return f_->batch_axis(); }

 private:
  Owned<Module> f_;
};

}  // namespace fathom::nn
