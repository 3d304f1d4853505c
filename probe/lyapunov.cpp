#include "fathom/probe/lyapunov.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <iomanip>
#include <numeric>
#include <ostream>

#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/recording.h"
#include "fathom/probe/blocks.h"
#include "fathom/probe/samples.h"

namespace fathom::probe {
namespace {

constexpr uint64_t lyapunov_stream = 0x6c796170756e6f76;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// log |det| of the square block of a sample.
double log_abs_det(Block& block, int64_t sample) {
  const int64_t n = block.size;
  std::vector<double> m(size_t(n * n));
  for (int64_t c = 0; c < n; ++c) std::copy_n(block.of(c, sample), n, m.data() + c * n);
  double log = 0;
  for (int64_t c = 0; c < n; ++c) {
    int64_t pivot = c;
    for (int64_t r = c + 1; r < n; ++r)
      if (std::abs(m[size_t(r * n + c)]) > std::abs(m[size_t(pivot * n + c)])) pivot = r;
    std::swap_ranges(m.data() + c * n, m.data() + (c + 1) * n, m.data() + pivot * n);
    const double* top = m.data() + c * n;
    log += std::log(std::abs(top[c]));
    for (int64_t r = c + 1; r < n && top[c] != 0; ++r) {
      double* row = m.data() + r * n;
      const double factor = row[c] / top[c];
#pragma GCC ivdep
      for (int64_t k = c + 1; k < n; ++k) row[k] -= factor * top[k];
    }
  }
  return log;
}

// The state (trajectories, n) in `copies` copies, one below the other.
Tensor copies_of(const Tensor& h, int64_t copies) {
  return h.unsqueeze(0).expand({copies, h.size(0), h.size(1)}).reshape({copies * h.size(0), h.size(1)});
}

// The block Q that is carried along, and the sums of log |R_ii|.
class Tangents {
 public:
  Tangents(const LyapunovOptions& options, int64_t k, int64_t trajectories, int64_t n)
      : options_(options), sums_(options, k, n, trajectories, 1), block_(k, trajectories, n) {
    Rng rng(options.seed, lyapunov_stream);
    block_.fill_normal(rng);
    decompose(false);
  }

  // Q becomes J_t Q or J_t^T Q, J_t at the state `from`; returns the state after the step.
  Tensor carry(TensorStep step, const Tensor& from, int64_t t) {
    const Recording on(true);
    const Tensor h = copies_of(from, block_.columns).detach().requires_grad_(), y = step(h, t);
    if (y.shape() != h.shape() || y.dtype() != h.dtype())
      throw Error("lyapunov: step " + std::to_string(t) + " made " + to_string(y.shape()) + " and " +
                  to_string(y.dtype()) + " of states of " + to_string(h.shape()) + " and " + to_string(h.dtype()));
    const Tensor q = from_rows(block_.numbers.data(), h.shape(), h.dtype(), -1);
    to_rows(options_.reverse ? vjp(y, h, q) : jvp(y, h, q), -1, block_.numbers.data());
    return kernel::clone(y.detach().slice(0, 0, from.size(0)));  // the copies of one state stay the same
  }

  // one(t) carries Q along the t-th step, those of the transient first.
  template <class F>
  Lyapunov run(F one) {
    const int64_t transient = options_.transient;
    for (int64_t t = 0; t < transient; ++t) one(t), stepped(false, t + 1 == transient);
    for (int64_t segment = 0, t = 0; segment < sums_.segments(); ++segment) {
      for (; t < sums_.end(segment); ++t) one(transient + t), stepped(true, t + 1 == sums_.end(segment));
      sums_.add(logs_, log_dets_);
      std::fill(logs_.begin(), logs_.end(), 0.0);
      std::fill(log_dets_.begin(), log_dets_.end(), 0.0);
    }
    return sums_.result();
  }

