// Convolutions, norms and pooling as modules. Numbers are libtorch 1.13.1's on the same inputs, each tensor told by its
// sum and by its sum weighted with cos(0.7 i).
#include <cmath>

#include "fathom/autograd/checkpoint.h"
#include "fathom/autograd/grad.h"
#include "tests/nn/modules.h"

using namespace fathom;

namespace {

Tensor wave(const Shape& shape, double a) {
  Tensor x(shape, f64);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = std::sin(double(i) * a + 0.3);
  return x;
}
void put(Tensor& w, double a) {
  const NoGrad off;
  w.copy_(wave(w.shape(), a));
}
struct Told {
  int64_t n;
  double sum, weighted;
};
void check_told(const Tensor& x, const Told& told) {
  double sum = 0, weighted = 0;
  const auto numbers = x.to_vector();
  for (size_t i = 0; i < numbers.size(); ++i) sum += numbers[i], weighted += numbers[i] * std::cos(0.7 * double(i));
  CHECK(x.numel() == told.n);
  CHECK(std::abs(sum - told.sum) < 1e-10);
  CHECK(std::abs(weighted - told.weighted) < 1e-10);
}
// The value, then the gradients in the inputs for the cotangent wave(0.5).
void check_all(const Tensor& y, std::vector<Tensor> inputs, const std::vector<Told>& told) {
  check_told(y.detach(), told[0]);
  const auto gs = vjp(y, std::span<const Tensor>(inputs), wave(y.shape(), 0.5));
  for (size_t i = 0; i < inputs.size(); ++i) check_told(gs[i], told[i + 1]);
}

}  // namespace

TEST_CASE("convolutions agree with libtorch") {
  const Tensor x = wave({2, 4, 7, 6}, 0.37).requires_grad_();
  nn::Conv2d conv(4, 6, {3, 2}, {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}, .groups = 2, .dtype = f64});
  put(conv.weight, 0.61), put(conv.bias, 0.9);
  check_all(conv(x), {x, conv.weight, conv.bias},
            {{384, 33.3541791782704, 0.474135828263184},
             {336, -0.385917054507752, 1.69474944422924},
             {72, 0.587829455416204, -44.3630066748114},
             {6, 3.86964719390924, -0.319717963560747}});

  const Tensor line = wave({2, 3, 9}, 0.37).requires_grad_();
  nn::Conv1d conv1(3, 4, 3, {.stride = 2, .padding = 2, .dilation = 2, .dtype = f64});
  put(conv1.weight, 0.61), put(conv1.bias, 0.9);
  check_all(conv1(line), {line, conv1.weight, conv1.bias},
            {{40, 13.3380141168273, -0.537302339823672},
             {54, 0.0797799519493588, -0.0946095326564313},
             {36, 11.1683501868966, 17.9425215723037},
             {4, 1.28697705977731, -0.37949403707177}});

  const Tensor torus = wave({2, 3, 4, 5}, 0.37).requires_grad_();
  nn::Conv2d around(3, 2, 3, {.padding = {1, 2}, .padding_mode = nn::PaddingMode::circular, .dtype = f64});
  put(around.weight, 0.61), put(around.bias, 0.9);
  check_all(around(torus), {torus, around.weight, around.bias},
            {{112, 68.277586416317, 8.22845314515081},
             {120, 2.13278927077323, 2.76394915234876},
             {54, 74.5747089324679, -45.4017793722401},
             {2, 0.243589007587839, 0.324334025121244}});
}

