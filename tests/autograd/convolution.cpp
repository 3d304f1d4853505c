#include "fathom/autograd/ops/convolution.h"

#include <functional>
#include <limits>

#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "fathom/tensor/parallel.h"
#include "tests/autograd/tensors.h"
#include "tests/support.h"

using namespace fathom;

namespace {

// The definition.
Tensor by_loop(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dForm& form, const Shape& y_shape) {
  Tensor y = zeros(y_shape, {.dtype = f64});
  const auto at = [](const Tensor& t, int64_t a, int64_t b, int64_t c, int64_t d) -> double& {
    return t.data<double>()[((a * t.size(1) + b) * t.size(2) + c) * t.size(3) + d];
  };
  const int64_t out_group = w.size(0) / form.groups;
  for (int64_t n = 0; n < y.size(0); ++n)
    for (int64_t o = 0; o < y.size(1); ++o)
      for (int64_t i = 0; i < y.size(2); ++i)
        for (int64_t j = 0; j < y.size(3); ++j) {
          double sum = bias.data<double>()[o];
          for (int64_t c = 0; c < w.size(1); ++c)
            for (int64_t p = 0; p < w.size(2); ++p)
              for (int64_t q = 0; q < w.size(3); ++q) {
                const int64_t r = i * form.stride.rows + p * form.dilation.rows - form.padding.rows;
                const int64_t s = j * form.stride.columns + q * form.dilation.columns - form.padding.columns;
                if (r >= 0 && r < x.size(2) && s >= 0 && s < x.size(3))
                  sum += at(w, o, c, p, q) * at(x, n, o / out_group * w.size(1) + c, r, s);
              }
          at(y, n, o, i, j) = sum;
        }
  return y;
}

// <u, J v> = <J^T u, v>, for the whole of the inputs.
void check_adjoint(const std::function<Tensor(List)>& f, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> xs, vs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    xs.push_back(inputs[i].clone().requires_grad_());
    vs.push_back(normal(inputs[i].shape(), 50 + i));
  }
  const Tensor y = f(xs), u = normal(y.shape(), 40);
  const double left = sum(u * jvp(y, List(xs), vs)).item();
  const auto gs = vjp(y, List(xs), u);
  double right = 0;
  for (size_t i = 0; i < xs.size(); ++i) right += sum(gs[i] * vs[i]).item();
  CHECK(left == doctest::Approx(right).epsilon(1e-12));
}

}  // namespace

TEST_CASE("conv2d against the definition, in many forms") {
  Rng rng(5);
  const auto draw = [&](int64_t low, int64_t high) { return randint(low, high + 1, {1}, rng).item<int64_t>(); };
  int tried = 0;
  while (tried < 150) {
    const bool many = draw(0, 2) == 0;  // channels: other loops
    const int64_t groups = draw(1, 3), in = groups * (many ? draw(16, 18) : draw(1, 2)), out = groups * draw(1, 3);
    const Conv2dForm form{{draw(1, 3), draw(1, 2)}, {draw(0, 3), draw(0, 3)}, {draw(1, 2), draw(1, 3)}, groups};
    const Size2d kernel{draw(1, 4), draw(1, 3)};
    const int64_t rows = draw(1, 9), columns = draw(1, 9);
    const int64_t down = rows + 2 * form.padding.rows - form.dilation.rows * (kernel.rows - 1) - 1;
    const int64_t across = columns + 2 * form.padding.columns - form.dilation.columns * (kernel.columns - 1) - 1;
    if (down < 0 || across < 0) continue;
    ++tried;
    const Tensor x = normal({draw(0, 3), in, rows, columns}, 1);
    const Tensor w = normal({out, in / groups, kernel.rows, kernel.columns}, 2), b = normal({out}, 3);
    const Shape y_shape{x.size(0), out, down / form.stride.rows + 1, across / form.stride.columns + 1};
    const Tensor y = conv2d(x, w, b, form);
    REQUIRE(y.shape() == y_shape);
    CHECK(allclose(y, by_loop(x, w, b, form, y_shape), 1e-12, 1e-12));
    check_adjoint([&](List in_) { return conv2d(in_[0], w, {}, form); }, {x});
    check_adjoint([&](List in_) { return conv2d(x, in_[0], in_[1], form); }, {w, b});
  }
}

