#include "fathom/autograd/ops/views.h"

#include <limits>

#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/node.h"
#include "fathom/autograd/ops.h"
#include "tests/autograd/tensors.h"
#include "tests/support.h"

using namespace fathom;

namespace {

using Numbers = std::vector<double>;

Tensor counted(const Shape& shape) {  // 0, 1, 2, ...
  return arange(shape.numel()).to(f64).reshape(shape);
}
bool is_view_of(const Tensor& y, const Tensor& x) { return &y.storage() == &x.storage(); }

struct Row {
  const char* name;
  Tensor (*f)(const Tensor&);
};
const Row of_any_size[] = {
    // x of shape (n, m, k)
    {"identity", [](const Tensor& x) { return identity(x); }},
    {"reshape",
     [](const Tensor& x) {
       return reshape(x, {x.size(2), x.size(0) * x.size(1)});
     }},
    {"reshape axis",
     [](const Tensor& x) {
       return reshape(x, {x.size(0), 1, x.size(1), x.size(2), 1});
     }},
    {"flatten", [](const Tensor& x) { return flatten(x); }},
    {"flatten 1", [](const Tensor& x) { return flatten(x, 1); }},
    {"transpose", [](const Tensor& x) { return transpose(x); }},
    {"transpose 0 1", [](const Tensor& x) { return transpose(x, 0, 1); }},
    {"permute",
     [](const Tensor& x) {
       return permute(x, {2, 0, -2});
     }},
    {"squeeze", [](const Tensor& x) { return squeeze(unsqueeze(x, 1), 1); }},
    {"unsqueeze", [](const Tensor& x) { return unsqueeze(x, -1); }},
    {"expand",
     [](const Tensor& x) {
       return expand(x, {2, x.size(0), x.size(1), x.size(2)});
     }},
    {"slice", [](const Tensor& x) { return slice(x, 1, 1, 3); }},
    {"slice step", [](const Tensor& x) { return slice(x, -1, 0, 100, 2); }},
    {"slice none", [](const Tensor& x) { return slice(x, 0, 2, 1); }},
    {"diagonal", [](const Tensor& x) { return diagonal(x); }},
    {"diagonal 1", [](const Tensor& x) { return diagonal(x, 1, 0, 1); }},
    {"diagonal -1", [](const Tensor& x) { return diagonal(x, -1, 0, 2); }},
    {"split", [](const Tensor& x) { return split(x, 2, 2).back() * 2; }},
    {"chunk", [](const Tensor& x) { return chunk(x, 2, 1)[0]; }},
    {"clone", [](const Tensor& x) { return x.clone(); }},
    {"contiguous", [](const Tensor& x) { return transpose(x).contiguous(); }},
};
const Row of_some[] = {
    {"select", [](const Tensor& x) { return select(x, 1, -1); }},
    {"[]", [](const Tensor& x) { return x[0]; }},
    {"unbind", [](const Tensor& x) { return unbind(x, 2).back() * unbind(x, 2)[0]; }},
};

// The most memory that this thread's pool has had to have since it was emptied.
double bytes_held() {
  double bytes = 0;
  for (size_t i = 0; i < pool::classes; ++i) {
    const double power = double(size_t{1} << ((i < pool::exact ? 0 : i - pool::exact) / 8));
    const double lines = i <= pool::exact ? double(i) : 64 * power * (1 + double((i - pool::exact) % 8) / 8);
    for (const pool::Block* b = pool::free_blocks[i]; b; b = b->next) bytes += lines * double(pool::line);
  }
  return bytes;
}

}  // namespace

