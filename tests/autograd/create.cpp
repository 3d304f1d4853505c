#include "fathom/autograd/create.h"

#include <limits>

#include "fathom/autograd/backward.h"
#include "tests/support.h"

using namespace fathom;
using Numbers = std::vector<double>;

TEST_CASE("tensor() takes its dtype from the numbers") {
  CHECK(tensor({1, 2}).dtype() == i64);
  CHECK(tensor({1.0, 2.0}).dtype() == f32);
  CHECK(tensor({1.0, 2}).dtype() == f32);
  CHECK(tensor({true, false}).dtype() == boolean);
  CHECK(tensor({true, false}).to_vector<bool>() == std::vector<bool>{true, false});
  CHECK(tensor({1, 2}, {.dtype = f64}).dtype() == f64);
  CHECK(tensor({1, 0}, {.dtype = boolean}).to_vector<bool>() == std::vector<bool>{true, false});
  CHECK(tensor({int64_t{1} << 60 | 1}).item<int64_t>() == (int64_t{1} << 60 | 1));
  CHECK(tensor({0.1}, {.dtype = f64}).item() == 0.1);
}

TEST_CASE("tensor() takes its shape from the lists") {
  CHECK(tensor(3.5).shape() == Shape{});
  CHECK(tensor(3.5).item() == 3.5);
  CHECK(tensor({5}).shape() == Shape{1});
  const Tensor x = tensor({{1.f, 2.f}, {3.f, 4.f}, {5.f, 6.f}});
  CHECK(x.shape() == Shape{3, 2});
  CHECK(x.to_vector() == Numbers{1, 2, 3, 4, 5, 6});
  CHECK(tensor({{1, 2}}).shape() == Shape{1, 2});
  CHECK(tensor({{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}).shape() == Shape{2, 2, 2});
  CHECK(tensor({}, {.dtype = f64}).shape() == Shape{0});
}

TEST_CASE("tensor() says what is wrong") {
  CHECK(error_of([] { tensor({{1, 2}, {3}}); }) == "tensor: lists of different lengths: (2) and (1)");
  CHECK(error_of([] { tensor({{1, 2}, {3, 4, 5}}); }) == "tensor: lists of different lengths: (2) and (3)");
  CHECK(error_of([] { tensor({{1, 2}, 3}); }) != "");
  CHECK(error_of([] { tensor({1.5, 2.0}, {.dtype = i64}); }) == "tensor: the number 1.500000 for a tensor of i64");
  CHECK(error_of([] { tensor({1, 2}, {.requires_grad = true}); }) != "");
}

TEST_CASE("requires_grad makes leaves") {
  const Tensor x = tensor({1.0, 2.0}, {.dtype = f64, .requires_grad = true});
  CHECK(x.requires_grad());
  CHECK(x.dtype() == f64);
  CHECK(zeros({2}, {.requires_grad = true}).requires_grad());
  CHECK(!zeros({2}).requires_grad());
}

TEST_CASE("from_data copies numbers of any type") {
  const std::vector<double> d{1.5, 2, 3, 4};
  CHECK(from_data(d, {2, 2}).dtype() == f64);
  CHECK(from_data(d, {2, 2}, {.dtype = f32}).to_vector() == d);
  CHECK(from_data(std::vector<float>{1, 2}, {2}).dtype() == f32);
  CHECK(from_data(std::vector<int>{1, 2}, {2}).dtype() == i64);
  CHECK(from_data(std::vector<uint8_t>{1, 255}, {2}).to_vector<int64_t>() == std::vector<int64_t>{1, 255});
  CHECK(from_data(std::vector<bool>{true, false}, {2}).dtype() == boolean);
  CHECK(from_data(std::span(d), {4}).to_vector() == d);
  CHECK(error_of([&] { from_data(d, {3}); }) == "from_data: 4 numbers for the shape (3)");
  CHECK(error_of([&] { from_data(d, {4}, {.dtype = i64}); }) == "from_data: the number 1.500000 for a tensor of i64");
  CHECK(error_of([&] { from_data(d, {-4, -1}); }) != "");
}

TEST_CASE("zeros, ones, full, eye") {
  CHECK(zeros({2, 2}).to_vector() == Numbers{0, 0, 0, 0});
  CHECK(ones({2}, {.dtype = i64}).dtype() == i64);
  CHECK(full({2}, 2.5).to_vector() == Numbers{2.5, 2.5});
  CHECK(eye(2, {.dtype = f64}).to_vector() == Numbers{1, 0, 0, 1});
  CHECK(eye(0).shape() == Shape{0, 0});
  CHECK(zeros_like(ones({3}, {.dtype = i64})).dtype() == i64);
  CHECK(ones_like(zeros({1, 2})).to_vector() == Numbers{1, 1});
  CHECK(full_like(zeros({1, 2}, {.dtype = f64, .requires_grad = true}), 0.1).to_vector() == Numbers{0.1, 0.1});
  CHECK(full_like(tensor({1, 2}), 7).to_vector<int64_t>() == std::vector<int64_t>{7, 7});
  CHECK(error_of([] { full_like(tensor({1, 2}), 0.5); }) == "full: the number 0.500000 for a tensor of i64");
  CHECK(error_of([] { full({2}, 0.5, {.dtype = i64}); }) == "full: the number 0.500000 for a tensor of i64");
  CHECK(error_of([] { full({2}, 0x1p63, {.dtype = i64}); }) ==
        "full: the number 9223372036854775808.000000 for a tensor of i64");
  CHECK(error_of([] { from_data(std::vector{-1e19}, {1}, {.dtype = i64}); }) ==
        "from_data: the number -10000000000000000000.000000 for a tensor of i64");
  CHECK(full({1}, 0x1p62, {.dtype = i64}).item<int64_t>() == int64_t{1} << 62);
  CHECK(error_of([] { full({2}, std::numeric_limits<double>::infinity(), {.dtype = i64}); }) != "");
}

TEST_CASE("arange and linspace") {
  CHECK(arange(3).to_vector<int64_t>() == std::vector<int64_t>{0, 1, 2});
  CHECK(arange(3).dtype() == i64);
  CHECK(arange(3, {.dtype = f32}).dtype() == f32);
  CHECK(arange(1, 2, 0.25).to_vector() == Numbers{1, 1.25, 1.5, 1.75});
  CHECK(arange(1.0, 3.0).dtype() == f32);
  CHECK(arange(2, 0, -1).to_vector() == Numbers{2, 1});
  CHECK(arange(2, 7, 2).to_vector<int64_t>() == std::vector<int64_t>{2, 4, 6});
  CHECK(arange(2, 8, int64_t{2}).dtype() == i64);
  CHECK(arange(0, 2, 1, {.dtype = f64}).dtype() == f64);
  constexpr int64_t most = std::numeric_limits<int64_t>::max(), least = std::numeric_limits<int64_t>::min();
  CHECK(arange(most - 1, most).item<int64_t>() == most - 1);
  CHECK(arange(least, most, most).to_vector<int64_t>() == std::vector<int64_t>{least, -1, most - 1});
  CHECK(arange(most, least, least).to_vector<int64_t>() == std::vector<int64_t>{most, -1});
  CHECK(error_of([&] { arange(least, most); }) == "arange: 18446744073709551615 numbers are too many");
  CHECK(error_of([] { arange(0, 1, 0); }) == "arange: from 0 to 1 by 0");
  CHECK(arange(1, 0).shape() == Shape{0});
  CHECK(linspace(0, 1, 5).to_vector() == Numbers{0, 0.25, 0.5, 0.75, 1});
  CHECK(linspace(2, 3, 1).to_vector() == Numbers{2});
  CHECK(linspace(-1, 0.3, 14, {.dtype = f64}).to_vector().back() == 0.3);
  CHECK(error_of([] { arange(0.0, 1.0, 0.0); }) != "");
}

TEST_CASE("random tensors repeat with their seed") {
  manual_seed(3);
  const Tensor a = randn({4, 5}), u = rand({100}), i = randint(-2, 3, {100});
  manual_seed(3);
  CHECK(randn({4, 5}).to_vector() == a.to_vector());
  CHECK(rand({100}).to_vector() == u.to_vector());
  Rng first(7), second(7);
  const Tensor like = zeros({5, 4}, {.dtype = f64, .requires_grad = true}).transpose();
  CHECK(randn_like(like, first).to_vector() == randn({4, 5}, {.dtype = f64}, second).to_vector());
  CHECK(rand_like(like, first).to_vector() == rand({4, 5}, {.dtype = f64}, second).to_vector());
  CHECK(!rand_like(like).requires_grad());
  CHECK(error_of([] { randn_like(tensor({1})); }) != "");
  for (double x : u.to_vector()) CHECK((x >= 0 && x < 1));
  bool low = false, high = false;
  for (int64_t x : i.to_vector<int64_t>()) {
    CHECK((x >= -2 && x <= 2));
    low |= x == -2;
    high |= x == 2;
  }
  CHECK(low);
  CHECK(high);
  Rng own(7);
  const Tensor b = randn({3}, {.dtype = f64}, own);
  CHECK(own.position == 3);
  CHECK(b.dtype() == f64);
  CHECK(error_of([] { randint(3, 3, {2}); }) == "randint: no number from 3 to below 3");
}
