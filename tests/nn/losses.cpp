#include "fathom/nn/losses.h"

#include <cmath>
#include <cstdint>  // INT64_MIN

#include "fathom/autograd/grad.h"
#include "tests/nn/modules.h"

using namespace fathom;

namespace {

Tensor vector(std::vector<double> x) { return from_data(x, {int64_t(x.size())}); }

}  // namespace

TEST_CASE("losses: values") {
  const Tensor a = vector({1, 2, 5}), b = vector({1, 0, 8});
  CHECK(nn::mse_loss(a, b).item() == doctest::Approx(13.0 / 3));
  CHECK(nn::l1_loss(a, b).item() == doctest::Approx(5.0 / 3));
  CHECK(nn::huber_loss(a, b).item() == doctest::Approx((1.5 + 2.5) / 3));
  CHECK(nn::huber_loss(a, b, 2.5).item() == doctest::Approx((2 + 2.5 * 1.75) / 3));
  const Tensor logits = vector({0, 2, -3, 1000}), target = vector({1, 0, 0.25, 1});
  const double expected = (std::log(2) + std::log1p(std::exp(2)) + std::log1p(std::exp(-3)) + 0.75) / 4;
  CHECK(nn::bce_with_logits(logits, target).item() == doctest::Approx(expected).epsilon(1e-12));
}

TEST_CASE("losses: cross entropy, with label smoothing as PyTorch's") {
  const Tensor logits = tensor({{1.0, 2.0, 3.0}, {0.0, 0.0, 0.0}}, {.dtype = f64}), labels = tensor({2, 1});
  const double z = std::log(std::exp(1) + std::exp(2) + std::exp(3));
  CHECK(nn::cross_entropy(logits, labels).item() == doctest::Approx((z - 3 + std::log(3)) / 2));
  CHECK(nn::cross_entropy(logits, labels, 0.3).item() ==
        doctest::Approx((0.7 * (z - 3) + 0.3 * (z - 2) + std::log(3)) / 2));
}

TEST_CASE("losses: derivatives") {
  const Tensor a = normal({4, 3}), b = normal({4, 3}, 2);
  const auto check = [&](auto loss) {
    CHECK(error_of([&] { check_grads([&](auto x) { return loss(x[0], x[1]); }, {a, b}); }) == "");
  };
  check([](auto x, auto y) { return nn::mse_loss(x, y); });
  check([](auto x, auto y) { return nn::l1_loss(x, y); });
  check([](auto x, auto y) { return nn::huber_loss(x, y); });
  check([](auto x, auto y) { return nn::bce_with_logits(x, y); });
  const Tensor labels = tensor({2, 0, 1, 1});
  check([&](auto x, auto) { return nn::cross_entropy(x, labels, 0.1); });
}

TEST_CASE("losses: shapes that differ are no invitation to broadcast") {
  const Tensor a = ones({3, 1}), b = ones({3});
  CHECK(error_of([&] { nn::l1_loss(a, b); }) == "l1_loss: the shapes differ: (3, 1) and (3)");
  CHECK(error_of([&] { nn::huber_loss(a, b); }) == "huber_loss: the shapes differ: (3, 1) and (3)");
  CHECK(error_of([&] { nn::bce_with_logits(a, b); }) == "bce_with_logits: the shapes differ: (3, 1) and (3)");
  CHECK(error_of([&] { nn::huber_loss(b, b, 0); }).find("huber_loss: delta must be positive, got 0") == 0);
}

