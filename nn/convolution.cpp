#include "fathom/nn/convolution.h"

#include <algorithm>  // min
#include <cmath>

#include "fathom/nn/init.h"
#include "fathom/nn/size.h"

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
void check_sizes(const char* name, int64_t in, int64_t out, Size2d kernel, const Conv2dForm& form) {
  const auto check = [name](const char* argument, Size2d size, int64_t least) {
    checked_size(name, argument, std::min(size.rows, size.columns), least);
  };
  check("in", in, 0);
  check("out", out, 0);
  check("kernel", kernel, 1);
  check("stride", form.stride, 1);
  check("padding", form.padding, 0);
  check("dilation", form.dilation, 1);
  check("groups", form.groups, 1);
  if (in % form.groups || out % form.groups)
    throw Error(std::string(name) + ": " + std::to_string(form.groups) + " groups do not divide " + std::to_string(in) +
                " and " + std::to_string(out) + " channels");
}

}  // namespace

Conv2d::Conv2d(int64_t in, int64_t out, Size2d kernel, Conv2dOptions options)
    : form{options.stride, options.padding, options.dilation, options.groups}, padding_mode(options.padding_mode) {
  check_sizes("Conv2d", in, out, kernel, form);
  weight = Tensor({out, in / form.groups, kernel.rows, kernel.columns}, options.dtype);
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
    : form{options.stride, options.padding, options.dilation, options.groups}, padding_mode(options.padding_mode) {
  check_sizes("Conv1d", in, out, kernel, {form.stride, form.padding, form.dilation, form.groups});
  weight = Tensor({out, in / form.groups, kernel}, options.dtype);
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
