#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/fused.h"

namespace fathom {

Tensor dropout(Tensor x, double p, Rng& rng) {
  if (!(p >= 0 && p <= 1)) throw Error("dropout: p is not in [0, 1]: " + std::to_string(p));
  if (!is_floating(x.dtype())) not_floating("dropout", x.dtype());
  if (p == 0) return x;
  const Tensor kept(x.shape(), x.dtype());
  fill_bernoulli(kept, 1 - p, rng);
  const double scale = p < 1 ? 1 / (1 - p) : 0;
  const Tensor mask = kernel::map(
      "dropout", [scale](auto e) { return e * decltype(e)(scale); }, kept);
  return linear_op(
      "dropout", std::move(x),
      [mask](Tensor t) {
        return kernel::map(
            "dropout", [](auto e, auto m) { return e * m; }, std::move(t), mask);
      },
      [mask](Tensor g) { return std::move(g) * mask; });
}

}  // namespace fathom
