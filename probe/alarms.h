// What a recorder watches for at every step.
#pragma once
#include <concepts>
#include <cstdint>
#include <string>
#include <utility>

#include "fathom/tensor/ref.h"

namespace fathom::probe {

struct Alarm {
  int64_t step = 0;
  std::string kind;     // "nonfinite", "loss_spike", "exploding", "vanishing", "no_gradient" or "no_steps"
  std::string site;     // the module or parameter, "" for the loss
  std::string message;  // with the value and the threshold
};

// What else is to be called; std::function would double the price of this header.
class AlarmCall {
 public:
  AlarmCall() = default;
  template <std::invocable<const Alarm&> F>
  AlarmCall(F f) : call_(new CallOf<F>(std::move(f))) {}
  explicit operator bool() const { return bool(call_); }
  void operator()(const Alarm& alarm) const { call_->run(alarm); }

 private:
  struct Call {
    uint32_t refs = 0;
    virtual ~Call() = default;
    virtual void run(const Alarm& alarm) = 0;
    static void dispose(Call* call) { delete call; }
  };
  template <class F>
  struct CallOf final : Call {
    F f;
    explicit CallOf(F g) : f(std::move(g)) {}
    void run(const Alarm& alarm) override { f(alarm); }
  };
  Ref<Call> call_;
};

struct Alarms {
  bool nonfinite = true;    // the loss, a parameter's gradient, or, where it was measured, a site's output or gradient,
                            // is NaN or infinite
  bool trace = false;       // a probe::Trace finds the first such values, wherever they are, and says where they come
                            // from: slow, and not counted as measuring
  bool no_gradient = true;  // a parameter has none after the first backward(), or at a step that is due; told once
  double loss_spike = 0;    // the loss is so many times its median over the last `window` steps, where that is
                            // positive; 0: not watched
  double exploding = 0;     // from the last site's output to the first one's input the gradient grows so many times
  double vanishing = 0;     // or shrinks to this part
  int64_t window = 50;
  std::string stop_on = {};  // kinds, such as "nonfinite,exploding", at which backward() throws Error once all of the
                             // step is looked at and written; "*": any
  AlarmCall call = {};       // called with each; it may throw as well
};

}  // namespace fathom::probe