TEST_CASE("losses: nll, kl_div and the cosine") {
  const Tensor logits = normal({4, 3}, 5), labels = tensor({2, 0, 1, 1});
  CHECK(nn::nll_loss(log_softmax(logits), labels).item() ==
        doctest::Approx(nn::cross_entropy(logits, labels).item()).epsilon(1e-13));
  const Tensor q = tensor({{0.5, 0.5, 0.0}, {0.2, 0.3, 0.5}}, {.dtype = f64}),
               p = tensor({{0.25, 0.5, 0.25}, {0.2, 0.3, 0.5}}, {.dtype = f64});
  CHECK(nn::kl_div(log(p), q).item() == doctest::Approx(0.5 * std::log(2) / 2).epsilon(1e-13));
  const Tensor a = vector({3, 4, 0}), b = vector({0, 2, 0});
  CHECK(nn::cosine_similarity(a, b).item() == doctest::Approx(0.8).epsilon(1e-14));
  CHECK(nn::cosine_similarity(a, b * 0).item() == 0);
  const Tensor x = normal({4, 3}), y = normal({4, 3}, 2);
  const auto check = [&](auto loss) {
    CHECK(error_of([&] { check_grads([&](auto at) { return loss(at[0], at[1]); }, {x, y}); }) == "");
  };
  check([&](auto u, auto) { return nn::nll_loss(u, labels); });
  check([&](auto u, auto v) { return nn::kl_div(log_softmax(u), softmax(v)); });
  check([](auto u, auto v) { return nn::cosine_similarity(u, v); });
  check([](auto u, auto v) { return nn::cosine_similarity(u, v, 0); });
  CHECK(error_of([&] {
          nn::nll_loss(x, tensor({1, 2}));
        }) == "nll_loss: log_p is (..., classes), labels (...), got (4, 3) and (2)");
  CHECK(error_of([&] { nn::kl_div(x, a); }) == "kl_div: the shapes differ: (4, 3) and (3)");
  CHECK(error_of([&] { nn::cosine_similarity(x, a); }) == "cosine_similarity: the shapes differ: (4, 3) and (3)");
}

TEST_CASE("losses: kl_div where the target is 0: q log q and its slopes are 0, in both modes and second order") {
  const Tensor log_p = vector({-1, -2, -3}), q = vector({0, 0.25, 0.75}).requires_grad_(), first = vector({1, 0, 0});
  const Tensor loss = nn::kl_div(log_p, q);
  const Tensor g = grad(loss, q, {.create_graph = true});
  CHECK(g[0].item() == 1);
  CHECK(g[1].item() == doctest::Approx(std::log(0.25) + 1 + 2));
  CHECK(jvp(loss, q, first).item() == 1);
  CHECK(vjp(g, q, first).to_vector() == std::vector<double>{0, 0, 0});
  CHECK(std::isnan(nn::kl_div(log_p, q - 0.5).item()));
}

TEST_CASE("losses of infinite errors and logits have their limits' values and slopes") {
  const double inf = INFINITY;
  const auto check = [&](auto loss, double x, double t, double value, double slope) {
    INFO(x << " " << t);
    const Tensor at = vector({x}).requires_grad_(), y = loss(at, vector({t}));
    CHECK(y.item() == value);
    CHECK(jvp(y, at, vector({1})).item() == slope);
    CHECK(grad(y, at).item() == slope);
  };
  const auto huber = [](const Tensor& x, const Tensor& t) { return nn::huber_loss(x, t, 2); };
  check(huber, inf, 3, inf, 2);
  check(huber, -inf, 3, inf, -2);
  check(huber, 1e300, 0, 2e300, 2);
  check(nn::l1_loss, inf, 3, inf, 1);
  check(nn::l1_loss, -inf, 3, inf, -1);
  check(nn::bce_with_logits, inf, 1, 0, 0);
  check(nn::bce_with_logits, inf, 0, inf, 1);
  check(nn::bce_with_logits, inf, 0.25, inf, 0.75);
  check(nn::bce_with_logits, -inf, 0, 0, 0);
  check(nn::bce_with_logits, -inf, 1, inf, -1);
  check(nn::bce_with_logits, -inf, 0.25, inf, -0.25);
  check(nn::bce_with_logits, -1e300, 1, 1e300, -1);
}

