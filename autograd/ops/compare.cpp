#include "fathom/autograd/ops/compare.h"

#include <bit>  // bit_cast
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "fathom/autograd/ops/number.h"
#include "fathom/autograd/record.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom {
namespace {

// c ? a : b in bits, which makes vectors where a choice makes jumps.
template <class T>
T chosen(bool c, T a, T b) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint8_t>>;
  const Bits mask = Bits(-Bits(c));
  return std::bit_cast<T>(Bits((std::bit_cast<Bits>(a) & mask) | (std::bit_cast<Bits>(b) & ~mask)));
}

template <class F>
Tensor compare(const char* op, const Tensor& a, const Tensor& b, F f) {
  kernel::check_dtypes(op, a, b);
  const Tensor y(broadcast(op, a.shape(), b.shape()), boolean);
  visit(a.dtype(), [&]<class T>(T) { kernel::map_into<bool, T, T>(f, y, a, b); });
  return y;
}
template <class F>
Tensor compare(const char* op, const Tensor& x, double c, F f) {
  check_number(op, c, x.dtype());
  const Tensor y(x.shape(), boolean);
  visit(x.dtype(), [&]<class T>(T) { kernel::map_into<bool, T>([f, r = T(c)](T e) { return f(e, r); }, y, x); });
  return y;
}
template <class F>
Tensor test_each(const Tensor& x, F f) {
  const Tensor y(x.shape(), boolean);
  visit(x.dtype(), [&]<class T>(T) { kernel::map_into<bool, T>(f, y, x); });
  return y;
}

void check_boolean(const char* op, const Tensor& x) {
  if (x.dtype() != boolean)
    throw Error(std::string(op) + ": needs a boolean tensor, got " + to_string(x.dtype()) + "; compare it with 0");
}

// Whether, along the axes, some element is `sought`; if not, the result is !sought.
Tensor seek(const char* op, const Tensor& x, const Axes& axes, bool keepdim, bool sought) {
  const unsigned bits = axis_bits(op, axes, x.shape().rank);
  Shape kept = x.shape(), shape;
  for (int d = 0; d < kept.rank; ++d) {
    if (bits >> d & 1) kept[d] = 1;
    if (!(bits >> d & 1) || keepdim) shape.push_back(kept[d]);
  }
  const Tensor y = kernel::full(shape, !sought, boolean);
  bool* to = y.data<bool>();
  visit(x.dtype(), [&]<class T>(T) {
    const T* from = x.data<T>();
    const int rank = x.shape().rank;
    const Shape strides[2] = {x.strides(), broadcast_strides(kept, row_major(kept), x.shape())};
    const int64_t columns = rank ? x.shape().back() : 1;
    const int64_t step = rank ? strides[0].back() : 0, step_to = rank ? strides[1].back() : 0;
    kernel::each_row(x.shape(), strides, [&](const int64_t* at) {
      for (int64_t j = 0; j < columns; ++j)
        if ((from[at[0] + j * step] != T(0)) == sought) to[at[1] + j * step_to] = sought;
    });
  });
  return y;
}

}  // namespace

