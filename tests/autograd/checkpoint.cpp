#include "fathom/autograd/checkpoint.h"

#include <doctest/doctest.h>

#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/hooks.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/slice.h"
#include "fathom/tensor/print.h"
#include "tests/support.h"

using namespace fathom;

namespace {

struct Case {
  Tensor x = randn({3, 4}, {.dtype = f64, .requires_grad = true});
  Tensor w = randn({4, 4}, {.dtype = f64, .requires_grad = true});
};

Tensor layer(const Tensor& x, const Tensor& w) { return tanh(matmul(x, w)) * x; }

bool same(const Tensor& a, const Tensor& b) { return allclose(a, b, 1e-13, 1e-14); }

}  // namespace

TEST_CASE("checkpoint: the gradients of x and of a captured weight are those of the plain call") {
  manual_seed(1);
  Case c;
  const auto [gx, gw] = grad(sum(square(layer(c.x, c.w))), {c.x, c.w});
  const Tensor y = checkpoint([&](const Tensor& x) { return layer(x, c.w); }, c.x);
  const auto [hx, hw] = grad(sum(square(y)), {c.x, c.w});
  CHECK(same(gx, hx));
  CHECK(same(gw, hw));
  sum(square(y)).backward();
  CHECK(same(gx, c.x.grad()));
  CHECK(same(gw, c.w.grad()));
}

TEST_CASE("checkpoint: a tensor used inside and outside, and a computed tensor captured") {
  manual_seed(2);
  Case c;
  const auto run = [&](auto call) {
    const Tensor h = sin(c.x);
    const Tensor y = call([=, w = c.w](const Tensor& x) { return layer(x, w) + h * 2; }, h);
    return sum(y * h);
  };
  const auto plain = grad(run([](auto f, const Tensor& x) { return f(x); }), {c.x, c.w});
  const auto again = grad(run([](auto f, const Tensor& x) { return checkpoint(f, x); }), {c.x, c.w});
  CHECK(same(plain[0], again[0]));
  CHECK(same(plain[1], again[1]));
  run([](auto f, const Tensor& x) { return checkpoint(f, x); }).backward();
  CHECK(same(plain[0], c.x.grad()));
}

TEST_CASE("checkpoint: dropout inside repeats its numbers, and the numbers after it are not disturbed") {
  Case c;
  const auto f = [](const Tensor& x) { return dropout(x * 3, 0.5); };
  manual_seed(5);
  const Tensor plain = f(c.x);
  const Tensor next = randn({4});
  const Tensor expected = grad(sum(plain * plain), c.x);
  manual_seed(5);
  const Tensor y = checkpoint(f, c.x);
  CHECK(allclose(randn({4}), next));
  const Tensor after = default_rng().uniform() > 0 ? y : y;
  CHECK(same(grad(sum(after * after), c.x), expected));
}

TEST_CASE("checkpoint: forward mode and second order go through it") {
  manual_seed(3);
  Case c;
  const auto f = [&](const Tensor& x) { return layer(x, c.w); };
  const Tensor v = randn({3, 4}, {.dtype = f64});
  CHECK(same(jvp(f(c.x), c.x, v), jvp(checkpoint(f, c.x), c.x, v)));
  const auto second = [&](const Tensor& y) {
    const Tensor g = grad(sum(y * y), c.x, {.create_graph = true});
    return grad(sum(g * g), {c.x, c.w});
  };
  const auto plain = second(f(c.x)), again = second(checkpoint(f, c.x));
  CHECK(same(plain[0], again[0]));
  CHECK(same(plain[1], again[1]));
  CHECK(same(hvp(sum(square(f(c.x))), c.x, v), hvp(sum(square(checkpoint(f, c.x))), c.x, v)));
}

TEST_CASE("checkpoint: a constant that it captures and that is changed in place since is an error; its own are not") {
  for (const bool nested : {false, true})
    for (const bool changed : {false, true}) {
      const Tensor x = tensor({1.0, 2.0}, {.requires_grad = true});
      Tensor c = tensor({3.0, 4.0});
      c.mul_(1);  // before, it may be
      const auto f = [&](Tensor at) {
        Tensor own = zeros({2});
        own.add_(2);  // in each run
        Tensor h = at * 1;
        h.add_(1);
        if (!nested) return at * c * own + h;
        return checkpoint([=](Tensor inner) { return inner * c * own * h; }, at);
      };
      const Tensor y = sum(checkpoint(f, x));
      if (changed) c.add_(1);
      const std::string message = error_of([&] { y.backward(); });
      CHECK(message.starts_with(changed ? "checkpoint: a tensor of shape (2), which f reads in mul, has been changed"
                                        : ""));
      CHECK(message.empty() == !changed);
      if (!changed) CHECK(x.grad().to_vector() == (nested ? std::vector<double>{18, 40} : std::vector<double>{7, 9}));
    }
}

