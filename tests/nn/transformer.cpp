#include "fathom/nn/transformer.h"

#include <cmath>

#include "fathom/autograd/backward.h"
#include "fathom/autograd/grad.h"
#include "tests/nn/modules.h"
#include "tests/nn/transformer_values.h"
#include "tests/nn/waves.h"

using namespace fathom;

namespace {

void check_close(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-10));
}
bool close(const Tensor& a, const Tensor& b, double tolerance = 1e-11) {
  return a.shape() == b.shape() && allclose(a, b, tolerance, tolerance);
}

void check_values(const nn::Module& m, const Tensor& y, const std::vector<Tensor>& xs,
                  const TransformerValues& expected) {
  const Tensor loss = sum(y * waves(y.shape(), 0.1));
  loss.backward();
  CHECK(loss.item() == doctest::Approx(expected.loss).epsilon(1e-10));
  check_close(y.to_vector(), expected.y);
  std::vector<double> dx, sums, squares;
  for (const Tensor& x : xs)
    for (const double g : x.grad().to_vector()) dx.push_back(g);
  for (const Tensor& w : m.parameters()) {
    sums.push_back(sum(w.grad()).item());
    squares.push_back(sum(square(w.grad())).item());
  }
  check_close(dx, expected.dx);
  check_close(sums, expected.sums);
  check_close(squares, expected.squares);
}

std::string names(const nn::Module& m) {
  std::string text;
  for (const auto& each : m.named_parameters()) text += each.name + to_string(each.tensor.shape()) + " ";
  return text;
}

}  // namespace

TEST_CASE("attention module: PyTorch's values and gradients") {
  nn::MultiheadAttention m(4, 2, {.causal = true, .dtype = f64});
  set_waves(m);
  const Tensor x = leaf(waves({2, 3, 4}, 0.5));
  check_values(m, m(x), {x}, causal_attention_values);

  nn::MultiheadAttention cross(4, 2, {.dtype = f64});
  set_waves(cross);
  const Tensor q = leaf(waves({2, 2, 4}, 0.5)), k = leaf(waves({2, 3, 4}, 0.6)), v = leaf(waves({2, 3, 4}, 0.7));
  check_values(cross, cross.attend(q, k, v), {q, k, v}, cross_attention_values);
  check_close(mean(cross.weights(q, k), 1).to_vector(), cross_weights);
}

TEST_CASE("transformer block: PyTorch's values and gradients, post-norm and pre-norm") {
  const auto check = [](nn::TransformerOptions options, const TransformerValues& expected) {
    options.feedforward = 5;
    options.dtype = f64;
    nn::TransformerBlock m(4, 2, options);
    set_waves(m);
    const Tensor x = leaf(waves({2, 3, 4}, 0.5));
    check_values(m, m(x), {x}, expected);
  };
  check({.norm_first = false, .activation = relu}, post_norm_relu_values);
  check({.norm_first = false}, post_norm_gelu_values);
  check({.causal = true, .activation = relu}, pre_norm_relu_values);
  check({.causal = true}, pre_norm_gelu_values);
}

TEST_CASE("transformer: names and shapes of the parameters are PyTorch's") {
  CHECK(names(nn::MultiheadAttention(4, 2)) ==
        "in_proj_weight(12, 4) in_proj_bias(12) out_proj.weight(4, 4) out_proj.bias(4) ");
  CHECK(names(nn::MultiheadAttention(4, 2, {.bias = false})) == "in_proj_weight(12, 4) out_proj.weight(4, 4) ");
  const std::string block =
      "self_attn.in_proj_weight(12, 4) self_attn.in_proj_bias(12) self_attn.out_proj.weight(4, 4) "
      "self_attn.out_proj.bias(4) linear1.weight(16, 4) linear1.bias(16) linear2.weight(4, 16) linear2.bias(4) "
      "norm1.weight(4) norm1.bias(4) norm2.weight(4) norm2.bias(4) ";
  CHECK(names(nn::TransformerBlock(4, 2)) == block);
  const std::string two = names(nn::Transformer(4, 2, 2));
  CHECK(two.starts_with("layers.0.self_attn.in_proj_weight(12, 4) "));
  CHECK(two.ends_with("layers.1.norm2.bias(4) norm.weight(4) norm.bias(4) "));
  CHECK(nn::Transformer(4, 2, 1, {.norm_first = false}).parameters().size() == 12);
  for (const auto& make :
       {+[] { return nn::Transformer(4, 2, 2); }, +[] { return nn::Transformer(4, 2, 1, {.norm_first = false}); }})
    CHECK(forgotten_by_fields(make).empty());
}