TEST_CASE("conv2d: large planes are made strip by strip") {
  for (const Shape& shape : {Shape{2, 3, 130, 70}, Shape{2, 16, 40, 30}})
    for (const Conv2dForm form : {Conv2dForm{.padding = 2}, Conv2dForm{.stride = 2, .padding = 1}}) {
      const Tensor x = normal(shape, 1), w = normal({4, shape[1], 5, 5}, 2), b = normal({4}, 3);
      const Tensor y = conv2d(x, w, b, form);
      CHECK(allclose(y, by_loop(x, w, b, form, y.shape()), 1e-12, 1e-12));
      check_adjoint([&](List in) { return conv2d(in[0], w, {}, form); }, {x});
      check_adjoint([&](List in) { return conv2d(x, in[0], {}, form); }, {w});
    }
}

TEST_CASE("conv2d, conv1d: derivatives of both orders") {
  const auto check = [](const Shape& x, const Shape& w, const Conv2dForm& form) {
    CHECK_NOTHROW(check_grads([&](List in) { return conv2d(in[0], in[1], in[2], form); },
                              {normal(x, 1), normal(w, 2), normal({w[0]}, 3)}));
  };
  check({2, 2, 4, 3}, {3, 2, 3, 2}, {});
  check({2, 4, 4, 5}, {4, 2, 3, 2}, {{2, 1}, {1, 2}, {1, 2}, 2});
  check({1, 2, 3, 3}, {2, 1, 3, 3}, {.padding = 1, .groups = 2});
  check({2, 3, 3, 3}, {2, 3, 1, 1}, {});
  check({2, 16, 3, 3}, {3, 16, 2, 3}, {.padding = 1});
  check({1, 32, 4, 4}, {2, 16, 2, 2}, {{2, 1}, {1, 0}, {1, 2}, 2});
  CHECK_NOTHROW(check_grads([](List in) { return conv2d(in[0], tanh(in[1]), {}, {.stride = 2}); },
                            {normal({1, 2, 5, 5}, 1), normal({2, 2, 3, 3}, 2)}));
  CHECK_NOTHROW(
      check_grads([](List in) { return conv2d(in[0], in[0], {}, {.padding = 1}); }, {normal({2, 2, 3, 3}, 1)}));
  CHECK_NOTHROW(check_grads(
      [](List in) {
        return conv1d(in[0], in[1], in[2], {2, 1, 2, 1});
      },
      {normal({2, 2, 6}, 1), normal({3, 2, 3}, 2), normal({3}, 3)}));
  CHECK_NOTHROW(check_grads(
      [](List in) {
        return conv2d(pad_circular(in[0], {1, 2}), in[1]);
      },
      {normal({1, 2, 3, 4}, 1), normal({2, 2, 3, 3}, 2)}));
  CHECK_NOTHROW(check_grads([](List in) { return square(conv2d(transpose(in[0]), transpose(in[1]))); },
                            {normal({1, 2, 3, 4}, 1), normal({2, 2, 3, 2}, 2)}));
}

TEST_CASE("pad_circular") {
  const Tensor x = tensor({{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}});
  CHECK(pad_circular(x, {1, 2}).to_vector() ==
        std::vector<double>{5, 6, 4, 5, 6, 4, 5, 2, 3, 1, 2, 3, 1, 2, 5, 6, 4, 5, 6, 4, 5, 2, 3, 1, 2, 3, 1, 2});
  CHECK(error_of([&] { pad_circular(x, {3, 0}); }) == "pad_circular: (3, 0) is not within the axes of (2, 3)");
}

TEST_CASE("conv2d: bad input") {
  const Tensor x = zeros({2, 4, 5, 5});
  CHECK(error_of([&] {
          conv2d(x, zeros({6, 3, 3, 3}));
        }) == "conv2d: channels differ, with 1 groups: (2, 4, 5, 5) and (6, 3, 3, 3)");
  CHECK(error_of([&] {
          conv2d(x, zeros({6, 4, 3, 3}), {}, {.groups = 3});
        }) == "conv2d: 3 groups do not divide the channels: (2, 4, 5, 5) and (6, 4, 3, 3)");
  CHECK(error_of([&] {
          conv2d(x, zeros({6, 4, 7, 3}));
        }) ==
        "conv2d: the kernel, with dilation (1, 1), does not fit the input with padding (0, 0): (2, 4, 5, 5) and "
        "(6, 4, 7, 3)");
  CHECK(error_of([&] {
          conv2d(x, zeros({6, 4, 3, 3}), {}, {.stride = 0});
        }) == "conv2d: stride must be at least 1, got (0, 0)");
  CHECK(error_of([&] {
          conv2d(x, zeros({6, 4, 3, 3}), {}, {.padding = {1, -1}});
        }) == "conv2d: padding must not be negative, got (1, -1)");
  CHECK(error_of([&] {
          conv2d(x, zeros({6, 4, 3, 3}), zeros({5}));
        }) == "conv2d: weight and bias differ: (6, 4, 3, 3) and (5)");
  CHECK(error_of([&] {
          conv2d(x, zeros({6, 4, 3}));
        }) == "conv2d: needs x (batch, in, rows, columns) and a weight of four axes: (2, 4, 5, 5) and (6, 4, 3)");
  CHECK(error_of([&] {
          conv1d(x, zeros({6, 4, 3}));
        }) == "conv1d: needs x (batch, in, length) and a weight of three axes: (2, 4, 5, 5) and (6, 4, 3)");
  CHECK(error_of([&] { conv2d(x, zeros({6, 4, 3, 3}, {.dtype = f64})); }).starts_with("conv2d: "));
}

