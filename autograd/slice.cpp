#include "fathom/autograd/slice.h"

#include <algorithm>

#include "fathom/autograd/record.h"
#include "fathom/tensor/parallel.h"  // FunctionRef

namespace fathom {
namespace {

pool::vector<Node*> nodes_of(std::span<const Tensor> xs) {
  pool::vector<Node*> nodes;
  for (const Tensor& x : xs) nodes.push_back(node_of(x));
  return nodes;
}

}  // namespace

Slice::Slice(const Tensor& y, std::span<const Tensor> xs) : Slice(node_of(y), nodes_of(xs)) {}

Slice::Slice(Node* y, std::span<Node* const> xs, Beyond beyond) : beyond_(beyond), y_(y), reached_(xs.size(), 0) {
  const uint32_t x_not_met = ++epoch_, x_met = ++epoch_, leads_to_y = ++epoch_, comes_from_x = ++epoch_;
  size_t ahead = 0;
  for (Node* x : xs) {
    xs_.emplace_back(x);
    if (x && std::exchange(x->mark, x_not_met) != x_not_met) ++ahead;
  }
  if (!y) return;
  const auto meet = [&](Node& node) {  // whether for the first time
    const uint32_t before = std::exchange(node.mark, node.mark == x_not_met || node.mark == x_met ? x_met : leads_to_y);
    return before != node.mark;
  };
  meet(*y);
  steps_.reserve(8);  // more than a layer has
  flags_.reserve(16);
  for (Node* node = y; node && ahead; node = node->older) {
    const bool is_x = node->mark == x_met;
    ahead -= is_x || node->mark == x_not_met;
    if (is_x ? beyond == Beyond::cut : node->mark != leads_to_y) continue;
    if (!is_x) node->check_not_consumed();
    steps_.push_back({share(node), uint32_t(flags_.size()), is_x, false});
    flags_.resize(flags_.size() + node->inputs.size());
    for (size_t i = node->inputs.size(); i-- > 0;)
      if (Node* input = node->input(i); input && meet(*input)) flags_[steps_.back().flags + i] = Wanted::last_reader;
  }
  for (size_t i = 0; i < xs.size(); ++i) reached_[i] = xs[i] && xs[i]->mark == x_met;
  std::reverse(steps_.begin(), steps_.end());
  for (const auto& x : xs_)
    if (x && x->mark == x_met) x->mark = comes_from_x;
  for (Step& step : steps_) {
    for (size_t i = 0; i < step.node->inputs.size(); ++i) {
      const Node* input = step.node->input(i);
      uint8_t& flag = flags_[step.flags + i];
      if (input && input->mark == comes_from_x) flag |= Wanted::on_the_way, step.inner = true;
      else flag = 0;
    }
    if (step.inner) step.node->mark = comes_from_x;
  }
  std::erase_if(steps_, [](const Step& step) { return !step.inner; });
}

// A walk over the slice that leaves no flow behind, also after an error.
class Slice::Ebb : public Walk, public Cotangents {
 public:
  explicit Ebb(const Slice& slice, bool runs_hooks = false) : Walk(runs_hooks), slice_(slice) {}
  ~Ebb() {
    for (const Step& step : slice_.steps_) clear(*step.node);
    for (const auto& x : slice_.xs_)
      if (x) clear(*x);
    if (slice_.y_) clear(*slice_.y_);
  }
  void update(Node& input, FunctionRef<Tensor(Tensor)> f) override {
    Tensor& at = flow(input);
    at = f(std::move(at));
  }

 private:
  void receive(Node& input, Tensor g) override { accumulate(flow(input), std::move(g)); }
  void clear(Node& node) const {
    if (has_flow(node)) node.flow = {};
  }
  const Slice& slice_;
};

void Slice::advance(Ebb& walk, const Step& step) const {
  Node& node = *step.node;
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (flags_[step.flags + i]) walk.flow(*node.input(i));
  Tensor t = node.jvp(wanted(step));
  Tensor& at = walk.flow(node);
  if (t.defined()) accumulate(at, std::move(t));
}

Tensor Slice::jvp(std::span<const Tensor> vs) const {
  Ebb walk(*this);
  for (size_t i = 0; i < xs_.size(); ++i)
    if (reached_[i] && vs[i].defined()) accumulate(walk.flow(*xs_[i]), vs[i]);
  for (const Step& step : steps_) advance(walk, step);
  return y_ ? walk.flow(*y_) : Tensor();
}

Tensor Slice::jvp_between(Node& from, Node& to, const Tensor& v) const {
  Ebb walk(*this);
  walk.flow(from) = v;
  for (const Step& step : steps_)
    if (step.node->number > from.number && step.node->number <= to.number) advance(walk, step);
  return walk.flow(to);
}

pool::vector<Tensor> Slice::vjp(Tensor u, bool run_hooks) const {
  Ebb walk(*this, run_hooks);
  if (y_) walk.flow(*y_) = std::move(u);
  for (size_t k = steps_.size(); k-- > 0;) {
    const Step& step = steps_[k];
    Node& node = *step.node;
    Tensor& at = walk.flow(node);
    if (!at.defined()) continue;
    if (run_hooks && node.watch) at = watched(node, std::move(at));
    node.vjp(step.is_x ? at : std::move(at), wanted(step), walk);
    if (!step.is_x) walk.flow(node) = {};
  }
  pool::vector<Tensor> result;
  for (size_t i = 0; i < xs_.size(); ++i) {
    if (!reached_[i]) {
      result.emplace_back();
      continue;
    }
    Tensor& at = walk.flow(*xs_[i]);
    if (run_hooks && beyond_ == Beyond::through && at.defined() && xs_[i]->watch &&
        !std::any_of(steps_.begin(), steps_.end(), [&](const Step& step) { return step.node.get() == xs_[i].get(); }))
      at = watched(*xs_[i], std::move(at));
    result.push_back(at);
  }
  return result;
}

}  // namespace fathom
