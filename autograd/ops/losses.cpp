#include <algorithm>  // count, fill_n, max
#include <vector>

#include "fathom/autograd/create.h"
#include "fathom/autograd/families.h"
#include "fathom/autograd/joint.h"
#include "fathom/autograd/ops/fused.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/autograd/ops/number.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/rows.h"

namespace fathom {
namespace {

using Pair = std::array<Tensor, 2>;

// ---- mean squared error ----

// The sum of f over the elements of a and b, as a scalar, divided by their number.
template <class F>
Tensor mean_of(const Tensor& a, const Tensor& b, F f) {
  const Tensor x = rows::dense(a), y = rows::dense(b), out({}, a.dtype());
  visit_floating("mse_loss", a.dtype(), [&]<class T>(T) {
    const int64_t n = x.numel();
    *out.data<T>() = T(kernel::sum_of(x.data<T>(), y.data<T>(), n, f) / double(n));
  });
  return out;
}

Pair mse_vjp(const Tensor& g, Wanted wanted, const Pair& in) {
  const double scale = 2 * g.item() / double(in[0].numel());
  const auto times = [scale](auto x, auto y) { return decltype(x)(scale) * (x - y); };
  return {wanted[0] ? kernel::map("mse_loss", times, in[0], in[1]) : Tensor(),
          wanted[1] ? kernel::map("mse_loss", times, in[1], in[0]) : Tensor()};
}

// (2 / n) sum (a - b) (ta - tb)
Tensor mse_jvp(const Pair& ts, const Pair& in) {
  const auto minus = [](auto x, auto y) { return x - y; };
  const Tensor apart = kernel::map("mse_loss", minus, in[0], in[1]);
  const auto product = [](auto x, auto y) { return x * y; };
  Tensor t;
  if (ts[0].defined() && ts[1].defined()) t = kernel::map("mse_loss", minus, ts[0], ts[1]);
  else if (ts[0].defined()) t = ts[0];
  else
    t = kernel::map(
        "mse_loss", [](auto x) { return -x; }, ts[1]);
  return kernel::map(
      "mse_loss", [](auto x) { return x + x; }, mean_of(apart, t, product));
}

// ---- cross entropy ----

struct Targets {
  double label, other;             // q at the label, beyond what every class has; q at any class
  std::optional<int64_t> ignored;  // the label of rows that do not count
  double count;                    // of the rows that do, at least 1
};

// Of labels that fit the logits.
Targets targets_of(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options) {
  const Tensor y = rows::dense(labels);
  const int64_t classes = rows::columns(logits), *label = y.data<int64_t>();
  const auto ignored = options.ignore_index;
  check_each("cross_entropy", "label", y, classes, "classes", ignored);
  const int64_t left_out = ignored ? std::count(label, label + y.numel(), *ignored) : 0;
  return {1 - options.label_smoothing, options.label_smoothing / double(classes), ignored,
          double(std::max<int64_t>(1, y.numel() - left_out))};
}

void check_cross_entropy(const Tensor& logits, const Tensor& labels, double smoothing) {
  if (!is_floating(logits.dtype())) not_floating("cross_entropy", logits.dtype());
  if (labels.dtype() != i64)
    throw Error(std::string("cross_entropy: labels are i64, got ") + to_string(labels.dtype()));
  Shape rows = logits.shape();
  if (rows.rank) --rows.rank;
  if (!logits.dim() || rows != labels.shape())
    throw Error("cross_entropy: labels do not fit the logits: " + to_string(labels.shape()) + " and " +
                to_string(logits.shape()));
  if (!(smoothing >= 0 && smoothing <= 1))
    throw Error("cross_entropy: label_smoothing is not in [0, 1]: " + std::to_string(smoothing));
  if (labels.numel() == 0) throw Error("cross_entropy: the mean over no rows: " + to_string(logits.shape()));
}

// The loss; p becomes the softmax.
Tensor cross_entropy_value(const Tensor& logits, const Tensor& labels, const Targets& q, const Tensor& p) {
  const Tensor x = rows::dense(logits), y = rows::dense(labels), loss({}, logits.dtype());
  const int64_t n = rows::columns(x), count = rows::count(x), *label = y.data<int64_t>();
  visit_floating("cross_entropy", x.dtype(), [&]<class T>(T) {
    const Tensor maxima({count}, x.dtype()), sums({count}, x.dtype());
    const T* from = x.data<T>();
    T *to = p.data<T>(), *m = maxima.data<T>(), *s = sums.data<T>();
    rows::each_block(count, n, [&](int64_t first, int64_t last) {
      rows::exp_rows(from, first, last, n, to, m, s);
      for (int64_t r = first; r < last; ++r) {
        auto scale = [by = 1 / s[r]](T e) { return e * by; };
        kernel::map_row(scale, n, to + r * n, static_cast<const T*>(to) + r * n);
        if (label[r] == q.ignored) {
          s[r] = 0;
          continue;
        }
        // -sum_k q_k (x_k - m - log s), the q adding up to 1
        const T* row = from + r * n;
        double row_loss = std::log(double(s[r])) - q.label * double(row[label[r]] - m[r]);
        if (q.other != 0) row_loss -= q.other * (kernel::sum(row, n) - double(n) * double(m[r]));
        s[r] = T(row_loss);
      }
    });
    *loss.data<T>() = T(kernel::sum(s, count) / q.count);
  });
  return loss;
}

// (p - q) g / count, and 0 in the rows that do not count.
Tensor cross_entropy_vjp(double g, const Tensor& labels, const Tensor& p, const Targets& q) {
  const Tensor y = rows::dense(labels), out(p.shape(), p.dtype());
  const int64_t n = rows::columns(p), count = rows::count(p), *label = y.data<int64_t>();
  visit_floating("cross_entropy", p.dtype(), [&]<class T>(T) {
    const T *from = p.data<T>(), scale = T(g / q.count), other = T(q.other), at_label = T(q.label) * scale;
    T* to = out.data<T>();
    rows::each_block(count, n, [&](int64_t first, int64_t last) {
      auto minus = [=](T e) { return (e - other) * scale; };
      kernel::map_row(minus, (last - first) * n, to + first * n, from + first * n);
      for (int64_t r = first; r < last; ++r)
        if (label[r] == q.ignored) std::fill_n(to + r * n, n, T(0));
        else to[r * n + label[r]] -= at_label;
    });
  });
  return out;
}

// The mean of sum_k (p - q)_k t_k over the rows that count.
Tensor cross_entropy_jvp(const Tensor& tangent, const Tensor& labels, const Tensor& p, const Targets& q) {
  const Tensor y = rows::dense(labels), ts = rows::dense(tangent), out({}, p.dtype());
  const int64_t n = rows::columns(p), count = rows::count(p), *label = y.data<int64_t>();
  visit_floating("cross_entropy", p.dtype(), [&]<class T>(T) {
    const T *from = p.data<T>(), *t = ts.data<T>();
    double total = 0;
    for (int64_t r = 0; r < count; ++r) {
      if (label[r] == q.ignored) continue;
      const auto rule = [other = T(q.other)](auto a, auto b) { return (a - other) * b; };
      total += kernel::sum_of(from + r * n, t + r * n, n, rule) - q.label * double(t[r * n + label[r]]);
    }
    *out.data<T>() = T(total / q.count);
  });
  return out;
}

// The rows of logits that count, and their labels.
Pair that_count(const Pair& in, int64_t ignored) {
  const Tensor y = in[1].reshape({in[1].numel()}).contiguous();
  std::vector<int64_t> places;
  for (int64_t i = 0; i < y.numel(); ++i)
    if (y.data<int64_t>()[i] != ignored) places.push_back(i);
  const Tensor at = from_data(places, {int64_t(places.size())});
  return {index_select(in[0].reshape({y.numel(), rows::columns(in[0])}), 0, at), index_select(y, 0, at)};
}

// The loss by ops.
Tensor composed_cross_entropy(Pair in, const Targets& q) {
  if (q.ignored) in = that_count(in, *q.ignored);
  const Tensor log_p = log_softmax(in[0]), at_label = sum(gather(log_p, -1, unsqueeze(in[1], -1)));
  return (q.other == 0 ? q.label * at_label : q.label * at_label + q.other * sum(log_p)) / -q.count;
}

}  // namespace

Tensor mse_loss(const Tensor& a, const Tensor& b) {
  kernel::check_dtypes("mse_loss", a, b);
  if (!is_floating(a.dtype())) not_floating("mse_loss", a.dtype());
  if (a.shape() != b.shape())
    throw Error("mse_loss: shapes differ: " + to_string(a.shape()) + " and " + to_string(b.shape()));
  if (a.numel() == 0) throw Error("mse_loss: the mean over no elements: " + to_string(a.shape()));
  Tensor y = mean_of(a, b, [](auto p, auto q) { return (p - q) * (p - q); });
  return record_joint("mse_loss", std::move(y), Pair{a, b}, mse_vjp, mse_jvp,
                      [](const Pair& in) { return mean(square(in[0] - in[1])); });
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels, CrossEntropyOptions options) {
  check_cross_entropy(logits, labels, options.label_smoothing);
  const Targets q = targets_of(logits, labels, options);
  const Tensor p(logits.shape(), logits.dtype());
  Tensor y = cross_entropy_value(logits, labels, q, p);
  return record_joint(
      "cross_entropy", std::move(y), Pair{logits, labels},
      [p, q](const Tensor& g, Wanted, const Pair& in) {
        return Pair{cross_entropy_vjp(g.item(), in[1], p, q), Tensor()};
      },
      [p, q](const Pair& ts, const Pair& in) { return cross_entropy_jvp(ts[0], in[1], p, q); },
      [q](const Pair& in) { return composed_cross_entropy(in, q); });
}
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, double label_smoothing) {
  return cross_entropy(logits, labels, {.label_smoothing = label_smoothing});
}

}  // namespace fathom
