#include "fathom/autograd/ops/compare.h"

#include <cmath>
#include <limits>

#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"
#include "tests/support.h"

using namespace fathom;

namespace {

constexpr double NaN = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();
using Flags = std::vector<bool>;
Flags flags(const Tensor& x) {
  CHECK(x.dtype() == boolean);
  CHECK(!x.requires_grad());
  return x.to_vector<bool>();
}

}  // namespace

TEST_CASE("comparisons in every dtype, with tensors and numbers") {
  for (Dtype dtype : {f32, f64, i64}) {
    const Tensor a = from_data(std::vector{1.0, 2.0, 3.0}, {3}, {.dtype = dtype});
    const Tensor b = from_data(std::vector{2.0, 2.0, 2.0}, {3}, {.dtype = dtype}).requires_grad_(dtype != i64);
    CHECK(flags(a == b) == Flags{false, true, false});
    CHECK(flags(a != b) == Flags{true, false, true});
    CHECK(flags(a < b) == Flags{true, false, false});
    CHECK(flags(a <= b) == Flags{true, true, false});
    CHECK(flags(a > b) == Flags{false, false, true});
    CHECK(flags(a >= b) == Flags{false, true, true});
    CHECK(flags(a == 2) == Flags{false, true, false});
    CHECK(flags(a != 2) == Flags{true, false, true});
    CHECK(flags(a < 2) == Flags{true, false, false});
    CHECK(flags(a <= 2) == Flags{true, true, false});
    CHECK(flags(a > 2) == Flags{false, false, true});
    CHECK(flags(a >= 2) == Flags{false, true, true});
  }
  CHECK(flags(tensor({true, false}) == tensor({true, true})) == Flags{true, false});
  CHECK(flags(tensor({true, false}) == 1) == Flags{true, false});
  const Tensor x = tensor({NaN, 1.0});
  CHECK(flags(x == x) == Flags{false, true});
  CHECK(flags(x != x) == Flags{true, false});
  CHECK(flags(x < 2) == Flags{false, true});
  const Tensor outer = tensor({{1}, {2}}) < tensor({1, 2, 3});
  CHECK(outer.shape() == Shape{2, 3});
  CHECK(flags(outer) == Flags{false, true, true, false, false, true});
  CHECK((zeros({0, 3}) < zeros({3})).shape() == Shape{0, 3});
}

TEST_CASE("logic of boolean tensors") {
  const Tensor a = tensor({true, true, false, false}), b = tensor({true, false, true, false});
  CHECK(flags(!a) == Flags{false, false, true, true});
  CHECK(flags(a && b) == Flags{true, false, false, false});
  CHECK(flags(a || b) == Flags{true, true, true, false});
  CHECK(error_of([] { !tensor({1}); }) == "!: needs a boolean tensor, got i64; compare it with 0");
  CHECK(error_of([&] { a&& tensor({1}); }) == "&&: needs a boolean tensor, got i64; compare it with 0");
  CHECK(error_of([&] { tensor({1.0}) || a; }) == "||: needs a boolean tensor, got f32; compare it with 0");
}

TEST_CASE("any and all over axes") {
  const Tensor x = tensor({{0.0, 1.0, 0.0}, {2.0, 3.0, 0.0}});
  CHECK(any(x).shape() == Shape{});
  CHECK(any(x).item<bool>());
  CHECK(!all(x).item<bool>());
  CHECK(flags(any(x, 0)) == Flags{true, true, false});
  CHECK(flags(all(x, 0)) == Flags{false, true, false});
  CHECK(flags(any(x, 1)) == Flags{true, true});
  CHECK(flags(all(transpose(x), -1)) == Flags{false, true, false});
  CHECK(flags(any(transpose(x), 0)) == Flags{true, true});
  CHECK(any(x, 1, true).shape() == Shape{2, 1});
  CHECK(all(x, {0, 1}, true).shape() == Shape{1, 1});
  CHECK(flags(any(expand(tensor({0, 1}), {3, 2}), 0)) == Flags{false, true});
  CHECK(any(tensor(NaN)).item<bool>());
  CHECK(!any(zeros({0})).item<bool>());
  CHECK(all(zeros({0})).item<bool>());
  CHECK(flags(all(zeros({2, 0}), 1)) == Flags{true, true});
  CHECK(all(zeros({2, 0}), 0).shape() == Shape{0});
  CHECK(error_of([&] { any(x, 2); }).find("any: ") == 0);
  CHECK(error_of([&] { all(x, {0, 0}); }).find("all: ") == 0);
}

