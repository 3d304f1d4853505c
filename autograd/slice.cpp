#include "fathom/autograd/slice.h"

#include <algorithm>
#include <typeinfo>

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
  const auto is_end = [&](const Node& node) { return beyond == Beyond::cut && node.mark == x_met; };
  meet(*y);
  size_t unseen = !is_end(*y);  // nodes that were met and lead on
  steps_.reserve(8);            // more than a layer has
  flags_.reserve(16);
  for (Node* node = y; node && ahead && unseen; node = node->older) {
    const bool is_x = node->mark == x_met;
    ahead -= is_x || node->mark == x_not_met;
    if (is_x ? beyond == Beyond::cut : node->mark != leads_to_y) continue;
    --unseen;
    if (!is_x) node->check_not_consumed();
    steps_.push_back({share(node), uint32_t(flags_.size()), is_x, false});
    flags_.resize(flags_.size() + node->inputs.size());
    for (size_t i = node->inputs.size(); i-- > 0;)
      if (Node* input = node->input(i); input && meet(*input)) {
        flags_[steps_.back().flags + i] = Wanted::last_reader;
        unseen += !is_end(*input);
      }
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

void Slice::check_whole(Node& y) {
  const uint32_t met = ++epoch_;
  size_t unseen = 1;
  y.mark = met;
  for (Node* node = &y; node && unseen; node = node->older) {
    if (node->mark != met) continue;
    --unseen;
    node->check_not_consumed();
    for (const auto& ref : node->inputs)
      if (Node* input = static_cast<Node*>(ref.get()); input && input->trained)
        unseen += std::exchange(input->mark, met) != met;
  }
}

uint64_t Slice::structure() const {
  uint64_t hash = 14695981039346656037u;  // FNV-1a, of words
  const auto add = [&hash](uint64_t word) { hash = (hash ^ word) * 1099511628211u; };
  for (const Step& step : steps_) {
    const Node& node = *step.node;
    add(reinterpret_cast<uintptr_t>(node.name)), add(reinterpret_cast<uintptr_t>(&typeid(node)));
    for (size_t i = 0; i < step.node->inputs.size(); ++i) add(flags_[step.flags + i]);
  }
  return hash;
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
    if (run_hooks && node.watch) {
      Tensor seen = watched(node, std::move(at));  // the hook may have walked over this node
      walk.flow(node) = std::move(seen);
    }
    node.vjp(step.is_x ? node.flow : std::move(node.flow), wanted(step), walk);
    if (!step.is_x) walk.flow(node) = {};
  }
  pool::vector<Tensor> result;
  for (size_t i = 0; i < xs_.size(); ++i) {
    if (!reached_[i]) {
      result.emplace_back();
      continue;
    }
    Node& x = *xs_[i];
    const auto is_x = [&x](const auto& node) { return node.get() == &x; };
    if (const size_t first = size_t(std::find_if(xs_.begin(), xs_.end(), is_x) - xs_.begin()); first < i) {
      result.push_back(result[first]);
      continue;
    }
    if (run_hooks && beyond_ == Beyond::through && walk.flow(x).defined() && x.watch &&
        std::none_of(steps_.begin(), steps_.end(), [&](const Step& step) { return is_x(step.node); })) {
      Tensor seen = watched(x, std::move(walk.flow(x)));
      walk.flow(x) = std::move(seen);
    }
    result.push_back(walk.flow(x));
  }
  return result;
}

}  // namespace fathom
