// What the recurrent ops share: the products over all steps at once, and the order of the steps. Internal.
#pragma once
#include "fathom/autograd/families.h"
#include "fathom/autograd/joint.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/matmul.h"
#include "fathom/autograd/ops/recurrent.h"
#include "fathom/autograd/ops/rows.h"
#include "fathom/tensor/kernels/gemm.h"
#include "fathom/tensor/kernels/transpose.h"

namespace fathom::recurrent {

enum Input : size_t { x_in, h_in, w_ih, w_hh, b_ih, b_hh, c_in, count };
using Inputs = std::array<Tensor, count>;

// The sizes of one call and the order of its steps. `gates` counts the columns of all gates together.
struct Plan {
  const char* op;
  Dtype dtype;
  int64_t steps, batch, in, hidden, gates;
  bool reverse;

  int64_t time(int64_t step) const { return reverse ? steps - 1 - step : step; }
  int64_t rows() const { return steps * batch; }
  int64_t first_row() const { return time(0) * batch; }  // of the step that comes first
  Shape sequence(int64_t width) const { return {steps, batch, width}; }
  Tensor zeros(const Shape& shape) const { return kernel::full(shape, 0, dtype); }
};
// Throws Error on what does not fit.
Plan plan_for(const char* op, const Inputs& in, int64_t gates, bool reverse);

Inputs dense(const Inputs& in);

// A state (batch, hidden), zero where there is none.
Tensor initial(const Plan& plan, const Tensor& state);
// The sum of the biases there are, (gates).
Tensor bias_of(const Plan& plan, const Inputs& in);
// W_hh^T, (hidden, gates): h W_hh^T runs faster with it, once for all steps.
Tensor transposed_weight(const Plan& plan, const Inputs& in);

// to (steps, batch, gates) = x W_ih^T
template <class T>
void input_products(const Plan& plan, const Inputs& in, T* to);

// U = t_x W_ih^T + x t_W_ih^T + t_b_ih, and U += h_{t-1} t_W_hh^T + t_b_hh; y begins with all h.
template <class T>
void input_tangents(const Plan& plan, const Inputs& ts, const Inputs& in, T* to);
template <class T>
void add_state_tangents(const Plan& plan, const Inputs& ts, const Inputs& in, const Tensor& y, T* to);

// From the cotangents of what the gates took from x and from h, (steps, batch, gates) each: those of x, the weights and
// the biases.
void parameter_cotangents(const Plan& plan, Wanted wanted, const Inputs& in, const Tensor& y, const Tensor& d_input,
                          const Tensor& d_state, Inputs& out);

// f(row, rows) over blocks of the batch: samples do not meet, so each block runs through all steps by itself.
template <class F>
void each_block(const Plan& plan, F f) {
  constexpr int64_t block = 64;
  parallel((plan.batch + block - 1) / block, 1, [&](int64_t first, int64_t last) {
    for (; first < last; ++first) f(first * block, std::min(block, plan.batch - first * block));
  });
}

// Where the numbers of a step lie in (steps, batch, width), from sample `row` on; before step 0 stands the initial
// state, null where there is none. Made before each_block: tensors stay on their thread, workers get places in memory.
template <class T>
struct Steps {
  const Plan& plan;
  int64_t width;
  T *data, *initial;

  Steps(const Plan& p, int64_t w, const Tensor& all, const Tensor& first = {})
      : plan(p), width(w), data(all.data<T>()), initial(first.defined() ? first.data<T>() : nullptr) {}
  T* operator()(int64_t step, int64_t row) const {
    if (step < 0) return initial ? initial + row * width : nullptr;
    return data + (plan.time(step) * plan.batch + row) * width;
  }
};

// Such an op on the tape. Its rules are told the plan and, last, `more`: what they need beside it.
Tensor record_steps(const Plan& plan, const Inputs& in, const auto& more, auto states, auto cotangents, auto tangent,
                    auto composed) {
  return record_joint(
      plan.op, states(plan, in, more), in,
      [=](Tensor g, Wanted wanted, const Inputs& from, const Tensor& y) {
        return cotangents(plan, std::move(g), wanted, from, y, more);
      },
      [=](const Inputs& ts, const Inputs& from, const Tensor& y) { return tangent(plan, ts, from, y, more); },
      [=](const Inputs& from) { return composed(plan, from, more); });
}

}  // namespace fathom::recurrent
