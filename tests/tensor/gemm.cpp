#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "fathom/tensor/kernels/gemm.h"
#include "fathom/tensor/kernels/reduce.h"
#include "fathom/tensor/kernels/transpose.h"
#include "fathom/tensor/parallel.h"
#include "fathom/tensor/pool.h"
#include "tests/support.h"

using namespace fathom;
using kernel::gemm;
using kernel::Matrix;

namespace {

template <class T>
std::vector<T> numbers(int64_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<T> x(static_cast<size_t>(n));
  for (T& e : x) e = T(int(generator() % 2001) - 1000) / 1000;
  return x;
}

// The largest error against a sum in long double, in units of k times the rounding of T.
template <class T>
double error_of_product(int64_t m, int64_t n, int64_t k, bool a_transposed, bool b_transposed, bool accumulate,
                        int64_t extra, bool with_row = false) {
  const int64_t a_stride = (a_transposed ? m : k) + extra, b_stride = (b_transposed ? k : n) + extra;
  const int64_t c_stride = n + extra;
  const auto a = numbers<T>((a_transposed ? k : m) * a_stride, 1), b = numbers<T>((b_transposed ? n : k) * b_stride, 2);
  auto c = numbers<T>(m * c_stride, 3);
  const auto before = c, row = numbers<T>(n, 4);
  gemm<T>(m, n, k, {a.data(), a_stride, a_transposed}, {b.data(), b_stride, b_transposed}, c.data(), accumulate,
          extra ? c_stride : -1, with_row ? row.data() : nullptr);
  double worst = 0;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < c_stride; ++j) {
      const size_t at = size_t(i * c_stride + j);
      if (j >= n) {
        if (c[at] != before[at]) return INFINITY;  // wrote beside the result
        continue;
      }
      long double s = accumulate ? before[at] : with_row ? row[size_t(j)] : 0;
      for (int64_t p = 0; p < k; ++p)
        s += static_cast<long double>(a[size_t(a_transposed ? p * a_stride + i : i * a_stride + p)]) *
             static_cast<long double>(b[size_t(b_transposed ? j * b_stride + p : p * b_stride + j)]);
      worst = std::max(worst, double(std::abs(s - static_cast<long double>(c[at]))));
    }
  return worst / (double(k + 1) * std::numeric_limits<T>::epsilon());
}

}  // namespace

TEST_CASE_TEMPLATE("gemm: agrees with sums by hand", T, float, double) {
  const int64_t sizes[][3] = {{1, 1, 1},   {1, 5, 3},   {5, 1, 3},    {1, 1, 7},    {2, 3, 1},   {3, 2, 17},
                              {7, 9, 5},   {16, 16, 8}, {17, 19, 23}, {32, 10, 64}, {128, 9, 5}, {64, 64, 64},
                              {1, 600, 9}, {600, 1, 9}, {33, 65, 70}, {15, 40, 40}, {8, 64, 30}, {1, 20, 5000}};
  for (const auto& s : sizes)
    for (int form = 0; form < 32; ++form) {
      if ((form & 20) == 20) continue;  // accumulate, and a row
      CAPTURE(s[0]);
      CAPTURE(s[1]);
      CAPTURE(s[2]);
      CAPTURE(form);
      CHECK(error_of_product<T>(s[0], s[1], s[2], form & 1, form & 2, form & 4, form & 8 ? 3 : 0, form & 16) < 1);
    }
}

TEST_CASE_TEMPLATE("gemm: every size around those of a tile", T, float, double) {
  int form = 0;
  for (int64_t m = 1; m <= 26; ++m)
    for (int64_t n : {1, 2, 7, 8, 9, 15, 16, 17, 20, 31, 32, 33, 47, 48, 49, 64, 65})
      for (int64_t k : {1, 3, 20}) {
        ++form;
        const double error =
            error_of_product<T>(m, n, k, form & 1, form & 2, form & 4, form & 8 ? 3 : 0, (form & 20) == 16);
        if (error < 1) continue;
        CAPTURE(m);
        CAPTURE(n);
        CAPTURE(k);
        CAPTURE(form);
        CHECK(error < 1);
      }
  for (int64_t k : {255, 256, 257, 511, 513, 784})  // parts of k
    for (int f = 0; f < 16; ++f) CHECK(error_of_product<T>(13, 35, k, f & 1, f & 2, f & 4, f & 8 ? 3 : 0) < 1);
}

TEST_CASE_TEMPLATE("gemm: rows a power of two apart, in several blocks", T, float, double) {
  const int64_t sizes[][3] = {{512, 144, 70}, {100, 512, 70}, {300, 130, 512}, {400, 64, 256}};
  for (const auto& s : sizes)
    for (int f = 0; f < 16; ++f) {
      CAPTURE(s[0]);
      CAPTURE(f);
      CHECK(error_of_product<T>(s[0], s[1], s[2], f & 1, f & 2, f & 4, 0, (f & 12) == 8) < 1);
    }
}

