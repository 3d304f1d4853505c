#include <cmath>

#include "fathom/autograd/backward.h"
#include "fathom/autograd/grad.h"
#include "fathom/nn/recurrent.h"
#include "tests/nn/modules.h"
#include "tests/nn/recurrent_values.h"
#include "tests/nn/waves.h"

using namespace fathom;

namespace {

void check_close(const Tensor& x, const std::vector<double>& expected) {
  const auto got = x.to_vector();
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-10));
}
bool same(const Tensor& a, const Tensor& b) { return a.shape() == b.shape() && allclose(a, b, 1e-12, 1e-12); }

// f(x, h0, c0) is the output and both states, of m.
template <class Net, class F>
void check_values(Net m, const RecurrentValues& expected, F f) {
  set_waves(m);
  const Tensor x = leaf(waves({3, 2, 2}, 0.5)), h0 = leaf(waves({4, 2, 3}, 0.25)), c0 = leaf(waves({4, 2, 3}, 0.75));
  const LSTMSequence all = f(m, x, h0, c0);
  Tensor loss = sum(all.output * waves(all.output.shape(), 0.1)) + sum(all.state.h * waves({4, 2, 3}, 0.2));
  if (all.state.c.defined()) loss = loss + sum(all.state.c * waves({4, 2, 3}, 0.3));
  loss.backward();
  CHECK(loss.item() == doctest::Approx(expected.loss).epsilon(1e-10));
  check_close(all.output[0], expected.y);
  check_close(x.grad(), expected.dx);
  check_close(h0.grad(), expected.dh);
  if (all.state.c.defined()) check_close(c0.grad(), expected.dc);
  const auto parameters = m.parameters();
  REQUIRE(parameters.size() == expected.sums.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    CHECK(sum(parameters[i].grad()).item() == doctest::Approx(expected.sums[i]).epsilon(1e-10));
    CHECK(sum(square(parameters[i].grad())).item() == doctest::Approx(expected.squares[i]).epsilon(1e-10));
  }
}
constexpr auto with_h = [](auto& m, const Tensor& x, const Tensor& h0, const Tensor&) {
  auto [y, h] = m(x, h0);
  return LSTMSequence{y, {h, {}}};
};

}  // namespace

TEST_CASE("recurrent: PyTorch's values and gradients, two layers in two directions") {
  check_values(nn::RNN(2, 3, {.layers = 2, .bidirectional = true, .dtype = f64}), rnn_values, with_h);
  check_values(nn::RNN(2, 3, {.layers = 2, .nonlinearity = Nonlinearity::relu, .bidirectional = true, .dtype = f64}),
               rnn_relu_values, with_h);
  check_values(nn::GRU(2, 3, {.layers = 2, .bidirectional = true, .dtype = f64}), gru_values, with_h);
  check_values(nn::LSTM(2, 3, {.layers = 2, .bidirectional = true, .dtype = f64}), lstm_values,
               [](auto& m, const Tensor& x, const Tensor& h0, const Tensor& c0) {
                 return m(x, LSTMState{h0, c0});
               });
}

TEST_CASE("recurrent: names and shapes of the parameters are PyTorch's") {
  const auto list = [](const nn::Module& m) {
    std::string text;
    for (const auto& each : m.named_parameters()) text += each.name + to_string(each.tensor.shape()) + " ";
    return text;
  };
  CHECK(list(nn::RNN(2, 3)) == "weight_ih_l0(3, 2) weight_hh_l0(3, 3) bias_ih_l0(3) bias_hh_l0(3) ");
  CHECK(list(nn::LSTM(2, 3, {.bias = false})) == "weight_ih_l0(12, 2) weight_hh_l0(12, 3) ");
  CHECK(list(nn::GRU(2, 3, {.layers = 2, .bias = false, .bidirectional = true})) ==
        "weight_ih_l0(9, 2) weight_hh_l0(9, 3) weight_ih_l0_reverse(9, 2) weight_hh_l0_reverse(9, 3) "
        "weight_ih_l1(9, 6) weight_hh_l1(9, 3) weight_ih_l1_reverse(9, 6) weight_hh_l1_reverse(9, 3) ");
  CHECK(list(nn::LSTMCell(2, 3)) == "weight_ih(12, 2) weight_hh(12, 3) bias_ih(12) bias_hh(12) ");
  CHECK(forgotten_by_fields([] { return nn::LSTM(2, 3, {.layers = 2, .bidirectional = true}); }).empty());
  CHECK(forgotten_by_fields([] { return nn::GRUCell(2, 3); }).empty());
}

