// Values, special values, slopes at kinks, and errors of the functions of each element.
#include "fathom/autograd/ops/pointwise.h"

#include <cmath>
#include <limits>

#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/compare.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/tensor/parallel.h"
#include "fathom/tensor/random.h"
#include "tests/support.h"

using namespace fathom;

namespace {

constexpr double NaN = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }
double gelu_of(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }
double gelu_tanh_of(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

struct Row {
  const char* name;
  Tensor (*f)(Tensor);
  double (*expected)(double);
  double low = -4, high = 4;
};
const Row rows[] = {
    {"exp", exp, std::exp},
    {"expm1", expm1, std::expm1},
    {"expm1 near 0", expm1, std::expm1, -1e-6, 1e-6},
    {"log", log, std::log, 0.01, 9},
    {"log1p", log1p, std::log1p, -0.9, 9},
    {"log1p near 0", log1p, std::log1p, -1e-6, 1e-6},
    {"sqrt", sqrt, std::sqrt, 0, 9},
    {"rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.1, 9},
    {"sin", sin, std::sin, -20, 20},
    {"cos", cos, std::cos, -20, 20},
    {"tanh", tanh, std::tanh},
    {"erf", erf, std::erf},
    {"sigmoid", sigmoid, sigmoid_of},
    {"log_sigmoid", log_sigmoid, [](double x) { return -std::log1p(std::exp(-x)); }},
    {"softplus", softplus, [](double x) { return std::log1p(std::exp(x)); }},
    {"relu", relu, [](double x) { return x > 0 ? x : 0; }},
    {"step", [](Tensor x) { return step(x); }, [](double x) { return double(x > 0); }},
    {"leaky_relu", [](Tensor x) { return leaky_relu(x); }, [](double x) { return x > 0 ? x : 0.01 * x; }},
    {"leaky_relu 0.3", [](Tensor x) { return leaky_relu(x, 0.3); }, [](double x) { return x > 0 ? x : 0.3 * x; }},
    {"elu", [](Tensor x) { return elu(x); }, [](double x) { return x > 0 ? x : std::expm1(x); }},
    {"elu 0.7", [](Tensor x) { return elu(x, 0.7); }, [](double x) { return x > 0 ? x : 0.7 * std::expm1(x); }},
    {"gelu", [](Tensor x) { return gelu(x); }, gelu_of},
    {"gelu tanh", [](Tensor x) { return gelu(x, Gelu::tanh); }, gelu_tanh_of},
    {"silu", silu, [](double x) { return x * sigmoid_of(x); }},
    {"square", square, [](double x) { return x * x; }},
    {"reciprocal", reciprocal, [](double x) { return 1 / x; }, 0.1, 9},
    {"abs", abs, [](double x) { return std::abs(x); }},
    {"sign", sign, [](double x) { return double((x > 0) - (x < 0)); }},
    {"neg", neg, [](double x) { return -x; }},
    {"pow 3", [](Tensor x) { return pow(x, 3); }, [](double x) { return x * x * x; }},
    {"pow 0.3", [](Tensor x) { return pow(x, 0.3); }, [](double x) { return std::pow(x, 0.3); }, 0, 9},
    {"clamp", [](Tensor x) { return clamp(x, -1, 2); }, [](double x) { return x < -1  ? -1
                                                                              : x > 2 ? 2
                                                                                      : x; }},
    {"2 - x", [](Tensor x) { return 2 - x; }, [](double x) { return 2 - x; }},
    {"2 / x", [](Tensor x) { return 2 / x; }, [](double x) { return 2 / x; }, 0.1, 9},
    {"x / 3", [](Tensor x) { return x / 3; }, [](double x) { return x / 3; }},
};

Tensor vector(std::vector<double> x, Dtype dtype = f64) { return from_data(x, {int64_t(x.size())}, {.dtype = dtype}); }
double slope(Tensor (*f)(Tensor), double at) {
  const Tensor x = vector({at}).requires_grad_(), y = f(x);
  return vjp(y, x, ones_like(y)).item();
}
using Values = std::vector<double>;

}  // namespace

TEST_CASE("elu: its slope far below 0 is not lost") {
  const Tensor x = tensor({-20.0, -50.0, 3.0, 0.0}, {.dtype = f64, .requires_grad = true});
  CHECK(allclose(grad(sum(elu(x)), x), tensor({std::exp(-20.0), std::exp(-50.0), 1.0, 1.0}, {.dtype = f64}), 1e-14, 0));
}

TEST_CASE("pow: the exponent's slope has the same bits on any number of threads") {
  Rng rng(1);
  for (const Dtype dtype : {f32, f64}) {
    const Tensor base = rand({210000}, {.dtype = dtype}, rng) * 3;
    const auto slope = [&](int n) {
      const int before = threads();
      set_threads(n);
      const Tensor p = full({210000}, 1.5, {.dtype = dtype, .requires_grad = true});
      const auto found = grad(sum(pow(base, p)), p).to_vector();
      set_threads(before);
      return found;
    };
    CHECK(slope(1) == slope(2));
  }
}

TEST_CASE("values, contiguous and strided, in f32 and f64") {
  for (const Row& row : rows)
    for (Dtype dtype : {f32, f64}) {
      INFO(std::string(row.name) << " " << std::string(to_string(dtype)));
      const Tensor x = linspace(row.low, row.high, 101, {.dtype = dtype});
      const Tensor y = row.f(x), strided = row.f(slice(x, 0, 0, 101, 2));
      const Values xs = x.to_vector(), ys = y.to_vector(), half = strided.to_vector();
      CHECK(y.dtype() == dtype);
      double worst = 0;
      const auto compare = [&](double value, double at) {
        const double expected = row.expected(at);
        worst = std::max(worst, std::abs(value - expected) / std::max(std::abs(expected), 0.1));
      };
      const bool near_zero = row.high < 1e-3;  // there the relative error is what these are for
      for (size_t i = 0; i < xs.size(); ++i) {
        if (near_zero && xs[i] != 0) worst = std::max(worst, std::abs(ys[i] / row.expected(xs[i]) - 1));
        compare(ys[i], xs[i]);
        if (i % 2 == 0) compare(half[i / 2], xs[i]);
      }
      CHECK(worst < (dtype == f32 ? 5e-6 : 1e-13));
    }
}

TEST_CASE("a NaN in is a NaN out, of value and of slope") {
  for (const Row& row : rows) {
    INFO(std::string(row.name));
    CHECK(std::isnan(row.f(vector({NaN})).item()));
  }
  for (auto f : {relu, abs, sigmoid, softplus, log_sigmoid, tanh}) CHECK(std::isnan(slope(f, NaN)));
  using Pair = Tensor (*)(Tensor, Tensor);
  for (const Pair f : {Pair(maximum), Pair(minimum)}) {
    const Tensor y = f(vector({NaN, 1, 0}), vector({1, NaN, 2}));
    CHECK(std::isnan(y.to_vector()[0]));
    CHECK(std::isnan(y.to_vector()[1]));
  }
}

TEST_CASE("far from zero nothing overflows that has a value") {
  for (Dtype dtype : {f32, f64}) {
    const Tensor x = vector({-1e4, 0, 1e4}, dtype);
    const double ln2 = dtype == f32 ? double(std::log(2.0f)) : std::log(2.0);
    CHECK(sigmoid(x).to_vector() == Values{0, 0.5, 1});
    const Values low = log_sigmoid(x).to_vector(), high = softplus(x).to_vector();
    CHECK(low[0] == -1e4);
    CHECK(low[1] == doctest::Approx(-ln2).epsilon(1e-6));
    CHECK(low[2] == 0);
    CHECK(high[0] == 0);
    CHECK(high[1] == doctest::Approx(ln2).epsilon(1e-6));
    CHECK(high[2] == 1e4);
    CHECK(silu(x).to_vector() == Values{0, 0, 1e4});
    CHECK(gelu(x).to_vector() == Values{0, 0, 1e4});
    CHECK(gelu(x, Gelu::tanh).to_vector() == Values{0, 0, 1e4});
    CHECK(tanh(x).to_vector() == Values{-1, 0, 1});
    CHECK(elu(x).to_vector() == Values{-1, 0, 1e4});
  }
  for (double far : {-1e4, 1e4}) {
    CHECK(slope(sigmoid, far) == 0);
    CHECK(slope(log_sigmoid, far) == (far < 0 ? 1 : 0));
    CHECK(slope(softplus, far) == (far < 0 ? 0 : 1));
    CHECK(slope(silu, far) == (far < 0 ? 0 : 1));
    CHECK(slope([](Tensor x) { return gelu(x); }, far) == (far < 0 ? 0 : 1));
    CHECK(slope([](Tensor x) { return gelu(x, Gelu::tanh); }, far) == (far < 0 ? 0 : 1));
    CHECK(slope([](Tensor x) { return elu(x); }, far) == (far < 0 ? 0 : 1));
  }
}

TEST_CASE("at infinity values and slopes are their limits, in both modes, where there are any") {
  struct Limits {
    const char* name;
    Tensor (*f)(Tensor);
    Values value, slope;  // at -inf and inf
  };
  const Limits limits[] = {
      {"sigmoid", sigmoid, {0, 1}, {0, 0}},
      {"tanh", tanh, {-1, 1}, {0, 0}},
      {"erf", erf, {-1, 1}, {0, 0}},
      {"softplus", softplus, {0, inf}, {0, 1}},
      {"log_sigmoid", log_sigmoid, {-inf, 0}, {1, 0}},
      {"relu", relu, {0, inf}, {0, 1}},
      {"leaky_relu", [](Tensor x) { return leaky_relu(x, 0.25); }, {-inf, inf}, {0.25, 1}},
      {"elu", [](Tensor x) { return elu(x); }, {-1, inf}, {0, 1}},
      {"gelu", [](Tensor x) { return gelu(x); }, {0, inf}, {0, 1}},
      {"gelu tanh", [](Tensor x) { return gelu(x, Gelu::tanh); }, {0, inf}, {0, 1}},
      {"silu", silu, {0, inf}, {0, 1}},
      {"abs", abs, {inf, inf}, {-1, 1}},
      {"clamp", [](Tensor x) { return clamp(x, -1, 2); }, {-1, 2}, {0, 0}},
      {"exp", exp, {0, inf}, {0, inf}},
  };
  for (const Limits& op : limits)
    for (Dtype dtype : {f32, f64})
      for (const bool recorded : {false, true}) {
        INFO(std::string(op.name) << " " << std::string(to_string(dtype)) << (recorded ? " recorded" : ""));
        const Tensor x = vector({-inf, inf}, dtype).requires_grad_(), y = op.f(x), one = ones_like(y);
        CHECK(y.to_vector() == op.value);
        CHECK(jvp(y, x, one).to_vector() == op.slope);
        CHECK(vjp(y, x, one, {.create_graph = recorded}).to_vector() == op.slope);
      }
}

TEST_CASE("second derivatives at infinity are their limit, 0, in both modes") {
  struct Op {
    const char* name;
    Tensor (*f)(Tensor);
  };
  const Op ops[] = {
      {"sigmoid", sigmoid},
      {"tanh", tanh},
      {"erf", erf},
      {"softplus", softplus},
      {"log_sigmoid", log_sigmoid},
      {"elu", [](Tensor x) { return elu(x); }},
      {"gelu", [](Tensor x) { return gelu(x); }},
      {"gelu tanh", [](Tensor x) { return gelu(x, Gelu::tanh); }},
      {"silu", silu},
  };
  for (const Op& op : ops)
    for (const Dtype dtype : {f32, f64}) {
      INFO(std::string(op.name) << " " << std::string(to_string(dtype)));
      const Tensor x = vector({-inf, inf}, dtype).requires_grad_(), one = ones_like(x);
      const Tensor slope = vjp(op.f(x), x, one, {.create_graph = true});
      CHECK(vjp(slope, x, one).to_vector() == Values{0, 0});
      CHECK(jvp(slope, x, one).to_vector() == Values{0, 0});
    }
}

TEST_CASE("gelu's slopes where the cube of x overflows") {
  const Tensor x = tensor({-1e20, 1e20}).requires_grad_(), y = gelu(x, Gelu::tanh);
  CHECK(vjp(y, x, ones_like(y)).to_vector() == Values{0, 1});
}

TEST_CASE("slopes at the kinks are those the headers say") {
  CHECK(slope(relu, 0) == 0);
  CHECK(slope(abs, 0) == 0);
  CHECK(slope([](Tensor x) { return leaky_relu(x, 0.25); }, 0) == 0.25);
  CHECK(slope([](Tensor x) { return elu(x); }, 0) == 1);
  for (double end : {-1.0, 2.0}) CHECK(slope([](Tensor x) { return clamp(x, -1, 2); }, end) == 1);
  for (double outside : {-1.5, 2.5}) CHECK(slope([](Tensor x) { return clamp(x, -1, 2); }, outside) == 0);
  CHECK(slope([](Tensor x) { return pow(x, 0); }, 0) == 0);
  CHECK(slope([](Tensor x) { return pow(x, 1); }, 0) == 1);
  using Pair = Tensor (*)(Tensor, Tensor);
  for (const Pair f : {Pair(maximum), Pair(minimum)}) {
    const Tensor a = vector({1, 0, 3}).requires_grad_(), b = vector({1, 2, 2}).requires_grad_();
    const auto [ga, gb] = vjp(f(a, b), {a, b}, ones({3}, {.dtype = f64}));
    const double first = f(vector({1}), vector({2})).item() == 1 ? 1 : 0;
    CHECK(ga.to_vector() == Values{0.5, first, 1 - first});
    CHECK(gb.to_vector() == Values{0.5, 1 - first, first});
  }
}

TEST_CASE("pow: of numbers of either sign and at the ends of their range, as std::pow") {
  std::vector<double> bases = {0, -0.0, inf, -inf, NAN, 1e-30, 1e30};
  for (int i = -40; i <= 40; ++i) bases.push_back(i / 8.0);
  for (Dtype dtype : {f32, f64})
    for (double p : {-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.5, 7.0}) {
      const Tensor x = vector(bases).to(dtype), y = pow(x, p);
      for (size_t i = 0; i < bases.size(); ++i) {
        const double base = x.to_vector()[i], found = y.to_vector()[i];
        const double wanted = dtype == f64 ? std::pow(base, p) : std::pow(float(base), float(p));
        INFO(base, " to the ", p, " in ", to_string(dtype));
        if (std::isnan(wanted) || std::isnan(base)) CHECK((p == 0 ? found == 1 : std::isnan(found)));
        else if (std::isinf(wanted) || wanted == 0) CHECK(found == wanted);
        else CHECK(std::abs(found / wanted - 1) < (dtype == f64 ? 1e-15 : 5e-7));
      }
    }
}

TEST_CASE("pow of tensors: at 0 the slopes are those of the limits, 0 at 0^0, in both modes and second order") {
  const Tensor x = vector({0, 0, 0, 2, -3}).requires_grad_(), p = vector({0, 1, 2, 0, 0}).requires_grad_();
  const Tensor one = ones({5}, {.dtype = f64}), y = pow(x, p);
  const Values in_x = {0, 1, 0, 0, 0}, in_p = {0, 0, 0, std::log(2)};  // without the negative base's
  const auto but_last = [](const Tensor& t) { return t.slice(0, 0, 4).to_vector(); };
  const auto [gx, gp] = vjp(y, {x, p}, one, {.create_graph = true});
  CHECK(gx.to_vector() == in_x);
  CHECK(but_last(gp) == in_p);
  CHECK(jvp(y, x, one).to_vector() == in_x);
  CHECK(but_last(jvp(y, p, one)) == in_p);
  const auto [xx, xp] = vjp(gx, {x, p}, one);
  CHECK(xx.to_vector() == Values{0, 0, 2, 0, 0});
  CHECK(but_last(xp) == Values{0, 1, 0, 0.5});
  CHECK(but_last(jvp(gp, p, one)) == Values{0, 0, 0, std::log(2) * std::log(2)});
  CHECK(vjp(pow(x, -one), x, one).to_vector()[0] == -inf);
}

TEST_CASE("clamp: bounds that are none, and bounds out of order") {
  CHECK(error_of([] { clamp(ones({2}), 2, 1); }) == "clamp: nothing lies between 2.000000 and 1.000000");
  CHECK(error_of([] { clamp(ones({2}), NaN, 1); }) == "clamp: nothing lies between nan and 1.000000");
  CHECK(slope([](Tensor x) { return clamp(x, 0, inf); }, inf) == 1);
  CHECK(std::isnan(slope([](Tensor x) { return clamp(x, 0, inf); }, NaN)));
}

TEST_CASE("numbers take the tensor's dtype; integers stay integers") {
  const Tensor x = tensor({1, -2, 3});
  CHECK((x + 1).dtype() == i64);
  CHECK((2 * x - 1).to_vector() == Values{1, -5, 5});
  CHECK((x * x).to_vector() == Values{1, 4, 9});
  CHECK((3 - x).to_vector() == Values{2, 5, 0});
  CHECK(square(x).to_vector() == Values{1, 4, 9});
  CHECK(abs(x).to_vector() == Values{1, 2, 3});
  CHECK(sign(x).to_vector() == Values{1, -1, 1});
  CHECK(maximum(x, tensor({0, 0, 4})).to_vector() == Values{1, 0, 4});
  CHECK(minimum(x, tensor({0, 0, 4})).to_vector() == Values{0, -2, 3});
  CHECK(clamp(x, 0, 2).to_vector() == Values{1, 0, 2});
  CHECK(clamp(x, 0, inf).to_vector() == Values{1, 0, 3});
  CHECK(clamp(x, -inf, 1).to_vector() == Values{1, -2, 1});
  CHECK((tensor({1.0}) + 0.1).item<float>() == 1.1f);
  CHECK((tensor({INT64_C(9007199254740993)}) + 0).item<int64_t>() == INT64_C(9007199254740993));
}

TEST_CASE("errors name the op, the rule and both values") {
  const Tensor x = zeros({3}), d = zeros({3}, {.dtype = f64}), n = tensor({1, 2, 3}), flag = tensor({true});
  CHECK(error_of([&] { x + d; }) == "add: dtypes differ: f32 and f64; convert with .to(f32)");
  CHECK(error_of([&] { n* x; }) == "mul: dtypes differ: i64 and f32; convert with .to(f32)");
  CHECK(error_of([&] { maximum(x, d); }) == "maximum: dtypes differ: f32 and f64; convert with .to(f32)");
  CHECK(error_of([&] { n + 0.5; }) == "add: the number 0.500000 with a tensor of i64; convert with .to(f32)");
  CHECK(error_of([&] { n * 0.5; }) == "mul: the number 0.500000 with a tensor of i64; convert with .to(f32)");
  CHECK(error_of([&] { 0.5 - n; }) == "add: the number 0.500000 with a tensor of i64; convert with .to(f32)");
  CHECK(error_of([&] { n + inf; }).find("add: the number inf") == 0);
  CHECK(error_of([&] { n + 1e19; }).find("add: the number 1000000") == 0);
  CHECK(error_of([&] { clamp(n, 0, 1.5); }).find("clamp: the number 1.5") == 0);
  CHECK(error_of([&] { clamp(n, 0.5, 2); }).find("clamp: the number 0.5") == 0);
  CHECK(error_of([&] { n / n; }) == "div: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([&] { n / 2; }) == "div: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([&] { reciprocal(n); }) == "reciprocal: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([&] { exp(n); }) == "exp: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([&] { relu(flag); }) == "relu: needs a floating tensor, got boolean; convert with .to(f32)");
  CHECK(error_of([&] { step(n); }) == "step: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([&] { flag + flag; }).find("add: not defined for boolean tensors") == 0);
  for (const std::string& message : {error_of([&] { x + zeros({4}); }), error_of([&] {
                                       pow(x, zeros({2, 4}));
                                     }),
                                     error_of([&] { x / zeros({2}); })})
    CHECK(message.find("(3) and (") != std::string::npos);
}

TEST_CASE("methods are the free forms") {
  const Tensor x = vector({0.5, 2});
  const auto same = [](const Tensor& a, const Tensor& b) { return a.to_vector() == b.to_vector(); };
  CHECK(same(x.exp(), exp(x)));
  CHECK(same(x.log(), log(x)));
  CHECK(same(x.sqrt(), sqrt(x)));
  CHECK(same(x.tanh(), tanh(x)));
  CHECK(same(x.relu(), relu(x)));
  CHECK(same(x.sigmoid(), sigmoid(x)));
  CHECK(same(x.abs(), abs(x)));
  CHECK(same(x.square(), square(x)));
  CHECK(same(x.pow(1.5), pow(x, 1.5)));
}
