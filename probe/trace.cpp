#include "fathom/probe/trace.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <unordered_map>

#include "fathom/autograd/node.h"
#include "fathom/autograd/recording.h"
#include "fathom/probe/samples.h"

namespace fathom::probe {
namespace {

struct Scan {
  double largest = 0, value = 0;  // value: the first that is not finite
  int64_t first = 0, count = 0;
};
Scan scan(const Tensor& x) {
  Scan scan;
  if (!is_floating(x.dtype())) return scan;
  const Tensor flat = contiguous_of(x);
  visit_floating("Trace", flat.dtype(), [&]<class T>(T) {
    const T* at = flat.data<T>();
    for (int64_t i = 0, n = flat.numel(); i < n; ++i) {
      const double size = std::abs(double(at[i]));
      if (std::isfinite(size)) scan.largest = std::max(scan.largest, size);
      else if (scan.count++ == 0) scan.value = double(at[i]), scan.first = i;
    }
  });
  return scan;
}

NonFinite seen_at(bool backward, TracedOp at, std::string of = {}) {
  NonFinite found;
  found.backward = backward, found.at = std::move(at), found.of = std::move(of);
  return found;
}

std::string text_of(const TracedOp& op) {
  return op.op + " " + to_string(op.shape) + (op.module.empty() ? "" : " in " + op.module);
}

}  // namespace

struct Trace::State final : nn::Observer, NodeObserver {
  uint32_t refs = 0;
  static void dispose(State* state) { delete state; }

  struct Call {  // of a module; its nodes are those after begin, up to end
    const nn::Module* module;
    std::string path;
    uint64_t begin, end = 0;
    CallStack stack;
  };
  TraceOptions options;
  const nn::Module* net;
  std::vector<nn::NamedTensor> parameters;
  std::unordered_map<const nn::Module*, std::string> paths;
  std::vector<Call> inside;  // begun and not ended
  uint64_t step_begin = Node::last_number;
  std::multimap<uint64_t, Call> ended;             // of this step, by the end; inner ones before those around them
  std::map<uint64_t, bool> finite;                 // the nodes whose values are known
  std::unordered_map<uint64_t, CallStack> stacks;  // of this step's nodes: where they were made
  int64_t batch = -1, batch_axis = 0;
  std::optional<NonFinite> forward, backward;
  std::deque<TracedOp> forth, back;  // the last ones
  TracedOp walked;                   // where backward() is, and the leaves that it gives gradients to
  CallStack walked_stack;
  std::vector<Ref<Node>> leaves;
  bool open = true;

  State(nn::Module& n, TraceOptions o) : options(std::move(o)), net(&n), parameters(n.named_parameters()) {
    for (const nn::NamedModule& each : n.modules()) paths.emplace(each.module, each.name);
    add_member<nn::Observer>(nn::observer, *this);
    if (options.call_stacks) add_member<NodeObserver>(node_observer, *this);
  }
  void close() {
    open = false;
    remove_member<nn::Observer>(nn::observer, *this);
    if (options.call_stacks) remove_member<NodeObserver>(node_observer, *this);
    leaves.clear();
  }

  void made(const Node& node) override {
    if (!forward || !backward) stacks.emplace(node.number, call_stack());
  }
  Tensor before(nn::Module& module, Tensor x) override;
  void after(nn::Module& module, const Tensor& x, const Tensor& y) override;

  // The innermost call that a node was made in; null: outside.
  const Call* call_of(const Node& node) const {
    for (auto at = ended.lower_bound(node.number); at != ended.end(); ++at)
      if (at->second.begin < node.number) return &at->second;
    for (auto at = inside.rbegin(); at != inside.rend(); ++at)
      if (at->begin < node.number) return &*at;
    return nullptr;
  }
  const CallStack& stack_of(const Node& node) const {
    static const CallStack none;
    if (const auto found = stacks.find(node.number); found != stacks.end()) return found->second;
    const Call* const call = call_of(node);  // it began before the trace
    return call ? call->stack : none;
  }
  TracedOp told(const Node& node) const {
    const Call* call = call_of(node);
    return {node.name, node.shape, call ? call->path : ""};
  }
  void remember(std::deque<TracedOp>& list, TracedOp op, double largest) const {
    op.largest = largest;
    list.push_back(std::move(op));
    while (int64_t(list.size()) > options.before) list.pop_front();
  }

