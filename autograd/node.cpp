#include "fathom/autograd/node.h"

#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/ops/reduce.h"
#include "fathom/autograd/ops/views.h"
#include "fathom/autograd/record.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom {

std::string describe(const Node& node) { return std::string(node.name) + " of shape " + to_string(node.shape); }

void nothing_recorded(const char* op, const char* name, const Tensor& x) {
  throw Error(std::string(op) + ": nothing was recorded for " + name + " of shape " + to_string(x.shape()) +
              ": no input of it requires grad, it was made without recording, it is a constant derivative, or comes of "
              "grad() without .create_graph = true");
}

void Node::consume() {
  give_back();
  inputs = {};
  live_consumed += !std::exchange(consumed, true);
}

void Node::already_consumed() const {
  throw Error(std::string(name) +
              ": backward() has consumed this part of the tape; give the first call .retain_graph = true");
}

void accumulate(Tensor& into, Tensor more) {
  into = into.defined() ? std::move(into) + std::move(more) : std::move(more);
}

void Leaf::receive(Tensor g) {
  const NoGrad off;
  squares_.reset();
  const bool asked = std::exchange(asked_, false);
  if (grad_.defined()) return accumulate(grad_, std::move(g));
  grad_ = g.owned() ? std::move(g) : kernel::clone(g);
  if (asked) squares_ = kernel::sum_of_squares(grad_);
}

double Leaf::squared_grad_norm() {
  asked_ = true;
  if (squares_) return *squares_;
  return grad_.defined() ? kernel::sum_of_squares(grad_) : 0;
}

void tell_made(const Node& node) {
  for (NodeObserver* each = node_observer; each; each = each->next) each->made(node);
}

void Cotangents::add(Node& input, Tensor g) {
  if (!g.defined() || g.dtype() != input.dtype)
    throw Error("a rule gave " + (g.defined() ? "a gradient of " + std::string(to_string(g.dtype())) : "no gradient") +
                " for " + describe(input) + ", which is " + to_string(input.dtype));
  if (g.shape() != input.shape) g = sum_to(std::move(g), input.shape);
  receive(input, std::move(g));
}

Tensor expand_to(Tensor t, const Shape& shape) { return t.shape() == shape ? t : expand(t, shape); }

Tensor Node::kept_if_unchanged(size_t k) {
  try {
    return kept_tensor(k);
  } catch (const Error&) {
    return {};
  }
}

Kept::Kept(const Tensor& x, bool is_output) : is_output_(is_output) {
  if (!x.defined()) return;
  Node* node = is_output ? nullptr : node_of(x);
  shared_ = node && node->is_leaf() && node->trained;
  value_ = shared_ ? x : x.alias();
  version_ = x.storage().version;
  if (shared_) return;
  history_ = Ref<History>(node);
  ++x.storage().kept;
}

Tensor Kept::with_history(Node& node) const {
  Tensor x = value_.alias();
  x.set_history(is_output_ ? &node : history_.get());
  return x;
}

void Kept::changed(const Node& node) const {
  const char* by = value_.storage().changed_by;
  throw Error(std::string(node.name) + ": needs its " + (is_output_ ? "output" : "input") + " of shape " +
              to_string(value_.shape()) + ", which " + (by ? by : "an in-place op") + " has changed since");
}

}  // namespace fathom
