// The one pass of a step over a parameter. Internal.
#pragma once
#include <algorithm>  // copy_n, min

#include "fathom/tensor/kernels/map.h"
#include "fathom/tensor/kernels/reduce.h"

namespace fathom::optim {

// Sums of squares over a parameter, where an observer asks for them: of the weight before the step, of the gradient, of
// the change.
struct StepSums {
  double weight = 0, gradient = 0, update = 0;
};
inline constinit thread_local StepSums* step_sums = nullptr;

class Summing {  // into these, for a scope; null: no sums
 public:
  explicit Summing(StepSums* sums) { step_sums = sums; }
  ~Summing() { step_sums = nullptr; }
  Summing(const Summing&) = delete;
  Summing& operator=(const Summing&) = delete;
};

// f(w[i], g[i], ...) on each element. Requires: all contiguous, of T and of one number of elements; no two overlap.
template <class T, class F, class... Ts>
void for_each(F f, const Tensor& w, const Tensor& g, const Ts&... rest) {
  // f by value: what it captures stays in registers, beyond the reach of the stores.
  const auto run = [](F each, int64_t n, auto* __restrict... p) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) each(p[i]...);
  };
  const auto from = std::tuple(w.template data<T>(), g.template data<T>(), rest.template data<T>()...);
  const auto run_from = [&](int64_t begin, int64_t n) {
    std::apply([&](auto*... p) { run(f, n, p + begin...); }, from);
  };
  constexpr int64_t grain = kernel::parallel_grain, block = 1024;
  StepSums* const sums = step_sums;
  if (!sums) return parallel(w.numel(), grain, [&](int64_t begin, int64_t end) { run_from(begin, end - begin); });
  pool::vector<StepSums> parts(size_t(w.numel() / grain + 1));
  parallel(w.numel(), grain, [&](int64_t begin, int64_t end) {  // block by block, while it is in the first cache
    T before[block];
    for (int64_t at = begin; at < end; at += block) {
      const int64_t n = std::min(block, end - at);
      const T *now = std::get<0>(from) + at, *gradient = std::get<1>(from) + at;
      std::copy_n(now, n, before);
      StepSums& part = parts[size_t(at / grain)];
      part.weight += kernel::sum_of_squares(before, n);
      part.gradient += kernel::sum_of_squares(gradient, n);
      run_from(at, n);
      part.update +=
          kernel::sum_of(now, static_cast<const T*>(before), n, [](auto a, auto b) { return (a - b) * (a - b); });
    }
  });
  for (const StepSums& part : parts)
    sums->weight += part.weight, sums->gradient += part.gradient, sums->update += part.update;
}

}  // namespace fathom::optim