  void look(const Tensor& y, const TracedOp& unrecorded, const CallStack& stack);
  void look_at_kept();
  const Node& find(const Node& bad, NonFinite& found);
  void gradient(const GradientHook& hook, const Tensor& g);
  void attach(const Tensor& loss);
  void check_leaves();
  // batch_axis of x; -1: it has none.
  void report(NonFinite found, const Scan& seen, const Tensor& x, int64_t axis, const CallStack& stack);
};

// On the output of each op.
struct Trace::GradientHook final : Hook {
  Ref<State> state;
  TracedOp op;
  CallStack stack;
  std::vector<std::pair<TracedOp, CallStack>> consumers;  // whose rules give gradients to it
  std::vector<Ref<Node>> leaves;                          // of its inputs

  Tensor operator()(const Tensor& g) override {
    if (state->open && !state->backward) state->gradient(*this, g);
    return {};
  }
};

Tensor Trace::State::before(nn::Module& module, Tensor x) {
  if (&module == net) inside.clear();  // what an exception has left
  const auto found = paths.find(&module);
  Call call{&module, found == paths.end() ? "" : found->second, Node::last_number, 0, {}};
  if (options.call_stacks) call.stack = call_stack();
  if (inside.empty() && x.defined()) {
    batch_axis = module.batch_axis();
    batch = x.dim() > 1 && batch_axis < x.dim() ? x.size(batch_axis) : -1;
    look(x, {"input", x.shape(), call.path}, call.stack);
  }
  inside.push_back(std::move(call));
  return x;
}

void Trace::State::after(nn::Module& module, const Tensor&, const Tensor& y) {
  while (!inside.empty() && inside.back().module != &module) inside.pop_back();
  if (inside.empty()) return;
  Call call = std::move(inside.back());
  inside.pop_back();
  call.end = Node::last_number;
  if (!y.defined()) return;
  const TracedOp unrecorded{"output", y.shape(), call.path};
  const CallStack stack = call.stack;
  if (call.end > call.begin) ended.emplace(call.end, std::move(call));
  look(y, unrecorded, stack);
}

void Trace::State::look(const Tensor& y, const TracedOp& unrecorded, const CallStack& stack) {
  if (forward || !open) return;
  const Scan seen = scan(y);
  const Node* node = node_of(y);
  const bool recorded = node && node->number > step_begin && !node->is_leaf();
  const TracedOp op = recorded ? told(*node) : unrecorded;
  if (recorded && finite.contains(node->number)) return;  // an inner module's output is that of the one around it
  if (node) finite[node->number] = seen.count == 0;
  if (!seen.count) return remember(forth, op, seen.largest);
  NonFinite found = seen_at(false, op);
  const Node* const maker = recorded ? &find(*node, found) : nullptr;
  report(std::move(found), seen, y, batch_axis, maker ? stack_of(*maker) : stack);
}

// The values that the rules of this step's nodes keep.
void Trace::State::look_at_kept() {
  const Recording with_history(true);
  for (Node* node = Node::newest; node && node->number > step_begin; node = node->older)
    for (size_t k = 0; k < node->kept_count(); ++k)
      if (const Tensor kept = node->kept_if_unchanged(k); kept.defined() && node_of(kept))
        finite.emplace(node_of(kept)->number, scan(kept).count == 0);
}

// The oldest of this step's nodes that lead to the bad one and may be the first whose value is not finite.
const Node& Trace::State::find(const Node& bad, NonFinite& found) {
  look_at_kept();
  std::map<uint64_t, const Node*> waiting{{bad.number, &bad}}, suspects;
  while (!waiting.empty()) {
    const auto [number, node] = *waiting.rbegin();
    waiting.erase(number);
    bool certain = true;  // its inputs are finite, as far as they are of this step
    for (const Ref<History>& ref : node->inputs) {
      const auto* input = static_cast<const Node*>(ref.get());
      if (!input || input->number <= step_begin || input->is_leaf()) continue;
      const auto known = finite.find(input->number);
      if (known != finite.end() && known->second) continue;
      if (known != finite.end()) certain = false;  // then it was not this one
      waiting.emplace(input->number, input);
    }
    if (certain) suspects.emplace(number, node);
  }
  found.at = told(*suspects.begin()->second);
  for (auto each = std::next(suspects.begin()); each != suspects.end(); ++each)
    found.others.push_back(told(*each->second));
  return *suspects.begin()->second;
}

void Trace::State::attach(const Tensor& loss) {
  Node* const last = node_of(loss);
  look(loss, {"loss", loss.shape(), ""}, options.call_stacks ? call_stack() : CallStack());
  step_begin = Node::last_number;
  if (backward || !last) return;
  std::unordered_map<const Node*, GradientHook*> hooks;
  const auto put_hook_on = [&](Node& node) {
    auto made = Owned(new GradientHook);
    GradientHook* const hook = made.get();
    hook->state = Ref(this);
    hook->op = told(node);
    hook->stack = stack_of(node);
    add_hook(node, std::move(made));
    return hook;
  };
  if (last->trained && !last->is_leaf()) hooks[last] = put_hook_on(*last);
  for (Node* node = last; node; node = node->older) {
    const auto found = hooks.find(node);
    if (found == hooks.end()) continue;  // it does not lead to the loss
    GradientHook& hook = *found->second;
    for (const Ref<History>& ref : node->inputs) {
      auto* input = static_cast<Node*>(ref.get());
      if (!input || !input->trained) continue;
      if (input->is_leaf()) {
        hook.leaves.push_back(share(input));
        continue;
      }
      GradientHook*& theirs = hooks[input];
      if (!theirs) theirs = put_hook_on(*input);
      theirs->consumers.emplace_back(hook.op, hook.stack);
    }
  }
  ended.clear();  // of the next step there is nothing yet
  stacks.clear();
  finite.clear();
}

void Trace::State::gradient(const GradientHook& hook, const Tensor& g) {
  check_leaves();
  if (backward) return;
  walked = hook.op;
  walked_stack = hook.stack;
  leaves = hook.leaves;
  const Scan seen = scan(g);
  if (!seen.count) return remember(back, hook.op, seen.largest);
  NonFinite found = seen_at(true, hook.op, text_of(hook.op));
  if (!hook.consumers.empty()) found.at = hook.consumers.front().first;
  for (size_t i = 1; i < hook.consumers.size(); ++i) found.others.push_back(hook.consumers[i].first);
  report(std::move(found), seen, g, batch_axis, hook.consumers.empty() ? hook.stack : hook.consumers.front().second);
}

void Trace::State::check_leaves() {
  const std::vector<Ref<Node>> list = std::exchange(leaves, {});
  if (backward) return;
  for (const Ref<Node>& leaf : list) {
    const Tensor grad = static_cast<Leaf&>(*leaf.get()).grad();
    const Scan seen = grad.defined() ? scan(grad) : Scan();
    if (!seen.count) continue;
    NonFinite found = seen_at(true, walked, "a leaf " + to_string(leaf.get()->shape));
    int64_t axis = batch_axis;
    for (const nn::NamedTensor& each : parameters)
      if (node_of(each.tensor) == leaf.get()) found.of = "parameter " + each.name, axis = -1;
    return report(std::move(found), seen, grad, axis, walked_stack);
  }
}

void Trace::State::report(NonFinite found, const Scan& seen, const Tensor& x, int64_t axis, const CallStack& stack) {
  found.value = seen.value;
  found.element = seen.first;
  found.count = seen.count;
  const Shape& shape = x.shape();
  if (axis >= 0 && axis < shape.rank && shape[int(axis)] == batch) {
    const Layout layout(shape, int(axis));
    found.sample = seen.first / layout.inner % layout.batch;
  }
  for (const nn::NamedTensor& each : parameters)
    if (scan(each.tensor).count) found.parameters.push_back(each.name);
  const auto& list = found.backward ? back : forth;
  found.before.assign(list.begin(), list.end());
  found.calls = call_sites(stack);
  (found.backward ? backward : forward) = found;
  if (options.stop) throw Error("Trace: " + found.text());
}

const CallSite* NonFinite::place() const {
  for (const CallSite& each : calls)
    if (!each.in_library) return &each;
  return nullptr;
}

std::string NonFinite::text() const {
  std::string out = backward ? "the gradient of " + of + ", made by the rule of " + text_of(at) : text_of(at);
  for (const TracedOp& each : others) out += " or of " + text_of(each);
  out += " is not finite: " + short_text(value) + " at element " + std::to_string(element);
  if (sample >= 0) out += ", sample " + std::to_string(sample);
  out += "; " + std::to_string(count) + " in all";
  for (const std::string& each : parameters) out += "\n  parameter " + each + " is not finite itself";
  if (const CallSite* in = place()) {
    out += "\n  called in " + in->function;
    if (!in->file.empty()) out += ", " + in->file + ":" + std::to_string(in->line);
  }
  for (auto each = before.rbegin(); each != before.rend(); ++each)
    out += "\n  before it: " + text_of(*each) + ", at most " + short_text(each->largest);
  return out;
}

Trace::Trace(nn::Module& net, TraceOptions options) : state_(new State(net, std::move(options))) {}
Trace::~Trace() { state_->close(); }
void Trace::backward(const Tensor& loss, const BackwardOptions& options) {
  attach(loss);
  fathom::backward(loss, options);
  check();
}
void Trace::attach(const Tensor& loss) { state_->attach(loss); }
void Trace::check() { state_->check_leaves(); }
const std::optional<NonFinite>& Trace::forward() const { return state_->forward; }
const std::optional<NonFinite>& Trace::backward() const { return state_->backward; }

}  // namespace fathom::probe