TEST_CASE("batch norm agrees with libtorch, its running statistics too") {
  const Tensor x = wave({3, 4, 2, 3}, 0.37).requires_grad_();
  nn::BatchNorm2d norm(4, {.dtype = f64});
  put(norm.weight, 0.61), put(norm.bias, 0.9);
  check_all(norm(x), {x, norm.weight, norm.bias},
            {{72, 40.1739960120715, -0.169366345863366},
             {72, 0, -5.47084399624529},
             {4, 3.76911749900214, 5.90073518126398},
             {4, 2.17657338383205, 6.92631829649319}});
  norm(x * x);
  check_told(norm.running_mean, {4, 0.215470476480329, 0.0630904939289932});
  check_told(norm.running_var, {4, 3.47507808584872, 1.23214975992552});
  CHECK(norm.num_batches_tracked.item() == 2);
  norm.eval();
  check_all(norm(x), {x, norm.weight, norm.bias},
            {{72, 37.9343804510418, -0.330640996349531},
             {72, -1.77357039240609, -3.75089542374042},
             {4, 0.883260456438474, 4.86265122706957},
             {4, 2.17657338383205, 6.92631829649319}});
  CHECK(norm.num_batches_tracked.item() == 2);

  const Tensor rows = wave({5, 3}, 0.37).requires_grad_();
  nn::BatchNorm1d norm1(3, {.momentum = {}, .dtype = f64});
  check_all(norm1(rows), {rows, norm1.weight, norm1.bias},
            {{15, 0, -1.06912210092518},
             {15, 0, -4.97734407105993},
             {3, 4.90932968560425, 3.37980507743083},
             {3, 1.41353559613148, 0.655244481435047}});
  norm1(rows * rows);
  check_told(norm1.running_mean, {3, 0.879574707123365, 0.578125026302249});
  check_told(norm1.running_var, {3, 1.2497411255121, 0.806884805938398});
  norm1.eval();
  check_told(norm1(rows).detach(), {15, -6.06268967249444, -0.95480975128292});
}

TEST_CASE("group norm agrees with libtorch; RMS norm") {
  const Tensor x = wave({2, 6, 5}, 0.37).requires_grad_();
  nn::GroupNorm norm(3, 6, {.dtype = f64});
  put(norm.weight, 0.61), put(norm.bias, 0.9);
  check_all(norm(x), {x, norm.weight, norm.bias},
            {{60, 9.07214187825141, -1.76460391394703},
             {60, 0, -2.33838958904527},
             {6, 10.7250611635024, 8.15032884513636},
             {6, 1.60731175698349, -0.672449966229728}});
  nn::RMSNorm rms(2, {.eps = 0, .dtype = f64});
  const auto y = rms(tensor({{3.0, 4.0}}, {.dtype = f64})).to_vector();
  CHECK(y[0] == doctest::Approx(3 / std::sqrt(12.5)));
  CHECK(y[1] == doctest::Approx(4 / std::sqrt(12.5)));
  CHECK(nn::RMSNorm(2)(tensor({0.0, 0.0})).to_vector() == std::vector<double>{0, 0});
  CHECK(nn::RMSNorm(2, {.affine = false}).parameters().empty());
}

TEST_CASE("pooling agrees with libtorch") {
  const Tensor x = wave({2, 3, 7, 6}, 0.37).requires_grad_();
  check_all(nn::MaxPool2d({3, 2}, {.stride = {2, 1}, .padding = {1, 0}})(x), {x},
            {{120, 94.2565573679862, 3.23489806516797}, {252, 3.91008049505419, -8.9651664271993}});
  check_all(nn::AvgPool2d({3, 2}, {.stride = {2, 1}, .padding = 1})(x), {x},
            {{168, 0.469497642252348, 0.241003258990486}, {252, 1.66325426285366, -0.0315917454280727}});
  check_all(nn::AvgPool2d({3, 2}, {.stride = {2, 1}, .padding = 1, .count_include_pad = false})(x), {x},
            {{168, 0.748933135884702, 0.761738536534248}, {252, 3.46511865042179, -1.39825819822043}});
  check_all(nn::AdaptiveAvgPool2d({3, 4})(x), {x},
            {{72, -0.0194293065708694, 0.0528070476795308}, {252, 2.17657338383205, 0.0226999331293814}});
  check_all(nn::AdaptiveMaxPool2d({3, 4})(x), {x},
            {{72, 64.2986375277816, -0.527883149872523}, {252, 2.17657338383205, -0.963721045242489}});
  const Tensor line = tensor({{{1.0, 5.0, 2.0, 0.0}}});
  CHECK(nn::MaxPool1d(2)(line).to_vector() == std::vector<double>{5, 2});
  CHECK(nn::AvgPool1d(2, 1)(line).to_vector() == std::vector<double>{3, 3.5, 1});
  CHECK(nn::AdaptiveAvgPool1d(1)(line).to_vector() == std::vector<double>{2});
  CHECK(nn::Flatten()(x).shape() == Shape{2, 126});
}

