#include "fathom/autograd/ops/index.h"

#include <cmath>
#include <limits>
#include <set>

#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/node.h"
#include "fathom/autograd/ops.h"
#include "tests/support.h"

using namespace fathom;

namespace {

using List = std::span<const Tensor>;
using Numbers = std::vector<double>;
using Whole = std::vector<int64_t>;
constexpr int64_t far = int64_t{1} << 62;
constexpr double inf = std::numeric_limits<double>::infinity(), quiet_nan = std::numeric_limits<double>::quiet_NaN();

Tensor normal(const Shape& shape, uint64_t seed = 1) {
  Rng rng(seed);
  return randn(shape, {.dtype = f64}, rng);
}
Tensor doubles(const Numbers& x) { return from_data(x, {int64_t(x.size())}); }
Tensor whole(const Shape& shape, const Whole& x) { return from_data(x, shape); }
Tensor counted(const Shape& shape) {  // 0, 1, 2, ...
  return arange(shape.numel()).to(f64).reshape(shape);
}
Whole places(const Tensor& x) { return x.to_vector<int64_t>(); }

// An op on x of shape (n, m), with its layouts and sizes.
struct Row {
  const char* name;
  Tensor (*f)(const Tensor&);
};
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
    {"scatter_add 0",
     [](const Tensor& x) {
       return scatter_add(x, 0, whole({2, 1}, {0, 0}), x.expand({2, 2, 2})[0]);
     }},
    {"masked_fill", [](const Tensor& x) { return masked_fill(x, x > 0, -1); }},
    {"concat 0",
     [](const Tensor& x) {
       return concat({x, sin(x), x}, 0);
     }},
    {"concat 1",
     [](const Tensor& x) {
       return concat({x, ones({x.size(0), 2}, {.dtype = f64}), x * 2}, 1);
     }},
    {"stack 0",
     [](const Tensor& x) {
       return stack({x, sin(x)});
     }},
    {"stack -1",
     [](const Tensor& x) {
       return stack({x, sin(x)}, -1);
     }},
    {"pad",
     [](const Tensor& x) {
       return pad(x, {1, 2, 0, 1}, 3);
     }},
    {"pad last",
     [](const Tensor& x) {
       return pad(x, {2, 0});
     }},
    {"flip", [](const Tensor& x) { return flip(x, {}); }},
    {"flip 0", [](const Tensor& x) { return flip(x, 0); }},
    {"roll", [](const Tensor& x) { return roll(x, 1, 0); }},
    {"roll back", [](const Tensor& x) { return roll(x, -5, 1); }},
    {"tril", [](const Tensor& x) { return tril(x); }},
    {"triu", [](const Tensor& x) { return triu(x, 1); }},
    {"repeat",
     [](const Tensor& x) {
       return repeat(x, {2, 1, 3});
     }},
    {"sort 0", [](const Tensor& x) { return sort(x, 0).values; }},
    {"sort descending", [](const Tensor& x) { return sort(x, 1, true).values; }},
    {"topk", [](const Tensor& x) { return topk(x, 1, 0).values; }},
};

}  // namespace

TEST_CASE("index: both modes to second order; strided; of size 1") {
  const auto checked = [](const Row& row, const Tensor& x) {
    INFO(row.name << " of " << to_string(x.shape()));
    CHECK_NOTHROW(check_grads([&](List in) { return square(row.f(sin(in[0]))); }, {x}));
    CHECK_NOTHROW(check_grads([&](List in) { return square(row.f(transpose(in[0]))); }, {x}));
    CHECK_NOTHROW(check_grads([&](List in) { return square(row.f(slice(in[0], 1, 0, x.size(1), 2))); }, {x}));
  };
  for (const Row& row : rows) {
    if (std::string(row.name) == "scatter_add 0") {
      checked(row, normal({2, 2}));
      continue;
    }
    checked(row, normal({3, 4}));
    checked(row, normal({1, 1}));
    const Tensor x = normal({4, 3}), y = row.f(transpose(x)), same = row.f(transpose(x).contiguous());
    CHECK(y.shape() == same.shape());
    CHECK(allclose(y, same, 1e-12, 1e-14));
  }
}

