#include "fathom/autograd/ops/recurrent/parts.h"

namespace fathom {
namespace {

using namespace recurrent;

// What the rules read again: the gates r, z, n after their nonlinearities, and q = W_hn h + b_hn.
struct Memory {
  Tensor gates, q;
};

// The biases of (r, z, n, q): of r and z the sum of the two.
Tensor biases(const Plan& plan, const Inputs& in) {
  const int64_t n = plan.hidden;
  const Tensor out = plan.zeros({4 * n});
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    T* to = out.data<T>();
    if (in[b_ih].defined()) kernel::add_row(in[b_ih].data<T>(), 1, 3 * n, to);
    if (in[b_hh].defined()) {
      const T* b = in[b_hh].data<T>();
      kernel::add_row(b, 1, 2 * n, to);
      kernel::add_row(b + 2 * n, 1, n, to + 3 * n);
    }
  });
  return out;
}

// a: what the gates take from x, which becomes their values; s: what they take from h.
template <class T>
void step_forward(int64_t n, T* a, const T* s, const T* b, const T* h_before, T* q, T* h) {
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    const T r = a[j] = sigmoid(a[j] + s[j] + b[j]), z = a[n + j] = sigmoid(a[n + j] + s[n + j] + b[n + j]);
    q[j] = s[2 * n + j] + b[3 * n + j];
    const T c = a[2 * n + j] = tanh(a[2 * n + j] + b[2 * n + j] + r * q[j]);
    h[j] = (1 - z) * c + z * h_before[j];
  }
}
// dx and ds: the cotangents of a and s above; what reaches the h before directly is added to dh_before.
template <class T>
void step_back(int64_t n, const T* a, const T* q, const T* h_before, const T* dh, T* dx, T* ds, T* dh_before) {
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    const T r = a[j], z = a[n + j], c = a[2 * n + j];
    const T dc = dh[j] * (1 - z) * (1 - c * c);
    dx[j] = ds[j] = dc * q[j] * (r * (1 - r));
    dx[n + j] = ds[n + j] = dh[j] * (h_before[j] - c) * (z * (1 - z));
    dx[2 * n + j] = dc;
    ds[2 * n + j] = dc * r;
    dh_before[j] += dh[j] * z;
  }
}
template <class T>
void step_tangent(int64_t n, const T* a, const T* q, const T* h_before, const T* tx, const T* ts, const T* th_before,
                  T* th) {
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    const T r = a[j], z = a[n + j], c = a[2 * n + j];
    const T tr = r * (1 - r) * (tx[j] + ts[j]), tz = z * (1 - z) * (tx[n + j] + ts[n + j]);
    const T tc = (1 - c * c) * (tx[2 * n + j] + tr * q[j] + r * ts[2 * n + j]);
    th[j] = (1 - z) * tc + tz * (h_before[j] - c) + z * th_before[j];
  }
}

Tensor states(const Plan& plan, const Inputs& from, const Memory& kept) {
  const Inputs in = dense(from);
  const Tensor y(plan.sequence(plan.hidden), plan.dtype), bias = biases(plan, in), w = transposed_weight(plan, in);
  const Tensor h0 = initial(plan, in[h_in]), products({plan.batch, plan.gates}, plan.dtype);
  const int64_t n = plan.hidden, m = plan.gates;
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    input_products(plan, in, kept.gates.data<T>());
    const T *weight = w.data<T>(), *b = bias.data<T>();
    const Steps<T> gates(plan, m, kept.gates), h(plan, n, y, h0), q(plan, n, kept.q);
    T* from_h = products.data<T>();
    each_block(plan, [&](int64_t row, int64_t rows) {
      T* s = from_h + row * m;
      for (int64_t k = 0; k < plan.steps; ++k) {
        T* a = gates(k, row);
        kernel::gemm(rows, m, n, {h(k - 1, row), n}, {weight, m}, s);
        for (int64_t r = 0; r < rows; ++r)
          step_forward(n, a + r * m, static_cast<const T*>(s) + r * m, b, h(k - 1, row) + r * n, q(k, row) + r * n,
                       h(k, row) + r * n);
      }
    });
  });
  return y;
}

