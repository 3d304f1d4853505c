#include "fathom/tensor/kernels/map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "fathom/tensor/random.h"
#include "tests/support.h"

using namespace fathom;

namespace {

Tensor counting(const Shape& shape, Dtype dtype) {  // 0, 1, 2, ...
  const Tensor x(shape, dtype);
  visit(dtype, [&]<class T>(T) {
    for (int64_t i = 0; i < x.numel(); ++i) x.data<T>()[i] = T(i);
  });
  return x;
}
constexpr auto subtract = [](auto a, auto b) { return a - b; };

}  // namespace

TEST_CASE("map: contiguous, strided, broadcast, in f32, f64 and i64") {
  for (Dtype dtype : {f32, f64, i64}) {
    const Tensor x = counting({3, 4}, dtype), xt = x.view({4, 3}, {1, 4}), row = counting({4}, dtype);
    const auto run = [&](const Tensor& a, const Tensor& b) { return kernel::map_numbers("sub", subtract, a, b); };
    CHECK(run(x, x).to_vector() == std::vector<double>(12, 0));
    CHECK(run(xt, xt).to_vector() == std::vector<double>(12, 0));
    CHECK(run(x, row).to_vector() == std::vector<double>{0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8});
    CHECK(run(row, x).to_vector() == std::vector<double>{0, 0, 0, 0, -4, -4, -4, -4, -8, -8, -8, -8});
    CHECK(run(xt, counting({3}, dtype)).to_vector() == std::vector<double>{0, 3, 6, 1, 4, 7, 2, 5, 8, 3, 6, 9});
    const Tensor outer = run(counting({2, 1}, dtype), counting({1, 3}, dtype));
    CHECK(outer.shape() == Shape{2, 3});
    CHECK(outer.to_vector() == std::vector<double>{0, -1, -2, 1, 0, -1});
    CHECK(run(x, counting({}, dtype)).to_vector() == x.to_vector());
    CHECK(run(Tensor({0, 4}, dtype), row).shape() == Shape{0, 4});
    CHECK(run(counting({}, dtype), counting({}, dtype)).shape() == Shape{});
  }
}

// A view of memory of its own in which axes are permuted, stepped over and broadcast.
Tensor any_view(const Shape& shape, uint64_t seed, Dtype dtype, bool broadcast) {
  Rng rng(seed);
  int order[Shape::max_rank];
  std::iota(order, order + shape.rank, 0);
  for (int d = shape.rank; d > 1; --d) std::swap(order[d - 1], order[rng.integer(uint64_t(d))]);
  Shape strides = shape;
  int64_t size = 1;
  for (int i = 0; i < shape.rank; ++i) {
    const int d = order[i];
    const bool repeated = broadcast && rng.integer(4) == 0;
    size *= rng.integer(4) == 0 ? 2 : 1;  // a step
    strides[d] = repeated ? 0 : size;
    if (!repeated) size *= shape[d];
  }
  return counting({size + 1}, dtype).view(shape, strides);
}

std::vector<double> elements(const Tensor& x) {
  std::vector<double> found;
  visit_number("elements", x.dtype(), [&]<class T>(T) {
    kernel::each_offset(x.shape(), x.strides(), [&](int64_t at) { found.push_back(double(x.data<T>()[at])); });
  });
  return found;
}

TEST_CASE("map and copy: any strides, rows of any length, as element by element") {
  uint64_t seed = 0;
  for (const Shape& shape : {Shape{7}, Shape{600}, Shape{3, 40}, Shape{40, 3}, Shape{70, 33}, Shape{5, 1, 700},
                             Shape{4, 3, 2, 17}, Shape{2, 20, 3, 16}, Shape{1, 9, 1}, Shape{0, 4}, Shape{}})
    for (int trial = 0; trial < 40; ++trial)
      for (Dtype dtype : {f32, f64, i64}) {
        const Tensor x = any_view(shape, ++seed, dtype, true), y = any_view(shape, ++seed, dtype, true);
        const Tensor out = any_view(shape, ++seed, dtype, false), copied = any_view(shape, ++seed, f64, false);
        const std::vector<double> a = elements(x), b = elements(y);
        std::vector<double> wanted;
        for (size_t i = 0; i < a.size(); ++i) wanted.push_back(a[i] - b[i]);
        visit_number("map", dtype, [&]<class T>(T) { kernel::map_into<T, T, T>(subtract, out, x, y); });
        CHECK(elements(out) == wanted);
        CHECK(kernel::map_numbers("sub", subtract, x, y).to_vector() == wanted);
        kernel::copy(x, copied);
        CHECK(elements(copied) == a);
        kernel::copy(x, out);
        CHECK(elements(out) == a);
      }
}

TEST_CASE("map: large tensors, shared among threads") {
  const Tensor x = counting({100001}, f64);
  const Tensor y = kernel::map(
      "double", [](auto e) { return e + e; }, x);
  bool equal = true;
  for (int64_t i = 0; i < x.numel(); ++i) equal &= y.data<double>()[i] == 2 * double(i);
  CHECK(equal);
}