TEST_CASE_TEMPLATE("gemm: NaN passes, and only to its row and column", T, float, double) {
  const int64_t m = 14, n = 37, k = 9;
  for (int form = 0; form < 4; ++form) {
    const bool a_transposed = form & 1, b_transposed = form & 2;
    auto a = numbers<T>(m * k, 1), b = numbers<T>(k * n, 2);
    a[size_t(a_transposed ? 5 * m + 3 : 3 * k + 5)] = T(NAN);    // row 3
    b[size_t(b_transposed ? 36 * k + 2 : 2 * n + 36)] = T(NAN);  // column 36
    std::vector<T> c(size_t(m * n), T(0));
    gemm<T>(m, n, k, {a.data(), a_transposed ? m : k, a_transposed}, {b.data(), b_transposed ? k : n, b_transposed},
            c.data());
    bool right = true;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) right &= std::isnan(c[size_t(i * n + j)]) == (i == 3 || j == 36);
    CHECK(right);
  }
}

TEST_CASE_TEMPLATE("gemm: empty sizes", T, float, double) {
  std::vector<T> c = {1, 2, 3, 4, 5, 6};
  const T* none = nullptr;
  gemm<T>(2, 2, 0, {none, 0}, {none, 2}, c.data(), true, 3);
  CHECK(c == std::vector<T>{1, 2, 3, 4, 5, 6});
  gemm<T>(2, 2, 0, {none, 0}, {none, 2}, c.data(), false, 3);
  CHECK(c == std::vector<T>{0, 0, 3, 0, 0, 6});
  const T row[] = {7, 8};
  gemm<T>(2, 2, 0, {none, 0}, {none, 2}, c.data(), false, 3, row);
  CHECK(c == std::vector<T>{7, 8, 3, 7, 8, 6});
  gemm<T>(0, 2, 2, {none, 2}, {c.data(), 2}, nullptr);
  gemm<T>(2, 0, 2, {c.data(), 2}, {none, 0}, nullptr);
}

TEST_CASE("gemm: sizes beyond BLAS's index") {
  const int64_t big = int64_t{1} << 31;
  float x = 0;
  CHECK(error_of([&] {
          gemm<float>(big, 1, 1, {&x, 1}, {&x, 1}, &x);
        }) == "matmul: a size of 2147483648 exceeds BLAS's index");
  CHECK(error_of([&] {
          gemm<float>(1, 1, 1, {&x, big + 1}, {&x, 1}, &x);
        }) == "matmul: a size of 2147483649 exceeds BLAS's index");
  CHECK(error_of([&] { gemm<float>(0, big, 0, {&x, 1}, {&x, 1}, &x); }) != "");
}

TEST_CASE_TEMPLATE("gemm: the same bits for any number of threads", T, float, double) {
  const int before = threads();
  std::mt19937 generator(5);
  for (int repeat = 0; repeat < 60; ++repeat) {
    int64_t m = 1 + generator() % 400, n = 1 + generator() % 400, k = 1 + generator() % 500;
    if (repeat % 10 == 7) m = 97, n = 150, k = 400;  // whose last block has one row
    if (repeat % 10 == 8) m = 1, n *= 20;
    if (repeat % 10 == 9) n = 1, m *= 20;
    const bool a_transposed = generator() % 2, b_transposed = generator() % 2;
    const auto a = numbers<T>(m * k, 1), b = numbers<T>(k * n, 2);
    std::vector<std::vector<T>> results;
    for (int n_threads : {1, 2, 3}) {
      set_threads(n_threads);
      std::vector<T>& c = results.emplace_back(size_t(m * n));
      gemm<T>(m, n, k, {a.data(), a_transposed ? m : k, a_transposed}, {b.data(), b_transposed ? k : n, b_transposed},
              c.data());
    }
    CAPTURE(m);
    CAPTURE(n);
    CAPTURE(k);
    const bool equal = results[0] == results[1] && results[0] == results[2];
    CHECK(equal);
  }
  set_threads(before);
}

#ifndef __SANITIZE_ADDRESS__
TEST_CASE("gemm: the steady state asks the system for no memory") {
  const auto a = numbers<float>(100 * 64, 1), b = numbers<float>(64 * 64, 2);
  std::vector<float> c(100 * 64);
  const auto step = [&] {
    gemm<float>(100, 64, 64, {a.data(), 64}, {b.data(), 64, true}, c.data());
    gemm<float>(100, 1, 64, {a.data(), 64}, {b.data(), 64}, c.data());
  };
  step();
  const int64_t before = pool::system_requests();
  for (int i = 0; i < 100; ++i) step();
  CHECK(pool::system_requests() == before);
}
#endif