TEST_CASE("attention module: how it starts") {
  manual_seed(1);
  const nn::MultiheadAttention m(64, 4);
  const double bound = std::sqrt(6.0 / (64 + 192));
  CHECK(amax(abs(m.in_proj_weight)).item() <= bound);
  CHECK(amax(abs(m.in_proj_weight)).item() > 0.99 * bound);
  CHECK(m.in_proj_bias.to_vector() == std::vector<double>(192, 0));
  CHECK(m.out_proj.bias.to_vector() == std::vector<double>(64, 0));
  CHECK(amax(abs(m.out_proj.weight)).item() <= 0.125);
}

TEST_CASE("transformer: derivatives of both orders") {
  const Tensor x = normal({2, 3, 4}, 1);
  for (const bool rotary : {false, true}) {
    nn::MultiheadAttention attention(4, 2, {.causal = true, .rotary = rotary});
    check_module(attention, x);
  }
  for (const bool norm_first : {false, true}) {
    manual_seed(2);
    nn::Transformer m(4, 2, 1, {.norm_first = norm_first, .causal = true, .feedforward = 3, .scale = 0.8});
    check_module(m, x);
  }
  nn::LearnedPositions positions(5, 4);
  check_module(positions, x);
}

TEST_CASE("attention module: masks, and the ways to call it agree") {
  nn::MultiheadAttention m(6, 3, {.dtype = f64}), causal(6, 3, {.causal = true, .dtype = f64});
  causal.load_from(m);
  const Tensor x = normal({2, 5, 6}, 1), order = tril(ones({5, 5})) > 0.5;
  CHECK(close(m.attend(x, x, x).detach(), m(x).detach()));
  CHECK(close(m.attend(x, order).detach(), causal(x).detach()));
  CHECK(close(m.attend(x, x, x, order).detach(), causal(x).detach()));
  const Tensor padding = (tensor({{1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}}) != 0).reshape({2, 1, 1, 5});
  const Tensor y = m.attend(x, padding), shorter = m(slice(x, 1, 0, 3));
  CHECK(close(slice(y, 1, 0, 3)[1].detach(), shorter[1].detach()));
  CHECK(m.weights(x, x, padding).shape() == Shape{2, 3, 5, 5});
  nn::MultiheadAttention turning(6, 1, {.causal = true, .rotary = true, .dtype = f64});
  CHECK(close(turning.attend(x, x, x).detach(), turning(x).detach()));
  CHECK_FALSE(close(turning(x).detach(),
                    nn::clone(turning, 6, 1, nn::MultiheadAttentionOptions{.causal = true, .dtype = f64})(x).detach()));
}

TEST_CASE("transformer: a step learns nothing of later ones") {
  nn::Transformer m(8, 2, 2, {.causal = true, .rotary = true, .dtype = f64});
  const Tensor x = normal({1, 40, 8}, 1);
  Tensor changed = x.clone();
  slice(changed, 1, 33, 40).mul_(-1);
  const NoGrad off;
  CHECK(slice(m(x), 1, 0, 33).to_vector() == slice(m(changed), 1, 0, 33).to_vector());
  CHECK_FALSE(close(slice(m(x), 1, 33, 34), slice(m(changed), 1, 33, 34)));
  const Tensor all = ones({40, 40}) > 0.5;
  CHECK(close(m.forward_masked(x, all), m(x)));
}

TEST_CASE("transformer: dropout in training alone") {
  nn::Transformer m(8, 2, 1, {.dropout = 0.5, .dtype = f64});
  const Tensor x = normal({1, 6, 8}, 1);
  CHECK_FALSE(close(m(x).detach(), m(x).detach()));
  manual_seed(3);
  const Tensor once = m(x).detach();
  manual_seed(3);
  CHECK(m(x).to_vector() == once.to_vector());
  m.eval();
  CHECK(m(x).to_vector() == m(x).to_vector());
  CHECK(close(m(x).detach(), nn::clone(m, 8, 2, 1, nn::TransformerOptions{.dtype = f64})(x).detach()));
}

