// The one pass of a step over a parameter. Internal.
#pragma once
#include "fathom/tensor/kernels/map.h"

namespace fathom::optim {

// f(w[i], g[i], ...) on each element. Requires: all contiguous, of T and of one number of elements; no two overlap.
template <class T, class F, class... Ts>
void for_each(F f, const Tensor& first, const Ts&... rest) {
  // f by value: what it captures stays in registers, beyond the reach of the stores.
  const auto run = [](F each, int64_t n, auto* __restrict... p) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) each(p[i]...);
  };
  const auto from = std::tuple(first.template data<T>(), rest.template data<T>()...);
  parallel(first.numel(), kernel::parallel_grain, [&](int64_t begin, int64_t end) {
    std::apply([&](auto*... p) { run(f, end - begin, p + begin...); }, from);
  });
}

}  // namespace fathom::optim