 private:
  void stepped(bool counts, bool last) {
    if (++since_ < options_.qr_every && !last) return;
    since_ = 0;
    decompose(counts);
  }
  void decompose(bool counts) {
    const int64_t k = block_.columns;
    std::vector<double> r(size_t(k * k));
    logs_.resize(size_t(block_.batch * k)), log_dets_.resize(size_t(block_.batch));
    for (int64_t i = 0; i < block_.batch; ++i) {
      if (counts && k == block_.size) log_dets_[size_t(i)] += log_abs_det(block_, i);
      block_.orthonormalise(i, r.data());
      for (int64_t c = 0; counts && c < k; ++c) logs_[size_t(i * k + c)] += std::log(r[size_t(c * k + c)]);
    }
  }

  const LyapunovOptions& options_;
  LyapunovSums sums_;
  Block block_;
  int64_t since_ = 0;
  std::vector<double> logs_, log_dets_;
};

void check(const LyapunovOptions& o, int64_t n) {
  const auto refuse = [](const char* name, int64_t value, const std::string& needed) {
    throw Error(std::string("lyapunov: ") + name + " is " + std::to_string(value) + ", " + needed);
  };
  if (o.steps < 1) refuse("steps", o.steps, "at least 1 is needed");
  if (o.transient < 0) refuse("transient", o.transient, "at least 0 is needed");
  if (o.qr_every < 1) refuse("qr_every", o.qr_every, "at least 1 is needed");
  if (o.points < 1) refuse("points", o.points, "at least 1 is needed");
  if (o.exponents < 0 || o.exponents > n)
    refuse("exponents", o.exponents, "of a state of " + std::to_string(n) + " numbers");
}

// One step of a module on the states of its layers, side by side.
struct Unrolled {
  int64_t in, hidden, parts;  // parts: 2 where a layer keeps h and c
  const std::vector<RecurrentWeights>& weights;
  std::function<LSTMState(const Tensor& x, const LSTMState& s, const RecurrentWeights& w)> cell;

