// How a recorder follows the calls of modules and the steps of optimisers, and hangs its hooks on the tape.
#include <algorithm>

#include "fathom/autograd/hooks.h"
#include "fathom/autograd/recording.h"
#include "fathom/autograd/slice.h"
#include "fathom/probe/recorder/state.h"

namespace fathom::probe {

namespace {

// Whether backward() passes this node with a cotangent, and a hook on it changes nothing.
bool is_passed(const Node& node) { return node.trained && !node.is_leaf(); }

}  // namespace

// On a site's output: measures the site, with the cotangent that backward() brings.
struct Recorder::SiteHook final : Hook {
  Ref<State> state;
  std::shared_ptr<SiteMeasure> row, next;  // next: of the site whose input this is
  State::Site* site;
  int64_t batch_axis;
  int64_t call;
  Node* y;            // it owns this hook
  Ref<Node> x;        // null: not on the tape
  bool same = false;  // the module gives back its input

  Tensor operator()(const Tensor& g) override {
    State& s = *state;
    s.passed |= !s.in_backward && !s.busy;
    if (!s.open || !s.in_backward || s.busy || !s.due()) return {};
    const Stopwatch watch(s.measuring);
    const Flag busy(s.busy);
    row->grad_out = norm_of(g);
    s.find_shared_inputs();  // of what a checkpoint has made again since
    Node* const from = same ? y : x.get();
    const State::WayBack way = !from || !is_passed(*from)        ? State::WayBack::none
                               : s.shares_input.count(y->number) ? State::WayBack::shared
                                                                 : State::WayBack::alone;
    if (from && s.jacobians_due() && !s.options.probe.defined()) {
      if (s.details_due() && !s.product) s.measure_product(*y, g);
      s.measure(*row, *site, batch_axis, call, *y, *from, way == State::WayBack::alone ? Tensor() : g.alias());
    }
    if (same) row->grad_in = row->grad_out;
    if (next) next->grad_in = row->grad_out;
    // Of sites with one and the same output, the hook of the first is called first.
    auto at = s.found.end();
    while (at != s.found.begin() && (at - 1)->node == y->number) --at;
    s.found.insert(at, {row, site, y->number, way});
    return {};
  }
};

// On a site's input, where no other site ended before: the norm of the cotangent there.
struct Recorder::InputHook final : Hook {
  Ref<State> state;
  std::shared_ptr<SiteMeasure> row;

  Tensor operator()(const Tensor& g) override {
    if (!state->open || !state->in_backward || state->busy) return {};
    const Stopwatch watch(state->measuring);
    row->grad_in = norm_of(g);
    return {};
  }
};

bool Recorder::State::watches() const { return open && recording() && (probing || (!busy && due())); }

Tensor Recorder::State::before(nn::Module& module, Tensor x) {
  if (!watches()) return x;
  if (!sites.count(&module)) return x;
  if (x.defined() && !x.history() && is_floating(x.dtype())) {  // an anchor
    x = x.alias();
    x.set_history(new Leaf(x, false));
  }
  calls.push_back({&module, share(x.defined() ? node_of(x) : nullptr)});
  return x;
}

std::optional<Recorder::State::Call> Recorder::State::end_call(const nn::Module& module) {
  while (!calls.empty()) {
    const Call call = std::move(calls.back());
    calls.pop_back();
    if (call.module == &module) return call;
  }
  return {};
}

// Of sites that were not looked at before; their readers are on the tape still.
void Recorder::State::find_shared_inputs() {
  if (inputs_looked_at == inputs.size()) return;
  const Stopwatch watch(measuring);
  std::unordered_multimap<uint64_t, const Input*> of_node;
  for (; inputs_looked_at < inputs.size(); ++inputs_looked_at)
    of_node.emplace(inputs[inputs_looked_at].x, &inputs[inputs_looked_at]);
  for (const Node* node = Node::newest; node; node = node->older)
    for (size_t i = 0; i < node->inputs.size(); ++i) {
      const Node* const x = node->input(i);
      if (!x || !x->watch) continue;  // a site's input has a hook
      for (auto [at, end] = of_node.equal_range(x->number); at != end; ++at)
        if (const Input& input = *at->second; node->number <= input.begun || node->number > input.ended)
          shares_input.insert(input.y);
    }
}

void Recorder::State::after(nn::Module& module, const Tensor&, const Tensor& y) {
  if (calls.empty() || !watches()) return;
  const auto found_site = sites.find(&module);
  if (found_site == sites.end()) return;
  const Stopwatch watch(measuring);
  const std::optional<Call> begun = end_call(module);
  Node* node = y.defined() ? node_of(y) : nullptr;
  if (!begun || !node || !is_floating(y.dtype()) || node->is_leaf()) return;
  const Ref<Node>& x = begun->input;
  Site& site = found_site->second;
  const int64_t call = site.calls++;
  if (details_due()) links.push_back({x ? x->number : 0, node->number});
  if (probing) {
    SiteMeasure& row = probed[{site.path, call}];
    describe_output(row, site, module, y);
    if (x) measure(row, site, module.batch_axis(), call, *node, *x, {});
    return;
  }

  auto row = std::make_shared<SiteMeasure>();
  describe_output(*row, site, module, y);
  if (!is_passed(*node)) {
    row->trained = false;
    row->grad_out = not_known;
    frozen.push_back({std::move(row), &site, module.batch_axis(), call, x ? x->number : 0, node->number});
    return;
  }
  if (x && is_passed(*x)) inputs.push_back({x->number, node->number, begun->begun, Node::last_number});
  if (x && x->number == last_node && x.get() != node && !last_hook->next) {
    last_hook->next = row;
  } else if (x && is_passed(*x) && x.get() != node) {
    auto hook = Owned(new InputHook);
    hook->state = Ref(this);
    hook->row = row;
    add_hook(*x, std::move(hook));
  }
  auto hook = Owned(new SiteHook);
  hook->state = Ref(this);
  hook->row = std::move(row);
  hook->site = &site;
  hook->batch_axis = module.batch_axis();
  hook->call = call;
  hook->y = node;
  hook->same = x.get() == node;
  if (!hook->same) hook->x = x;  // a node does not own itself
  last_hook = hook.get();
  last_node = node->number;
  add_hook(*node, std::move(hook));
}

// Of the step that backward() has counted already.
bool Recorder::State::wants_norms() { return open && steps > 0 && parameters_due(steps - 1); }
void Recorder::State::stepped(std::span<const optim::StepNorms> norms) {
  if (!wants_norms()) return;
  const Stopwatch watch(measuring);
  write_parameters(norms);
  write_in_time();
}

void Recorder::State::clipped(double scale) {
  if (!open) return;
  if (waiting) waiting->clip = std::min(scale, waiting->clip.value_or(1));
  else if (steps > 0) write_clip(scale);  // by a second optimiser
}

// The line of the step waits for no more, but for a norm that step() is to tell.
void Recorder::State::ended() {
  if (!open || !options.grad_norm) return;
  const Stopwatch watch(measuring);
  write_step();
  write_in_time();
}

}  // namespace fathom::probe