TEST_CASE("views: both modes to second order; strided, of size 1 and of size 0") {
  const auto checked = [](const Row& row, const Tensor& x) {
    INFO(row.name << " of " << to_string(x.shape()));
    CHECK_NOTHROW(check_grads([&](List in) { return square(row.f(sin(in[0]))); }, {x}));
    CHECK_NOTHROW(check_grads([&](List in) { return square(row.f(permute(in[0], {1, 2, 0}))); }, {x}));
    const Tensor p = permute(x, {2, 0, 1}), y = row.f(p), same = row.f(p.contiguous());
    CHECK(y.shape() == same.shape());
    CHECK(y.to_vector() == same.to_vector());
  };
  for (const Row& row : of_any_size) {
    checked(row, normal({2, 3, 4}));
    checked(row, normal({1, 1, 1}));
    checked(row, normal({2, 0, 3}));
  }
  for (const Row& row : of_some) {
    checked(row, normal({2, 3, 4}));
    checked(row, normal({1, 1, 1}));
  }
  CHECK_NOTHROW(check_grads([](List in) { return square(expand(sin(in[0]), {2, 3, 4})); }, {normal({3, 1})}));
  CHECK_NOTHROW(check_grads([](List in) { return square(slice(sin(in[0]), 0, 1, 6, 2)); }, {normal({7})}));
  CHECK_NOTHROW(check_grads([](List in) { return sin(in[0]).to(f64) * 2; }, {normal({3})}));
}

TEST_CASE("views: numbers and shapes") {
  const Tensor x = counted({2, 3});
  CHECK(reshape(x, {3, -1}).to_vector() == Numbers{0, 1, 2, 3, 4, 5});
  CHECK(reshape(x, {3, -1}).shape() == Shape{3, 2});
  CHECK(reshape(counted({1}), {}).shape() == Shape{});
  CHECK(flatten(counted({2, 3, 4}), 1).shape() == Shape{2, 12});
  CHECK(flatten(tensor(1.0)).shape() == Shape{1});
  CHECK(transpose(x).to_vector() == Numbers{0, 3, 1, 4, 2, 5});
  CHECK(permute(counted({2, 3, 4}), {2, 0, 1}).shape() == Shape{4, 2, 3});
  CHECK(permute(counted({2, 1, 2}), {2, 1, 0}).to_vector() == Numbers{0, 2, 1, 3});
  CHECK(squeeze(counted({2, 1}), -1).shape() == Shape{2});
  CHECK(unsqueeze(x, 0).shape() == Shape{1, 2, 3});
  CHECK(unsqueeze(x, -1).shape() == Shape{2, 3, 1});
  CHECK(expand(counted({2, 1}), {2, 2}).to_vector() == Numbers{0, 0, 1, 1});
  CHECK(select(x, 1, -1).to_vector() == Numbers{2, 5});
  CHECK(x[1].to_vector() == Numbers{3, 4, 5});
  CHECK(diagonal(x).to_vector() == Numbers{0, 4});
  CHECK(diagonal(x, 1).to_vector() == Numbers{1, 5});
  CHECK(diagonal(x, -1).to_vector() == Numbers{3});
  CHECK(diagonal(x, 5).shape() == Shape{0});
  CHECK(diagonal(counted({2, 3, 2}), 0, 0, 2).to_vector() == Numbers{0, 7, 2, 9, 4, 11});
  CHECK(unbind(x, 1)[2].to_vector() == Numbers{2, 5});
  CHECK(unbind(x, 1).size() == 3);
  CHECK(split(x, 2, 1)[1].to_vector() == Numbers{2, 5});
  CHECK(split(zeros({0}), 2).size() == 1);
  CHECK(chunk(counted({5}), 3)[2].to_vector() == Numbers{4});
  CHECK(chunk(counted({4}), 8).size() == 4);
}

TEST_CASE("slice: as Python's, with steps and negative ends") {
  const Tensor x = counted({7});
  CHECK(slice(x, 0, 1, 6, 2).to_vector() == Numbers{1, 3, 5});
  CHECK(slice(x, 0, -3, 100).to_vector() == Numbers{4, 5, 6});
  CHECK(slice(x, 0, 0, -5).to_vector() == Numbers{0, 1});
  CHECK(slice(x, 0, -100, 2).to_vector() == Numbers{0, 1});
  CHECK(slice(x, 0, 5, 2).shape() == Shape{0});
  CHECK(slice(x, 0, 7, 7).shape() == Shape{0});
  CHECK(slice(x, 0, 0, std::numeric_limits<int64_t>::max(), 3).to_vector() == Numbers{0, 3, 6});
  CHECK(slice(x, 0, 1, 7, std::numeric_limits<int64_t>::max()).to_vector() == Numbers{1});
  CHECK(slice(slice(x, 0, 1, 7, 2), 0, 1, 3).to_vector() == Numbers{3, 5});
}

