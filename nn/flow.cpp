#include "fathom/nn/flow.h"

#include <cmath>
#include <numbers>  // pi

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/linalg.h"
#include "fathom/autograd/ops/matmul.h"
#include "fathom/autograd/ops/pointwise.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/autograd/recording.h"
#include "fathom/nn/init.h"
#include "fathom/nn/size.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom::nn {
namespace {

Shape samples_of(const Tensor& x) {
  Shape shape = x.shape();
  --shape.rank;
  return shape;
}
Tensor no_change(const Tensor& x) { return zeros(samples_of(x), {.dtype = x.dtype()}); }

void check_width(const char* name, const Tensor& x, int64_t n) {
  if (x.dim() < 1 || x.shape().back() != n)
    throw Error(std::string(name) + ": the last axis has " + std::to_string(n) + " elements, got " +
                to_string(x.shape()));
}

}  // namespace

Transformed Invertible::transform(Tensor x) {
  Transformed out;
  out.y = call(std::move(x), [&](Tensor at) {
    Transformed mapped = map(std::move(at));
    out.log_det = std::move(mapped.log_det);
    return std::move(mapped.y);
  });
  return out;
}

Coupling::Parts Coupling::split(const Tensor& x) const {
  if (x.dim() < 1 || x.shape().back() < 2)
    throw Error(std::string(name_) + ": needs a last axis of at least two elements, got " + to_string(x.shape()));
  const int64_t n = x.shape().back(), half = n / 2;
  Tensor first = slice(x, -1, 0, half), second = slice(x, -1, half, n);
  if (swap_) return {std::move(second), std::move(first)};
  return {std::move(first), std::move(second)};
}
Tensor Coupling::join(const Tensor& same, const Tensor& other) const {
  return swap_ ? concat({other, same}, -1) : concat({same, other}, -1);
}
Tensor Coupling::net_of(const Tensor& same, int64_t outputs) {
  Shape expected = same.shape();
  expected[expected.rank - 1] = outputs;
  Tensor y = (*net_)(same);
  if (y.shape() != expected)
    throw Error(std::string(name_) + ": the net maps " + to_string(same.shape()) + " to " + to_string(y.shape()) +
                "; it must give " + to_string(expected));
  return y;
}

Transformed AdditiveCoupling::map(Tensor x) {
  const auto [same, other] = split(x);
  return {join(same, other + net_of(same, other.size(-1))), no_change(x)};
}
Tensor AdditiveCoupling::inverse(Tensor y) {
  const auto [same, other] = split(y);
  return join(same, other - net_of(same, other.size(-1)));
}

Coupling::Parts AffineCoupling::log_scale_and_shift(const Tensor& same, int64_t others) {
  const Tensor both = net_of(same, 2 * others);
  return {bound * tanh(slice(both, -1, 0, others) / bound), slice(both, -1, others, 2 * others)};
}
Transformed AffineCoupling::map(Tensor x) {
  const auto [same, other] = split(x);
  const auto [log_scale, shift] = log_scale_and_shift(same, other.size(-1));
  return {join(same, other * exp(log_scale) + shift), sum(log_scale, -1)};
}
Tensor AffineCoupling::inverse(Tensor y) {
  const auto [same, other] = split(y);
  const auto [log_scale, shift] = log_scale_and_shift(same, other.size(-1));
  return join(same, (other - shift) * exp(-log_scale));
}

ActNorm::ActNorm(int64_t n, ActNormOptions options)
    : log_scale(zeros({checked_size("ActNorm", "n", n)}, {.dtype = options.dtype, .requires_grad = true})),
      bias(zeros({n}, {.dtype = options.dtype, .requires_grad = true})),
      initialised(zeros({}, {.dtype = boolean})),
      eps(checked_eps("ActNorm", options.eps)) {}
