// Who watches the steps of optimisers on this thread: the hook that instruments hang on.
#pragma once
#include <span>

#include "fathom/tensor/list.h"
#include "fathom/tensor/tensor.h"

namespace fathom::optim {

// Of one parameter in one step: the norms of the weight before it, of its gradient before clipping, and of the change.
struct StepNorms {
  Tensor w;
  double weight = 0, gradient = 0, update = 0;
};

struct StepObserver {
  StepObserver* next = nullptr;  // one that began earlier

  virtual bool wants_norms() = 0;  // of the step under way; they are summed in the optimiser's own pass
  virtual void stepped(std::span<const StepNorms> parameters) = 0;  // those with a gradient
  // A step or a function clip_grad_... left this part, less than 1, of the gradients' norm.
  virtual void clipped(double) {}
  virtual void ended() {}  // a step

 protected:
  ~StepObserver() = default;
};

// A list, the latest first: see list.h. They come and go in any order.
inline constinit thread_local StepObserver* observer = nullptr;

inline bool norms_are_wanted() {
  bool wanted = false;
  for (StepObserver* each = observer; each; each = each->next) wanted |= each->wants_norms();
  return wanted;
}
// Where one wants them, all are told.
inline void tell_norms(std::span<const StepNorms> parameters) {
  for (StepObserver* each = observer; each; each = each->next) each->stepped(parameters);
}

inline void tell_ended() {
  for (StepObserver* each = observer; each; each = each->next) each->ended();
}
inline void tell_clipped(double scale) {
  for (StepObserver* each = observer; each; each = each->next) each->clipped(scale);
}

}  // namespace fathom::optim
