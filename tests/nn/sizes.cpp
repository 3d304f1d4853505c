#include <cmath>

#include "tests/nn/modules.h"

using namespace fathom;

TEST_CASE("modules refuse sizes that are too small, by name") {
  const auto is = [](const std::string& message, auto make) { CHECK(error_of(make) == message); };
  is("Linear: in must be at least 0, got -3", [] { nn::Linear(-3, 2); });
  is("Linear: out must be at least 0, got -1", [] { nn::Linear(3, -1); });
  is("Embedding: count must be at least 0, got -1", [] { nn::Embedding(-1, 2); });
  is("Embedding: width must be at least 0, got -2", [] { nn::Embedding(1, -2); });
  is("LayerNorm: n must be at least 1, got 0", [] { nn::LayerNorm(0); });
  is("RMSNorm: n must be at least 1, got -4", [] { nn::RMSNorm(-4); });
  is("GroupNorm: groups must be at least 1, got 0", [] { nn::GroupNorm(0, 4); });
  is("GroupNorm: channels must be at least 1, got -4", [] { nn::GroupNorm(2, -4); });
  is("BatchNorm1d: channels must be at least 1, got 0", [] { nn::BatchNorm1d(0); });
  is("BatchNorm2d: channels must be at least 1, got -1", [] { nn::BatchNorm2d(-1, {.affine = false}); });

  is("Conv2d: in must be at least 0, got -2", [] { nn::Conv2d(-2, 2, 3); });
  is("Conv2d: out must be at least 0, got -2", [] { nn::Conv2d(2, -2, 3); });
  is("Conv2d: kernel must be at least 1, got 0", [] { nn::Conv2d(2, 2, {3, 0}); });
  is("Conv2d: stride must be at least 1, got 0", [] { nn::Conv2d(2, 2, 3, {.stride = {0, 1}}); });
  is("Conv2d: padding must be at least 0, got -1", [] { nn::Conv2d(2, 2, 3, {.padding = -1}); });
  is("Conv2d: dilation must be at least 1, got 0", [] { nn::Conv2d(2, 2, 3, {.dilation = 0}); });
  is("Conv2d: groups must be at least 1, got -1", [] { nn::Conv2d(2, 2, 3, {.groups = -1}); });
  is("Conv1d: kernel must be at least 1, got -3", [] { nn::Conv1d(2, 2, -3); });
  is("Conv1d: groups must be at least 1, got 0", [] { nn::Conv1d(2, 2, 3, {.groups = 0}); });

  is("RNN: in must be at least 1, got 0", [] { nn::RNN(0, 3); });
  is("LSTM: hidden must be at least 1, got -3", [] { nn::LSTM(2, -3); });
  is("GRU: layers must be at least 1, got 0", [] { nn::GRU(2, 3, {.layers = 0}); });
  is("RNNCell: in must be at least 1, got -2", [] { nn::RNNCell(-2, 3); });
  is("LSTMCell: hidden must be at least 1, got 0", [] { nn::LSTMCell(2, 0); });
  is("GRUCell: hidden must be at least 1, got -1", [] { nn::GRUCell(2, -1); });

  is("MultiheadAttention: width must be at least 1, got -6", [] { nn::MultiheadAttention(-6, 2); });
  is("MultiheadAttention: heads must be at least 1, got 0", [] { nn::MultiheadAttention(6, 0); });
  is("TransformerBlock: feedforward must be at least 0, got -8",
     [] { nn::TransformerBlock(6, 2, {.feedforward = -8}); });
  is("Transformer: blocks must be at least 0, got -1", [] { nn::Transformer(6, 2, -1); });
  is("LearnedPositions: most_steps must be at least 0, got -1", [] { nn::LearnedPositions(-1, 6); });
  is("RotaryPositions: width must be at least 0, got -2", [] { nn::RotaryPositions(-2); });
  is("sinusoids: steps must be at least 0, got -1", [] { nn::sinusoids(-1, 6); });

  is("ActNorm: n must be at least 0, got -1", [] { nn::ActNorm(-1); });
  is("InvertibleLinear: n must be at least 0, got -1", [] { nn::InvertibleLinear(-1); });
  is("Permutation: n must be at least 0, got -1", [] { nn::Permutation(-1); });
  is("deepnorm: layers must be at least 1, got 0", [] { nn::deepnorm(0); });
  is("deepnorm: decoder_layers must be at least 1, got 0", [] { nn::deepnorm(3, 0); });
}

TEST_CASE("modules refuse numbers that make NaN of every input, by name") {
  const auto is = [](const std::string& message, auto make) { CHECK(error_of(make) == message); };
  is("LayerNorm: eps must be finite and at least 0, got -1e-05", [] { nn::LayerNorm(2, {.eps = -1e-5}); });
  is("LayerNorm: eps must be finite and at least 0, got nan", [] { nn::LayerNorm(2, {.eps = NAN}); });
  is("LayerNorm: eps must be finite and at least 0, got -2", [] { nn::TransformerBlock(6, 2, {.eps = -2}); });
  is("RMSNorm: eps must be finite and at least 0, got inf", [] { nn::RMSNorm(2, {.eps = INFINITY}); });
  is("GroupNorm: eps must be finite and at least 0, got -1", [] { nn::GroupNorm(2, 4, {.eps = -1}); });
  is("BatchNorm1d: eps must be finite and at least 0, got -1", [] { nn::BatchNorm1d(2, {.eps = -1}); });
  is("BatchNorm2d: momentum must be in [0, 1], got 1.500000", [] { nn::BatchNorm2d(2, {.momentum = 1.5}); });
  is("BatchNorm2d: momentum must be in [0, 1], got nan", [] { nn::BatchNorm2d(2, {.momentum = NAN}); });
  is("ActNorm: eps must be finite and at least 0, got -1", [] { nn::ActNorm(2, {.eps = -1}); });
  for (const double cap : {double(INFINITY), -1., 0.})
    is("spectral_norm: cap must be positive and finite, got " + std::to_string(cap),
       [cap] { nn::spectral_norm(nn::Linear(2, 2), {.cap = cap}); });
  CHECK(nn::LayerNorm(2, {.eps = 0}).eps == 0);
  CHECK(nn::RMSNorm(2).eps == std::nullopt);
  CHECK(nn::BatchNorm1d(2, {.momentum = {}}).momentum == std::nullopt);
}

TEST_CASE("modules of no features or rows are allowed where that makes sense") {
  CHECK(nn::Linear(0, 2)(zeros({3, 0})).shape() == Shape{3, 2});
  CHECK(nn::Linear(2, 0)(zeros({3, 2})).shape() == Shape{3, 0});
  CHECK(nn::Embedding(4, 0)(tensor({1, 2})).shape() == Shape{2, 0});
  CHECK(nn::Conv2d(2, 0, 1)(zeros({3, 2, 4, 4})).shape() == Shape{3, 0, 4, 4});
  CHECK(nn::Transformer(6, 2, 0)(zeros({1, 2, 6})).shape() == Shape{1, 2, 6});
}
