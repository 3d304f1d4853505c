// The one pass of a step over a parameter. Internal.
#pragma once
#include <algorithm>  // min

#include "fathom/tensor/kernels/map.h"
#include "fathom/tensor/kernels/norm.h"

namespace fathom::optim {

// Norms of a parameter, where an observer asks for them: of the weight before the step, the gradient and the change.
struct StepSums {
  kernel::NormSum weight, gradient, update;
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
  // The same with the sums of a block, from the registers; its numbers before are kept for sums that leave T's range.
  const auto run_summing = [](auto each, T* kept, int64_t n, StepSums& to, T* __restrict now, T* __restrict gradient,
                              auto* __restrict... others) {
    T of_weight = 0, of_gradient = 0, of_update = 0;
#pragma omp simd reduction(+ : of_weight, of_gradient, of_update)
    for (int64_t i = 0; i < n; ++i) {
      const T before = kept[i] = now[i];
      each(now[i], gradient[i], others[i]...);
      const T change = now[i] - before;
      of_weight += before * before, of_gradient += gradient[i] * gradient[i], of_update += change * change;
    }
    to.weight.add(of_weight, [&] { return kernel::norm(kept, n); });
    to.gradient.add(of_gradient, [&] { return kernel::norm(gradient, n); });
    to.update.add(of_update, [&] {
      for (int64_t i = 0; i < n; ++i) kept[i] = now[i] - kept[i];
      return kernel::norm(kept, n);
    });
  };
  pool::vector<StepSums> parts(size_t(w.numel() / grain + 1));
  parallel(w.numel(), grain, [&](int64_t begin, int64_t end) {  // block by block, while it is in the first cache
    T kept[block];
    for (int64_t at = begin; at < end; at += block)
      std::apply(
          [&](auto*... p) { run_summing(f, kept, std::min(block, end - at), parts[size_t(at / grain)], p + at...); },
          from);
  });
  for (const StepSums& part : parts)
    sums->weight.add(part.weight), sums->gradient.add(part.gradient), sums->update.add(part.update);
}

}  // namespace fathom::optim
