// Largest and smallest numbers, and where they are.
#include "fathom/autograd/families.h"

#include <algorithm>  // copy_n
#include "fathom/autograd/ops/axes.h"
#include "fathom/autograd/ops/reduce.h"

namespace fathom {
namespace {

// Of two, the one that stays; a NaN stays.
struct Larger {
  template <class T>
  T operator()(T a, T b) const {
    return b > a || b != b ? b : a;
  }
};
struct Smaller {
  template <class T>
  T operator()(T a, T b) const {
    return b < a || b != b ? b : a;
  }
};

// y (columns) = the rows of x, folded. Requires: there is a row.
template <class T, class F>
void fold_columns(const T* x, int64_t count, int64_t columns, T* y, F f) {
  std::copy_n(x, columns, y);
  for (int64_t r = 1; r < count; ++r) {
    const T* row = x + r * columns;
    for (int64_t j = 0; j < columns; ++j) y[j] = f(y[j], row[j]);
  }
}
template <class T, class F>
T fold_row(const T* x, int64_t n, F f) {
  constexpr int64_t lanes = 32;
  T best[lanes] = {x[0]};
  const int64_t whole = n / lanes * lanes;
  if (whole) fold_columns(x, whole / lanes, lanes, best, f);
  for (int64_t i = 1; whole && i < lanes; ++i) best[0] = f(best[0], best[i]);
  for (int64_t i = whole; i < n; ++i) best[0] = f(best[0], x[i]);
  return best[0];
}

template <class F>
Tensor extreme_value(const char* op, const Tensor& x, unsigned bits, bool keepdim, F f) {
  Tensor y(reduced_shape(x.shape(), bits, keepdim), x.dtype());
  visit_number(op, x.dtype(), [&]<class T>(T) {
    const Blocks b = blocks(x, bits);
    const T* from = b.x.template data<T>();
    T* to = y.data<T>();
    const int64_t each = std::max<int64_t>(1, b.reduced * b.inner);
    parallel(b.outer, std::max<int64_t>(1, kernel::parallel_grain / each), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o)
        if (b.inner == 1) to[o] = fold_row(from + o * each, b.reduced, f);
        else fold_columns(from + o * each, b.reduced, b.inner, to + o * b.inner, f);
    });
  });
  return y;
}

template <class F>
Tensor extreme(const char* op, const Tensor& x, const Axes& axes, bool keepdim, F f) {
  const unsigned bits = axis_bits(op, axes, x.shape().rank);
  check_not_empty(op, x.shape(), bits);
  // The weight of each number in the result: those equal to it share 1. Locally constant.
  const auto weights = [bits, keepdim](const Tensor& of, const Tensor& y) {
    const NoGrad off;
    const Tensor w = (of == spread(y, of.shape(), bits, keepdim)).to(of.dtype());
    return w / spread(sum_value(w, bits, keepdim), of.shape(), bits, keepdim);
  };
  return record(
      op, extreme_value(op, x, bits, keepdim, f), keep(x, output),
      wrt(
          x,
          [=](const Tensor& g, const Tensor& of, const Tensor& y) {
            return spread(g, of.shape(), bits, keepdim) * weights(of, y);
          },
          [=](const Tensor& t, const Tensor& of, const Tensor& y) { return sum(t * weights(of, y), axes, keepdim); }));
}

// f(a, b): b is better than a, which came first.
template <class F>
Tensor place(const char* op, const Tensor& x, int64_t d, bool keepdim, F f) {
  const unsigned bits = 1u << axis(op, d, x.shape().rank);
  check_not_empty(op, x.shape(), bits);
  Tensor y(reduced_shape(x.shape(), bits, keepdim), i64);
  int64_t* to = y.data<int64_t>();
  visit(x.dtype(), [&]<class T>(T) {
    const Blocks b = blocks(x, bits);
    for (int64_t o = 0; o < b.outer; ++o)
      for (int64_t j = 0; j < b.inner; ++j) {
        const T* from = b.x.template data<T>() + o * b.reduced * b.inner + j;
        int64_t best = 0;
        T value = *from;
        for (int64_t i = 1; i < b.reduced && value == value; ++i) {
          const T next = from[i * b.inner];
          if (f(value, next) || next != next) best = i, value = next;
        }
        *to++ = best;
      }
  });
  return y;
}

}  // namespace

Tensor amax(const Tensor& x, const Axes& axes, bool keepdim) { return extreme("amax", x, axes, keepdim, Larger()); }
Tensor amin(const Tensor& x, const Axes& axes, bool keepdim) { return extreme("amin", x, axes, keepdim, Smaller()); }
Tensor argmax(const Tensor& x, int64_t d, bool keepdim) {
  return place("argmax", x, d, keepdim, [](auto a, auto b) { return b > a; });
}
Tensor argmin(const Tensor& x, int64_t d, bool keepdim) {
  return place("argmin", x, d, keepdim, [](auto a, auto b) { return b < a; });
}

Tensor Tensor::amax(const Axes& axes, bool keepdim) const { return fathom::amax(*this, axes, keepdim); }
Tensor Tensor::amin(const Axes& axes, bool keepdim) const { return fathom::amin(*this, axes, keepdim); }
Tensor Tensor::argmax(int64_t d, bool keepdim) const { return fathom::argmax(*this, d, keepdim); }

}  // namespace fathom
