#include "fathom/autograd/check_grads.h"

#include "fathom/autograd/families.h"
#include "tests/autograd/tensors.h"
#include "tests/support.h"

using namespace fathom;

TEST_CASE("check_grads: right derivatives pass, to third order") {
  check_grads([](List x) { return tanh(x[0]) * x[1] + x[1]; }, {normal({3, 4}), normal({4}, 2)}, {.order = 3});
  check_grads([](List x) { return x[0]; }, {normal({3})});
  check_grads([](List x) { return x[0] * 2; }, {normal({3}), normal({2})});
  check_grads([](List x) { return step(x[0]); }, {normal({3})});
}

TEST_CASE("check_grads: a wrong derivative is told, with its order, its mode and the numbers") {
  const auto wrong_slope = [](List x) {
    return pointwise(
        "wrong", x[0], [](auto e) { return e * e; }, [](auto e, Unused) { return e; });
  };
  const std::string message = error_of([&] { check_grads(wrong_slope, {normal({3})}); });
  CHECK(message.find("check_grads: derivative: vjp gives ") == 0);
  CHECK(message.find("the difference") != std::string::npos);

  const auto wrong_reverse = [](List x) {
    return record("wrong", kernel::clone(x[0]),
                  wrt(
                      x[0], [](Tensor g) { return g * 2; }, [](Tensor t) { return t; }));
  };
  CHECK(error_of([&] { check_grads(wrong_reverse, {normal({3})}); }).find(": vjp gives") != std::string::npos);
  const auto wrong_forward = [](List x) {
    return record("wrong", kernel::clone(x[0]),
                  wrt(
                      x[0], [](Tensor g) { return g; }, [](Tensor t) { return t * 2; }));
  };
  CHECK(error_of([&] { check_grads(wrong_forward, {normal({3})}); }).find(": jvp gives") != std::string::npos);

  // Right at first order, but the slope is a number to the tape.
  const auto wrong_second = [](List x) {
    return record("wrong",
                  kernel::map(
                      "wrong", [](auto e) { return e * e; }, x[0]),
                  keep(x[0]), wrt(x[0], [](const Tensor& g, const Tensor& e) { return g * e.alias() * 2; }));
  };
  check_grads(wrong_second, {normal({3})}, {.order = 1});
  CHECK(error_of([&] { check_grads(wrong_second, {normal({3})}); }).find("check_grads: derivative of its vjp: ") == 0);
}

TEST_CASE("check_grads: a NaN is no agreement; inputs are f64") {
  const auto log_of = [](List x) { return log(x[0]); };
  CHECK(error_of([&] { check_grads(log_of, {kernel::full({2}, -1, f64)}); }) != "");
  CHECK(error_of([&] { check_grads(log_of, {kernel::full({2}, 1, f32)}); }) ==
        "check_grads: input 0 is f32; differences need f64");
}

TEST_CASE("record: a rule that gives another dtype, or nothing, is told") {
  const Tensor x = randn({3}, {.dtype = f64, .requires_grad = true});
  const auto message = [&](auto rule) {
    return error_of([&] { sum(record("mine", x.detach() * 1, wrt(x, rule))).backward(); });
  };
  CHECK(message([](const Tensor& flow) { return flow.to(f32); }).starts_with("a rule gave a gradient of f32 for "));
  CHECK(message([](const Tensor&) { return Tensor(); }).starts_with("a rule gave no gradient for "));
  CHECK(message([](const Tensor& flow) { return flow * 2; }) == "");
}
