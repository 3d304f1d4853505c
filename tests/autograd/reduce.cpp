#include "fathom/autograd/ops/reduce.h"

#include <cmath>
#include <limits>

#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "tests/autograd/tensors.h"
#include "tests/support.h"

using namespace fathom;

namespace {

using Numbers = std::vector<double>;
using Whole = std::vector<int64_t>;
constexpr double inf = std::numeric_limits<double>::infinity(), quiet_nan = std::numeric_limits<double>::quiet_NaN();

Tensor doubles(const Numbers& x) { return from_data(x, {int64_t(x.size())}); }

// Every reduction of a floating tensor under one signature.
struct Reduction {
  const char* name;
  Tensor (*f)(const Tensor&, const Axes&, bool);
};
const Reduction smooth[] = {
    {"sum", [](const Tensor& x, const Axes& a, bool k) { return sum(x, a, k); }},
    {"mean", [](const Tensor& x, const Axes& a, bool k) { return mean(x, a, k); }},
    {"var", [](const Tensor& x, const Axes& a, bool k) { return var(x, a, k); }},
    {"var of all", [](const Tensor& x, const Axes& a, bool k) { return var(x, a, k, 0); }},
    {"std", [](const Tensor& x, const Axes& a, bool k) { return fathom::std(x, a, k); }},
    {"prod", [](const Tensor& x, const Axes& a, bool k) { return prod(x, a, k); }},
    {"amax", [](const Tensor& x, const Axes& a, bool k) { return amax(x, a, k); }},
    {"amin", [](const Tensor& x, const Axes& a, bool k) { return amin(x, a, k); }},
    {"logsumexp", [](const Tensor& x, const Axes& a, bool k) { return logsumexp(x, a, k); }},
    {"norm", [](const Tensor& x, const Axes& a, bool k) { return norm(x, 2, a, k); }},
    {"norm 1", [](const Tensor& x, const Axes& a, bool k) { return norm(x, 1, a, k); }},
    {"norm 3", [](const Tensor& x, const Axes& a, bool k) { return norm(x, 3, a, k); }},
    {"norm inf", [](const Tensor& x, const Axes& a, bool k) { return norm(x, inf, a, k); }},
};
const Axes axes_of_rank_3[] = {{}, 0, 1, 2, {0, 1}, {1, 2}, {0, 2}, {-1, 0, 1}};

}  // namespace

TEST_CASE("reductions: both modes to second order, over any axes, also of strided tensors") {
  const Tensor x = normal({3, 2, 4});
  for (const Reduction& op : smooth)
    for (const Axes& axes : axes_of_rank_3)
      for (const bool keepdim : {false, true}) {
        INFO(op.name << " over " << to_string(axes) << " keepdim " << keepdim);
        const auto plain = [&](auto in) { return op.f(in[0], axes, keepdim); };
        const auto strided = [&](auto in) { return op.f(permute(in[0], {2, 0, 1}), axes, keepdim); };
        CHECK_NOTHROW(check_grads(plain, {x}));
        CHECK_NOTHROW(check_grads(strided, {x}));
      }
  CHECK_NOTHROW(check_grads([](auto in) { return prod(in[0]); }, {normal({7})}, {.order = 3}));
}

TEST_CASE("reductions: a strided tensor gives what its copy gives") {
  const Tensor x = permute(normal({5, 4, 6, 3}), {2, 0, 3, 1}), copy = x.contiguous();
  REQUIRE(!x.is_contiguous());
  for (const Reduction& op : smooth)
    for (const Axes& axes : {Axes{}, Axes{0}, Axes{3}, Axes{1, 2}, Axes{0, 3}, Axes{0, 2}}) {
      INFO(op.name << " over " << to_string(axes));
      const Tensor a = op.f(x, axes, false), b = op.f(copy, axes, false);
      CHECK(a.shape() == b.shape());
      CHECK(allclose(a, b, 1e-13, 1e-13));
    }
  CHECK(argmax(x, 1).to_vector<int64_t>() == argmax(copy, 1).to_vector<int64_t>());
  CHECK(cumsum(x, 2).to_vector() == cumsum(copy, 2).to_vector());
}