TEST_CASE("recurrent: initial distribution, forget bias, identity") {
  manual_seed(1);
  nn::LSTM plain(4, 25);
  double largest = 0;
  for (const Tensor& w : plain.parameters()) largest = std::max(largest, amax(abs(w)).item());
  CHECK(largest <= 0.2);
  CHECK(largest > 0.19);
  const nn::LSTM forgetful(2, 3, {.forget_bias = 1});
  const auto b = forgetful.weights[0].bias_ih.to_vector(), c = forgetful.weights[0].bias_hh.to_vector();
  for (size_t i = 0; i < 12; ++i) {
    const bool forget = i >= 3 && i < 6;
    CHECK((b[i] == 1 && c[i] == 0) == forget);
  }
  CHECK(nn::LSTMCell(2, 3, {.forget_bias = -2}).bias_ih.to_vector()[3] == -2);
  const nn::RNN irnn(2, 3, {.nonlinearity = Nonlinearity::relu, .identity = true});
  CHECK(irnn.weights[0].weight_hh.to_vector() == eye(3).to_vector());
  CHECK(irnn.weights[0].bias_hh.to_vector() == std::vector<double>(3, 0));
  CHECK(amax(abs(irnn.weights[0].weight_ih)).item() < 0.01);
  CHECK(error_of([] { nn::LSTM(2, 3, {.bias = false, .forget_bias = 1}); }) == "LSTM: a forget_bias without biases");
}

TEST_CASE("recurrent: derivatives in all parameters, both modes, to second order") {
  for (const bool two : {false, true}) {
    nn::RNN rnn_(2, 3, {.layers = 2, .bidirectional = two});
    nn::LSTM lstm_(2, 3, {.batch_first = true, .bidirectional = two});
    nn::GRU gru_(2, 2, {.bias = false, .bidirectional = two});
    check_module(rnn_, normal({3, 2, 2}));
    check_module(lstm_, normal({2, 3, 2}));
    check_module(gru_, normal({3, 2, 2}));
  }
  nn::RNNCell a(2, 3);
  nn::LSTMCell b(2, 3);
  nn::GRUCell c(2, 3);
  check_module(a, normal({2, 2}));
  check_module(b, normal({2, 2}));
  check_module(c, normal({2}));
}

TEST_CASE("recurrent: batch-first, no batch, one sample") {
  nn::LSTM m(2, 3, {.layers = 2, .bidirectional = true, .dtype = f64}),
      first(2, 3, {.layers = 2, .batch_first = true, .bidirectional = true, .dtype = f64});
  first.load_from(m);
  CHECK(m.batch_axis() == 1);
  CHECK(first.batch_axis() == 0);
  const Tensor x = normal({5, 4, 2}), h = normal({4, 4, 3}, 2), c = normal({4, 4, 3}, 3);
  const auto [y, state] = m(x, LSTMState{h, c});
  const auto [yt, state_t] = first(transpose(x, 0, 1), LSTMState{h, c});
  CHECK(same(y, transpose(yt, 0, 1)));
  CHECK(same(state.h, state_t.h));
  CHECK(same(state.c, state_t.c));
  CHECK(yt.shape() == Shape{4, 5, 6});
  const auto [one, one_state] = m(select(x, 1, 2), LSTMState{select(h, 1, 2), select(c, 1, 2)});
  CHECK(same(one, select(y, 1, 2)));
  CHECK(same(one_state.c, select(state.c, 1, 2)));
  CHECK(same(m(x), m(x, LSTMState{}).output));
  CHECK(m(zeros({5, 0, 2}, {.dtype = f64})).shape() == Shape{5, 0, 6});
  nn::GRU narrow(2, 3);
  sum(narrow(zeros({5, 0, 2}))).backward();
  CHECK(narrow.weights[0].weight_hh.grad().to_vector() == std::vector<double>(27, 0));
}

TEST_CASE("recurrent: chunks with carried states are the whole; detach truncates the gradient") {
  const Tensor x = leaf(normal({6, 2, 2}));
  nn::LSTM m(2, 3, {.layers = 2, .dtype = f64});
  nn::GRU g(2, 3, {.layers = 2, .dtype = f64});
  const auto [whole, last] = m(x, LSTMState{});
  const auto [a, middle] = m(slice(x, 0, 0, 4), LSTMState{});
  const auto [b, end] = m(slice(x, 0, 4, 6), middle);
  CHECK(same(whole, concat({a, b})));
  CHECK(same(last.h, end.h));
  CHECK(same(last.c, end.c));
  CHECK(same(grad(sum(square(whole[-1])), x), grad(sum(square(b[-1])), x)));
  const Tensor truncated = grad(sum(square(m(slice(x, 0, 4, 6), middle.detach()).output)), x);
  CHECK(amax(abs(slice(truncated, 0, 0, 4))).item() == 0);
  CHECK(amax(abs(slice(truncated, 0, 4, 6))).item() > 0);

  const auto [gw, gh] = g(x, Tensor());
  const auto [ga, gm] = g(slice(x, 0, 0, 4), Tensor());
  const auto [gb, ge] = g(slice(x, 0, 4, 6), gm);
  CHECK(same(gw, concat({ga, gb})));
  CHECK(same(gh, ge));
}

