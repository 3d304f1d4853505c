#include "fathom/autograd/ops/recurrent/parts.h"

namespace fathom {
namespace {

using namespace recurrent;

// f(phi, slope) with the nonlinearity and its slope, of its value.
template <class F>
void with(Nonlinearity nonlinearity, F f) {
  if (nonlinearity == Nonlinearity::tanh) f([](auto z) { return tanh(z); }, [](auto y) { return 1 - y * y; });
  else f([](auto z) { return positive(z); }, [](auto y) { return step(y); });
}

// y holds W_ih x first and becomes h where it lies.
Tensor states(const Plan& plan, const Inputs& from, Nonlinearity nonlinearity) {
  const Inputs in = dense(from);
  const Tensor y(plan.sequence(plan.hidden), plan.dtype), bias = bias_of(plan, in), w = transposed_weight(plan, in);
  const int64_t n = plan.hidden;
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    input_products(plan, in, y.data<T>());
    const T *b = bias.data<T>(), *weight = w.data<T>();
    const Steps<T> h(plan, n, y, in[h_in]);
    with(nonlinearity, [&](auto phi, auto) {
      each_block(plan, [&](int64_t row, int64_t rows) {
        for (int64_t k = 0; k < plan.steps; ++k) {
          T* at = h(k, row);
          if (const T* last = h(k - 1, row)) kernel::gemm(rows, n, n, {last, n}, {weight, n}, at, true);
          auto value = [phi](T z, T c) { return phi(z + c); };
          for (int64_t r = 0; r < rows; ++r)
            kernel::map_row(value, n, at + r * n, static_cast<const T*>(at) + r * n, b);
        }
      });
    });
  });
  return y;
}

// dz_t = (g_t + dz_{t+1} W_hh) slope, where g lies.
Inputs cotangents(const Plan& plan, Tensor g, Wanted wanted, const Inputs& from, const Tensor& y,
                  Nonlinearity nonlinearity) {
  const Inputs in = dense(from);
  const Tensor d = g.owned() ? std::move(g) : kernel::clone(g);
  Inputs out;
  if (wanted[h_in]) out[h_in] = plan.zeros({plan.batch, plan.hidden});
  const int64_t n = plan.hidden;
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    const T* weight = in[w_hh].data<T>();
    const Steps<T> dz(plan, n, d, out[h_in]), h(plan, n, y);
    with(nonlinearity, [&](auto, auto slope) {
      each_block(plan, [&](int64_t row, int64_t rows) {
        for (int64_t k = plan.steps - 1; k >= 0; --k) {
          auto rule = [slope](T c, T value) { return c * slope(value); };
          T* at = dz(k, row);
          kernel::map_row(rule, rows * n, at, static_cast<const T*>(at), static_cast<const T*>(h(k, row)));
          if (T* to = dz(k - 1, row)) kernel::gemm(rows, n, n, {at, n}, {weight, n}, to, true);
        }
      });
    });
  });
  parameter_cotangents(plan, wanted, in, y, d, d, out);
  return out;
}

Tensor tangent(const Plan& plan, const Inputs& tangents, const Inputs& from, const Tensor& y,
               Nonlinearity nonlinearity) {
  const Inputs in = dense(from), ts = dense(tangents);
  const Tensor out(y.shape(), y.dtype()), w = transposed_weight(plan, in);
  const int64_t n = plan.hidden;
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    input_tangents(plan, ts, in, out.data<T>());
    add_state_tangents(plan, ts, in, y, out.data<T>());
    const T* weight = w.data<T>();
    const Steps<T> t(plan, n, out, ts[h_in]), h(plan, n, y);
    with(nonlinearity, [&](auto, auto slope) {
      each_block(plan, [&](int64_t row, int64_t rows) {
        for (int64_t k = 0; k < plan.steps; ++k) {
          T* at = t(k, row);
          if (const T* last = t(k - 1, row)) kernel::gemm(rows, n, n, {last, n}, {weight, n}, at, true);
          auto rule = [slope](T c, T value) { return c * slope(value); };
          kernel::map_row(rule, rows * n, at, static_cast<const T*>(at), static_cast<const T*>(h(k, row)));
        }
      });
    });
  });
  return out;
}

Tensor composed(const Plan& plan, const Inputs& in, Nonlinearity nonlinearity) {
  const std::vector<Tensor> zs = unbind(linear(in[x_in], in[w_ih], in[b_ih]));
  std::vector<Tensor> hs(zs.size());
  Tensor h = initial(plan, in[h_in]);
  for (int64_t k = 0; k < plan.steps; ++k) {
    const auto t = size_t(plan.time(k));
    const Tensor z = zs[t] + linear(h, in[w_hh], in[b_hh]);
    hs[t] = h = nonlinearity == Nonlinearity::tanh ? tanh(z) : relu(z);
  }
  return stack(hs);
}

Tensor rnn_op(const char* op, const Tensor& x, const Tensor& h0, const RecurrentWeights& w, Nonlinearity nonlinearity,
              bool reverse) {
  const Inputs in{x, h0, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, {}};
  const Plan plan = plan_for(op, in, 1, reverse);
  return record_steps(plan, in, nonlinearity, states, cotangents, tangent, composed);
}

}  // namespace

Tensor rnn(const Tensor& x, const Tensor& h0, const RecurrentWeights& w, Nonlinearity nonlinearity,
           RecurrentOptions options) {
  return rnn_op("rnn", x, h0, w, nonlinearity, options.reverse);
}
Tensor rnn_cell(const Tensor& x, const Tensor& h, const RecurrentWeights& w, Nonlinearity nonlinearity) {
  return select(rnn_op("rnn_cell", unsqueeze(x, 0), h, w, nonlinearity, false), 0, 0);
}

}  // namespace fathom
