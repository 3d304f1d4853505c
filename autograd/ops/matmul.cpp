#include "fathom/autograd/ops/matmul.h"

#include <algorithm>  // find, max

#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/tensor/kernels/gemm.h"
#include "fathom/tensor/kernels/reduce.h"

namespace fathom {
namespace {

void check_products(const char* op, const Tensor& a, const Tensor& b) {
  kernel::check_dtypes(op, a, b);
  if (!is_floating(a.dtype())) not_floating(op, a.dtype());
}

// Whether these strides are those of a row-major matrix, or of a part of one.
bool by_rows(int64_t rows, int64_t columns, int64_t down, int64_t across) {
  return (across == 1 || columns <= 1) && (down >= std::max<int64_t>(columns, 1) || rows <= 1);
}
// The last two axes of x as BLAS reads them; no data where it cannot.
template <class T>
kernel::Matrix<T> matrix_of(const Tensor& x) {
  const int last = x.shape().rank - 1;
  const int64_t rows = x.shape()[last - 1], columns = x.shape()[last];
  const int64_t down = x.strides()[last - 1], across = x.strides()[last];
  if (by_rows(rows, columns, down, across)) return {x.data<T>(), rows <= 1 ? std::max<int64_t>(columns, 1) : down};
  if (by_rows(columns, rows, across, down))
    return {x.data<T>(), columns <= 1 ? std::max<int64_t>(rows, 1) : across, true};
  return {nullptr, 0};
}
// x, or a copy of it where BLAS cannot read its strides.
Tensor blas_ready(const Tensor& x) {
  const bool ready = visit_floating("matmul", x.dtype(), [&]<class T>(T) { return matrix_of<T>(x).data != nullptr; });
  return ready ? x : kernel::clone(x);
}

// The offset of entry `index`, counted in row-major order, of a batch of matrices.
int64_t batch_offset(int64_t index, const Shape& batch, const Shape& strides) {
  int64_t at = 0;
  for (int d = batch.rank - 1; d >= 0; --d) {
    at += index % batch[d] * strides[d];
    index /= batch[d];
  }
  return at;
}

Shape without_matrix(Shape s) {
  s.rank -= 2;
  return s;
}

// The product of (..., m, k) and (..., k, n).
Tensor products(const Tensor& x, const Tensor& y) {
  const Tensor a = blas_ready(x), b = blas_ready(y);
  const int a_last = a.shape().rank - 1, b_last = b.shape().rank - 1;
  const int64_t m = a.shape()[a_last - 1], k = a.shape()[a_last], n = b.shape()[b_last];
  if (a_last == 1 && b_last == 1) {
    Tensor out({m, n}, a.dtype());
    visit_floating("matmul", a.dtype(),
                   [&]<class T>(T) { kernel::gemm(m, n, k, matrix_of<T>(a), matrix_of<T>(b), out.data<T>()); });
    return out;
  }
  const Shape batch = broadcast("matmul", without_matrix(a.shape()), without_matrix(b.shape()));
  const int64_t count = batch.numel();
  Shape shape = batch;
  shape.push_back(m);
  shape.push_back(n);
  Tensor out(shape, a.dtype());
  const Shape a_strides = broadcast_strides(without_matrix(a.shape()), without_matrix(a.strides()), batch);
  const Shape b_strides = broadcast_strides(without_matrix(b.shape()), without_matrix(b.strides()), batch);
  visit_floating("matmul", a.dtype(), [&]<class T>(T) {
    const kernel::Matrix<T> left = matrix_of<T>(a), right = matrix_of<T>(b);
    T* to = out.data<T>();
    const auto some = [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        kernel::Matrix<T> l = left, r = right;
        l.data += batch_offset(i, batch, a_strides);
        r.data += batch_offset(i, batch, b_strides);
        kernel::gemm(m, n, k, l, r, to + i * m * n);
      }
    };
    if (count < threads()) some(0, count);  // each product is shared
    else parallel(count, std::max<int64_t>(1, 1'000'000 / std::max<int64_t>(1, m * n * k)), some);
  });
  return out;
}

// (..., n) as (rows, n).
Tensor rows_of(const Tensor& x) {
  if (x.dim() == 2) return x;
  int64_t rows = 1;
  for (int d = 0; d + 1 < x.dim(); ++d) rows *= x.shape()[d];
  return reshape(x, {rows, x.shape().back()});
}

Shape with_last(Shape shape, int64_t n) {
  shape[shape.rank - 1] = n;
  return shape;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  check_products("matmul", a, b);
  const auto refuse = [&](const char* rule) {
    throw Error(std::string("matmul: ") + rule + ": " + to_string(a.shape()) + " and " + to_string(b.shape()));
  };
  if (a.dim() == 0 || b.dim() == 0) refuse("a number is no matrix");
  const int64_t inner = b.shape()[b.dim() == 1 ? 0 : b.shape().rank - 2];
  if (a.shape().back() != inner) refuse("inner sizes differ");
  if (a.dim() == 1) return squeeze(matmul(unsqueeze(a, 0), b), b.dim() == 1 ? 0 : -2);
  if (b.dim() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), -1);
  // One matrix for a whole batch: one product.
  if (a.dim() > 2 && b.dim() == 2) return reshape(matmul(rows_of(a), b), with_last(a.shape(), b.size(1)));
  return bilinear_op(
      "matmul", a, b, products, [](const Tensor& g, const Tensor& y) { return matmul(g, transpose(y)); },
      [](const Tensor& x, const Tensor& g) { return matmul(transpose(x), g); });
}