TEST_CASE("reductions: shapes") {
  const Tensor x = normal({3, 2, 4});
  for (const Reduction& op : smooth) {
    INFO(op.name);
    CHECK(op.f(x, {}, false).shape() == Shape{});
    CHECK(op.f(x, {}, true).shape() == Shape{1, 1, 1});
    CHECK(op.f(x, 1, false).shape() == Shape{3, 4});
    CHECK(op.f(x, {0, -1}, true).shape() == Shape{1, 2, 1});
    CHECK(error_of([&] { op.f(x, 3, false); }) != "");
    CHECK(error_of([&] { op.f(x, {1, -2}, false); }).find("twice") != std::string::npos);
  }
}

TEST_CASE("reductions: a NaN in gives a NaN out") {
  for (const int64_t size : {1, 3, 40, 5000})
    for (const Dtype dtype : {f32, f64})
      for (const int64_t at : {int64_t{0}, size / 2, size - 1}) {
        Tensor x = ones({size + 1}, {.dtype = dtype});
        x.slice(0, at, at + 1).fill_(quiet_nan);
        for (const Reduction& op : smooth) {
          INFO(op.name << " of " << size << " with a NaN at " << at);
          CHECK(std::isnan(op.f(x, {}, false).item()));
          CHECK(std::isnan(op.f(x.unsqueeze(1).expand({size + 1, 2}).contiguous(), 0, false)[1].item()));
        }
        CHECK(argmax(x).item<int64_t>() == at);
        CHECK(argmin(x).item<int64_t>() == at);
        CHECK(std::isnan(cumsum(x, 0)[size].item()));
      }
}

TEST_CASE("sum: values, dtypes, accuracy") {
  const Tensor x = tensor({{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}});
  CHECK(x.sum().item() == 21);
  CHECK(x.sum(0).to_vector() == Numbers{5, 7, 9});
  CHECK(x.sum(1).to_vector() == Numbers{6, 15});
  CHECK(sum(tensor({true, true, false})).dtype() == i64);
  CHECK(sum(tensor({true, true, false})).item<int64_t>() == 2);
  const int64_t large = (int64_t{1} << 60) + 1;
  CHECK(sum(from_data(Whole{large, 1}, {2})).item<int64_t>() == large + 1);
  CHECK(sum(zeros({0})).item() == 0);
  CHECK(sum(zeros({3, 0}), 1).to_vector() == Numbers{0, 0, 0});
  CHECK(sum(zeros({3, 0}), 0).shape() == Shape{0});
  CHECK(sum(tensor(3.5)).item() == 3.5);
  const Tensor many = full({1 << 20, 3}, 0.1);
  for (const Tensor& s : {many.sum() / 3.0, many.sum(0)[1], many.transpose().sum(1)[2]})
    CHECK(s.item() == doctest::Approx(double(0.1f) * (1 << 20)).epsilon(3e-6));
}

TEST_CASE("sum_to undoes broadcasting") {
  const Tensor x = normal({2, 3, 4});
  CHECK(sum_to(x, {3, 1}).shape() == Shape{3, 1});
  CHECK(allclose(sum_to(x, {3, 1}), sum(x, {0, 2}).reshape({3, 1})));
  CHECK(allclose(sum_to(x, {}), sum(x)));
  CHECK(sum_to(x, {2, 3, 4}).is_same(x));
  CHECK_NOTHROW(check_grads([](auto in) { return sum_to(square(in[0]), {3, 1}); }, {x}));
  CHECK(error_of([&] { sum_to(x, {5, 4}); }) != "");
}

TEST_CASE("reductions over an empty axis") {
  const Tensor x = zeros({3, 0}, {.dtype = f64});
  CHECK(error_of([&] { mean(x); }) == "mean: over an empty axis of shape (3, 0)");
  CHECK(error_of([&] { amax(x, 1); }) == "amax: over an empty axis of shape (3, 0)");
  CHECK(error_of([&] { amin(x, 1); }) == "amin: over an empty axis of shape (3, 0)");
  CHECK(error_of([&] { argmax(x, 1); }) == "argmax: over an empty axis of shape (3, 0)");
  CHECK(error_of([&] { argmin(x, 1); }) == "argmin: over an empty axis of shape (3, 0)");
  CHECK(mean(x, 0).shape() == Shape{0});
  CHECK(amax(x, 0).shape() == Shape{0});
  CHECK(argmax(x, 0).shape() == Shape{0});
  CHECK(prod(x, 1).to_vector() == Numbers{1, 1, 1});
  CHECK(norm(x, 2, 1).to_vector() == Numbers{0, 0, 0});
  CHECK(logsumexp(x, 1).to_vector() == Numbers{-inf, -inf, -inf});
  CHECK(cumsum(x, 1).shape() == Shape{3, 0});
  const Tensor leaf = zeros({3, 0}, {.dtype = f64, .requires_grad = true});
  CHECK(grad(sum(prod(leaf, 1)), leaf).shape() == Shape{3, 0});
}