TEST_CASE("recurrent: a cell, step by step, is the sequence") {
  const Tensor x = normal({4, 2, 2});
  const auto give = [](auto& cell, const auto& m) {
    const NoGrad off;
    const auto to = cell.parameters(), from = m.parameters();
    for (size_t i = 0; i < to.size(); ++i) Tensor(to[i]).copy_(from[i]);
  };
  nn::RNN rnn_(2, 3, {.nonlinearity = Nonlinearity::relu, .dtype = f64});
  nn::RNNCell rnn_step(2, 3, {.nonlinearity = Nonlinearity::relu, .dtype = f64});
  give(rnn_step, rnn_);
  nn::LSTM lstm_(2, 3, {.dtype = f64});
  nn::LSTMCell lstm_step(2, 3, {.dtype = f64});
  give(lstm_step, lstm_);
  nn::GRU gru_(2, 3, {.dtype = f64});
  nn::GRUCell gru_step(2, 3, {.dtype = f64});
  give(gru_step, gru_);
  const Tensor by_rnn = rnn_(x), by_lstm = lstm_(x), by_gru = gru_(x);
  Tensor h, k;
  LSTMState state;
  for (int64_t t = 0; t < 4; ++t) {
    h = rnn_step(x[t], h);
    k = gru_step(x[t], k);
    state = lstm_step(x[t], state);
    CHECK(same(h, by_rnn[t]));
    CHECK(same(k, by_gru[t]));
    CHECK(same(state.h, by_lstm[t]));
  }
  CHECK(same(lstm_step(x[0][1]), by_lstm[0][1]));
}

TEST_CASE("recurrent: dropout between layers, in training only") {
  nn::RNN m(2, 3, {.layers = 2, .dropout = 1}), alone(2, 3, {.dropout = 1});
  const Tensor x = normal({4, 2, 2}, 1, f32), zero = zeros({4, 2, 3});
  const RecurrentWeights& top = m.weights[1];
  CHECK(same(m(x), rnn(zero, {}, top)));
  m.eval();
  CHECK_FALSE(allclose(m(x), rnn(zero, {}, top)));
  const Tensor in_training = alone(x);
  alone.eval();
  CHECK(same(in_training, alone(x)));
}

TEST_CASE("recurrent: every form of a call is observed, once") {
  struct Count final : nn::Observer {
    int calls = 0;
    Shape y;
    Tensor before(nn::Module&, Tensor x) override { return x; }
    void after(nn::Module&, const Tensor&, const Tensor& out) override { ++calls, y = out.shape(); }
  } count;
  nn::LSTM m(2, 3);
  nn::LSTMCell cell(2, 3);
  nn::GRUCell gru_step(2, 3);
  const Tensor x = zeros({4, 5, 2});
  const auto check = [&](auto call, const Shape& y) {
    count.calls = 0;
    nn::observer = &count;
    call();
    nn::observer = nullptr;
    CHECK(count.calls == 1);
    CHECK(count.y == y);
  };
  check([&] { m(x); }, {4, 5, 3});
  check([&] { m(x, LSTMState{}); }, {4, 5, 3});
  check([&] { cell(x[0]); }, {5, 3});
  check([&] { cell(x[0], LSTMState{}); }, {5, 3});
  check([&] { gru_step(x[0]); }, {5, 3});
  check([&] { gru_step(x[0], Tensor()); }, {5, 3});
}

TEST_CASE("recurrent: bad input") {
  CHECK(error_of([] { nn::LSTM(2, 3, {.dropout = 1.5}); }) == "LSTM: dropout is not in [0, 1]: 1.500000");
  nn::LSTM m(2, 3);
  nn::GRU first(2, 3, {.batch_first = true});
  CHECK(error_of([&] { m(zeros({4, 5, 3})); }) == "LSTM: x is (steps, batch, 2), got (4, 5, 3)");
  CHECK(error_of([&] { first(zeros({2})); }) == "GRU: x is (batch, steps, 2), got (2)");
  CHECK(error_of([&] {
          m(zeros({4, 5, 2}), LSTMState{zeros({1, 5, 3}), zeros({5, 3})});
        }) == "LSTM: the state c is (layers * directions, batch, hidden) = (1, 5, 3), got (5, 3)");
  CHECK(error_of([&] {
          first(zeros({4, 5, 2}), zeros({1, 5, 3}));
        }) == "GRU: the state h is (layers * directions, batch, hidden) = (1, 4, 3), got (1, 5, 3)");
  CHECK(error_of([&] { m(zeros({0, 5, 2})); }) == "lstm: a sequence of no steps: (0, 5, 2)");
  CHECK(error_of([&] { m(zeros({4, 5, 2}, {.dtype = f64})); }).starts_with("lstm: "));
  nn::RNNCell cell(2, 3);
  CHECK(error_of([&] { cell(zeros({1, 1, 2})); }) == "RNNCell: x is (batch, in) or (in), got (1, 1, 2)");
}