TEST_CASE("repeat, prod and pad_circular never return a view, also where they have nothing to do") {
  const Tensor x = ones({1, 3}, {.dtype = f64, .requires_grad = true}), one = ones({1}, {.dtype = f64});
  const Tensor h = x * 1.0;
  for (Tensor y :
       {repeat(h, {1, 1}), repeat(h, {1, 1, 1}), prod(h, 0), prod(h, 0, true), prod(sum(h)), pad_circular(h, {0, 0})}) {
    y *= y + 1.0;
    CHECK(h.to_vector() == Numbers{1, 1, 1});
  }
  CHECK(grad(sum(repeat(h, {1, 1}) * 3), x).to_vector() == Numbers{3, 3, 3});
  Tensor repeated = repeat(one, {3});  // not one number in three places
  repeated.copy_(counted({3}));
  CHECK(repeated.to_vector() == Numbers{0, 1, 2});
  CHECK(one.item() == 1);
}

TEST_CASE("views share their storage; reshape copies only where strides cannot say it") {
  const Tensor x = normal({4, 6, 2});
  for (const Tensor& y : {identity(x), reshape(x, {8, 6}), flatten(x), transpose(x), permute(x, {1, 2, 0}),
                          unsqueeze(x, 1), expand(x, {3, 4, 6, 2}), slice(x, 1, 1, 5, 2), x[2], diagonal(x),
                          unbind(x)[1], split(x, 3, 1)[1], x.detach(), x.contiguous()})
    CHECK(is_view_of(y, x));
  CHECK(!is_view_of(x.clone(), x));
  CHECK(!is_view_of(x.to(f32), x));

  const Tensor even = slice(x, 0, 0, 4, 2);  // (2, 6, 2): the last two axes lie as one
  CHECK(is_view_of(reshape(even, {2, 12}), x));
  CHECK(is_view_of(reshape(even, {2, 1, 3, 4}), x));
  CHECK(is_view_of(reshape(slice(x, 1, 0, 6, 3), {2, 2, 2, 2}), x));
  CHECK(is_view_of(reshape(permute(x, {2, 0, 1}), {2, 24}), x));
  CHECK(is_view_of(reshape(slice(x, 2, 0, 1), {24}), x));  // every other number
  CHECK(is_view_of(reshape(expand(normal({3, 1}), {3, 4}), {3, 2, 2}), x) == false);
  const Tensor row = normal({4}), wide = expand(row, {3, 4});
  CHECK(is_view_of(reshape(wide, {3, 2, 2}), row));
  CHECK(!is_view_of(reshape(wide, {12}), row));
  CHECK(!is_view_of(reshape(even, {24}), x));
  CHECK(!is_view_of(reshape(transpose(x), {48}), x));
  CHECK(!is_view_of(reshape(slice(x, 1, 0, 5), {20, 2}), x));
  for (const Shape& shape : {Shape{2, 12}, Shape{24}, Shape{3, 8}, Shape{2, 2, 3, 2, 1}})
    CHECK(reshape(even, shape).to_vector() == even.contiguous().to_vector());
}

TEST_CASE("unbind: T steps and their sum cost storage in proportion to T, even where their gradient is recorded") {
  const auto cost = [](int64_t steps) {
    Rng rng(1);
    pool::release();
    {
      Tensor x = randn({steps, 8}, {.requires_grad = true}, rng);
      Tensor total = zeros({8});
      for (const Tensor& part : unbind(x)) total = total + part * part;
      const Tensor g = grad(sum(total), x, {.create_graph = true});
      CHECK(allclose(g, x * 2));
      CHECK(jvp(g, x, ones_like(x)).to_vector() == Numbers(size_t(steps * 8), 2));
      CHECK(grad(sum(g), x).to_vector() == Numbers(size_t(steps * 8), 2));
    }
    return bytes_held();
  };
  const int64_t live = Storage::live, nodes = Node::live;
  const double few = cost(500), many = cost(1000);
  INFO(few << " and " << many << " bytes");
  CHECK(many <= 2.5 * few);
#ifndef __SANITIZE_ADDRESS__
  CHECK(few > 500 * 8 * sizeof(float));
#endif
  CHECK(Storage::live == live);
  CHECK(Node::live == nodes);

  const Tensor x = randn({1000, 8}, {.requires_grad = true});
  const int64_t before = Storage::live;
  const std::vector<Tensor> parts = unbind(x);
  CHECK(Storage::live == before);
}

