#include "fathom/nn/recurrent.h"

#include <cmath>

#include "fathom/autograd/ops/fused.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/autograd/recording.h"
#include "fathom/nn/init.h"
#include "fathom/nn/size.h"

namespace fathom::nn {
namespace {

RecurrentWeights make_weights(const char* name, int64_t gates, int64_t in, int64_t hidden, bool bias, Dtype dtype) {
  checked_size(name, "in", in, 1);
  checked_size(name, "hidden", hidden, 1);
  const double bound = 1 / std::sqrt(double(hidden));
  const auto make = [&](const Shape& shape) {
    Tensor w(shape, dtype);
    init::uniform(w, -bound, bound);
    return w.requires_grad_();
  };
  RecurrentWeights w{make({gates * hidden, in}), make({gates * hidden, hidden}), {}, {}};
  if (bias) w.bias_ih = make({gates * hidden}), w.bias_hh = make({gates * hidden});
  return w;
}

void set_forget_bias(const char* name, RecurrentWeights& w, std::optional<double> value) {
  if (!value) return;
  if (!w.bias_ih.defined()) throw Error(std::string(name) + ": a forget_bias without biases");
  const NoGrad off;
  const int64_t hidden = w.weight_hh.size(1);
  slice(w.bias_ih, 0, hidden, 2 * hidden).fill_(*value);
  slice(w.bias_hh, 0, hidden, 2 * hidden).fill_(0);
}

void name_weights(Fields& f, RecurrentWeights& w, const std::string& suffix = {}) {
  f("weight_ih" + suffix, w.weight_ih);
  f("weight_hh" + suffix, w.weight_hh);
  f("bias_ih" + suffix, w.bias_ih);
  f("bias_hh" + suffix, w.bias_hh);
}

}  // namespace

Recurrent::Recurrent(const Size& size) : size_(size) {
  checked_size(size.name, "layers", size.layers, 1);
  if (!(size.dropout >= 0 && size.dropout <= 1))
    throw Error(std::string(size.name) + ": dropout is not in [0, 1]: " + std::to_string(size.dropout));
  const int64_t directions = size.bidirectional ? 2 : 1;
  for (int64_t i = 0; i < size.layers * directions; ++i)
    weights.push_back(make_weights(size.name, size.gates, i < directions ? size.in : directions * size.hidden,
                                   size.hidden, size.bias, size.dtype));
}

void Recurrent::fields(Fields& f) {
  const size_t directions = size_.bidirectional ? 2 : 1;
  for (size_t i = 0; i < weights.size(); ++i)
    name_weights(f, weights[i], "_l" + std::to_string(i / directions) + (i % directions ? "_reverse" : ""));
}

void Recurrent::check(const Tensor& x, const LSTMState& state) const {
  const std::string name = size_.name;
  if ((x.dim() != 2 && x.dim() != 3) || x.shape().back() != size_.in)
    throw Error(name + ": x is " + (size_.batch_first ? "(batch, steps, " : "(steps, batch, ") +
                std::to_string(size_.in) + "), got " + to_string(x.shape()));
  Shape shape{int64_t(weights.size()), size_.hidden};
  if (x.dim() == 3) shape.insert(1, x.size(batch_axis()));
  for (const Tensor* each : {&state.h, &state.c})
    if (each->defined() && each->shape() != shape)
      throw Error(name + ": the state " + (each == &state.h ? "h" : "c") +
                  " is (layers * directions, batch, hidden) = " + to_string(shape) + ", got " +
                  to_string(each->shape()));
}

LSTMSequence Recurrent::run(Tensor x, const LSTMState& state) {
  check(x, state);
  const bool batched = x.dim() == 3;
  const auto of_layer = [batched](const Tensor& states, size_t i) {
    if (!states.defined()) return states;
    return batched ? select(states, 0, int64_t(i)) : slice(states, 0, int64_t(i), int64_t(i) + 1);
  };
  if (!batched) x = unsqueeze(x, 1);
  else if (size_.batch_first) x = transpose(x, 0, 1).contiguous();
  const size_t directions = size_.bidirectional ? 2 : 1;
  pool::vector<Tensor> hs, cs;
  for (size_t i = 0; i < weights.size(); i += directions) {
    if (i > 0 && training && size_.dropout > 0) x = dropout(x, size_.dropout);
    pool::vector<Tensor> outputs;
    for (size_t d = 0; d < directions; ++d) {
      LSTMSequence one = layer(x, {of_layer(state.h, i + d), of_layer(state.c, i + d)}, weights[i + d], d == 1);
      outputs.push_back(std::move(one.output));
      hs.push_back(std::move(one.state.h));
      if (one.state.c.defined()) cs.push_back(std::move(one.state.c));
    }
    x = directions == 1 ? outputs[0] : concat(outputs, -1);
  }
  const auto together = [batched](const pool::vector<Tensor>& states) {
    if (states.empty()) return Tensor();
    const Tensor all = states.size() == 1 ? unsqueeze(states[0], 0) : stack(states);
    return batched ? all : squeeze(all, 1);
  };
  if (!batched) x = squeeze(x, 1);
  else if (size_.batch_first) x = transpose(x, 0, 1);
  return {x, {together(hs), together(cs)}};
}

LSTMSequence Recurrent::observed(Tensor x, const LSTMState& state) {
  LSTMState last;
  Tensor y = call(std::move(x), [&](Tensor at) {
    LSTMSequence all = run(std::move(at), state);
    last = std::move(all.state);
    return std::move(all.output);
  });
  return {std::move(y), std::move(last)};
}
Tensor Recurrent::forward(Tensor x) { return run(std::move(x), {}).output; }

RNN::RNN(int64_t in, int64_t hidden, RNNOptions o) : Recurrent("RNN", 1, in, hidden, o), nonlinearity(o.nonlinearity) {
  if (!o.identity) return;
  for (RecurrentWeights& w : weights) {
    init::normal(w.weight_ih, 0, 0.001);
    init::identity(w.weight_hh);
    if (o.bias) init::zeros(w.bias_ih), init::zeros(w.bias_hh);
  }
}
LSTMSequence RNN::layer(const Tensor& x, const LSTMState& state, const RecurrentWeights& w, bool reverse) const {
  const Tensor y = rnn(x, state.h, w, nonlinearity, {.reverse = reverse});
  return {y, {select(y, 0, reverse ? 0 : -1), {}}};
}
RNNSequence RNN::operator()(Tensor x, const Tensor& h0) {
  LSTMSequence all = observed(std::move(x), {h0, {}});
  return {all.output, all.state.h};
}

LSTM::LSTM(int64_t in, int64_t hidden, LSTMOptions o) : Recurrent("LSTM", 4, in, hidden, o) {
  for (RecurrentWeights& w : weights) set_forget_bias("LSTM", w, o.forget_bias);
}
LSTMSequence LSTM::layer(const Tensor& x, const LSTMState& state, const RecurrentWeights& w, bool reverse) const {
  return lstm(x, state, w, {.reverse = reverse});
}
LSTMSequence LSTM::operator()(Tensor x, const LSTMState& state) { return observed(std::move(x), state); }

GRU::GRU(int64_t in, int64_t hidden, GRUOptions o) : Recurrent("GRU", 3, in, hidden, o) {}
LSTMSequence GRU::layer(const Tensor& x, const LSTMState& state, const RecurrentWeights& w, bool reverse) const {
  const Tensor y = gru(x, state.h, w, {.reverse = reverse});
  return {y, {select(y, 0, reverse ? 0 : -1), {}}};
}
RNNSequence GRU::operator()(Tensor x, const Tensor& h0) {
  LSTMSequence all = observed(std::move(x), {h0, {}});
  return {all.output, all.state.h};
}

RecurrentCell::RecurrentCell(const char* name, int64_t gates, int64_t in, int64_t hidden, bool bias, Dtype dtype)
    : RecurrentWeights(make_weights(name, gates, in, hidden, bias, dtype)), name_(name) {}
void RecurrentCell::fields(Fields& f) { name_weights(f, *this); }
Tensor RecurrentCell::forward(Tensor x) { return run(x, {}).h; }

LSTMState RecurrentCell::observed(Tensor x, const LSTMState& state) {
  LSTMState out;
  Tensor h = call(std::move(x), [&](const Tensor& at) {
    out = run(at, state);
    return out.h;
  });
  return {std::move(h), std::move(out.c)};
}
LSTMState RecurrentCell::run(const Tensor& x, const LSTMState& state) const {
  if (x.dim() != 1 && x.dim() != 2)
    throw Error(std::string(name_) + ": x is (batch, in) or (in), got " + to_string(x.shape()));
  if (x.dim() == 2) return step(x, state);
  const auto row = [](const Tensor& s) { return s.defined() ? unsqueeze(s, 0) : s; };
  const auto vector = [](const Tensor& s) { return s.defined() ? squeeze(s, 0) : s; };
  const LSTMState out = step(row(x), {row(state.h), row(state.c)});
  return {vector(out.h), vector(out.c)};
}

RNNCell::RNNCell(int64_t in, int64_t hidden, RNNCellOptions o)
    : RecurrentCell("RNNCell", 1, in, hidden, o.bias, o.dtype), nonlinearity(o.nonlinearity) {}
LSTMState RNNCell::step(const Tensor& x, const LSTMState& state) const {
  return {rnn_cell(x, state.h, *this, nonlinearity), {}};
}

LSTMCell::LSTMCell(int64_t in, int64_t hidden, LSTMCellOptions o)
    : RecurrentCell("LSTMCell", 4, in, hidden, o.bias, o.dtype) {
  set_forget_bias("LSTMCell", *this, o.forget_bias);
}
LSTMState LSTMCell::step(const Tensor& x, const LSTMState& state) const { return lstm_cell(x, state, *this); }

GRUCell::GRUCell(int64_t in, int64_t hidden, GRUCellOptions o)
    : RecurrentCell("GRUCell", 3, in, hidden, o.bias, o.dtype) {}
LSTMState GRUCell::step(const Tensor& x, const LSTMState& state) const { return {gru_cell(x, state.h, *this), {}}; }

}  // namespace fathom::nn
