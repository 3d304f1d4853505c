#include <cmath>
#include <limits>
#include <set>

#include "tests/autograd/op_rows.h"

using namespace op_rows;

namespace {

const Row rows[] = {
    {"sort 0", [](const Tensor& x) { return sort(x, 0).values; }},
    {"sort descending", [](const Tensor& x) { return sort(x, 1, true).values; }},
    {"topk", [](const Tensor& x) { return topk(x, 1, 0).values; }},
};

}  // namespace

TEST_CASE("sort: both modes to second order; strided; of size 1") { check_rows(rows); }

TEST_CASE("sort: of size 0") {
  check_empty([](const Tensor& x) { return sort(x, 0).values; }, {0, 3}, {0, 3});
  check_empty([](const Tensor& x) { return topk(x, 0).values; }, {2, 3}, {2, 0});
  CHECK(multinomial(zeros({0, 3}), 2).shape() == Shape{0, 2});
  CHECK(multinomial(zeros({2, 0}), 0).shape() == Shape{2, 0});
}

TEST_CASE("sort: stable, a NaN largest, either way") {
  const auto [values, indices] = sort(doubles({2, quiet_nan, 1, 2, -inf, inf}));
  CHECK(places(indices) == Whole{4, 2, 0, 3, 5, 1});
  CHECK(values.to_vector()[0] == -inf);
  CHECK(std::isnan(values.to_vector()[5]));
  CHECK(places(sort(doubles({2, quiet_nan, 1, 2, -inf, inf}), 0, true).indices) == Whole{1, 5, 0, 3, 2, 4});
  CHECK(places(sort(doubles({quiet_nan, quiet_nan, 0}), 0, true).indices) == Whole{0, 1, 2});
  const Tensor x = whole({2, 3}, {3, 1, 2, 1, 5, 2});
  CHECK(places(sort(x).values) == Whole{1, 2, 3, 1, 2, 5});
  CHECK(places(sort(x, 0).values) == Whole{1, 1, 2, 3, 5, 2});
  CHECK(places(sort(x, 0).indices) == Whole{1, 0, 0, 0, 1, 1});
  CHECK(sort(tensor({true, false, true})).values.to_vector<bool>() == std::vector<bool>{false, true, true});
  CHECK(places(sort(doubles({0, -0.0, 1, -0.0, -1})).indices) == Whole{4, 0, 1, 3, 2});
  CHECK(places(sort(doubles({-1, -3, -2}).to(f32)).indices) == Whole{1, 2, 0});
  constexpr int64_t least = std::numeric_limits<int64_t>::min(), most = std::numeric_limits<int64_t>::max();
  CHECK(places(sort(whole({5}, {0, most, least, most - 1, -1})).indices) == Whole{2, 4, 0, 3, 1});
  CHECK(places(sort(whole({5}, {0, most, least, most - 1, -1}), 0, true).indices) == Whole{1, 3, 0, 4, 2});
  const Tensor equal = zeros({1000});
  CHECK(places(sort(equal).indices) == places(arange(1000)));
  CHECK(places(sort(equal, 0, true).indices) == places(arange(1000)));
  Tensor leaf = doubles({3, 1, 2}).requires_grad_();
  CHECK(grad(sum(sort(leaf).values * counted({3})), leaf).to_vector() == Numbers{2, 0, 1});
  const Tensor many = normal({40, 500}), sorted = sort(many).values;
  CHECK(all(slice(sorted, 1, 1, 500) >= slice(sorted, 1, 0, 499)).item<bool>());
  CHECK(allclose(gather(many, 1, sort(many).indices), sorted, 0, 0));
}

TEST_CASE("topk: in order, the first of equal ones") {
  const Tensor x = doubles({2, 5, quiet_nan, 5, 1});
  CHECK(places(topk(x, 3).indices) == Whole{2, 1, 3});
  CHECK(places(topk(x, 2, -1, false).indices) == Whole{4, 0});
  CHECK(topk(x, 2, 0, false).values.to_vector() == Numbers{1, 2});
  CHECK(topk(counted({3, 2}), 2, 0).values.to_vector() == Numbers{4, 5, 2, 3});
  Tensor leaf = doubles({3, 1, 2}).requires_grad_();
  CHECK(grad(sum(topk(leaf, 2).values), leaf).to_vector() == Numbers{1, 0, 1});
}

TEST_CASE("multinomial: in proportion to the weights; without replacement each once") {
  Rng rng(7);
  const Tensor weights = doubles({1, 0, 3, 4});
  constexpr int64_t n = 40000;
  const Tensor counts = sum(one_hot(multinomial(weights, n, true, rng), 4), 0);
  const double expected[] = {0.125, 0, 0.375, 0.5};
  for (int64_t i = 0; i < 4; ++i) {
    const double p = expected[i];
    CHECK(std::abs(double(counts[i].item<int64_t>()) / n - p) <= 5 * std::sqrt(p * (1 - p) / n));
  }
  int64_t first[4] = {}, pairs = 0;
  for (int i = 0; i < 8000; ++i) {
    const Whole drawn = places(multinomial(weights, 3, false, rng));
    CHECK(std::set(drawn.begin(), drawn.end()) == std::set<int64_t>{0, 2, 3});
    ++first[drawn[0]];
    pairs += drawn[0] == 3 && drawn[1] == 2;
  }
  CHECK(std::abs(double(first[2]) / 8000 - 0.375) < 5 * std::sqrt(0.375 * 0.625 / 8000));
  CHECK(std::abs(double(pairs) / 8000 - 0.5 * 0.75) < 5 * std::sqrt(0.375 * 0.625 / 8000));  // 3 of the 4 left

  Rng a(3), b(3);
  const Tensor table = rand({5, 6}, {.requires_grad = true});
  const Tensor y = multinomial(table, 4, false, a);
  CHECK(y.shape() == Shape{5, 4});
  CHECK(places(y) == places(multinomial(table, 4, false, b)));
  CHECK(a == b);
  CHECK(!y.history());
}

TEST_CASE("sort: what is wrong is told with both values") {
  const Tensor x = counted({2, 3});
  const auto is = [](const std::string& message, auto&& call) { CHECK(error_of(call) == message); };
  is("topk: k is 4, axis 1 has size 3", [&] { topk(x, 4); });
  is("topk: k is -1, axis 1 has size 3", [&] { topk(x, -1); });
  is("multinomial: a weight of -1.000000", [&] { multinomial(doubles({1, -1}), 1); });
  CHECK(error_of([&] { multinomial(doubles({1, quiet_nan}), 1); }).find("multinomial: a weight of") == 0);
  is("multinomial: the sum of the weights is inf", [&] { multinomial(doubles({1, inf}), 1); });
  is("multinomial: 2 samples from 1 positive weights", [&] { multinomial(doubles({1, 0}), 2); });
  is("multinomial: 1 samples from 0 positive weights", [&] { multinomial(doubles({0, 0}), 1, true); });
  is("multinomial: -1 samples", [&] { multinomial(doubles({1}), -1); });
  CHECK(error_of([&] { multinomial(arange(3), 1); }).find("multinomial: needs a floating tensor") == 0);
  CHECK(error_of([&] { sort(x, 2); }).find("axis") != std::string::npos);
  CHECK(error_of([&] { topk(x, 1, 2); }).find("axis") != std::string::npos);
}
