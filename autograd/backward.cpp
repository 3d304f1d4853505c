#include "fathom/autograd/backward.h"

#include "fathom/autograd/slice.h"
#include "fathom/autograd/walk.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom {
namespace {

class ToLeaves final : public Walk, public Cotangents {
 public:
  explicit ToLeaves(Node& y) : Walk(true), at_(&y) {}
  ~ToLeaves() {  // only after an error is there something left
    for (; waiting_; at_ = at_->older)
      if (has_flow(*at_)) {
        at_->flow = {};
        left_.push_back(take());
      }
  }

  void start(Node& y, Tensor u) { receive(y, std::move(u)); }
  void run(bool retain_graph) {
    Ref<Node> node;  // the last one lives until the next is found: its hooks may own the nodes in between
    while (waiting_) {
      if (!has_flow(*at_)) {
        at_ = at_->older;
        continue;
      }
      node = take();
      Tensor g = std::exchange(node->flow, {});
      if (node->watch) g = watched(*node, std::move(g));
      if (node->is_leaf()) {
        static_cast<Leaf&>(*node).receive(std::move(g));
      } else {
        if (node->watch && node->watch->retain_grad) accumulate(node->watch->grad, kernel::clone(g));
        node->vjp(std::move(g), {node.get()}, *this);
        if (!retain_graph) node->consume();
      }
      at_ = node->older;
    }
  }

  void update(Node& input, FunctionRef<Tensor(Tensor)> f) override {
    if (goes_straight(input)) {
      static_cast<Leaf&>(input).update(f);
    } else {
      Tensor& flow = reach(input);
      flow = f(std::move(flow));
    }
  }

 private:
  static bool goes_straight(const Node& input) { return input.is_leaf() && !input.watch; }
  void receive(Node& input, Tensor g) override {
    if (goes_straight(input)) return static_cast<Leaf&>(input).receive(std::move(g));
    accumulate(reach(input), std::move(g));
  }
  Tensor& reach(Node& node) {
    Tensor& at = flow(node);
    if (!at.defined()) {
      ++waiting_;
      ++node.refs;
    }
    return at;
  }
  Ref<Node> take() {
    Ref<Node> node(at_);
    --waiting_;
    --at_->refs;
    return node;
  }

  Node* at_;         // the walk looks here next
  int waiting_ = 0;  // nodes that a cotangent has reached and the walk has not; it keeps them alive
  pool::vector<Ref<Node>> left_;
};

}  // namespace

void backward(const Tensor& y, const BackwardOptions& options) {
  Node* node = node_of(y);
  if (!node || !node->trained) nothing_recorded("backward", "this tensor", y);
  node->check_not_consumed();
  const Tensor& u = options.cotangent;
  if (!u.defined() && y.numel() != 1)
    throw Error("backward: the tensor has shape " + to_string(y.shape()) +
                ", not one element; give a .cotangent of its shape");
  if (u.defined() && (u.shape() != y.shape() || u.dtype() != y.dtype()))
    throw Error("backward: the cotangent is " + to_string(u.shape()) + " of " + to_string(u.dtype()) + ", the tensor " +
                to_string(y.shape()) + " of " + to_string(y.dtype()));
  if (Node::live_consumed) Slice::check_whole(*node);  // before any gradient changes
  const NoGrad off;
  ToLeaves walk(*node);
  walk.start(*node, u.defined() ? u.alias() : kernel::full(y.shape(), 1, y.dtype()));
  walk.run(options.retain_graph);
}

}  // namespace fathom
