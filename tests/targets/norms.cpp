// Numbers about norms and convolutions.
#include <doctest/doctest.h>

#include <algorithm>  // sort
#include <cmath>
#include <numbers>

#include "fathom/fathom.h"

using namespace fathom;

TEST_CASE("12: RMSNorm's Jacobian") {
  const Tensor x = tensor({1.0, -2.0, 3.0, 0.5}, {.dtype = f64}).requires_grad_();
  const double eps = 0.01, r = std::sqrt(14.25 / 4 + eps);
  const auto s = probe::Jacobian(rms_norm(x, {}, eps), x).singular_values().to_vector();
  for (size_t i = 0; i < 3; ++i) CHECK(s[i] == doctest::Approx(1 / r).epsilon(1e-10));
  CHECK(s[3] == doctest::Approx(eps / (r * r * r)).epsilon(1e-10));
}

TEST_CASE("38: a periodic convolution's norm is the largest of its Fourier transform") {
  nn::Conv1d conv(1, 1, 3, {.padding = 1, .bias = false, .padding_mode = nn::PaddingMode::circular, .dtype = f64});
  {
    const NoGrad off;
    conv.weight.copy_(tensor({1.0, -2.0, 1.0}, {.dtype = f64}).reshape({1, 1, 3}));
  }
  const Tensor x = zeros({1, 1, 16}, {.dtype = f64, .requires_grad = true});
  const Tensor y = conv(x);
  const auto s = probe::Jacobian(y, x).singular_values().to_vector();
  CHECK(s.front() == doctest::Approx(4).epsilon(1e-10));
  // All of them: 2 - 2 cos(2 pi k / n), the DFT's absolute values.
  std::vector<double> expected;
  for (int k = 0; k < 16; ++k) expected.push_back(2 - 2 * std::cos(2 * std::numbers::pi * k / 16));
  std::sort(expected.rbegin(), expected.rend());
  for (size_t i = 0; i < 16; ++i) CHECK(std::abs(s[i] - expected[i]) < 1e-10);
}