TEST_CASE("unbind: back through T steps no buffer of the whole's size is used but the gradient's own") {
  constexpr int64_t steps = 300, width = 8;
  for (const bool create_graph : {false, true}) {
    Tensor x = randn({steps, width}, {.requires_grad = true});
    Tensor total = zeros({width});
    for (const Tensor& part : unbind(x)) total = total + part * part;
    total = sum(total);
    pool::release();
    const Tensor g = grad(total, x, {.create_graph = create_graph});
    const size_t whole = sizeof(Storage) + size_t(steps * width) * sizeof(float);
    CHECK(pool::free_blocks[pool::size_class(whole).index] == nullptr);
    CHECK(allclose(g, x * 2));
  }
}

TEST_CASE("unbind, index_select: forward over a recorded gradient uses no buffer of the whole's size but its own") {
  constexpr int64_t steps = 300, width = 8;
  const auto part_by_view = [](const Tensor& x, int64_t i) { return select(x, 0, i); };
  const auto part_by_index = [](const Tensor& x, int64_t i) {
    return index_select(x, 0, full({1}, double(i), {.dtype = i64}));
  };
  for (Tensor (*part)(const Tensor&, int64_t) : {+part_by_view, +part_by_index}) {
    Tensor x = randn({steps, width}, {.requires_grad = true});
    Tensor total = zeros({width});
    for (int64_t i = 0; i < steps; ++i) total = total + pow(part(x, i), 3);
    const Tensor g = grad(sum(total), x, {.create_graph = true});
    const Tensor v = randn({steps, width});
    pool::release();
    const Tensor t = jvp(g, x, v);
    const size_t whole = sizeof(Storage) + size_t(steps * width) * sizeof(float);
    CHECK(pool::free_blocks[pool::size_class(whole).index] == nullptr);
    CHECK(allclose(t, 6 * x * v));
  }
}

TEST_CASE("views: a part's gradient is zero elsewhere; overlapping parts add up") {
  Tensor x = counted({2, 3}).requires_grad_();
  CHECK(grad(sum(select(x, 1, 1)), x).to_vector() == Numbers{0, 1, 0, 0, 1, 0});
  CHECK(grad(sum(slice(x, 1, 0, 2)) + sum(slice(x, 1, 1, 3)) * 10, x).to_vector() == Numbers{1, 11, 10, 1, 11, 10});
  CHECK(grad(sum(diagonal(x)), x).to_vector() == Numbers{1, 0, 0, 0, 1, 0});
  CHECK(jvp(x[1], x, counted({2, 3}) * 2).to_vector() == Numbers{6, 8, 10});
  CHECK(grad(sum(x) + sum(x[0]) * 2, x).to_vector() == Numbers{3, 3, 3, 1, 1, 1});
}

TEST_CASE("to: a gradient comes back in the dtype it left in; integers carry none") {
  Tensor x = tensor({1.5, 2.5}).requires_grad_();
  const Tensor g = grad(sum(x.to(f64) * 3), x);
  CHECK(g.dtype() == f32);
  CHECK(g.to_vector() == Numbers{3, 3});
  CHECK(!x.to(i64).history());
  CHECK(x.to(i64).to_vector<int64_t>() == std::vector<int64_t>{1, 2});
  CHECK(x.to(f32).is_same(x));
  CHECK(!x.detach().requires_grad());
}