TEST_CASE_TEMPLATE("transpose: every element, whatever the sizes", T, float, double) {
  for (int64_t rows : {0, 1, 7, 8, 9, 16, 31, 40})
    for (int64_t columns : {0, 1, 3, 4, 5, 8, 15, 24, 33, 47})
      for (int64_t stride : {columns, columns + 3}) {
        const auto x = numbers<T>(rows * stride, 4);
        std::vector<T> out(size_t(rows * columns));
        kernel::transpose(x.data(), rows, columns, out.data(), stride, rows);
        bool equal = true;
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < columns; ++j) equal &= out[size_t(j * rows + i)] == x[size_t(i * stride + j)];
        CHECK(equal);
      }
}

TEST_CASE_TEMPLATE("sums: exact on whole numbers, at every length", T, float, double) {
  for (int64_t n : {0, 1, 3, 4, 63, 64, 65, 1000, 4096, 4097, 100000}) {
    std::vector<T> x(size_t(n), T(0)), ones(size_t(n), T(1));
    for (int64_t i = 0; i < n; ++i) x[size_t(i)] = T(i % 16);
    double s = 0, q = 0;
    for (T e : x) s += double(e), q += double(e * e);
    CHECK(kernel::sum(x.data(), n) == s);
    CHECK(kernel::dot(x.data(), ones.data(), n) == s);
    CHECK(kernel::sum_of_squares(x.data(), n) == q);
  }
}

TEST_CASE("sums: beyond the range of float, and NaN") {
  std::vector<float> x(5000, 1e30f);
  CHECK(kernel::sum_of_squares(x.data(), 5000) == doctest::Approx(5000e60));
  CHECK(kernel::sum(std::vector<float>(5000, 3e38f).data(), 5000) == doctest::Approx(5000 * 3e38));
  std::fill(x.begin(), x.end(), 1e-30f);
  CHECK(kernel::sum_of_squares(x.data(), 5000) == doctest::Approx(5000e-60));
  x[4500] = NAN;
  CHECK(std::isnan(kernel::sum_of_squares(x.data(), 5000)));
  CHECK(std::isnan(kernel::sum(x.data(), 5000)));
  x[4500] = INFINITY;
  CHECK(kernel::sum_of_squares(x.data(), 5000) == INFINITY);
}

TEST_CASE_TEMPLATE("sums_of_rows: of several functions at once, whatever the other rows, also out of range", T, float,
                   double) {
  for (int64_t rows : {0, 1, 4, 7, 32})
    for (int64_t n : {0, 5, 16, 64, 80, 512, 4112}) {
      std::vector<T> x(size_t(rows * n)), y(x.size());
      for (size_t i = 0; i < x.size(); ++i) x[i] = T(std::sin(double(i))), y[i] = T(std::cos(3 * double(i)));
      for (int64_t i = 0; i < n && rows > 5; ++i) x[size_t(2 * n + i)] *= T(1e30), y[size_t(5 * n + i)] *= T(1e-30);
      const auto square = [](auto a, auto) { return a * a; };
      const auto other = [](int64_t row) { return [=](auto a, auto b) { return (a - T(row) * b) * a; }; };
      std::vector<double> squares(size_t(rows), -1.0), others = squares;
      kernel::sums_of_rows(x.data(), y.data(), rows, n, [&](int64_t row) { return std::tuple(square, other(row)); },
                           {squares.data(), others.data()});
      for (int64_t r = 0; r < rows; ++r) {
        const T *a = x.data() + r * n, *b = y.data() + r * n;
        CHECK(squares[size_t(r)] == doctest::Approx(kernel::sum_of_squares(a, n)).epsilon(1e-6));
        double terms = 0, found = -1;  // the scale of the second sum, whose terms have both signs
        for (int64_t k = 0; k < n; ++k) terms += std::abs(double(other(r)(a[k], b[k])));
        CHECK(std::abs(others[size_t(r)] - kernel::sum_of(a, b, n, other(r))) <= 1e-6 * terms);
        kernel::sums_of_rows(a, b, 1, n, [&](int64_t) { return std::tuple(other(r)); }, {&found});
        CHECK(others[size_t(r)] == found);
      }
    }
}

TEST_CASE_TEMPLATE("sum_rows and add_row", T, float, double) {
  for (int64_t rows : {0, 1, 4, 7})
    for (int64_t columns : {0, 1, 5, 1030}) {
      std::vector<T> x(size_t(rows * columns), T(0)), row(size_t(columns), T(0)), sums(size_t(columns), T(9));
      for (size_t i = 0; i < x.size(); ++i) x[i] = T(i % 10);
      for (size_t j = 0; j < row.size(); ++j) row[j] = T(j % 3);
      kernel::add_row(row.data(), rows, columns, x.data());
      kernel::sum_rows(x.data(), rows, columns, sums.data());
      bool equal = true;
      for (int64_t j = 0; j < columns; ++j) {
        T s = 0;
        for (int64_t i = 0; i < rows; ++i) s += T((i * columns + j) % 10) + row[size_t(j)];
        equal &= s == sums[size_t(j)];
      }
      CHECK(equal);
    }
}
