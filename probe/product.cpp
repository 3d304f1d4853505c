#include "fathom/probe/product.h"

#include <algorithm>
#include <iomanip>
#include <optional>
#include <ostream>

#include "fathom/autograd/node.h"
#include "fathom/probe/blocks.h"
#include "fathom/probe/chain.h"
#include "fathom/probe/samples.h"
#include "fathom/probe/triangular.h"

namespace fathom::probe {
namespace {

constexpr uint64_t product_stream = 0x70726f6475637473;

Block image(const Layer& layer, Block& block, bool forward) {
  Block to(block.columns, block.batch, forward ? layer.out : layer.in);
  for (int64_t c = 0; c < block.columns; ++c) (forward ? layer.forward : layer.back)(block.of(c), to.of(c));
  return to;
}

// The block goes through all layers. After each the columns of every sample become orthonormal; f(l, i, r) is told
// what those of sample i were (see Block).
template <class F>
void sweep(const Chain& chain, Block& block, bool forward, F f) {
  std::vector<double> r(size_t(block.columns * block.columns));
  for (size_t step = 0, depth = chain.layers.size(); step < depth; ++step) {
    const size_t l = forward ? step : depth - 1 - step;
    block = image(chain.layers[l], block, forward);
    for (int64_t i = 0; i < chain.batch; ++i) {
      block.orthonormalise(i, r.data());
      f(l, size_t(i), r);
    }
  }
}

// All directions of y, for each sample.
Block unit_vectors(const Chain& chain) {
  const int64_t n = chain.layers.back().out;
  Block block(n, chain.batch, n);
  for (int64_t c = 0; c < n; ++c)
    for (int64_t i = 0; i < chain.batch; ++i) block.of(c, i)[c] = 1;
  return block;
}

// Some that the whole product reaches most, then random ones.
Block probing_directions(const Chain& chain, const ProductOptions& options) {
  Rng rng(options.seed, product_stream);
  Block reached(options.columns, chain.batch, chain.layers[0].in);
  reached.fill_normal(rng);
  sweep(chain, reached, true, [](auto&&...) {});
  Block block(options.columns + options.probes, chain.batch, chain.layers.back().out);
  std::copy(reached.numbers.begin(), reached.numbers.end(), block.numbers.begin());
  block.fill_normal(rng, options.columns);
  return block;
}

Shape shape_of(const Chain& chain, int64_t n) { return chain.batched ? Shape{chain.batch, n} : Shape{n}; }

void check(const Chain& chain, const ProductOptions& options) {
  for (const auto& [name, value] : {std::pair("columns", options.columns), std::pair("probes", options.probes)})
    if (value < 1)
      throw Error(std::string("products: ") + name + " is " + std::to_string(value) + ", at least 1 is needed");
  if (!options.sigma.empty() && options.sigma.size() != chain.layers.size())
    throw Error("products: " + std::to_string(options.sigma.size()) + " sigma for " +
                std::to_string(chain.layers.size()) + " layers");
  for (const Tensor& each : options.sigma)
    if (each.numel() != chain.batch || each.dtype() != f64)
      throw Error("products: sigma of shape " + to_string(each.shape()) + " and " + to_string(each.dtype()) + " for " +
                  std::to_string(chain.batch) + " samples, f64");
}

// Each layer's logarithm becomes the sum of those from it to y.
void add_up_from_y(const Tensor& log10, int64_t depth) {
  double* x = log10.data<double>();
  for (int64_t at = log10.numel() - 1; at-- > 0;)
    if ((at + 1) % depth) x[at] += x[at + 1];
}

// The products of the single layers' norms; log10_upper: of their upper bounds, infinite where norms are given.
void bound_by_layers(const Chain& chain, const ProductOptions& options, Products& result) {
  const size_t depth = chain.layers.size();
  for (size_t l = 0; l < depth; ++l) {
    const Layer::Norms norms = options.sigma.empty() ? chain.layers[l].norms(chance_of_error / 2 / double(depth))
                                                     : Layer::Norms{options.sigma[l].to_vector(), {}};
    for (size_t i = 0, at = l; at < size_t(result.log10_bound.numel()); ++i, at += depth) {
      result.log10_bound.data<double>()[at] = std::log10(norms.lower[i]);
      result.log10_upper.data<double>()[at] = norms.upper.empty() ? INFINITY : std::log10(norms.upper[i]);
    }
  }
  for (const Tensor& each : {result.log10_bound, result.log10_upper}) add_up_from_y(each, int64_t(depth));
}

// The norms of the products themselves, and what the random directions say of them.
void measure(const Chain& chain, const ProductOptions& options, Products& result) {
  Block block = result.exact ? unit_vectors(chain) : probing_directions(chain, options);
  const int64_t k = block.columns;
  std::vector<std::vector<double>> start(size_t(chain.batch), std::vector<double>(size_t(k * k)));
  for (int64_t i = 0; i < chain.batch; ++i) block.orthonormalise(i, start[size_t(i)].data());
  std::vector<Factor> factors(size_t(chain.batch), Factor(k));
  const double slack = std::log10(std::sqrt(2 / M_PI)) - std::log10(chance_of_error / 2) / double(options.probes);
  sweep(chain, block, false, [&](size_t l, size_t i, const std::vector<double>& r) {
    factors[i].multiply(r);
    const size_t at = i * chain.layers.size() + l;
    const double norm = factors[i].log10_norm();
    const double random = slack + factors[i].log10_largest_image(start[i], options.columns);
    double& upper = result.log10_upper.data<double>()[at];
    upper = result.exact ? norm : std::max(norm, std::min(random, upper));
    result.log10_norm.data<double>()[at] = norm;
    result.looseness.data<double>()[at] = result.log10_bound.data<double>()[at] - norm;
  });
}

// Gives each sample's vector norm 1, and log10 of what it was before to f(i, log10).
template <class F>
void normalise(Block& vectors, F f) {
  for (int64_t i = 0; i < vectors.batch; ++i) {
    double* x = vectors.of(0, i);
    const double norm = kernel::norm(x, vectors.size);
    f(i, std::log10(norm));
    if (norm > 0 && std::isfinite(norm))
      for (int64_t k = 0; k < vectors.size; ++k) x[k] /= norm;
  }
}

// What a cotangent of y becomes on its way back, relative to what it was.
Tensor gains_of(const Chain& chain, Block cotangent) {
  const int64_t depth = int64_t(chain.layers.size());
  const Tensor gains(shape_of(chain, depth), f64);
  normalise(cotangent, [](int64_t, double) {});
  for (int64_t l = depth; l-- > 0;) {
    cotangent = image(chain.layers[size_t(l)], cotangent, false);
    normalise(cotangent, [&](int64_t i, double log10) { gains.data<double>()[i * depth + l] = log10; });
  }
  add_up_from_y(gains, depth);
  return gains;
}

Products products(const Chain& chain, const ProductOptions& options, std::optional<Block> cotangent = {}) {
  const Timer timer;
  check(chain, options);
  Products result;
  result.exact = chain.layers.back().out <= options.columns + options.probes;
  result.coupled = chain.coupled;
  result.confidence = result.exact ? 1 : 1 - chance_of_error;
  for (Tensor* each : {&result.log10_norm, &result.log10_upper, &result.log10_bound, &result.looseness})
    *each = Tensor(shape_of(chain, int64_t(chain.layers.size())), f64);
  bound_by_layers(chain, options, result);
  measure(chain, options, result);
  if (cotangent) result.log10_gain = gains_of(chain, *std::move(cotangent));
  result.seconds = timer.seconds();
  return result;
}

Tensor spectrum(const Chain& chain) {
  Block block = unit_vectors(chain);
  const int64_t k = block.columns;
  std::vector<GradedRows> products(size_t(chain.batch), GradedRows(k));
  sweep(chain, block, false, [&](size_t, size_t i, const std::vector<double>& r) { products[i].multiply(r); });
  Tensor out(shape_of(chain, k), f64);
  double* to = out.data<double>();
  for (GradedRows& each : products)
    for (double value : each.log_singular_values()) *to++ = value / M_LN10;
  return out;
}

}  // namespace

Products products_along(std::span<Node* const> xs, const ProductOptions& options) {
  const Chain chain = chain_along(xs, options);
  std::optional<Block> cotangent;
  if (options.cotangent.defined()) {
    const Node& y = *xs.back();
    check_direction("products", options.cotangent, y.shape, y.dtype);
    double* rows = cotangent.emplace(1, chain.batch, chain.layers.back().out).numbers.data();
    to_rows(options.cotangent, chain.batched ? int(options.batch_axis) : -1, rows);
  }
  return products(chain, options, std::move(cotangent));
}
Products products_along(std::span<const Tensor> xs, const ProductOptions& options) {
  return products_along(nodes_of(xs), options);
}
Products products_of(std::span<const Tensor> matrices, const ProductOptions& options) {
  return products(chain_of(matrices), options);
}
Tensor spectrum_along(std::span<const Tensor> xs, const ProductOptions& options) {
  return spectrum(chain_along(nodes_of(xs), options));
}
Tensor spectrum_of(std::span<const Tensor> matrices) { return spectrum(chain_of(matrices)); }

std::ostream& operator<<(std::ostream& out, const Products& p) {
  const int64_t depth = p.log10_norm.shape().back(), samples = depth ? p.log10_norm.numel() / depth : 0;
  const auto state = out.flags();
  const auto precision = out.precision(3);
  out << "products of " << depth << " layers, log10, sample 0 of " << samples << (p.coupled ? " (coupled)" : "") << ", "
      << p.seconds * 1e3 << " ms\n  from        norm     at most       bound   looseness"
      << (p.log10_gain.defined() ? "        gain" : "");
  const int64_t step = std::max<int64_t>(1, (depth + 15) / 16);
  for (int64_t l = 0; l < depth; l += step) {
    out << '\n' << std::setw(6) << l << std::fixed;
    for (const Tensor* each : {&p.log10_norm, &p.log10_upper, &p.log10_bound, &p.looseness, &p.log10_gain})
      if (each->defined()) out << std::setw(12) << each->data<double>()[l];
  }
  out.flags(state);
  out.precision(precision);
  return out;
}

}  // namespace fathom::probe