TEST_CASE("index: of size 0") {
  const auto checked = [](auto f, const Shape& shape, const Shape& result) {
    Tensor x = zeros(shape, {.dtype = f64, .requires_grad = true});
    const Tensor y = f(x);
    CHECK(y.shape() == result);
    CHECK(grad(sum(y), x, {.allow_unused = true}).shape() == shape);
    CHECK_NOTHROW(check_grads([&](List in) { return f(in[0]); }, {zeros(shape, {.dtype = f64})}));
  };
  const Tensor none = whole({0}, {});
  checked([&](const Tensor& x) { return index_select(x, 0, none); }, {0, 3}, {0, 3});
  checked([&](const Tensor& x) { return index_select(x, 1, whole({2}, {0, 2})); }, {0, 3}, {0, 2});
  checked([](const Tensor& x) { return gather(x, 1, whole({0, 2}, {})); }, {0, 3}, {0, 2});
  checked([](const Tensor& x) { return scatter_add(x, 0, whole({0, 3}, {}), x); }, {0, 3}, {0, 3});
  checked([](const Tensor& x) { return masked_fill(x, x > 0, 1); }, {0, 3}, {0, 3});
  checked([](const Tensor& x) { return concat({x, x}, 1); }, {0, 3}, {0, 6});
  checked([](const Tensor& x) { return concat({x, ones({2, 3}, {.dtype = f64})}, 0); }, {0, 3}, {2, 3});
  checked([](const Tensor& x) { return stack({x, x}); }, {0, 3}, {2, 0, 3});
  checked([](const Tensor& x) { return pad(x, {1, 1, 2, 0}); }, {0, 3}, {2, 5});
  checked([](const Tensor& x) { return flip(x, {}); }, {0, 3}, {0, 3});
  checked([](const Tensor& x) { return roll(x, 2, 0); }, {0, 3}, {0, 3});
  checked([](const Tensor& x) { return tril(x); }, {3, 0}, {3, 0});
  checked([](const Tensor& x) { return repeat(x, {2, 2}); }, {0, 3}, {0, 6});
  checked([](const Tensor& x) { return repeat(x, {2, 0}); }, {2, 3}, {4, 0});
  checked([](const Tensor& x) { return sort(x, 0).values; }, {0, 3}, {0, 3});
  checked([](const Tensor& x) { return topk(x, 0).values; }, {2, 3}, {2, 0});
  CHECK(one_hot(none, 0).shape() == Shape{0, 0});
  CHECK(multinomial(zeros({0, 3}), 2).shape() == Shape{0, 2});
  CHECK(multinomial(zeros({2, 0}), 0).shape() == Shape{2, 0});
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
}

TEST_CASE("concat and stack: any number of inputs") {
  const Tensor a = counted({2, 2}), b = counted({2, 1}) * 10;
  CHECK(concat({a, b}, 1).to_vector() == Numbers{0, 1, 0, 2, 3, 10});
  CHECK(concat({a, transpose(a)}).to_vector() == Numbers{0, 1, 2, 3, 0, 2, 1, 3});
  CHECK(stack({a, a * 2}, 1).to_vector() == Numbers{0, 1, 0, 2, 2, 3, 4, 6});
  CHECK(stack({tensor(1.5), tensor(2.5)}).to_vector() == Numbers{1.5, 2.5});
  CHECK(concat({tensor({true}), tensor({false})}).dtype() == boolean);
  const auto f = [](List in) {
    const std::vector<Tensor> xs{sin(in[0]), in[1], in[0] * in[0], in[1] * 3};
    return square(concat(xs, 1));
  };
  CHECK_NOTHROW(check_grads(f, {normal({2, 3}), normal({2, 1}, 2)}));

  std::vector<Tensor> xs;
  Tensor w = doubles({2}).requires_grad_();
  for (int i = 0; i < 1000; ++i) xs.push_back(w * double(i));
  CHECK(grad(sum(concat(xs)), w).item() == 499500);
  CHECK(jvp(stack(xs), w, doubles({1})).to_vector()[999] == 999);
  CHECK(!stack(xs).detach().history());
}

