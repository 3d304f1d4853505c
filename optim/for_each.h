// The one pass of a step over a parameter. Internal.
#pragma once
#include <algorithm>  // min

#include "fathom/tensor/kernels/map.h"
#include "fathom/tensor/kernels/norm.h"

namespace fathom::optim {

// Norms of a parameter, where an observer asks for them: of the weight before the step and of the change.
struct StepSums {
  kernel::NormSum weight, update;
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
  // Both by value: what they capture stays in registers, beyond the reach of the stores.
  const auto run = [](auto each, int64_t n, auto* __restrict... p) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) each(p[i]...);
  };
  const auto from = std::tuple(w.template data<T>(), g.template data<T>(), rest.template data<T>()...);
  constexpr int64_t grain = kernel::parallel_grain, block = 512;
  StepSums* const sums = step_sums;
  if (!sums)
    return parallel(w.numel(), grain, [&](int64_t begin, int64_t end) {
      std::apply([&](auto*... p) { run(f, end - begin, p + begin...); }, from);
    });
  pool::vector<StepSums> parts(size_t(w.numel() / grain + 1));
  parallel(w.numel(), grain, [&](int64_t begin, int64_t end) {  // block by block, while it is in the first cache
    T before[block];
    const auto keep = [f](T& kept, T& now, auto&... others) {
      kept = now;
      f(now, others...);
    };
    for (int64_t at = begin; at < end; at += block) {
      const int64_t n = std::min(block, end - at);
      std::apply([&](auto*... p) { run(keep, n, before, p + at...); }, from);
      const T *old = before, *now = std::get<0>(from) + at;
      StepSums& part = parts[size_t(at / grain)];
      part.weight.add(kernel::sum_of_squares(old, n), [&] { return kernel::norm(old, n); });
      part.update.add(kernel::sum_of(now, old, n, [](auto a, auto b) { return (a - b) * (a - b); }), [&] {
        for (int64_t k = 0; k < n; ++k) before[k] = now[k] - before[k];
        return kernel::norm(before, n);
      });
    }
  });
  for (const StepSums& part : parts) sums->weight.add(part.weight), sums->update.add(part.update);
}

}  // namespace fathom::optim
