#include "fathom/autograd/ops/fused.h"

#include <cmath>
#include <limits>

#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/recording.h"
#include "fathom/tensor/parallel.h"
#include "tests/autograd/tensors.h"
#include "tests/support.h"

using namespace fathom;

namespace {

constexpr double infinite = std::numeric_limits<double>::infinity(),
                 quiet_nan = std::numeric_limits<double>::quiet_NaN();

Tensor softmax_by_ops(const Tensor& x) {
  const Tensor e = exp(x - amax(x, -1, true));
  return e / sum(e, -1, true);
}
Tensor layer_norm_by_ops(const Tensor& x, const Tensor& w, const Tensor& b) {
  const Tensor d = x - mean(x, -1, true);
  return d / sqrt(mean(d * d, -1, true) + 1e-5) * w + b;
}

// Values and both first-order rules of two formulas of the same inputs agree.
template <class F, class G>
void check_same(F f, G g, std::vector<Tensor> in, double tolerance = 1e-11) {
  std::vector<Tensor> xs, vs;
  for (size_t i = 0; i < in.size(); ++i) {
    xs.push_back(in[i].clone().requires_grad_());
    vs.push_back(normal(in[i].shape(), 100 + i));
  }
  const Tensor a = f(xs), b = g(xs), u = normal(a.shape(), 99);
  CHECK(close(a.detach(), b.detach(), tolerance));
  const auto ga = vjp(a, std::span<const Tensor>(xs), u), gb = vjp(b, std::span<const Tensor>(xs), u);
  for (size_t i = 0; i < xs.size(); ++i) CHECK(close(ga[i], gb[i], tolerance));
  CHECK(close(jvp(a, std::span<const Tensor>(xs), vs), jvp(b, std::span<const Tensor>(xs), vs), tolerance));
}

template <class F>
void check_threads(F f) {
  const int before = threads();
  set_threads(1);
  const auto one = f();
  set_threads(2);
  const auto two = f();
  set_threads(before);
  CHECK(one == two);
}

}  // namespace

TEST_CASE("softmax and log_softmax against their definition, along any axis") {
  const Tensor x = normal({4, 37, 3}, 1);
  for (int64_t d : {0, 1, 2, -1}) {
    const Tensor by_ops = transpose(softmax_by_ops(transpose(x, d, -1)), d, -1);
    CHECK(close(softmax(x, d), by_ops));
    CHECK(close(x.softmax(d), by_ops));
    CHECK(close(log_softmax(x, d), log(by_ops)));
  }
  const Tensor wide = normal({3, 700}, 2);
  check_same([](auto in) { return softmax(in[0]); }, [](auto in) { return softmax_by_ops(in[0]); }, {wide});
  check_same([](auto in) { return log_softmax(in[0]); }, [](auto in) { return log(softmax_by_ops(in[0])); }, {wide});
}

TEST_CASE("softmax: derivatives of both orders") {
  for (int64_t d : {0, 1}) {
    CHECK_NOTHROW(check_grads([d](auto x) { return softmax(x[0], d); }, {normal({3, 5}, 1)}));
    CHECK_NOTHROW(check_grads([d](auto x) { return log_softmax(x[0], d); }, {normal({3, 5}, 1)}));
  }
}

