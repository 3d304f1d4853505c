#include "fathom/nn/parametrize.h"

#include <cmath>

#include "fathom/autograd/checkpoint.h"
#include "fathom/optim/optim.h"
#include "fathom/probe/jacobian.h"
#include "fathom/tensor/kernels/lapack.h"
#include "tests/nn/modules.h"

using namespace fathom;

namespace {

std::vector<double> singular_values(const Tensor& w) {
  const int64_t out = w.size(0), in = w.numel() / out;
  std::vector<double> a = w.to_vector(), values(size_t(std::min(out, in)));
  kernel::singular_values(out, in, a.data(), values.data());
  return values;
}

nn::Linear linear_of(double scale, int64_t in = 5, int64_t out = 4) {
  nn::Linear m(in, out, {.dtype = f64});
  m.weight = (normal({out, in}) * scale).detach().requires_grad_();
  return m;
}

std::vector<std::string> names(const std::vector<nn::NamedTensor>& list) {
  std::vector<std::string> all;
  for (const auto& each : list) all.push_back(each.name);
  return all;
}

// Some steps of training away from where it began.
template <class M>
void train(M& m, const Tensor& x) {
  optim::SGD opt(m.parameters(), {.lr = 0.1});
  for (int t = 0; t < 5; ++t) {
    m.zero_grad();
    sum(square(m(x) - 1)).backward();
    opt.step();
  }
}

// m and a copy of it that trained elsewhere give the same after load_from, bit for bit.
template <class Make>
void check_round_trip(Make make, const Tensor& x) {
  auto a = make(), b = make();
  train(a, x), train(b, x * 2);
  a.eval(), b.eval();
  CHECK(a(x).to_vector() != b(x).to_vector());
  b.load_from(a);
  CHECK(a(x).to_vector() == b(x).to_vector());
}

// Weights beyond the cap, of a convolution whose matrix is wide, tall or square, with groups or of sequences.
template <class Conv, class Options>
void check_capped_convolution(int64_t in, int64_t out, Options options, const Tensor& x) {
  const auto make = [&](bool exact) {
    options.dtype = f64;
    Conv m(in, out, 3, options);
    m.weight = (normal(m.weight.shape()) * 2).detach().requires_grad_();
    return nn::spectral_norm(std::move(m), {.cap = 0.9, .exact = exact});
  };
  auto m = make(false), exact = make(true);
  const auto saved = [](nn::Module& any) { return any.named_buffers()[0].tensor; };
  const Shape shape = m.module.weight.shape();  // listing the fields makes it anew
  CHECK(saved(m).shape() == shape);
  CHECK(singular_values(saved(m))[0] == doctest::Approx(0.9).epsilon(1e-12));
  train(m, x);
  for (int t = 0; t < 300; ++t) m(x);  // the weight rests, and power iteration closes in on it
  CHECK(singular_values(saved(m))[0] == doctest::Approx(0.9).epsilon(1e-8));

  m.eval();
  options.dtype = f64;
  Conv plain(in, out, 3, options);
  plain.weight = saved(m), plain.bias = m.module.bias;
  CHECK(m(x).to_vector() == plain(x).to_vector());
  const auto jacobian = [&](nn::Module& any) {
    const Tensor at = x.detach().clone().requires_grad_();
    return probe::Jacobian(any(at), at).matrix().to_vector();
  };
  CHECK(jacobian(m) == jacobian(plain));

  check_module(m, x);  // in evaluation the singular vectors are constants
  check_module(exact, x, {.order = 1});
}

}  // namespace

TEST_CASE("spectral_norm: the largest singular value is the cap") {
  const Tensor x = normal({3, 5}, 7);
  for (const bool exact : {false, true}) {
    auto m = nn::spectral_norm(linear_of(2), {.cap = 0.9, .exact = exact});
    CHECK(singular_values(m.module.weight)[0] == doctest::Approx(0.9).epsilon(1e-12));
    CHECK(names(m.named_parameters()) == std::vector<std::string>{"bias", "weight.raw"});
    CHECK(names(m.named_buffers()) == std::vector<std::string>{"weight", "weight.u", "weight.v"});
    train(m, x);
    CHECK(singular_values(m.named_buffers()[0].tensor)[0] ==
          doctest::Approx(0.9).epsilon(exact ? 1e-12 : 0.05));  // warm power iteration lags a little
    // What is saved is what a plain layer computes with.
    m.eval();
    nn::Linear plain(5, 4, {.dtype = f64});
    plain.weight = m.named_buffers()[0].tensor, plain.bias = m.module.bias;
    CHECK(m(x).to_vector() == plain(x).to_vector());
  }
  auto small = nn::spectral_norm(linear_of(0.01), {.cap = 0.9, .always = false});
  CHECK(small.module.weight.to_vector() == linear_of(0.01).weight.to_vector());
  check_round_trip([] { return nn::spectral_norm(linear_of(2), {.cap = 0.9}); }, x);
}

TEST_CASE("spectral_norm: gradients, with the singular vectors found exactly") {
  auto m = nn::spectral_norm(linear_of(2, 3, 4), {.exact = true});
  const Tensor x = normal({2, 3}, 8), raw = m.parameters()[1];
  const auto loss = [&] { return sum(square(m(x) - 1)); };
  loss().backward();
  const std::vector<double> g = raw.grad().to_vector();
  for (int64_t i = 0; i < raw.numel(); ++i) {
    double& w = raw.data<double>()[i];
    const double at = w, h = 1e-5;
    w = at + h;
    const double up = loss().item();
    w = at - h;
    const double down = loss().item();
    w = at;
    CHECK(g[size_t(i)] == doctest::Approx((up - down) / (2 * h)).epsilon(1e-6));
  }
}

