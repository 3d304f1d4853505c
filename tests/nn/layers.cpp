#include "tests/nn/modules.h"

using namespace fathom;

namespace {

std::vector<double> call(nn::Module& m, const Tensor& x) { return m(x).to_vector(); }

}  // namespace

TEST_CASE("linear: values, no bias, the initial distribution") {
  nn::Linear layer(2, 3, {.dtype = f64});
  {
    const NoGrad off;
    layer.weight.copy_(tensor({{1.0, 2.0}, {3.0, 4.0}, {5.0, 6.0}}, {.dtype = f64}));
    layer.bias.copy_(tensor({0.5, 0.0, -1.0}, {.dtype = f64}));
  }
  CHECK(call(layer, tensor({{1.0, -1.0}, {2.0, 0.0}}, {.dtype = f64})) == std::vector<double>{-0.5, -1, -2, 2.5, 6, 9});
  CHECK_FALSE(nn::Linear(2, 3, {.bias = false}).bias.defined());

  manual_seed(1);
  const nn::Linear wide(100, 200);
  double squares = 0, largest = 0;
  for (const double w : wide.weight.to_vector()) squares += w * w, largest = std::max(largest, std::abs(w));
  CHECK(largest <= 0.1);
  CHECK(largest > 0.0999);
  CHECK(squares / 20000 == doctest::Approx(0.01 / 3).epsilon(0.02));
  for (const double b : wide.bias.to_vector()) CHECK(std::abs(b) <= 0.1);
}

TEST_CASE("layer norm: values and a wrong width") {
  nn::LayerNorm norm(3, {.eps = 0, .dtype = f64});
  const auto y = call(norm, tensor({{1.0, 2.0, 3.0}}, {.dtype = f64}));
  CHECK(y[0] == doctest::Approx(-1.224744871391589));
  CHECK(y[1] == doctest::Approx(0));
  CHECK(y[2] == doctest::Approx(1.224744871391589));
  CHECK(nn::LayerNorm(3, {.affine = false}).parameters().empty());
  CHECK(error_of([&] {
          norm(zeros({2, 4}, {.dtype = f64}));
        }) == "LayerNorm: the last axis has 3 elements, got (2, 4)");
}

TEST_CASE("embedding: rows by their numbers") {
  nn::Embedding rows(3, 2, {.dtype = f64});
  const Tensor y = rows(tensor({{2, 0}, {1, 2}}));
  CHECK(y.shape() == Shape{2, 2, 2});
  const auto w = rows.weight.to_vector();
  CHECK(y.to_vector() == std::vector<double>{w[4], w[5], w[0], w[1], w[2], w[3], w[4], w[5]});
  sum(y).backward();
  CHECK(rows.weight.grad().to_vector() == std::vector<double>{1, 1, 1, 1, 2, 2});
  CHECK(error_of([&] { rows(zeros({2})); }) == "Embedding: rows are numbered by i64, got f32");
  nn::Sequential net((nn::Embedding(3, 2)));
  CHECK(error_of([&] { net(tensor({{0, 3}})); }) == "module 0: Embedding: row 3 is not one of 3 rows");
  CHECK(error_of([&] { net(tensor({-1})); }) == "module 0: Embedding: row -1 is not one of 3 rows");
}

TEST_CASE("dropout: in training a share is zero and the mean stays, afterwards nothing happens") {
  manual_seed(3);
  nn::Dropout drop(0.25);
  const Tensor x = ones({10000});
  double zero = 0, total = 0;
  for (const double y : call(drop, x)) {
    zero += y == 0;
    total += y;
    CHECK((y == 0 || y == doctest::Approx(4.0 / 3)));
  }
  CHECK(zero / 10000 == doctest::Approx(0.25).epsilon(0.05));
  CHECK(total / 10000 == doctest::Approx(1).epsilon(0.02));
  drop.eval();
  CHECK(drop(x).is_same(x));
  CHECK(error_of([] { nn::Dropout(1); }).find("Dropout: the probability must be in [0, 1), got 1") == 0);
}

