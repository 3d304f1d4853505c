// Lyapunov exponents: how fast what is near a trajectory is driven apart, by the directions of a block Q that is
// carried along, Q <- J_t Q, and made orthonormal again (QR; Benettin et al. 1980). The exponents are the means of log
// |R_ii|.
//
//   auto henon = [](const auto& x) { return std::array{1 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]}; };
//   std::cout << probe::lyapunov_map(henon, std::array{0.1, 0.1});
//
//   1. Units are nats (natural logarithms) a step, of flows nats a unit of time.
//   2. The order is forward: the tangent product is J_T ... J_1. The reverse form goes back through the same steps with
//      J_t^T and has the same limit.
//   3. The sum rule is checked apart: the exponents add up to the mean of log |det J_t|, if all are asked for.
#pragma once
#include <iosfwd>
#include <span>
#include <type_traits>
#include <vector>

#include "fathom/nn/recurrent.h"
#include "fathom/probe/dual.h"
#include "fathom/probe/not_known.h"
#include "fathom/tensor/parallel.h"  // FunctionRef

namespace fathom::probe {

struct LyapunovOptions {
  int64_t steps = 10000;     // that count
  int64_t transient = 1000;  // before them: the trajectory settles, Q turns where it belongs
  int64_t qr_every = 1;      // steps between two decompositions; at most log(1e8) / (largest - smallest exponent)
  int64_t exponents = 0;     // how many, the largest ones; 0: all (of recurrent modules at most 16)
  int64_t points = 100;      // of the convergence curve, as far as there are steps
  bool reverse = false;      // by J_t^T, back through the steps; for steps of tensors only
  uint64_t seed = 0;         // of the first Q
};

struct Lyapunov {
  std::vector<double> exponents;        // descending in the limit; the mean over the trajectories, if there are many
  std::vector<double> standard_errors;  // of them: from the spread of the means between two points of the curve
  std::vector<std::vector<double>> trajectories;  // the exponents of each
  struct Point {
    double time;
    std::vector<double> exponents;  // up to here
  };
  std::vector<Point> curve;
  bool complete = false;         // all exponents
  double log_det = not_known;    // mean log |det J_t|, where complete
  double sum_error = not_known;  // |sum of the exponents - log_det|
  double dimension = not_known;  // Kaplan & Yorke's; NaN when more exponents are needed
  double time = 0;               // measured: steps, or their time
  double seconds = 0;            // that it took
};
std::ostream& operator<<(std::ostream& out, const Lyapunov& lyapunov);

// j + (l_1 + ... + l_j) / |l_(j+1)| for the largest j whose sum is not negative; 0 where l_1 is, and all where no sum
// is: NaN instead when they are not `complete`.
double kaplan_yorke(std::span<const double> exponents, bool complete = true);

// ---- steps of tensors, and recurrent modules ----

// The state after step t (from 0) for states h (rows, n), each row for itself.
using TensorStep = FunctionRef<Tensor(const Tensor& h, int64_t t)>;
// From h0 (n), or (trajectories, n). Each step is recorded once, with as many copies of the state as there are
// exponents, and one jvp serves them all. Throws Error when step changes the shape or does not depend on h.
Lyapunov lyapunov(TensorStep step, const Tensor& h0, const LyapunovOptions& options = {});

// Of a module in one direction, from a state of zero; its state is what its layers keep, h (and c), side by side.
// inputs (steps, in) or (steps, trajectories, in): what comes after the transient counts, options.steps at most. Throws
// Error when there are too few.
Lyapunov lyapunov(const nn::RNN& rnn, const Tensor& inputs, const LyapunovOptions& options = {});
Lyapunov lyapunov(const nn::LSTM& lstm, const Tensor& inputs, const LyapunovOptions& options = {});
Lyapunov lyapunov(const nn::GRU& gru, const Tensor& inputs, const LyapunovOptions& options = {});
// The states s_0 = 0, s_1, ..., s_T (batch, state) of such a module on inputs (T, batch, in), on the tape: each
// Jacobian(s_t, s_(t-1)) is that of a time step, and `products_along` takes them as they are.
std::vector<Tensor> states_along(const nn::RNN& rnn, const Tensor& inputs);
std::vector<Tensor> states_along(const nn::LSTM& lstm, const Tensor& inputs);
std::vector<Tensor> states_along(const nn::GRU& gru, const Tensor& inputs);

// ---- maps and flows of N numbers ----

// Collects the sums of log |R_ii| at the points of the curve. Internal.
class LyapunovSums {
 public:
  LyapunovSums(const LyapunovOptions& options, int64_t exponents, int64_t dimension, int64_t trajectories, double unit);
  int64_t segments() const { return int64_t(ends_.size()); }
  int64_t end(int64_t segment) const { return ends_[size_t(segment)]; }  // steps until the end of it
  // The sums within the next segment: (trajectories, exponents), and of log |det|, (trajectories).
  void add(std::span<const double> logs, std::span<const double> log_dets);
  Lyapunov result() const;