TEST_CASE("losses: huber's second derivatives, and an unlimited delta") {
  const Tensor x = vector({0.5, -3, 2}).requires_grad_(), t = vector({0, 0, 0});
  const Tensor g = grad(nn::huber_loss(x, t), x, {.create_graph = true});
  CHECK(vjp(g, x, vector({3, 3, 3})).to_vector() == std::vector<double>{1, 0, 0});
  CHECK(nn::huber_loss(x, t, INFINITY).item() == doctest::Approx((0.125 + 4.5 + 2) / 3));
}

TEST_CASE("losses: bce_with_logits keeps small losses of large logits, and half a slope at 0") {
  const Tensor far = tensor({20.0}), near = vector({0}).requires_grad_(), target = vector({1}).requires_grad_();
  CHECK(nn::bce_with_logits(far, ones({1})).item() == doctest::Approx(std::log1p(std::exp(-20.0))).epsilon(1e-6));
  CHECK(nn::bce_with_logits(-far, zeros({1})).item() == doctest::Approx(std::log1p(std::exp(-20.0))).epsilon(1e-6));
  CHECK(grad(nn::bce_with_logits(near, target), near).item() == -0.5);
  CHECK(grad(nn::bce_with_logits(near + 5, target), target).item() == -5);
}

TEST_CASE("losses: the mean over no elements is an error that names the loss") {
  const Tensor none = zeros({0, 3});
  for (const auto& [name, loss] : {std::pair(
                                       "l1_loss", +[](const Tensor& a) { return nn::l1_loss(a, a); }),
                                   std::pair(
                                       "mse_loss", +[](const Tensor& a) { return nn::mse_loss(a, a); }),
                                   std::pair(
                                       "huber_loss", +[](const Tensor& a) { return nn::huber_loss(a, a); }),
                                   std::pair(
                                       "bce_with_logits", +[](const Tensor& a) { return nn::bce_with_logits(a, a); })})
    CHECK(error_of([&, f = loss] { f(none); }) == std::string(name) + ": the mean over no elements: (0, 3)");
  CHECK(error_of([&] { nn::kl_div(none, none); }) == "kl_div: the mean over no elements: (0)");
  CHECK(error_of([&] { nn::nll_loss(none, zeros({0}, {.dtype = i64})); }) ==
        "nll_loss: the mean over no elements: (0, 1)");
}

TEST_CASE("nll_loss: a label that is no class") {
  const Tensor log_p = zeros({2, 3});
  CHECK(error_of([&] {
          nn::nll_loss(log_p, from_data(std::vector<int64_t>{0, -1}, {2}));
        }) == "nll_loss: label -1 is not one of 3 classes");
  CHECK(error_of([&] { nn::nll_loss(log_p, zeros({2})); }) == "nll_loss: labels are i64, got f32");
}

TEST_CASE("nll_loss: rows of an ignored label count for nothing, in both modes and second order") {
  const Tensor logits = normal({2, 3, 4}, 5), labels = tensor({{1, -100, 3}, {0, 2, -100}});
  const auto loss = [&](const Tensor& x) { return nn::nll_loss(log_softmax(x), labels, -100); };
  CHECK(loss(logits).item() ==
        doctest::Approx(nn::cross_entropy(logits, labels, {.ignore_index = -100}).item()).epsilon(1e-13));
  CHECK(error_of([&] { check_grads([&](auto x) { return loss(x[0]); }, {logits}); }) == "");
  const Tensor log_p = tensor({{-INFINITY, -INFINITY}, {-0.5, -2.0}}).requires_grad_();
  CHECK(grad(nn::nll_loss(log_p, tensor({1, 0}), 1), log_p).to_vector() == std::vector<double>{0, 0, -1, 0});
  const Tensor none = nn::nll_loss(log_p, tensor({7, 7}), 7);
  CHECK(none.item() == 0);
  CHECK(grad(none, log_p).to_vector() == std::vector<double>(4, 0));
  CHECK(nn::nll_loss(log_p, tensor({INT64_MIN, 0}), INT64_MIN).item() == 0.5);
  CHECK(error_of([&] { nn::nll_loss(log_p, tensor({7, 2}), 7); }) == "nll_loss: label 2 is not one of 2 classes");
}
