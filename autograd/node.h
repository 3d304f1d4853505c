// One recorded op. The tape is the list of this thread's living nodes in the order of their creation.
//   1. An input is older than what was made of it: walking the list from new to old is a reverse topological order.
//   2. Nodes own their inputs, never their outputs. The list owns nothing; a node leaves it when it dies.
//   3. `flow` belongs to the walk whose number is in `walk`; between walks it is empty.
#pragma once
#include <optional>
#include <span>

#include "fathom/autograd/hooks.h"

namespace fathom {

template <class Signature>
class FunctionRef;

// Which inputs of a node a walk wants: those on its way, or, without flags, all that lead to a leaf.
struct Wanted {
  const Node* node;
  const uint8_t* flags = nullptr;
  bool operator[](size_t i) const;
  // The tangent that flows from input i, undefined where none is wanted; the last to ask for it owns it.
  Tensor tangent(size_t i) const;
  static constexpr uint8_t on_the_way = 1, last_reader = 2;
};

// Where a rule's results go.
class Cotangents {
 public:
  // g, of the input's shape or broadcast from it, is added to what flows into the input.
  void add(Node& input, Tensor g);
  // The input's flow becomes f(flow); an undefined flow is zero.
  virtual void update(Node& input, FunctionRef<Tensor(Tensor)> f) = 0;

 protected:
  virtual void receive(Node& input, Tensor g) = 0;
  ~Cotangents() = default;
};

// What a user asked to see of a node's cotangent.
struct Watch : pool::Pooled {
  Owned<Hook> hooks;
  bool retain_grad = false;
  Tensor grad;
};

// Who watches the making of nodes on this thread: the hook that instruments hang on.
struct NodeObserver {
  NodeObserver* next = nullptr;  // one that began earlier
  virtual void made(const Node& node) = 0;

 protected:
  ~NodeObserver() = default;
};
inline constinit thread_local NodeObserver* node_observer = nullptr;  // a list: see list.h
void tell_made(const Node& node);

struct Node : History {
  const char* name;
  Shape shape;  // of the output
  Dtype dtype;
  bool trained = false;      // leads to a leaf that wants a gradient (an anchor does not)
  bool consumed = false;     // backward() has given back what the rules held
  bool elementwise = false;  // pointwise: where an input has y's shape, each y_i depends on that x_i alone
  uint32_t mark = 0;         // scratch of Slice
  uint32_t walk = 0;
  uint64_t number = ++last_number;  // in the order of creation
  std::span<Ref<History>> inputs;
  Node *older, *newer = nullptr;
  Tensor flow;  // cotangent or tangent
  Owned<Watch> watch;

  Node(const char* op, const Shape& s, Dtype t) : name(op), shape(s), dtype(t), older(newest) {
    if (newest) newest->newer = this;
    newest = this;
    ++live;
    if (node_observer) [[unlikely]]
      tell_made(*this);
  }
  ~Node() override {
    live_consumed -= consumed;
    if (older) older->newer = newer;
    (newer ? newer->older : newest) = older;
    --live;
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  Node* input(size_t i) const { return static_cast<Node*>(inputs[i].get()); }
  bool is_leaf() const { return inputs.empty() && !consumed; }
  // Sets the inputs and what follows from them. Requires: the refs live as long as the node.
  void take_inputs(std::span<Ref<History>> list) {
    inputs = list;
    for (const auto& ref : list) trained |= ref && static_cast<Node*>(ref.get())->trained;
  }

  virtual void vjp(Tensor, Wanted, Cotangents&) {}
  virtual Tensor jvp(Wanted) { return {}; }  // of the inputs' tangents; undefined where there is none
  // What the rules keep, checked; undefined where it was not needed. For the probes.
  virtual size_t kept_count() const { return 0; }
  virtual Tensor kept_tensor(size_t) { return {}; }
  Tensor kept_if_unchanged(size_t k);  // undefined where it has been changed in place since
  void consume();                      // gives back what only the rules still hold
  void check_not_consumed() const {
    if (consumed) already_consumed();
  }

  inline static constinit thread_local Node* newest = nullptr;
  inline static constinit thread_local uint64_t last_number = 0;
  inline static constinit thread_local int64_t live = 0;           // on this thread, for tests
  inline static constinit thread_local int64_t live_consumed = 0;  // of them

 protected:
  virtual void give_back() {}

 private:
  [[noreturn]] void already_consumed() const;
};

inline bool Wanted::operator[](size_t i) const {
  if (flags) return flags[i];
  return node->inputs[i] && node->input(i)->trained;
}
inline Tensor Wanted::tangent(size_t i) const {
  if (!flags[i]) return {};
  Tensor& flow = node->input(i)->flow;
  return flags[i] & last_reader ? std::move(flow) : flow;
}

// A tensor whose gradient is wanted; or, untrained, an anchor: a place on the tape that only a walk that names it sees.
class Leaf final : public Node {
 public:
  Leaf(const Tensor& x, bool is_trained) : Node(is_trained ? "leaf" : "anchor", x.shape(), x.dtype()) {
    trained = is_trained;
  }
  void receive(Tensor g);
  void set_grad(Tensor g) {
    squares_.reset();
    grad_ = std::move(g);
  }
  Tensor grad() {  // whoever is shown it may change it
    squares_.reset();
    return grad_;
  }
  bool has_grad() const { return grad_.defined(); }
  // f of the gradient, which is undefined where there is none, takes its place.
  template <class F>
  void update(F f) {
    set_grad(f(std::move(grad_)));
  }
  double squared_grad_norm();  // 0 without a gradient

  bool replaced = false;  // its module has another tensor in its place; who steps this one trains nothing

 private:
  Tensor grad_;  // alone on its buffer
  // Whoever asks for the norm of one gradient will ask for the next one's: it is added up as that arrives, while it is
  // in the cache, and known until the gradient is shown to somebody.
  bool asked_ = false;
  std::optional<double> squares_;
};

inline Node* node_of(const Tensor& x) { return static_cast<Node*>(x.history()); }
inline Ref<Node> share(Node* node) { return Ref<Node>(node); }

// into + more; an undefined tensor is zero.
void accumulate(Tensor& into, Tensor more);

// The name of a tensor in an error: its op and shape.
std::string describe(const Node& node);
// The Error that there is no tape to walk back from x, which op calls `name`.
[[noreturn]] void nothing_recorded(const char* op, const char* name, const Tensor& x);

}  // namespace fathom
