// Pooling, and what joins images to Linear. The 1d forms take x (batch, channels, length), the 2d ones (batch,
// channels, rows, columns); strides are the kernel's size unless said.
#pragma once
#include "fathom/autograd/ops/pooling.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/nn/module.h"

namespace fathom::nn {

struct PoolOptions {
  Size2d stride = 0;  // 0: the kernel's size
  Size2d padding = 0;
};
struct AvgPoolOptions {
  Size2d stride = 0;
  Size2d padding = 0;
  bool count_include_pad = true;
};

struct MaxPool2d : Module {
  PoolForm form;
  explicit MaxPool2d(Size2d kernel, PoolOptions options = {}) : form{kernel, options.stride, options.padding} {}
  Tensor forward(Tensor x) override { return max_pool2d(x, form); }
};
struct AvgPool2d : Module {
  PoolForm form;
  bool count_include_pad;
  explicit AvgPool2d(Size2d kernel, AvgPoolOptions options = {})
      : form{kernel, options.stride, options.padding}, count_include_pad(options.count_include_pad) {}
  Tensor forward(Tensor x) override { return avg_pool2d(x, form, count_include_pad); }
};
struct AdaptiveAvgPool2d : Module {
  Size2d size;
  explicit AdaptiveAvgPool2d(Size2d s) : size(s) {}
  Tensor forward(Tensor x) override { return adaptive_avg_pool2d(x, size); }
};
struct AdaptiveMaxPool2d : Module {
  Size2d size;
  explicit AdaptiveMaxPool2d(Size2d s) : size(s) {}
  Tensor forward(Tensor x) override { return adaptive_max_pool2d(x, size); }
};

struct MaxPool1d : Module {
  PoolForm form;
  explicit MaxPool1d(int64_t kernel, int64_t stride = 0, int64_t padding = 0)
      : form{{1, kernel}, {1, stride}, {0, padding}} {}
  Tensor forward(Tensor x) override { return squeeze(max_pool2d(unsqueeze(x, -2), form), -2); }
};
struct AvgPool1d : Module {
  PoolForm form;
  explicit AvgPool1d(int64_t kernel, int64_t stride = 0, int64_t padding = 0)
      : form{{1, kernel}, {1, stride}, {0, padding}} {}
  Tensor forward(Tensor x) override { return squeeze(avg_pool2d(unsqueeze(x, -2), form), -2); }
};
struct AdaptiveAvgPool1d : Module {
  int64_t size;
  explicit AdaptiveAvgPool1d(int64_t s) : size(s) {}
  Tensor forward(Tensor x) override { return squeeze(adaptive_avg_pool2d(unsqueeze(x, -2), {1, size}), -2); }
};

// The axes from `from` to `to` become one: (batch, channels, rows, columns) to (batch, all) by default.
struct Flatten : Module {
  int64_t from, to;
  explicit Flatten(int64_t first = 1, int64_t last = -1) : from(first), to(last) {}
  Tensor forward(Tensor x) override { return x.flatten(from, to); }
};

}  // namespace fathom::nn
