// Convolutions by patches: a row of the matrix for each place of y, which reads a patch of x, its channels last. Taps
// are counted as (kernel rows, kernel columns, in / groups).
#include <algorithm>  // copy_n, fill_n, min

#include "fathom/autograd/ops/convolution/products.h"
#include "fathom/autograd/ops/rows.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/tensor/kernels/gemm.h"
#include "fathom/tensor/kernels/reduce.h"
#include "fathom/tensor/kernels/scratch.h"
#include "fathom/tensor/kernels/transpose.h"

namespace fathom::convolution {
namespace {

// The channels of one sample and group, last, within the padding.
template <class T>
class Image {
 public:
  explicit Image(const Geometry& s) : s_(s), padded_(size()), dense_(s.area() * channels_) { clear(); }
  void clear() { std::fill_n(padded_.data(), size(), T(0)); }
  // From and to x's own order.
  void read(const T* x) {
    kernel::transpose<T>(x, channels_, s_.area(), dense_.data());
    for (int64_t i = 0; i < s_.rows; ++i) std::copy_n(dense_.data() + i * length(), length(), row(i));
  }
  void write(T* x) {
    for (int64_t i = 0; i < s_.rows; ++i) std::copy_n(row(i), length(), dense_.data() + i * length());
    kernel::transpose<T>(dense_.data(), s_.area(), channels_, x);
  }
  // Of the places in y's rows first to last.
  void to_patches(int64_t first, int64_t last, T* to) {
    each_run(first, last, [&](const T* run, int64_t n) { to = std::copy_n(run, n, to); });
  }
  void add_patches(int64_t first, int64_t last, const T* from) {
    each_run(first, last, [&](T* run, int64_t n) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) run[i] += from[i];
      from += n;
    });
  }

 private:
  int64_t length() const { return s_.columns * channels_; }  // of a row, without and with the padding
  int64_t width() const { return (s_.columns + 2 * s_.form.padding.columns) * channels_; }
  int64_t size() const { return (s_.rows + 2 * s_.form.padding.rows) * width(); }
  T* row(int64_t i) {
    return padded_.data() + (i + s_.form.padding.rows) * width() + s_.form.padding.columns * channels_;
  }
  // f(run, its length): what lies in one run in a patch and in the image.
  template <class F>
  void each_run(int64_t first, int64_t last, F f) {
    const auto& [stride, padding, dilation, groups] = s_.form;
    const int64_t runs = dilation.columns == 1 ? 1 : s_.kernel_columns, n = s_.kernel_columns * channels_ / runs;
    for (int64_t i = first; i < last; ++i)
      for (int64_t j = 0; j < s_.y_columns; ++j)
        for (int64_t p = 0; p < s_.kernel_rows; ++p)
          for (int64_t q = 0; q < runs; ++q)
            f(padded_.data() + (i * stride.rows + p * dilation.rows) * width() +
                  (j * stride.columns + q * dilation.columns) * channels_,
              n);
  }

  const Geometry& s_;
  int64_t channels_ = s_.in_group();
  kernel::Scratch<T> padded_, dense_;
};

// f(first, last, first place, number of places) for strips of y's rows.
template <class F>
void each_strip(const Geometry& s, F f) {
  for (int64_t first = 0; first < s.y_rows; first += s.strip()) {
    const int64_t last = std::min(s.y_rows, first + s.strip());
    f(first, last, first * s.y_columns, (last - first) * s.y_columns);
  }
}

Tensor permuted(const Tensor& x, const Axes& axes) { return rows::dense(permute(x.detach(), axes)); }

