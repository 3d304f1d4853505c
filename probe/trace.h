// Looks at every module's output and every gradient of a scope, to find where the first value that is not finite comes
// from: the op, the module, the sample, what was before it, and the place in the program.
//
//   probe::Trace trace(net);
//   ...
//   trace.backward(loss);  // loss.backward(), looked at
//
//   1. Training's numbers are the same, bit for bit, with a trace and without. Its time is not: every number is read
//      once more, and each op and each call of a module takes a call stack. Without a trace nothing is paid.
//   2. Looked at are what goes into the net, what its modules give, the loss and the gradients between; not what is
//      not recorded. A module's op is told by the values that the tape has kept; what remains open is told as well.
//   3. It stays on its thread.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "fathom/autograd/backward.h"
#include "fathom/nn/module.h"
#include "fathom/probe/call_stack.h"

namespace fathom::probe {

struct TracedOp {
  std::string op;
  Shape shape;         // of its output
  std::string module;  // the path of the innermost one it was called in; "" for the net itself, and outside
  double largest = 0;  // in size, of its output; walking back: of the gradient there
};

struct NonFinite {
  bool backward = false;         // a gradient is not finite, else a value
  TracedOp at;                   // the op that made the value; walking back: the op whose rule made the gradient
  std::vector<TracedOp> others;  // which may have made it as well
  std::string of;                // walking back: whose gradient it is, an op's output or a parameter
  // In the module's output, or the gradient, where it was seen:
  double value = 0;                     // NaN, or an infinity: the first such element's
  int64_t element = 0;                  // its number, row by row
  int64_t sample = -1;                  // of the batch; -1: the shape does not tell
  int64_t count = 0;                    // of such elements
  std::vector<std::string> parameters;  // of the net, that are not finite themselves
  std::vector<TracedOp> before;         // what was looked at before it, the latest last
  std::vector<CallSite> calls;          // where the op was called, from the innermost call on; of what is not recorded,
                                        // the module

  const CallSite* place() const;  // the innermost call in the program's own code; null where that is not known
  std::string text() const;
};

struct TraceOptions {
  bool stop = true;    // throw an Error with the text
  int64_t before = 8;  // how many are told
  bool call_stacks = true;
};

class Trace {
 public:
  // The net names modules and parameters.
  explicit Trace(nn::Module& net, TraceOptions options = {});
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // The loss, then each gradient on the way back. Throws as backward does, and where it is to stop.
  void backward(const Tensor& loss, const BackwardOptions& options = {});
  // The same around somebody else's walk: trace.attach(loss); recorder.backward(loss); trace.check();
  void attach(const Tensor& loss);
  void check();

  // The first of each kind; nothing is looked at after them.
  const std::optional<NonFinite>& forward() const;
  const std::optional<NonFinite>& backward() const;

 private:
  struct State;
  struct GradientHook;
  Ref<State> state_;
};

}  // namespace fathom::probe
