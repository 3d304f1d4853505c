#include "fathom/autograd/ops/recurrent.h"

#include <cmath>

#include "fathom/autograd/backward.h"
#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/recording.h"
#include "fathom/tensor/parallel.h"
#include "tests/autograd/tensors.h"
#include "tests/support.h"

using namespace fathom;

namespace {

Tensor small(const Shape& shape, uint64_t seed, Dtype dtype = f64) { return normal(shape, seed, dtype) * 0.7; }

// x, h0, the weights, c0; the ops as functions of them, outputs and last c in one tensor.
std::vector<Tensor> inputs(int64_t gates, int64_t steps, int64_t batch, int64_t in, int64_t hidden, Dtype dtype = f64) {
  return {small({steps, batch, in}, 1, dtype),   small({batch, hidden}, 2, dtype),
          small({gates * hidden, in}, 3, dtype), small({gates * hidden, hidden}, 4, dtype),
          small({gates * hidden}, 5, dtype),     small({gates * hidden}, 6, dtype),
          small({batch, hidden}, 7, dtype)};
}
RecurrentWeights weights(List in) { return {in[2], in[3], in[4], in[5]}; }

Tensor linear_of(const Tensor& x, const Tensor& w, const Tensor& b) { return matmul(x, transpose(w)) + b; }

struct Case {
  const char* name;
  int64_t gates;
  Tensor (*fused)(List, bool reverse);
  Tensor (*step)(const Tensor& x, const Tensor& h, Tensor& c, List);  // by ops
};
const Case cases[] = {
    {"tanh", 1,
     [](List in, bool reverse) { return rnn(in[0], in[1], weights(in), Nonlinearity::tanh, {.reverse = reverse}); },
     [](const Tensor& x, const Tensor& h, Tensor&, List in) {
       return tanh(linear_of(x, in[2], in[4]) + linear_of(h, in[3], in[5]));
     }},
    {"relu", 1,
     [](List in, bool reverse) { return rnn(in[0], in[1], weights(in), Nonlinearity::relu, {.reverse = reverse}); },
     [](const Tensor& x, const Tensor& h, Tensor&, List in) {
       return relu(linear_of(x, in[2], in[4]) + linear_of(h, in[3], in[5]));
     }},
    {"lstm", 4,
     [](List in, bool reverse) {
       const auto [y, state] = lstm(in[0], {in[1], in[6]}, weights(in), {.reverse = reverse});
       return concat({y, unsqueeze(state.c, 0)});
     },
     [](const Tensor& x, const Tensor& h, Tensor& c, List in) {
       const auto z = chunk(linear_of(x, in[2], in[4]) + linear_of(h, in[3], in[5]), 4, -1);
       c = sigmoid(z[1]) * c + sigmoid(z[0]) * tanh(z[2]);
       return sigmoid(z[3]) * tanh(c);
     }},
    {"gru", 3, [](List in, bool reverse) { return gru(in[0], in[1], weights(in), {.reverse = reverse}); },
     [](const Tensor& x, const Tensor& h, Tensor&, List in) {
       const auto a = chunk(linear_of(x, in[2], in[4]), 3, -1), b = chunk(linear_of(h, in[3], in[5]), 3, -1);
       const Tensor r = sigmoid(a[0] + b[0]), z = sigmoid(a[1] + b[1]), n = tanh(a[2] + r * b[2]);
       return (1 - z) * n + z * h;
     }},
};

Tensor by_ops(const Case& each, List in, bool reverse) {
  std::vector<Tensor> rows(size_t(in[0].size(0)));
  Tensor h = in[1], c = in[6];
  for (size_t k = 0; k < rows.size(); ++k) {
    const size_t t = reverse ? rows.size() - 1 - k : k;
    rows[t] = h = each.step(in[0][int64_t(t)], h, c, in);
  }
  if (each.gates == 4) rows.push_back(c);
  return stack(rows);
}

std::vector<Tensor> leaves(const std::vector<Tensor>& in) {
  std::vector<Tensor> out;
  for (const Tensor& x : in) out.push_back(x.clone().requires_grad_());
  return out;
}

}  // namespace

