// A fused op: the gradients of its inputs share work, so it has one rule for all of them in each mode, written as
// kernels. Higher orders differentiate its composition, which computes the same with ops.
#pragma once
#include <optional>

#include "fathom/autograd/ops/views.h"
#include "fathom/autograd/record.h"
#include "fathom/autograd/slice.h"

namespace fathom {

// vjp(g, wanted, x) is the array of the N cotangents, undefined where not wanted; jvp(t, x) the tangent of y, with
// t[i] undefined where input i has none; compose(x) the value by ops. x are the inputs, checked for in-place changes.
// The lambdas may capture what the op made for itself and nobody else can reach. y itself is not of that kind: rules
// that take it as one argument more get it checked as the inputs are. Requires: no rule reads the tape.
template <size_t N, class Vjp, class Jvp, class Compose>
struct JointNode : Node {
  using Inputs = std::array<Tensor, N>;
  struct Rules {
    Vjp vjp;
    Jvp jvp;
    Compose compose;
  };
  static constexpr bool reads_output = std::is_invocable_v<const Vjp&, Tensor, Wanted, const Inputs&, const Tensor&> &&
                                       std::is_invocable_v<const Jvp&, const Inputs&, const Inputs&, const Tensor&>;
  std::array<Ref<History>, N> refs;
  std::array<Kept, N> kept;
  Kept output_kept;
  std::optional<Rules> rules;  // until consumed

  JointNode(const char* op, const Tensor& y, const Inputs& x, Rules r)
      : Node(op, y.shape(), y.dtype()),
        refs(each<Ref<History>>([&](size_t i) { return Ref<History>(x[i].history()); })),
        kept(each<Kept>([&](size_t i) { return Kept(x[i], false); })),
        output_kept(reads_output ? y : Tensor(), true),
        rules(std::move(r)) {
    take_inputs(refs);
  }

  void vjp(Tensor g, Wanted wanted, Cotangents& into) override {
    check_not_consumed();
    if (!recording()) {
      Inputs gs = [&] {
        if constexpr (reads_output) return rules->vjp(std::move(g), wanted, inputs_kept(), output_kept.get(*this));
        else return rules->vjp(std::move(g), wanted, inputs_kept());
      }();
      for (size_t i = 0; i < N; ++i)
        if (wanted[i]) into.add(*input(i), std::move(gs[i]));
      return;
    }
    const auto [y, xs] = composed();
    pool::vector<Tensor> gs = Slice(y, xs).vjp(std::move(g));
    for (size_t i = 0; i < N; ++i)
      if (wanted[i] && gs[i].defined()) into.add(*input(i), std::move(gs[i]));
  }
  Tensor jvp(Wanted wanted) override {
    check_not_consumed();
    Inputs ts;
    bool any = false;
    for (size_t i = 0; i < N; ++i) any |= (ts[i] = wanted.tangent(i)).defined();
    if (!any) return {};
    if (!recording()) {
      if constexpr (reads_output) return rules->jvp(ts, inputs_kept(), output_kept.get(*this));
      else return rules->jvp(ts, inputs_kept());
    }
    const auto [y, xs] = composed();
    return Slice(y, xs).jvp(ts);
  }
  size_t kept_count() const override { return N; }
  Tensor kept_tensor(size_t k) override { return k < N ? kept[k].get(*this) : Tensor(); }

 protected:
  Inputs inputs_kept() {
    return each<Tensor>([&](size_t i) { return kept[i].get(*this); });
  }

 private:
  template <class T, class F>
  static std::array<T, N> each(F f) {
    return [&]<size_t... I>(std::index_sequence<I...>) { return std::array<T, N>{f(I)...}; }
    (std::make_index_sequence<N>());
  }
  std::pair<Tensor, Inputs> composed() {
    Inputs xs = inputs_kept();
    for (Tensor& x : xs)
      if (x.defined() && x.history()) x = identity(x);
    return {rules->compose(xs), xs};
  }
  void give_back() override {
    rules.reset();
    for (Kept& k : kept) k.~Kept(), new (&k) Kept;
    output_kept.~Kept(), new (&output_kept) Kept;
    for (auto& ref : refs) ref = Ref<History>();
  }
};

// A node that tells what its op works out on the way and does not keep, computed again: compose.hidden(x), where there
// is such a thing. The scores of attention, for the probes.
struct Hidden {
  virtual Tensor hidden() = 0;

 protected:
  ~Hidden() = default;
};
template <size_t N, class Vjp, class Jvp, class Compose>
struct TellingNode final : JointNode<N, Vjp, Jvp, Compose>, Hidden {
  using JointNode<N, Vjp, Jvp, Compose>::JointNode;
  Tensor hidden() override {
    this->check_not_consumed();
    return this->rules->compose.hidden(this->inputs_kept());
  }
};

template <size_t N, class Vjp, class Jvp, class Compose>
Tensor record_joint(const char* name, Tensor y, const std::array<Tensor, N>& x, Vjp vjp, Jvp jvp, Compose compose) {
  if (!recording()) return y;
  for (const Tensor& each : x)
    if (each.history()) {
      constexpr bool tells = requires { compose.hidden(x); };
      using Made = std::conditional_t<tells, TellingNode<N, Vjp, Jvp, Compose>, JointNode<N, Vjp, Jvp, Compose>>;
      y.set_history(new Made(name, y, x, {std::move(vjp), std::move(jvp), std::move(compose)}));
      break;
    }
  return y;
}

}  // namespace fathom
