// Convolutions by columns: a row of the matrix for each tap, which reads whole rows of x.
#include <algorithm>  // clamp, copy_n, fill_n, max, min

#include "fathom/autograd/ops/convolution/products.h"
#include "fathom/autograd/ops/rows.h"
#include "fathom/tensor/kernels/gemm.h"
#include "fathom/tensor/kernels/reduce.h"
#include "fathom/tensor/kernels/scratch.h"

namespace fathom::convolution {
namespace {

// Where a tap reads, in a row of x of which y reads every stride-th number: for j of y_columns from begin to end it
// reads x[j stride + shift], and outside x before and after.
struct Reach {
  int64_t shift, begin, end;
};
Reach reach(int64_t shift, int64_t stride, int64_t size, int64_t count) {
  const int64_t begin = shift < 0 ? std::min(count, (-shift + stride - 1) / stride) : 0;
  const int64_t end = size > shift ? std::clamp((size - shift - 1) / stride + 1, begin, count) : begin;
  return {shift, begin, end};
}

// f(tap, plane, rows, columns) for each row of the matrix of columns: plane is the channel it reads.
template <class F>
void each_tap(const Geometry& s, F f) {
  int64_t tap = 0;
  for (int64_t c = 0; c < s.in_group(); ++c)
    for (int64_t p = 0; p < s.kernel_rows; ++p)
      for (int64_t q = 0; q < s.kernel_columns; ++q) {
        const Reach down = reach(p * s.form.dilation.rows - s.form.padding.rows, s.form.stride.rows, s.rows, s.y_rows);
        const Reach across =
            reach(q * s.form.dilation.columns - s.form.padding.columns, s.form.stride.columns, s.columns, s.y_columns);
        f(tap++, c * s.area(), down, across);
      }
}

// Whether y's rows and x's lie alike, so that a tap reads many rows in one run.
bool in_runs(const Geometry& s) {
  return s.form.stride.rows == 1 && s.form.stride.columns == 1 && s.y_columns == s.columns;
}

// to (taps, rows of y from `first` to `last`) = what the taps read in x (in / groups, rows, columns).
template <class T>
void to_columns(const Geometry& s, const T* x, int64_t first, int64_t last, T* to) {
  const int64_t width = s.y_columns, count = (last - first) * width;
  each_tap(s, [&](int64_t tap, int64_t plane, Reach down, Reach across) {
    T* line = to + tap * count;
    const int64_t begin = std::clamp(down.begin, first, last), end = std::clamp(down.end, begin, last);
    std::fill_n(line, (begin - first) * width, T(0));
    std::fill_n(line + (end - first) * width, (last - end) * width, T(0));
    if (begin == end) return;
    if (across.begin == across.end)
      return void(std::fill_n(line + (begin - first) * width, (end - begin) * width, T(0)));
    if (in_runs(s)) {  // one copy, then zeros where it ran over a row's end
      const int64_t from = (begin + down.shift) * width + across.shift;
      std::copy_n(x + plane + from + across.begin, (end - begin) * width - across.begin - (width - across.end),
                  line + (begin - first) * width + across.begin);
      for (int64_t i = begin; i < end; ++i) {
        T* row = line + (i - first) * width;
        for (int64_t j = 0; j < across.begin; ++j) row[j] = 0;
        for (int64_t j = across.end; j < width; ++j) row[j] = 0;
      }
      return;
    }
    const int64_t step = s.form.stride.columns;
    for (int64_t i = begin; i < end; ++i) {
      const T* from = x + plane + (i * s.form.stride.rows + down.shift) * s.columns + across.shift;
      T* row = line + (i - first) * width;
      for (int64_t j = 0; j < across.begin; ++j) row[j] = 0;
      for (int64_t j = across.begin; j < across.end; ++j) row[j] = from[j * step];
      for (int64_t j = across.end; j < width; ++j) row[j] = 0;
    }
  });
}

// The transpose: adds the columns to where they were read from. Overwrites columns.
template <class T>
void add_columns(const Geometry& s, T* from, int64_t first, int64_t last, T* x) {
  const int64_t width = s.y_columns, count = (last - first) * width;
  each_tap(s, [&](int64_t tap, int64_t plane, Reach down, Reach across) {
    T* line = from + tap * count;
    const int64_t begin = std::clamp(down.begin, first, last), end = std::clamp(down.end, begin, last);
    if (begin == end || across.begin == across.end) return;
    if (in_runs(s)) {
      for (int64_t i = begin; i < end; ++i) {
        T* row = line + (i - first) * width;
        for (int64_t j = 0; j < across.begin; ++j) row[j] = 0;
        for (int64_t j = across.end; j < width; ++j) row[j] = 0;
      }
      T* to = x + plane + (begin + down.shift) * width + across.shift + across.begin;
      const T* run = line + (begin - first) * width + across.begin;
      const int64_t n = (end - begin) * width - across.begin - (width - across.end);
#pragma GCC ivdep
      for (int64_t j = 0; j < n; ++j) to[j] += run[j];
      return;
    }
    const int64_t step = s.form.stride.columns;
    for (int64_t i = begin; i < end; ++i) {
      T* to = x + plane + (i * s.form.stride.rows + down.shift) * s.columns + across.shift;
      const T* row = line + (i - first) * width;
      for (int64_t j = across.begin; j < across.end; ++j) to[j * step] += row[j];
    }
  });
}

// f(columns, their stride, first, count) for the columns of one sample and group, in strips of y's rows; first and
// count are in elements of y's plane.
template <class T, class F>
void each_strip(const Geometry& s, const T* x, T* buffer, F f) {
  if (s.trivial()) return f(x, s.area(), int64_t{0}, s.area());
  const int64_t step = s.strip();
  for (int64_t first = 0; first < s.y_rows; first += step) {
    const int64_t last = std::min(s.y_rows, first + step), count = (last - first) * s.y_columns;
    to_columns(s, x, first, last, buffer);
    f(static_cast<const T*>(buffer), count, first * s.y_columns, count);
  }
}
int64_t buffer_size(const Geometry& s) { return s.trivial() ? 1 : s.strip_size(); }

Tensor value(const Geometry& s, const Tensor& from, const Tensor& weight, const Tensor& bias) {
  const Tensor x = rows::dense(from), w = rows::dense(weight), b = bias.defined() ? rows::dense(bias) : bias;
  const Tensor y(s.y_shape(), x.dtype());
  visit_floating("conv2d", x.dtype(), [&]<class T>(T) {
    const T *xs = x.data<T>(), *ws = w.data<T>(), *bs = b.defined() ? b.data<T>() : nullptr;
    T* to = y.data<T>();
    const int64_t m = s.out_group(), k = s.taps(), area = s.y_area();
    parallel(s.batch, s.grain(), [&](int64_t begin, int64_t end) {
      kernel::Scratch<T> buffer(buffer_size(s));
      for (int64_t n = begin; n < end; ++n) {
        if (bs)
          for (int64_t o = 0; o < s.out; ++o) std::fill_n(to + (n * s.out + o) * area, area, bs[o]);
        for (int64_t q = 0; q < s.form.groups; ++q)
          each_strip(s, xs + (n * s.in + q * s.in_group()) * s.area(), buffer.data(),
                     [&](const T* columns, int64_t stride, int64_t first, int64_t count) {
                       kernel::gemm<T>(m, count, k, {ws + q * m * k, k}, {columns, stride},
                                       to + (n * s.out + q * m) * area + first, bs != nullptr, area);
                     });
      }
    });
  });
  return y;
}

Tensor to_input(const Geometry& s, const Tensor& cotangent, const Tensor& weight) {
  const Tensor g = rows::dense(cotangent), w = rows::dense(weight);
  const Tensor dx = s.trivial() ? Tensor(s.x_shape(), g.dtype()) : kernel::full(s.x_shape(), 0, g.dtype());
  visit_floating("conv2d", g.dtype(), [&]<class T>(T) {
    const T *gs = g.data<T>(), *ws = w.data<T>();
    T* to = dx.data<T>();
    const int64_t m = s.out_group(), k = s.taps(), area = s.y_area(), step = s.strip();
    parallel(s.batch, s.grain(), [&](int64_t begin, int64_t end) {
      kernel::Scratch<T> buffer(buffer_size(s));
      for (int64_t n = begin; n < end; ++n)
        for (int64_t q = 0; q < s.form.groups; ++q) {
          const T *wq = ws + q * m * k, *gq = gs + (n * s.out + q * m) * area;
          T* xq = to + (n * s.in + q * s.in_group()) * s.area();
          if (s.trivial()) {
            kernel::gemm<T>(k, area, m, {wq, k, true}, {gq, area}, xq);
            continue;
          }
          for (int64_t first = 0; first < s.y_rows; first += step) {
            const int64_t last = std::min(s.y_rows, first + step), count = (last - first) * s.y_columns;
            kernel::gemm<T>(k, count, m, {wq, k, true}, {gq + first * s.y_columns, area}, buffer.data());
            add_columns(s, buffer.data(), first, last, xq);
          }
        }
    });
  });
  return dx;
}

// Blocks of samples, cut by the batch's size alone, add up shares of their own.
Tensor to_weight(const Geometry& s, const Tensor& from, const Tensor& cotangent) {
  const Tensor x = rows::dense(from), g = rows::dense(cotangent), dw(s.w_shape(), g.dtype());
  const int64_t block = s.block(), blocks = s.blocks(), size = dw.numel();
  const Tensor shares = kernel::full({blocks, size}, 0, g.dtype());
  visit_floating("conv2d", g.dtype(), [&]<class T>(T) {
    const T *xs = x.data<T>(), *gs = g.data<T>();
    T* to = shares.data<T>();
    const int64_t m = s.out_group(), k = s.taps(), area = s.y_area();
    parallel(blocks, (s.grain() + block - 1) / block, [&](int64_t begin, int64_t end) {
      kernel::Scratch<T> buffer(buffer_size(s));
      for (int64_t n = begin * block; n < std::min(s.batch, end * block); ++n)
        for (int64_t q = 0; q < s.form.groups; ++q)
          each_strip(s, xs + (n * s.in + q * s.in_group()) * s.area(), buffer.data(),
                     [&](const T* columns, int64_t stride, int64_t first, int64_t count) {
                       kernel::gemm<T>(m, k, count, {gs + (n * s.out + q * m) * area + first, area},
                                       {columns, stride, true}, to + n / block * size + q * m * k, true);
                     });
    });
    kernel::sum_rows(static_cast<const T*>(to), blocks, size, dw.data<T>());
  });
  return dw;
}

}  // namespace

const Products by_columns{value, to_input, to_weight};

}  // namespace fathom::convolution