TEST_CASE("recurrent sequences: kernels against ops step by step, value, vjp and jvp") {
  for (const Case& each : cases)
    for (const bool reverse : {false, true})
      for (const int64_t batch : {3, 130}) {  // one block of samples and several
        CAPTURE(each.name);
        const auto in = leaves(inputs(each.gates, 4, batch, 2, 5));
        const Tensor a = each.fused(in, reverse), b = by_ops(each, in, reverse);
        CHECK(close(a, b));
        const Tensor u = small(a.shape(), 20);
        std::vector<Tensor> vs;
        for (size_t i = 0; i < in.size(); ++i) vs.push_back(small(in[i].shape(), 30 + i));
        const auto ga = vjp(a, List(in), u, {.allow_unused = true}), gb = vjp(b, List(in), u, {.allow_unused = true});
        const size_t count = each.gates == 4 ? 7 : 6;
        for (size_t i = 0; i < count; ++i) CHECK(close(ga[i], gb[i]));
        const List xs = List(in).first(count), ts = List(vs).first(count);
        CHECK(close(jvp(a, xs, ts), jvp(b, xs, ts)));
        for (size_t i = 0; i < count; ++i) {  // each input wanted alone
          CHECK(close(jvp(a, in[i], vs[i]), jvp(b, in[i], vs[i])));
          CHECK(close(vjp(a, in[i], u), gb[i]));
        }
      }
}

TEST_CASE("recurrent sequences: derivatives, both modes, to second order") {
  for (const Case& each : cases)
    for (const bool reverse : {false, true}) {
      CAPTURE(each.name);
      auto in = inputs(each.gates, 3, 2, 2, 3);
      if (each.gates != 4) in.pop_back();
      const auto f = [&](List given) {
        std::vector<Tensor> all(given.begin(), given.end());
        all.resize(7);
        return each.fused(all, reverse);
      };
      CHECK(error_of([&] { check_grads(f, in); }) == "");
      const auto from_state = [&](List given) {
        std::vector<Tensor> all(in);
        all.resize(7);
        all[1] = given[0];
        return each.fused(all, reverse);
      };
      CHECK(error_of([&] { check_grads(from_state, {in[1]}); }) == "");
      const auto without = [&](List given) {  // no state, no biases
        return each.fused(std::vector<Tensor>{given[0], {}, given[1], given[2], {}, {}, {}}, reverse);
      };
      CHECK(error_of([&] { check_grads(without, {in[0], in[2], in[3]}); }) == "");
    }
}

TEST_CASE("recurrent sequences: backwards is the reversed sequence") {
  for (const Case& each : cases) {
    auto in = inputs(each.gates, 5, 2, 3, 4);
    const Tensor y = each.fused(in, true);
    in[0] = flip(in[0], {0});
    const Tensor z = each.fused(in, false);
    CHECK(close(slice(y, 0, 0, 5), flip(slice(z, 0, 0, 5), {0})));
  }
}

TEST_CASE("recurrent cells: the rules of a step within the sequence") {
  const auto in = leaves(inputs(4, 3, 2, 2, 3));
  const auto [y, last] = lstm(in[0], {in[1], in[6]}, weights(in));
  LSTMState state{in[1], in[6]};
  for (int64_t t = 0; t < 3; ++t) state = lstm_cell(in[0][t], state, weights(in));
  CHECK(close(state.h, last.h));
  CHECK(close(state.c, last.c));
  const Tensor u = small({2, 3}, 9), loss = sum(u * state.h * state.c), whole = sum(u * last.h * last.c);
  for (const Tensor& w : in) CHECK(close(grad(loss, w), grad(whole, w)));

  for (const Case& each : cases) {
    if (each.gates == 4) continue;
    const auto of = leaves(inputs(each.gates, 3, 2, 2, 3));
    Tensor h = of[1];
    for (int64_t t = 0; t < 3; ++t)
      h = each.gates == 3 ? gru_cell(of[0][t], h, weights(of))
                          : rnn_cell(of[0][t], h, weights(of),
                                     each.name == std::string("relu") ? Nonlinearity::relu : Nonlinearity::tanh);
    const Tensor z = each.fused(of, false)[-1];
    CHECK(close(h, z));
    CHECK(close(jvp(h, of[1], u), jvp(z, of[1], u)));
  }
}

