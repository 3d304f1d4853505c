// Hooks on a tensor's gradient.
#pragma once
#include <type_traits>

#include "fathom/tensor/tensor.h"

namespace fathom {

struct Node;
struct Hook : pool::Pooled {
  virtual ~Hook() = default;
  virtual Tensor operator()(const Tensor& g) = 0;  // an undefined result leaves g as it is
  Owned<Hook> next;
};

// x's node. Throws Error, naming the op, when x is not on the tape.
Node& node_on_tape(const char* op, const Tensor& x);
// Runs after the hooks that the node has already.
void add_hook(Node& node, Owned<Hook> hook);
// Whether what runs now is computed again, and the node stands outside: the first run has put its hooks there.
bool has_hooks_of_this_run(const Node& node);

// f(g) is called with the gradient of x, complete, whenever backward() or grad() passes it. A tensor that f returns
// takes its place; f may return nothing. An f that holds x itself is never freed: each owns the other.
template <class F>
void register_hook(const Tensor& x, F f) {
  struct FHook final : Hook {
    F f;
    explicit FHook(F g) : f(std::move(g)) {}
    Tensor operator()(const Tensor& g) override {
      if constexpr (std::is_void_v<std::invoke_result_t<F&, const Tensor&>>) return f(g), Tensor();
      else return f(g);
    }
  };
  Node& node = node_on_tape("register_hook", x);
  if (!has_hooks_of_this_run(node)) add_hook(node, Owned<Hook>(new FHook(std::move(f))));
}

}  // namespace fathom
