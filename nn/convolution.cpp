#include "fathom/nn/convolution.h"

#include <cmath>

#include "fathom/nn/init.h"

namespace fathom::nn {
namespace {

// Kaiming's uniform with a = sqrt(5), as Linear's.
void start(Tensor& weight, Tensor& bias, bool with_bias) {
  const int64_t out = weight.size(0), fan_in = out ? weight.numel() / out : 0;
  const double bound = fan_in > 0 ? 1 / std::sqrt(double(fan_in)) : 0;
  init::uniform(weight, -bound, bound);
  weight.requires_grad_();
  if (!with_bias) return;
  bias = Tensor({out}, weight.dtype());
  init::uniform(bias, -bound, bound);
  bias.requires_grad_();
}
int64_t in_group(const char* name, int64_t in, int64_t out, int64_t groups) {
  if (groups < 1 || in % groups || out % groups)
    throw Error(std::string(name) + ": " + std::to_string(groups) + " groups do not divide " + std::to_string(in) +
                " and " + std::to_string(out) + " channels");
  return in / groups;
}

}  // namespace

Conv2d::Conv2d(int64_t in, int64_t out, Size2d kernel, Conv2dOptions options)
    : weight({out, in_group("Conv2d", in, out, options.groups), kernel.rows, kernel.columns}, options.dtype),
      form{options.stride, options.padding, options.dilation, options.groups},
      padding_mode(options.padding_mode) {
  start(weight, bias, options.bias);
}
Tensor Conv2d::forward(Tensor x) {
  if (padding_mode == PaddingMode::zeros) return conv2d(x, weight, bias, form);
  Conv2dForm valid = form;
  valid.padding = 0;
  return conv2d(pad_circular(std::move(x), form.padding), weight, bias, valid);
}
void Conv2d::fields(Fields& f) {
  f("weight", weight);
  f("bias", bias);
}

Conv1d::Conv1d(int64_t in, int64_t out, int64_t kernel, Conv1dOptions options)
    : weight({out, in_group("Conv1d", in, out, options.groups), kernel}, options.dtype),
      form{options.stride, options.padding, options.dilation, options.groups},
      padding_mode(options.padding_mode) {
  start(weight, bias, options.bias);
}
Tensor Conv1d::forward(Tensor x) {
  if (padding_mode == PaddingMode::zeros) return conv1d(x, weight, bias, form);
  Conv1dForm valid = form;
  valid.padding = 0;
  return conv1d(pad_circular(std::move(x), {0, form.padding}), weight, bias, valid);
}
void Conv1d::fields(Fields& f) {
  f("weight", weight);
  f("bias", bias);
}

}  // namespace fathom::nn