TEST_CASE_TEMPLATE("map: the functions of vector_math.h keep their accuracy and their special values", T, float,
                   double) {
  constexpr T infinity = std::numeric_limits<T>::infinity(), epsilon = std::numeric_limits<T>::epsilon();
  const Dtype dtype = dtype_of<T>;
  const auto tanh_of = [](const Tensor& x) {
    return kernel::map(
        "tanh", [](auto e) { return fathom::tanh(e); }, x);
  };
  constexpr int64_t n = 100003;
  const Tensor x({n}, dtype);  // of either sign, from the smallest numbers to beyond where the tangent is 1
  for (int64_t i = 0; i < n; ++i) x.data<T>()[i] = T((i % 2 ? -1 : 1) * std::exp2(double(i) / n * 42 - 37));
  const Tensor y = tanh_of(x);
  T worst = 0, largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    const T exact = T(std::tanh(double(x.data<T>()[i])));
    worst = std::max(worst, std::abs(y.data<T>()[i] / exact - 1) / epsilon);
    largest = std::max(largest, std::abs(y.data<T>()[i]));
  }
  CHECK(worst <= (sizeof(T) == 4 ? 2 : 4));  // glibc promises 4
  CHECK(largest == 1);
  const Tensor special({5}, dtype);
  std::ranges::copy(std::array<T, 5>{std::numeric_limits<T>::quiet_NaN(), infinity, -infinity, T(0), T(-0.0)},
                    special.data<T>());
  const Tensor at_special = tanh_of(special);
  const T* t = at_special.data<T>();
  CHECK(std::isnan(t[0]));
  CHECK(t[1] == 1);
  CHECK(t[2] == -1);
  CHECK((t[3] == 0 && !std::signbit(t[3])));
  CHECK((t[4] == 0 && std::signbit(t[4])));
  const Tensor e = kernel::map(
      "exp", [](auto v) { return std::exp(v); }, special);
  CHECK(std::isnan(e.data<T>()[0]));
  CHECK(e.data<T>()[1] == infinity);
  CHECK(e.data<T>()[2] == 0);
}

TEST_CASE("map: the buffer of an input that dies is taken") {
  Tensor x = counting({8}, f32);
  const float* before = x.data<float>();
  const Tensor y = kernel::map(
      "negate", [](auto e) { return -e; }, std::move(x));
  CHECK(y.data<float>() == before);
  const Tensor z = kernel::map(
      "negate", [](auto e) { return -e; }, y);
  CHECK(z.data<float>() != before);
  CHECK(y.to_vector()[3] == -3);
}

TEST_CASE("map: dtypes") {
  const Tensor a = counting({2}, f32), b = counting({2}, f64), k = counting({2}, i64), c = counting({2}, boolean);
  const auto run = [&](const Tensor& p, const Tensor& q) {
    return error_of([&] { kernel::map_numbers("sub", subtract, p, q); });
  };
  CHECK(run(a, b) == "sub: dtypes differ: f32 and f64; convert with .to(f32)");
  CHECK(run(k, b) == "sub: dtypes differ: i64 and f64; convert with .to(f64)");
  CHECK(run(c, c) == "sub: not defined for boolean tensors; convert with .to(i64) or .to(f32)");
  CHECK(error_of([&] {
          kernel::map(
              "exp", [](auto e) { return e; }, k);
        }) == "exp: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([&] { a.data<double>(); }) == "data: asked for f64, the tensor is f32");
  CHECK(error_of([&] { a.item(); }) == "item: the tensor has shape (2), not one element");
  CHECK(error_of([&] { Tensor().shape(); }) ==
        "tensor: it is undefined (made by the default constructor, or an absent gradient)");
}

TEST_CASE("copy: converts, broadcasts, walks strides") {
  const Tensor x = counting({2, 3}, i64), out({3, 2}, f32);
  kernel::copy(x, out.view({2, 3}, {1, 2}));
  CHECK(out.to_vector() == std::vector<double>{0, 3, 1, 4, 2, 5});
  const Tensor wide({2, 3}, f64);
  kernel::copy(counting({3}, f32), wide);
  CHECK(wide.to_vector() == std::vector<double>{0, 1, 2, 0, 1, 2});
  const Tensor flags({3}, boolean);
  kernel::copy(counting({3}, f32), flags);
  CHECK(flags.to_vector<int64_t>() == std::vector<int64_t>{0, 1, 1});
  kernel::copy(Tensor({0, 2}, f32), Tensor({0, 2}, f32));
  const Tensor twin = kernel::clone(x.view({3, 2}, {1, 3}));
  CHECK(twin.is_contiguous());
  CHECK(twin.to_vector() == std::vector<double>{0, 3, 1, 4, 2, 5});
  const int64_t big = (int64_t{1} << 53) + 1;
  const Tensor exact({1}, i64);
  *exact.data<int64_t>() = big;
  CHECK(exact.item<int64_t>() == big);
}
