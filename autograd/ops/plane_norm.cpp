// Norms of x (batch, channels, ...) whose statistics are taken over sets of its planes, a plane being what one sample
// has of one channel: batch_norm over all planes of a channel, group_norm over some neighbouring ones of a sample.
#include <cmath>

#include "fathom/autograd/families.h"
#include "fathom/autograd/joint.h"
#include "fathom/autograd/ops/fused.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/rows.h"
#include "fathom/tensor/kernels/scratch.h"

namespace fathom {
namespace {

using Inputs = std::array<Tensor, 3>;  // x, weight, bias

struct Planes {
  int64_t batch, channels, size;  // size: of a plane
  int64_t groups;                 // a sample's; 0: a channel's planes are one set
  bool given = false;             // the moments are constants

  int64_t sets() const { return groups ? batch * groups : channels; }
  int64_t in_set() const { return groups ? channels / groups : batch; }  // planes
  int64_t set_size() const { return in_set() * size; }
  template <class F>
  void each_of_set(int64_t set, F f) const {  // f(plane, channel)
    const int64_t step = groups ? 1 : channels, first = groups ? set * in_set() : set;
    for (int64_t i = 0, plane = first; i < in_set(); ++i, plane += step) f(plane, plane % channels);
  }
  template <class F>
  void each_set(F f) const {
    parallel(sets(), std::max<int64_t>(1, kernel::parallel_grain / std::max<int64_t>(1, set_size())),
             [&](int64_t begin, int64_t end) {
               for (; begin < end; ++begin) f(begin);
             });
  }
};

template <class T>
const T* numbers(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}
Tensor dense(const Tensor& x) { return x.defined() ? rows::dense(x) : x; }
template <class T>
T scale_of(T var, double eps) {
  return T(1 / std::sqrt(double(var) + eps));
}

template <class T>
void measure(const Planes& p, const T* x, int64_t set, T* mean, T* var) {
  const double n = double(p.set_size());
  double total = 0, squares = 0;
  p.each_of_set(set, [&](int64_t plane, int64_t) { total += kernel::sum(x + plane * p.size, p.size); });
  const T m = *mean = T(total / n);
  p.each_of_set(set, [&](int64_t plane, int64_t) {
    const T* at = x + plane * p.size;
    squares += kernel::sum_of(at, at, p.size, [m](auto a, auto) { return (a - m) * (a - m); });
  });
  *var = T(squares / n);
}

// Writes the moments where they are not given.
Tensor normalise(const char* op, const Planes& p, const Inputs& in, double eps, const ChannelMoments& moments) {
  const Tensor x = dense(in[0]), weight = dense(in[1]), bias = dense(in[2]), y(x.shape(), x.dtype());
  visit_floating(op, x.dtype(), [&]<class T>(T) {
    const T *from = x.data<T>(), *w = numbers<T>(weight), *b = numbers<T>(bias);
    T *to = y.data<T>(), *mean = moments.mean.data<T>(), *var = moments.var.data<T>();
    p.each_set([&](int64_t set) {
      if (!p.given) measure(p, from, set, mean + set, var + set);
      const T m = mean[set], s = scale_of(var[set], eps);
      p.each_of_set(set, [&](int64_t plane, int64_t c) {
        const T v = w ? w[c] : T(1), shift = b ? b[c] : T(0);
        auto f = [=](T a) { return (a - m) * s * v + shift; };
        kernel::map_row(f, p.size, to + plane * p.size, from + plane * p.size);
      });
    });
  });
  return y;
}

// With xn = (x - mean) scale and h = g weight: dx = scale (h - mean(h) - xn mean(h xn)), the means over the set,
// dweight = sum of g xn over a channel, dbias = sum of g. Given moments are constants: dx = scale h.
Inputs cotangents(const Planes& p, const Tensor& cotangent, Wanted wanted, const Inputs& in, double eps,
                  const ChannelMoments& moments) {
  const Tensor x = dense(in[0]), weight = dense(in[1]), g = dense(cotangent);
  Inputs out;
  if (wanted[0]) out[0] = Tensor(x.shape(), x.dtype());
  visit_floating("plane_norm", x.dtype(), [&]<class T>(T) {
    const T *from = x.data<T>(), *gs = g.data<T>(), *w = numbers<T>(weight), *mean = moments.mean.data<T>();
    const T* var = moments.var.data<T>();
    T* dx = wanted[0] ? out[0].data<T>() : nullptr;
    kernel::Scratch<T> sums(2 * p.batch * p.channels);  // of each plane, of g and of g xn
    T *plain = sums.data(), *times_x = plain + p.batch * p.channels;
    p.each_set([&](int64_t set) {
      const T m = mean[set], s = scale_of(var[set], eps);
      double first = 0, second = 0;
      p.each_of_set(set, [&](int64_t plane, int64_t c) {
        const double a = kernel::sum(gs + plane * p.size, p.size);
        const double b = kernel::sum_of(gs + plane * p.size, from + plane * p.size, p.size,
                                        [m, s](auto u, auto v) { return u * ((v - m) * s); });
        plain[plane] = T(a), times_x[plane] = T(b);
        first += w ? double(w[c]) * a : a;
        second += w ? double(w[c]) * b : b;
      });
      if (!dx) return;
      const double n = double(p.set_size());
      const T c1 = p.given ? T(0) : T(first / n), c2 = p.given ? T(0) : T(second / n);
      p.each_of_set(set, [&](int64_t plane, int64_t c) {
        const T v = w ? w[c] : T(1);
        auto rule = [=](T a, T b) { return s * (a * v - c1 - (b - m) * s * c2); };
        kernel::map_row(rule, p.size, dx + plane * p.size, gs + plane * p.size, from + plane * p.size);
      });
    });
    for (size_t i : {1, 2})
      if (wanted[i]) {
        out[i] = Tensor({p.channels}, x.dtype());
        kernel::sum_rows(static_cast<const T*>(i == 1 ? times_x : plain), p.batch, p.channels, out[i].data<T>());
      }
  });
  return out;
}

// t_y = scale (t_x - mean(t_x) - xn mean(t_x xn)) weight + xn t_weight + t_bias
Tensor tangent(const Planes& p, const Inputs& ts, const Inputs& in, double eps, const ChannelMoments& moments) {
  const Tensor x = dense(in[0]), weight = dense(in[1]), tx = dense(ts[0]), tw = dense(ts[1]), tb = dense(ts[2]);
  const Tensor y(x.shape(), x.dtype());
  visit_floating("plane_norm", x.dtype(), [&]<class T>(T) {
    const T *from = x.data<T>(), *w = numbers<T>(weight), *mean = moments.mean.data<T>();
    const T* var = moments.var.data<T>();
    const T *t = numbers<T>(tx), *u = numbers<T>(tw), *v = numbers<T>(tb);
    T* to = y.data<T>();
    p.each_set([&](int64_t set) {
      const T m = mean[set], s = scale_of(var[set], eps);
      double first = 0, second = 0;
      if (t && !p.given)
        p.each_of_set(set, [&](int64_t plane, int64_t) {
          first += kernel::sum(t + plane * p.size, p.size);
          second += kernel::sum_of(t + plane * p.size, from + plane * p.size, p.size,
                                   [m, s](auto a, auto b) { return a * ((b - m) * s); });
        });
      const T c1 = T(first / double(p.set_size())), c2 = T(second / double(p.set_size()));
      p.each_of_set(set, [&](int64_t plane, int64_t c) {
        const T wc = w ? w[c] : T(1), uc = u ? u[c] : T(0), vc = v ? v[c] : T(0);
        const T *row = from + plane * p.size, *tr = t + plane * p.size;
        T* out = to + plane * p.size;
        auto parameters = [=](T b) { return (b - m) * s * uc + vc; };
        auto all = [=](T a, T b) {
          const T xn = (b - m) * s;
          return s * (a - c1 - xn * c2) * wc + xn * uc + vc;
        };
        if (t) kernel::map_row(all, p.size, out, tr, row);
        else kernel::map_row(parameters, p.size, out, row);
      });
    });
  });
  return y;
}

Tensor planes_normed(const char* op, const Planes& p, const Inputs& in, double eps, const ChannelMoments& moments) {
  Tensor y = normalise(op, p, in, eps, moments);
  return record_joint(
      op, std::move(y), in,
      [=](const Tensor& g, Wanted wanted, const Inputs& x) { return cotangents(p, g, wanted, x, eps, moments); },
      [=](const Inputs& ts, const Inputs& x) { return tangent(p, ts, x, eps, moments); },
      [=](const Inputs& x) {
        const Shape per_channel{p.channels, 1};
        const Tensor flat = reshape(x[0], {p.batch, p.channels, p.size});
        Tensor out;
        if (p.given) {
          out = (flat - reshape(moments.mean, per_channel)) * reshape(rsqrt(moments.var + eps), per_channel);
        } else {
          const Axes over = p.groups ? Axes(2) : Axes{0, 2};
          const Tensor sets = p.groups ? reshape(flat, {p.batch, p.groups, p.set_size()}) : flat;
          const Tensor centred = sets - mean(sets, over, true);
          out = reshape(centred * rsqrt(mean(square(centred), over, true) + eps), flat.shape());
        }
        if (x[1].defined()) out = out * reshape(x[1], per_channel);
        if (x[2].defined()) out = out + reshape(x[2], per_channel);
        return reshape(out, x[0].shape());
      });
}

Planes planes(const char* op, const Inputs& in, int64_t groups) {
  const Tensor& x = in[0];
  if (!is_floating(x.dtype())) not_floating(op, x.dtype());
  if (x.dim() < 2) throw Error(std::string(op) + ": needs x (batch, channels, ...), got " + to_string(x.shape()));
  Planes p{x.size(0), x.size(1), 1, groups};
  for (int d = 2; d < x.dim(); ++d) p.size *= x.shape()[d];
  for (size_t i : {1, 2}) {
    if (!in[i].defined()) continue;
    kernel::check_dtypes(op, x, in[i]);
    if (in[i].shape() != Shape{p.channels})
      throw Error(std::string(op) + ": the " + (i == 1 ? "weight" : "bias") +
                  " does not fit the channels: " + to_string(in[i].shape()) + " and " + to_string(x.shape()));
  }
  return p;
}

// Channels of one number a sample are normed as rows.
Tensor by_rows(const Tensor& x) { return unsqueeze(transpose(x), 0); }
Tensor by_samples(const Tensor& y) { return transpose(squeeze(y, 0)); }

}  // namespace

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias, double eps) {
  const Inputs in{x, weight, bias};
  if (groups < 1 || (x.dim() >= 2 && x.size(1) % groups))
    throw Error("group_norm: " + std::to_string(groups) + " groups do not divide the channels of " +
                to_string(x.shape()));
  const Planes p = planes("group_norm", in, groups);
  const Shape each{p.sets()};
  return planes_normed("group_norm", p, in, eps, {Tensor(each, x.dtype()), Tensor(each, x.dtype())});
}

Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, ChannelMoments* moments) {
  if (x.dim() == 2) {
    planes("batch_norm", {x, weight, bias}, 0);
    return by_samples(batch_norm(by_rows(x), weight, bias, eps, moments));
  }
  const Inputs in{x, weight, bias};
  const Planes p = planes("batch_norm", in, 0);
  if (p.set_size() == 0 && p.channels) throw Error("batch_norm: the mean over no elements: " + to_string(x.shape()));
  const Shape each{p.channels};
  const ChannelMoments own{Tensor(each, x.dtype()), Tensor(each, x.dtype())};
  Tensor y = planes_normed("batch_norm", p, in, eps, own);
  if (moments) *moments = {kernel::clone(own.mean), kernel::clone(own.var)};
  return y;
}

Tensor batch_norm(const Tensor& x, const ChannelMoments& given, const Tensor& weight, const Tensor& bias, double eps) {
  const Inputs in{x, weight, bias};
  Planes p = planes("batch_norm", in, 0);
  p.given = true;
  for (const Tensor* each : {&given.mean, &given.var}) {
    kernel::check_dtypes("batch_norm", x, *each);
    if (each->shape() != Shape{p.channels})
      throw Error("batch_norm: the moments do not fit the channels: " + to_string(each->shape()) + " and " +
                  to_string(x.shape()));
    if (each->history()) throw Error("batch_norm: given moments are constants, they cannot require grad");
  }
  if (x.dim() == 2 && x.size(0) != 1) return by_samples(batch_norm(by_rows(x), given, weight, bias, eps));
  return planes_normed("batch_norm_given", p, in, eps, {kernel::clone(given.mean), kernel::clone(given.var)});
}

}  // namespace fathom
