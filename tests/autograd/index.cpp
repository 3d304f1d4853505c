#include "fathom/autograd/ops/index.h"

#include <cmath>

#include "fathom/autograd/node.h"
#include "tests/autograd/op_rows.h"

using namespace op_rows;

namespace {

const Row rows[] = {
    {"index_select 0",
     [](const Tensor& x) {
       return index_select(x, 0, whole({4}, {0, x.size(0) - 1, 0, 0}));
     }},
    {"index_select 1",
     [](const Tensor& x) {
       return index_select(x, -1, whole({2}, {x.size(1) - 1, 0}));
     }},
    {"index_select none", [](const Tensor& x) { return index_select(x, 0, whole({0}, {})); }},
    {"gather 0",
     [](const Tensor& x) {
       return gather(x, 0, whole({2, 1}, {0, x.size(0) - 1}));
     }},
    {"gather 1",
     [](const Tensor& x) {
       return gather(x, 1, whole({1, 3}, {0, x.size(1) - 1, 0}));
     }},
    {"masked_fill", [](const Tensor& x) { return masked_fill(x, x > 0, -1); }},
};

}  // namespace

TEST_CASE("index: both modes to second order; strided; of size 1") {
  check_rows(rows);
  check_op({"scatter_add 0",
            [](const Tensor& x) {
              return scatter_add(x, 0, whole({2, 1}, {0, 0}), x.expand({2, 2, 2})[0]);
            }},
           normal({2, 2}));
}

TEST_CASE("index: of size 0") {
  const Tensor none = whole({0}, {});
  check_empty([&](const Tensor& x) { return index_select(x, 0, none); }, {0, 3}, {0, 3});
  check_empty([&](const Tensor& x) { return index_select(x, 1, whole({2}, {0, 2})); }, {0, 3}, {0, 2});
  check_empty([](const Tensor& x) { return gather(x, 1, whole({0, 2}, {})); }, {0, 3}, {0, 2});
  check_empty([](const Tensor& x) { return scatter_add(x, 0, whole({0, 3}, {}), x); }, {0, 3}, {0, 3});
  check_empty([](const Tensor& x) { return masked_fill(x, x > 0, 1); }, {0, 3}, {0, 3});
  CHECK(one_hot(none, 0).shape() == Shape{0, 0});
}

TEST_CASE("index_select: slices, some again; the gradient adds them up") {
  Tensor x = counted({3, 2}).requires_grad_();
  const Tensor index = whole({4}, {2, 0, 2, 2});
  const Tensor y = index_select(x, 0, index);
  CHECK(y.to_vector() == Numbers{4, 5, 0, 1, 4, 5, 4, 5});
  CHECK(index_select(x, 1, whole({1}, {1})).to_vector() == Numbers{1, 3, 5});
  CHECK(grad(sum(y), x).to_vector() == Numbers{1, 1, 0, 0, 3, 3});
  CHECK(index_select(tensor({true, false}), 0, whole({3}, {1, 1, 0})).to_vector<bool>() ==
        std::vector<bool>{false, false, true});
  // Large enough to be shared between threads, along each side.
  const Tensor table = normal({50, 900}), many = randint(0, 50, {1000});
  const Tensor rows_of = index_select(table, 0, many), lines = index_select(transpose(table), 1, many);
  CHECK(allclose(transpose(rows_of), lines, 0, 0));
  const Tensor counts = sum(one_hot(many, 50).to(f64), 0);
  Tensor leaf = table.clone().requires_grad_();
  CHECK(allclose(grad(sum(index_select(leaf, 0, many)), leaf), counts.reshape({50, 1}).expand({50, 900}).clone()));
}

TEST_CASE("gather and scatter_add are each other's transpose") {
  const Tensor x = counted({2, 3});
  CHECK(gather(x, 1, whole({2, 2}, {2, 0, 1, 1})).to_vector() == Numbers{2, 0, 4, 4});
  CHECK(gather(x, 0, whole({1, 2}, {1, 0})).to_vector() == Numbers{3, 1});
  CHECK(scatter_add(x, 1, whole({2, 2}, {2, 2, 0, 1}), tensor({{10.0, 20.0}, {30.0, 40.0}}, {.dtype = f64}))
            .to_vector() == Numbers{0, 1, 32, 33, 44, 5});
  CHECK(places(scatter_add(whole({2}, {1, 1}), 0, whole({3}, {1, 1, 0}), whole({3}, {5, 6, 7}))) == Whole{8, 12});
  CHECK(x.to_vector() == Numbers{0, 1, 2, 3, 4, 5});

  const Tensor index = whole({3, 2, 2}, {0, 1, 1, 1, 3, 0, 0, 0, 2, 2, 1, 3});
  const Tensor a = normal({3, 4, 2}), b = normal({3, 2, 2}, 2);
  const double left = sum(gather(a, 1, index) * b).item();
  const double right = sum(a * scatter_add(zeros({3, 4, 2}, {.dtype = f64}), 1, index, b)).item();
  CHECK(left == doctest::Approx(right).epsilon(1e-13));
  // The source may be larger than the index; what lies beyond has no part in it.
  const auto f = [&](List in) { return square(scatter_add(sin(in[0]), 1, index, sin(in[1]))); };
  CHECK_NOTHROW(check_grads(f, {a, normal({3, 3, 4}, 3)}));
  CHECK_NOTHROW(check_grads([&](List in) { return square(gather(sin(in[0]), 1, index)); }, {a}));
}

