// How an op gets on the tape: its value, what its rules need kept, and a rule for each input.
//
//   Tensor y = ...;
//   return record("mul", y, keep(a, b),
//                 wrt(a, [](Tensor g, const Tensor& a, const Tensor& b) { return g * b; }),
//                 wrt(b, [](Tensor g, const Tensor& a, const Tensor& b) { return a * g; }));
//
// A rule is called with a cotangent (its vjp) or a tangent (its jvp) and with everything kept, in that order. Where one
// formula serves both it is given once. Rules are written with ops: under `create_graph` what they do is recorded.
// They need not undo broadcasting: the walk does. They never capture tensors that others can reach: `keep` has them
// checked for in-place changes.
#pragma once
#include <array>
#include <span>
#include <tuple>

#include "fathom/autograd/node.h"
#include "fathom/autograd/recording.h"

namespace fathom {

// Says in a keep list: the op's own value.
struct Output {};
inline constexpr Output output;

// A tensor that a rule reads, as it was when the op was recorded.
class Kept {
 public:
  Kept() = default;
  Kept(const Tensor& x, bool is_output);
  Kept(Kept&& other) noexcept
      : value_(std::move(other.value_)),
        history_(std::move(other.history_)),
        version_(other.version_),
        is_output_(other.is_output_),
        shared_(other.shared_) {
    other.value_ = {};
  }
  Kept& operator=(Kept&&) = delete;
  ~Kept() {
    if (value_.defined() && !shared_) --value_.storage().kept;
  }
  // With its history while recording. Throws Error when it has been changed in place since.
  Tensor get(Node& node) const {
    if (!value_.defined()) return {};
    if (value_.storage().version != version_) changed(node);
    return recording() && !shared_ ? with_history(node) : value_;
  }

 private:
  Tensor with_history(Node& node) const;
  [[noreturn]] void changed(const Node& node) const;

  Tensor value_;  // without its history: with it, an output and its node would own each other
  Ref<History> history_;
  uint32_t version_ = 0;
  bool is_output_ = false;
  bool shared_ = false;  // the leaf's own handle: cheaper, and a leaf's history never changes
};

template <size_t N>
struct Keep {
  std::array<const Tensor*, N> tensors;  // null: the output
};
inline const Tensor* to_keep(const Tensor& x) { return &x; }
inline const Tensor* to_keep(Output) { return nullptr; }
// Each is a tensor that lives until the call of record, undefined where it is not needed, or `output`.
template <class... X>
Keep<sizeof...(X)> keep(const X&... x) {
  return {{to_keep(x)...}};
}
// x, when some other input's rule will need it; else an undefined tensor.
inline const Tensor& kept_for(const Tensor& other, const Tensor& x) {
  static constinit thread_local struct None { alignas(Tensor) unsigned char bytes[sizeof(Tensor)] = {}; } none;
  return other.history() ? x : reinterpret_cast<const Tensor&>(none);
}

// A forward rule that adds to the tangent which the inputs before gave (undefined: zero), so that a part need not be
// made a whole: f(sum, t, kept...) is the new sum.
template <class F>
struct AddingTo {
  F f;
};
template <class F>
AddingTo(F) -> AddingTo<F>;  // clang 14 does not deduce it for an aggregate

template <class V, class J>
struct Wrt {
  Ref<History> input;
  V vjp;
  J jvp;
};
template <class V, class J>
Wrt<V, J> wrt(const Tensor& x, V vjp, J jvp) {
  return {Ref(x.history()), std::move(vjp), std::move(jvp)};
}
template <class R>
Wrt<R, R> wrt(const Tensor& x, R rule) {
  return {Ref(x.history()), rule, rule};
}

Tensor expand_to(Tensor t, const Shape& shape);

template <size_t K, class... Rules>
struct RuleNode final : Node {
  std::array<Ref<History>, sizeof...(Rules)> refs;
  std::array<Kept, K> kept;
  std::tuple<Rules...> rules;

