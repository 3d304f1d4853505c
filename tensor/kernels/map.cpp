#include "fathom/tensor/kernels/map.h"

#include <algorithm>  // min
#include <cstring>
#include <type_traits>

#include "fathom/tensor/kernels/reduce.h"
#include "fathom/tensor/kernels/transpose.h"

namespace fathom::kernel {

void dtypes_differ(const char* op, Dtype a, Dtype b) {
  throw Error(std::string(op) + ": dtypes differ: " + to_string(a) + " and " + to_string(b) + "; convert with .to(" +
              to_string(is_floating(a) ? a : b) + ")");
}

// The axis along which numbers lie side by side in memory; -1: none.
static int dense_axis(const Shape& shape, const Shape& strides) {
  int axis = shape.rank - 1;
  while (axis >= 0 && (strides[axis] != 1 || shape[axis] == 1)) --axis;
  return axis;
}

void copy(const Tensor& x, const Tensor& out) {
  if (x.dtype() == out.dtype() && x.is_contiguous() && out.is_contiguous() && x.shape() == out.shape()) {
    visit(x.dtype(), [&]<class T>(T) {
      if (const size_t bytes = size_t(x.numel()) * sizeof(T)) std::memcpy(out.data<T>(), x.data<T>(), bytes);
    });
    return;
  }
  Shape shape = out.shape(), strides[2] = {out.strides(), broadcast_strides(x.shape(), x.strides(), shape)};
  join_axes(shape, strides);
  if (shape.rank == 0) shape = strides[0] = strides[1] = {1};
  const int last = shape.rank - 1;
  const int64_t columns = shape[last], step_out = strides[0][last], step = strides[1][last];
  const int dense = dense_axis(shape, strides[1]);
  visit(out.dtype(), [&]<class Out>(Out) {
    visit(x.dtype(), [&]<class In>(In) {
      Out* to = out.data<Out>();
      const In* from = x.data<In>();
      if constexpr (std::is_same_v<Out, In> && std::is_floating_point_v<In>)
        if (dense >= 0 && dense < last && step_out == 1) {
          Shape others = shape;
          others[dense] = others[last] = 1;
          return each_row(others, strides, [&](const int64_t* at) {
            transpose(from + at[1], columns, shape[dense], to + at[0], step, strides[0][dense]);
          });
        }
      each_row(shape, strides, [&](const int64_t* at) {
        Out* row = to + at[0];
        const In* x_row = from + at[1];
        if (step == 1 && step_out == 1) return map_row([](In e) { return e; }, columns, row, x_row);
        for (int64_t j = 0; j < columns; ++j) row[j * step_out] = static_cast<Out>(x_row[j * step]);
      });
    });
  });
}

bool is_transposed(const Tensor& x) {
  const Shape &shape = x.shape(), &strides = x.strides();
  const int dense = dense_axis(shape, strides), last = shape.rank - 1;
  return is_floating(x.dtype()) && dense >= 0 && dense < last && std::min(shape[dense], shape[last]) >= 8 &&
         strides[last] >= 8;
}
Tensor rows_of(const Tensor& x) { return is_transposed(x) ? clone(x) : x; }

Tensor clone(const Tensor& x) {
  Tensor out(x.shape(), x.dtype());
  copy(x, out);
  return out;
}

Tensor fill(Tensor x, double value) {
  visit(x.dtype(), [&]<class T>(T) { map_into<T>([v = T(value)] { return v; }, x); });
  return x;
}

double sum_of_squares(const Tensor& strided) {
  const Tensor x = strided.is_contiguous() ? strided : clone(strided);
  return visit_floating("sum_of_squares", x.dtype(), [&]<class T>(T) {
    constexpr int64_t piece = 65536;
    const T* from = x.data<T>();
    const int64_t n = x.numel();
    if (n <= piece) return sum_of_squares(from, n);
    pool::vector<double> sums(size_t((n + piece - 1) / piece));
    parallel(int64_t(sums.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        sums[size_t(i)] = sum_of_squares(from + i * piece, std::min(piece, n - i * piece));
    });
    double total = 0;
    for (const double s : sums) total += s;
    return total;
  });
}

}  // namespace fathom::kernel
