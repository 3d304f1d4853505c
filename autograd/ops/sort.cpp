// Order, and draws by weight.
#include <algorithm>
#include <bit>
#include <cmath>

#include "fathom/autograd/ops/axes.h"
#include "fathom/autograd/ops/index.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom {
namespace {

// In the order of the numbers: both zeros have one key, and so has every NaN, above all others.
template <class T>
uint64_t key_of(T x) {
  constexpr uint64_t sign = uint64_t{1} << 63;
  if constexpr (std::floating_point<T>) {
    if (x != x) return ~uint64_t{0};
    const uint64_t bits = std::bit_cast<uint64_t>(double(x) + 0.0);
    return bits & sign ? ~bits : bits | sign;
  } else {
    return uint64_t(int64_t(x)) ^ sign;
  }
}

// Where the first k of each line along d lie in order: a NaN is above every number, equal ones keep theirs.
Tensor order(const Tensor& x, int d, int64_t k, bool descending) {
  Shape shape = x.shape();
  shape[d] = k;
  const Tensor y(shape, i64);
  visit(x.dtype(), [&]<class T>(T) {
    struct Place {
      uint64_t key;
      int64_t index;
    };
    const auto earlier = [](const Place& a, const Place& b) {
      return a.key != b.key ? a.key < b.key : a.index < b.index;
    };
    const uint64_t flip = descending ? ~uint64_t{0} : 0;
    const Blocks b = blocks(x, 1u << d);
    const T* from = b.x.template data<T>();
    int64_t* to = y.data<int64_t>();
    const int64_t n = b.reduced, lines = b.outer * b.inner;
    parallel(lines, std::max<int64_t>(1, kernel::parallel_grain / 16 / std::max<int64_t>(1, n)),
             [&](int64_t begin, int64_t end) {
               std::vector<Place> line(static_cast<size_t>(n));
               for (int64_t l = begin; l < end; ++l) {
                 const int64_t o = l / b.inner, j = l % b.inner;
                 for (int64_t i = 0; i < n; ++i) line[size_t(i)] = {key_of(from[(o * n + i) * b.inner + j]) ^ flip, i};
                 if (k == n) std::sort(line.begin(), line.end(), earlier);
                 else std::partial_sort(line.begin(), line.begin() + k, line.end(), earlier);
                 for (int64_t i = 0; i < k; ++i) to[(o * k + i) * b.inner + j] = line[size_t(i)].index;
               }
             });
  });
  return y;
}

// `samples` indices, each drawn in proportion to its weight.
void draw_again(const double* weights, int64_t n, int64_t samples, Rng& rng, int64_t* to) {
  std::vector<double> sums(static_cast<size_t>(n));
  double total = 0;
  for (int64_t i = 0; i < n; ++i) sums[size_t(i)] = total += weights[i];
  const auto last = std::lower_bound(sums.begin(), sums.end(), total);  // the last weight that is not 0
  for (int64_t i = 0; i < samples; ++i)
    to[i] = std::upper_bound(sums.begin(), last, rng.uniform() * total) - sums.begin();
}

// Without replacement: the order in which clocks of these rates ring; Efraimidis & Spirakis, "Weighted random sampling
// with a reservoir", Information Processing Letters 97 (2006).
void draw_once(const double* weights, int64_t n, int64_t samples, Rng& rng, int64_t* to) {
  const Tensor times({n}, f64);
  fill_uniform(times, 0, 1, rng);
  double* const time = times.data<double>();
  kernel::map_row([](double u, double w) { return -std::log1p(-u) / w; }, n, time, time, weights);
  std::vector<std::pair<double, int64_t>> rings;
  for (int64_t i = 0; i < n; ++i)
    if (weights[i] > 0) rings.emplace_back(time[i], i);
  std::partial_sort(rings.begin(), rings.begin() + samples, rings.end());
  for (int64_t i = 0; i < samples; ++i) to[i] = rings[size_t(i)].second;
}

}  // namespace

Sorted sort(const Tensor& x, int64_t at, bool descending) {
  const int d = axis("sort", at, x.shape().rank);
  const Tensor indices = order(x, d, x.shape()[d], descending);
  return {gather(x, d, indices), indices};
}

Sorted topk(const Tensor& x, int64_t k, int64_t at, bool largest) {
  const int d = axis("topk", at, x.shape().rank);
  if (k < 0 || k > x.shape()[d])
    throw Error("topk: k is " + std::to_string(k) + ", axis " + std::to_string(d) + " has size " +
                std::to_string(x.shape()[d]));
  const Tensor indices = order(x, d, k, largest);
  return {gather(x, d, indices), indices};
}

Tensor multinomial(const Tensor& weights, int64_t samples, bool replacement, Rng& rng) {
  if (!is_floating(weights.dtype())) not_floating("multinomial", weights.dtype());
  if (weights.dim() == 0) throw Error("multinomial: the weights must have an axis");
  if (samples < 0) throw Error("multinomial: " + std::to_string(samples) + " samples");
  Shape shape = weights.shape();
  const int64_t n = shape.back();
  shape[shape.rank - 1] = samples;
  const Tensor y(shape, i64), list = kernel::clone(weights.detach().to(f64));
  const double* from = list.data<double>();
  int64_t* to = y.data<int64_t>();
  for (int64_t r = 0, rows = n ? list.numel() / n : y.numel() / std::max<int64_t>(1, samples); r < rows; ++r) {
    double total = 0;
    int64_t positive = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double w = from[r * n + i];
      if (!(w >= 0)) throw Error("multinomial: a weight of " + std::to_string(w));
      total += w;
      positive += w > 0;
    }
    if (!std::isfinite(total)) throw Error("multinomial: the sum of the weights is " + std::to_string(total));
    if (samples > 0 && positive < (replacement ? 1 : samples))
      throw Error("multinomial: " + std::to_string(samples) + " samples from " + std::to_string(positive) +
                  " positive weights");
    (replacement ? draw_again : draw_once)(from + r * n, n, samples, rng, to + r * samples);
  }
  return y;
}

}  // namespace fathom