  RuleNode(const char* op, const Tensor& y, const Keep<K>& k, Rules&&... r)
      : Node(op, y.shape(), y.dtype()),
        refs{std::move(r.input)...},
        kept(make(y, k, std::make_index_sequence<K>())),
        rules(std::move(r)...) {
    take_inputs(refs);
  }

  void vjp(Tensor g, Wanted wanted, Cotangents& into) override {
    each_rule([&](size_t i, bool last, auto& rule, const auto&... k) {
      if (wanted[i]) into.add(*input(i), rule.vjp(last ? std::move(g) : g, k...));
    });
  }
  Tensor jvp(Wanted wanted) override {
    Tensor t;
    each_rule([&](size_t i, bool, auto& rule, const auto&... k) {
      Tensor from = wanted.tangent(i);
      if (!from.defined()) return;
      if constexpr (requires { rule.jvp.f; }) t = rule.jvp.f(std::move(t), from, k...);
      else accumulate(t, expand_to(rule.jvp(std::move(from), k...), shape));
    });
    return t;
  }
  size_t kept_count() const override { return K; }
  Tensor kept_tensor(size_t k) override { return k < K ? kept[k].get(*this) : Tensor(); }

 private:
  void give_back() override {
    for (Kept& k : kept) k.~Kept(), new (&k) Kept;
    for (auto& ref : refs) ref = Ref<History>();
  }
  template <size_t... I>
  static std::array<Kept, K> make(const Tensor& y, const Keep<K>& k, std::index_sequence<I...>) {
    return {Kept(k.tensors[I] ? *k.tensors[I] : y, !k.tensors[I])...};
  }
  template <class F>
  void each_rule(F f) {
    check_not_consumed();
    [&]<size_t... I, size_t... J>(std::index_sequence<I...>, std::index_sequence<J...>) {
      [&](const auto&... k) {
        (f(I, I + 1 == sizeof...(Rules), std::get<I>(rules), k...), ...);
      }(kept[J].get(*this)...);
    }
    (std::index_sequence_for<Rules...>{}, std::make_index_sequence<K>{});
  }
};

// y with the op on the tape, when ops are recorded and an input has a history.
template <size_t K, class... Rules>
Tensor record(const char* name, Tensor y, const Keep<K>& k, Rules... rules) {
  if (recording() && (bool(rules.input) || ...))
    y.set_history(new RuleNode<K, Rules...>(name, y, k, std::move(rules)...));
  return y;
}
template <class V, class J, class... Rules>
Tensor record(const char* name, Tensor y, Wrt<V, J> first, Rules... rest) {
  return record(name, std::move(y), Keep<0>{}, std::move(first), std::move(rest)...);
}

// For any number of inputs, nothing kept: vjp(g, i) is input i's cotangent, jvp(t, i) what its tangent adds to y's.
template <class V, class J>
struct EachNode final : Node {
  pool::vector<Ref<History>> refs;
  V rule_vjp;
  J rule_jvp;

  EachNode(const char* op, const Tensor& y, std::span<const Tensor> xs, V v, J j)
      : Node(op, y.shape(), y.dtype()), rule_vjp(std::move(v)), rule_jvp(std::move(j)) {
    for (const Tensor& x : xs) refs.emplace_back(x.history());
    take_inputs(refs);
  }
  void vjp(Tensor g, Wanted wanted, Cotangents& into) override {
    check_not_consumed();
    for (size_t i = 0; i < inputs.size(); ++i)
      if (wanted[i]) into.add(*input(i), rule_vjp(g, i));
  }
  Tensor jvp(Wanted wanted) override {
    check_not_consumed();
    Tensor t;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (Tensor from = wanted.tangent(i); from.defined()) accumulate(t, rule_jvp(std::move(from), i));
    return t;
  }

 private:
  void give_back() override { refs.clear(); }
};
template <class V, class J>
Tensor record_each(const char* name, Tensor y, std::span<const Tensor> xs, V vjp, J jvp) {
  if (!recording()) return y;
  for (const Tensor& x : xs)
    if (x.history()) {
      y.set_history(new EachNode<V, J>(name, y, xs, std::move(vjp), std::move(jvp)));
      break;
    }
  return y;
}

}  // namespace fathom
