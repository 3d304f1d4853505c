// checkpoint(f, x): f(x) whose intermediate results are not kept but computed again when a walk comes by, so that a net
// of depth L needs memory in proportion to sqrt(L) (Chen et al. 2016).
#pragma once
#include "fathom/tensor/random.h"

namespace fathom {

inline constinit thread_local bool recomputing_ = false;
inline constinit thread_local uint64_t recomputing_since_ = 0;  // the number of the newest node before
// f of a checkpoint is being run again: what has effects beside its value (running statistics) leaves them out.
inline bool recomputing() { return recomputing_; }

// The default random numbers as they were, and the mark of recomputing, for as long as f runs again.
class Replay {
 public:
  explicit Replay(const Rng& then);
  ~Replay() {
    default_rng() = now_;
    recomputing_ = before_;
    recomputing_since_ = since_before_;
  }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

 private:
  Rng now_;
  bool before_;
  uint64_t since_before_;
};

// What is run again.
struct Checkpointed : pool::Pooled {
  virtual ~Checkpointed() = default;
  virtual Tensor operator()(const Tensor& x) = 0;
};
Tensor checkpoint_of(Owned<Checkpointed> f, const Tensor& x);

// f maps a tensor to a tensor, and does the same when it is run again on the same x; what it captures (weights, other
// tensors) takes part in differentiation like x, and must live until then unchanged. Dropout inside repeats its
// numbers when they come from the default generator.
template <class F>
Tensor checkpoint(F f, const Tensor& x) {
  struct FCheckpointed final : Checkpointed {
    F f;
    explicit FCheckpointed(F g) : f(std::move(g)) {}
    Tensor operator()(const Tensor& at) override { return f(at); }
  };
  return checkpoint_of(Owned<Checkpointed>(new FCheckpointed(std::move(f))), x);
}

}  // namespace fathom