 private:
  std::vector<double> standard_errors(std::span<const double> exponents) const;

  int64_t exponents_, trajectories_;
  bool complete_;
  double unit_;
  std::vector<int64_t> ends_;
  std::vector<std::vector<double>> logs_;  // of each segment
  std::vector<double> log_dets_;
  double start_;  // on the clock
};

template <size_t N>
using Columns = std::array<std::array<double, N>, N>;  // column by column

template <size_t N>
double determinant(Columns<N> m) {
  if constexpr (N == 1) return m[0][0];
  if constexpr (N == 2) return m[0][0] * m[1][1] - m[0][1] * m[1][0];
  if constexpr (N == 3)
    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
  double det = 1;
  for (size_t c = 0; c < N; ++c) {
    size_t pivot = c;
    for (size_t r = c + 1; r < N; ++r)
      if (__builtin_fabs(m[c][r]) > __builtin_fabs(m[c][pivot])) pivot = r;
    if (m[c][pivot] == 0) return 0;
    for (size_t k = c; k < N; ++k) std::swap(m[k][c], m[k][pivot]);
    det *= m[c][c];
    for (size_t k = c + 1; k < N; ++k) {
      const double factor = m[k][c] / m[c][c];
      for (size_t r = c + 1; r < N; ++r) m[k][r] -= factor * m[c][r];
    }
  }
  return det;
}

// Of `advance(x, q)`: x one step on, the first k columns of q as J q. Internal.
template <size_t N, class Advance>
Lyapunov lyapunov_of(Advance advance, std::array<double, N> x, const LyapunovOptions& options, double unit) {
  const size_t k = options.exponents ? size_t(options.exponents) : N;
  LyapunovSums sums(options, int64_t(k), int64_t(N), 1, unit);
  Columns<N> q{};
  for (size_t c = 0; c < N; ++c)  // no symmetry of the map shall hide a direction
    for (size_t r = 0; r < N; ++r) q[c][r] = (c == r ? 1.0 : 0.0) + 0.1 / double(1 + c + 2 * r + (options.seed % 97));
  std::array<double, N> squares, logs;  // products of R_ii^2 whose logarithm is still to be taken
  double det, log_det;
  const auto take_logs = [&] {
    for (size_t c = 0; c < N && c < k; ++c) logs[c] += __builtin_log(squares[c]) / 2, squares[c] = 1;
    log_det += __builtin_log(__builtin_fabs(det)), det = 1;
  };
  const auto in_range = [](double p) { return __builtin_fabs(p) > 1e-100 && __builtin_fabs(p) < 1e100; };
  const auto decompose = [&](bool counts) {  // Gram-Schmidt; the norms are apart, so that they need not be waited for
    if (counts && k == N) det *= determinant<N>(q);
    bool ranging = in_range(det);
    std::array<double, N> inverse{};
    for (size_t c = 0; c < N && c < k; ++c) {
      for (size_t j = 0; j < c; ++j) {
        double part = 0;
        for (size_t r = 0; r < N; ++r) part += q[j][r] * q[c][r];
        part *= inverse[j];
        for (size_t r = 0; r < N; ++r) q[c][r] -= part * q[j][r];
      }
      double square = 0;
      for (size_t r = 0; r < N; ++r) square += q[c][r] * q[c][r];
      inverse[c] = square > 0 ? 1 / square : 0;
      squares[c] *= square;
      ranging &= in_range(squares[c]);
    }
    for (size_t c = 0; c < N && c < k; ++c) {
      const double factor = __builtin_sqrt(inverse[c]);
      for (size_t r = 0; r < N; ++r) q[c][r] *= factor;
    }
    if (!ranging) take_logs();
  };
  const auto clear = [&] { squares.fill(1), logs.fill(0), det = 1, log_det = 0; };
  clear();
  decompose(false);
  int64_t since = 0;
  const auto run = [&](int64_t steps, bool counts) {
    for (int64_t t = 0; t < steps; ++t) {
      advance(x, q);
      if (++since == options.qr_every) decompose(counts), since = 0;
    }
  };
  run(options.transient, false);
  decompose(false), since = 0;
  clear();
  for (int64_t segment = 0; segment < sums.segments(); ++segment) {
    run(sums.end(segment) - (segment ? sums.end(segment - 1) : 0), true);
    if (since) decompose(true), since = 0;
    take_logs();
    sums.add(std::span(logs.data(), k), std::span(&log_det, 1));
    clear();
  }
  return sums.result();
}

// x of the numbers given, the tangents of the columns.
template <size_t N>
std::array<Dual<N>, N> duals(const std::array<double, N>& x, const Columns<N>& q) {
  std::array<Dual<N>, N> out;
  for (size_t i = 0; i < N; ++i) {
    out[i].value = x[i];
    for (size_t c = 0; c < N; ++c) out[i].tangents[c] = q[c][i];
  }
  return out;
}
template <size_t N>
void undo(const std::array<Dual<N>, N>& y, std::array<double, N>& x, Columns<N>& q) {
  for (size_t i = 0; i < N; ++i) {
    x[i] = y[i].value;
    for (size_t c = 0; c < N; ++c) q[c][i] = y[i].tangents[c];
  }
}

// Of x <- f(x); f is generic: it takes and gives std::array<T, N> for T double and Dual. Throws Error on options out of
// range. (Means over an orbit that is not finite are NaN.)
template <size_t N, class F>
Lyapunov lyapunov_map(F f, std::array<double, N> x0, const LyapunovOptions& options = {}) {
  return lyapunov_of<N>([&f](std::array<double, N>& x, Columns<N>& q) { undo<N>(f(duals<N>(x, q)), x, q); }, x0,
                        options, 1);
}
// The same with jacobian(x), rows of df_i / dx_j.
template <size_t N, class F, class J>
requires std::is_invocable_v < J, const std::array<double, N>
& > Lyapunov lyapunov_map(F f, J jacobian, std::array<double, N> x0, const LyapunovOptions& options = {}) {
  return lyapunov_of<N>(
      [&](std::array<double, N>& x, Columns<N>& q) {
        const std::array<std::array<double, N>, N> rows = jacobian(std::as_const(x));
        for (std::array<double, N>& column : q) {
          const std::array<double, N> before = column;
          for (size_t i = 0; i < N; ++i) {
            column[i] = 0;
            for (size_t j = 0; j < N; ++j) column[i] += rows[i][j] * before[j];
          }
        }
        x = f(std::as_const(x));
      },
      x0, options, 1);
}

// One step of dx/dt = f(x) by the classical Runge-Kutta method of order 4.
template <class T, size_t N, class F>
std::array<T, N> runge_kutta(const F& f, const std::array<T, N>& x, double dt) {
  const auto ahead = [&](const std::array<T, N>& k, double h) {
    std::array<T, N> y;
    for (size_t i = 0; i < N; ++i) y[i] = x[i] + h * k[i];
    return y;
  };
  const std::array<T, N> a = f(x), b = f(ahead(a, dt / 2)), c = f(ahead(b, dt / 2)), d = f(ahead(c, dt));
  std::array<T, N> y;
  for (size_t i = 0; i < N; ++i) y[i] = x[i] + dt / 6 * (a[i] + 2.0 * b[i] + 2.0 * c[i] + d[i]);
  return y;
}
// Of dx/dt = f(x), by Runge-Kutta steps of dt: options.steps of them count. The tangents are those of the steps.
template <size_t N, class F>
Lyapunov lyapunov_flow(F f, std::array<double, N> x0, double dt, const LyapunovOptions& options = {}) {
  return lyapunov_of<N>(
      [&](std::array<double, N>& x, Columns<N>& q) { undo<N>(runge_kutta<Dual<N>, N>(f, duals<N>(x, q), dt), x, q); },
      x0, options, dt);
}

}  // namespace fathom::probe
