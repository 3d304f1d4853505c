// The output packs all h, (steps, batch, hidden), and the last c below them: (steps + 1, batch, hidden).
#include "fathom/autograd/ops/recurrent/parts.h"

#include <algorithm>  // copy_n

namespace fathom {
namespace {

using namespace recurrent;

// What the rules read again: the gates i, f, g, o after their nonlinearities and all c.
struct Memory {
  Tensor gates, c;
};

Shape packed(const Plan& plan) { return {plan.steps + 1, plan.batch, plan.hidden}; }
template <class T>
void step_forward(int64_t n, T* z, const T* b, const T* c_before, T* c, T* h) {
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    const T i = z[j] = sigmoid(z[j] + b[j]), f = z[n + j] = sigmoid(z[n + j] + b[n + j]);
    const T g = z[2 * n + j] = tanh(z[2 * n + j] + b[2 * n + j]);
    const T o = z[3 * n + j] = sigmoid(z[3 * n + j] + b[3 * n + j]);
    c[j] = f * c_before[j] + i * g;
    h[j] = o * tanh(c[j]);
  }
}
// dc holds what comes from the step after and becomes what goes to the step before.
template <class T>
void step_back(int64_t n, const T* z, const T* c_before, const T* c, const T* dh, T* dc, T* dz) {
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    const T i = z[j], f = z[n + j], g = z[2 * n + j], o = z[3 * n + j], s = tanh(c[j]);
    const T d = dc[j] + dh[j] * o * (1 - s * s);
    dz[j] = d * g * (i * (1 - i));
    dz[n + j] = d * c_before[j] * (f * (1 - f));
    dz[2 * n + j] = d * i * (1 - g * g);
    dz[3 * n + j] = dh[j] * s * (o * (1 - o));
    dc[j] = d * f;
  }
}
// tc is the tangent of the c before and becomes that of c.
template <class T>
void step_tangent(int64_t n, const T* z, const T* c_before, const T* c, const T* u, T* tc, T* th) {
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    const T i = z[j], f = z[n + j], g = z[2 * n + j], o = z[3 * n + j], s = tanh(c[j]);
    const T ti = i * (1 - i) * u[j], tf = f * (1 - f) * u[n + j], tg = (1 - g * g) * u[2 * n + j];
    tc[j] = f * tc[j] + tf * c_before[j] + ti * g + i * tg;
    th[j] = o * (1 - o) * u[3 * n + j] * s + o * (1 - s * s) * tc[j];
  }
}

Tensor states(const Plan& plan, const Inputs& from, const Memory& kept) {
  const Inputs in = dense(from);
  const Tensor y(packed(plan), plan.dtype), bias = bias_of(plan, in), w = transposed_weight(plan, in);
  const Tensor c0 = initial(plan, in[c_in]);
  const int64_t n = plan.hidden, m = plan.gates;
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    input_products(plan, in, kept.gates.data<T>());
    const T *weight = w.data<T>(), *b = bias.data<T>();
    const Steps<T> gates(plan, m, kept.gates), h(plan, n, y, in[h_in]), c(plan, n, kept.c, c0);
    T* last_c = y.data<T>() + plan.rows() * n;
    each_block(plan, [&](int64_t row, int64_t rows) {
      for (int64_t k = 0; k < plan.steps; ++k) {
        T* z = gates(k, row);
        if (const T* last = h(k - 1, row)) kernel::gemm(rows, m, n, {last, n}, {weight, m}, z, true);
        for (int64_t r = 0; r < rows; ++r)
          step_forward(n, z + r * m, b, c(k - 1, row) + r * n, c(k, row) + r * n, h(k, row) + r * n);
      }
      std::copy_n(c(plan.steps - 1, row), rows * n, last_c + row * n);
    });
  });
  return y;
}

