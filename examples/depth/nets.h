// The networks: a first layer to the width, `depth` blocks of one linear map each, a last layer to the classes.
#pragma once
#include <fathom/fathom.h>

#include <cmath>
#include <memory>
#include <optional>

namespace depth {

using fathom::Tensor;
namespace nn = fathom::nn;

// y = tanh(W x + b): a factor in the product that the gradient goes through.
struct Plain : nn::Module {
  nn::Linear linear;
  explicit Plain(int64_t width) : linear(width, width) {}
  Tensor forward(Tensor x) override { return tanh(linear(std::move(x))); }
  void fields(nn::Fields& f) override { f("linear", linear); }
};

// The same; at the start W keeps every length.
struct Orthogonal : Plain {
  explicit Orthogonal(int64_t width) : Plain(width) {
    nn::init::orthogonal(linear.weight);
    nn::init::zeros(linear.bias);
  }
};

// y = x + scale tanh(W x + b): close to the identity, so its Jacobian is too.
struct Residual : Plain {
  double scale;
  Residual(int64_t width, double s) : Plain(width), scale(s) {}
  Tensor forward(Tensor x) override { return x + scale * tanh(linear(x)); }
};

// y = x + scale tanh(W norm(x) + b): what enters a branch has length one per unit at any depth.
struct PreNorm : nn::Module {
  nn::LayerNorm norm;
  nn::Linear linear;
  double scale;
  PreNorm(int64_t width, double s) : norm(width), linear(width, width), scale(s) {}
  Tensor forward(Tensor x) override { return x + scale * tanh(linear(norm(x))); }
  void fields(nn::Fields& f) override {
    f("norm", norm);
    f("linear", linear);
  }
};

struct Net : nn::Module {
  nn::Linear in;
  nn::Sequential blocks;
  std::optional<nn::LayerNorm> norm;
  nn::Linear out;

  Net(const std::string& kind, int64_t depth, int64_t inputs, int64_t width, int64_t classes)
      : in(inputs, width), out(width, classes) {
    const double scale = 1 / std::sqrt(double(depth));
    for (int64_t i = 0; i < depth; ++i) {
      if (kind == "plain") blocks.push_back(Plain(width));
      if (kind == "orthogonal") blocks.push_back(Orthogonal(width));
      if (kind == "residual") blocks.push_back(Residual(width, scale));
      if (kind == "prenorm") blocks.push_back(PreNorm(width, scale));
    }
    if (kind == "prenorm") norm.emplace(width);
  }
  Tensor forward(Tensor x) override {
    x = blocks(in(std::move(x)));
    return out(norm ? (*norm)(std::move(x)) : x);
  }
  void fields(nn::Fields& f) override {
    f("in", in);
    f("blocks", blocks);
    if (norm) f("norm", *norm);
    f("out", out);
  }
};

}  // namespace depth
