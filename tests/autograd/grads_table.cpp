// One row an op: its derivatives, in both modes and to second order, on every kind of layout.
#include <cmath>
#include <vector>

#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/compare.h"
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/autograd/ops/views.h"
#include "tests/autograd/tensors.h"
#include "tests/support.h"

using namespace fathom;

namespace {

struct Row {
  const char* name;
  Tensor (*f)(Tensor);
  double low = -2, high = 2;       // where it is checked
  std::vector<double> kinks = {};  // but not next to these
};
struct BinaryRow {
  const char* name;
  Tensor (*f)(Tensor, Tensor);
  double low = -2, high = 2;
};

const Row rows[] = {
    {"exp", exp},
    {"expm1", expm1},
    {"log", log, 0.5, 3},
    {"log1p", log1p, -0.5, 3},
    {"sqrt", sqrt, 0.5, 3},
    {"rsqrt", rsqrt, 0.5, 3},
    {"sin", sin},
    {"cos", cos},
    {"tanh", tanh},
    {"erf", erf},
    {"sigmoid", sigmoid},
    {"log_sigmoid", log_sigmoid},
    {"softplus", softplus},
    {"relu", relu, -2, 2, {0}},
    {"step", [](Tensor x) { return step(x); }, -2, 2, {0}},
    {"step(x) x", [](Tensor x) { return step(x) * x; }, -2, 2, {0}},
    {"leaky_relu", [](Tensor x) { return leaky_relu(x); }, -2, 2, {0}},
    {"leaky_relu 0.3", [](Tensor x) { return leaky_relu(x, 0.3); }, -2, 2, {0}},
    {"elu", [](Tensor x) { return elu(x); }, -2, 2, {0}},
    {"elu 0.7", [](Tensor x) { return elu(x, 0.7); }, -2, 2, {0}},
    {"gelu", [](Tensor x) { return gelu(x); }},
    {"gelu tanh", [](Tensor x) { return gelu(x, Gelu::tanh); }},
    {"silu", silu},
    {"x + c", [](Tensor x) { return x + 0.7; }},
    {"x - c", [](Tensor x) { return x - 0.7; }},
    {"x * c", [](Tensor x) { return x * 0.7; }},
    {"x / c", [](Tensor x) { return x / 0.7; }},
    {"c + x", [](Tensor x) { return 0.7 + x; }},
    {"c - x", [](Tensor x) { return 0.7 - x; }},
    {"c * x", [](Tensor x) { return 0.7 * x; }},
    {"c / x", [](Tensor x) { return 0.7 / x; }, 0.5, 2},
    {"1 / x", [](Tensor x) { return 1 / x; }, -2, -0.5},
    {"-x", [](Tensor x) { return -x; }},
    {"neg", neg},
    {"square", square},
    {"reciprocal", reciprocal, 0.5, 2},
    {"pow 3", [](Tensor x) { return pow(x, 3); }},
    {"pow 2", [](Tensor x) { return pow(x, 2); }},
    {"pow 1", [](Tensor x) { return pow(x, 1); }},
    {"pow 0", [](Tensor x) { return pow(x, 0); }},
    {"pow -0.5", [](Tensor x) { return pow(x, -0.5); }, 0.5, 2},
    {"clamp", [](Tensor x) { return clamp(x, -1, 0.5); }, -2, 2, {-1, 0.5}},
    {"abs", abs, -2, 2, {0}},
    {"sign", sign, -2, 2, {0}},
    {"sign(x) x", [](Tensor x) { return sign(x) * x; }, -2, 2, {0}},
    {"x *= x + 1",
     [](Tensor x) {
       Tensor y = x * 1;
       y *= x + 1;
       return y;
     }},
    {"y += x; y -= 2 x",
     [](Tensor x) {
       Tensor y = square(x);
       y += x;
       y -= 2 * x;
       return y;
     }},
    {"y /= x",
     [](Tensor x) {
       Tensor y = log(x);
       y /= x;
       y += 1;
       y *= 2;
       y /= 3;
       y -= 1;
       return y;
     },
     0.5, 2},
    {"copy_",
     [](Tensor x) {
       Tensor y = zeros(x.shape(), {.dtype = f64});
       y.copy_(square(x));
       return y;
     }},
    {"fill_ and copy_",
     [](Tensor x) {
       Tensor y = square(x), z = y + x;
       y.fill_(3);
       y.copy_(z);
       return y + z;
     }},
};

const BinaryRow binary_rows[] = {
    {"a + b", [](Tensor a, Tensor b) { return a + b; }},
    {"a - b", [](Tensor a, Tensor b) { return a - b; }},
    {"a * b", [](Tensor a, Tensor b) { return a * b; }},
    {"a / b", [](Tensor a, Tensor b) { return a / b; }, 0.5, 2},
    {"maximum", maximum},
    {"minimum", minimum},
    {"pow", [](Tensor a, Tensor b) { return pow(a, b); }, 0.5, 2},
    {"where", [](Tensor a, Tensor b) { return where(a > b, a * b, b); }},
    {"where a c", [](Tensor a, Tensor b) { return where(a > b, a, 0.5) * b; }},
    {"where c b", [](Tensor a, Tensor b) { return where(a > b, 0.5, b) * a; }},
};

Tensor draw(const Shape& shape, const Row& row, Rng& rng) {
  const Tensor x(shape, f64);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const auto near_kink = [&](double value) {
      for (double kink : row.kinks)
        if (std::abs(value - kink) < 0.02) return true;
      return false;
    };
    double& e = x.data<double>()[i];
    do e = row.low + (row.high - row.low) * rng.uniform();
    while (near_kink(e));
  }
  return x;
}