  int64_t size() const { return int64_t(weights.size()) * hidden * parts; }
  Tensor step(Tensor x, const Tensor& s) const {
    std::vector<Tensor> next;
    int64_t at = 0;
    const auto part = [&] {
      at += hidden;
      return s.slice(1, at - hidden, at);
    };
    for (const RecurrentWeights& w : weights) {
      LSTMState state{part(), {}};
      if (parts == 2) state.c = part();
      state = cell(x, state, w);
      x = state.h;
      next.push_back(state.h);
      if (parts == 2) next.push_back(state.c);
    }
    return next.size() == 1 ? next[0] : concat(next, 1);
  }
};

// Throws Error where the module goes both ways.
void check_directions(nn::Recurrent& module, int64_t in, int64_t hidden) {
  const NoGrad off;
  const bool training = module.training;
  module.training = false;
  const int64_t width = module.forward(kernel::full({1, 1, in}, 0, module.weights[0].weight_ih.dtype())).size(2);
  module.training = training;
  if (width != hidden) throw Error("lyapunov: a module in two directions has no state that goes forward");
}
Unrolled unrolled(const nn::Recurrent& module, int64_t parts, decltype(Unrolled::cell) cell) {
  const RecurrentWeights& w = module.weights.at(0);
  const Unrolled u{w.weight_ih.size(1), w.weight_hh.size(1), parts, module.weights, std::move(cell)};
  check_directions(const_cast<nn::Recurrent&>(module), u.in, u.hidden);
  return u;
}
Unrolled unrolled(const nn::RNN& rnn) {
  return unrolled(rnn, 1, [kind = rnn.nonlinearity](const Tensor& x, const LSTMState& s, const RecurrentWeights& w) {
    return LSTMState{rnn_cell(x, s.h, w, kind), {}};
  });
}
Unrolled unrolled(const nn::LSTM& lstm) {
  return unrolled(lstm, 2,
                  [](const Tensor& x, const LSTMState& s, const RecurrentWeights& w) { return lstm_cell(x, s, w); });
}
Unrolled unrolled(const nn::GRU& gru) {
  return unrolled(gru, 1, [](const Tensor& x, const LSTMState& s, const RecurrentWeights& w) {
    return LSTMState{gru_cell(x, s.h, w), {}};
  });
}

// As (steps, batch, in).
Tensor checked_inputs(const Unrolled& module, const Tensor& inputs) {
  const Tensor x = inputs.dim() == 2 ? inputs.unsqueeze(1) : inputs;
  if (x.dim() != 3 || x.size(2) != module.in)
    throw Error("lyapunov: inputs of shape " + to_string(inputs.shape()) + " for a module of " +
                std::to_string(module.in) + " inputs");
  return x;
}

Lyapunov lyapunov(const Unrolled& module, const Tensor& inputs, LyapunovOptions options) {
  const Tensor x = checked_inputs(module, inputs).detach();
  const int64_t left = x.size(0) - options.transient * (options.reverse ? 2 : 1);
  if (left < 1)
    throw Error("lyapunov: " + std::to_string(x.size(0)) + " inputs and a transient of " +
                std::to_string(options.transient) + " steps leave none to measure");
  options.steps = std::min(options.steps, left);
  if (options.exponents == 0) options.exponents = std::min<int64_t>(16, module.size());
  const auto step = [&](const Tensor& s, int64_t t) {
    return module.step(copies_of(x.select(0, t), s.size(0) / x.size(1)), s);
  };
  return probe::lyapunov(step, kernel::full({x.size(1), module.size()}, 0, x.dtype()), options);
}

std::vector<Tensor> states_along(const Unrolled& module, const Tensor& inputs) {
  const Tensor x = checked_inputs(module, inputs);
  std::vector<Tensor> states{kernel::full({x.size(1), module.size()}, 0, x.dtype()).requires_grad_()};
  for (int64_t t = 0; t < x.size(0); ++t) states.push_back(module.step(x.select(0, t), states.back()));
  return states;
}

}  // namespace

LyapunovSums::LyapunovSums(const LyapunovOptions& options, int64_t exponents, int64_t dimension, int64_t trajectories,
                           double unit)
    : exponents_(exponents),
      trajectories_(trajectories),
      complete_(exponents == dimension),
      unit_(unit),
      start_(now()) {
  check(options, dimension);
  const int64_t points = std::min(options.points, options.steps);
  for (int64_t p = 1; p <= points; ++p) ends_.push_back(options.steps * p / points);
}

void LyapunovSums::add(std::span<const double> logs, std::span<const double> log_dets) {
  logs_.emplace_back(logs.begin(), logs.end());
  log_dets_.push_back(std::accumulate(log_dets.begin(), log_dets.end(), 0.0));
}

std::vector<double> LyapunovSums::standard_errors(std::span<const double> exponents) const {
  const size_t k = size_t(exponents_), n = size_t(trajectories_);
  const double count = double(logs_.size());
  std::vector<double> errors(k, NAN);
  for (size_t c = 0; c < k && count > 1; ++c) {
    double squares = 0;
    for (size_t s = 0; s < logs_.size(); ++s) {
      const double time = double(ends_[s] - (s ? ends_[s - 1] : 0)) * unit_;
      double rate = 0;
      for (size_t i = 0; i < n; ++i) rate += logs_[s][i * k + c] / time / double(n);
      squares += (rate - exponents[c]) * (rate - exponents[c]);
    }
    errors[c] = std::sqrt(squares / (count - 1) / count);
  }
  return errors;
}

Lyapunov LyapunovSums::result() const {
  Lyapunov result;
  const size_t k = size_t(exponents_), n = size_t(trajectories_);
  std::vector<double> sums(n * k, 0.0);
  for (size_t s = 0; s < logs_.size(); ++s) {
    for (size_t i = 0; i < n * k; ++i) sums[i] += logs_[s][i];
    Lyapunov::Point point{double(ends_[s]) * unit_, std::vector<double>(k, 0.0)};
    for (size_t i = 0; i < n * k; ++i) point.exponents[i % k] += sums[i] / point.time / double(n);
    result.curve.push_back(std::move(point));
  }
  result.time = result.curve.back().time;
  result.exponents = result.curve.back().exponents;
  result.standard_errors = standard_errors(result.exponents);
  for (size_t i = 0; i < n; ++i) {
    result.trajectories.emplace_back(k);
    for (size_t c = 0; c < k; ++c) result.trajectories[i][c] = sums[i * k + c] / result.time;
  }
  result.complete = complete_;
  result.dimension = kaplan_yorke(result.exponents, complete_);
  if (complete_) {
    result.log_det = std::accumulate(log_dets_.begin(), log_dets_.end(), 0.0) / result.time / double(n);
    result.sum_error =
        std::abs(std::accumulate(result.exponents.begin(), result.exponents.end(), 0.0) - result.log_det);
  }
  result.seconds = now() - start_;
  return result;
}

double kaplan_yorke(std::span<const double> exponents, bool complete) {
  std::vector<double> sorted(exponents.begin(), exponents.end());
  if (std::any_of(sorted.begin(), sorted.end(), [](double l) { return std::isnan(l); })) return NAN;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  double sum = 0;
  for (size_t j = 0; j < sorted.size(); ++j) {
    if (sum + sorted[j] < 0) return double(j) + sum / std::abs(sorted[j]);
    sum += sorted[j];
  }
  return complete ? double(sorted.size()) : NAN;
}

Lyapunov lyapunov(TensorStep step, const Tensor& h0, const LyapunovOptions& options) {
  if ((h0.dim() != 1 && h0.dim() != 2) || h0.numel() == 0 || !is_floating(h0.dtype()))
    throw Error("lyapunov: a state of shape " + to_string(h0.shape()) + " and " + to_string(h0.dtype()) +
                ", not (n) or (trajectories, n) of floating numbers");
  Tensor state = kernel::clone(h0.dim() == 1 ? h0.unsqueeze(0).detach() : h0.detach());
  const int64_t n = state.size(1);
  Tangents tangents(options, options.exponents ? options.exponents : n, state.size(0), n);
  if (!options.reverse) return tangents.run([&](int64_t t) { state = tangents.carry(step, state, t); });
  // There without tangents, and back with them: their transient is at the far end.
  std::vector<Tensor> states;
  for (int64_t t = 0; t < 2 * options.transient + options.steps; ++t) {
    const NoGrad off;
    states.push_back(state);
    state = kernel::clone(step(state, t));
  }
  return tangents.run([&](int64_t) {
    state = std::move(states.back());
    states.pop_back();
    tangents.carry(step, state, int64_t(states.size()));
  });
}

Lyapunov lyapunov(const nn::RNN& rnn, const Tensor& inputs, const LyapunovOptions& options) {
  return lyapunov(unrolled(rnn), inputs, options);
}
Lyapunov lyapunov(const nn::LSTM& lstm, const Tensor& inputs, const LyapunovOptions& options) {
  return lyapunov(unrolled(lstm), inputs, options);
}
Lyapunov lyapunov(const nn::GRU& gru, const Tensor& inputs, const LyapunovOptions& options) {
  return lyapunov(unrolled(gru), inputs, options);
}
std::vector<Tensor> states_along(const nn::RNN& rnn, const Tensor& inputs) {
  return states_along(unrolled(rnn), inputs);
}
std::vector<Tensor> states_along(const nn::LSTM& lstm, const Tensor& inputs) {
  return states_along(unrolled(lstm), inputs);
}
std::vector<Tensor> states_along(const nn::GRU& gru, const Tensor& inputs) {
  return states_along(unrolled(gru), inputs);
}

std::ostream& operator<<(std::ostream& out, const Lyapunov& l) {
  const auto precision = out.precision(6);
  out << "Lyapunov exponents over " << l.time << " (" << l.seconds << " s)";
  if (l.trajectories.size() > 1) out << ", mean of " << l.trajectories.size() << " trajectories";
  for (size_t i = 0; i < l.exponents.size(); ++i)
    out << '\n' << std::setw(4) << i + 1 << std::setw(14) << l.exponents[i] << " +- " << l.standard_errors[i];
  if (l.complete) out << "\n sum - mean log |det J|: " << l.sum_error;
  if (!std::isnan(l.dimension)) out << "\n Kaplan-Yorke dimension: " << l.dimension;
  out.precision(precision);
  return out;
}

}  // namespace fathom::probe
