#include "fathom/nn/init.h"

#include <Eigen/QR>
#include <cmath>

#include "fathom/tensor/kernels/map.h"

namespace fathom::nn::init {
namespace {

void check_floating(const char* op, const Tensor& w) {
  if (!is_floating(w.dtype())) not_floating(op, w.dtype());
}
void check_matrix(const char* op, const Tensor& w) {
  check_floating(op, w);
  if (w.dim() < 2) throw Error(std::string(op) + ": needs at least two axes (out, in), got " + to_string(w.shape()));
}

struct Fans {
  double in, out;
};
Fans fans(const char* op, const Tensor& w) {
  check_matrix(op, w);
  double field = 1;
  for (int d = 2; d < w.dim(); ++d) field *= double(w.shape()[d]);
  return {double(w.shape()[1]) * field, double(w.shape()[0]) * field};
}
double fan(const char* op, const Tensor& w, Fan which) {
  const Fans both = fans(op, w);
  return which == Fan::in ? both.in : both.out;
}

// Numbers of this variance. A tensor without elements, whose fans may be 0, stays as it is.
void fill_uniform_of(const Tensor& w, double variance, Rng& rng) {
  if (!w.numel()) return;
  const double bound = std::sqrt(3 * variance);
  fill_uniform(w, -bound, bound, rng);
  w.storage().changed("init");
}
void fill_normal_of(const Tensor& w, double variance, Rng& rng) {
  if (!w.numel()) return;
  fill_normal(w, 0, std::sqrt(variance), rng);
  w.storage().changed("init");
}

}  // namespace

void constant(Tensor& w, double value) {
  check_floating("init::constant", w);
  kernel::fill(w, value);
  w.storage().changed("init");
}
void zeros(Tensor& w) { constant(w, 0); }
void ones(Tensor& w) { constant(w, 1); }

void uniform(Tensor& w, double low, double high, Rng& rng) {
  fill_uniform(w, low, high, rng);
  w.storage().changed("init");
}
void normal(Tensor& w, double mean, double deviation, Rng& rng) {
  fill_normal(w, mean, deviation, rng);
  w.storage().changed("init");
}

void xavier_uniform(Tensor& w, double gain, Rng& rng) {
  const Fans f = fans("xavier_uniform", w);
  fill_uniform_of(w, gain * gain * 2 / (f.in + f.out), rng);
}
void xavier_normal(Tensor& w, double gain, Rng& rng) {
  const Fans f = fans("xavier_normal", w);
  fill_normal_of(w, gain * gain * 2 / (f.in + f.out), rng);
}
void kaiming_uniform(Tensor& w, KaimingOptions options, Rng& rng) {
  fill_uniform_of(w, options.gain * options.gain / fan("kaiming_uniform", w, options.fan), rng);
}
void kaiming_normal(Tensor& w, KaimingOptions options, Rng& rng) {
  fill_normal_of(w, options.gain * options.gain / fan("kaiming_normal", w, options.fan), rng);
}

void orthogonal(Tensor& w, double gain, Rng& rng) {
  check_matrix("orthogonal", w);
  if (!w.numel()) return;
  const int64_t rows = w.shape()[0], columns = w.numel() / rows;
  const int64_t longer = std::max(rows, columns), shorter = std::min(rows, columns);
  Eigen::MatrixXd a(longer, shorter);
  for (int64_t j = 0; j < shorter; ++j)
    for (int64_t i = 0; i < longer; ++i) a(i, j) = rng.normal();
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(a);
  Eigen::MatrixXd q = qr.householderQ() * Eigen::MatrixXd::Identity(longer, shorter);
  for (int64_t j = 0; j < shorter; ++j) q.col(j) *= qr.matrixQR()(j, j) < 0 ? -gain : gain;

  const Tensor values(w.shape(), f64);
  Eigen::Map<Eigen::Matrix<double, -1, -1, Eigen::RowMajor>> out(values.data<double>(), rows, columns);
  if (rows >= columns) out = q;
  else out = q.transpose();
  kernel::copy(values, w);
  w.storage().changed("init");
}

void lecun_uniform(Tensor& w, Rng& rng) { fill_uniform_of(w, 1 / fan("lecun_uniform", w, Fan::in), rng); }
void lecun_normal(Tensor& w, Rng& rng) { fill_normal_of(w, 1 / fan("lecun_normal", w, Fan::in), rng); }

void truncated_normal(Tensor& w, double mean, double deviation, double low, double high, Rng& rng) {
  check_floating("truncated_normal", w);
  const auto below = [&](double x) { return std::erfc((mean - x) / (deviation * std::sqrt(2.0))) / 2; };
  if (!(deviation > 0) || !(below(high) - below(low) >= 1e-3))
    throw Error("truncated_normal: too few normal numbers of mean " + std::to_string(mean) + " and deviation " +
                std::to_string(deviation) + " lie in [" + std::to_string(low) + ", " + std::to_string(high) + "]");
  const Tensor values(w.shape(), f64);
  for (int64_t i = 0; i < w.numel(); ++i) {
    double x;
    do x = mean + deviation * rng.normal();
    while (x < low || x > high);
    values.data<double>()[i] = x;
  }
  kernel::copy(values, w);
  w.storage().changed("init");
}

void mean_field(Tensor& weight, Tensor& bias, double sigma_w, double sigma_b, Rng& rng) {
  fill_normal_of(weight, sigma_w * sigma_w / fan("mean_field", weight, Fan::in), rng);
  if (bias.defined()) fill_normal_of(bias, sigma_b * sigma_b, rng);
}

void delta_orthogonal(Tensor& w, double gain, Rng& rng) {
  check_matrix("delta_orthogonal", w);
  const int64_t out = w.shape()[0], in = w.shape()[1];
  if (out < in) throw Error("delta_orthogonal: needs out >= in, got " + to_string(w.shape()));
  zeros(w);
  if (!w.numel()) return;
  int64_t middle = 0;
  for (int d = 2; d < w.dim(); ++d) middle += w.shape()[d] / 2 * w.strides()[d];
  Tensor centre = w.view({out, in}, {w.strides()[0], w.strides()[1]}, middle);
  orthogonal(centre, gain, rng);
}

void identity(Tensor& w, double gain) {
  check_floating("init::identity", w);
  if (w.dim() != 2) throw Error("init::identity: needs a matrix, got " + to_string(w.shape()));
  zeros(w);
  const Shape& shape = w.shape();
  kernel::fill(w.view({std::min(shape[0], shape[1])}, {w.strides()[0] + w.strides()[1]}), gain);
}

double leaky_relu_gain(double negative_slope) { return std::sqrt(2 / (1 + negative_slope * negative_slope)); }

}  // namespace fathom::nn::init
