#include "tests/autograd/op_rows.h"

using namespace op_rows;

namespace {

const Row rows[] = {
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
    {"flip, transposed", [](const Tensor& x) { return flip(transpose(x), 1) * flip(transpose(x), 0); }},
    {"roll", [](const Tensor& x) { return roll(x, 1, 0); }},
    {"roll back", [](const Tensor& x) { return roll(x, -5, 1); }},
    {"tril", [](const Tensor& x) { return tril(x); }},
    {"triu", [](const Tensor& x) { return triu(x, 1); }},
    {"repeat",
     [](const Tensor& x) {
       return repeat(x, {2, 1, 3});
     }},
};

}  // namespace

TEST_CASE("rearrange: both modes to second order; strided; of size 1") { check_rows(rows); }

TEST_CASE("rearrange: of size 0") {
  check_empty([](const Tensor& x) { return concat({x, x}, 1); }, {0, 3}, {0, 6});
  check_empty([](const Tensor& x) { return concat({x, ones({2, 3}, {.dtype = f64})}, 0); }, {0, 3}, {2, 3});
  check_empty([](const Tensor& x) { return stack({x, x}); }, {0, 3}, {2, 0, 3});
  check_empty([](const Tensor& x) { return pad(x, {1, 1, 2, 0}); }, {0, 3}, {2, 5});
  check_empty([](const Tensor& x) { return flip(x, {}); }, {0, 3}, {0, 3});
  check_empty([](const Tensor& x) { return roll(x, 2, 0); }, {0, 3}, {0, 3});
  check_empty([](const Tensor& x) { return tril(x); }, {3, 0}, {3, 0});
  check_empty([](const Tensor& x) { return repeat(x, {2, 2}); }, {0, 3}, {0, 6});
  check_empty([](const Tensor& x) { return repeat(x, {2, 0}); }, {2, 3}, {4, 0});
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
  CHECK(flip(counted({3, 2}).transpose(), 1).to_vector() == Numbers{4, 2, 0, 5, 3, 1});
  CHECK(flip(counted({3, 2}).transpose(), 0).to_vector() == Numbers{1, 3, 5, 0, 2, 4});
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

TEST_CASE("rearrange: what is wrong is told with both values") {
  const Tensor x = counted({2, 3});
  const Tensor f = zeros({2, 3});
  const auto is = [](const std::string& message, auto&& call) { CHECK(error_of(call) == message); };
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
  CHECK(error_of([&] { pad(arange(3), {1, 1}, 0x1p63); }).find("pad: the number 9223372036854775808") == 0);
  CHECK(error_of([&] { pad(x, {std::numeric_limits<int64_t>::max(), 1}); }).find("too large") != std::string::npos);
  CHECK(error_of([&] { flip(x, {0, 0}); }).find("flip") == 0);
  CHECK(error_of([&] { roll(x, 1, 2); }).find("roll") == 0);
  is("tril: needs at least two axes, got (3)", [&] { tril(x[0]); });
  is("triu: needs at least two axes, got (3)", [&] { triu(x[0]); });
  is("repeat: (2) times for a tensor of shape (2, 3)", [&] { repeat(x, {2}); });
  is("repeat: (1, -2) times", [&] { repeat(x, {1, -2}); });
  CHECK(error_of([&] { repeat(x, {1, int64_t{1} << 62}); }) != "");
  CHECK(error_of([&] { concat({x, x}, 2); }).find("axis") != std::string::npos);
  CHECK(error_of([&] { stack({x, x}, 3); }).find("axis") != std::string::npos);
}
