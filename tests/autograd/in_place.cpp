// Changes in place: what they record, and when they are errors.
#include <cmath>

#include "fathom/autograd/backward.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/hooks.h"
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"
#include "tests/support.h"

using namespace fathom;

namespace {

using Values = std::vector<double>;

// w[0] = x would assign to a temporary, and leave w as it was.
static_assert(!std::is_assignable_v<Tensor&&, Tensor> && !std::is_assignable_v<Tensor&&, const Tensor&>);

}  // namespace

TEST_CASE("in place: values, broadcast, on views, in every dtype") {
  for (Dtype dtype : {f32, f64, i64}) {
    const TensorOptions of{.dtype = dtype};
    Tensor x = full({2, 2}, 6, of);
    const Tensor row = from_data(std::vector{1.0, 2.0}, {2}, of);
    x += row;
    CHECK(x.to_vector() == Values{7, 8, 7, 8});
    x -= 1;
    x *= row;
    CHECK(x.to_vector() == Values{6, 14, 6, 14});
    select(x, 0, 0).mul_(2);
    CHECK(x.to_vector() == Values{12, 28, 6, 14});
    transpose(x).select(0, 1).fill_(3);
    CHECK(x.to_vector() == Values{12, 3, 6, 3});
    x.copy_(row);
    CHECK(x.to_vector() == Values{1, 2, 1, 2});
    x.zero_();
    CHECK(x.to_vector() == Values{0, 0, 0, 0});
  }
  Tensor x = full({2}, 6);
  x /= 2;
  x /= tensor({1.0, 3.0});
  CHECK(x.to_vector() == Values{3, 1});
  x.copy_(tensor({4, 5}));  // converts
  CHECK(x.to_vector() == Values{4, 5});
  const Tensor same = x;
  x += 1;
  CHECK(same.to_vector() == Values{5, 6});  // copies of a handle are the same tensor
}

TEST_CASE("in place: from another view of the same numbers") {
  Tensor x = from_data(std::vector{1.0, 2.0, 3.0, 4.0}, {2, 2});
  x += transpose(x);
  CHECK(x.to_vector() == Values{2, 5, 5, 8});
  x -= select(x, 0, 0);
  CHECK(x.to_vector() == Values{0, 0, 3, 3});
  x.fill_(1).select(0, 1).add_(1);
  x.copy_(transpose(x));
  CHECK(x.to_vector() == Values{1, 2, 1, 2});
  x += x;
  CHECK(x.to_vector() == Values{2, 4, 2, 4});
}

TEST_CASE("in place: w -= lr * w.grad() within NoGrad trains") {
  Tensor w = tensor({3.0, -2.0}, {.requires_grad = true});
  for (int i = 0; i < 50; ++i) {
    sum(square(w - 1)).backward();
    const NoGrad off;
    w -= 0.1 * w.grad();
    w.set_grad({});
  }
  CHECK(w.requires_grad());
  for (double e : w.to_vector()) CHECK(e == doctest::Approx(1).epsilon(1e-3));
}

TEST_CASE("in place: the handle gets a new history") {
  const Tensor x = tensor({2.0, 3.0}, {.requires_grad = true});
  Tensor y = x * 1;
  y *= y;
  y += x;
  CHECK(grad(sum(y), x).to_vector() == Values{5, 7});
  Tensor z = zeros({2});
  z += x;  // a tensor without history gets one
  CHECK(grad(sum(z), x).to_vector() == Values{1, 1});
  Tensor u = x * 2;
  u.fill_(1);  // and loses it
  CHECK(!u.requires_grad());
  u.copy_(square(x));
  CHECK(grad(sum(u), x).to_vector() == Values{4, 6});
}

TEST_CASE("in place: a copy has a place of its own on the tape") {
  const Tensor x = tensor({2.0, 3.0}, {.requires_grad = true});
  Tensor y = zeros({2});
  y.copy_(x);
  y *= 2;  // y is no leaf
  CHECK(grad(sum(y), x).to_vector() == Values{2, 2});
  const Tensor z = x * 1;
  Tensor w = zeros({2});
  w.copy_(z);
  register_hook(w, [](const Tensor& g) { return g * 10; });
  CHECK(grad(sum(z + w), x).to_vector() == Values{11, 11});
}