void ActNorm::initialise(const Tensor& x) {
  const NoGrad off;
  const Tensor rows = x.reshape({-1, log_scale.numel()});
  log_scale.copy_(-log(fathom::std(rows, 0, false, 0) + eps));
  bias.copy_(-mean(rows, 0) * exp(log_scale));
  initialised.fill_(1);
}
Transformed ActNorm::map(Tensor x) {
  check_width("ActNorm", x, log_scale.numel());
  kernel::check_dtypes("ActNorm", x, log_scale);
  if (training && x.numel() && !initialised.item<bool>()) initialise(x);
  Tensor log_det = expand(sum(log_scale), samples_of(x));
  return {std::move(x) * exp(log_scale) + bias, std::move(log_det)};
}
Tensor ActNorm::inverse(Tensor y) {
  check_width("ActNorm", y, log_scale.numel());
  return (std::move(y) - bias) * exp(-log_scale);
}
void ActNorm::fields(Fields& f) {
  f("log_scale", log_scale);
  f("bias", bias);
  f.buffer("initialised", initialised);
}

InvertibleLinear::InvertibleLinear(int64_t n, InvertibleLinearOptions options)
    : weight({checked_size("InvertibleLinear", "n", n), n}, options.dtype), exponential(options.exponential) {
  if (exponential) init::zeros(weight);
  else init::orthogonal(weight);
  weight.requires_grad_();
}
Transformed InvertibleLinear::map(Tensor x) {
  check_width("InvertibleLinear", x, weight.size(0));
  const Tensor log_det = exponential ? sum(diagonal(weight)) : slogdet(weight).logabsdet;
  const Shape samples = samples_of(x);
  return {linear(std::move(x), exponential ? matrix_exp(weight) : weight), expand(log_det, samples)};
}
Tensor InvertibleLinear::inverse(Tensor y) {
  check_width("InvertibleLinear", y, weight.size(0));
  return linear(std::move(y), exponential ? matrix_exp(-weight) : fathom::inverse(weight));
}

Permutation::Permutation(int64_t n, Rng& rng) : index(fathom::permutation(checked_size("Permutation", "n", n), rng)) {}
Permutation::Permutation(Tensor numbers) : index(std::move(numbers)) {
  if (index.dtype() != i64 || index.dim() != 1)
    throw Error(std::string("Permutation: needs i64 (n), got ") + to_string(index.dtype()) + " " +
                to_string(index.shape()));
  const std::vector<int64_t> sorted = sort(index).values.to_vector<int64_t>();
  for (size_t i = 0; i < sorted.size(); ++i)
    if (sorted[i] != int64_t(i))
      throw Error("Permutation: of " + std::to_string(sorted.size()) + " numbers, " + std::to_string(i) +
                  " must be there once");
}
Transformed Permutation::map(Tensor x) {
  check_width("Permutation", x, index.numel());
  return {index_select(x, -1, index), no_change(x)};
}
Tensor Permutation::inverse(Tensor y) {
  check_width("Permutation", y, index.numel());
  return index_select(y, -1, sort(index).indices);
}

Transformed Flow::map(Tensor x) {
  if (x.dim() < 1) throw Error("Flow: needs a last axis, got " + to_string(x.shape()));
  Tensor log_det = no_change(x);
  for (size_t i = 0; i < size(); ++i) {
    Transformed next = (*this)[i].transform(std::move(x));
    x = std::move(next.y);
    log_det = std::move(log_det) + std::move(next.log_det);
  }
  return {std::move(x), std::move(log_det)};
}
Tensor Flow::inverse(Tensor y) {
  for (size_t i = size(); i-- > 0;) y = (*this)[i].inverse(std::move(y));
  return y;
}
Tensor Flow::log_prob(Tensor x) {
  const auto [z, log_det] = transform(std::move(x));
  const double constant = 0.5 * std::log(2 * std::numbers::pi) * double(z.shape().back());
  return log_det - 0.5 * sum(square(z), -1) - constant;
}
Tensor Flow::sample(const Shape& shape, Dtype dtype, Rng& rng) {
  const NoGrad off;
  return inverse(randn(shape, {.dtype = dtype}, rng));
}

}  // namespace fathom::nn