Inputs cotangents(const Plan& plan, Tensor g, Wanted wanted, const Inputs& from, const Tensor& y, const Memory& kept) {
  const Inputs in = dense(from);
  const Shape all = plan.sequence(plan.gates);
  const Tensor dy = g.owned() ? std::move(g) : kernel::clone(g), d_input(all, plan.dtype), d_state(all, plan.dtype);
  const Tensor h0 = initial(plan, in[h_in]), dh0 = plan.zeros({plan.batch, plan.hidden});
  const int64_t n = plan.hidden, m = plan.gates;
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    const T* weight = in[w_hh].data<T>();
    const Steps<T> gates(plan, m, kept.gates), from_x(plan, m, d_input), from_h(plan, m, d_state);
    const Steps<T> dh(plan, n, dy, dh0), h(plan, n, y, h0), q(plan, n, kept.q);
    each_block(plan, [&](int64_t row, int64_t rows) {
      for (int64_t k = plan.steps - 1; k >= 0; --k) {
        const T* a = gates(k, row);
        T *dx = from_x(k, row), *ds = from_h(k, row);
        for (int64_t r = 0; r < rows; ++r)
          step_back(n, a + r * m, q(k, row) + r * n, h(k - 1, row) + r * n, dh(k, row) + r * n, dx + r * m, ds + r * m,
                    dh(k - 1, row) + r * n);
        if (k > 0 || wanted[h_in]) kernel::gemm(rows, n, m, {ds, m}, {weight, n}, dh(k - 1, row), true);
      }
    });
  });
  Inputs out;
  if (wanted[h_in]) out[h_in] = dh0;
  parameter_cotangents(plan, wanted, in, y, d_input, d_state, out);
  return out;
}

Tensor tangent(const Plan& plan, const Inputs& tangents, const Inputs& from, const Tensor& y, const Memory& kept) {
  const Inputs in = dense(from), ts = dense(tangents);
  const Shape all = plan.sequence(plan.gates);
  const Tensor out(y.shape(), y.dtype()), u_input(all, plan.dtype), u_state = plan.zeros(all);
  const Tensor w = transposed_weight(plan, in), h0 = initial(plan, in[h_in]), th0 = initial(plan, ts[h_in]);
  const int64_t n = plan.hidden, m = plan.gates;
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    input_tangents(plan, ts, in, u_input.data<T>());
    add_state_tangents(plan, ts, in, y, u_state.data<T>());
    const T* weight = w.data<T>();
    const Steps<T> gates(plan, m, kept.gates), from_x(plan, m, u_input), from_h(plan, m, u_state);
    const Steps<T> th(plan, n, out, th0), h(plan, n, y, h0), q(plan, n, kept.q);
    const bool from_start = ts[h_in].defined();
    each_block(plan, [&](int64_t row, int64_t rows) {
      for (int64_t k = 0; k < plan.steps; ++k) {
        const T *a = gates(k, row), *tx = from_x(k, row);
        T* t = from_h(k, row);
        if (k > 0 || from_start) kernel::gemm(rows, m, n, {th(k - 1, row), n}, {weight, m}, t, true);
        for (int64_t r = 0; r < rows; ++r)
          step_tangent(n, a + r * m, q(k, row) + r * n, h(k - 1, row) + r * n, tx + r * m,
                       static_cast<const T*>(t) + r * m, th(k - 1, row) + r * n, th(k, row) + r * n);
      }
    });
  });
  return out;
}

Tensor composed(const Plan& plan, const Inputs& in, const Memory&) {
  const std::vector<Tensor> inputs = unbind(linear(in[x_in], in[w_ih], in[b_ih]));
  std::vector<Tensor> hs(inputs.size());
  Tensor h = initial(plan, in[h_in]);
  for (int64_t k = 0; k < plan.steps; ++k) {
    const auto t = size_t(plan.time(k));
    const std::vector<Tensor> a = chunk(inputs[t], 3, -1), s = chunk(linear(h, in[w_hh], in[b_hh]), 3, -1);
    const Tensor r = sigmoid(a[0] + s[0]), z = sigmoid(a[1] + s[1]);
    hs[t] = h = (1 - z) * tanh(a[2] + r * s[2]) + z * h;
  }
  return stack(hs);
}

Tensor gru_op(const char* op, const Tensor& x, const Tensor& h0, const RecurrentWeights& w, bool reverse) {
  const Inputs in{x, h0, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, {}};
  const Plan plan = plan_for(op, in, 3, reverse);
  const Memory kept{Tensor(plan.sequence(plan.gates), plan.dtype), Tensor(plan.sequence(plan.hidden), plan.dtype)};
  return record_steps(plan, in, kept, states, cotangents, tangent, composed);
}

}  // namespace

Tensor gru(const Tensor& x, const Tensor& h0, const RecurrentWeights& w, RecurrentOptions options) {
  return gru_op("gru", x, h0, w, options.reverse);
}
Tensor gru_cell(const Tensor& x, const Tensor& h, const RecurrentWeights& w) {
  return select(gru_op("gru_cell", unsqueeze(x, 0), h, w, false), 0, 0);
}

}  // namespace fathom
