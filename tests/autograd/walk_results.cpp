// What a walk hands out: gradients that are right whatever hooks do, in tensors of their own.
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

}  // namespace

TEST_CASE("grad: a hook that walks over its own node spoils neither this walk nor the next") {
  const Tensor x = leaf({2});
  const Tensor m = x * 3, y = sum(m * m), z = sum(x * 5);
  register_hook(m, [&](const Tensor&) {
    (void)jvp(y, m, ones_like(m));
    return Tensor();
  });
  const auto found = grad(y, {{m, x}});
  CHECK(found[0].item() == 12);
  CHECK(found[1].item() == 36);
  register_hook(x, [&](const Tensor& g) {
    CHECK(jvp(z, x, ones_like(x)).item() == 5);
    (void)jvp(z, x, g);
    return Tensor();
  });
  for (int twice = 0; twice < 2; ++twice) CHECK(grad(y, x).item() == 36);
  CHECK(!node_of(x)->flow.defined());
}

TEST_CASE("grad: an x listed twice is one x: its hooks run once, its results are apart") {
  const Tensor x = leaf({2});
  int calls = 0;
  register_hook(x, [&](const Tensor& g) {
    ++calls;
    return g * 2;
  });
  auto found = grad(sum(x * x), {{x, x}});
  CHECK(calls == 1);
  CHECK(found[0].item() == 8);
  found[0].mul_(7);
  CHECK(found[1].item() == 8);
}

TEST_CASE("vjp, jvp and retain_grad give tensors of their own") {
  Tensor x = leaf({1, 2}), v = vector({3, 4});
  Tensor t = jvp(x + 1.0, x, v), u = vjp(x + 1.0, x, v);
  t.mul_(5), u.mul_(6);
  CHECK(v.to_vector() == Numbers{3, 4});
  const Tensor m = x * 1, z = m + 1;
  auto found = vjp(z + 0.0, {{m, z}}, v);
  found[0].mul_(9);
  CHECK(found[1].to_vector() == Numbers{3, 4});
  const Tensor h = x * 2, k = h + 1.0;
  h.retain_grad(), k.retain_grad();
  sum(k).backward();
  h.grad().mul_(3);
  CHECK(k.grad().to_vector() == Numbers{1, 1});
}
