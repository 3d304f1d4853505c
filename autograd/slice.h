// The part of the tape that leads from xs to y: the Jacobian dy/dxs as a linear operator, read off what was recorded;
// nothing is executed again.
#pragma once
#include <span>

#include "fathom/autograd/walk.h"

namespace fathom {

class Slice : public pool::Pooled {
 public:
  // What an x is to the xs it was made of: `through`, and their derivatives include the ways through it; or `cut`, and
  // they do not, as if all xs were independent.
  enum class Beyond { through, cut };

  // Throws Error when backward() has consumed a node on the way. An x that y does not depend on is no error here: see
  // `reaches`.
  Slice(Node* y, std::span<Node* const> xs, Beyond beyond = Beyond::through);
  Slice(const Tensor& y, std::span<const Tensor> xs);

  // Throws Error when backward() has consumed a node on the way from a leaf to y.
  static void check_whole(Node& y);

  bool reaches(size_t i) const { return reached_[i]; }
  const Node* y() const { return y_.get(); }
  // Of its ops and how they hang together: the same of two slices that the same program recorded.
  uint64_t structure() const;
  const Node& x(size_t i) const { return *xs_[i]; }
  // f(from, to, i) for each edge on the way, old to new: `from` is input i of `to`.
  template <class F>
  void each_edge(F f) const {
    for (const Step& step : steps_)
      for (size_t i = 0; i < step.node->inputs.size(); ++i)
        if (flags_[step.flags + i]) f(*step.node->input(i), *step.node, i);
  }

  // J v, forward along the tape. An undefined v is zero. The result is undefined where y depends on no x.
  Tensor jvp(std::span<const Tensor> vs) const;
  Tensor jvp(const Tensor& v) const { return jvp(std::span(&v, 1)); }
  // The same of the stretch from one node on the way to a newer one: d to / d from times v.
  Tensor jvp_between(Node& from, Node& to, const Tensor& v) const;

  // J^T u, back along the tape. A result is undefined where y does not depend on that x. Hooks are run where asked for;
  // of xs that cut the stretch off they are the business of the walk that is under way.
  pool::vector<Tensor> vjp(Tensor u, bool run_hooks = false) const;

 private:
  struct Step {
    Ref<Node> node;
    uint32_t flags;  // where its inputs' flags begin
    bool is_x;
    bool inner;  // it lies beyond an x: between two of them
  };
  Wanted wanted(const Step& step) const { return {step.node.get(), flags_.data() + step.flags}; }
  class Ebb;
  void advance(Ebb& walk, const Step& step) const;  // forward, over one node

  Beyond beyond_;
  Ref<Node> y_;
  pool::vector<Ref<Node>> xs_;
  pool::vector<uint8_t> reached_;
  pool::vector<Step> steps_;  // old to new
  pool::vector<uint8_t> flags_;
  inline static constinit thread_local uint32_t epoch_ = 0;
};

}  // namespace fathom
