#include "fathom/autograd/ops/attention.h"

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

constexpr double infinite = std::numeric_limits<double>::infinity();

Tensor attend(List x, AttentionOptions options = {}) {
  return scaled_dot_product_attention(x[0], x[1], x[2], std::move(options));
}

// What the fused op computes, by ops that know nothing of it. No row may be masked throughout.
Tensor by_definition(List x, const AttentionOptions& o) {
  const double scale = o.scale.value_or(1 / std::sqrt(double(x[0].size(-1))));
  Tensor scores = matmul(x[0], transpose(x[1])) * scale;
  if (o.mask.defined()) scores = o.mask.dtype() == boolean ? masked_fill(scores, !o.mask, -infinite) : scores + o.mask;
  if (o.causal) {
    const Tensor later = triu(ones(Shape{scores.size(-2), scores.size(-1)}), 1) > 0.5;
    scores = masked_fill(scores, later, -infinite);
  }
  Tensor weights = softmax(scores);
  if (o.dropout > 0) {
    Rng again = *o.rng;
    weights = dropout(weights, o.dropout, again);
  }
  return matmul(weights, x[2]);
}

std::vector<Tensor> leaves(const std::vector<Tensor>& in) {
  std::vector<Tensor> xs;
  for (const Tensor& x : in) xs.push_back(x.clone().requires_grad_());
  return xs;
}
// Values and both first-order rules of two formulas of the same inputs agree.
template <class F, class G>
void check_same(F f, G g, const std::vector<Tensor>& in) {
  const std::vector<Tensor> xs = leaves(in);
  std::vector<Tensor> vs;
  for (size_t i = 0; i < in.size(); ++i) vs.push_back(normal(in[i].shape(), 100 + i));
  const Tensor a = f(List(xs)), b = g(List(xs)), u = normal(a.shape(), 99);
  CHECK(close(a.detach(), b.detach()));
  const auto ga = vjp(a, List(xs), u), gb = vjp(b, List(xs), u);
  for (size_t i = 0; i < xs.size(); ++i) CHECK(close(ga[i], gb[i]));
  CHECK(close(jvp(a, List(xs), vs), jvp(b, List(xs), vs)));
}

// A mask of each kind for these steps; key 0 is always allowed.
Tensor some_allowed(int64_t queries, int64_t keys) {
  Tensor mask = Tensor({queries, keys}, boolean);
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t j = 0; j < keys; ++j) mask.data<bool>()[i * keys + j] = j == 0 || (i * 7 + j * 3) % 5 != 0;
  return mask;
}

}  // namespace

TEST_CASE("attention: kernels against the definition, across the edges of tiles") {
  struct Size {
    int64_t queries, keys, width, width_v;
  };
  for (const Size s :
       {Size{1, 1, 1, 1}, {5, 7, 3, 2}, {32, 32, 16, 16}, {33, 31, 4, 4}, {64, 257, 5, 3}, {70, 600, 2, 3}}) {
    CAPTURE(s.queries);
    CAPTURE(s.keys);
    const std::vector<Tensor> in{normal({2, 3, s.queries, s.width}, 1), normal({2, 3, s.keys, s.width}, 2),
                                 normal({2, 3, s.keys, s.width_v}, 3)};
    const Tensor allowed = some_allowed(s.queries, s.keys), added = normal({3, 1, s.keys}, 4);
    for (const bool causal : {false, true})
      for (const Tensor& mask : {Tensor(), allowed, added}) {
        const AttentionOptions o{.mask = mask, .causal = causal, .scale = 0.7};
        check_same([&](List x) { return attend(x, o); }, [&](List x) { return by_definition(x, o); }, in);
      }
    auto with_mask = in;
    with_mask.push_back(added);
    for (const bool causal : {false, true})
      check_same([&](List x) { return attend(x, {.mask = x[3], .causal = causal}); },
                 [&](List x) { return by_definition(x, {.mask = x[3], .causal = causal}); }, with_mask);
  }
}

