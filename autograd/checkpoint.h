// checkpoint(f, x): f(x) whose intermediate results are not kept but computed again when a walk comes by, so that a net
// of depth L needs memory in proportion to sqrt(L) (Chen et al. 2016).
#pragma once
#include <optional>

#include "fathom/autograd/record.h"
#include "fathom/autograd/slice.h"
#include "fathom/tensor/random.h"

namespace fathom {

inline constinit thread_local bool recomputing_ = false;
// f of a checkpoint is being run again: what has effects beside its value (running statistics) leaves them out.
inline bool recomputing() { return recomputing_; }

// The default random numbers as they were, and the mark of recomputing, for as long as f runs again.
class Replay {
 public:
  explicit Replay(const Rng& then) : now_(default_rng()), before_(recomputing_) {
    default_rng() = then;
    recomputing_ = true;
  }
  ~Replay() {
    default_rng() = now_;
    recomputing_ = before_;
  }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

 private:
  Rng now_;
  bool before_;
};

// The nodes not newer than `number` that lead to y by way of newer ones only.
pool::vector<Ref<Node>> inputs_of_stretch(Node& y, uint64_t number);

template <class F>
struct CheckpointNode final : Node {
  pool::vector<Ref<History>> refs;
  std::optional<F> f;
  Kept x;
  Rng then;

  CheckpointNode(const Tensor& y, const pool::vector<Ref<Node>>& from, F g, const Tensor& input_x, const Rng& rng)
      : Node("checkpoint", y.shape(), y.dtype()), f(std::move(g)), x(input_x, false), then(rng) {
    for (const auto& node : from) refs.emplace_back(node.get());
    take_inputs(refs);
  }

  void vjp(Tensor g, Wanted wanted, Cotangents& into) override {
    const Tensor y = run_again();
    const pool::vector<Node*> xs = nodes(wanted);
    pool::vector<Tensor> gs = Slice(node_of(y), xs, Slice::Beyond::cut).vjp(std::move(g));
    for (size_t i = 0; i < xs.size(); ++i)
      if (gs[i].defined()) into.add(*xs[i], std::move(gs[i]));
  }
  Tensor jvp(Wanted wanted) override {
    const Tensor y = run_again();
    const pool::vector<Node*> xs = nodes(wanted);
    pool::vector<Tensor> ts;
    for (const Node* node : xs) ts.push_back(node->flow);
    return Slice(node_of(y), xs, Slice::Beyond::cut).jvp(ts);
  }

 private:
  Tensor run_again() {
    check_not_consumed();
    const Recording on(true);
    const Replay replay(then);
    return (*f)(x.get(*this));
  }
  pool::vector<Node*> nodes(Wanted wanted) const {
    pool::vector<Node*> out;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (wanted[i]) out.push_back(input(i));
    return out;
  }
  void give_back() override {
    refs.clear();
    f.reset();
    x.~Kept(), new (&x) Kept;
  }
};

// f maps a tensor to a tensor, and does the same when it is run again on the same x; what it captures (weights, other
// tensors) takes part in differentiation like x, and must live until then unchanged. Dropout inside repeats its
// numbers when they come from the default generator.
template <class F>
Tensor checkpoint(F f, const Tensor& x) {
  if (!recording()) return f(x);
  const Rng then = default_rng();
  const uint64_t number = Node::last_number;
  const Tensor y = f(x);
  Node* last = node_of(y);
  if (!last || last->number <= number) return y;
  const pool::vector<Ref<Node>> from = inputs_of_stretch(*last, number);
  Tensor out = y.alias();
  out.set_history(new CheckpointNode<F>(y, from, std::move(f), x, then));
  return out;
}

}  // namespace fathom