TEST_CASE("residual: x + scale f(x)") {
  nn::Residual block(nn::Linear(2, 2, {.dtype = f64}), {.scale = 0.5});
  const Tensor x = normal({3, 2}), y = block(x), inner = block.f()(x);
  for (int i = 0; i < 6; ++i)
    CHECK(y.to_vector()[i] == doctest::Approx(x.to_vector()[i] + 0.5 * inner.to_vector()[i]).epsilon(1e-14));
  CHECK(block.named_parameters()[0].name == "f.weight");
  nn::Residual narrow(nn::Linear(2, 1));
  CHECK(error_of([&] { narrow(ones({3, 2})); }) == "Residual: f maps (3, 2) to (3, 1); it must keep the shape");
}

TEST_CASE("sequential: nests, grows, names its modules and tells which one failed") {
  nn::Sequential net(nn::Linear(2, 3), nn::Tanh(), nn::Sequential(nn::Linear(3, 4), nn::ReLU()));
  net.push_back(nn::Linear(5, 1));
  CHECK(net.size() == 4);
  std::string all;
  for (const auto& each : net.named_parameters()) all += each.name + ";";
  CHECK(all == "0.weight;0.bias;2.0.weight;2.0.bias;3.weight;3.bias;");
  const std::string message = error_of([&] { net(ones({7, 2})); });
  CHECK(message.find("module 3: linear: ") == 0);
  CHECK(message.find("(7, 4)") != std::string::npos);
  CHECK(nn::Sequential()(ones({2})).to_vector() == std::vector<double>{1, 1});
}

TEST_CASE("activations: values, each at -1 and 2") {
  const Tensor x = tensor({-1.0, 2.0}, {.dtype = f64});
  const auto check = [&](auto m, double low, double high) {
    const auto y = m(x).to_vector();
    CHECK(y[0] == doctest::Approx(low).epsilon(1e-12));
    CHECK(y[1] == doctest::Approx(high).epsilon(1e-12));
  };
  check(nn::Identity(), -1, 2);
  check(nn::Tanh(), -0.7615941559557649, 0.9640275800758169);
  check(nn::Sigmoid(), 0.2689414213699951, 0.8807970779778823);
  check(nn::ReLU(), 0, 2);
  check(nn::LeakyReLU(0.1), -0.1, 2);
  check(nn::ELU(2), -1.2642411176571153, 2);
  check(nn::GELU(), -0.15865525393145707, 1.9544997361036416);
  check(nn::GELU(Gelu::tanh), -0.15880800939172324, 1.954597694087775);
  check(nn::SiLU(), -0.2689414213699951, 1.7615941559557646);
  check(nn::Softplus(), 0.31326168751822286, 2.1269280110429727);
}

TEST_CASE("every module's derivatives, in its input and its parameters") {
  const Tensor x = normal({4, 3});
  const auto check = [&](auto m) { check_module(m, x); };
  check(nn::Linear(3, 2));
  check(nn::Linear(3, 2, {.bias = false}));
  check(nn::LayerNorm(3));
  check(nn::LayerNorm(3, {.affine = false}));
  check(nn::Sequential(nn::Linear(3, 5), nn::Tanh(), nn::Sequential(nn::Linear(5, 2), nn::SiLU())));
  check(nn::Residual(nn::Sequential(nn::LayerNorm(3), nn::Linear(3, 3)), {.scale = 0.3}));
  check(nn::Identity());
  check(nn::Tanh());
  check(nn::Sigmoid());
  check(nn::ReLU());
  check(nn::LeakyReLU());
  check(nn::ELU());
  check(nn::GELU());
  check(nn::GELU(Gelu::tanh));
  check(nn::SiLU());
  check(nn::Softplus());
  nn::Embedding rows(3, 2);
  check_module(rows, tensor({{2, 0}, {1, 2}}));
  nn::Dropout drop(0.5);
  drop.eval();
  check_module(drop, x);
}