TEST_CASE("in place: errors at the call") {
  Tensor leaf = tensor({1.0, 2.0}, {.requires_grad = true});
  const std::string on_leaf = error_of([&] { leaf += 1; });
  CHECK(on_leaf == "add_: a leaf of shape (2) that requires grad is changed in place; do it within a NoGrad scope");
  CHECK(error_of([&] { leaf.mul_(leaf); }).find("mul_: a leaf") == 0);
  CHECK(error_of([&] { leaf.fill_(0); }).find("fill_: a leaf") == 0);
  CHECK(error_of([&] { leaf.copy_(zeros({2})); }).find("copy_: a leaf") == 0);
  CHECK(leaf.to_vector() == Values{1, 2});

  Tensor y = leaf * 2;
  Tensor view = reshape(y, {2, 1});
  CHECK(error_of([&] { view += 1; }).find("add_: the tensor of shape (2, 1) is a view or has living views") == 0);
  CHECK(error_of([&] { y /= 2; }).find("div_: the tensor of shape (2) is a view or has living views") == 0);
  CHECK(error_of([&] { y.zero_(); }).find("fill_: the tensor of shape (2)") == 0);
  view = {};
  CHECK(error_of([&] { y += 1; }) == "");
  Tensor plain = zeros({2, 2});
  Tensor part = select(plain, 0, 0);
  CHECK(error_of([&] { part += 1; }) == "");  // nothing is recorded of it
  CHECK(error_of([&] { part += leaf; }).find("add_: the tensor of shape (2) is a view") == 0);

  Tensor repeated = expand(zeros({2, 1}), {2, 3});
  const std::string on_repeated =
      ": the tensor of shape (2, 3) and strides (1, 0) has several elements in one place; change its clone()";
  CHECK(error_of([&] { repeated += 1; }) == "add_" + on_repeated);
  CHECK(error_of([&] { repeated.copy_(ones({3})); }) == "copy_" + on_repeated);
  CHECK(error_of([&] { repeated.fill_(1); }) == "fill_" + on_repeated);
  CHECK(repeated.to_vector() == Values(6));

  Tensor n = tensor({1, 2}), x = zeros({2});
  CHECK(error_of([&] { n += 0.5; }) == "add_: the number 0.500000 with a tensor of i64; convert with .to(f32)");
  CHECK(error_of([&] { n *= 0.5; }) == "mul_: the number 0.500000 with a tensor of i64; convert with .to(f32)");
  CHECK(error_of([&] { n.fill_(0.5); }) == "fill_: the number 0.500000 with a tensor of i64; convert with .to(f32)");
  CHECK(error_of([&] { n /= 2; }) == "div_: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([&] { n /= n; }) == "div_: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([&] { n += x; }) == "add_: dtypes differ: i64 and f32; convert with .to(f32)");
  CHECK(error_of([&] { x += zeros({3, 2}); }) == "add_: (3, 2) does not fit into (2)");
  CHECK(error_of([&] { x -= zeros({3}); }).find("sub_: ") == 0);
  CHECK(error_of([&] { x.copy_(zeros({3, 2})); }) == "copy_: (3, 2) into (2)");
}

TEST_CASE("in place: what a rule still needs is found changed at backward") {
  const Tensor x = tensor({1.0, 2.0}, {.requires_grad = true});
  Tensor y = tanh(x);
  const Tensor loss = sum(y);
  y += 1;
  CHECK(error_of([&] { loss.backward(); }) == "tanh: needs its output of shape (2), which add_ has changed since");

  Tensor factor = tensor({3.0, 4.0});
  const Tensor product = sum(x * factor);
  factor.mul_(2);
  CHECK(error_of([&] { product.backward(); }).find("mul: needs its input of shape (2), which mul_ has changed") == 0);

  const Tensor w = tensor({1.0}, {.requires_grad = true});
  const Tensor square_of = square(w);
  {
    const NoGrad off;
    Tensor(w).sub_(1);
  }
  CHECK(error_of([&] { square_of.backward(); }).find("square: needs its input of shape (1), which add_") == 0);

  Tensor sum_only = x + 1;  // add needs nothing
  const Tensor fine = sum_only + 1;
  sum_only += 1;
  CHECK(error_of([&] { sum(fine).backward(); }) == "");
}

TEST_CASE("in place: random numbers that fill what the tape still needs") {
  const Tensor w = tensor({1.0, 2.0}).requires_grad_();
  Rng rng(1);
  const auto after = [&](auto fill) {
    const Tensor y = sum(w * w);
    fill();
    return error_of([&] { y.backward(); });
  };
  CHECK(after([&] { fill_uniform(w, 0, 1, rng); }).ends_with("which fill_uniform has changed since"));
  CHECK(after([&] { fill_normal(w, 0, 1, rng); }).ends_with("which fill_normal has changed since"));
  CHECK(after([&] { fill_bernoulli(w, 0.5, rng); }).ends_with("which fill_bernoulli has changed since"));
  CHECK(after([&] { fill_integers(w, 0, 5, rng); }).ends_with("which fill_integers has changed since"));
  CHECK(after([] {}) == "");
}

TEST_CASE("sign: its derivative is zero in both modes, of any order") {
  const Tensor x = tensor({-2.0, 0.0, 3.0, double(INFINITY)}).requires_grad_();
  CHECK(grad(sum(sign(x)), x).to_vector() == std::vector<double>{0, 0, 0, 0});
  CHECK(jvp(sign(x), x, ones_like(x)).to_vector() == std::vector<double>{0, 0, 0, 0});
  const Tensor g = grad(sum(abs(x)), x, {.create_graph = true});
  CHECK(g.to_vector() == std::vector<double>{-1, 0, 1, 1});
  CHECK(grad(sum(g), x).to_vector() == std::vector<double>{0, 0, 0, 0});
}
