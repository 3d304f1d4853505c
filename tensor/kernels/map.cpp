#include "fathom/tensor/kernels/map.h"

#include <algorithm>  // min
#include <cstring>

#include "fathom/tensor/kernels/reduce.h"

namespace fathom::kernel {

void dtypes_differ(const char* op, Dtype a, Dtype b) {
  throw Error(std::string(op) + ": dtypes differ: " + to_string(a) + " and " + to_string(b) + "; convert with .to(" +
              to_string(is_floating(a) ? a : b) + ")");
}

void copy(const Tensor& x, const Tensor& out) {
  if (x.dtype() == out.dtype() && x.is_contiguous() && out.is_contiguous() && x.shape() == out.shape()) {
    visit(x.dtype(), [&]<class T>(T) {
      if (const size_t bytes = size_t(x.numel()) * sizeof(T)) std::memcpy(out.data<T>(), x.data<T>(), bytes);
    });
    return;
  }
  visit(out.dtype(), [&]<class Out>(Out) {
    visit(x.dtype(), [&]<class In>(In) { map_into<Out, In>([](In e) { return e; }, out, x); });
  });
}

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
