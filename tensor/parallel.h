// Threads inside an op. Work is cut at fixed multiples of a grain, so that results do not depend on how many there are.
#pragma once
#include <cstdint>
#include <type_traits>
#include <utility>

namespace fathom {

// How many threads an op may use, this one included; at the start, as many as the machine has cores.
// Throws Error outside 1 to 256.
void set_threads(int n);
int threads();

// A reference to something callable that outlives the call.
template <class Signature>
class FunctionRef;
template <class R, class... A>
class FunctionRef<R(A...)> {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>) FunctionRef(F&& f)
      : object_(const_cast<void*>(static_cast<const void*>(&f))), call_([](void* object, A... a) -> R {
          return (*static_cast<std::add_pointer_t<std::remove_reference_t<F>>>(object))(std::forward<A>(a)...);
        }) {}
  R operator()(A... a) const { return call_(object_, std::forward<A>(a)...); }

 private:
  void* object_;
  R (*call_)(void*, A...);
};

// f(begin, end) over pieces of 0..n, each cut at a multiple of grain, on this thread and the workers; calls from within
// run on the calling thread. The first exception of a piece reaches the caller once all pieces are done.
void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t begin, int64_t end)> f);

// The same, without asking the workers when there is little to do. What is large goes through parallel_for on one
// thread too: it is compiled apart, and two compiled forms of f may differ in their last bits.
template <class F>
void parallel(int64_t n, int64_t grain, F&& f) {
  if (n > grain) return parallel_for(n, grain, f);
  if (n > 0) f(int64_t{0}, n);
}

}  // namespace fathom