TEST_CASE("concat: one that wants no gradient gets none, one given twice gets both") {
  Tensor x = counted({2}).requires_grad_();
  const Tensor c = counted({2});
  CHECK(grad(sum(concat({x, c, x}) * arange(6).to(f64)), x).to_vector() == Numbers{4, 6});
  CHECK(!concat({c, c}).history());
  const NoGrad off;
  CHECK(!concat({x, c}).history());
}

TEST_CASE("pad, flip, roll") {
  const Tensor x = counted({2, 2});
  CHECK(pad(x, {1, 0}, 9).to_vector() == Numbers{9, 0, 1, 9, 2, 3});
  CHECK(pad(x, {0, 1, 1, 0}).to_vector() == Numbers{0, 0, 0, 0, 1, 0, 2, 3, 0});
  CHECK(pad(x, {}).to_vector() == x.to_vector());
  CHECK(flip(x, 0).to_vector() == Numbers{2, 3, 0, 1});
  CHECK(flip(x, {0, 1}).to_vector() == Numbers{3, 2, 1, 0});
  CHECK(flip(x, {}).to_vector() == Numbers{3, 2, 1, 0});
  CHECK(flip(slice(counted({7}), 0, 1, 7, 2), 0).to_vector() == Numbers{5, 3, 1});
  const Tensor line = counted({4});
  CHECK(roll(line, 1, 0).to_vector() == Numbers{3, 0, 1, 2});
  CHECK(roll(line, -1, 0).to_vector() == Numbers{1, 2, 3, 0});
  CHECK(roll(line, 9, 0).to_vector() == Numbers{3, 0, 1, 2});
  CHECK(roll(line, std::numeric_limits<int64_t>::min(), 0).to_vector() == line.to_vector());
  CHECK(roll(x, 1, 1).to_vector() == Numbers{1, 0, 3, 2});
  Tensor leaf = counted({4}).requires_grad_();
  CHECK(grad(sum(roll(leaf, 1, 0) * line), leaf).to_vector() == Numbers{1, 2, 3, 0});
}

TEST_CASE("tril and triu: a NaN outside does not stay") {
  const Tensor x = counted({2, 3}) + 1;
  CHECK(tril(x).to_vector() == Numbers{1, 0, 0, 4, 5, 0});
  CHECK(tril(x, 1).to_vector() == Numbers{1, 2, 0, 4, 5, 6});
  CHECK(tril(x, -1).to_vector() == Numbers{0, 0, 0, 4, 0, 0});
  CHECK(triu(x).to_vector() == Numbers{1, 2, 3, 0, 5, 6});
  CHECK(triu(x, 2).to_vector() == Numbers{0, 0, 3, 0, 0, 0});
  CHECK(triu(x, -5).to_vector() == x.to_vector());
  CHECK(triu(x, 100).to_vector() == Numbers(6, 0));
  CHECK(tril(x, std::numeric_limits<int64_t>::max()).to_vector() == x.to_vector());
  CHECK(triu(x, std::numeric_limits<int64_t>::min()).to_vector() == x.to_vector());
  CHECK(tril(full({2, 2}, quiet_nan, {.dtype = f64}), -2).to_vector() == Numbers(4, 0));
  CHECK(tril(counted({2, 2, 2})).to_vector() == Numbers{0, 0, 2, 3, 4, 0, 6, 7});
  CHECK(triu(tensor({{true, true}, {true, true}})).to_vector<bool>() == std::vector<bool>{true, true, false, true});
}

