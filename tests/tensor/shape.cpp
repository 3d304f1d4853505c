#include "fathom/tensor/shape.h"

#include <array>
#include <span>
#include <type_traits>
#include <vector>

#include "fathom/tensor/tensor.h"
#include "tests/support.h"

using namespace fathom;

TEST_CASE("shape: sizes, equality, changes") {
  Shape s{2, 3, 4};
  CHECK(s.numel() == 24);
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{3, 0}.numel() == 0);
  CHECK(s == Shape{2, 3, 4});
  CHECK(s != Shape{2, 3});
  s.insert(1, 7);
  CHECK(s == Shape{2, 7, 3, 4});
  s.erase(0);
  CHECK(s == Shape{7, 3, 4});
  s.push_back(9);
  CHECK(s == Shape{7, 3, 4, 9});
  CHECK(to_string(s) == "(7, 3, 4, 9)");
  CHECK(to_string(Shape{}) == "()");
}

TEST_CASE("shape: of lists") {
  const std::vector<int64_t> list = {2, 0, 5};
  CHECK(Shape(list) == Shape{2, 0, 5});
  CHECK(Shape(std::array<int64_t, 2>{4, 3}) == Shape{4, 3});
  CHECK(Shape(std::span<const int64_t>(list).first(2)) == Shape{2, 0});
  CHECK(Shape(list.data(), 1) == Shape{2});
  CHECK(Shape(std::vector<int64_t>()) == Shape{});
  CHECK(error_of([] { Shape(std::vector<int64_t>(9, 1)); }) == "shape: at most 8 axes, got 9");
  static_assert(!std::is_constructible_v<Shape, std::vector<float>>);
}

TEST_CASE("shape: at most eight axes") {
  Shape eight{1, 1, 1, 1, 1, 1, 1, 1};
  CHECK(eight.rank == 8);
  CHECK(error_of([] { Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; }) == "shape: at most 8 axes, got 9");
  CHECK(error_of([&] { eight.push_back(1); }) == "shape: at most 8 axes, got 9");
  CHECK(error_of([&] { eight.insert(0, 1); }) == "shape: at most 8 axes, got 9");
}

TEST_CASE("shape: sizes that no tensor can have are errors before anything is allocated") {
  const int64_t before = pool::system_requests(), live = Storage::live;
  const auto message = [](const Shape& shape, Dtype dtype) { return error_of([&] { Tensor(shape, dtype); }); };
  const int64_t two_to_32 = int64_t{1} << 32;
  CHECK(message({two_to_32, two_to_32}, f32) == "shape: (4294967296, 4294967296) of f32 is more than 2^48 bytes");
  CHECK(message({2, 2, 1, int64_t{1} << 61}, f32) ==
        "shape: (2, 2, 1, 2305843009213693952) of f32 is more than 2^48 bytes");
  CHECK(message({int64_t{1} << 46}, f64) == "shape: (70368744177664) of f64 is more than 2^48 bytes");
  CHECK(message({2, -3}, i64) == "shape: a size is negative: (2, -3)");
  CHECK(message({0, -1}, i64) == "shape: a size is negative: (0, -1)");
  CHECK(message({0, two_to_32, two_to_32}, boolean) != "");
  CHECK(pool::system_requests() == before);
  CHECK(Storage::live == live);
  CHECK(checked_bytes({3, 5}, f64) == 120);
  CHECK(checked_bytes({3, 5}, boolean) == 15);
  CHECK(checked_bytes({3, 0}, f64) == 0);
}

TEST_CASE("shape: strides and contiguity") {
  CHECK(row_major({2, 3, 4}) == Shape{12, 4, 1});
  CHECK(is_row_major({2, 3}, {3, 1}));
  CHECK(!is_row_major({2, 3}, {1, 2}));
  CHECK(is_row_major({1, 3}, {77, 1}));
  CHECK(is_row_major({0, 3}, {5, 9}));
  CHECK(is_row_major({}, {}));
}

TEST_CASE("shape: axes") {
  CHECK(axis("op", -1, 3) == 2);
  CHECK(axis("op", 0, 3) == 0);
  CHECK(error_of([] { axis("sum", 3, 3); }) == "sum: axis 3 of a tensor of rank 3");
  CHECK(error_of([] { axis("sum", -4, 3); }) == "sum: axis -4 of a tensor of rank 3");
  CHECK(axis_bits("op", {}, 3) == 7);
  CHECK(axis_bits("op", {0, -1}, 3) == 5);
  CHECK(error_of([] { axis_bits("mean", {1, -2}, 3); }) == "mean: axis -2 is named twice in (1, -2)");
}

TEST_CASE("shape: broadcasting is NumPy's") {
  CHECK(broadcast("add", {2, 3}, {3}) == Shape{2, 3});
  CHECK(broadcast("add", {2, 1}, {1, 3}) == Shape{2, 3});
  CHECK(broadcast("add", {}, {4, 5}) == Shape{4, 5});
  CHECK(broadcast("add", {0}, {1}) == Shape{0});
  CHECK(broadcast("add", {5, 1, 0}, {2, 1}) == Shape{5, 2, 0});
  CHECK(error_of([] { broadcast("add", {2, 3}, {2}); }) == "add: shapes do not broadcast: (2, 3) and (2)");
  CHECK(error_of([] { broadcast("mul", {0}, {2}); }) == "mul: shapes do not broadcast: (0) and (2)");
  CHECK(broadcast_strides({3}, {1}, {2, 3}) == Shape{0, 1});
  CHECK(broadcast_strides({2, 1}, {1, 1}, {2, 3}) == Shape{1, 0});
}