TEST_CASE("isnan, isfinite, allclose") {
  const Tensor x = tensor({NaN, inf, -inf, 1.0});
  CHECK(flags(isnan(x)) == Flags{true, false, false, false});
  CHECK(flags(isfinite(x)) == Flags{false, false, false, true});
  CHECK(flags(isfinite(tensor({1, 2}))) == Flags{true, true});
  CHECK(flags(isnan(tensor({1, 2}))) == Flags{false, false});

  CHECK(allclose(tensor({1.0, 2.0}), tensor({1.0, 2.00001})));
  CHECK(!allclose(tensor({1.0, 2.0}), tensor({1.0, 2.001})));
  CHECK(allclose(tensor({1.0, 2.0}), tensor({1.0, 2.001}), 1e-3));
  CHECK(allclose(tensor({0.0}), tensor({0.1}), 0, 0.2));
  CHECK(!allclose(x, x));
  CHECK(allclose(x, x, 1e-5, 1e-8, true));
  CHECK(allclose(tensor({inf}), tensor({inf})));
  CHECK(!allclose(tensor({1.0}), tensor({inf})));
  CHECK(!allclose(tensor({inf}), tensor({-inf})));
  CHECK(allclose(ones({2, 3}), ones({})));
  CHECK(allclose(zeros({0}), zeros({0})));
  CHECK(error_of([] { allclose(zeros({2}), zeros({3})); }).find("(2) and (3)") != std::string::npos);
}

TEST_CASE("where: within the logarithm too, there is a slope where the logarithm has none") {
  const Tensor x = tensor({0.0, 2.0}).requires_grad_(), c = x > 0;
  CHECK(grad(sum(where(c, log(where(c, x, 1)), 0)), x).to_vector() == std::vector<double>{0, 0.5});
  CHECK(std::isnan(grad(sum(where(c, log(x), 0)), x).to_vector()[0]));
}

TEST_CASE("where: values of every dtype, and errors") {
  const Tensor c = tensor({true, false});
  CHECK(where(c, tensor({1, 2}), tensor({3, 4})).to_vector() == std::vector<double>{1, 4});
  CHECK(where(c, tensor({1, 2}), 9).to_vector() == std::vector<double>{1, 9});
  CHECK(where(c, 9, tensor({1, 2})).to_vector() == std::vector<double>{9, 2});
  CHECK(where(c, c, !c).to_vector<bool>() == Flags{true, true});
  CHECK(where(c, tensor({{1.0}, {2.0}}), tensor(0.5)).to_vector() == std::vector<double>{1, 0.5, 2, 0.5});
  CHECK(where(c, zeros({0, 1}), 1).shape() == Shape{0, 2});
  CHECK(error_of([&] { where(tensor({1, 0}), c, c); }) == "where: needs a boolean tensor, got i64; compare it with 0");
  CHECK(error_of([&] {
          where(c, tensor({1, 2}), tensor({1.0, 2.0}));
        }) == "where: dtypes differ: i64 and f32; convert with .to(f32)");
  CHECK(error_of([&] {
          where(c, tensor({1, 2}), 0.5);
        }) == "where: the number 0.500000 with a tensor of i64; convert with .to(f32)");
  CHECK(error_of([&] { where(c, zeros({3}), 0); }).find("(2) and (3)") != std::string::npos);
}

TEST_CASE("errors of comparisons") {
  CHECK(error_of([] { return zeros({2}) < tensor({1, 2}); }) == "<: dtypes differ: f32 and i64; convert with .to(f32)");
  CHECK(error_of([] { return tensor({1}) > 0.5; }) ==
        ">: the number 0.500000 with a tensor of i64; convert with .to(f32)");
  CHECK(error_of([] { return tensor({1}) < inf; }).find("<: the number inf") == 0);
  CHECK(error_of([] { return tensor({true}) == 2; }).find("==: the number 2") == 0);
  CHECK(error_of([] { return zeros({2}) == zeros({3}); }).find("==") == 0);
}
