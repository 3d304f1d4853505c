#include "fathom/autograd/ops/arithmetic.h"

#include "fathom/autograd/families.h"
#include "fathom/autograd/in_place.h"
#include "fathom/autograd/ops/number.h"

namespace fathom {
namespace {

// c as an element; beyond the range of integers, the end of it.
template <Number T>
T bound(double c) {
  if constexpr (std::same_as<T, int64_t>) return c >= 0x1p63 ? INT64_MAX : c <= -0x1p63 ? INT64_MIN : T(c);
  else return T(c);
}

constexpr auto pass = [](Tensor g) { return g; };

}  // namespace

Tensor operator+(Tensor a, Tensor b) {
  auto to_a = wrt(a, pass), to_b = wrt(b, pass);
  return record("add",
                kernel::map_numbers(
                    "add", [](auto x, auto y) { return x + y; }, std::move(a), std::move(b)),
                std::move(to_a), std::move(to_b));
}
Tensor operator-(Tensor a, Tensor b) {
  auto to_a = wrt(a, pass);
  auto to_b = wrt(b, [](Tensor g) { return -std::move(g); });
  return record("sub",
                kernel::map_numbers(
                    "sub", [](auto x, auto y) { return x - y; }, std::move(a), std::move(b)),
                std::move(to_a), std::move(to_b));
}
Tensor operator*(Tensor a, Tensor b) {
  return pointwise_number(
      "mul", std::move(a), std::move(b), [](auto x, auto y) { return x * y; }, [](Unused, auto y, Unused) { return y; },
      [](auto x, Unused, Unused) { return x; });
}
Tensor operator/(Tensor a, Tensor b) {
  return pointwise(
      "div", std::move(a), std::move(b), [](auto x, auto y) { return x / y; },
      [](Unused, auto b_, Unused) { return 1 / b_; }, [](Unused, auto b_, auto y) { return -(y / b_); });
}

Tensor operator+(Tensor x, double c) {
  check_number("add", c, x.dtype());
  auto rule = wrt(x, pass);
  return record("add",
                kernel::map_numbers(
                    "add", [r = Real{c}](auto e) { return e + r; }, std::move(x)),
                std::move(rule));
}
Tensor operator*(Tensor x, double c) {
  check_number("mul", c, x.dtype());
  return linear_op(
      "mul", std::move(x),
      [c](Tensor t) {
        return kernel::map_numbers(
            "mul", [r = Real{c}](auto e) { return r * e; }, std::move(t));
      },
      [c](Tensor g) { return std::move(g) * c; });
}
Tensor operator-(Tensor x, double c) { return std::move(x) + -c; }
Tensor operator/(Tensor x, double c) {
  if (!is_floating(x.dtype())) not_floating("div", x.dtype());
  return linear_op(
      "div", std::move(x),
      [c](Tensor t) {
        return kernel::map(
            "div", [r = Real{c}](auto e) { return e / decltype(e)(r.value); }, std::move(t));
      },
      [c](Tensor g) { return std::move(g) / c; });
}
Tensor operator+(double c, Tensor x) { return std::move(x) + c; }
Tensor operator-(double c, Tensor x) { return -std::move(x) + c; }
Tensor operator*(double c, Tensor x) { return std::move(x) * c; }
Tensor operator/(double c, Tensor x) { return c == 1 ? reciprocal(std::move(x)) : reciprocal(std::move(x)) * c; }
Tensor operator-(Tensor x) { return std::move(x) * -1.0; }
Tensor neg(Tensor x) { return -std::move(x); }

Tensor maximum(Tensor a, Tensor b) {
  const auto share = [](const auto& x, const auto& y) { return where(x == y, 0.5_r, step(x - y)); };
  return pointwise_number(
      "maximum", std::move(a), std::move(b), [](auto x, auto y) { return x != x            ? x
                                                                         : y > x || y != y ? y
                                                                                           : x; },
      [share](auto x, auto y, Unused) { return share(x, y); }, [share](auto x, auto y, Unused) { return share(y, x); });
}
Tensor minimum(Tensor a, Tensor b) { return -maximum(-std::move(a), -std::move(b)); }

namespace {
Tensor number_like(const char* op, double c, const Tensor& x) {
  check_number(op, c, x.dtype());
  return kernel::full({}, c, x.dtype());
}
}  // namespace
Tensor maximum(Tensor x, double c) { return maximum(x, number_like("maximum", c, x)); }
Tensor maximum(double c, Tensor x) { return maximum(std::move(x), c); }
Tensor minimum(Tensor x, double c) { return minimum(x, number_like("minimum", c, x)); }
Tensor minimum(double c, Tensor x) { return minimum(std::move(x), c); }
Tensor pow(double x, Tensor exponent) { return pow(number_like("pow", x, exponent), exponent); }

Tensor pow(Tensor x, double exponent) {
  if (exponent == 2) return square(std::move(x));
  if (exponent == 3)
    return pointwise(
        "pow", std::move(x), [](auto e) { return e * e * e; }, [](auto e, Unused) { return 3_r * (e * e); });
  if (exponent == 0)  // p x^(p - 1) would be 0 * inf at 0
    return pointwise(
        "pow", std::move(x), [](auto e) { return decltype(e)(1); },
        [](auto e, Unused) { return where(e == e, 0_r, e); });
  return pointwise(
      "pow", std::move(x), [p = Real{exponent}](auto e) { return pow(e, p); },
      [p = exponent](auto e, Unused) { return Real{p} * pow(e, Real{p - 1}); });
}
Tensor pow(Tensor x, Tensor exponent) {
  return pointwise(
      "pow", std::move(x), std::move(exponent), [](auto e, auto p) { return pow(e, p); },
      [](auto e, auto p, Unused) {
        const auto no_limit = e == 0 && p == 0;
        const auto q = where(no_limit, 1_r, p);
        return where(no_limit, 0_r, q * pow(e, q - 1_r));
      },
      [](auto e, auto p, auto y) { return y * log(where(e == 0 && p >= 0, 1_r, e)); });
}
Tensor square(Tensor x) {
  return pointwise_number(
      "square", std::move(x), [](auto e) { return e * e; }, [](auto e, Unused) { return e + e; });
}
Tensor reciprocal(Tensor x) {
  return pointwise(
      "reciprocal", std::move(x), [](auto e) { return 1 / e; }, [](Unused, auto y) { return -(y * y); });
}
Tensor clamp(Tensor x, double low, double high) {
  if (!(low <= high))
    throw Error("clamp: nothing lies between " + std::to_string(low) + " and " + std::to_string(high));
  for (double end : {low, high})
    if (std::isfinite(end)) check_number("clamp", end, x.dtype());
  const auto inside = [low, high](const auto& e) {
    return where(e < Real{low}, 0_r, where(e > Real{high}, 0_r, where(e == e, 1_r, e)));
  };
  return pointwise_number(
      "clamp", std::move(x),
      [low, high](auto e) {
        const auto least = bound<decltype(e)>(low), most = bound<decltype(e)>(high);
        const auto above = e < least ? least : e;
        return above > most ? most : above;
      },
      [inside](auto e, Unused) { return inside(e); });
}
template <Number T>
T sign(T x) {
  return x != x ? x : T((x > 0) - (x < 0));
}
Tensor sign(Tensor x) {
  return pointwise_number(
      "sign", std::move(x), [](auto e) { return sign(e); },
      [](auto e, Unused) { return sign(e) - sign(e); });  // zero, or NaN
}
Tensor abs(Tensor x) {
  return pointwise_number(
      "abs", std::move(x), [](auto e) { return e < 0 ? -e : e + 0; }, [](auto e, Unused) { return sign(e); });
}

// ---- in place ----

Tensor& Tensor::add_(const Tensor& y) {
  return change_in_place(
      "add_", *this, y, [](auto a, auto b) { return a + b; }, [](Tensor a, Tensor b) { return a + b; });
}
Tensor& Tensor::sub_(const Tensor& y) {
  return change_in_place(
      "sub_", *this, y, [](auto a, auto b) { return a - b; }, [](Tensor a, Tensor b) { return a - b; });
}
Tensor& Tensor::mul_(const Tensor& y) {
  return change_in_place(
      "mul_", *this, y, [](auto a, auto b) { return a * b; }, [](Tensor a, Tensor b) { return a * b; });
}
Tensor& Tensor::div_(const Tensor& y) {
  if (!is_floating(dtype())) not_floating("div_", dtype());
  return change_in_place(
      "div_", *this, y, [](auto a, auto b) { return a / b; }, [](Tensor a, Tensor b) { return a / b; });
}
Tensor& Tensor::add_(double c) {
  check_number("add_", c, dtype());
  return change_in_place(
      "add_", *this, [c](auto a) { return a + decltype(a)(c); }, [c](Tensor a) { return a + c; });
}
Tensor& Tensor::sub_(double c) { return add_(-c); }
Tensor& Tensor::mul_(double c) {
  check_number("mul_", c, dtype());
  return change_in_place(
      "mul_", *this, [c](auto a) { return a * decltype(a)(c); }, [c](Tensor a) { return a * c; });
}
Tensor& Tensor::div_(double c) {
  if (!is_floating(dtype())) not_floating("div_", dtype());
  return change_in_place(
      "div_", *this, [c](auto a) { return a / decltype(a)(c); }, [c](Tensor a) { return a / c; });
}
Tensor& Tensor::copy_(const Tensor& y) {
  check_in_place("copy_", *this, y.history());
  if (broadcast("copy_", shape(), y.shape()) != shape())
    throw Error("copy_: " + to_string(y.shape()) + " into " + to_string(shape()));
  if (dtype() == i64) check_fits_i64("copy_", y);
  kernel::copy(apart_from(*this, y), *this);
  storage().changed("copy_");
  if (recording() && (history() || y.history()))
    set_history(y.history() ? identity(fathom::expand(y.to(dtype()), shape())).history() : nullptr);
  return *this;
}
Tensor& Tensor::fill_(double value) {
  check_number("fill_", value, dtype());
  check_in_place("fill_", *this, nullptr);
  kernel::fill(*this, value);
  storage().changed("fill_");
  if (recording() && history()) set_history(nullptr);
  return *this;
}

Tensor& operator+=(Tensor& x, const Tensor& y) { return x.add_(y); }
Tensor& operator-=(Tensor& x, const Tensor& y) { return x.sub_(y); }
Tensor& operator*=(Tensor& x, const Tensor& y) { return x.mul_(y); }
Tensor& operator/=(Tensor& x, const Tensor& y) { return x.div_(y); }
Tensor& operator+=(Tensor& x, double c) { return x.add_(c); }
Tensor& operator-=(Tensor& x, double c) { return x.sub_(c); }
Tensor& operator*=(Tensor& x, double c) { return x.mul_(c); }
Tensor& operator/=(Tensor& x, double c) { return x.div_(c); }

Tensor Tensor::abs() const { return fathom::abs(*this); }
Tensor Tensor::square() const { return fathom::square(*this); }
Tensor Tensor::pow(double exponent) const { return fathom::pow(*this, exponent); }

}  // namespace fathom
