#include "fathom/autograd/ops/recurrent/parts.h"

namespace fathom::recurrent {
namespace {

constexpr const char* names[] = {"x", "h", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "c"};

// The rows whose previous h lies in y, and those h: every step but the first.
struct Later {
  int64_t gates_row, state_row, rows;
  explicit Later(const Plan& p)
      : gates_row(p.reverse ? 0 : p.batch), state_row(p.reverse ? p.batch : 0), rows((p.steps - 1) * p.batch) {}
};

}  // namespace

Plan plan_for(const char* op, const Inputs& in, int64_t gates, bool reverse) {
  const auto refuse = [&](const std::string& rule, Input a, Input b) {
    throw Error(std::string(op) + ": " + rule + ": " + names[a] + " " + to_string(in[a].shape()) + " and " + names[b] +
                " " + to_string(in[b].shape()));
  };
  for (size_t i = 0; i < count; ++i) {
    if (!in[i].defined()) continue;
    if (!is_floating(in[i].dtype())) not_floating(op, in[i].dtype());
    kernel::check_dtypes(op, in[x_in], in[i]);
  }
  const Shape &x = in[x_in].shape(), &ih = in[w_ih].shape(), &hh = in[w_hh].shape();
  if (x.rank != 3) throw Error(std::string(op) + ": x is (steps, batch, in), got " + to_string(x));
  if (x[0] == 0) throw Error(std::string(op) + ": a sequence of no steps: " + to_string(x));
  if (ih.rank != 2 || hh.rank != 2 || hh[0] != gates * hh[1] || ih[0] != hh[0])
    refuse("the weights are no (" + std::to_string(gates) + " hidden, in) and (" + std::to_string(gates) +
               " hidden, hidden)",
           w_ih, w_hh);
  if (x[2] != ih[1]) refuse("the numbers of features differ", x_in, w_ih);
  const Plan plan{op, in[x_in].dtype(), x[0], x[1], ih[1], hh[1], hh[0], reverse};
  for (const Input bias : {b_ih, b_hh})
    if (in[bias].defined() && in[bias].shape() != Shape{plan.gates}) refuse("weight and bias differ", w_hh, bias);
  for (const Input state : {h_in, c_in})
    if (in[state].defined() && in[state].shape() != Shape{plan.batch, plan.hidden})
      throw Error(std::string(op) + ": the state " + names[state] + " is (batch, hidden) = " +
                  to_string(Shape{plan.batch, plan.hidden}) + ", got " + to_string(in[state].shape()));
  return plan;
}

Inputs dense(const Inputs& in) {
  Inputs out;
  for (size_t i = 0; i < count; ++i)
    if (in[i].defined()) out[i] = rows::dense(in[i]);
  return out;
}

Tensor initial(const Plan& plan, const Tensor& state) {
  return state.defined() ? state : plan.zeros({plan.batch, plan.hidden});
}

Tensor bias_of(const Plan& plan, const Inputs& in) {
  const Tensor sum = plan.zeros({plan.gates});
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    for (const Input bias : {b_ih, b_hh})
      if (in[bias].defined()) kernel::add_row(in[bias].data<T>(), 1, plan.gates, sum.data<T>());
  });
  return sum;
}

Tensor transposed_weight(const Plan& plan, const Inputs& in) {
  const Tensor out({plan.hidden, plan.gates}, plan.dtype);
  visit_floating(plan.op, plan.dtype,
                 [&]<class T>(T) { kernel::transpose(in[w_hh].data<T>(), plan.gates, plan.hidden, out.data<T>()); });
  return out;
}

template <class T>
void input_products(const Plan& plan, const Inputs& in, T* to) {
  kernel::gemm(plan.rows(), plan.gates, plan.in, {in[x_in].data<T>(), plan.in}, {in[w_ih].data<T>(), plan.in, true},
               to);
}

