// What the walks promise of long tapes: time, stack and memory.
#include <pthread.h>

#include <chrono>

#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/node.h"
#include "fathom/autograd/ops.h"
#include "tests/support.h"

using namespace fathom;

namespace {

Tensor one() { return ones({1}, {.dtype = f64}); }

// f on a thread with a stack of 1 MiB; what it reports.
struct Small {
  bool ok = false;
  int64_t nodes = -1, storages = -1;
};
template <class F>
Small on_small_stack(F f) {
  struct Task {
    F f;
    Small result;
  } task{std::move(f), {}};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 1 << 20);
  pthread_t thread;
  const auto run = [](void* p) -> void* {
    Task& t = *static_cast<Task*>(p);
    t.result.ok = t.f();
    t.result.nodes = Node::live;
    t.result.storages = Storage::live;
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, run, &task) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  return task.result;
}

}  // namespace

TEST_CASE("10,000 diamonds in a row take linear time") {
  const auto seconds = [](int depth) {
    Tensor x = one().requires_grad_();
    Tensor y = x * 1.0;
    for (int i = 0; i < depth; ++i) y = y * 0.5 + y * 0.5;
    const auto begin = std::chrono::steady_clock::now();
    const double g = grad(y, x).item(), t = jvp(y, x, one()).item();
    y.backward();
    const auto end = std::chrono::steady_clock::now();
    CHECK(g == 1);
    CHECK(t == 1);
    CHECK(x.grad().item() == 1);
    return std::chrono::duration<double>(end - begin).count();
  };
  seconds(1000);
  CHECK(seconds(10000) < 5);  // milliseconds; without a tape in order it would not end
}

TEST_CASE("a chain of 1,000,000 nodes within a stack of 1 MiB") {
  const Small by_backward = on_small_stack([] {
    Tensor x = one().requires_grad_();
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = y + 0.0;
    y.backward();
    return x.grad().item() == 1;
  });
  CHECK(by_backward.ok);
  CHECK(by_backward.nodes == 0);
  CHECK(by_backward.storages == 0);
  const Small by_value = on_small_stack([] {
    Tensor x = one().requires_grad_();
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = y + 0.0;
    return grad(y, x).item() == 1 && jvp(y, x, one()).item() == 1;  // and dies unconsumed
  });
  CHECK(by_value.ok);
  CHECK(by_value.nodes == 0);
  CHECK(by_value.storages == 0);
}

TEST_CASE("backward gives memory back as it goes") {
  Tensor x = one().requires_grad_();
  Tensor y = x;
  for (int i = 0; i < 100; ++i) y = exp(y * 0.5);
  const int64_t kept = Storage::live;
  int64_t at_the_end = kept;
  register_hook(x, [&](const Tensor&) { at_the_end = Storage::live; });
  y.backward();
  CHECK(kept > 100);
  CHECK(at_the_end < 10);
}
