#include "fathom/autograd/ops/pointwise.h"

#include <numbers>

#include "fathom/autograd/families.h"

namespace fathom {
namespace {

constexpr Real inv_sqrt_2{1 / std::numbers::sqrt2};
constexpr Real inv_sqrt_2pi{std::numbers::inv_sqrtpi / std::numbers::sqrt2};
constexpr Real sqrt_2_over_pi{std::numbers::inv_sqrtpi * std::numbers::sqrt2};

// The standard normal distribution and its density.
constexpr auto Phi = [](const auto& x) { return 0.5_r * (1 + erf(inv_sqrt_2 * x)); };
constexpr auto phi = [](const auto& x) { return inv_sqrt_2pi * exp(-0.5_r * (x * x)); };

// x w with a weight w >= 0 that vanishes faster than x grows: 0 at infinity.
constexpr auto weighted = [](const auto& x, const auto& w) { return where(w > 0_r, x, 0_r) * w; };

// What the slopes of erf and gelu read x as: recorded, it ends where they are constant in any dtype, as what is derived
// further would be NaN at infinity.
template <Number T>
T near(T x) {
  return x;
}
Tensor near(const Tensor& x) { return clamp(x, -40, 40); }

Tensor gelu_erf(Tensor x) {
  return pointwise(
      "gelu", std::move(x), [](auto e) { return weighted(e, Phi(e)); },
      [](auto e, Unused) {
        const auto at = near(e);
        return Phi(at) + weighted(at, phi(at));
      });
}
// Hendrycks & Gimpel's 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
Tensor gelu_tanh(Tensor x) {
  constexpr auto inner = [](const auto& e) { return tanh(sqrt_2_over_pi * (e * (1 + 0.044715_r * (e * e)))); };
  return pointwise(
      "gelu", std::move(x), [inner](auto e) { return 0.5_r * weighted(e, 1 + inner(e)); },
      [inner](auto e, Unused) {
        const auto at = near(e), t = inner(at);
        const auto inner_slope = sqrt_2_over_pi * (1 + 0.134145_r * (at * at));
        return 0.5_r * (1 + t + weighted(at * inner_slope, 1 - t * t));
      });
}

}  // namespace

Tensor exp(Tensor x) {
  return pointwise(
      "exp", std::move(x), [](auto e) { return exp(e); }, [](Unused, auto y) { return y; });
}
Tensor expm1(Tensor x) {
  return pointwise(
      "expm1", std::move(x), [](auto e) { return expm1(e); }, [](Unused, auto y) { return y + 1_r; });
}
Tensor log(Tensor x) {
  return pointwise(
      "log", std::move(x), [](auto e) { return log(e); }, [](auto e, Unused) { return 1 / e; });
}
Tensor log1p(Tensor x) {
  return pointwise(
      "log1p", std::move(x), [](auto e) { return log1p(e); }, [](auto e, Unused) { return 1 / (1 + e); });
}
Tensor sqrt(Tensor x) {
  return pointwise(
      "sqrt", std::move(x), [](auto e) { return sqrt(e); }, [](Unused, auto y) { return 0.5_r / y; });
}
Tensor rsqrt(Tensor x) {
  return pointwise(
      "rsqrt", std::move(x), [](auto e) { return 1 / sqrt(e); }, [](Unused, auto y) { return -0.5_r * (y * y * y); });
}
Tensor sin(Tensor x) {
  return pointwise(
      "sin", std::move(x), [](auto e) { return sin(e); }, [](auto e, Unused) { return cos(e); });
}
Tensor cos(Tensor x) {
  return pointwise(
      "cos", std::move(x), [](auto e) { return cos(e); }, [](auto e, Unused) { return -sin(e); });
}
Tensor tanh(Tensor x) {
  return pointwise(
      "tanh", std::move(x), [](auto e) { return tanh(e); }, [](Unused, auto y) { return 1 - y * y; });
}
Tensor erf(Tensor x) {
  return pointwise(
      "erf", std::move(x), [](auto e) { return erf(e); },
      [](auto e, Unused) {
        const auto at = near(e);
        return Real{2 * std::numbers::inv_sqrtpi} * exp(-(at * at));
      });
}
Tensor sigmoid(Tensor x) {
  return pointwise(
      "sigmoid", std::move(x), [](auto e) { return sigmoid(e); }, [](Unused, auto y) { return y * (1 - y); });
}
Tensor log_sigmoid(Tensor x) {
  return pointwise(
      "log_sigmoid", std::move(x), [](auto e) { return -(positive(-e) + log1p(exp(-abs(e)))); },
      [](auto e, Unused) { return sigmoid(-e); });
}
Tensor softplus(Tensor x) {
  return pointwise(
      "softplus", std::move(x), [](auto e) { return positive(e) + log1p(exp(-abs(e))); },
      [](auto e, Unused) { return sigmoid(e); });
}
Tensor relu(Tensor x) {
  return pointwise(
      "relu", std::move(x), [](auto e) { return positive(e); }, [](Unused, auto y) { return step(y); });
}
Tensor step(const Tensor& x) {
  return kernel::map(
      "step", [](auto e) { return step(e); }, x);
}
Tensor leaky_relu(Tensor x, double negative_slope) {
  return pointwise(
      "leaky_relu", std::move(x), [s = Real{negative_slope}](auto e) { return e > 0 ? e : s * e; },
      [s = Real{negative_slope}](auto e, Unused) { return where(e > 0_r, step(e), s); });
}
Tensor elu(Tensor x, double alpha) {
  return pointwise(
      "elu", std::move(x), [a = Real{alpha}](auto e) { return positive(e) + a * expm1(e > 0 ? 0 : e); },
      [a = Real{alpha}](auto e, Unused) { return where(e > 0_r, step(e), a * exp(where(e > 0_r, 0_r, e))); });
}
Tensor gelu(Tensor x, Gelu form) { return form == Gelu::erf ? gelu_erf(std::move(x)) : gelu_tanh(std::move(x)); }
Tensor silu(Tensor x) {
  return pointwise(
      "silu", std::move(x), [](auto e) { return weighted(e, sigmoid(e)); },
      [](auto e, Unused) {
        const auto s = sigmoid(e);
        return s + weighted(e, s * (1 - s));
      });
}

Tensor Tensor::exp() const { return fathom::exp(*this); }
Tensor Tensor::log() const { return fathom::log(*this); }
Tensor Tensor::sqrt() const { return fathom::sqrt(*this); }
Tensor Tensor::tanh() const { return fathom::tanh(*this); }
Tensor Tensor::relu() const { return fathom::relu(*this); }
Tensor Tensor::sigmoid() const { return fathom::sigmoid(*this); }

}  // namespace fathom