TEST_CASE("pooling: derivatives and adjoints") {
  const Tensor x = normal({2, 2, 7, 6}, 1);
  const std::vector<std::function<Tensor(List)>> forms{
      [](List in) {
        return max_pool2d(in[0], {{3, 2}, {2, 1}, {1, 0}});
      },
      [](List in) {
        return avg_pool2d(in[0], {{3, 2}, {2, 1}, 1});
      },
      [](List in) {
        return avg_pool2d(in[0], {{3, 2}, {2, 1}, 1}, false);
      },
      [](List in) {
        return adaptive_avg_pool2d(in[0], {3, 4});
      },
      [](List in) {
        return adaptive_max_pool2d(in[0], {3, 4});
      },
      [](List in) { return max_pool2d(transpose(in[0]), {2}); },
  };
  for (const auto& f : forms) {
    check_adjoint(f, {x});
    CHECK_NOTHROW(check_grads([&](List in) { return square(f(in)); }, {x}));
  }
}

TEST_CASE("pooling: values, NaN, sizes, bad input") {
  const Tensor x = arange(12).reshape({1, 3, 4}).to(f32);
  CHECK(max_pool2d(x, {2}).to_vector() == std::vector<double>{5, 7});
  CHECK(avg_pool2d(x, {2, 1}).to_vector() == std::vector<double>{2.5, 3.5, 4.5, 6.5, 7.5, 8.5});
  CHECK(avg_pool2d(x, {2, 2, 1}).to_vector() == std::vector<double>{0, 0.75, 0.75, 3, 7.5, 4.5});
  CHECK(avg_pool2d(x, {2, 2, 1}, false).to_vector() == std::vector<double>{0, 1.5, 3, 6, 7.5, 9});
  CHECK(adaptive_avg_pool2d(x, 1).to_vector() == std::vector<double>{5.5});
  CHECK(adaptive_max_pool2d(x, {2, 3}).to_vector() == std::vector<double>{5, 6, 7, 9, 10, 11});
  CHECK(max_pool2d(-1 - x, {2, 2, 1}).to_vector() == std::vector<double>{-1, -2, -4, -5, -6, -8});
  Tensor broken = x.clone();
  broken.data<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  CHECK(isnan(max_pool2d(broken, {2})).to_vector() == std::vector<double>{1, 0});
  CHECK(max_pool2d(zeros({0, 2, 4, 4}), {2}).shape() == Shape{0, 2, 2, 2});
  CHECK(error_of([&] { max_pool2d(x, {5}); }) ==
        "max_pool2d: the kernel (5, 5) is larger than the padded input: (1, 3, 4) with padding (0, 0)");
  CHECK(error_of([&] {
          avg_pool2d(x, {2, 1, 2});
        }) ==
        "avg_pool2d: kernel (2, 2), stride (1, 1), padding (2, 2); the kernel must be at least 1 and the padding at "
        "most half of it");
  CHECK(error_of([&] { adaptive_avg_pool2d(x, {0, 1}); }) == "adaptive_avg_pool2d: (0, 1) windows on (1, 3, 4)");
}

TEST_CASE("convolution and norms of planes: one thread and two give the same bits") {
  const int before = threads();
  const auto run = [](int64_t channels) {
    const Tensor x = normal({33, channels, 14, 14}, 1, f32).requires_grad_(),
                 w = normal({8, channels, 3, 3}, 2, f32).requires_grad_();
    const Tensor y = max_pool2d(batch_norm(conv2d(x, w, {}, {.padding = 1})), {2}).square().sum();
    auto all = y.to_vector();
    for (const Tensor& g : grad(y, {x, w}))
      for (const double v : g.to_vector()) all.push_back(v);
    return all;
  };
  for (const int64_t channels : {4, 16}) {
    set_threads(1);
    const auto one = run(channels);
    set_threads(3);
    const auto three = run(channels);
    set_threads(before);
    CHECK(one == three);
  }
}