Inputs cotangents(const Plan& plan, Tensor g, Wanted wanted, const Inputs& from, const Tensor& y, const Memory& kept) {
  const Inputs in = dense(from);
  const Tensor dy = g.owned() ? std::move(g) : kernel::clone(g), d(plan.sequence(plan.gates), plan.dtype);
  const Tensor c0 = initial(plan, in[c_in]);
  const int64_t n = plan.hidden, m = plan.gates;
  Inputs out;
  if (wanted[h_in]) out[h_in] = plan.zeros({plan.batch, n});
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    const T* weight = in[w_hh].data<T>();
    const Steps<T> gates(plan, m, kept.gates), dgates(plan, m, d), dh(plan, n, dy, out[h_in]), c(plan, n, kept.c, c0);
    T* last_dc = dy.data<T>() + plan.rows() * n;
    each_block(plan, [&](int64_t row, int64_t rows) {
      T* dc = last_dc + row * n;
      for (int64_t k = plan.steps - 1; k >= 0; --k) {
        const T* z = gates(k, row);
        T* dz = dgates(k, row);
        for (int64_t r = 0; r < rows; ++r)
          step_back(n, z + r * m, c(k - 1, row) + r * n, c(k, row) + r * n, dh(k, row) + r * n, dc + r * n, dz + r * m);
        if (T* to = dh(k - 1, row)) kernel::gemm(rows, n, m, {dz, m}, {weight, n}, to, true);
      }
    });
  });
  if (wanted[c_in]) out[c_in] = kernel::clone(select(dy, 0, plan.steps));
  parameter_cotangents(plan, wanted, in, y, d, d, out);
  return out;
}

Tensor tangent(const Plan& plan, const Inputs& tangents, const Inputs& from, const Tensor& y, const Memory& kept) {
  const Inputs in = dense(from), ts = dense(tangents);
  const Tensor out(packed(plan), plan.dtype), u(plan.sequence(plan.gates), plan.dtype);
  const Tensor w = transposed_weight(plan, in), c0 = initial(plan, in[c_in]), tc0 = initial(plan, ts[c_in]);
  const int64_t n = plan.hidden, m = plan.gates;
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    input_tangents(plan, ts, in, u.data<T>());
    add_state_tangents(plan, ts, in, y, u.data<T>());
    const T* weight = w.data<T>();
    const Steps<T> gates(plan, m, kept.gates), tgates(plan, m, u), th(plan, n, out, ts[h_in]), c(plan, n, kept.c, c0);
    T* last_tc = out.data<T>() + plan.rows() * n;
    std::copy_n(tc0.data<T>(), plan.batch * n, last_tc);
    each_block(plan, [&](int64_t row, int64_t rows) {
      T* tc = last_tc + row * n;
      for (int64_t k = 0; k < plan.steps; ++k) {
        const T* z = gates(k, row);
        T* tz = tgates(k, row);
        if (const T* last = th(k - 1, row)) kernel::gemm(rows, m, n, {last, n}, {weight, m}, tz, true);
        for (int64_t r = 0; r < rows; ++r)
          step_tangent(n, z + r * m, c(k - 1, row) + r * n, c(k, row) + r * n, static_cast<const T*>(tz) + r * m,
                       tc + r * n, th(k, row) + r * n);
      }
    });
  });
  return out;
}

Tensor composed(const Plan& plan, const Inputs& in, const Memory&) {
  const std::vector<Tensor> zs = unbind(linear(in[x_in], in[w_ih], in[b_ih]));
  std::vector<Tensor> rows(zs.size() + 1);
  Tensor h = initial(plan, in[h_in]), c = initial(plan, in[c_in]);
  for (int64_t k = 0; k < plan.steps; ++k) {
    const auto t = size_t(plan.time(k));
    const std::vector<Tensor> z = chunk(zs[t] + linear(h, in[w_hh], in[b_hh]), 4, -1);
    c = sigmoid(z[1]) * c + sigmoid(z[0]) * tanh(z[2]);
    rows[t] = h = sigmoid(z[3]) * tanh(c);
  }
  rows.back() = c;
  return stack(rows);
}

Tensor lstm_op(const char* op, const Tensor& x, const LSTMState& state, const RecurrentWeights& w, bool reverse) {
  const Inputs in{x, state.h, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, state.c};
  const Plan plan = plan_for(op, in, 4, reverse);
  const Memory kept{Tensor(plan.sequence(plan.gates), plan.dtype), Tensor(plan.sequence(plan.hidden), plan.dtype)};
  return record_steps(plan, in, kept, states, cotangents, tangent, composed);
}

}  // namespace

LSTMSequence lstm(const Tensor& x, const LSTMState& state, const RecurrentWeights& w, RecurrentOptions options) {
  const Tensor y = lstm_op("lstm", x, state, w, options.reverse);
  const int64_t steps = y.size(0) - 1;
  const Tensor hs = slice(y, 0, 0, steps);
  return {hs, {select(hs, 0, options.reverse ? 0 : -1), select(y, 0, steps)}};
}
LSTMState lstm_cell(const Tensor& x, const LSTMState& state, const RecurrentWeights& w) {
  const Tensor y = lstm_op("lstm_cell", unsqueeze(x, 0), state, w, false);
  return {select(y, 0, 0), select(y, 0, 1)};
}

}  // namespace fathom
