// Initialisers: each overwrites w, which may be a leaf that requires grad; nothing is recorded. Fans are counted as in
// PyTorch: w is (out, in, receptive field...), fan_in = in * field, fan_out = out * field.
// Each throws Error when w is not floating, and where fans or a matrix are needed, when w has fewer than two axes.
#pragma once
#include "fathom/tensor/random.h"

namespace fathom::nn::init {

void zeros(Tensor& w);
void ones(Tensor& w);
void constant(Tensor& w, double value);
void uniform(Tensor& w, double low = 0, double high = 1, Rng& rng = default_rng());
void normal(Tensor& w, double mean = 0, double deviation = 1, Rng& rng = default_rng());

// Glorot & Bengio 2010: variance gain^2 * 2 / (fan_in + fan_out).
void xavier_uniform(Tensor& w, double gain = 1, Rng& rng = default_rng());
void xavier_normal(Tensor& w, double gain = 1, Rng& rng = default_rng());
// He et al. 2015: variance gain^2 / fan.
enum class Fan { in, out };
struct KaimingOptions {
  double gain = 1.4142135623730951;  // ReLU's
  Fan fan = Fan::in;
};
void kaiming_uniform(Tensor& w, KaimingOptions options = {}, Rng& rng = default_rng());
void kaiming_normal(Tensor& w, KaimingOptions options = {}, Rng& rng = default_rng());

// LeCun et al. 1998: variance 1 / fan_in.
void lecun_uniform(Tensor& w, Rng& rng = default_rng());
void lecun_normal(Tensor& w, Rng& rng = default_rng());
// Normal numbers, drawn again until they lie in [low, high]. Throws Error where fewer than one in a thousand do.
void truncated_normal(Tensor& w, double mean = 0, double deviation = 1, double low = -2, double high = 2,
                      Rng& rng = default_rng());
// The ensemble of mean-field theory (Poole et al. 2016): weights of variance sigma_w^2 / fan_in, biases of sigma_b^2;
// an undefined bias stays so.
void mean_field(Tensor& weight, Tensor& bias, double sigma_w, double sigma_b, Rng& rng = default_rng());
// Of a convolution's weight (out, in, field...): an orthogonal matrix at the middle of the field, else zero; periodic
// convolutions by it keep norms (Xiao et al. 2018). Throws Error unless out >= in.
void delta_orthogonal(Tensor& w, double gain = 1, Rng& rng = default_rng());

// Gain times a matrix (out, in * field) with orthonormal rows or columns, uniform among them: the QR decomposition of
// normal numbers, with R's diagonal made positive (Saxe et al. 2014; Mezzadri 2007).
void orthogonal(Tensor& w, double gain = 1, Rng& rng = default_rng());
// Gain on the diagonal of a matrix, zero elsewhere.
void identity(Tensor& w, double gain = 1);

// The gains PyTorch recommends: 1 for linear maps and sigmoid, 5/3 for tanh, sqrt(2) for ReLU,
// sqrt(2 / (1 + slope^2)) for LeakyReLU.
inline constexpr double tanh_gain = 5.0 / 3, relu_gain = 1.4142135623730951;
double leaky_relu_gain(double negative_slope = 0.01);

}  // namespace fathom::nn::init