TEST_CASE("positions: sinusoids and their sum") {
  const Tensor table = nn::sinusoids(50, 6, f64);
  for (const int64_t t : {0, 1, 49})
    for (const int64_t i : {0, 1, 2}) {
      const double angle = double(t) / std::pow(10000.0, double(2 * i) / 6);
      CHECK(table[t][2 * i].item() == doctest::Approx(std::sin(angle)));
      CHECK(table[t][2 * i + 1].item() == doctest::Approx(std::cos(angle)));
    }
  nn::SinusoidalPositions add;
  const Tensor x = normal({2, 3, 6}, 1);
  CHECK(close(add(x), x + slice(table, 0, 0, 3)));
  CHECK(close(add(normal({50, 6}, 2)), normal({50, 6}, 2) + table));
  CHECK(close(add(x), x + slice(table, 0, 0, 3)));
  CHECK(add(normal({2, 5}, 1)).shape() == Shape{2, 5});  // another width, an odd one
  CHECK(add.parameters().empty());
}

TEST_CASE("positions: rotary keeps norms, and products depend on the distance alone") {
  nn::RotaryPositions turn(6);
  const Tensor x = normal({3, 20, 6}, 1);
  CHECK(close(sum(square(turn(x)), -1), sum(square(x), -1)));
  CHECK(close(turn(x)[0][0], x[0][0]));  // step 0 stays
  const Tensor q = expand(normal({1, 6}, 2), {20, 6}), k = expand(normal({1, 6}, 3), {20, 6});
  const Tensor products = matmul(turn(q), transpose(turn(k)));
  for (const int64_t distance : {-7, 0, 5}) {
    const auto along = diagonal(products, distance, 0, 1).to_vector();
    for (const double p : along) CHECK(p == doctest::Approx(along[0]).epsilon(1e-12));
  }
  CHECK(std::abs(diagonal(products, 1, 0, 1)[0].item() - products[0][0].item()) > 1e-3);
  // Step 2 of the second pair, by its angle.
  const Tensor y = turn(ones({3, 6}, {.dtype = f64}));
  const double angle = 2 / std::pow(10000.0, 2.0 / 6);
  CHECK(y[2][2].item() == doctest::Approx(std::cos(angle) - std::sin(angle)));
  CHECK(y[2][3].item() == doctest::Approx(std::sin(angle) + std::cos(angle)));
  CHECK_NOTHROW(check_grads([&](auto in) { return turn(transpose(in[0], 0, 1)); }, {normal({4, 2, 6}, 4)}));
  CHECK(turn(zeros({0, 6})).shape() == Shape{0, 6});
}

TEST_CASE("transformer: bad input") {
  CHECK(error_of([] { nn::MultiheadAttention(6, 4); }) == "MultiheadAttention: 4 heads do not divide a width of 6");
  CHECK(error_of([] {
          nn::MultiheadAttention(6, 2, {.dropout = 1});
        }).starts_with("MultiheadAttention: the dropout must be in [0, 1), got 1"));
  nn::MultiheadAttention m(6, 2);
  CHECK(error_of([&] { m(zeros({2, 3, 4})); }) == "MultiheadAttention: needs (batch, steps, 6), got (2, 3, 4)");
  CHECK(error_of([&] { m(zeros({3, 6})); }) == "MultiheadAttention: needs (batch, steps, 6), got (3, 6)");
  CHECK(error_of([&] {
          m.attend(zeros({2, 3, 6}), zeros({2, 4, 6}), zeros({2, 5, 6}));
        }) == "scaled_dot_product_attention: k and v differ in their steps: (2, 2, 4, 3) and (2, 2, 5, 3)");
  nn::Transformer net(6, 2, 2);
  CHECK(error_of([&] {
          net.layers[1].norm1 = nn::LayerNorm(5);
          net(zeros({2, 3, 6}));
        }) == "module layers.1.norm1: LayerNorm: the last axis has 5 elements, got (2, 3, 6)");
  CHECK(error_of([] { nn::RotaryPositions(5); }) == "RotaryPositions: needs an even width, got 5");
  CHECK(error_of([] { nn::RotaryPositions(4)(zeros({3, 6})); }) == "RotaryPositions: the width is 4, got (3, 6)");
  CHECK(error_of([] {
          nn::LearnedPositions(4, 6)(zeros({5, 6}));
        }) == "LearnedPositions: there are 4 positions, got (5, 6)");
  CHECK(error_of([] { nn::SinusoidalPositions()(zeros({5})); }) ==
        "SinusoidalPositions: needs (..., steps, width), got (5)");
}