Tensor linear(Tensor x, const Tensor& weight, const Tensor& bias) {
  check_products("linear", x, weight);
  const auto refuse = [](const char* rule, const Tensor& p, const Tensor& q) {
    throw Error(std::string("linear: ") + rule + ": " + to_string(p.shape()) + " and " + to_string(q.shape()));
  };
  if (weight.dim() != 2) refuse("the weight is no matrix", x, weight);
  const int64_t out = weight.size(0), in = weight.size(1);
  if (x.dim() == 0 || x.shape().back() != in)
    throw Error("linear: x has shape " + to_string(x.shape()) + ", its last axis must be the " + std::to_string(in) +
                " inputs of the weight " + to_string(weight.shape()));
  if (bias.defined()) {
    kernel::check_dtypes("linear", weight, bias);
    if (bias.shape() != Shape{out}) refuse("weight and bias differ", weight, bias);
  }
  Tensor y(with_last(x.shape(), out), x.dtype());
  visit_floating("linear", x.dtype(), [&]<class T>(T) {
    const NoGrad off;
    const Tensor a = blas_ready(rows_of(x)), w = blas_ready(weight);
    kernel::Matrix<T> right = matrix_of<T>(w);
    right.transposed = !right.transposed;
    const int64_t rows = a.shape()[0];
    const Tensor row = !bias.defined() || bias.is_contiguous() ? bias : kernel::clone(bias);
    kernel::gemm(rows, out, in, matrix_of<T>(a), right, y.data<T>(), false, -1,
                 row.defined() ? row.data<T>() : nullptr);
  });
  return record("linear", std::move(y), keep(kept_for(weight, x), kept_for(x, weight)),
                wrt(
                    x, [](const Tensor& g, const Tensor&, const Tensor& w) { return matmul(g, w); },
                    [](Tensor t, const Tensor&, const Tensor& w) { return linear(std::move(t), w); }),
                wrt(
                    weight,
                    [](const Tensor& g, const Tensor& kept, const Tensor&) {
                      return matmul(transpose(rows_of(g)), rows_of(kept));
                    },
                    [](const Tensor& t, const Tensor& kept, const Tensor&) { return linear(kept, t); }),
                wrt(bias, [](Tensor g, const Tensor&, const Tensor&) { return g; }));
}

Tensor Tensor::matmul(const Tensor& other) const { return fathom::matmul(*this, other); }

}  // namespace fathom