Tensor value(const Geometry& s, const Tensor& from, const Tensor& weight, const Tensor& bias) {
  const Tensor x = rows::dense(from), w = permuted(weight, {2, 3, 1, 0}), b = bias.defined() ? rows::dense(bias) : bias;
  const Tensor y(s.y_shape(), x.dtype());
  visit_floating("conv2d", x.dtype(), [&]<class T>(T) {
    const T *xs = x.data<T>(), *ws = w.data<T>(), *bs = b.defined() ? b.data<T>() : nullptr;
    T* to = y.data<T>();
    const int64_t m = s.out_group(), k = s.taps();
    parallel(s.batch, s.grain(), [&](int64_t begin, int64_t end) {
      Image<T> image(s);
      kernel::Scratch<T> patches(s.strip_size()), channels_last(s.strip() * s.y_columns * m);
      for (int64_t n = begin; n < end; ++n)
        for (int64_t q = 0; q < s.form.groups; ++q) {
          image.read(xs + (n * s.in + q * s.in_group()) * s.area());
          each_strip(s, [&](int64_t first, int64_t last, int64_t place, int64_t count) {
            image.to_patches(first, last, patches.data());
            kernel::gemm<T>(count, m, k, {patches.data(), k}, {ws + q * m, s.out}, channels_last.data(), false, m,
                            bs ? bs + q * m : nullptr);
            kernel::transpose<T>(channels_last.data(), count, m, to + (n * s.out + q * m) * s.y_area() + place, m,
                                 s.y_area());
          });
        }
    });
  });
  return y;
}

Tensor to_input(const Geometry& s, const Tensor& cotangent, const Tensor& weight) {
  const Tensor g = rows::dense(cotangent), w = permuted(weight, {0, 2, 3, 1}), dx(s.x_shape(), g.dtype());
  visit_floating("conv2d", g.dtype(), [&]<class T>(T) {
    const T *gs = g.data<T>(), *ws = w.data<T>();
    T* to = dx.data<T>();
    const int64_t m = s.out_group(), k = s.taps();
    parallel(s.batch, s.grain(), [&](int64_t begin, int64_t end) {
      Image<T> image(s);
      kernel::Scratch<T> patches(s.strip_size());
      for (int64_t n = begin; n < end; ++n)
        for (int64_t q = 0; q < s.form.groups; ++q) {
          image.clear();
          each_strip(s, [&](int64_t first, int64_t last, int64_t place, int64_t count) {
            kernel::gemm<T>(count, k, m, {gs + (n * s.out + q * m) * s.y_area() + place, s.y_area(), true},
                            {ws + q * m * k, k}, patches.data());
            image.add_patches(first, last, patches.data());
          });
          image.write(to + (n * s.in + q * s.in_group()) * s.area());
        }
    });
  });
  return dx;
}

// Blocks of samples add up shares of their own.
Tensor to_weight(const Geometry& s, const Tensor& from, const Tensor& cotangent) {
  const Tensor x = rows::dense(from), g = rows::dense(cotangent);
  const Tensor dw({s.out, s.kernel_rows, s.kernel_columns, s.in_group()}, g.dtype());
  const int64_t block = s.block(), blocks = s.blocks(), size = dw.numel();
  const Tensor shares = kernel::full({blocks, size}, 0, g.dtype());
  visit_floating("conv2d", g.dtype(), [&]<class T>(T) {
    const T *xs = x.data<T>(), *gs = g.data<T>();
    T* to = shares.data<T>();
    const int64_t m = s.out_group(), k = s.taps();
    parallel(blocks, (s.grain() + block - 1) / block, [&](int64_t begin, int64_t end) {
      Image<T> image(s);
      kernel::Scratch<T> patches(s.strip_size());
      for (int64_t n = begin * block; n < std::min(s.batch, end * block); ++n)
        for (int64_t q = 0; q < s.form.groups; ++q) {
          image.read(xs + (n * s.in + q * s.in_group()) * s.area());
          each_strip(s, [&](int64_t first, int64_t last, int64_t place, int64_t count) {
            image.to_patches(first, last, patches.data());
            kernel::gemm<T>(m, k, count, {gs + (n * s.out + q * m) * s.y_area() + place, s.y_area()},
                            {patches.data(), k}, to + n / block * size + q * m * k, true);
          });
        }
    });
    kernel::sum_rows(static_cast<const T*>(to), blocks, size, dw.data<T>());
  });
  return kernel::clone(permute(dw, {0, 3, 1, 2}));
}

}  // namespace

const Products by_patches{value, to_input, to_weight};

}  // namespace fathom::convolution
