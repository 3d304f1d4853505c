// Optimisers over 1,000 steps, clipping, and the distributions of initialisers, in both libraries.
#include <algorithm>
#include <cmath>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/nn/init.h"
#include "fathom/optim/optim.h"
#include "tests/agreement/cases.h"
#include "tests/agreement/torch.h"

using namespace fathom;

namespace agreement {
namespace {

constexpr int steps = 1000;

// The least squares of tanh(x w + b) from a target.
struct Problem {
  Tensor w, b, x, target;
  explicit Problem(Dtype dtype)
      : w(random({3, 4}, 1, dtype)),
        b(random({4}, 2, dtype)),
        x(random({8, 3}, 3, dtype, -2, 2)),
        target(random({8, 4}, 4, dtype, -1.5, 1.5)) {
    w.requires_grad_(), b.requires_grad_();
  }
  Tensor loss() const { return mean(square(tanh(matmul(x, w) + b) - target)); }
  Results reached() const { return {{"w", w.to_vector()}, {"b", b.to_vector()}}; }
};

// `rate`, where there is one, gives the learning rate of a step.
template <class Optimizer, class Options>
Results train(Dtype dtype, Options options, optim::StepOptions step = {}, double (*rate)(int64_t) = nullptr) {
  const Problem p(dtype);
  Optimizer opt(std::vector<Tensor>{p.w, p.b}, options);
  for (int i = 0; i < steps; ++i) {
    if (rate) opt.set_lr(rate(i));
    opt.zero_grad();
    p.loss().backward();
    opt.step(step);
  }
  return p.reached();
}
Results train_lbfgs(Dtype dtype) {
  const Problem p(dtype);
  optim::LBFGS opt(std::vector<Tensor>{p.w, p.b});
  for (int i = 0; i < steps; ++i)
    opt.step([&] {
      const Tensor loss = p.loss();
      loss.backward();
      return loss;
    });
  return p.reached();
}

// `clip` is given parameters with gradients, and gives a norm.
template <class Clip>
Results clip(Dtype dtype, Clip clip_all) {
  const Tensor a = zeros({3, 4}, {.dtype = dtype, .requires_grad = true});
  const Tensor b = zeros({4}, {.dtype = dtype, .requires_grad = true});
  a.set_grad(random({3, 4}, 5, dtype, -3, 3)), b.set_grad(random({4}, 6, dtype, -3, 3));
  const double norm = clip_all(std::vector<Tensor>{a, b});
  return {{"norm", {norm}}, {"a", a.grad().to_vector()}, {"b", b.grad().to_vector()}};
}
Results clip_norm(Dtype dtype, double most, double p = 2) {
  return clip(dtype, [=](const std::vector<Tensor>& all) { return optim::clip_grad_norm(all, most, {.p = p}); });
}

// Deviation and largest size of what an initialiser makes of (200, 300).
template <class Init>
Results spread(Init init) {
  Tensor w({200, 300}, f64);
  init(w);
  double squares = 0, most = 0;
  for (const double x : w.to_vector()) squares += x * x, most = std::max(most, std::abs(x));
  return {{"deviation", {std::sqrt(squares / 60000)}}, {"most", {most}}};
}

#ifdef FATHOM_WITH_TORCH
struct TorchProblem {
  torch::Tensor w, b, x, target;
  explicit TorchProblem(const Problem& p)
      : w(to_torch(p.w).requires_grad_()),
        b(to_torch(p.b).requires_grad_()),
        x(to_torch(p.x)),
        target(to_torch(p.target)) {}
  torch::Tensor loss() const { return torch::mean(torch::square(torch::tanh(torch::matmul(x, w) + b) - target)); }
  Results reached() const { return {{"w", numbers_of(w)}, {"b", numbers_of(b)}}; }
};
template <class Optimizer, class Options>
Results torch_train(Dtype dtype, Options options, double clip_norm = 0, unsigned halve_every = 1 << 30) {
  const TorchProblem p{Problem(dtype)};
  Optimizer opt({p.w, p.b}, options);
  torch::optim::StepLR schedule(opt, halve_every, 0.5);
  for (int i = 0; i < steps; ++i) {
    opt.zero_grad();
    p.loss().backward();
    if (clip_norm > 0) torch::nn::utils::clip_grad_norm_({p.w, p.b}, clip_norm);
    opt.step();
    schedule.step();
  }
  return p.reached();
}
Results torch_train_lbfgs(Dtype dtype) {
  const TorchProblem p{Problem(dtype)};
  torch::optim::LBFGS opt({p.w, p.b}, torch::optim::LBFGSOptions(1).line_search_fn("strong_wolfe"));
  for (int i = 0; i < steps; ++i)
    opt.step([&] {
      opt.zero_grad();
      const torch::Tensor loss = p.loss();
      loss.backward();
      return loss;
    });
  return p.reached();
}
template <class Clip>
Results torch_clip(Dtype dtype, Clip clip_all) {
  torch::Tensor a = torch::zeros({3, 4}), b = torch::zeros({4});
  a = a.to(dtype == f32 ? torch::kFloat32 : torch::kFloat64).requires_grad_();
  b = b.to(a.dtype()).detach().requires_grad_();
  a.mutable_grad() = to_torch(random({3, 4}, 5, dtype, -3, 3));
  b.mutable_grad() = to_torch(random({4}, 6, dtype, -3, 3));
  const double norm = clip_all(TorchList{a, b});
  return {{"norm", {norm}}, {"a", numbers_of(a.grad())}, {"b", numbers_of(b.grad())}};
}
Results torch_clip_norm(Dtype dtype, double most, double p = 2) {
  return torch_clip(dtype, [=](const TorchList& all) { return torch::nn::utils::clip_grad_norm_(all, most, p); });
}
template <class Init>
Results torch_spread(Init init) {
  torch::Tensor w = torch::zeros({200, 300}, torch::kFloat64);
  init(w);
  return {{"deviation", {w.square().mean().sqrt().item<double>()}}, {"most", {w.abs().max().item<double>()}}};
}
#endif

}  // namespace

#define OURS_SPREAD(call) [](Dtype) -> Results { return spread([](Tensor& w) { nn::init::call; }); }
#ifdef FATHOM_WITH_TORCH
#define TORCH_SPREAD(call) \
  [](Dtype) -> Results { return torch_spread([](torch::Tensor& w) { torch::nn::init::call; }); }
#else
#define TORCH_SPREAD(call) nullptr
#endif

const std::vector<Run> optimisers = {
    {"SGD", OURS_RUN(train<optim::SGD>(dtype, optim::SGDOptions{.lr = 0.05})),
     TORCH_RUN(torch_train<torch::optim::SGD>(dtype, torch::optim::SGDOptions(0.05)))},
    {"SGD with momentum and decay",
     OURS_RUN(train<optim::SGD>(dtype, optim::SGDOptions{.lr = 0.02, .momentum = 0.9, .weight_decay = 0.01})),
     TORCH_RUN(torch_train<torch::optim::SGD>(dtype, torch::optim::SGDOptions(0.02).momentum(0.9).weight_decay(0.01)))},
    {"SGD, Nesterov",
     OURS_RUN(train<optim::SGD>(dtype, optim::SGDOptions{.lr = 0.02, .momentum = 0.9, .nesterov = true})),
     TORCH_RUN(torch_train<torch::optim::SGD>(dtype, torch::optim::SGDOptions(0.02).momentum(0.9).nesterov(true)))},
    {"SGD with clipping", OURS_RUN(train<optim::SGD>(dtype, optim::SGDOptions{.lr = 0.1}, {.clip_norm = 0.1})),
     TORCH_RUN(torch_train<torch::optim::SGD>(dtype, torch::optim::SGDOptions(0.1), 0.1))},
    {"Adam", OURS_RUN(train<optim::Adam>(dtype, optim::AdamOptions{.lr = 0.01, .weight_decay = 0.01})),
     TORCH_RUN(torch_train<torch::optim::Adam>(dtype, torch::optim::AdamOptions(0.01).weight_decay(0.01)))},
    {"AdamW", OURS_RUN(train<optim::AdamW>(dtype, optim::AdamWOptions{.lr = 0.01, .weight_decay = 0.1})),
     TORCH_RUN(torch_train<torch::optim::AdamW>(dtype, torch::optim::AdamWOptions(0.01).weight_decay(0.1)))},
    {"Adam, amsgrad", OURS_RUN(train<optim::Adam>(dtype, optim::AdamOptions{.lr = 0.01, .amsgrad = true})),
     TORCH_RUN(torch_train<torch::optim::Adam>(dtype, torch::optim::AdamOptions(0.01).amsgrad(true)))},
    {"AdamW, amsgrad", OURS_RUN(train<optim::AdamW>(dtype, optim::AdamWOptions{.lr = 0.01, .amsgrad = true})),
     TORCH_RUN(torch_train<torch::optim::AdamW>(dtype, torch::optim::AdamWOptions(0.01).amsgrad(true)))},
    {"RMSprop",
     OURS_RUN(train<optim::RMSprop>(dtype, optim::RMSpropOptions{.lr = 1e-3, .eps = 1e-3, .weight_decay = 0.01})),
     TORCH_RUN(
         torch_train<torch::optim::RMSprop>(dtype, torch::optim::RMSpropOptions(1e-3).eps(1e-3).weight_decay(0.01)))},
    {"RMSprop, centred, with momentum",
     OURS_RUN(train<optim::RMSprop>(dtype,
                                    optim::RMSpropOptions{.lr = 1e-3, .eps = 1e-4, .momentum = 0.9, .centered = true})),
     TORCH_RUN(torch_train<torch::optim::RMSprop>(
         dtype, torch::optim::RMSpropOptions(1e-3).eps(1e-4).momentum(0.9).centered(true)))},
    {"Adagrad",
     OURS_RUN(train<optim::Adagrad>(
         dtype, optim::AdagradOptions{.lr = 0.05, .lr_decay = 1e-3, .initial = 0.1, .weight_decay = 0.01})),
     TORCH_RUN(torch_train<torch::optim::Adagrad>(
         dtype, torch::optim::AdagradOptions(0.05).lr_decay(1e-3).initial_accumulator_value(0.1).weight_decay(0.01)))},
    {"SGD, the rate halved every 200 steps",  // libtorch's StepLR is a step later than PyTorch's
     OURS_RUN(train<optim::SGD>(
         dtype, optim::SGDOptions{}, {},
         [](int64_t i) { return optim::step_decay(i - 1, {.lr = 0.1, .every = 200, .gamma = 0.5}); })),
     TORCH_RUN(torch_train<torch::optim::SGD>(dtype, torch::optim::SGDOptions(0.1), 0, 200))},
    {"LBFGS", OURS_RUN(train_lbfgs(dtype)), TORCH_RUN(torch_train_lbfgs(dtype)), true},
    {"clip_grad_value",
     OURS_RUN(clip(dtype, [](const std::vector<Tensor>& all) { return optim::clip_grad_value(all, 1.2), 0.0; })),
     TORCH_RUN(
         torch_clip(dtype, [](const TorchList& all) { return torch::nn::utils::clip_grad_value_(all, 1.2), 0.0; }))},
    {"clip_grad_norm, p = 1", OURS_RUN(clip_norm(dtype, 2, 1)), TORCH_RUN(torch_clip_norm(dtype, 2, 1))},
    {"clip_grad_norm, p = inf", OURS_RUN(clip_norm(dtype, 1, INFINITY)),
     TORCH_RUN(torch_clip_norm(dtype, 1, INFINITY))},
    {"clip_grad_norm", OURS_RUN(clip_norm(dtype, 1)), TORCH_RUN(torch_clip_norm(dtype, 1))},
    {"clip_grad_norm of small gradients", OURS_RUN(clip_norm(dtype, 100)), TORCH_RUN(torch_clip_norm(dtype, 100))},
};

const std::vector<Run> initialisers = {
    {"uniform", OURS_SPREAD(uniform(w, -0.5, 0.5)), TORCH_SPREAD(uniform_(w, -0.5, 0.5))},
    {"normal", OURS_SPREAD(normal(w, 0, 2)), TORCH_SPREAD(normal_(w, 0, 2))},
    {"xavier_uniform", OURS_SPREAD(xavier_uniform(w, 2)), TORCH_SPREAD(xavier_uniform_(w, 2))},
    {"xavier_normal", OURS_SPREAD(xavier_normal(w, 2)), TORCH_SPREAD(xavier_normal_(w, 2))},
    {"kaiming_uniform", OURS_SPREAD(kaiming_uniform(w)), TORCH_SPREAD(kaiming_uniform_(w))},
    {"kaiming_normal", OURS_SPREAD(kaiming_normal(w, {.fan = nn::init::Fan::out})),
     TORCH_SPREAD(kaiming_normal_(w, 0, torch::kFanOut))},
    {"identity", OURS_SPREAD(identity(w)), TORCH_SPREAD(eye_(w))},
    {"orthogonal", OURS_SPREAD(orthogonal(w, 3)), TORCH_SPREAD(orthogonal_(w, 3))},
};

}  // namespace agreement