TEST_CASE("attention: derivatives of both orders") {
  const std::vector<Tensor> in{normal({2, 3, 4}, 1), normal({2, 5, 4}, 2), normal({2, 5, 3}, 3)};
  const Tensor allowed = some_allowed(3, 5), added = normal({2, 3, 5}, 4);
  for (const bool causal : {false, true})
    for (const Tensor& mask : {Tensor(), allowed, added})
      CHECK_NOTHROW(check_grads([&](List x) { return attend(x, {.mask = mask, .causal = causal, .scale = 0.9}); }, in));
  auto with_mask = in;
  with_mask.push_back(added);
  CHECK_NOTHROW(check_grads([&](List x) { return attend(x, {.mask = x[3]}); }, with_mask));
  // One input alone, and one tensor as all three.
  CHECK_NOTHROW(check_grads([&](List x) { return attend(std::array{x[0], in[1], in[2]}); }, {in[0]}));
  CHECK_NOTHROW(check_grads([&](List x) { return attend(std::array{in[0], x[0], in[2]}); }, {in[1]}));
  CHECK_NOTHROW(check_grads([&](List x) { return attend(std::array{in[0], in[1], x[0]}); }, {in[2]}));
  CHECK_NOTHROW(check_grads([&](List x) { return attend(std::array{x[0], x[0], x[0]}, {.causal = true}); }, {in[0]}));
}

TEST_CASE("attention: of a packed projection, the same as of its parts") {
  const int64_t batch = 2, steps = 37, heads = 3, width = 4;
  const auto split = [&](const Tensor& qkv, int64_t i) {
    return transpose(reshape(slice(qkv, 2, i * heads * width, (i + 1) * heads * width), {batch, steps, heads, width}),
                     1, 2);
  };
  const std::vector<Tensor> in{normal({batch, steps, 3 * heads * width}, 1), normal({heads, 1, steps}, 2)};
  for (const bool causal : {false, true})
    check_same([&](List x) { return self_attention(x[0], heads, {.mask = x[1], .causal = causal}); },
               [&](List x) {
                 const Tensor y = scaled_dot_product_attention(split(x[0], 0), split(x[0], 1), split(x[0], 2),
                                                               {.mask = x[1], .causal = causal});
                 CHECK(transpose(y, 1, 2).is_contiguous());  // laid out as q is
                 return reshape(transpose(y, 1, 2), {batch, steps, heads * width});
               },
               in);
  CHECK_NOTHROW(check_grads([](List x) { return self_attention(x[0], 2, {.mask = x[1]}); },
                            {normal({2, 3, 12}, 1), normal({3, 3}, 2)}));
  CHECK_NOTHROW(check_grads([](List x) { return self_attention(x[0], 1, {.causal = true}); }, {normal({2, 3, 6}, 1)}));
}

TEST_CASE("attention: any strides") {
  const auto in = std::vector<Tensor>{normal({4, 3, 35}, 1), normal({35, 3, 4}, 2), normal({3, 1, 5}, 3)};
  const auto seen = [](List x) {  // columns, steps first, one row repeated
    return std::array{transpose(x[0], 0, 2).transpose(0, 1), transpose(x[1], 0, 1), expand(x[2], {3, 35, 5})};
  };
  check_same([&](List x) { return attend(seen(x), {.causal = true}); },
             [&](List x) { return by_definition(seen(x), {.causal = true}); }, in);
  // The heads share keys and values: leading axes broadcast.
  check_same([&](List x) { return attend(x); }, [&](List x) { return by_definition(x, {}); },
             {normal({2, 4, 6, 3}, 1), normal({2, 1, 5, 3}, 2), normal({5, 2}, 3)});
}

TEST_CASE("attention: no query learns of what comes after it") {
  const Tensor qkv = normal({1, 80, 24}, 1);
  const Tensor before = self_attention(qkv, 2, {.causal = true});
  Tensor changed = qkv.clone();
  slice(changed, 1, 41, 80).mul_(3);
  const Tensor after = self_attention(changed, 2, {.causal = true});
  CHECK(slice(after, 1, 0, 41).to_vector() == slice(before, 1, 0, 41).to_vector());
  CHECK_FALSE(close(slice(after, 1, 41, 42), slice(before, 1, 41, 42)));
  // Not causal, each depends on all.
  CHECK_FALSE(close(slice(self_attention(qkv, 2), 1, 0, 1), slice(self_attention(changed, 2), 1, 0, 1)));
}

