// Who watches the calls of modules on this thread: the hook that instruments hang on.
#pragma once
#include "fathom/tensor/list.h"
#include "fathom/tensor/tensor.h"

namespace fathom::nn {

struct Module;

struct Observer {
  Observer* next = nullptr;  // one that began earlier

  // Before a call: what the module is to be given, x itself or another handle of the same numbers on the tape.
  virtual Tensor before(Module& module, Tensor x) = 0;
  // After it; a call that throws ends without one, and one that has begun already with one alone.
  virtual void after(Module& module, const Tensor& x, const Tensor& y) = 0;

 protected:
  ~Observer() = default;
};

// A list, the latest first: see list.h. They come and go in any order.
inline constinit thread_local Observer* observer = nullptr;

}  // namespace fathom::nn