TEST_CASE("recurrent sequences: one thread and two give the same bits") {
  const int before = threads();
  for (const Case& each : cases) {
    std::vector<double> results[2];
    for (const int count : {1, 2}) {
      set_threads(count);
      const auto in = leaves(inputs(each.gates, 6, 150, 7, 65, f32));
      const Tensor y = each.fused(in, false);
      auto& all = results[count - 1];
      for (const Tensor& x : vjp(y, List(in), ones(y.shape()), {.allow_unused = true}))
        if (x.defined())
          for (double v : x.to_vector()) all.push_back(v);
      for (double v : jvp(y, in[1], in[6]).to_vector()) all.push_back(v);
    }
    CHECK(results[0] == results[1]);
  }
  set_threads(before);
}

TEST_CASE("recurrent sequences: what is changed in place is noticed; retained tapes, empty batches") {
  for (const Case& each : cases) {
    auto in = leaves(inputs(each.gates, 3, 2, 2, 3));
    const Tensor y = each.fused(in, false);
    const Tensor loss = sum(square(y));
    loss.backward({.retain_graph = true});
    const auto once = in[3].grad().to_vector();
    in[3].set_grad({});
    loss.backward();
    CHECK(in[3].grad().to_vector() == once);

    const Tensor z = each.fused(in, false);
    {
      const NoGrad off;
      in[3].mul_(2);
    }
    CHECK(error_of([&] { sum(z).backward(); }).find("needs its input of shape") != std::string::npos);
    auto empty = leaves(inputs(each.gates, 3, 0, 2, 3));
    const Tensor none = each.fused(empty, true);
    CHECK(none.numel() == 0);
    sum(none).backward();
    CHECK(amax(abs(empty[3].grad())).item() == 0);
  }
  auto in = leaves(inputs(1, 3, 2, 2, 3));
  const Tensor y = rnn(in[0], in[1], weights(in));
  {
    const NoGrad off;
    y.alias().mul_(2);
  }
  CHECK(error_of([&] { sum(y).backward(); }).starts_with("rnn: needs its output of shape (3, 2, 3)"));
}

TEST_CASE("recurrent sequences: saturation and what is not finite") {
  const double huge = 1e30, nan = std::nan("");
  const auto one = [](double x) { return full({1, 1, 1}, x); };
  const RecurrentWeights w{full({4, 1}, 1), full({4, 1}, 0), {}, {}};
  CHECK(lstm(one(huge), {}, w).state.c.item() == 1);
  CHECK(lstm(one(-huge), {}, w).state.c.item() == 0);
  CHECK(std::isnan(lstm(one(nan), {}, w).output.item()));
  const RecurrentWeights r{ones({1, 1}), ones({1, 1}), {}, {}};
  CHECK(std::isnan(rnn(one(nan), {}, r, Nonlinearity::relu).item()));
  CHECK(rnn(one(-huge), {}, r).item() == -1);
}

TEST_CASE("recurrent sequences: bad input") {
  const auto message = [](std::vector<Tensor> in) {
    in.resize(7);
    return error_of([&] { lstm(in[0], {in[1], in[6]}, weights(in)); });
  };
  const Tensor x = zeros({3, 2, 4}), ih = zeros({20, 4}), hh = zeros({20, 5});
  CHECK(message({zeros({2, 4}), {}, ih, hh}) == "lstm: x is (steps, batch, in), got (2, 4)");
  CHECK(message({zeros({0, 2, 4}), {}, ih, hh}) == "lstm: a sequence of no steps: (0, 2, 4)");
  CHECK(message({zeros({3, 2, 3}), {}, ih, hh}) ==
        "lstm: the numbers of features differ: x (3, 2, 3) and weight_ih (20, 4)");
  CHECK(message({x, {}, ih, zeros({15, 5})}) ==
        "lstm: the weights are no (4 hidden, in) and (4 hidden, hidden): weight_ih (20, 4) and weight_hh (15, 5)");
  CHECK(message({x, {}, ih, hh, zeros({5})}) == "lstm: weight and bias differ: weight_hh (20, 5) and bias_ih (5)");
  CHECK(message({x, zeros({2, 4}), ih, hh}) == "lstm: the state h is (batch, hidden) = (2, 5), got (2, 4)");
  CHECK(message({x, {}, ih, hh, {}, {}, zeros({5})}) == "lstm: the state c is (batch, hidden) = (2, 5), got (5)");
  CHECK(message({tensor({{{1}}}), {}, ih, hh}) == "lstm: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(message({x, {}, zeros({20, 4}, {.dtype = f64}), hh}).starts_with("lstm: "));
}