void check(const std::string& name, const char* layout, FunctionRef<Tensor(List)> f, const std::vector<Tensor>& x) {
  INFO(name << ", " << std::string(layout));
  CHECK(error_of([&] { check_grads(f, x); }) == "");
}

}  // namespace

TEST_CASE("derivatives of functions of each element") {
  Rng rng(1);
  for (const Row& row : rows) {
    const auto f = [&](List x) { return row.f(x[0]); };
    check(row.name, "contiguous", f, {draw({3, 4}, row, rng)});
    check(row.name, "transposed", [&](List x) { return row.f(transpose(x[0])); }, {draw({3, 4}, row, rng)});
    check(row.name, "stepped", [&](List x) { return row.f(slice(x[0], 1, 1, 7, 3)); }, {draw({2, 7}, row, rng)});
    check(row.name, "a strided leaf", f, {draw({4, 3, 2}, row, rng).view({2, 3, 2}, {1, 8, 2})});
    check(row.name, "expanded", [&](List x) { return row.f(expand(x[0], {3, 2})); }, {draw({2}, row, rng)});
    check(row.name, "of what dies", [&](List x) { return row.f(x[0] * 1.5 - x[0] * 0.5); }, {draw({5}, row, rng)});
    check(row.name, "size 1", f, {draw({1, 1}, row, rng)});
    check(row.name, "rank 0", f, {draw({}, row, rng)});
    check(row.name, "size 0", f, {draw({2, 0, 3}, row, rng)});
  }
}

TEST_CASE("derivatives of functions of two elements") {
  Rng rng(2);
  for (const BinaryRow& row : binary_rows) {
    const auto f = [&](List x) { return row.f(x[0], x[1]); };
    const auto pair = [&](const Shape& a, const Shape& b) {
      const Row range{row.name, nullptr, row.low, row.high};
      return std::vector{draw(a, range, rng), draw(b, range, rng)};
    };
    check(row.name, "contiguous", f, pair({3, 4}, {3, 4}));
    check(
        row.name, "transposed", [&](List x) { return row.f(transpose(x[0]), x[1]); }, pair({3, 4}, {4, 3}));
    check(
        row.name, "stepped", [&](List x) { return row.f(x[0], slice(x[1], 0, 0, 5, 2)); }, pair({3}, {5}));
    check(row.name, "row", f, pair({3, 4}, {4}));
    check(row.name, "column", f, pair({3, 1}, {3, 4}));
    check(row.name, "outer", f, pair({3, 1}, {1, 4}));
    check(row.name, "rank 0 and 3", f, pair({}, {2, 1, 3}));
    check(row.name, "size 1", f, pair({1}, {1, 1}));
    check(row.name, "size 0", f, pair({0, 4}, {4}));
    check(row.name, "size 0 outer", f, pair({3, 1}, {1, 0}));
    check(
        row.name, "of what dies", [&](List x) { return row.f(x[0] * 1.25, x[1] * 0.8); }, pair({4}, {4}));
    if (std::string(row.name).find("where") == std::string::npos)
      check(
          row.name, "a tensor with itself", [&](List x) { return row.f(x[0], x[0]); }, pair({3}, {1}));
  }
}

TEST_CASE("derivatives to third order") {
  Rng rng(3);
  for (const Row& row : rows) {
    INFO(std::string(row.name));
    const auto f = [&](List x) { return row.f(x[0]); };
    CHECK(error_of([&] { check_grads(f, {draw({4}, row, rng)}, {.order = 3, .tolerance = 1e-6}); }) == "");
  }
}

TEST_CASE("where: the condition broadcasts; the part not taken has derivative zero even where it is NaN") {
  Rng rng(4);
  const Tensor c = tensor({true, false});
  const Row row{"where", nullptr};
  const auto f = [&](List x) { return where(c, x[0], x[1]); };
  check("where", "broadcast by c", f, {draw({}, row, rng), draw({3, 1}, row, rng)});
  check("where", "broadcast by c", [&](List x) { return where(c, x[0], 2) * x[0]; }, {draw({3, 1}, row, rng)});

  const Tensor x = tensor({4.0, -1.0}, {.dtype = f64, .requires_grad = true});
  const Tensor root = sqrt(x);
  CHECK(std::isnan(root.to_vector()[1]));
  const Tensor y = where(x > 0, root, 0);
  CHECK(y.to_vector() == std::vector<double>{2, 0});
  const Tensor g = vjp(y, root, ones_like(y));
  CHECK(g.to_vector() == std::vector<double>{1, 0});
  const Tensor t = jvp(y, root, tensor({1.0, std::nan("")}, {.dtype = f64}));
  CHECK(t.to_vector() == std::vector<double>{1, 0});
}
