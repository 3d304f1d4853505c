// Recurrent layers: a whole sequence of one layer in one direction is one op, with both first-order rules as kernels.
//   1. Gates stand one below the other in the weights, in PyTorch's order: RNN h; LSTM i, f, g, o; GRU r, z, n.
//   2. A sequence is time-first, (steps, batch, in). An initial state that is undefined is zero.
//   3. A cell is a sequence of one step: the same kernels, so that the rules of lstm_cell at a step's input and
//      state before it are those of the step within lstm.
// Each throws Error on shapes or dtypes that do not fit, naming both, and on a sequence of no steps.
#pragma once
#include "fathom/tensor/tensor.h"

namespace fathom {

// With `gates` 1, 4 or 3 for rnn, lstm and gru.
struct RecurrentWeights {
  Tensor weight_ih;         // (gates * hidden, in)
  Tensor weight_hh;         // (gates * hidden, hidden)
  Tensor bias_ih, bias_hh;  // (gates * hidden), each may be undefined
};
enum class Nonlinearity { tanh, relu };
struct LSTMState {
  Tensor h, c;  // (batch, hidden); of a module with the layers and directions before them
  // The same numbers without their history: what truncates backpropagation through time.
  LSTMState detach() const { return {h.detach(), c.detach()}; }
};

struct RecurrentOptions {
  bool reverse = false;  // from the last step to the first; outputs stand where their inputs do
};

// Elman's network (1990): h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu. Gives all h, (steps, batch,
// hidden).
Tensor rnn(const Tensor& x, const Tensor& h0, const RecurrentWeights& w, Nonlinearity nonlinearity = Nonlinearity::tanh,
           RecurrentOptions options = {});
Tensor rnn_cell(const Tensor& x, const Tensor& h, const RecurrentWeights& w,
                Nonlinearity nonlinearity = Nonlinearity::tanh);

// Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000):
//   i, f, o = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), g = tanh(the same),
//   c_t = f c_{t-1} + i g, h_t = o tanh(c_t).
struct LSTMSequence {
  Tensor output;    // all h, (steps, batch, hidden)
  LSTMState state;  // after the step that comes last
};
LSTMSequence lstm(const Tensor& x, const LSTMState& state, const RecurrentWeights& w, RecurrentOptions options = {});
LSTMState lstm_cell(const Tensor& x, const LSTMState& state, const RecurrentWeights& w);

// Cho et al. (2014), in PyTorch's form:
//   r, z = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh),
//   n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn)), h_t = (1 - z) n + z h_{t-1}.
Tensor gru(const Tensor& x, const Tensor& h0, const RecurrentWeights& w, RecurrentOptions options = {});
Tensor gru_cell(const Tensor& x, const Tensor& h, const RecurrentWeights& w);

}  // namespace fathom
