// Whole training loops: they converge, and in the steady state they ask nothing of the system.
#include <cstdlib>
#include <new>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/nn/nn.h"
#include "fathom/optim/optim.h"
#include "tests/support.h"

using namespace fathom;

namespace {

thread_local int64_t requests = 0;

}  // namespace

#ifndef __SANITIZE_ADDRESS__
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++requests;
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }
#endif

namespace {

struct Xor {
  Tensor x = tensor({{0.0, 0.0}, {0.0, 1.0}, {1.0, 0.0}, {1.0, 1.0}});
  Tensor y = tensor({{0.0}, {1.0}, {1.0}, {0.0}});
};

template <class Optimizer, class Options>
double train_xor(Options options, optim::StepOptions step = {}) {
  manual_seed(4);
  const Xor data;
  nn::Sequential net(nn::Linear(2, 8), nn::Tanh(), nn::Linear(8, 1));
  Optimizer opt(net.parameters(), options);
  double last = 0;
  for (int t = 0; t < 400; ++t) {
    const Tensor loss = nn::bce_with_logits(net(data.x), data.y);
    opt.zero_grad();
    loss.backward();
    opt.step(step);
    last = loss.item();
  }
  return last;
}

}  // namespace

TEST_CASE("every optimiser learns XOR") {
  CHECK(train_xor<optim::SGD, optim::SGDOptions>({.lr = 2}) < 0.05);
  CHECK(train_xor<optim::SGD, optim::SGDOptions>({.lr = 0.3, .momentum = 0.9}) < 0.05);
  CHECK(train_xor<optim::SGD, optim::SGDOptions>({.lr = 0.3, .momentum = 0.9, .nesterov = true}) < 0.05);
  CHECK(train_xor<optim::Adam, optim::AdamOptions>({.lr = 0.05}) < 0.05);
  CHECK(train_xor<optim::AdamW, optim::AdamWOptions>({.lr = 0.05}, {.clip_norm = 1}) < 0.05);
}

TEST_CASE("a tied weight is stepped once, by both its uses") {
  nn::Linear a(3, 3, {.bias = false, .dtype = f64}), b(3, 3, {.bias = false, .dtype = f64});
  nn::init::identity(a.weight);
  b.weight = a.weight;
  optim::SGD opt({a.weight}, {.lr = 1});
  sum(b(a(ones({1, 3}, {.dtype = f64})))).backward();
  opt.step();
  CHECK(b.weight.to_vector() == std::vector<double>{-1, -2, -2, -2, -1, -2, -2, -2, -1});
}

// Calls step until it is warm, then checks that it makes no call to the system's allocator.
template <class Step>
void check_steady(Step step) {
  for (int t = 0; t < 5; ++t) step();
  const int64_t before = requests;
  [[maybe_unused]] const int64_t pool_before = pool::system_requests();
  for (int t = 0; t < 20; ++t) step();
#ifndef __SANITIZE_ADDRESS__  // there the pool steps aside
  CHECK(pool::system_requests() == pool_before);
#endif
  CHECK(requests == before);
}

TEST_CASE("a training loop in its steady state makes no call to the system's allocator") {
  manual_seed(4);
  const Xor data;
  nn::Sequential net(nn::Linear(2, 16), nn::LayerNorm(16), nn::Tanh(),
                     nn::Residual(nn::Sequential(nn::Linear(16, 16), nn::ReLU()), {.scale = 0.5}), nn::Dropout(0.1),
                     nn::Linear(16, 1));
  optim::AdamW opt(net.parameters());
  check_steady([&] {
    const Tensor loss = nn::mse_loss(net(data.x), data.y);
    opt.zero_grad();
    loss.backward();
    opt.step({.clip_norm = 1});
  });

  nn::LSTM lstm_(2, 8, {.layers = 2, .bidirectional = true});
  nn::GRU gru_(16, 8, {.batch_first = true});
  nn::RNN rnn_(8, 8, {.layers = 2});
  const Tensor x = randn({5, 4, 2});
  optim::SGD sgd(
      std::vector<optim::Group<optim::SGDOptions>>{{lstm_.parameters()}, {gru_.parameters()}, {rnn_.parameters()}});
  check_steady([&] {
    sgd.zero_grad();
    sum(square(rnn_(gru_(lstm_(x)))[-1])).backward();
    sgd.step();
  });
}
