#include "fathom/autograd/ops/attention.h"

#include <cmath>

#include "fathom/autograd/create.h"
#include "fathom/autograd/joint.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/ops/attention/kernels.h"
#include "fathom/autograd/ops/attention/scores.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom {
namespace {

using attention::Inputs, attention::Setting;

constexpr char op[] = "scaled_dot_product_attention";

Shape leading(const Tensor& x) {
  Shape shape = x.shape();
  shape.rank -= 2;
  return shape;
}
Shape scores_shape(const Tensor& q, const Tensor& k) {
  Shape shape = q.shape();
  shape[shape.rank - 1] = k.size(-2);
  return shape;
}

[[noreturn]] void refuse(const char* rule, const Tensor& a, const Tensor& b) {
  throw Error(std::string(op) + ": " + rule + ": " + to_string(a.shape()) + " and " + to_string(b.shape()));
}
void check_options(const Tensor& x, const AttentionOptions& options) {
  if (!is_floating(x.dtype())) not_floating(op, x.dtype());
  if (!(options.dropout >= 0 && options.dropout <= 1))
    throw Error(std::string(op) + ": dropout is not in [0, 1]: " + std::to_string(options.dropout));
  if (options.scale && !std::isfinite(*options.scale))
    throw Error(std::string(op) + ": the scale is not finite: " + std::to_string(*options.scale));
}
void check_pair(const Tensor& q, const Tensor& k) {
  kernel::check_dtypes(op, q, k);
  if (q.dim() < 2 || k.dim() < 2) refuse("q and k need axes (..., steps, width)", q, k);
  if (q.size(-1) != k.size(-1)) refuse("the widths of q and k differ", q, k);
}
void check_mask(const Shape& scores, const Tensor& q, const Tensor& mask) {
  if (!mask.defined()) return;
  if (mask.dtype() == i64)
    throw Error(std::string(op) +
                ": a mask is boolean (true: may attend) or floating (added to the scores), got i64; " +
                "mask != 0 makes one");
  if (mask.dtype() != boolean) kernel::check_dtypes(op, q, mask);
  if (broadcast(op, mask.shape(), scores) != scores)
    throw Error(std::string(op) + ": a mask " + to_string(mask.shape()) + " for weights " + to_string(scores));
}

void check_scores(const Tensor& q, const Tensor& k, const AttentionOptions& options) {
  check_options(q, options);
  check_pair(q, k);
  Shape scores = broadcast(op, leading(q), leading(k));
  scores.push_back(q.size(-2));
  scores.push_back(k.size(-2));
  check_mask(scores, q, options.mask);
}

Setting setting_of(const AttentionOptions& options, int64_t width) {
  const Rng& rng = options.rng ? *options.rng : default_rng();
  const double usual = 1 / std::sqrt(double(std::max<int64_t>(width, 1)));
  return {options.scale.value_or(usual), options.dropout, options.causal, rng};
}

// x, or a copy of it where its rows are not of consecutive elements, apart from each other, for BLAS.
Tensor by_rows(const Tensor& x) {
  if (!x.defined()) return x;
  const int64_t columns = x.size(-1), row = x.strides()[int(x.dim()) - 2], column = x.strides()[int(x.dim()) - 1];
  const bool ready = (column == 1 || columns <= 1) && row >= std::max<int64_t>(columns, 1);
  return ready || x.is_contiguous() ? x.alias() : kernel::clone(x);
}
// A new tensor of x's shape but for the width, laid out as x is: by heads, or by steps with the heads side by side.
Tensor laid_out_as(const Tensor& x, int64_t width) {
  Shape shape = x.shape();
  const int last = shape.rank - 1;
  shape[last] = width;
  if (last < 2 || x.strides()[last - 2] >= x.strides()[last - 1] || x.strides()[last - 2] == 0)
    return {shape, x.dtype()};
  std::swap(shape[last - 1], shape[last - 2]);
  const Tensor y(shape, x.dtype());
  Shape strides = y.strides();
  std::swap(shape[last - 1], shape[last - 2]);
  std::swap(strides[last - 1], strides[last - 2]);
  return y.view(shape, strides);
}

// Which weights are not zero for sure, as the mask says and the order; undefined where all may be.
Tensor allowed_by(const Tensor& q, const Tensor& k, const Tensor& mask, bool causal) {
  Tensor allowed;
  if (mask.defined())
    allowed = mask.dtype() == boolean ? mask : mask.detach() != -std::numeric_limits<double>::infinity();
  if (!causal) return allowed;
  const Tensor i = unsqueeze(arange(q.size(-2)), 1), order = arange(k.size(-2)) <= i;
  return allowed.defined() ? allowed && order : order;
}
struct Scores {
  Tensor scaled, allowed;
};
Scores scores_by_ops(const Tensor& q, const Tensor& k, const Tensor& mask, const Setting& setting) {
  Tensor scores = matmul(q * setting.scale, transpose(k));
  if (mask.defined() && mask.dtype() != boolean) scores = scores + mask;
  return {scores, allowed_by(q, k, mask, setting.causal)};
}
Tensor weights_by_ops(const Tensor& q, const Tensor& k, const Tensor& mask, const Setting& setting) {
  const auto [scores, allowed] = scores_by_ops(q, k, mask, setting);
  if (!allowed.defined()) return softmax(scores);
  // Finite, so that a row of nothing else has a softmax.
  return softmax(where(allowed, scores, std::numeric_limits<float>::lowest())) * allowed.to(q.dtype());
}
Tensor masked_scores_by_ops(const Tensor& q, const Tensor& k, const Tensor& mask, const Setting& setting) {
  const auto [scores, allowed] = scores_by_ops(q, k, mask, setting);
  return allowed.defined() ? where(allowed, scores, -std::numeric_limits<double>::infinity()) : scores;
}
Tensor attention_by_ops(const Inputs& in, const Setting& setting) {
  Rng rng = setting.rng;
  return matmul(dropout(weights_by_ops(in.q, in.k, in.mask, setting), setting.dropout, rng), in.v);
}

// What the op is composed of, and its scores.
template <class F, class G>
struct ByOps {
  F value;
  G hidden;
  template <class In>
  Tensor operator()(const In& in) const {
    return value(in);
  }
};
template <class F, class G>
ByOps(F, G) -> ByOps<F, G>;  // clang up to 16 does not guess it

struct Value {
  Tensor y, log_sums;
  Setting setting;
};
// `in` by rows; y of the shape that is asked for, with its heads shown as y_heads.
Value value(const Inputs& in, const AttentionOptions& options, Tensor y, const Tensor& y_heads) {
  Shape rows = in.q.shape();
  --rows.rank;
  Value out{std::move(y), Tensor(rows, in.q.dtype()), setting_of(options, in.q.size(-1))};
  attention::value(in, out.setting, y_heads, out.log_sums);
  if (out.setting.dropout > 0)
    (options.rng ? *options.rng : default_rng()).position += uint64_t(scores_shape(in.q, in.k).numel());
  return out;
}
// The mask as it broadcasts to the scores.
Tensor spread(const Tensor& mask, const Shape& scores) {
  return mask.defined() ? mask.view(scores, broadcast_strides(mask.shape(), mask.strides(), scores)) : mask;
}
Tensor mask_cotangent(const Inputs& in, bool wanted) {
  return wanted ? kernel::full(scores_shape(in.q, in.k), 0, in.q.dtype()) : Tensor();
}

// x (batch, steps, parts heads width): part i by heads, (batch, heads, steps, width).
Tensor heads_of(const Tensor& x, int64_t heads, int64_t parts, int64_t i) {
  if (!x.defined()) return x;
  const Shape& s = x.strides();
  const int64_t width = x.size(2) / (parts * heads);
  return x.view({x.size(0), heads, x.size(1), width}, {s[0], width, s[1], 1}, i * heads * width);
}
Inputs parts_of(const Tensor& qkv, const Tensor& mask, int64_t heads) {
  return {heads_of(qkv, heads, 3, 0), heads_of(qkv, heads, 3, 1), heads_of(qkv, heads, 3, 2), mask};
}
Inputs parts_by_ops(const Tensor& qkv, const Tensor& mask, int64_t heads) {
  const auto parts = chunk(qkv, 3, -1);
  const auto split = [&](const Tensor& x) {
    return transpose(reshape(x, {x.size(0), x.size(1), heads, x.size(2) / heads}), 1, 2);
  };
  return {split(parts[0]), split(parts[1]), split(parts[2]), mask};
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value_, AttentionOptions o) {
  check_options(query, o);
  check_pair(query, key);
  kernel::check_dtypes(op, query, value_);
  if (value_.dim() < 2) refuse("k and v need axes (..., steps, width)", key, value_);
  if (key.size(-2) != value_.size(-2)) refuse("k and v differ in their steps", key, value_);
  const Shape batch = broadcast(op, broadcast(op, leading(query), leading(key)), leading(value_));
  const auto in_batch = [&](const Tensor& x) {
    Shape shape = batch;
    shape.push_back(x.size(-2));
    shape.push_back(x.size(-1));
    return expand(x, shape);
  };
  using Four = std::array<Tensor, 4>;
  const Four x{in_batch(query), in_batch(key), in_batch(value_), o.mask};
  const Shape scores = scores_shape(x[0], x[1]);
  check_mask(scores, query, o.mask);
  const auto inputs = [scores](const Four& f) {
    return Inputs{by_rows(f[0]), by_rows(f[1]), by_rows(f[2]), spread(f[3], scores)};
  };
  const Inputs in = inputs(x);
  const Tensor made = laid_out_as(in.q, in.v.size(-1));
  auto [y, log_sums, setting] = value(in, o, made, made);
  return record_joint(
      "attention", std::move(y), x,
      [=, sums = log_sums, s = setting](const Tensor& g, Wanted wanted, const Four& from, const Tensor& out) {
        const Inputs to = inputs(from);
        const auto made_if = [&](size_t i, const Tensor& like) {
          return wanted[i] ? laid_out_as(like, like.size(-1)) : Tensor();
        };
        const Four gs{made_if(0, to.q), made_if(1, to.k), made_if(2, to.v), mask_cotangent(to, wanted[3])};
        attention::vjp(to, s, out, sums, by_rows(g), {gs[0], gs[1], gs[2], gs[3]});
        return gs;
      },
      [=, sums = log_sums, s = setting](const Four& ts, const Four& from, const Tensor& out) {
        const Inputs to = inputs(from);
        const Tensor t = laid_out_as(to.q, to.v.size(-1));
        attention::jvp(to, s, out, sums, inputs(ts), t);
        return t;
      },
      ByOps{[s = setting](const Four& from) {
              return attention_by_ops({from[0], from[1], from[2], from[3]}, s);
            },
            [s = setting](const Four& from) { return masked_scores_by_ops(from[0], from[1], from[3], s); }});
}

Tensor self_attention(const Tensor& qkv, int64_t heads, AttentionOptions options) {
  if (qkv.dim() != 3 || heads < 1 || qkv.size(2) % (3 * heads))
    throw Error("self_attention: needs (batch, steps, 3 heads width) for " + std::to_string(heads) + " heads, got " +
                to_string(qkv.shape()));
  using Pair = std::array<Tensor, 2>;
  const Pair x{qkv, options.mask};
  const Shape scores{qkv.size(0), heads, qkv.size(1), qkv.size(1)};
  check_options(qkv, options);
  check_mask(scores, qkv, options.mask);
  const auto inputs = [=](const Pair& p) { return parts_of(by_rows(p[0]), spread(p[1], scores), heads); };
  const Inputs in = inputs(x);
  const Tensor made({qkv.size(0), qkv.size(1), qkv.size(2) / 3}, qkv.dtype());
  auto [y, log_sums, setting] = value(in, options, made, heads_of(made, heads, 1, 0));
  return record_joint(
      "attention", std::move(y), x,
      [=, sums = log_sums, s = setting](const Tensor& g, Wanted wanted, const Pair& from, const Tensor& out) {
        const Inputs to = inputs(from);
        const Pair gs{wanted[0] ? Tensor(from[0].shape(), g.dtype()) : Tensor(), mask_cotangent(to, wanted[1])};
        attention::vjp(to, s, heads_of(out, heads, 1, 0), sums, heads_of(by_rows(g), heads, 1, 0),
                       parts_of(gs[0], gs[1], heads));
        return gs;
      },
      [=, sums = log_sums, s = setting](const Pair& ts, const Pair& from, const Tensor& out) {
        const Tensor t(out.shape(), out.dtype());
        attention::jvp(inputs(from), s, heads_of(out, heads, 1, 0), sums, inputs(ts), heads_of(t, heads, 1, 0));
        return t;
      },
      ByOps{[heads, s = setting](const Pair& from) {
              const Tensor y_heads = attention_by_ops(parts_by_ops(from[0], from[1], heads), s);
              return reshape(transpose(y_heads, 1, 2), {from[0].size(0), from[0].size(1), from[0].size(2) / 3});
            },
            [heads, s = setting](const Pair& from) {
              const Inputs parts = parts_by_ops(from[0], from[1], heads);
              return masked_scores_by_ops(parts.q, parts.k, parts.mask, s);
            }});
}

Tensor attention_scores(const Tensor& q, const Tensor& k, const AttentionOptions& options) {
  check_scores(q, k, options);
  return masked_scores_by_ops(q, k, options.mask, setting_of(options, q.size(-1)));
}
Tensor attention_weights(const Tensor& q, const Tensor& k, const AttentionOptions& options) {
  check_scores(q, k, options);
  return weights_by_ops(q, k, options.mask, setting_of(options, q.size(-1)));
}

}  // namespace fathom
