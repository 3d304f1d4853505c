// What the walks over the tape promise, whatever the ops are.
#include <cmath>

#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/node.h"
#include "fathom/autograd/ops.h"
#include "tests/support.h"

using namespace fathom;

namespace {

using Numbers = std::vector<double>;

Tensor leaf(const Numbers& x) { return from_data(x, {int64_t(x.size())}, {.requires_grad = true}); }
Tensor vector(const Numbers& x) { return from_data(x, {int64_t(x.size())}); }
bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

// ---- backward ----

TEST_CASE("backward adds up in the leaves") {
  Tensor x = leaf({1, 2}), w = leaf({3, 4});
  CHECK(!x.grad().defined());
  sum(x * w).backward();
  CHECK(x.grad().to_vector() == Numbers{3, 4});
  CHECK(w.grad().to_vector() == Numbers{1, 2});
  sum(square(x)).backward();
  CHECK(x.grad().to_vector() == Numbers{5, 8});
  CHECK(w.grad().to_vector() == Numbers{1, 2});
  x.set_grad({});
  CHECK(!x.grad().defined());
}

TEST_CASE("backward: a leaf used twice, by itself, and as the result") {
  Tensor x = leaf({3});
  (x * x + x).backward();
  CHECK(x.grad().item() == 7);
  x.backward();
  CHECK(x.grad().item() == 8);
}

TEST_CASE("backward: the gradient in a leaf is its own") {
  Tensor x = leaf({1, 2}), z = leaf({5, 6});
  const Tensor u = vector({1, 1});
  (x + z).backward({.cotangent = u});
  const Tensor gx = x.grad();
  gx.data<double>()[0] = 100;
  CHECK(z.grad().to_vector() == Numbers{1, 1});
  CHECK(u.to_vector() == Numbers{1, 1});
}

TEST_CASE("backward consumes the tape; retain_graph keeps it") {
  Tensor x = leaf({2});
  const Tensor y = square(x) * x;
  y.backward({.retain_graph = true});
  y.backward();
  CHECK(x.grad().item() == 24);
  CHECK(contains(error_of([&] { y.backward(); }), "has consumed this part of the tape"));
  CHECK(contains(error_of([&] { grad(y, x); }), "has consumed this part of the tape"));
  CHECK(x.grad().item() == 24);
}

TEST_CASE("backward: a tape consumed in part is an error that names the op") {
  Tensor x = leaf({2});
  const Tensor shared = square(x);
  (shared * 3.0).backward();
  CHECK(contains(error_of([&] { (shared * 5.0).backward(); }), "square: backward() has consumed"));
  // The walk that failed left nothing behind.
  x.set_grad({});
  square(x).backward();
  CHECK(x.grad().item() == 4);
}

TEST_CASE("backward: errors") {
  Tensor x = leaf({1, 2});
  CHECK(contains(error_of([&] { backward(square(x)); }), "the tensor has shape (2), not one element"));
  CHECK(contains(error_of([&] { backward(vector({1})); }), "nothing was recorded"));
  CHECK(contains(error_of([&] { backward(square(x), {.cotangent = vector({1})}); }), "the cotangent is (1)"));
  CHECK(contains(error_of([&] { backward(square(x), {.cotangent = ones({2})}); }), "of f32, the tensor (2) of f64"));
}

TEST_CASE("backward: what was changed in place since is an error that names both ops") {
  Tensor x = leaf({1, 2});
  Tensor y = exp(x);
  const Tensor z = sum(y * y);
  {
    const NoGrad off;
    y.add_(1);
  }
  const std::string message = error_of([&] { z.backward(); });
  CHECK(contains(message, "mul: needs its input of shape (2)"));
  CHECK(contains(message, "add_"));
}

// ---- derivatives as values ----

TEST_CASE("jvp: a tangent's buffer is the next one's when nothing else reads it") {
  const Tensor x = randn({1000}, {.requires_grad = true});
  Tensor y = x;
  for (int i = 0; i < 50; ++i) y = sin(y) + y;
  const Tensor v = ones_like(x);
  pool::release();
  const Tensor t = jvp(y, x, v);
  int64_t buffers = 0;
  const size_t one = sizeof(Storage) + 1000 * sizeof(float);
  for (const pool::Block* b = pool::free_blocks[pool::size_class(one).index]; b; b = b->next) ++buffers;
  CHECK(buffers <= 2);
  CHECK(v.to_vector() == Numbers(1000, 1));
  CHECK(allclose(t, vjp(y, x, v)));
}

TEST_CASE("backward: over a tape that is used up in part it is an error before any gradient changes") {
  Tensor z = leaf({2});
  const Tensor a = z * z;
  sum(a * a).backward();
  const auto before = z.grad().to_vector();
  const Tensor b = z * 5;
  const Tensor loss = sum(a) + sum(b);
  CHECK_THROWS_AS(loss.backward(), Error);
  CHECK(z.grad().to_vector() == before);
  CHECK(grad(sum(b), z).item() == 5);  // what was whole is
  CHECK(Node::live_consumed > 0);
}

TEST_CASE("hvp: all parameters at once, of two dtypes, are the single ones' sums") {
  const Tensor x = leaf({0.5, 1}), w = leaf({0.3, -0.2});
  const Tensor s = tensor({0.7f}, {.dtype = f32, .requires_grad = true}), unused = leaf({1});
  const Tensor y = sum(sin(x * w)) + sum(exp(s).to(f64) * w);
  const Tensor vx = vector({1, 2}), vw = vector({-1, 0.5}), vs = full({1}, 0.25, {.dtype = f32});
  const auto all = hvp(y, {{x, w, s, unused}}, {{vx, vw, vs, vector({1})}}, {.allow_unused = true});
  const auto gs = grad(y, {{x, w, s}}, {.create_graph = true});
  for (size_t i = 0; i < 3; ++i)
    CHECK(allclose(all[i], jvp(gs[i], {{x, w, s}}, {{vx, vw, vs}}, {.allow_unused = true})));
  CHECK(!all[3].defined());
}

TEST_CASE("grad, vjp, jvp and hvp: values") {
  Tensor x = leaf({1, 2}), w = leaf({3, 5});
  const Tensor y = square(x) * w;
  const auto [gx, gw] = grad(sum(y), {x, w});
  CHECK(gx.to_vector() == Numbers{6, 20});
  CHECK(gw.to_vector() == Numbers{1, 4});
  CHECK(vjp(y, x, vector({10, 1})).to_vector() == Numbers{60, 20});
  CHECK(jvp(y, x, vector({1, -1})).to_vector() == Numbers{6, -20});
  CHECK(jvp(y, {x, w}, {vector({1, -1}), vector({2, 0})}).to_vector() == Numbers{8, -20});
  CHECK(hvp(sum(y), x, vector({1, 2})).to_vector() == Numbers{6, 20});
  const auto [hx, hw] = hvp(sum(y), {x, w}, {vector({1, 0}), vector({0, 1})});
  CHECK(hx.to_vector() == Numbers{6, 4});
  CHECK(hw.to_vector() == Numbers{2, 0});
  CHECK(!gx.requires_grad());
  CHECK(!x.grad().defined());
}

TEST_CASE("grad: of intermediates, and of an input and an intermediate at once") {
  Tensor x = leaf({2});
  const Tensor a = square(x), b = a * 3.0, y = b * x;  // 3 x^3
  CHECK(grad(y, a).item() == 6);
  const auto [gx, ga, gb, gy] = grad(y, {x, a, b, y});
  CHECK(gx.item() == 36);
  CHECK(ga.item() == 6);
  CHECK(gb.item() == 2);
  CHECK(gy.item() == 1);
  // A tangent at each: that of x flows through a and b as well.
  CHECK(jvp(y, {x, a}, {vector({1}), vector({0})}).item() == 36);
  CHECK(jvp(y, {x, a}, {vector({1}), vector({1})}).item() == 42);
  CHECK(grad(y, std::vector<Tensor>{x, x})[1].item() == 36);
}

TEST_CASE("grad: derivatives that are zero, and hvp of a linear function") {
  Tensor x = leaf({2, 3});
  CHECK(grad(sum(sign(x) * x), x).to_vector() == Numbers{1, 1});
  CHECK(hvp(sum(x * 2.0), x, vector({1, 1})).to_vector() == Numbers{0, 0});
}

TEST_CASE("grad: errors") {
  Tensor x = leaf({1, 2}), other = leaf({1, 2});
  const Tensor y = square(x), off = vector({1, 2});
  CHECK(contains(error_of([&] { grad(y, x); }), "grad: y has shape (2), not one element"));
  CHECK(contains(error_of([&] { grad(sum(y), other); }), "grad: y does not depend on x 0 of shape (2)"));
  CHECK(contains(error_of([&] { grad(sum(y), off); }), "grad: x 0 of shape (2) is not on the tape"));
  CHECK(contains(error_of([&] { grad(sum(off), x); }), "grad: nothing was recorded for y"));
  const Tensor constant = grad(sum(relu(x)), x, {.create_graph = true});
  const char* causes = "it is a constant derivative, or comes of grad() without .create_graph = true";
  CHECK(contains(error_of([&] { grad(sum(constant), x); }), causes));
  CHECK(contains(error_of([&] { sum(constant).backward(); }), causes));
  CHECK(contains(error_of([&] { vjp(y, x, vector({1})); }), "vjp: a cotangent of (1) and f64 for a tensor of (2)"));
  CHECK(contains(error_of([&] { jvp(y, x, ones({2})); }), "jvp: a tangent of (2) and f32"));
  CHECK(contains(error_of([&] { hvp(sum(y), x, vector({1})); }), "hvp: a direction of (1)"));
  CHECK(contains(error_of([&] { jvp(y, std::vector<Tensor>{x}, std::vector<Tensor>{}); }), "1 tensors and 0 tangents"));
  const auto [gx, go, gn] = grad(sum(y), {x, other, off}, {.allow_unused = true});
  CHECK(gx.to_vector() == Numbers{2, 4});
  CHECK(!go.defined());
  CHECK(!gn.defined());
}

TEST_CASE("create_graph: third order, by any chain of modes") {
  const double at = 0.7;
  Tensor x = leaf({at});
  const Tensor y = exp(x) * square(x);  // y''' = e^x (x^2 + 6 x + 6)
  const double third = std::exp(at) * (at * at + 6 * at + 6);
  const GradOptions more{.create_graph = true};
  const Tensor one = vector({1});
  CHECK(grad(grad(grad(y, x, more), x, more), x).item() == doctest::Approx(third));
  CHECK(jvp(jvp(jvp(y, x, one, more), x, one, more), x, one).item() == doctest::Approx(third));
  CHECK(jvp(grad(jvp(y, x, one, more), x, more), x, one).item() == doctest::Approx(third));
  CHECK(grad(hvp(y, x, one, more), x).item() == doctest::Approx(third));
  const Tensor g = grad(y, x, more);
  CHECK(g.requires_grad());
  square(g).backward();
  const double first = std::exp(at) * (at * at + 2 * at), second = std::exp(at) * (at * at + 4 * at + 2);
  CHECK(x.grad().item() == doctest::Approx(2 * first * second));
}

TEST_CASE("NoGrad records nothing, and ends with its scope") {
  Tensor x = leaf({1, 2});
  const int64_t before = Node::live;
  {
    const NoGrad off;
    const Tensor y = square(x);
    CHECK(!y.requires_grad());
    CHECK(Node::live == before);
    x.add_(1);
  }
  CHECK(square(x).requires_grad());
  CHECK(grad(sum(square(x)), x).to_vector() == Numbers{4, 6});
  CHECK(!square(x.detach()).requires_grad());
}

// ---- hooks ----

TEST_CASE("hooks see the whole gradient once and may replace it") {
  Tensor x = leaf({3});
  const Tensor a = square(x);
  int calls = 0;
  register_hook(a, [&](const Tensor& g) {
    ++calls;
    CHECK(g.item() == 5);
    return g * 10.0;
  });
  const Tensor y = a * 2.0 + a * 3.0;
  y.backward({.retain_graph = true});
  CHECK(calls == 1);
  CHECK(x.grad().item() == 300);
  CHECK(grad(y, x).item() == 300);
  CHECK(calls == 2);
  jvp(y, x, vector({1}));
  CHECK(calls == 2);
}

TEST_CASE("hooks on a leaf, in their order") {
  Tensor x = leaf({3});
  int calls = 0;
  register_hook(x, [&](const Tensor& g) {
    ++calls;
    CHECK(g.item() == 7);
  });
  register_hook(x, [&](const Tensor& g) { return ++calls, g + 1.0; });
  register_hook(x, [&](const Tensor& g) { return ++calls, g * 2.0; });
  (x * x + x).backward();
  CHECK(calls == 3);
  CHECK(x.grad().item() == 16);
  CHECK(grad(x * x + x, x).item() == 16);
  CHECK(calls == 6);
}

TEST_CASE("hooks: errors") {
  Tensor x = leaf({3});
  CHECK(contains(error_of([] { register_hook(vector({1}), [](const Tensor&) {}); }), "is not on the tape"));
  register_hook(x, [](const Tensor&) { return vector({1, 2}); });
  CHECK(contains(error_of([&] { square(x).backward(); }), "was replaced by one of shape (2)"));
}

TEST_CASE("retain_grad keeps an intermediate's gradient") {
  Tensor x = leaf({3});
  const Tensor a = square(x), b = a * 2.0;
  a.retain_grad();
  b.backward();
  CHECK(a.grad().item() == 2);
  CHECK(!b.grad().defined());
  CHECK(x.grad().item() == 12);
}

// ---- walks within walks ----

TEST_CASE("a hook takes gradients over the tape that is being walked") {
  Tensor x = leaf({3});
  const Tensor a = square(x), b = exp(a * 0.1), y = a * b;
  const double plain = grad(y, x).item();
  double inner = 0, tangent = 0;
  bool once = true;
  register_hook(b, [&](const Tensor&) {  // which the inner walk passes too
    if (!std::exchange(once, false)) return;
    inner = grad(b, x).item();
    tangent = jvp(b, x, vector({1})).item();
  });
  y.backward();
  const double expected = std::exp(0.9) * 0.6;
  CHECK(inner == doctest::Approx(expected));
  CHECK(tangent == doctest::Approx(expected));
  CHECK(x.grad().item() == doctest::Approx(plain));
}

TEST_CASE("a hook calls backward over the tape that is being walked") {
  Tensor x = leaf({3});
  const Tensor a = square(x), b = a * 2.0, y = a * b;  // 2 x^4
  bool once = true;
  register_hook(b, [&](const Tensor&) {
    if (std::exchange(once, false)) b.backward({.retain_graph = true});  // adds 4 x
  });
  y.backward();
  CHECK(x.grad().item() == doctest::Approx(8 * 27 + 12));
}

TEST_CASE("an error inside a hook leaves the tape fit for the next walk") {
  Tensor x = leaf({3});
  const Tensor a = square(x), y = a * 2.0 + exp(a);
  bool fail = true;
  register_hook(a, [&](const Tensor&) {
    if (std::exchange(fail, false)) throw Error("on purpose");
  });
  CHECK(error_of([&] { y.backward({.retain_graph = true}); }) == "on purpose");
  CHECK(grad(y, x).item() == doctest::Approx(6 * (2 + std::exp(9.0))));
}
