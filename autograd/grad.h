// Derivatives as values, over any stretch of the recorded tape, without running the model again.
#pragma once
#include <array>
#include <concepts>
#include <span>

#include "fathom/autograd/backward.h"

namespace fathom {

struct GradOptions {
  bool create_graph = false;  // record what is done, so that the result can itself be differentiated
  bool allow_unused = false;  // an x that y does not depend on gives an undefined tensor instead of an Error
};

// J^T u for each x: the cotangents of xs when y's is u. u has y's shape; each result its x's.
// All four throw Error when y or an x is not on the tape, or (unless allow_unused) y does not depend on an x.
std::vector<Tensor> vjp(const Tensor& y, std::span<const Tensor> xs, const Tensor& u, GradOptions options = {});
// J v: the tangent of y when those of xs are vs, by forward mode. vs have the shapes of xs; the result has y's.
Tensor jvp(const Tensor& y, std::span<const Tensor> xs, std::span<const Tensor> vs, GradOptions options = {});
// The gradient of the scalar y.
std::vector<Tensor> grad(const Tensor& y, std::span<const Tensor> xs, GradOptions options = {});
// H v, with H the matrix of second derivatives of the scalar y: the jvp of the gradient.
std::vector<Tensor> hvp(const Tensor& y, std::span<const Tensor> xs, std::span<const Tensor> vs,
                        GradOptions options = {});

// The same for one x, and for a list: auto [gx, gw] = grad(y, {x, w}).
template <std::same_as<Tensor> X>
Tensor vjp(const Tensor& y, const X& x, const Tensor& u, GradOptions options = {}) {
  return vjp(y, std::span<const Tensor>(&x, 1), u, options)[0];
}
template <std::same_as<Tensor> X>
Tensor jvp(const Tensor& y, const X& x, const Tensor& v, GradOptions options = {}) {
  return jvp(y, std::span<const Tensor>(&x, 1), std::span<const Tensor>(&v, 1), options);
}
template <std::same_as<Tensor> X>
Tensor grad(const Tensor& y, const X& x, GradOptions options = {}) {
  return grad(y, std::span<const Tensor>(&x, 1), options)[0];
}
template <std::same_as<Tensor> X>
Tensor hvp(const Tensor& y, const X& x, const Tensor& v, GradOptions options = {}) {
  return hvp(y, std::span<const Tensor>(&x, 1), std::span<const Tensor>(&v, 1), options)[0];
}
template <size_t N>
std::array<Tensor, N> to_array(std::vector<Tensor> list) {
  std::array<Tensor, N> out;
  for (size_t i = 0; i < N; ++i) out[i] = std::move(list[i]);
  return out;
}
template <size_t N>
std::array<Tensor, N> vjp(const Tensor& y, const Tensor (&xs)[N], const Tensor& u, GradOptions options = {}) {
  return to_array<N>(vjp(y, std::span<const Tensor>(xs), u, options));
}
template <size_t N>
Tensor jvp(const Tensor& y, const Tensor (&xs)[N], const Tensor (&vs)[N], GradOptions options = {}) {
  return jvp(y, std::span<const Tensor>(xs), std::span<const Tensor>(vs), options);
}
template <size_t N>
std::array<Tensor, N> grad(const Tensor& y, const Tensor (&xs)[N], GradOptions options = {}) {
  return to_array<N>(grad(y, std::span<const Tensor>(xs), options));
}
template <size_t N>
std::array<Tensor, N> hvp(const Tensor& y, const Tensor (&xs)[N], const Tensor (&vs)[N], GradOptions options = {}) {
  return to_array<N>(hvp(y, std::span<const Tensor>(xs), std::span<const Tensor>(vs), options));
}

}  // namespace fathom