TEST_CASE("repeat: whole copies, as NumPy's tile") {
  const Tensor x = counted({2, 2});
  CHECK(repeat(x, {2, 1}).to_vector() == Numbers{0, 1, 2, 3, 0, 1, 2, 3});
  CHECK(repeat(x, {1, 2}).to_vector() == Numbers{0, 1, 0, 1, 2, 3, 2, 3});
  CHECK(repeat(counted({2}), {2, 2}).to_vector() == Numbers{0, 1, 0, 1, 0, 1, 0, 1});
  CHECK(repeat(x, {1, 2, 1, 1}).shape() == Shape{1, 2, 2, 2});
  CHECK(repeat(counted({1, 1, 1, 1, 1, 1, 1, 2}), {1, 1, 1, 1, 1, 1, 2, 2}).to_vector() ==
        Numbers{0, 1, 0, 1, 0, 1, 0, 1});
  Tensor leaf = counted({2}).requires_grad_();
  CHECK(grad(sum(repeat(leaf, {3, 2})), leaf).to_vector() == Numbers{6, 6});
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
  is("concat: no tensors", [&] { concat(List{}); });
  is("concat: shapes differ beside axis 1: (2, 3) and (3, 2)", [&] { concat({x, transpose(x)}, 1); });
  is("concat: shapes differ beside axis 0: (2, 3) and (3)", [&] { concat({x, x[0]}); });
  is("concat: dtypes differ: f64 and f32; convert with .to(f64)", [&] { concat({x, f}); });
  is("stack: no tensors", [&] { stack(List{}); });
  is("stack: shapes differ: (2, 3) and (3, 2)", [&] { stack({x, transpose(x)}); });
  is("stack: dtypes differ: f64 and f32; convert with .to(f64)", [&] { stack({x, f}); });
  is("pad: 3 numbers for a tensor of shape (2, 3); it takes a pair for each axis, the last axis first", [&] {
    pad(x, {1, 1, 1});
  });
  is("pad: 6 numbers for a tensor of shape (2, 3); it takes a pair for each axis, the last axis first", [&] {
    pad(x, {1, 1, 1, 1, 1, 1});
  });
  is("pad: a width of -1", [&] { pad(x, {0, -1}); });
  CHECK(error_of([&] { pad(arange(3), {1, 1}, 0.5); }).find("0.5") != std::string::npos);
  CHECK(error_of([&] { pad(x, {std::numeric_limits<int64_t>::max(), 1}); }).find("too large") != std::string::npos);
  CHECK(error_of([&] { flip(x, {0, 0}); }).find("flip") == 0);
  CHECK(error_of([&] { roll(x, 1, 2); }).find("roll") == 0);
  is("tril: needs at least two axes, got (3)", [&] { tril(x[0]); });
  is("triu: needs at least two axes, got (3)", [&] { triu(x[0]); });
  is("repeat: (2) times for a tensor of shape (2, 3)", [&] { repeat(x, {2}); });
  is("repeat: (1, -2) times", [&] { repeat(x, {1, -2}); });
  CHECK(error_of([&] { repeat(x, {1, far}); }) != "");
  is("topk: k is 4, axis 1 has size 3", [&] { topk(x, 4); });
  is("topk: k is -1, axis 1 has size 3", [&] { topk(x, -1); });
  is("one_hot: index 3 for classes of size 3", [&] { one_hot(whole({1}, {3}), 3); });
  is("one_hot: -1 classes", [&] { one_hot(whole({1}, {0}), -1); });
  is("multinomial: a weight of -1.000000", [&] { multinomial(doubles({1, -1}), 1); });
  CHECK(error_of([&] { multinomial(doubles({1, quiet_nan}), 1); }).find("multinomial: a weight of") == 0);
  is("multinomial: the sum of the weights is inf", [&] { multinomial(doubles({1, inf}), 1); });
  is("multinomial: 2 samples from 1 positive weights", [&] { multinomial(doubles({1, 0}), 2); });
  is("multinomial: 1 samples from 0 positive weights", [&] { multinomial(doubles({0, 0}), 1, true); });
  is("multinomial: -1 samples", [&] { multinomial(doubles({1}), -1); });
  CHECK(error_of([&] { multinomial(arange(3), 1); }).find("multinomial: needs a floating tensor") == 0);
  for (const auto call :
       {+[](const Tensor& t) { index_select(t, 2, arange(1)); }, +[](const Tensor& t) { gather(t, -3, arange(1)); },
        +[](const Tensor& t) {
          concat({t, t}, 2);
        },
        +[](const Tensor& t) {
          stack({t, t}, 3);
        },
        +[](const Tensor& t) { sort(t, 2); }, +[](const Tensor& t) { topk(t, 1, 2); }})
    CHECK(error_of([&] { call(x); }).find("axis") != std::string::npos);
}
