// A formula over the elements of tensors: one fused pass, vectorised by the compiler.
#pragma once
#include <algorithm>  // fill_n, min
#include <cstddef>
#include <tuple>

#include "fathom/tensor/kernels/walk.h"
#include "fathom/tensor/parallel.h"
#include "fathom/tensor/tensor.h"
#include "fathom/tensor/vector_math.h"

namespace fathom::kernel {

// Elements below which a pass is not worth sharing with another thread.
inline constexpr int64_t parallel_grain = 16384;

template <class Out, class F, class... In>
void map_row(F f, int64_t n, Out* out, const In*... in) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Out>(f(in[i]...));
}

// The n numbers that lie a step apart: in `dense`, where they are not already.
template <class T>
const T* gathered(const T* x, int64_t step, int64_t n, T* dense) {
  if (step == 1) return x;
  if (step == 0) std::fill_n(dense, n, *x);
  else
    for (int64_t i = 0; i < n; ++i) dense[i] = x[i * step];
  return dense;
}

// Whether it pays to bring x into rows first, which copy() does in squares: its numbers lie side by side along another
// axis than the last, at least 8 along each.
bool is_transposed(const Tensor& x);
Tensor rows_of(const Tensor& x);  // itself, where it is not

// out[i] = f(in[i]...), every input broadcast to out, which may be strided and may be one of the inputs itself.
// Requires: the element types are as said; inputs broadcast to out's shape.
template <class Out, class... In, class F, class... Tensors>
void map_into(F f, const Tensor& out, const Tensors&... in) {
  static_assert(sizeof...(In) == sizeof...(Tensors));
  constexpr size_t N = sizeof...(In) + 1;
  const Shape& shape = out.shape();
  if (out.is_contiguous() && ((in.is_contiguous() && in.shape() == shape) && ...)) {
    const int64_t n = shape.numel();
    Out* to = out.template data<Out>();
    const auto from = std::tuple<const In*...>(in.template data<In>()...);
    return parallel(n, parallel_grain, [&](int64_t begin, int64_t end) {
      std::apply([&](auto*... p) { map_row(f, end - begin, to + begin, p + begin...); }, from);
    });
  }
  if ((is_transposed(in) || ...)) return map_into<Out, In...>(f, out, rows_of(in)...);
  Shape walked = shape, strides[N] = {out.strides(), broadcast_strides(in.shape(), in.strides(), shape)...};
  join_axes(walked, strides);
  const int last = walked.rank - 1;
  const int64_t columns = walked.rank ? walked[last] : 1;
  int64_t step[N];
  bool plain = true;
  for (size_t i = 0; i < N; ++i) {
    step[i] = walked.rank ? strides[i][last] : 1;
    plain &= step[i] == 1;
  }
  constexpr int64_t piece = 512, short_row = 16;
  Out* to = out.template data<Out>();
  [&]<size_t... I>(std::index_sequence<I...>) {
    const auto from = std::tuple<const In*...>(in.template data<In>()...);
    if (plain)
      return each_row(walked, strides,
                      [&](const int64_t* at) { map_row(f, columns, to + at[0], std::get<I>(from) + at[I + 1]...); });
    if (columns < short_row)
      return each_row(walked, strides, [&](const int64_t* at) {
        Out* row = to + at[0];
        for (int64_t j = 0; j < columns; ++j)
          row[j * step[0]] = static_cast<Out>(f(std::get<I>(from)[at[I + 1] + j * step[I + 1]]...));
      });
    alignas(64) std::byte dense[N][piece * sizeof(double)];
    each_row(walked, strides, [&](const int64_t* at) {
      for (int64_t j = 0; j < columns; j += piece) {
        const int64_t n = std::min(columns - j, piece);
        Out *row = to + at[0] + j * step[0], *y = step[0] == 1 ? row : reinterpret_cast<Out*>(dense[0]);
        map_row(f, n, y,
                gathered(std::get<I>(from) + at[I + 1] + j * step[I + 1], step[I + 1], n,
                         reinterpret_cast<In*>(dense[I + 1]))...);
        for (int64_t k = 0; step[0] != 1 && k < n; ++k) row[k * step[0]] = y[k];
      }
    });
  }
  (std::index_sequence_for<In...>{});
}

template <class T, class>
using Same = T;

// A tensor for the result: the buffer of an input that nobody else holds, else a new one.
template <class... In>
Tensor result([[maybe_unused]] const char* op, Dtype dtype, In&... in) {
  const Shape& first = std::get<0>(std::tie(in...)).shape();
  if (((in.shape() == first) && ...)) {
    Tensor out;
    ((!out.defined() && in.owned() && in.dtype() == dtype ? void(out = in.alias()) : void()), ...);
    return out.defined() ? out : Tensor(first, dtype);
  }
  Shape shape = first;
  ((shape = broadcast(op, shape, in.shape())), ...);
  Tensor out;
  ((!out.defined() && in.owned() && in.dtype() == dtype && in.shape() == shape ? void(out = in.alias()) : void()), ...);
  return out.defined() ? out : Tensor(shape, dtype);
}

// f on each element. Throws Error on inputs of different dtypes, naming both.
[[noreturn]] void dtypes_differ(const char* op, Dtype a, Dtype b);
template <class First, class... Rest>
void check_dtypes([[maybe_unused]] const char* op, const First& first, const Rest&... rest) {
  ((rest.dtype() != first.dtype() ? dtypes_differ(op, first.dtype(), rest.dtype()) : void()), ...);
}
template <class T, class F, class... In>
void map_all(F f, const Tensor& out, const In&... in) {
  map_into<T, Same<T, In>...>(std::move(f), out, in...);
}
template <class F, class... In>
Tensor map(const char* op, F f, In... in) {  // floating tensors
  check_dtypes(op, in...);
  const Dtype dtype = std::get<0>(std::tie(in...)).dtype();
  if (!is_floating(dtype)) not_floating(op, dtype);
  Tensor out = result(op, dtype, in...);
  if (dtype == f32) map_all<float>(f, out, in...);
  else map_all<double>(f, out, in...);
  return out;
}
template <class F, class... In>
Tensor map_numbers(const char* op, F f, In... in) {  // f32, f64 and i64
  check_dtypes(op, in...);
  const Dtype dtype = std::get<0>(std::tie(in...)).dtype();
  return visit_number(op, dtype, [&]<class T>(T) {
    Tensor out = result(op, dtype, in...);
    map_all<T>(f, out, in...);
    return out;
  });
}

// out = x, converted to out's dtype, broadcast to its shape.
void copy(const Tensor& x, const Tensor& out);
// A contiguous tensor of its own with x's numbers.
Tensor clone(const Tensor& x);
Tensor fill(Tensor x, double value);
// Of a floating tensor. Cut at fixed multiples, so that it does not depend on the number of threads.
double sum_of_squares(const Tensor& x);
inline Tensor full(const Shape& shape, double value, Dtype dtype) { return fill(Tensor(shape, dtype), value); }

}  // namespace fathom::kernel