TEST_CASE("std: of numbers whose squares leave f32's range") {
  for (const double unit : {1e-30, 1.0, 1e25}) {
    const Tensor x = tensor({0.0, unit, 2 * unit}, {.requires_grad = true}), y = fathom::std(x);
    CHECK(y.item() == doctest::Approx(unit).epsilon(1e-6));
    const auto slope = grad(y, x).to_vector();
    CHECK(slope[0] == doctest::Approx(-0.5));
    CHECK(std::abs(slope[1]) < 1e-6);
    CHECK(slope[2] == doctest::Approx(0.5));
  }
  CHECK(error_of([] { fathom::std(ones({1})); }) == "std: of 1 numbers with correction 1");
}

TEST_CASE("mean, var and std") {
  const Tensor x = doubles({1, 2, 4, 9});
  CHECK(mean(x).item() == 4);
  CHECK(var(x).item() == doctest::Approx(38.0 / 3));
  CHECK(var(x, {}, false, 0).item() == 9.5);
  CHECK(fathom::std(x, {}, false, 0).item() == doctest::Approx(std::sqrt(9.5)));
  CHECK(error_of([] { mean(tensor({1, 2})); }) == "mean: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([] { var(ones({1})); }) == "var: of 1 numbers with correction 1");
  CHECK(var(full({1000}, 1e4) + tensor({1.0})).item() == 0);  // no cancellation
  Tensor equal = ones({3}, {.dtype = f64, .requires_grad = true});
  CHECK(grad(fathom::std(equal), equal).to_vector() == Numbers{0, 0, 0});
}

TEST_CASE("prod: zeros are right to second order") {
  CHECK(prod(doubles({2, 3, 4, 5, 6})).item() == 720);
  CHECK(prod(tensor({2, 3, 4})).dtype() == i64);
  CHECK(prod(tensor({true, false})).item<int64_t>() == 0);
  for (const Numbers& numbers : {Numbers{2, 0, 3, 5}, Numbers{0, 2, 0}, Numbers{0, 0, 0, 1, 2}, Numbers{0}, Numbers{7}})
    CHECK_NOTHROW(check_grads([](auto in) { return prod(in[0]); }, {doubles(numbers)}));
  Tensor x = doubles({2, 0, 3}).requires_grad_();
  CHECK(grad(prod(x), x).to_vector() == Numbers{0, 6, 0});
  Tensor two = doubles({0, 0, 3}).requires_grad_();
  CHECK(hvp(prod(two), two, doubles({1, 0, 0})).to_vector() == Numbers{0, 3, 0});
}

TEST_CASE("amax and amin: equal ones share the gradient") {
  Tensor x = doubles({1, 5, 5, -2, 5}).requires_grad_();
  CHECK(amax(x).item() == 5);
  CHECK(amin(x).item() == -2);
  const double third = 1.0 / 3;
  CHECK(grad(amax(x), x).to_vector() == Numbers{0, third, third, 0, third});
  CHECK(jvp(amax(x), x, doubles({9, 1, 2, 9, 3})).item() == doctest::Approx(2));
  CHECK(grad(amin(x), x).to_vector() == Numbers{0, 0, 0, 1, 0});
  CHECK(amax(tensor({{1, 7}, {3, 2}}), 0).to_vector<int64_t>() == Whole{3, 7});
  CHECK(!amax(tensor({1, 7})).requires_grad());
  CHECK(amax(doubles({-inf, -inf})).item() == -inf);
}

TEST_CASE("argmax and argmin") {
  const Tensor x = tensor({{3.0, 1.0, 3.0}, {0.0, 9.0, -1.0}});
  CHECK(argmax(x).to_vector<int64_t>() == Whole{0, 1});
  CHECK(argmin(x, 0).to_vector<int64_t>() == Whole{1, 0, 1});
  CHECK(x.argmax(1, true).shape() == Shape{2, 1});
  CHECK(argmax(x).dtype() == i64);
  CHECK(argmax(tensor({false, true, true})).item<int64_t>() == 1);
  CHECK(argmax(doubles({-inf, -inf})).item<int64_t>() == 0);
  Tensor leaf = ones({3}, {.requires_grad = true});
  CHECK(!argmax(leaf).requires_grad());
}

TEST_CASE("logsumexp: large numbers and infinities") {
  CHECK(logsumexp(doubles({1000, 1000})).item() == doctest::Approx(1000 + std::log(2)));
  CHECK(logsumexp(doubles({-1000, -1001})).item() == doctest::Approx(-1000 + std::log1p(std::exp(-1))));
  const Tensor infinite = doubles({inf, 1}).requires_grad_();
  CHECK(logsumexp(infinite).item() == inf);
  CHECK(grad(logsumexp(infinite), infinite).to_vector() == Numbers{1, 0});
  Tensor none = doubles({-inf, -inf}).requires_grad_(), one = doubles({-inf, 2}).requires_grad_();
  CHECK(logsumexp(none).item() == -inf);
  CHECK(grad(logsumexp(none), none).to_vector() == Numbers{0, 0});
  CHECK(logsumexp(one).item() == 2);
  CHECK(grad(logsumexp(one), one).to_vector() == Numbers{0, 1});
}

TEST_CASE("norm: orders, extremes and zero") {
  const Tensor x = doubles({3, -4});
  CHECK(x.norm().item() == 5);
  CHECK(norm(x, 1).item() == 7);
  CHECK(norm(x, inf).item() == 4);
  CHECK(norm(x, 3).item() == doctest::Approx(std::cbrt(91)));
  CHECK(norm(doubles({3e200, 4e200})).item() == doctest::Approx(5e200));
  CHECK(norm(doubles({3e-200, 4e-200})).item() == doctest::Approx(5e-200));
  CHECK(norm(tensor({3e30, 4e30})).item() == doctest::Approx(5e30));
  CHECK(norm(doubles({inf, 1})).item() == inf);
  CHECK(error_of([&] { norm(x, 0); }) == "norm: p must be above 0, got 0.000000");
  CHECK(error_of([] { norm(tensor({1, 2})); }) != "");
}

TEST_CASE("norm: where numbers are 0 the slopes of every order are 0") {
  for (const double p : {0.5, 1.0, 1.5, 2.0, 3.0}) {
    INFO("p = " << p);
    const Tensor zero = doubles({0, 0}).requires_grad_(), one = doubles({1, 1});
    const Tensor y = norm(zero, p), first = grad(y, zero, {.create_graph = true});
    CHECK(first.to_vector() == Numbers{0, 0});
    CHECK(jvp(y, zero, one).item() == 0);
    if (first.requires_grad()) CHECK(vjp(first, zero, one).to_vector() == Numbers{0, 0});
    const Tensor some = doubles({0, -2}).requires_grad_();
    const Tensor slopes = grad(norm(some, p), some, {.create_graph = true});
    CHECK(slopes.to_vector() == Numbers{0, -1});
    if (p != 2 && slopes.requires_grad()) CHECK(vjp(slopes, some, one).to_vector() == Numbers{0, 0});
  }
}

TEST_CASE("cumsum") {
  const Tensor x = tensor({{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}});
  CHECK(cumsum(x, 1).to_vector() == Numbers{1, 3, 6, 4, 9, 15});
  CHECK(cumsum(x, 0).to_vector() == Numbers{1, 2, 3, 5, 7, 9});
  CHECK(cumsum(tensor({true, true}), 0).to_vector<int64_t>() == Whole{1, 2});
  for (const int64_t d : {0, 1, -1})
    CHECK_NOTHROW(check_grads([d](auto in) { return square(cumsum(in[0], d)); }, {normal({3, 4, 2})}));
  CHECK(error_of([&] { cumsum(x, 2); }) != "");
}
