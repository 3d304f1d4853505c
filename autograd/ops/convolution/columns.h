// The places that a convolution's kernel reads, laid out as a matrix, and back.
#pragma once
#include <algorithm>  // clamp, copy_n, fill_n, max, min
#include <cstdint>

#include "fathom/autograd/ops/convolution.h"

namespace fathom::convolution {

// Sizes of y = conv2d(x, w).
struct Geometry {
  Conv2dForm form;
  int64_t batch, in, rows, columns;          // x
  int64_t out, kernel_rows, kernel_columns;  // w, its second axis being in / groups
  int64_t y_rows = 0, y_columns = 0;         // y
  int64_t in_group() const { return in / form.groups; }
  int64_t out_group() const { return out / form.groups; }
  int64_t taps() const { return in_group() * kernel_rows * kernel_columns; }
  int64_t area() const { return rows * columns; }
  int64_t y_area() const { return y_rows * y_columns; }
  // The matrix of columns is x itself.
  bool trivial() const {
    return kernel_rows == 1 && kernel_columns == 1 && form.stride.rows == 1 && form.stride.columns == 1 &&
           form.padding.rows == 0 && form.padding.columns == 0;
  }
  // How many rows of y are made at a time, so that their columns stay in the second cache.
  int64_t strip() const {
    return std::clamp<int64_t>(32768 / std::max<int64_t>(1, taps() * y_columns), 1, std::max<int64_t>(y_rows, 1));
  }
};

// Where a tap reads, in a row of x of which y reads every stride-th number: for j of y_columns from begin to end it
// reads x[j stride + shift], and outside x before and after.
struct Reach {
  int64_t shift, begin, end;
};
inline Reach reach(int64_t shift, int64_t stride, int64_t size, int64_t count) {
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
inline bool in_runs(const Geometry& s) {
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

}  // namespace fathom::convolution