Tensor operator==(const Tensor& a, const Tensor& b) {
  return compare("==", a, b, [](auto x, auto y) { return x == y; });
}
Tensor operator!=(const Tensor& a, const Tensor& b) {
  return compare("!=", a, b, [](auto x, auto y) { return x != y; });
}
Tensor operator<(const Tensor& a, const Tensor& b) {
  return compare("<", a, b, [](auto x, auto y) { return x < y; });
}
Tensor operator<=(const Tensor& a, const Tensor& b) {
  return compare("<=", a, b, [](auto x, auto y) { return x <= y; });
}
Tensor operator>(const Tensor& a, const Tensor& b) {
  return compare(">", a, b, [](auto x, auto y) { return x > y; });
}
Tensor operator>=(const Tensor& a, const Tensor& b) {
  return compare(">=", a, b, [](auto x, auto y) { return x >= y; });
}
Tensor operator==(const Tensor& x, double c) {
  return compare("==", x, c, [](auto e, auto r) { return e == r; });
}
Tensor operator!=(const Tensor& x, double c) {
  return compare("!=", x, c, [](auto e, auto r) { return e != r; });
}
Tensor operator<(const Tensor& x, double c) {
  return compare("<", x, c, [](auto e, auto r) { return e < r; });
}
Tensor operator<=(const Tensor& x, double c) {
  return compare("<=", x, c, [](auto e, auto r) { return e <= r; });
}
Tensor operator>(const Tensor& x, double c) {
  return compare(">", x, c, [](auto e, auto r) { return e > r; });
}
Tensor operator>=(const Tensor& x, double c) {
  return compare(">=", x, c, [](auto e, auto r) { return e >= r; });
}

Tensor operator!(const Tensor& x) {
  check_boolean("!", x);
  return test_each(x, [](auto e) { return !e; });
}
Tensor operator&&(const Tensor& a, const Tensor& b) {
  check_boolean("&&", a), check_boolean("&&", b);
  return compare("&&", a, b, [](auto x, auto y) { return x && y; });
}
Tensor operator||(const Tensor& a, const Tensor& b) {
  check_boolean("||", a), check_boolean("||", b);
  return compare("||", a, b, [](auto x, auto y) { return x || y; });
}

Tensor any(const Tensor& x, const Axes& axes, bool keepdim) { return seek("any", x, axes, keepdim, true); }
Tensor all(const Tensor& x, const Axes& axes, bool keepdim) { return seek("all", x, axes, keepdim, false); }
Tensor isnan(const Tensor& x) {
  return test_each(x, [](auto e) { return e != e; });
}
Tensor isfinite(const Tensor& x) {
  return test_each(x, []<class T>(T e) {
    if constexpr (std::floating_point<T>) return std::isfinite(e);
    else return true;
  });
}

bool allclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  const Tensor close = compare("allclose", a, b, [=](auto x, auto y) {
    const double p = double(x), q = double(y);
    const bool near = std::isfinite(q) && std::abs(p - q) <= atol + rtol * std::abs(q);
    return x == y || near || (equal_nan && p != p && q != q);
  });
  return all(close).data<bool>()[0];
}

Tensor where(const Tensor& c, const Tensor& a, const Tensor& b) {
  check_boolean("where", c);
  kernel::check_dtypes("where", a, b);
  const Tensor y(broadcast("where", c.shape(), broadcast("where", a.shape(), b.shape())), a.dtype());
  visit(a.dtype(), [&]<class T>(T) {
    kernel::map_into<T, bool, T, T>([](bool k, T p, T q) { return chosen(k, p, q); }, y, c, a, b);
  });
  return record("where", y, keep(c), wrt(a, [](const Tensor& g, const Tensor& k) { return where(k, g, 0); }),
                wrt(b, [](const Tensor& g, const Tensor& k) { return where(k, 0, g); }));
}
Tensor where(const Tensor& c, const Tensor& a, double b) {
  check_boolean("where", c);
  check_number("where", b, a.dtype());
  const Tensor y(broadcast("where", c.shape(), a.shape()), a.dtype());
  visit(a.dtype(), [&]<class T>(T) {
    kernel::map_into<T, bool, T>([r = T(b)](bool k, T p) { return chosen(k, p, r); }, y, c, a);
  });
  return record("where", y, keep(c), wrt(a, [](const Tensor& g, const Tensor& k) { return where(k, g, 0); }));
}
Tensor where(const Tensor& c, double a, const Tensor& b) { return where(!c, b, a); }
Tensor where(const Tensor& c, double a, double b, Dtype dtype) {
  check_number("where", a, dtype);
  return where(c, kernel::full({}, a, dtype), b);
}

}  // namespace fathom
