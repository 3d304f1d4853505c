#include "fathom/tensor/print.h"

#include <cmath>
#include <sstream>

#include "fathom/tensor/kernels/map.h"
#include "tests/support.h"

using namespace fathom;

namespace {

template <class T>
Tensor of(const Shape& shape, std::initializer_list<T> numbers) {
  const Tensor x(shape, dtype_of<T>);
  std::copy(numbers.begin(), numbers.end(), x.data<T>());
  return x;
}

}  // namespace

TEST_CASE("print: numbers are aligned, with the decimals they need") {
  CHECK(to_string(of<float>({2, 2}, {1, -2.5f, 10, 0.25f})) == "[[ 1.00, -2.50],\n [10.00,  0.25]]");
  CHECK(to_string(of<float>({3}, {1, 2, -3})) == "[ 1.,  2., -3.]");
  CHECK(to_string(of<float>({2}, {1.0f / 3, 2})) == "[0.3333, 2.0000]");
  CHECK(to_string(of<double>({2}, {0.5, 2})) == "[0.5, 2.0] f64");
  CHECK(to_string(of<int64_t>({3}, {1, -20, 3})) == "[  1, -20,   3]");
  CHECK(to_string(of<bool>({2}, {true, false})) == "[ true, false]");
  CHECK(to_string(of<float>({2}, {1e-7f, 1})) == "[1.0000e-07, 1.0000e+00]");
}

TEST_CASE("print: not finite, rank 0, empty, undefined") {
  CHECK(to_string(of<float>({3}, {NAN, INFINITY, -INFINITY})) == "[ nan,  inf, -inf]");
  CHECK(to_string(of<float>({2}, {NAN, 0.5f})) == "[nan, 0.5]");
  CHECK(to_string(of<float>(Shape{}, {2.5f})) == "2.5");
  CHECK(to_string(of<int64_t>(Shape{}, {7})) == "7");
  CHECK(to_string(Tensor({0}, f32)) == "[]");
  CHECK(to_string(Tensor({2, 0}, i64)) == "[] (2, 0) i64");
  CHECK(to_string(Tensor()) == "undefined");
}

TEST_CASE("print: views, nested brackets, shortening") {
  const Tensor x = of<int64_t>({2, 1, 2}, {1, 2, 3, 4});
  CHECK(to_string(x) == "[[[1, 2]],\n\n [[3, 4]]]");
  CHECK(to_string(x.view({2, 2}, {1, 2})) == "[[1, 3],\n [2, 4]]");
  const Tensor big = kernel::full({1001}, 1, f32);
  CHECK(to_string(big) == "[1., 1., 1., ..., 1., 1., 1.] (1001) f32");
  const std::string wide = to_string(kernel::full({400, 3}, 2, i64));
  CHECK(wide == "[[2, 2, 2],\n [2, 2, 2],\n [2, 2, 2],\n ...,\n [2, 2, 2],\n [2, 2, 2],\n [2, 2, 2]]\n(400, 3) i64");
  CHECK(to_string(kernel::full({1000}, 1, f32)).find("...") == std::string::npos);
}

TEST_CASE("print: streams") {
  std::ostringstream out;
  out << Shape{2, 3} << " " << of<float>({1}, {4}) << " " << f32 << " " << boolean;
  CHECK(out.str() == "(2, 3) [4.] f32 boolean");
}
