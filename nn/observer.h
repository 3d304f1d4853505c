// Who watches the calls of modules on this thread: the hook that instruments hang on.
#pragma once
#include "fathom/tensor/tensor.h"

namespace fathom::nn {

struct Module;

struct Observer {
  // Before a call: what the module is to be given, x itself or another handle of the same numbers on the tape.
  virtual Tensor before(Module& module, Tensor x) = 0;
  // After it; a call that throws ends without one.
  virtual void after(Module& module, const Tensor& x, const Tensor& y) = 0;

 protected:
  ~Observer() = default;
};

inline constinit thread_local Observer* observer = nullptr;

}  // namespace fathom::nn
