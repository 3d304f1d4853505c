// The methods of Tensor that concern its place on the tape.
#include "fathom/autograd/backward.h"
#include "fathom/autograd/checkpoint.h"  // recomputing
#include "fathom/autograd/node.h"

namespace fathom {

bool Tensor::requires_grad() const { return history() && node_of(*this)->trained; }

Tensor& Tensor::requires_grad_(bool on) {
  if (on && !is_floating(dtype()))
    throw Error(std::string("requires_grad_: only floating tensors have gradients, this one is ") + to_string(dtype()));
  Node* node = node_of(*this);
  if (!on && node && !node->is_leaf())
    throw Error("requires_grad_(false): the tensor was computed by " + describe(*node) + "; use detach()");
  if (!on) set_history(nullptr);
  else if (!node || !node->trained) set_history(new Leaf(*this, true));
  return *this;
}

Tensor Tensor::grad() const {
  Node* node = node_of(*this);
  if (!node) return {};
  if (node->is_leaf()) return static_cast<Leaf*>(node)->grad();
  return node->watch ? node->watch->grad : Tensor();
}

namespace {

Watch& watch(Node& node) {
  if (!node.watch) node.watch = Owned(new Watch);
  return *node.watch;
}

}  // namespace

void Tensor::set_grad(Tensor g) const {
  Node* node = node_of(*this);
  if (!node || !node->is_leaf() || !node->trained)
    throw Error("set_grad: the tensor of shape " + to_string(shape()) + " is no leaf that requires grad");
  if (g.defined() && (g.shape() != shape() || g.dtype() != dtype()))
    throw Error("set_grad: a gradient of " + to_string(g.shape()) + " and " + to_string(g.dtype()) +
                " for a tensor of " + to_string(shape()) + " and " + to_string(dtype()));
  static_cast<Leaf*>(node)->set_grad(std::move(g));
}

Node& node_on_tape(const char* op, const Tensor& x) {
  if (Node* node = node_of(x)) return *node;
  throw Error(std::string(op) + ": the tensor of shape " + to_string(x.shape()) + " is not on the tape");
}
void add_hook(Node& node, Owned<Hook> hook) {
  auto* at = &watch(node).hooks;
  while (*at) at = &(*at)->next;
  *at = std::move(hook);
}

bool has_hooks_of_this_run(const Node& node) { return recomputing() && node.number <= recomputing_since_; }

void Tensor::retain_grad() const { watch(node_on_tape("retain_grad", *this)).retain_grad = true; }
void Tensor::backward() const { fathom::backward(*this); }
void Tensor::backward(const BackwardOptions& options) const { fathom::backward(*this, options); }

}  // namespace fathom
