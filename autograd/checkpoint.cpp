#include "fathom/autograd/checkpoint.h"

#include "fathom/autograd/record.h"
#include "fathom/autograd/slice.h"

namespace fathom {
namespace {

// The nodes not newer than `number` that lead to y by way of newer ones only.
pool::vector<Ref<Node>> inputs_of_stretch(Node& y, uint64_t number) {
  pool::vector<Node*> older;
  for (const Node* node = &y; node && node->number > number; node = node->older)
    for (const auto& input : node->inputs)
      if (auto* at = static_cast<Node*>(input.get()); at && at->number <= number) older.push_back(at);
  const Slice slice(&y, older, Slice::Beyond::cut);
  pool::vector<Ref<Node>> out;
  for (size_t i = 0; i < older.size(); ++i) {
    bool again = false;
    for (const auto& have : out) again |= have.get() == older[i];
    if (slice.reaches(i) && !again) out.push_back(share(older[i]));
  }
  return out;
}

// While f is run again: how many in-place changes had been made when it first was, and when this run began.
struct Run {
  uint32_t made, begun;
};
constinit thread_local const Run* run = nullptr;

struct CheckpointNode final : Node {
  pool::vector<Ref<History>> refs;
  Owned<Checkpointed> f;
  Kept x;
  Rng then;
  // How many in-place changes had been made when f(x) was computed. Of a node that a run of another makes, when that
  // first was; then those between the run's begin and this node are the run's own.
  uint32_t changes = run ? run->made : Storage::changes, begun = run ? run->begun : Storage::changes,
           made = Storage::changes;

  CheckpointNode(const Tensor& y, const pool::vector<Ref<Node>>& from, Owned<Checkpointed> g, const Tensor& input_x,
                 const Rng& rng)
      : Node("checkpoint", y.shape(), y.dtype()), f(std::move(g)), x(input_x, false), then(rng) {
    for (const auto& node : from) refs.emplace_back(node.get());
    take_inputs(refs);
  }

  void vjp(Tensor g, Wanted wanted, Cotangents& into) override {
    const Tensor y = run_again();
    const pool::vector<Node*> xs = nodes(wanted);
    pool::vector<Tensor> gs = Slice(node_of(y), xs, Slice::Beyond::cut).vjp(std::move(g), Walk::runs_hooks());
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
    const uint64_t before = Node::last_number;
    const Tensor from = x.get(*this);
    const Run this_run{changes, ++Storage::changes};
    struct Restore {
      const Run* outer = run;
      ~Restore() { run = outer; }
    } restore;
    run = &this_run;
    const Tensor y = (*f)(from);
    check_captured(before, this_run.begun);
    return y;
  }
  // What f reads beside x, as far as its rules keep it and it is older than this run.
  void check_captured(uint64_t before, uint32_t now) const {
    const auto earlier = [](uint32_t a, uint32_t b) { return int32_t(a - b) < 0; };
    for (Node* node = Node::newest; node && node->number > before; node = node->older)
      for (size_t k = 0; k < node->kept_count(); ++k) {
        const Tensor kept = node->kept_if_unchanged(k);
        if (!kept.defined() || !earlier(kept.storage().born, now)) continue;
        const uint32_t changed = kept.storage().version;
        if (!earlier(changes, changed) || (earlier(begun, changed) && !earlier(made, changed))) continue;
        throw Error("checkpoint: a tensor of shape " + to_string(kept.shape()) + ", which f reads in " + node->name +
                    ", has been changed by " + kept.storage().changed_by + " since f(x) was computed");
      }
  }
  pool::vector<Node*> nodes(Wanted wanted) const {
    pool::vector<Node*> out;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (wanted[i]) out.push_back(input(i));
    return out;
  }
  void give_back() override {
    refs.clear();
    f = {};
    x.~Kept(), new (&x) Kept;
  }
};

}  // namespace

Replay::Replay(const Rng& then)
    : now_(default_rng()),
      before_(std::exchange(recomputing_, true)),
      since_before_(std::exchange(recomputing_since_, Node::last_number)) {
  default_rng() = then;
}

Tensor checkpoint_of(Owned<Checkpointed> f, const Tensor& x) {
  if (!recording()) return (*f)(x);
  const Rng then = default_rng();
  const uint64_t number = Node::last_number;
  const Tensor y = (*f)(x);
  Node* last = node_of(y);
  if (!last || last->number <= number) return y;
  const pool::vector<Ref<Node>> from = inputs_of_stretch(*last, number);
  Tensor out = y.alias();
  out.set_history(new CheckpointNode(y, from, std::move(f), x, then));
  return out;
}

}  // namespace fathom
