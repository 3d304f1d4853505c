// The flows of one walk over the tape. Walks nest (a rule, a hook or a checkpoint may start another): the inner one
// sets aside the flows it meets and puts them back.
#pragma once
#include "fathom/autograd/node.h"

namespace fathom {

class Walk {
 public:
  explicit Walk(bool runs_hooks) : number_(++depth_), around_(std::exchange(runs_hooks_, runs_hooks)) {}
  ~Walk();
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  // This walk's flow at a node.
  Tensor& flow(Node& node) {
    if (node.walk != number_) claim(node);
    return node.flow;
  }
  // Whether the innermost walk under way does: what a rule of a node walks over is part of it.
  static bool runs_hooks() { return runs_hooks_; }
  bool has_flow(const Node& node) const { return node.walk == number_ && node.flow.defined(); }

 private:
  void claim(Node& node);
  struct Aside {
    Ref<Node> node;
    Tensor flow;
    uint32_t walk;
  };
  uint32_t number_;
  bool around_;  // what runs_hooks_ was
  pool::vector<Aside> aside_;
  inline static constinit thread_local uint32_t depth_ = 0;
  inline static constinit thread_local bool runs_hooks_ = false;
};

// Shows g to the hooks of a node, which may replace it, and to retain_grad.
Tensor watched(Node& node, Tensor g);

}  // namespace fathom
