#include "fathom/probe/attention.h"
#include "fathom/autograd/slice.h"

#include <cmath>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "tests/support.h"

using namespace fathom;
using doctest::Approx;
using probe::attention_statistics;

TEST_CASE("attention statistics: equal scores give the uniform entropy and no variance") {
  const auto all = attention_statistics(zeros({2, 3, 4, 5}), ones({2, 3, 6, 5}));
  REQUIRE(all.size() == 3);
  for (const auto& head : all) {
    CHECK(head.entropy == Approx(std::log(6.0)));
    CHECK(head.uniform == Approx(std::log(6.0)));
    CHECK(head.logit_variance == 0);
    CHECK(head.largest_logit == 0);
  }
}

TEST_CASE("attention statistics: two keys by hand, masks of both kinds, causal order") {
  // One query 1, keys 0 and log 3: scores 0 and log 3, weights 1/4 and 3/4.
  const Tensor q = ones({1, 1, 1, 1}, {.dtype = f64});
  const Tensor k = tensor({0.0, std::log(3.0)}).to(f64).reshape({1, 1, 2, 1});
  const double entropy = -(0.25 * std::log(0.25) + 0.75 * std::log(0.75)), variance = std::pow(std::log(3.0), 2) / 2;
  const auto head = attention_statistics(q, k)[0];
  CHECK(head.entropy == Approx(entropy));
  CHECK(head.uniform == Approx(std::log(2.0)));
  CHECK(head.logit_variance == Approx(variance));
  CHECK(head.largest_logit == Approx(std::log(3.0)));
  // The mask adds what the keys gave.
  const auto added =
      attention_statistics(q, zeros({1, 1, 2, 1}, {.dtype = f64}), {.mask = tensor({0.0, std::log(3.0)}).to(f64)})[0];
  CHECK(added.entropy == Approx(entropy));
  // A key that may not be attended to is not there, however large its score.
  const auto one = attention_statistics(q, k * 1e5, {.mask = tensor({1.0, 0.0}).to(boolean)})[0];
  CHECK(one.entropy == 0);
  CHECK(one.uniform == 0);
  CHECK(one.largest_logit == 0);
  // Query i has i + 1 keys; a step without any is left out of the means.
  const auto causal = attention_statistics(zeros({1, 1, 3, 2}), ones({1, 1, 3, 2}), {.causal = true})[0];
  CHECK(causal.entropy == Approx((std::log(1.0) + std::log(2.0) + std::log(3.0)) / 3));
  CHECK(causal.entropy == Approx(causal.uniform));
  // Saturated: scores so far apart that a weight is zero.
  const auto sharp = attention_statistics(q, k * 1e5)[0];
  CHECK(sharp.entropy == 0);
  CHECK(sharp.logit_variance == Approx(variance * 1e10));
}

TEST_CASE("attention statistics: logits of normal queries and keys have variance 1 after scaling, width before") {
  Rng rng(5);
  const Tensor q = randn({4, 2, 64, 16}, {}, rng), k = randn({4, 2, 64, 16}, {}, rng);
  for (const auto& head : attention_statistics(q, k)) CHECK(head.logit_variance == Approx(1).epsilon(0.15));
  for (const auto& head : attention_statistics(q, k, {.scale = 1.0}))
    CHECK(head.logit_variance == Approx(16).epsilon(0.15));
}

TEST_CASE("attention statistics: of a module, as its own weights say") {
  manual_seed(2);
  nn::MultiheadAttention module(8, 2, {.causal = true, .rotary = true, .dtype = f64});
  const Tensor x = 3.0 * randn({3, 5, 8}, {.dtype = f64});
  const auto all = attention_statistics(module, x);
  const Tensor w = module.weights(x, x);  // (3, 2, 5, 5)
  for (int64_t h = 0; h < 2; ++h) {
    double entropy = 0;
    for (const double p : w.select(1, h).to_vector()) entropy -= p > 0 ? p * std::log(p) : 0;
    CHECK(all[size_t(h)].entropy == Approx(entropy / 15));
    CHECK(all[size_t(h)].entropy < all[size_t(h)].uniform);
  }
}

TEST_CASE("attention statistics: bad input, and numbers that are not finite") {
  CHECK(error_of([] { attention_statistics(zeros({3})); }) ==
        "attention_statistics: needs scores (batch, heads, queries, keys), got (3)");
  CHECK(error_of([] {
          attention_statistics(zeros({1, 1, 2, 3}), zeros({1, 1, 4, 5}));
        }) == "scaled_dot_product_attention: the widths of q and k differ: (1, 1, 2, 3) and (1, 1, 4, 5)");
  CHECK(error_of([] {
          attention_statistics(zeros({1, 1, 2, 3}), zeros({1, 1, 4, 3}), {.mask = zeros({4, 4})});
        }) != "");
  const auto head = attention_statistics(full({1, 1, 1, 1}, NAN), ones({1, 1, 2, 1}))[0];
  CHECK(std::isnan(head.entropy));
}

namespace {

void check_same(const std::vector<probe::AttentionStatistics>& all,
                const std::vector<probe::AttentionStatistics>& expected) {
  REQUIRE(all.size() == expected.size());
  for (size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i].entropy == Approx(expected[i].entropy));
    CHECK(all[i].uniform == Approx(expected[i].uniform));
    CHECK(all[i].logit_variance == Approx(expected[i].logit_variance));
    CHECK(all[i].largest_logit == Approx(expected[i].largest_logit));
  }
}

}  // namespace

TEST_CASE("attention statistics: of what was recorded, op after op") {
  manual_seed(3);
  const Tensor x = (2.0 * randn({3, 5, 8}, {.dtype = f64})).requires_grad_(), mask = rand({5, 5}) > 0.3;
  for (const bool rotary : {false, true}) {  // rotary queries and keys take the op with three inputs
    nn::MultiheadAttention first(8, 2, {.causal = true, .rotary = rotary, .dtype = f64});
    nn::MultiheadAttention second(8, 4, {.scale = 0.7, .rotary = rotary, .dtype = f64});
    const Tensor middle = first(x), y = tanh(second.attend(middle, mask));
    auto expected = attention_statistics(first, x);
    check_same(attention_statistics(Slice(middle, std::span(&x, 1))), expected);
    for (const auto& head : attention_statistics(second, middle, mask)) expected.push_back(head);
    check_same(attention_statistics(Slice(y, std::span(&x, 1))), expected);
  }
  const Tensor h = tanh(x);
  CHECK(attention_statistics(Slice(h, std::span(&x, 1))).empty());
}

TEST_CASE("attention statistics: scores without heads are those of one") {
  const Tensor q = tensor({{1.0, 0.5}, {0.0, 2.0}}), k = tensor({{1.0, 1.0}, {3.0, -1.0}});
  check_same(attention_statistics(q, k), attention_statistics(q.reshape({1, 1, 2, 2}), k.reshape({1, 1, 2, 2})));
}
