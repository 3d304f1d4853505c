// Recurrent layers: RNN, LSTM and GRU over whole sequences, and their cells for one step. Names, layouts, the order of
// gates and the initial distribution, uniform within 1 / sqrt(hidden), are PyTorch's; so are the equations, which
// autograd/ops/recurrent.h gives.
//   1. x is (steps, batch, in), with batch_first (batch, steps, in); without a batch (steps, in). The output has hidden
//      features in place of in, twice as many in two directions: those of the forward one come first.
//   2. States are (layers * directions, batch, hidden), in the order of `weights`; undefined ones are zero.
//   3. A chunk of a sequence that is given the states of the chunk before continues it; with the states' detach()
//      gradients end at the chunk's beginning: truncated backpropagation through time.
// Calls throw Error on shapes that do not fit, and on a sequence of no steps.
#pragma once
#include <optional>
#include <vector>

#include "fathom/autograd/ops/recurrent.h"
#include "fathom/nn/module.h"

namespace fathom::nn {

// What the three have in common.
class Recurrent : public Module {
 public:
  // Layer by layer, the forward direction before the reverse; named weight_ih_l0, weight_ih_l0_reverse, ...
  std::vector<RecurrentWeights> weights;

  Tensor forward(Tensor x) override;  // from states of zero
  void fields(Fields& f) override;
  int64_t batch_axis() const override { return size_.batch_first ? 0 : 1; }

 protected:
  // With the options that the three have in common.
  template <class Options>
  Recurrent(const char* name, int64_t gates, int64_t in, int64_t hidden, const Options& o)
      : Recurrent({name, gates, in, hidden, o.layers, o.bias, o.batch_first, o.bidirectional, o.dropout, o.dtype}) {}
  // One layer in one direction; without a c but in the LSTM.
  virtual LSTMSequence layer(const Tensor& x, const LSTMState& state, const RecurrentWeights& w,
                             bool reverse) const = 0;
  LSTMSequence run(Tensor x, const LSTMState& state);
  LSTMSequence observed(Tensor x, const LSTMState& state);

 private:
  struct Size {
    const char* name;
    int64_t gates, in, hidden, layers;
    bool bias, batch_first, bidirectional;
    double dropout;
    Dtype dtype;
  };
  explicit Recurrent(const Size& size);
  void check(const Tensor& x, const LSTMState& state) const;
  Size size_;
};

struct RNNSequence {
  Tensor output, h;
};

struct RNNOptions {
  int64_t layers = 1;
  Nonlinearity nonlinearity = Nonlinearity::tanh;
  bool bias = true, batch_first = false, bidirectional = false;
  double dropout = 0;  // of the output of each layer but the last, in training
  // Le et al., "A simple way to initialize recurrent networks of rectified linear units", 2015: W_hh = 1, biases zero,
  // W_ih normal with deviation 0.001; meant for relu.
  bool identity = false;
  Dtype dtype = f32;
};
struct RNN : Recurrent {
  Nonlinearity nonlinearity;

  // Throws Error on a size below 1 or a dropout that is not in [0, 1]; so do the others.
  RNN(int64_t in, int64_t hidden, RNNOptions options = {});
  // auto [y, h] = rnn(x, h0)
  using Module::operator();
  RNNSequence operator()(Tensor x, const Tensor& h0);

 private:
  LSTMSequence layer(const Tensor& x, const LSTMState& state, const RecurrentWeights& w, bool reverse) const override;
};

struct LSTMOptions {
  int64_t layers = 1;
  bool bias = true, batch_first = false, bidirectional = false;
  double dropout = 0;  // of the output of each layer but the last, in training
  // What the forget gates' biases add up to at the start (Jozefowicz et al. 2015 advise 1); uniform as the others
  // without. Throws Error without biases.
  std::optional<double> forget_bias = {};
  Dtype dtype = f32;
};
struct LSTM : Recurrent {
  LSTM(int64_t in, int64_t hidden, LSTMOptions options = {});
  // auto [y, state] = lstm(x, state)
  using Module::operator();
  LSTMSequence operator()(Tensor x, const LSTMState& state);

 private:
  LSTMSequence layer(const Tensor& x, const LSTMState& state, const RecurrentWeights& w, bool reverse) const override;
};

struct GRUOptions {
  int64_t layers = 1;
  bool bias = true, batch_first = false, bidirectional = false;
  double dropout = 0;  // of the output of each layer but the last, in training
  Dtype dtype = f32;
};
struct GRU : Recurrent {
  GRU(int64_t in, int64_t hidden, GRUOptions options = {});
  // auto [y, h] = gru(x, h0)
  using Module::operator();
  RNNSequence operator()(Tensor x, const Tensor& h0);

 private:
  LSTMSequence layer(const Tensor& x, const LSTMState& state, const RecurrentWeights& w, bool reverse) const override;
};

// One step: x (batch, in) or (in), states (batch, hidden) or (hidden). With x alone from a state of zero.
class RecurrentCell : public Module, public RecurrentWeights {
 public:
  Tensor forward(Tensor x) override;  // h
  void fields(Fields& f) override;

 protected:
  RecurrentCell(const char* name, int64_t gates, int64_t in, int64_t hidden, bool bias, Dtype dtype);
  // With a batch; without a c but in the LSTM.
  virtual LSTMState step(const Tensor& x, const LSTMState& state) const = 0;
  LSTMState observed(Tensor x, const LSTMState& state);

 private:
  LSTMState run(const Tensor& x, const LSTMState& state) const;
  const char* name_;
};

struct RNNCellOptions {
  bool bias = true;
  Nonlinearity nonlinearity = Nonlinearity::tanh;
  Dtype dtype = f32;
};
struct RNNCell : RecurrentCell {
  Nonlinearity nonlinearity;

  RNNCell(int64_t in, int64_t hidden, RNNCellOptions options = {});
  using Module::operator();
  Tensor operator()(Tensor x, const Tensor& h) { return observed(std::move(x), {h, {}}).h; }

 private:
  LSTMState step(const Tensor& x, const LSTMState& state) const override;
};

struct LSTMCellOptions {
  bool bias = true;
  std::optional<double> forget_bias = {};  // as LSTM's
  Dtype dtype = f32;
};
struct LSTMCell : RecurrentCell {
  LSTMCell(int64_t in, int64_t hidden, LSTMCellOptions options = {});
  using Module::operator();
  LSTMState operator()(Tensor x, const LSTMState& state) { return observed(std::move(x), state); }

 private:
  LSTMState step(const Tensor& x, const LSTMState& state) const override;
};

struct GRUCellOptions {
  bool bias = true;
  Dtype dtype = f32;
};
struct GRUCell : RecurrentCell {
  GRUCell(int64_t in, int64_t hidden, GRUCellOptions options = {});
  using Module::operator();
  Tensor operator()(Tensor x, const Tensor& h) { return observed(std::move(x), {h, {}}).h; }

 private:
  LSTMState step(const Tensor& x, const LSTMState& state) const override;
};

}  // namespace fathom::nn