TEST_CASE("attention: a query that may attend to nothing gives zeros, and its gradients are zero") {
  Tensor allowed = some_allowed(4, 5);
  slice(allowed, 0, 1, 2).fill_(0);
  const Tensor added = where(allowed, zeros({4, 5}, {.dtype = f64}), -infinite);
  const auto in = leaves({normal({2, 4, 3}, 1), normal({2, 5, 3}, 2), normal({2, 5, 3}, 3)});
  const std::vector<Tensor> ts{normal({2, 4, 3}, 4), normal({2, 5, 3}, 5), normal({2, 5, 3}, 6)};
  for (const Tensor& mask : {allowed, added}) {
    const Tensor y = attend(in, {.mask = mask}), u = normal({2, 4, 3}, 7);
    const auto zero = [](const Tensor& x) { return slice(x, 1, 1, 2).to_vector() == std::vector<double>(6, 0); };
    CHECK(zero(y));
    const auto gs = vjp(y, List(in), u);
    CHECK(zero(gs[0]));
    for (const Tensor& g : gs) CHECK(all(isfinite(g)).item<bool>());
    CHECK(zero(jvp(y, List(in), ts)));
    // The composition agrees, whose derivatives are the second ones.
    const auto by_ops = vjp(y, List(in), u, {.create_graph = true});
    for (size_t i = 0; i < 3; ++i) CHECK(close(gs[i], by_ops[i].detach()));
    CHECK_NOTHROW(check_grads([&](List x) { return attend(x, {.mask = mask}); },
                              {in[0].detach(), in[1].detach(), in[2].detach()}));
  }
}

TEST_CASE("attention: dropout") {
  const std::vector<Tensor> in{normal({2, 40, 3}, 1), normal({2, 300, 3}, 2), normal({2, 300, 4}, 3)};
  Rng rng(5);
  for (const bool causal : {false, true})
    check_same(
        [&](List x) {
          Rng r = rng;
          return attend(x, {.causal = causal, .dropout = 0.3, .rng = &r});
        },
        [&](List x) { return by_definition(x, {.causal = causal, .dropout = 0.3, .rng = &rng}); }, in);
  CHECK_NOTHROW(check_grads(
      [&](List x) {
        Rng r = rng;
        return attend(x, {.dropout = 0.5, .rng = &r});
      },
      {normal({3, 4}, 1), normal({5, 4}, 2), normal({5, 2}, 3)}));
  // Equal weights of ones: the mean stays one, and so does the share that is kept.
  const Tensor y =
      scaled_dot_product_attention(zeros({200, 2}), zeros({500, 2}), ones({500, 1}), {.dropout = 0.25, .rng = &rng});
  CHECK(rng.position == 200 * 500);
  CHECK(mean(y).item() == doctest::Approx(1).epsilon(0.01));
  CHECK(std::sqrt(var(y).item()) == doctest::Approx(std::sqrt(0.25 / 0.75 / 500)).epsilon(0.2));
  CHECK(attend(in, {.dropout = 1}).to_vector() == std::vector<double>(2 * 40 * 4, 0));
}

TEST_CASE("attention: large scores, NaN, no keys, no queries, no width") {
  const Tensor v = tensor({{1.0}, {2.0}, {4.0}});
  CHECK(scaled_dot_product_attention(tensor({{1.0}}), tensor({{1e5}, {-1e5}, {1e5}}), v).item() == 2.5);
  const Tensor bad = scaled_dot_product_attention(tensor({{1.0}, {NAN}}), tensor({{1.0}, {2.0}, {3.0}}), v);
  CHECK(std::isfinite(bad.to_vector()[0]));
  CHECK(std::isnan(bad.to_vector()[1]));
  const auto of = [](int64_t batch, int64_t queries, int64_t keys, int64_t width, int64_t width_v) {
    const auto in = leaves(
        {normal({batch, queries, width}, 1), normal({batch, keys, width}, 2), normal({batch, keys, width_v}, 3)});
    const Tensor y = attend(in);
    const auto gs = vjp(y, List(in), normal(y.shape(), 4));
    for (size_t i = 0; i < 3; ++i) CHECK(gs[i].shape() == in[i].shape());
    CHECK(jvp(y, List(in), std::vector{in[0].detach(), in[1].detach(), in[2].detach()}).shape() == y.shape());
    return y.to_vector();
  };
  CHECK(of(1, 2, 0, 3, 2) == std::vector<double>(4, 0));
  CHECK(of(2, 0, 3, 3, 2).empty());
  CHECK(of(0, 2, 3, 3, 2).empty());
  CHECK(of(1, 2, 3, 3, 0).empty());
  CHECK(of(1, 1, 1, 0, 1) == normal({1}, 3).to_vector());
}

