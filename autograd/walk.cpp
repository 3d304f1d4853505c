#include "fathom/autograd/walk.h"

#include "fathom/tensor/kernels/map.h"

namespace fathom {

Walk::~Walk() {
  while (!aside_.empty()) {
    Aside& last = aside_.back();
    last.node->flow = std::move(last.flow);
    last.node->walk = last.walk;
    aside_.pop_back();
  }
  --depth_;
  runs_hooks_ = around_;
}

void Walk::claim(Node& node) {
  if (node.flow.defined()) aside_.push_back({share(&node), std::exchange(node.flow, {}), node.walk});
  node.walk = number_;
}

Tensor watched(Node& node, Tensor g) {
  for (Hook* hook = node.watch->hooks.get(); hook; hook = hook->next.get())
    if (Tensor changed = (*hook)(g); changed.defined()) {
      if (changed.shape() != node.shape || changed.dtype() != node.dtype)
        throw Error("hook: the gradient of " + describe(node) + " was replaced by one of shape " +
                    to_string(changed.shape()) + " and " + to_string(changed.dtype()));
      g = std::move(changed);
    }
  return g;
}

}  // namespace fathom