TEST_CASE("checkpoint: what it captures and is changed in place since is an error, within a checkpoint too") {
  for (const bool twice : {false, true}) {
    Tensor w = tensor({2.0, 3.0}).requires_grad_();
    const Tensor x = tensor({1.0, 1.0}).requires_grad_();
    const auto f = [&](const Tensor& at) { return tanh(at * w); };
    const auto g = [&](const Tensor& at) { return twice ? checkpoint(f, at + 0) : f(at); };
    {
      const NoGrad off;
      w *= 1.5;  // before it is recorded
    }
    const Tensor unchanged = checkpoint(g, x);
    sum(unchanged).backward({.retain_graph = true});
    const Tensor y = checkpoint(g, x);
    {
      const NoGrad off;
      w *= 2;
    }
    const std::string message = error_of([&] { sum(y).backward(); });
    CHECK(message.starts_with("checkpoint: a tensor of shape (2), which f reads in mul, has been changed by "));
    CHECK(message.ends_with("since f(x) was computed"));
    sum(checkpoint(g, x)).backward();
  }
}

TEST_CASE("checkpoint: within a checkpoint") {
  manual_seed(4);
  Case c;
  const auto inner = [&](const Tensor& x) { return layer(x, c.w); };
  const auto outer = [&](const Tensor& x) { return checkpoint(inner, sin(checkpoint(inner, x))) + x; };
  const auto plain = grad(sum(square(inner(sin(inner(c.x))) + c.x)), {c.x, c.w});
  const Tensor y = checkpoint(outer, c.x);
  const auto again = grad(sum(square(y)), {c.x, c.w});
  CHECK(same(plain[0], again[0]));
  CHECK(same(plain[1], again[1]));
}

TEST_CASE("checkpoint: hooks inside are run, once, and only where hooks are") {
  manual_seed(6);
  Case c;
  int calls = 0;
  const auto f = [&](const Tensor& x) {
    const Tensor h = layer(x, c.w);
    register_hook(h, [&calls](const Tensor& g) { return ++calls, g * 10; });
    return h;
  };
  const Tensor x = sin(c.x);
  register_hook(x, [](const Tensor& g) { return g * 2; });
  const auto plain = grad(sum(square(f(x))), {c.x, c.w});
  CHECK(calls == 1);
  const auto within = [&](const Tensor& at) { return checkpoint(f, at); };
  for (const Tensor& y : {checkpoint(f, x), checkpoint(within, x)}) {
    const auto again = grad(sum(square(y)), {c.x, c.w});
    CHECK(same(plain[0], again[0]));
    CHECK(same(plain[1], again[1]));
  }
  CHECK(calls == 3);
  sum(square(within(x))).backward();
  CHECK(same(plain[0], c.x.grad()));
  CHECK(calls == 4);
  const Tensor y = checkpoint(f, x);
  const Slice slice(y, std::span(&x, 1));  // a Jacobian's products run none
  CHECK(same(slice.vjp(ones({3, 4}, {.dtype = f64}))[0],
             Slice(layer(x, c.w), std::span(&x, 1)).vjp(ones({3, 4}, {.dtype = f64}))[0]));
  CHECK(calls == 4);
}

TEST_CASE("checkpoint: a hook that is put within on what stands outside is put once") {
  const Tensor x = tensor({1.0, 2.0}, {.requires_grad = true});
  const auto once = [](const Tensor& w, const Tensor& at) {
    for (const Tensor& each : {at, w}) register_hook(each, [](const Tensor& g) { return g * 10; });
    return at * w;
  };
  for (const bool nested : {false, true}) {
    const Tensor w = tensor({3.0}, {.requires_grad = true});
    const auto f = [=](const Tensor& at) { return once(w, at); };
    const auto within = [=](const Tensor& at) { return checkpoint(f, at * 1); };
    const auto [gx, gw] = grad(sum(nested ? checkpoint(within, x * 1) : checkpoint(f, x * 1)), {x, w});
    CHECK(gx.to_vector() == std::vector<double>{30, 30});
    CHECK(gw.to_vector() == std::vector<double>{30});
  }
}

TEST_CASE("checkpoint: the intermediate results are not kept") {
  const Tensor x = randn({100}, {.requires_grad = true});
  const auto deep = [](const Tensor& at) {
    Tensor h = at;
    for (int i = 0; i < 50; ++i) h = tanh(h);
    return h;
  };
  const int64_t before = Storage::live;
  const Tensor kept = deep(x);
  const int64_t plain = Storage::live - before;
  const Tensor y = checkpoint(deep, x);
  CHECK(plain >= 50);
  CHECK(Storage::live - before - plain == 1);
}

TEST_CASE("checkpoint: without recording, and of a function that returns its argument") {
  const Tensor x = ones({2}, {.requires_grad = true});
  CHECK(checkpoint([](const Tensor& at) { return at; }, x).is_same(x));
  const NoGrad off;
  CHECK(!checkpoint([](const Tensor& at) { return at * 2; }, x).history());
}