TEST_CASE("an index that is changed before the backward walk is told") {
  for (const auto f : {+[](const Tensor&x, const Tensor&i) { return index_select(x, 0, i); },
                       +[](const Tensor&x, const Tensor&i) { return gather(x, 0, i); },
                       +[](const Tensor&x, const Tensor&i) { return scatter_add(x * 2, 0, i, x); }}) {
    Tensor x = normal({3}).requires_grad_();
    Tensor index = whole({3}, {0, 1, 2});
    const Tensor y = sum(f(x, index));
    index.zero_();
    CHECK(error_of([&] { y.backward(); }).find("changed") != std::string::npos);
  }
}

TEST_CASE("masked_fill: the value where the mask is true, and no gradient there, even of a NaN") {
  Tensor x = doubles({1, quiet_nan, 3}).requires_grad_();
  const Tensor mask = tensor({false, true, false});
  CHECK(masked_fill(x, mask, -inf).to_vector() == Numbers{1, -inf, 3});
  CHECK(grad(sum(masked_fill(x, mask, 0) * x.detach()), x).to_vector()[0] == 1);
  CHECK(grad(sum(masked_fill(x, mask, 0)), x).to_vector() == Numbers{1, 0, 1});
  CHECK(masked_fill(counted({2, 3}), mask, 9).to_vector() == Numbers{0, 9, 2, 3, 9, 5});
  CHECK(places(masked_fill(arange(3), mask, 7)) == Whole{0, 7, 2});
  CHECK(places(arange(3).masked_fill(mask, 7)) == Whole{0, 7, 2});
}

TEST_CASE("one_hot") {
  const Tensor y = one_hot(whole({2, 1}, {2, 0}), 3);
  CHECK(y.shape() == Shape{2, 1, 3});
  CHECK(y.dtype() == i64);
  CHECK(places(y) == Whole{0, 0, 1, 1, 0, 0});
}

TEST_CASE("index: what is wrong is told with both values") {
  const Tensor x = counted({2, 3});
  const Tensor f = zeros({2, 3});
  const auto is = [](const std::string& message, auto&& call) { CHECK(error_of(call) == message); };
  is("index_select: index 3 for axis 1 of size 3", [&] { index_select(x, 1, whole({2}, {0, 3})); });
  is("index_select: index -1 for axis 0 of size 2", [&] { index_select(x, 0, whole({1}, {-1})); });
  is("index_select: the index must have one axis, got (1, 1)", [&] { index_select(x, 0, whole({1, 1}, {0})); });
  is("index_select: the index must be i64, got f32; convert with .to(i64)", [&] { index_select(x, 0, zeros({1})); });
  is("gather: index 2 for axis 0 of size 2", [&] { gather(x, 0, whole({1, 1}, {2})); });
  is("gather: the index (3, 1) does not fit (2, 3) along axis 1", [&] { gather(x, 1, whole({3, 1}, {0, 0, 0})); });
  is("gather: the index (1) does not fit (2, 3) along axis 1", [&] { gather(x, 1, whole({1}, {0})); });
  is("scatter_add: index 5 for axis 1 of size 3", [&] { scatter_add(x, 1, whole({1, 1}, {5}), x); });
  is("scatter_add: dtypes differ: f64 and f32; convert with .to(f64)", [&] {
    scatter_add(x, 1, whole({1, 1}, {0}), f);
  });
  is("scatter_add: the index (2, 4) does not fit the source (2, 3)", [&] {
    scatter_add(x, 1, whole({2, 4}, Whole(8, 0)), x);
  });
  is("scatter_add: the index (3, 1) does not fit (2, 3) along axis 1", [&] {
    scatter_add(x, 1, whole({3, 1}, Whole(3, 0)), x);
  });
  is("masked_fill: needs a boolean mask, got i64; compare it with 0", [&] { masked_fill(x, arange(3), 0); });
  is("masked_fill: a mask (4, 2, 3) for a tensor of shape (2, 3)", [&] {
    masked_fill(x, zeros({4, 2, 3}, {.dtype = boolean}), 0);
  });
  CHECK(error_of([&] { masked_fill(arange(3), tensor({true}), 0.5); }).find("0.5") != std::string::npos);
  is("one_hot: index 3 for classes of size 3", [&] { one_hot(whole({1}, {3}), 3); });
  is("one_hot: -1 classes", [&] { one_hot(whole({1}, {0}), -1); });
  CHECK(error_of([&] { index_select(x, 2, arange(1)); }).find("axis") != std::string::npos);
  CHECK(error_of([&] { gather(x, -3, arange(1)); }).find("axis") != std::string::npos);
}
