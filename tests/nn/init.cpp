#include "fathom/nn/init.h"

#include <cmath>

#include "tests/nn/modules.h"

using namespace fathom;
namespace init = fathom::nn::init;

namespace {

struct Moments {
  double mean = 0, variance = 0, largest = 0;
  explicit Moments(const Tensor& x) {
    const auto list = x.to_vector();
    for (const double e : list) mean += e / double(list.size()), largest = std::max(largest, std::abs(e));
    for (const double e : list) variance += (e - mean) * (e - mean) / double(list.size());
  }
};

// Largest deviation of the rows (or, transposed, the columns) of w from being orthogonal with this squared norm.
double deviation(const Tensor& w, int64_t rows, int64_t columns, bool of_rows, double squared) {
  const auto a = w.to_vector();
  const int64_t n = of_rows ? rows : columns, m = of_rows ? columns : rows;
  double worst = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double dot = 0;
      for (int64_t k = 0; k < m; ++k)
        dot += of_rows ? a[size_t(i * columns + k)] * a[size_t(j * columns + k)]
                       : a[size_t(k * columns + i)] * a[size_t(k * columns + j)];
      worst = std::max(worst, std::abs(dot - (i == j ? squared : 0)));
    }
  return worst;
}

}  // namespace

TEST_CASE("init: variances and bounds by the fans") {
  Rng rng(5);
  Tensor w({100, 50, 4}, f64);  // fan_in 200, fan_out 400
  const auto check = [&](double variance, double bound) {
    const Moments m(w);
    CHECK(std::abs(m.mean) < 4 * std::sqrt(variance / 20000));
    CHECK(m.variance == doctest::Approx(variance).epsilon(0.04));
    if (bound > 0) {
      CHECK(m.largest <= bound);
      CHECK(m.largest > 0.999 * bound);
    } else {
      CHECK(m.largest > 3 * std::sqrt(variance));
    }
  };
  init::uniform(w, -2, 2, rng), check(4.0 / 3, 2);
  init::normal(w, 0, 3, rng), check(9, 0);
  init::xavier_uniform(w, 2, rng), check(8.0 / 600, 2 * std::sqrt(6.0 / 600));
  init::xavier_normal(w, 1, rng), check(2.0 / 600, 0);
  init::kaiming_uniform(w, {}, rng), check(2.0 / 200, std::sqrt(6.0 / 200));
  init::kaiming_normal(w, {.gain = 1, .fan = init::Fan::out}, rng), check(1.0 / 400, 0);
}

TEST_CASE("init: orthogonal rows or columns, times the gain") {
  Rng rng(6);
  Tensor square({16, 16}, f64), wide({3, 2, 4}, f64), tall({9, 4}, f32);
  init::orthogonal(square, 2, rng);
  CHECK(deviation(square, 16, 16, true, 4) < 1e-13);
  CHECK(deviation(square, 16, 16, false, 4) < 1e-13);
  init::orthogonal(wide, 1, rng);
  CHECK(deviation(wide, 3, 8, true, 1) < 1e-13);
  init::orthogonal(tall, init::relu_gain, rng);
  CHECK(deviation(tall, 9, 4, false, 2) < 1e-6);
}

TEST_CASE("init: orthogonal matrices are uniform: no sign is preferred") {
  // Without the correction of signs, Q's first entry has the sign of Householder's choice, always.
  Rng rng(8);
  Tensor w({3, 3}, f64);
  double mean = 0, squares = 0;
  for (int i = 0; i < 2000; ++i) {
    init::orthogonal(w, 1, rng);
    const double e = w.to_vector()[0];
    mean += e / 2000;
    squares += e * e / 2000;
  }
  CHECK(std::abs(mean) < 0.05);
  CHECK(squares == doctest::Approx(1.0 / 3).epsilon(0.05));
}

TEST_CASE("init: constants and the identity; leaves may be written and know of it") {
  Tensor w = ones({2, 3}, {.requires_grad = true});
  const uint32_t version = w.storage().version;
  init::identity(w, 3);
  CHECK(w.to_vector() == std::vector<double>{3, 0, 0, 0, 3, 0});
  CHECK(w.storage().version > version);
  CHECK(w.requires_grad());
  init::constant(w, 2);
  CHECK(w.to_vector() == std::vector<double>(6, 2));
  init::zeros(w);
  CHECK(w.to_vector() == std::vector<double>(6, 0));
  init::ones(w);
  CHECK(w.to_vector() == std::vector<double>(6, 1));
  CHECK(init::leaky_relu_gain(1) == 1);
}

TEST_CASE("init: what cannot be filled") {
  Tensor flat({4}, f32), whole({2, 2}, i64), none({0, 3}, f32);
  CHECK(error_of([&] { init::xavier_uniform(flat); }) == "xavier_uniform: needs at least two axes (out, in), got (4)");
  CHECK(error_of([&] { init::orthogonal(flat); }) == "orthogonal: needs at least two axes (out, in), got (4)");
  CHECK(error_of([&] { init::identity(flat); }) == "init::identity: needs a matrix, got (4)");
  CHECK(error_of([&] { init::kaiming_normal(whole); }).find("kaiming_normal: needs a floating tensor, got i64") == 0);
  CHECK(error_of([&] { init::orthogonal(none); }) == "");
  CHECK(error_of([&] { init::kaiming_uniform(none); }) == "");
}

TEST_CASE("init: LeCun's, truncated, mean field, delta-orthogonal") {
  Tensor w({100, 50, 2}, f64), bias({2000}, f64), none;
  const auto moment = [](const Tensor& x) {
    double squares = 0;
    for (const double e : x.to_vector()) squares += e * e;
    return squares / double(x.numel());
  };
  init::lecun_normal(w);
  CHECK(moment(w) == doctest::Approx(0.01).epsilon(0.05));
  init::lecun_uniform(w);
  CHECK(moment(w) == doctest::Approx(0.01).epsilon(0.05));
  for (const double e : w.to_vector()) CHECK(std::abs(e) <= std::sqrt(0.03));
  init::truncated_normal(w, 0, 2, -2, 2);  // one deviation: the variance is 4 (1 - 2 phi(1) / (Phi(1) - Phi(-1)))
  CHECK(moment(w) == doctest::Approx(4 * 0.29112509).epsilon(0.05));
  for (const double e : w.to_vector()) CHECK(std::abs(e) <= 2);
  init::mean_field(w, bias, 1.5, 0.3);
  CHECK(moment(w) == doctest::Approx(0.0225).epsilon(0.05));
  CHECK(moment(bias) == doctest::Approx(0.09).epsilon(0.1));
  init::mean_field(w, none, 1, 1);
  Tensor kernel({4, 3, 3, 3}, f64);
  init::delta_orthogonal(kernel, 2);
  const std::vector<double> k = kernel.to_vector();
  for (size_t a = 0; a < 3; ++a)
    for (size_t b = 0; b < 3; ++b) {
      double product = 0;
      for (size_t out = 0; out < 4; ++out) product += k[(out * 3 + a) * 9 + 4] * k[(out * 3 + b) * 9 + 4];
      CHECK(product == doctest::Approx(a == b ? 4 : 0).epsilon(1e-13));
    }
  CHECK(moment(kernel) * 108 == doctest::Approx(12).epsilon(1e-13));
  Tensor wide({2, 3, 3}, f64);
  CHECK(error_of([&] { init::delta_orthogonal(wide); }) == "delta_orthogonal: needs out >= in, got (2, 3, 3)");
  CHECK(error_of([&] { init::truncated_normal(w, 0, 1, 5, 6); }).find("truncated_normal: too few normal numbers") == 0);
}