template <class T>
void input_tangents(const Plan& plan, const Inputs& ts, const Inputs& in, T* to) {
  bool written = false;
  const auto add = [&](const Tensor& x, const Tensor& w) {
    if (!x.defined() || !w.defined()) return;
    kernel::gemm(plan.rows(), plan.gates, plan.in, {x.data<T>(), plan.in}, {w.data<T>(), plan.in, true}, to, written);
    written = true;
  };
  add(ts[x_in], in[w_ih]);
  add(in[x_in], ts[w_ih]);
  if (!written) std::fill_n(to, plan.rows() * plan.gates, T(0));
  if (ts[b_ih].defined()) kernel::add_row(ts[b_ih].data<T>(), plan.rows(), plan.gates, to);
}

template <class T>
void add_state_tangents(const Plan& plan, const Inputs& ts, const Inputs& in, const Tensor& y, T* to) {
  if (ts[w_hh].defined()) {
    const kernel::Matrix<T> w{ts[w_hh].data<T>(), plan.hidden, true};
    const Later later(plan);
    kernel::gemm(later.rows, plan.gates, plan.hidden, {y.data<T>() + later.state_row * plan.hidden, plan.hidden}, w,
                 to + later.gates_row * plan.gates, true);
    if (in[h_in].defined())
      kernel::gemm(plan.batch, plan.gates, plan.hidden, {in[h_in].data<T>(), plan.hidden}, w,
                   to + plan.first_row() * plan.gates, true);
  }
  if (ts[b_hh].defined()) kernel::add_row(ts[b_hh].data<T>(), plan.rows(), plan.gates, to);
}

void parameter_cotangents(const Plan& plan, Wanted wanted, const Inputs& in, const Tensor& y, const Tensor& d_input,
                          const Tensor& d_state, Inputs& out) {
  const int64_t n = plan.gates, rows = plan.rows();
  visit_floating(plan.op, plan.dtype, [&]<class T>(T) {
    const T *from_x = d_input.data<T>(), *from_h = d_state.data<T>();
    const auto make = [&](Input i, const Shape& shape) {
      out[i] = Tensor(shape, plan.dtype);
      return out[i].data<T>();
    };
    if (wanted[x_in])
      kernel::gemm(rows, plan.in, n, {from_x, n}, {in[w_ih].data<T>(), plan.in}, make(x_in, plan.sequence(plan.in)));
    if (wanted[w_ih])
      kernel::gemm(n, plan.in, rows, {from_x, n, true}, {in[x_in].data<T>(), plan.in}, make(w_ih, {n, plan.in}));
    if (wanted[w_hh]) {
      T* to = make(w_hh, {n, plan.hidden});
      const Later later(plan);
      kernel::gemm(n, plan.hidden, later.rows, {from_h + later.gates_row * n, n, true},
                   {y.data<T>() + later.state_row * plan.hidden, plan.hidden}, to);
      if (in[h_in].defined())
        kernel::gemm(n, plan.hidden, plan.batch, {from_h + plan.first_row() * n, n, true},
                     {in[h_in].data<T>(), plan.hidden}, to, true);
    }
    if (wanted[b_ih]) kernel::sum_rows(from_x, rows, n, make(b_ih, {n}));
    if (wanted[b_hh]) {
      if (wanted[b_ih] && from_x == from_h) out[b_hh] = kernel::clone(out[b_ih]);
      else kernel::sum_rows(from_h, rows, n, make(b_hh, {n}));
    }
  });
}

template void input_products(const Plan&, const Inputs&, float*);
template void input_products(const Plan&, const Inputs&, double*);
template void input_tangents(const Plan&, const Inputs&, const Inputs&, float*);
template void input_tangents(const Plan&, const Inputs&, const Inputs&, double*);
template void add_state_tangents(const Plan&, const Inputs&, const Inputs&, const Tensor&, float*);
template void add_state_tangents(const Plan&, const Inputs&, const Inputs&, const Tensor&, double*);

}  // namespace fathom::recurrent