TEST_CASE("softmax: large logits, infinities, NaN, empty rows") {
  const Tensor large = tensor({1e4, 1e4 - 1, -1e4});
  const double e = std::exp(-1.0);
  CHECK(softmax(large).to_vector()[1] == doctest::Approx(e / (1 + e)));
  CHECK(log_softmax(large).to_vector()[2] == doctest::Approx(-2e4 - std::log1p(e)));
  CHECK(log_softmax(large).to_vector()[0] == doctest::Approx(-std::log1p(e)));
  const Tensor masked = tensor({1.0, -infinite, 1.0});
  CHECK(softmax(masked).to_vector() == std::vector<double>{0.5, 0, 0.5});
  CHECK(log_softmax(masked).to_vector()[1] == -infinite);
  for (int at : {0, 20}) {
    Tensor x = zeros({33});
    x.data<float>()[at] = float(quiet_nan);
    CHECK(all(isnan(softmax(x))).item<bool>());
    CHECK(all(isnan(log_softmax(x))).item<bool>());
  }
  CHECK(softmax(zeros({0, 3})).shape() == Shape{0, 3});
  CHECK(softmax(zeros({3, 0})).shape() == Shape{3, 0});
  CHECK(log_softmax(zeros({3, 0})).shape() == Shape{3, 0});
  CHECK(error_of([] {
          softmax(tensor({1, 2}));
        }) == "softmax: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([] { log_softmax(zeros({2}), 1); }).starts_with("log_softmax: "));
}

TEST_CASE("layer_norm: kernels against the composition; derivatives of both orders") {
  const Tensor x = normal({3, 70, 33}, 1), w = normal({33}, 2), b = normal({33}, 3);
  check_same([](auto in) { return layer_norm(in[0], in[1], in[2]); },
             [](auto in) { return layer_norm_by_ops(in[0], in[1], in[2]); }, {x, w, b});
  check_same([](auto in) { return layer_norm(in[0]); },
             [](auto in) { return layer_norm_by_ops(in[0], ones({33}, {.dtype = f64}), zeros({33}, {.dtype = f64})); },
             {x});
  const auto full = [](auto in) { return layer_norm(in[0], in[1], in[2]); };
  CHECK_NOTHROW(check_grads(full, {normal({2, 3, 4}, 1), normal({4}, 2), normal({4}, 3)}));
  CHECK_NOTHROW(check_grads([](auto in) { return layer_norm(in[0], in[1]); }, {normal({3, 4}, 1), normal({4}, 2)}));
  CHECK_NOTHROW(check_grads([](auto in) { return layer_norm(in[0]); }, {normal({5}, 1)}));
  CHECK_NOTHROW(check_grads([](auto in) { return layer_norm(transpose(in[0])); }, {normal({4, 3}, 1)}));
  const Tensor fixed = normal({3, 4}, 4);
  CHECK_NOTHROW(
      check_grads([&](auto in) { return layer_norm(fixed, in[0], in[1]); }, {normal({4}, 1), normal({4}, 2)}));
}

TEST_CASE("layer_norm: edges and bad input") {
  CHECK(layer_norm(full({2, 40}, 7)).to_vector() == std::vector<double>(80, 0));
  const Tensor far = normal({64}, 1, f32) + 1e4;  // the variance is taken around the mean
  CHECK(std::abs(layer_norm(far).square().mean().item() - 1) < 1e-3);
  CHECK(layer_norm(zeros({0, 4})).shape() == Shape{0, 4});
  CHECK(layer_norm(zeros({4, 0})).shape() == Shape{4, 0});
  Tensor w = ones({4}, {.requires_grad = true});
  layer_norm(zeros({0, 4}), w).sum().backward();
  CHECK(w.grad().to_vector() == std::vector<double>(4, 0));
  CHECK(error_of([] {
          layer_norm(zeros({2, 3}), zeros({4}));
        }) == "layer_norm: the weight does not fit the last axis: (4) and (2, 3)");
  CHECK(error_of([] {
          layer_norm(zeros({2, 3}), zeros({3}), zeros({1}));
        }) == "layer_norm: the bias does not fit the last axis: (1) and (2, 3)");
  CHECK(error_of([] { layer_norm(zeros({})); }) == "layer_norm: needs an axis, got a number");
}

TEST_CASE("mse_loss") {
  const Tensor a = normal({6, 5}, 1), b = normal({6, 5}, 2);
  check_same([](auto in) { return mse_loss(in[0], in[1]); }, [](auto in) { return mean(square(in[0] - in[1])); },
             {a, b});
  CHECK_NOTHROW(check_grads([](auto in) { return mse_loss(in[0], in[1]); }, {a, b}));
  CHECK_NOTHROW(check_grads([&](auto in) { return mse_loss(in[0], b); }, {a}));
  CHECK_NOTHROW(check_grads([&](auto in) { return mse_loss(a, tanh(in[0])); }, {b}));
  CHECK_NOTHROW(check_grads([](auto in) { return mse_loss(in[0], in[0] * in[0]); }, {a}));
  CHECK(mse_loss(tensor({1e30}), tensor({0.0})).item() == infinite);
  CHECK(std::isnan(mse_loss(tensor({1.0, quiet_nan}), tensor({0.0, 0.0})).item()));
  CHECK(error_of([] { mse_loss(zeros({4, 1}), zeros({4})); }) == "mse_loss: shapes differ: (4, 1) and (4)");
  CHECK(error_of([] { mse_loss(zeros({0, 3}), zeros({0, 3})); }) == "mse_loss: the mean over no elements: (0, 3)");
}

TEST_CASE("cross_entropy: kernels against the definition; derivatives of both orders") {
  const Tensor logits = normal({2, 35, 7}, 1);
  Tensor fixed({2, 35}, i64), q = full({70, 7}, 0, {.dtype = f64});
  for (int64_t i = 0; i < 70; ++i) {
    fixed.data<int64_t>()[i] = i % 7;
    q.data<double>()[i * 7 + i % 7] = 1;
  }
  for (double s : {0.0, 0.1, 1.0}) {
    const Tensor target = (1 - s) * q.reshape({2, 35, 7}) + s / 7;
    check_same([&](auto in) { return cross_entropy(in[0], fixed, s); },
               [&](auto in) { return -mean(sum(target * log(softmax_by_ops(in[0])), -1)); }, {logits});
    CHECK_NOTHROW(check_grads([&](auto in) { return cross_entropy(in[0], fixed[0], s); }, {logits[0]}));
  }
  CHECK_NOTHROW(check_grads([](auto in) { return cross_entropy(in[0], tensor(2)); }, {normal({4}, 1)}));
  CHECK_NOTHROW(check_grads([&](auto in) { return cross_entropy(transpose(in[0]), slice(fixed[0], 0, 0, 6, 2)); },
                            {normal({5, 3}, 1)}));
}

TEST_CASE("cross_entropy: large logits, infinities, NaN") {
  const Tensor label = tensor({2, 0});
  CHECK(cross_entropy(tensor({{1e4, 0.0, 1e4 - 3}, {0.0, -1e4, -1e4}}), label).item() ==
        doctest::Approx((3 + std::log1p(std::exp(-3.0))) / 2));
  CHECK(cross_entropy(tensor({{1.0, -infinite}}), tensor({0})).item() == 0);
  CHECK(cross_entropy(tensor({{1.0, -infinite}}), tensor({1})).item() == infinite);
  Tensor x = tensor({{1.0, quiet_nan, 0.0}, {0.0, 0.0, 0.0}}).requires_grad_();
  const Tensor loss = cross_entropy(x, label);
  CHECK(std::isnan(loss.item()));
  const auto g = grad(loss, x).to_vector();
  CHECK(std::isnan(g[0]));
  CHECK(g[3] == doctest::Approx((1.0 / 3 - 1) / 2));
}

TEST_CASE("cross_entropy: rows of an ignored label count for nothing, in both modes and second order") {
  const Tensor logits = normal({2, 5, 4}, 1);
  for (const int64_t ignored : {-100, 2, 9}) {
    Tensor labels({2, 5}, i64);
    std::vector<int64_t> kept;
    for (int64_t i = 0; i < 10; ++i) {
      labels.data<int64_t>()[i] = i % 3 ? i % 2 : ignored;
      if (i % 3) kept.push_back(i);
    }
    const Tensor at = from_data(kept, {int64_t(kept.size())});
    for (const double s : {0.0, 0.1}) {
      const CrossEntropyOptions options{.label_smoothing = s, .ignore_index = ignored};
      check_same([&](auto in) { return cross_entropy(in[0], labels, options); },
                 [&](auto in) {
                   return cross_entropy(index_select(in[0].reshape({10, 4}), 0, at),
                                        index_select(labels.reshape({10}), 0, at), s);
                 },
                 {logits});
      CHECK_NOTHROW(check_grads([&](auto in) { return cross_entropy(in[0], labels, options); }, {logits}));
    }
  }
}

TEST_CASE("cross_entropy: what stands in ignored rows does not matter; where all are, loss and slopes are 0") {
  const CrossEntropyOptions options{.ignore_index = -100};
  for (const Tensor& labels : {tensor({-100, 1}), tensor({-100, -100})}) {
    Tensor x = tensor({{quiet_nan, infinite}, {0.0, 0.0}}).requires_grad_();
    const double half = labels[1].item() == 1 ? 0.5 : 0, quarter = half * half;
    const Tensor loss = cross_entropy(x, labels, options), one = ones({2, 2});
    CHECK(loss.item() == doctest::Approx(std::log(2) * 2 * half));
    CHECK(jvp(loss, x, tensor({{1.0, 1.0}, {1.0, 0.0}})).item() == half);
    const Tensor g = grad(loss, x, {.create_graph = true});
    CHECK(grad(loss, x).to_vector() == std::vector<double>{0, 0, half, -half});
    CHECK(g.to_vector() == std::vector<double>{0, 0, half, -half});
    CHECK(vjp(g, x, tensor({{1.0, 1.0}, {1.0, 0.0}})).to_vector() == std::vector<double>{0, 0, quarter, -quarter});
  }
  CHECK(error_of([] {
          cross_entropy(zeros({2, 3}), tensor({-100, -1}), {.ignore_index = -100});
        }) == "cross_entropy: label -1 is not one of 3 classes");
  CHECK(error_of([] {
          cross_entropy(zeros({0, 10}), Tensor({0}, i64), {.ignore_index = 0});
        }) == "cross_entropy: the mean over no rows: (0, 10)");
}

TEST_CASE("cross_entropy: bad input") {
  CHECK(error_of([] {
          cross_entropy(zeros({2, 10}), tensor({1, 10}));
        }) == "cross_entropy: label 10 is not one of 10 classes");
  CHECK(error_of([] {
          cross_entropy(zeros({2, 10}), tensor({-1, 9}));
        }) == "cross_entropy: label -1 is not one of 10 classes");
  CHECK(error_of([] { cross_entropy(zeros({2, 10}), zeros({2})); }) == "cross_entropy: labels are i64, got f32");
  CHECK(error_of([] {
          cross_entropy(zeros({2, 10}), tensor({1, 2, 3}));
        }) == "cross_entropy: labels do not fit the logits: (3) and (2, 10)");
  CHECK(error_of([] {
          cross_entropy(zeros({0, 10}), Tensor({0}, i64));
        }) == "cross_entropy: the mean over no rows: (0, 10)");
  CHECK(error_of([] {
          cross_entropy(zeros({1, 10}), tensor({1}), 1.5);
        }).starts_with("cross_entropy: label_smoothing"));
  Tensor x = zeros({1, 3}, {.requires_grad = true}), y = tensor({1});
  const Tensor loss = cross_entropy(x, y);
  y.fill_(2);  // the rule reads the labels
  CHECK(error_of([&] { loss.backward(); }) != "");
}

TEST_CASE("dropout") {
  Rng rng(1);
  const Tensor y = dropout(ones({20000}), 0.25, rng);
  int64_t zeroed = 0;
  for (double v : y.to_vector()) {
    zeroed += v == 0;
    CHECK((v == 0 || v == doctest::Approx(1 / 0.75)));
  }
  CHECK(std::abs(double(zeroed) / 20000 - 0.25) < 0.02);
  const Tensor x = normal({3, 4}, 2);
  CHECK(dropout(x, 0).to_vector() == x.to_vector());
  CHECK(dropout(x, 1).to_vector() == std::vector<double>(12, 0));
  const auto same_mask = [](std::span<const Tensor> in) {
    Rng again(7);
    return dropout(in[0], 0.5, again);
  };
  CHECK_NOTHROW(check_grads(same_mask, {x}));
  Rng a(7), b(7);
  Tensor w = x.clone().requires_grad_();
  CHECK(close(grad(dropout(w, 0.5, a).sum(), w), dropout(ones({3, 4}, {.dtype = f64}), 0.5, b)));
  CHECK(error_of([] { dropout(zeros({2}), 1.5); }).starts_with("dropout: p is not in [0, 1]: 1.5"));
  CHECK(error_of([] { dropout(zeros({2}), quiet_nan); }).starts_with("dropout: p is not in [0, 1]"));
}

TEST_CASE("fused ops: one thread and two give the same bits") {
  const Tensor x = normal({700, 97}, 1, f32), w = normal({97}, 2, f32), b = normal({97}, 3, f32);
  Tensor labels({700}, i64);
  for (int64_t i = 0; i < 700; ++i) labels.data<int64_t>()[i] = i * 31 % 97;
  check_threads([&] {
    Tensor p = x.clone().requires_grad_(), q = w.clone().requires_grad_(), r = b.clone().requires_grad_();
    const Tensor loss = cross_entropy(layer_norm(p, q, r), labels, 0.1) + softmax(p).square().sum();
    auto all = loss.to_vector();
    for (const Tensor& g : grad(loss, {p, q, r}))
      for (double v : g.to_vector()) all.push_back(v);
    for (double v : jvp(log_softmax(layer_norm(p, q, r)), p, x).to_vector()) all.push_back(v);
    return all;
  });
}