TEST_CASE("spectral_norm: a call that is computed again does not go on with the singular vectors") {
  auto plain = nn::spectral_norm(linear_of(2)), again = nn::spectral_norm(linear_of(2));
  const Tensor x = normal({3, 5}, 7), other = normal({4, 5}, 3);  // of which power iteration knows nothing yet
  plain.parameters()[1].detach().copy_(other);
  again.load_from(plain);
  sum(square(plain(x))).backward();
  sum(square(checkpoint([&](const Tensor& at) { return again(at); }, x))).backward();
  for (size_t i = 0; i < 2; ++i)
    CHECK(plain.parameters()[i].grad().to_vector() == again.parameters()[i].grad().to_vector());
  for (size_t i = 1; i < 3; ++i)
    CHECK(plain.named_buffers()[i].tensor.to_vector() == again.named_buffers()[i].tensor.to_vector());
}

TEST_CASE("spectral_norm of convolutions: the cap, what is saved and measured, derivatives") {
  using Wide = nn::Conv2dOptions;
  check_capped_convolution<nn::Conv2d, Wide>(2, 4, {.padding = 1}, normal({2, 2, 4, 4}, 7));
  check_capped_convolution<nn::Conv2d, Wide>(
      2, 20, {.stride = 2, .padding = 1, .padding_mode = nn::PaddingMode::circular}, normal({1, 2, 4, 4}, 7));
  check_capped_convolution<nn::Conv2d, Wide>(4, 4, {.padding = 1, .groups = 4}, normal({1, 4, 3, 3}, 7));
  check_capped_convolution<nn::Conv1d, nn::Conv1dOptions>(2, 3, {.dilation = 2}, normal({2, 2, 7}, 7));
}

TEST_CASE("weight_norm: rows of length g; the direction's gradient is orthogonal to it; all derivatives") {
  auto m = nn::weight_norm(linear_of(1));
  CHECK(allclose(m.module.weight, linear_of(1).weight, 1e-14, 1e-14));
  CHECK(names(m.named_parameters()) == std::vector<std::string>{"bias", "weight.g", "weight.v"});
  const Tensor x = normal({3, 5}, 7);
  train(m, x);
  const Tensor g = m.parameters()[1], v = m.parameters()[2];
  CHECK(allclose(norm(m.named_buffers()[0].tensor, 2, {1}, true), abs(g), 1e-13, 1e-13));
  m.zero_grad();
  sum(square(m(x) - 1)).backward();
  const Tensor along = sum(v.grad() * v.detach(), {1});
  for (const double e : along.to_vector()) CHECK(std::abs(e) < 1e-12);
  check_round_trip([] { return nn::weight_norm(linear_of(1)); }, x);
  check_module(m, x);
}

TEST_CASE("orthogonal: it stays so; wide, tall and square; all derivatives") {
  for (const auto& [in, out] : {std::pair(5, 4), {3, 5}, {4, 4}}) {
    auto m = nn::orthogonal(linear_of(1, in, out));
    const Tensor x = normal({3, in}, 7);
    train(m, x);
    for (const double s : singular_values(m.named_buffers()[0].tensor)) CHECK(s == doctest::Approx(1).epsilon(1e-12));
    check_round_trip([in = in, out = out] { return nn::orthogonal(linear_of(1, in, out)); }, x);
  }
  nn::Linear turned(4, 4, {.dtype = f64});
  nn::init::orthogonal(turned.weight);
  const Tensor before = turned.weight.detach().clone();
  auto m = nn::orthogonal(std::move(turned));
  CHECK(allclose(m.module.weight, before, 1e-13, 1e-13));
  auto small = nn::orthogonal(linear_of(1, 2, 3));
  check_module(small, normal({2, 2}, 9));
}

TEST_CASE("parametrisations of recurrent weights, and further forms of a call") {
  auto rnn = nn::spectral_norm(nn::RNN(3, 4, {.dtype = f64}), {.weight = "weight_hh_l0", .cap = 0.9, .exact = true});
  const Tensor x = normal({6, 2, 3}), h0 = zeros({1, 2, 4}, {.dtype = f64});
  CHECK(singular_values(rnn.module.weights[0].weight_hh)[0] == doctest::Approx(0.9).epsilon(1e-12));
  CHECK(rnn.batch_axis() == 1);
  const auto [y, h] = rnn.now()(x, h0);
  CHECK(allclose(y, rnn(x), 1e-14, 1e-14));
  sum(y).backward();
  CHECK(rnn.parameters().back().grad().defined());
  auto moved = std::move(rnn);
  CHECK(moved(x).to_vector() == y.to_vector());
  CHECK(error_of([] { nn::weight_norm(nn::Linear(2, 2), {.weight = "w"}); }) ==
        "parametrize: no weight w among weight, bias");
  CHECK(error_of([] { nn::weight_norm(nn::Linear(2, 2), {.weight = "bias"}); }) ==
        "weight_norm: needs a floating weight (out, in, ...), got f32 (2)");
  CHECK(error_of([] { nn::spectral_norm(nn::Linear(2, 2), {.cap = 0}); }).find("spectral_norm: cap must be pos") == 0);
}

TEST_CASE("parametrisations: what is computed already is not parametrised again") {
  const auto twice = [] { nn::spectral_norm(nn::orthogonal(nn::Linear(2, 2))); };
  CHECK(error_of(twice) == "parametrize: weight is a buffer; only a parameter can be computed from others");
}

TEST_CASE("parametrisations: a call that throws leaves nothing on the tape") {
  auto m = nn::weight_norm(nn::Linear(3, 3));
  const auto before = Node::live;
  CHECK_THROWS_AS(m(ones({2, 5})), Error);
  CHECK(Node::live == before);
}
