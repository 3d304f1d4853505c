// The families of ops. One formula yields both the reverse and the forward rule:
//   pointwise   give the value and the slope of each input;
//   linear_op   give the value and the transpose;
//   part_op     a view of a part of x: its transpose adds into that part;
//   bilinear_op give the value and two transposes.
//
// A formula is a generic lambda and is read twice: over numbers, inside a kernel's loop, and over tensors, as recorded
// ops, when the derivative will itself be differentiated. It has no branches: its words are positive, step, sigmoid and
// where, and 0.5_r is a number of the element's type. `Unused` names what a slope does not read, so that it is not
// kept.
//
//   Tensor tanh(Tensor x) {
//     return pointwise("tanh", x, [](auto x) { return tanh(x); }, [](Unused, auto y) { return 1 - y * y; });
//   }
#pragma once
#include <span>

#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/compare.h"
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/autograd/record.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom {

using std::abs, std::cos, std::erf, std::exp, std::expm1, std::log, std::log1p, std::pow, std::sin, std::sqrt;

// A number in a formula: it takes the type of what it meets, so that 0.5 does not turn a float loop into a double one.
struct Real {
  double value;
  constexpr Real operator-() const { return {-value}; }
};
constexpr Real operator""_r(long double value) { return {double(value)}; }
constexpr Real operator""_r(unsigned long long value) { return {double(value)}; }

template <class X>
concept Number = std::same_as<X, float> || std::same_as<X, double> || std::same_as<X, int64_t>;
template <Number X>
X operator+(Real c, X x) {
  return X(c.value) + x;
}
template <Number X>
X operator-(Real c, X x) {
  return X(c.value) - x;
}
template <Number X>
X operator*(Real c, X x) {
  return X(c.value) * x;
}
template <Number X>
X operator/(Real c, X x) {
  return X(c.value) / x;
}
template <Number X>
X operator+(X x, Real c) {
  return x + X(c.value);
}
template <Number X>
X operator-(X x, Real c) {
  return x - X(c.value);
}
template <Number X>
bool operator>(X x, Real c) {
  return x > X(c.value);
}
template <Number X>
bool operator<(X x, Real c) {
  return x < X(c.value);
}
// Of |x|, since libmvec's pow leaves negative numbers to the scalar one.
template <Number X>
X pow(X x, Real c) {
  const double half = c.value / 2;
  const bool whole = c.value == std::trunc(c.value), odd = whole && half != std::trunc(half);
  const X size = std::pow(std::abs(x), X(c.value)), below = whole ? size : std::numeric_limits<X>::quiet_NaN();
  if (odd) return std::copysign(size, x);
  return x < 0 && x >= std::numeric_limits<X>::lowest() ? below : size;
}
inline Tensor operator+(Real c, Tensor x) { return c.value + std::move(x); }
inline Tensor operator-(Real c, Tensor x) { return c.value - std::move(x); }
inline Tensor operator*(Real c, Tensor x) { return c.value * std::move(x); }
inline Tensor operator/(Real c, Tensor x) { return c.value / std::move(x); }
inline Tensor operator+(Tensor x, Real c) { return std::move(x) + c.value; }
inline Tensor operator-(Tensor x, Real c) { return std::move(x) - c.value; }
inline Tensor operator>(const Tensor& x, Real c) { return x > c.value; }
inline Tensor operator<(const Tensor& x, Real c) { return x < c.value; }
inline Tensor pow(Tensor x, Real c) { return pow(std::move(x), c.value); }

// The words over numbers; a NaN goes through the first three.
template <Number T>
T positive(T x) {
  return x < 0 ? T(0) : x;
}
template <Number T>
T step(T x) {
  return x != x ? x : T(x > 0);
}
template <Number T>
T sigmoid(T x) {
  return 1 / (1 + exp(-x));
}
template <Number T>
T where(bool c, T a, T b) {
  return c ? a : b;
}
template <Number T>
T where(bool c, T a, Real b) {
  return c ? a : T(b.value);
}
template <Number T>
T where(bool c, Real a, T b) {
  return c ? T(a.value) : b;
}
inline Tensor positive(Tensor x) { return relu(std::move(x)); }
inline Tensor where(const Tensor& c, const Tensor& a, Real b) { return where(c, a, b.value); }
inline Tensor where(const Tensor& c, Real a, const Tensor& b) { return where(c, a.value, b); }

struct Unused {};

// Which arguments a slope reads: bit i for the i-th, when that parameter is no `Unused`. Tried from high to low: with a
// number too many it does not take them, so no body is ever compiled for an `Unused`.
template <class Slope, unsigned Mask, size_t... I>
constexpr bool takes(std::index_sequence<I...>) {
  return std::is_invocable_v<const Slope&, std::conditional_t<(Mask >> I & 1) != 0, double, Unused>...>;
}
template <class Slope, size_t N, unsigned Mask = (1u << N) - 1>
constexpr unsigned reads() {
  if constexpr (takes<Slope, Mask>(std::make_index_sequence<N>())) return Mask;
  else return reads<Slope, N, Mask - 1>();
}

// g * slope(inputs..., output): recorded ops when the derivative will itself be differentiated, else one fused pass.
template <unsigned Mask, class Slope, class... Args, size_t... I>
auto times_slope(const Slope& slope, const auto& g, std::index_sequence<I...>, const std::tuple<Args...>& read) {
  const auto pick = [&]<size_t J>(std::integral_constant<size_t, J>) {
    if constexpr (Mask >> J & 1) return std::get<size_t(__builtin_popcount(Mask & ((1u << J) - 1)))>(read);
    else return Unused{};
  };
  return g * slope(pick(std::integral_constant<size_t, I>())...);
}
template <unsigned Mask, size_t N, class Slope>
Tensor slope_rule(const char* name, const Slope& slope, Tensor g, const std::array<const Tensor*, N>& kept) {
  constexpr auto positions = std::make_index_sequence<N>();
  const auto formula = [&](const auto& to, const auto&... read) {
    return times_slope<Mask>(slope, to, positions, std::tuple(read...));
  };
  return [&]<size_t... R>(std::index_sequence<R...>) {
    constexpr auto nth = [](size_t r) {
      for (size_t i = 0;; ++i)
        if ((Mask >> i & 1) && r-- == 0) return i;
    };
    if (recording()) return formula(g, *kept[nth(R)]...);
    return kernel::map(name, formula, std::move(g), *kept[nth(R)]...);
  }
  (std::make_index_sequence<size_t(__builtin_popcount(Mask))>());
}

// y = f(x...) on each element of tensors that broadcast. slopes: one for each input, of the arguments (x..., y).
// Only what the slopes of wanted inputs read is kept; an input that none reads gives its buffer to y.
template <bool Numbers, class F, class... Slopes, class... In>
Tensor pointwise_of(const char* name, F f, std::tuple<Slopes...> slopes, In... in) {
  constexpr size_t N = sizeof...(In);
  static constexpr unsigned masks[] = {reads<Slopes, N + 1>()...};
  static constexpr unsigned all = (reads<Slopes, N + 1>() | ...);
  return [&]<size_t... I>(std::index_sequence<I...>) {
    unsigned needed = 0;
    const bool recorded = recording() && (in.history() || ...);
    if (recorded) ((in.history() ? void(needed |= masks[I]) : void()), ...);
    auto rules = std::tuple(wrt(in, [name, slope = std::get<I>(slopes)](Tensor g, const auto&... kept) {
      return slope_rule<masks[I]>(name, slope, std::move(g), std::array<const Tensor*, sizeof...(kept)>{&kept...});
    })...);
    const auto pass = []<size_t J>(std::integral_constant<size_t, J>, Tensor& x) -> Tensor {
      if constexpr (all >> J & 1) return x;
      else return std::move(x);
    };
    Tensor y = [&] {
      if constexpr (Numbers) return kernel::map_numbers(name, f, pass(std::integral_constant<size_t, I>(), in)...);
      else return kernel::map(name, f, pass(std::integral_constant<size_t, I>(), in)...);
    }();
    if (!recorded) return y;
    const Tensor none;
    const Keep<N + 1> kept{{(needed >> I & 1 ? &in : &none)..., needed >> N & 1 ? nullptr : &none}};
    y = record(name, std::move(y), kept, std::move(std::get<I>(rules))...);
    static_cast<Node*>(y.history())->elementwise = true;
    return y;
  }
  (std::index_sequence_for<In...>());
}
template <class F, class Slope>
Tensor pointwise(const char* name, Tensor x, F f, Slope slope) {
  return pointwise_of<false>(name, f, std::tuple(slope), std::move(x));
}
template <class F, class SlopeA, class SlopeB>
Tensor pointwise(const char* name, Tensor a, Tensor b, F f, SlopeA slope_a, SlopeB slope_b) {
  return pointwise_of<false>(name, f, std::tuple(slope_a, slope_b), std::move(a), std::move(b));
}
// The same for ops that are defined on integers too.
template <class F, class Slope>
Tensor pointwise_number(const char* name, Tensor x, F f, Slope slope) {
  return pointwise_of<true>(name, f, std::tuple(slope), std::move(x));
}
template <class F, class SlopeA, class SlopeB>
Tensor pointwise_number(const char* name, Tensor a, Tensor b, F f, SlopeA slope_a, SlopeB slope_b) {
  return pointwise_of<true>(name, f, std::tuple(slope_a, slope_b), std::move(a), std::move(b));
}

// y = value(x), linear in x: a tangent goes through the op itself, a cotangent through its transpose.
template <class Value, class Transposed>
Tensor linear_op(const char* name, Tensor x, Value value, Transposed transposed) {
  auto rule = wrt(x, transposed, [=](Tensor t) { return linear_op(name, std::move(t), value, transposed); });
  return record(name, value(std::move(x)), std::move(rule));
}

// y = value(a, b), linear in a and in b apart, as products are: left(g, b) is a's cotangent, right(a, g) b's.
template <class Value, class Left, class Right>
Tensor bilinear_op(const char* name, const Tensor& a, const Tensor& b, Value value, Left left, Right right) {
  if (!recording()) return value(a, b);
  return record(
      name, value(a, b), keep(kept_for(b, a), kept_for(a, b)),
      wrt(
          a, [=](const Tensor& g, const Tensor&, const Tensor& y) { return left(g, y); },
          [=](const Tensor& t, const Tensor&, const Tensor& y) { return bilinear_op(name, t, y, value, left, right); }),
      wrt(
          b, [=](const Tensor& g, const Tensor& x, const Tensor&) { return right(x, g); },
          [=](const Tensor& t, const Tensor& x, const Tensor&) {
            return bilinear_op(name, x, t, value, left, right);
          }));
}

// y = view(x), a view of a part of x without history. Its transpose adds into that part of what flows into x: parts of
// one tensor cost in proportion to what they are, not to the whole.
template <class View>
Tensor part_op(const char* name, const Tensor& x, View view);

// x with g added to the part that view shows; x's buffer is used when nobody else holds it.
template <class View>
Tensor add_to_part(Tensor x, const Tensor& g, View view) {
  auto to_x = wrt(x, [](Tensor t) { return t; });
  auto to_g = wrt(
      g, [view](const Tensor& t) { return part_op("part", t, view); },
      AddingTo{[view, shape = x.shape(), dtype = x.dtype()](Tensor sum, const Tensor& t) {
        return add_to_part(sum.defined() ? std::move(sum) : kernel::full(shape, 0, dtype), t, view);
      }});
  Tensor y = x.owned() ? x.alias() : Tensor();
  if (!y.defined()) y = kernel::clone(x);
  visit_floating("add_to_part", y.dtype(), [&]<class T>(T) {
    const Tensor part = view(y);
    kernel::map_into<T, T, T>([](T a, T b) { return a + b; }, part, part, g);
  });
  return record("add_to_part", std::move(y), std::move(to_x), std::move(to_g));
}

template <class View>
struct PartNode final : Node {
  Ref<History> ref;
  View view;
  PartNode(const char* op, const Tensor& y, const Tensor& x, View v)
      : Node(op, y.shape(), y.dtype()), ref(x.history()), view(std::move(v)) {
    take_inputs(std::span(&ref, 1));
  }
  void vjp(Tensor g, Wanted wanted, Cotangents& into) override {
    check_not_consumed();
    if (!wanted[0]) return;
    into.update(*input(0), [&](Tensor at) {
      if (!at.defined()) at = kernel::full(input(0)->shape, 0, dtype);
      return add_to_part(std::move(at), g, view);
    });
  }
  Tensor jvp(Wanted wanted) override {
    check_not_consumed();
    const Tensor t = wanted.tangent(0);
    return t.defined() ? part_op(name, t, view) : Tensor();
  }

 private:
  void give_back() override { ref = Ref<History>(); }
};
template <class View>
Tensor part_op(const char* name, const Tensor& x, View view) {
  Tensor y = view(x);
  if (recording() && x.history()) y.set_history(new PartNode<View>(name, y, x, std::move(view)));
  return y;
}

}  // namespace fathom