TEST_CASE("attention: the weights themselves") {
  const Tensor q = normal({2, 4, 3}, 1), k = normal({2, 5, 3}, 2), v = normal({2, 5, 6}, 3),
               allowed = some_allowed(4, 5);
  const Tensor w = attention_weights(q, k, {.mask = allowed, .causal = true, .scale = 2.0});
  CHECK(close(sum(w, -1), ones({2, 4}, {.dtype = f64})));
  CHECK(close(matmul(w, v), attend(std::array{q, k, v}, {.mask = allowed, .causal = true, .scale = 2.0})));
  CHECK(w.to_vector()[1] == 0);
}

TEST_CASE("attention: what a rule reads is checked for changes") {
  const auto in = leaves({normal({4, 3}, 1), normal({5, 3}, 2), normal({5, 3}, 3)});
  Tensor y = attend(in);
  {
    const NoGrad off;
    y.mul_(2);
  }
  CHECK(error_of([&] { sum(y).backward(); }).starts_with("attention: needs its output of shape (4, 3), which mul_"));
}

TEST_CASE("attention: one thread and two give the same bits") {
  const Tensor qkv = normal({3, 130, 96}, 1, f32);
  const int before = threads();
  const auto run = [&](int n) {
    set_threads(n);
    Tensor x = qkv.clone().requires_grad_();
    Rng rng(2);
    const Tensor y = self_attention(x, 4, {.causal = true, .dropout = 0.1, .rng = &rng});
    auto all = y.to_vector();
    for (const double v : grad(sum(square(y)), x).to_vector()) all.push_back(v);
    for (const double v : jvp(y, x, qkv).to_vector()) all.push_back(v);
    return all;
  };
  const auto one = run(1), two = run(2);
  set_threads(before);
  CHECK(one == two);
}

TEST_CASE("attention: bad input") {
  const auto error = [](const Shape& q, const Shape& k, const Shape& v, AttentionOptions o = {}) {
    return error_of([&] { scaled_dot_product_attention(zeros(q), zeros(k), zeros(v), o); });
  };
  const std::string op = "scaled_dot_product_attention: ";
  CHECK(error({2, 3}, {4, 5}, {4, 5}) == op + "the widths of q and k differ: (2, 3) and (4, 5)");
  CHECK(error({2, 3}, {4, 3}, {5, 3}) == op + "k and v differ in their steps: (4, 3) and (5, 3)");
  CHECK(error({3}, {4, 3}, {4, 3}) == op + "q and k need axes (..., steps, width): (3) and (4, 3)");
  CHECK(error({2, 3}, {4, 3}, {4}) == op + "k and v need axes (..., steps, width): (4, 3) and (4)");
  CHECK(error({2, 4, 3}, {3, 4, 3}, {4, 3}).starts_with(op));
  CHECK(error({2, 3}, {4, 3}, {4, 3}, {.mask = zeros({3, 4})}).starts_with(op));
  CHECK(error({2, 3}, {4, 3}, {4, 3}, {.mask = zeros({5, 2, 4})}) == op + "a mask (5, 2, 4) for weights (2, 4)");
  CHECK(error({2, 3}, {4, 3}, {4, 3}, {.mask = zeros({2, 4}, {.dtype = f64})}).find("f64") != std::string::npos);
  CHECK(error({2, 3}, {4, 3}, {4, 3}, {.mask = zeros({2, 4}, {.dtype = i64})}) ==
        op + "a mask is boolean (true: may attend) or floating (added to the scores), got i64; mask != 0 makes one");
  CHECK(error({2, 3}, {4, 3}, {4, 3}, {.dropout = 1.5}) == op + "dropout is not in [0, 1]: 1.500000");
  CHECK(error({2, 3}, {4, 3}, {4, 3}, {.scale = infinite}) == op + "the scale is not finite: inf");
  CHECK(error_of([] {
          const Tensor x = tensor({{1, 2}});
          scaled_dot_product_attention(x, x, x);
        }) == op + "needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([] {
          self_attention(zeros({2, 3, 10}), 2);
        }) == "self_attention: needs (batch, steps, 3 heads width) for 2 heads, got (2, 3, 10)");
  CHECK(error_of([] {
          self_attention(zeros({2, 3, 12}), 0);
        }) == "self_attention: needs (batch, steps, 3 heads width) for 0 heads, got (2, 3, 12)");
}