TEST_CASE("to and copy_: a number that i64 does not hold is refused") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (const Dtype dtype : {f32, f64})
    for (const double x : {nan, inf, -inf, 0x1p63, -0x1p64}) {
      Tensor given = zeros({2, 3}, {.dtype = dtype});
      given[1][2].fill_(x);
      CHECK(error_of([&] { transpose(given).to(i64); }) ==
            "to: the number " + std::to_string(x) + " for a tensor of i64");
      Tensor whole = ones({2, 3}, {.dtype = i64});
      CHECK(error_of([&] { whole.copy_(given); }) == "copy_: the number " + std::to_string(x) + " for a tensor of i64");
      CHECK(whole.to_vector() == Numbers{1, 1, 1, 1, 1, 1});
    }
  CHECK(tensor({-0x1p63, -1.9, 1.9}).to(i64).to_vector<int64_t>() == std::vector<int64_t>{INT64_MIN, -1, 1});
}

TEST_CASE("views: what is wrong is told with both values") {
  const Tensor x = counted({2, 3});
  const auto is = [](const std::string& message, auto&& call) { CHECK(error_of(call) == message); };
  is("reshape: (2, 3), of 6 elements, does not fit (4, 2)", [&] { reshape(x, {4, 2}); });
  is("reshape: (2, 3), of 6 elements, does not fit (4, -1)", [&] { reshape(x, {4, -1}); });
  is("reshape: (2, 3), of 6 elements, does not fit (-1, -1)", [&] { reshape(x, {-1, -1}); });
  is("reshape: (2, 3), of 6 elements, does not fit (-2, -3)", [&] { reshape(x, {-2, -3}); });
  is("reshape: (0, 3), of 0 elements, does not fit (0, -1)", [&] { reshape(zeros({0, 3}), {0, -1}); });
  is("reshape: (0), of 0 elements, does not fit (4611686018427387904, 4)", [&] {
    reshape(zeros({0}), {int64_t{1} << 62, 4});
  });
  is("flatten: axes 1 to 0", [&] { flatten(x, 1, 0); });
  is("permute: axes (0) for a tensor of shape (2, 3)", [&] { permute(x, 0); });
  CHECK(error_of([&] { permute(x, {0, -2}); }).find("twice") != std::string::npos);
  is("squeeze: axis 1 of (2, 3) is not of size 1", [&] { squeeze(x, 1); });
  is("expand: (2, 3) to (3)", [&] { expand(x, {3}); });
  is("expand: (1, 3) to (2, 1)", [&] { expand(counted({1, 3}), {2, 1}); });
  CHECK(error_of([&] { expand(x, {4, 3}); }).find("expand") == 0);
  CHECK(error_of([&] { expand(x, {-1, 2, 3}); }) != "");
  is("slice: a step of 0; it must be at least 1", [&] { slice(x, 0, 0, 2, 0); });
  is("select: index 3 for axis 1 of size 3", [&] { select(x, 1, 3); });
  is("select: index -3 for axis 0 of size 2", [&] { select(x, 0, -3); });
  is("select: index 2 for axis 0 of size 2", [&] { x[2]; });
  is("diagonal: axes 0 and -2 are the same", [&] { diagonal(x, 0, 0, -2); });
  is("split: pieces of size 0", [&] { split(x, 0); });
  is("chunk: 0 pieces", [&] { chunk(x, 0); });
  for (const auto call : {+[](const Tensor& t) { transpose(t, 0, 2); }, +[](const Tensor& t) { squeeze(t, 2); },
                          +[](const Tensor& t) { unsqueeze(t, 3); }, +[](const Tensor& t) { slice(t, -3, 0, 1); },
                          +[](const Tensor& t) { select(t, 2, 0); }, +[](const Tensor& t) { unbind(t, 2); },
                          +[](const Tensor& t) { split(t, 1, 2); }, +[](const Tensor& t) { flatten(t, 0, 2); }})
    CHECK(error_of([&] { call(x); }).find("axis") != std::string::npos);
  CHECK(error_of([&] { unsqueeze(zeros({1, 1, 1, 1, 1, 1, 1, 1}), 0); }) != "");
}
