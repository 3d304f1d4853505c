// What a recorder watches for at every step.
#pragma once
#include <concepts>
#include <cstdint>
#include <memory>  // shared_ptr
#include <string>

namespace fathom::probe {

struct Alarm {
  int64_t step = 0;
  std::string kind;     // "nonfinite", "loss_spike", "exploding", "vanishing" or "no_gradient"
  std::string site;     // the module or parameter, "" for the loss
  std::string message;  // with the value and the threshold
};

// What else is to be called; std::function would double the price of this header.
class AlarmCall {
 public:
  AlarmCall() = default;
  template <std::invocable<const Alarm&> F>
  AlarmCall(F f)
      : object_(std::make_shared<F>(std::move(f))),
        call_([](void* object, const Alarm& alarm) { (*static_cast<F*>(object))(alarm); }) {}
  explicit operator bool() const { return call_; }
  void operator()(const Alarm& alarm) const { call_(object_.get(), alarm); }

 private:
  std::shared_ptr<void> object_;
  void (*call_)(void*, const Alarm&) = nullptr;
};

enum class OnAlarm { warn, stop };  // to the record; and as an Error from backward(), the record being written first

struct Alarms {
  bool nonfinite = true;    // the loss, or, where it was measured, a site's output or gradient, is NaN or infinite
  bool trace = false;       // a probe::Trace finds the first such values, wherever they are, and says where they come
                            // from: slow, and not counted as measuring
  bool no_gradient = true;  // a parameter has none after the first backward()
  double loss_spike = 0;    // the loss is so many times its median over the last `window` steps; 0: not watched
  double exploding = 0;     // from the last site's output to the first one's input the gradient grows so many times
  double vanishing = 0;     // or shrinks to this part
  int64_t window = 50;
  OnAlarm action = OnAlarm::warn;
  AlarmCall call = {};  // called as well
};

}  // namespace fathom::probe