TEST_CASE("derivatives of convolutional modules, in their inputs and parameters") {
  const Tensor x = normal({2, 2, 3, 4});
  const auto check = [&](auto m) { check_module(m, x); };
  check(nn::Conv2d(2, 3, {2, 3}, {.padding = 1, .padding_mode = nn::PaddingMode::circular}));
  check(nn::Conv2d(2, 4, 3, {.stride = 2, .padding = 1, .groups = 2, .bias = false}));
  check(nn::GroupNorm(2, 2));
  check(nn::RMSNorm(4));
  check(nn::BatchNorm2d(2, {.track_running_stats = false}));
  nn::BatchNorm2d evaluated(2);
  evaluated.eval();
  check_module(evaluated, x);
}

TEST_CASE("batch norm: a checkpoint's second run leaves the running statistics alone") {
  nn::BatchNorm2d norm(2, {.dtype = f64}), other(2, {.dtype = f64});
  const Tensor x = normal({3, 2, 2, 2}).requires_grad_();
  const Tensor plain = grad(square(other(x)).sum() + other(x)[0].sum(), x);
  const Tensor y = checkpoint([&](Tensor at) { return norm(std::move(at)); }, x);
  const Tensor again = norm(x);
  const Tensor g = grad(square(y).sum() + again[0].sum(), x);
  CHECK(norm.num_batches_tracked.item() == 2);
  CHECK(norm.running_mean.to_vector() == other.running_mean.to_vector());
  CHECK(allclose(g, plain, 1e-12, 1e-12));
}

TEST_CASE("batch norm: state") {
  nn::BatchNorm1d norm(3);
  norm(normal({8, 3}, 1, f32));
  std::string names;
  for (const auto& each : norm.named_buffers()) names += each.name + ";";
  CHECK(names == "running_mean;running_var;num_batches_tracked;");
  nn::BatchNorm1d copy = nn::clone(norm, 3);
  norm.eval(), copy.eval();
  const Tensor x = normal({4, 3}, 2, f32);
  CHECK(copy(x).to_vector() == norm(x).to_vector());
  CHECK(copy.num_batches_tracked.item<int64_t>() == 1);
  CHECK(norm(normal({1, 3}, 1, f32)).shape() == Shape{1, 3});
  CHECK(norm(zeros({0, 3})).shape() == Shape{0, 3});
  norm.to(f64);
  CHECK(norm.running_var.dtype() == f64);
  CHECK(norm.num_batches_tracked.dtype() == i64);
}

TEST_CASE("convolutional modules: initial distribution and bad input") {
  manual_seed(1);
  const nn::Conv2d wide(16, 200, 5, {.groups = 4});  // fan_in 100
  double largest = 0;
  for (const double w : wide.weight.to_vector()) largest = std::max(largest, std::abs(w));
  CHECK(largest <= 0.1);
  CHECK(largest > 0.0999);
  CHECK(wide.weight.shape() == Shape{200, 4, 5, 5});
  CHECK(error_of([] { nn::Conv2d(3, 4, 3, {.groups = 2}); }) == "Conv2d: 2 groups do not divide 3 and 4 channels");
  CHECK(error_of([] { nn::GroupNorm(2, 3); }) == "GroupNorm: 2 groups do not divide 3 channels");
  CHECK(error_of([] { nn::BatchNorm2d(3)(zeros({2, 3})); }) == "BatchNorm2d: x of rank 2: (2, 3)");
  CHECK(error_of([] {
          nn::BatchNorm2d(3)(zeros({2, 2, 1, 1}));
        }) == "BatchNorm2d: x has 3 channels along axis 1, got (2, 2, 1, 1)");
  CHECK(error_of([] {
          nn::BatchNorm1d(3)(zeros({1, 3}));
        }) == "BatchNorm1d: training needs more than one value a channel, got (1, 3)");
  CHECK(error_of([] { nn::RMSNorm(3)(zeros({4})); }) == "RMSNorm: the last axis has 3 elements, got (4)");
  nn::Sequential net(nn::Conv2d(1, 2, 3), nn::ReLU(), nn::Conv2d(3, 1, 3));
  CHECK(error_of([&] {
          net(zeros({1, 1, 6, 6}));
        }) == "module 2: conv2d: channels differ, with 1 groups: (1, 2, 4, 4) and (1, 3, 3, 3)");
}

TEST_CASE("batch norm: a batch of another dtype is refused before anything is counted") {
  nn::BatchNorm1d norm(3, {.affine = false});
  CHECK_THROWS_AS(norm(ones({4, 3}, {.dtype = f64})), Error);
  CHECK(norm.num_batches_tracked.item() == 0);
}
