#include "fathom/probe/product.h"

#include <algorithm>
#include <iomanip>
#include <ostream>

#include "fathom/autograd/node.h"
#include "fathom/probe/blocks.h"
#include "fathom/probe/chain.h"
#include "fathom/probe/samples.h"
#include "fathom/tensor/kernels/lapack.h"

namespace fathom::probe {
namespace {

constexpr uint64_t product_stream = 0x70726f6475637473;
constexpr double infinity = std::numeric_limits<double>::infinity();

Block image(const Chain& chain, const Layer& layer, Block& block, bool forward) {
  Block to(block.columns, chain.batch, forward ? layer.out : layer.in);
  for (int64_t c = 0; c < block.columns; ++c) (forward ? layer.forward : layer.back)(block.of(c), to.of(c));
  return to;
}

Shape shape_of(const Chain& chain, int64_t n) { return chain.batched ? Shape{chain.batch, n} : Shape{n}; }

// A small upper triangular matrix (k, k) that is a product of many: 10^scale times these numbers.
struct Factor {
  std::vector<double> numbers;
  double scale = 0;

  explicit Factor(int64_t k) : numbers(size_t(k * k), 0.0) {
    for (int64_t i = 0; i < k; ++i) numbers[size_t(i * k + i)] = 1;
  }
  void multiply(const std::vector<double>& r, int64_t k) {  // from the left
    std::vector<double> product(numbers.size(), 0.0);
    double largest = 0;
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = i; j < k; ++j)
        for (int64_t c = j; c < k; ++c) product[size_t(i * k + c)] += r[size_t(i * k + j)] * numbers[size_t(j * k + c)];
    for (double x : product) largest = std::isnan(x) ? x : std::max(largest, std::abs(x));
    if (largest > 0 && std::isfinite(largest)) {
      scale += std::log10(largest);
      for (double& x : product) x /= largest;
    }
    numbers = std::move(product);
  }
  double log10_norm(int64_t k) const {
    std::vector<double> copy = numbers, values(size_t(k), 0.0);
    kernel::singular_values(k, k, copy.data(), values.data());
    return scale + std::log10(values[0]);
  }
};

// The largest |M w|, w the columns from `first` on of r.
double log10_largest_image(const Factor& m, const std::vector<double>& r, int64_t k, int64_t first) {
  double largest = 0;
  for (int64_t c = first; c < k; ++c) {
    double sum = 0;
    for (int64_t i = 0; i < k; ++i) {
      double part = 0;
      for (int64_t j = i; j < k; ++j) part += m.numbers[size_t(i * k + j)] * r[size_t(j * k + c)];
      sum += part * part;
    }
    largest = std::max(largest, sum);
  }
  return m.scale + std::log10(largest) / 2;
}

// Puts what a vector of each sample is now, relative to what it was, into `log10`, and gives it norm 1 again.
void renormalise(std::vector<double>& rows, int64_t batch, int64_t size, std::vector<double>& log10) {
  for (int64_t i = 0; i < batch; ++i) {
    double* x = rows.data() + i * size;
    const double norm = scaled_norm(x, [&](auto f) { f(int64_t{0}, size); });
    log10[size_t(i)] += std::log10(norm);
    if (norm > 0 && std::isfinite(norm))
      for (int64_t k = 0; k < size; ++k) x[k] /= norm;
  }
}

Products products(const Chain& chain, const ProductOptions& options, std::vector<double> cotangent) {
  const Timer timer;
  for (const auto& [name, value] : {std::pair("columns", options.columns), std::pair("probes", options.probes)})
    if (value < 1)
      throw Error(std::string("products: ") + name + " is " + std::to_string(value) + ", at least 1 is needed");
  const size_t depth = chain.layers.size(), batch = size_t(chain.batch);
  if (!options.sigma.empty() && options.sigma.size() != depth)
    throw Error("products: " + std::to_string(options.sigma.size()) + " sigma for " + std::to_string(depth) +
                " layers");
  for (const Tensor& each : options.sigma)
    if (each.numel() != chain.batch || each.dtype() != f64)
      throw Error("products: sigma of shape " + to_string(each.shape()) + " and " + to_string(each.dtype()) + " for " +
                  std::to_string(chain.batch) + " samples, f64");
  Rng rng(options.seed, product_stream);
  Products result;
  const int64_t outputs = chain.layers.back().out;
  result.exact = outputs <= options.columns + options.probes;
  const int64_t k = result.exact ? outputs : options.columns + options.probes;

  Block block(k, chain.batch, outputs);
  std::vector<std::vector<double>> start(batch, std::vector<double>(size_t(k * k)));
  if (result.exact) {
    for (int64_t c = 0; c < k; ++c)
      for (int64_t i = 0; i < chain.batch; ++i) block.of(c, i)[c] = 1;
  } else {
    Block ahead(options.columns, chain.batch, chain.layers[0].in);
    ahead.fill_normal(rng);
    std::vector<double> r(size_t(k * k));
    for (const Layer& layer : chain.layers) {
      ahead = image(chain, layer, ahead, true);
      for (int64_t i = 0; i < chain.batch; ++i) ahead.orthonormalise(i, r.data());
    }
    std::copy(ahead.numbers.begin(), ahead.numbers.end(), block.numbers.begin());
    block.fill_normal(rng, options.columns);
    for (int64_t i = 0; i < chain.batch; ++i) block.orthonormalise(i, start[size_t(i)].data());
  }

  std::vector<Factor> factors(batch, Factor(k));
  std::vector<double> bound(batch, 0.0), above(batch, 0.0), gain(batch, 0.0);
  for (Tensor* each : {&result.log10_norm, &result.log10_upper, &result.log10_bound, &result.looseness})
    *each = kernel::full(shape_of(chain, int64_t(depth)), NAN, f64);
  if (!cotangent.empty()) {
    result.log10_gain = kernel::full(shape_of(chain, int64_t(depth)), NAN, f64);
    renormalise(cotangent, chain.batch, outputs, gain);
    std::fill(gain.begin(), gain.end(), 0.0);
  }
  const double slack =
      result.exact ? 0 : std::log10(std::sqrt(2 / M_PI)) - std::log10(chance_of_error / 2) / double(options.probes);
  for (size_t l = depth; l-- > 0;) {
    const Layer& layer = chain.layers[l];
    block = image(chain, layer, block, false);
    if (!cotangent.empty()) {
      std::vector<double> to(batch * size_t(layer.in));
      layer.back(cotangent.data(), to.data());
      cotangent = std::move(to);
      renormalise(cotangent, chain.batch, layer.in, gain);
    }
    const Layer::Norms norms = options.sigma.empty() ? layer.norms(chance_of_error / 2 / double(depth))
                                                     : Layer::Norms{options.sigma[l].to_vector(), {}};
    for (size_t i = 0; i < batch; ++i) {
      std::vector<double> r(size_t(k * k));
      block.orthonormalise(int64_t(i), r.data());
      factors[i].multiply(r, k);
      bound[i] += std::log10(norms.lower[i]);
      above[i] += norms.upper.empty() ? infinity : std::log10(norms.upper[i]);
      const size_t at = i * depth + l;
      const double norm = factors[i].log10_norm(k);
      result.log10_norm.data<double>()[at] = norm;
      const double random = slack + log10_largest_image(factors[i], start[i], k, options.columns);
      result.log10_upper.data<double>()[at] = result.exact ? norm : std::max(norm, std::min(random, above[i]));
      result.log10_bound.data<double>()[at] = bound[i];
      result.looseness.data<double>()[at] = bound[i] - norm;
      if (!cotangent.empty()) result.log10_gain.data<double>()[at] = gain[i];
    }
  }
  result.coupled = chain.coupled;
  result.confidence = result.exact ? 1 : 1 - chance_of_error;
  result.seconds = timer.seconds();
  return result;
}

// Rows t_i of norm 1 times exp(e_i): a matrix whose rows may lie any number of decades apart.
class GradedRows {
 public:
  explicit GradedRows(int64_t k) : k_(k), rows_(size_t(k * k), 0.0), exponents_(size_t(k), 0.0) {
    for (int64_t i = 0; i < k; ++i) row(i)[i] = 1;
  }
  void multiply(const std::vector<double>& r) {  // from the left, by an upper triangular matrix
    for (int64_t i = 0; i < k_; ++i) {           // row i is made of itself and of what is below it
      double top = -infinity;
      for (int64_t j = i; j < k_; ++j)
        if (r[size_t(i * k_ + j)] != 0) top = std::max(top, exponents_[size_t(j)]);
      std::vector<double> sum(size_t(k_), 0.0);
      for (int64_t j = i; j < k_ && top > -infinity; ++j) {
        const double factor = r[size_t(i * k_ + j)] * std::exp(exponents_[size_t(j)] - top);
        for (int64_t c = 0; c < k_; ++c) sum[size_t(c)] += factor * row(j)[c];
      }
      std::copy(sum.begin(), sum.end(), row(i));
      exponents_[size_t(i)] = top;
      normalise(i);
    }
  }
  // The logarithms of the singular values, descending, by one-sided Jacobi rotations of the rows (Demmel & Veselic
  // 1992). A pair a, rho b: tan of the angle is rho tau, which is Gram-Schmidt where rho is nothing.
  std::vector<double> log_singular_values() {
    bool turned = true;
    for (int sweep = 0; turned && sweep < 60; ++sweep) {
      turned = false;
      for (int64_t p = 0; p < k_; ++p)
        for (int64_t q = p + 1; q < k_; ++q) turned |= rotate(p, q);
    }
    std::vector<double> values = exponents_;
    std::sort(values.begin(), values.end(), std::greater<>());
    return values;
  }

 private:
  double* row(int64_t i) { return rows_.data() + i * k_; }
  void normalise(int64_t i) {
    const double norm = std::sqrt(kernel::dot(row(i), row(i), k_));
    exponents_[size_t(i)] += std::log(norm);
    if (norm > 0)
      for (int64_t c = 0; c < k_; ++c) row(i)[c] /= norm;
  }
  bool rotate(int64_t i, int64_t j) {
    if (exponents_[size_t(i)] < exponents_[size_t(j)]) std::swap(i, j);
    double *a = row(i), *b = row(j);
    const double g = kernel::dot(a, b, k_);
    if (!(std::abs(g) > 1e-15)) return false;
    const double rho = std::exp(exponents_[size_t(j)] - exponents_[size_t(i)]), z = (rho * rho - 1) / (2 * g);
    const double tau = (z < 0 ? -1 : 1) / (std::abs(z) + std::sqrt(rho * rho + z * z));
    const double c = 1 / std::sqrt(1 + rho * tau * rho * tau);
    for (int64_t k = 0; k < k_; ++k) {
      const double x = a[k], y = b[k];
      a[k] = c * (x - rho * rho * tau * y);
      b[k] = c * (tau * x + y);
    }
    normalise(i);
    normalise(j);
    return true;
  }

  int64_t k_;
  std::vector<double> rows_, exponents_;
};

Tensor spectrum(const Chain& chain) {
  const int64_t k = chain.layers.back().out;
  Block block(k, chain.batch, k);
  for (int64_t c = 0; c < k; ++c)
    for (int64_t i = 0; i < chain.batch; ++i) block.of(c, i)[c] = 1;
  std::vector<GradedRows> products(size_t(chain.batch), GradedRows(k));
  std::vector<double> r(size_t(k * k));
  for (size_t l = chain.layers.size(); l-- > 0;) {
    block = image(chain, chain.layers[l], block, false);
    for (int64_t i = 0; i < chain.batch; ++i) {
      block.orthonormalise(i, r.data());
      products[size_t(i)].multiply(r);
    }
  }
  Tensor out(shape_of(chain, k), f64);
  double* to = out.data<double>();
  for (GradedRows& each : products)
    for (double value : each.log_singular_values()) *to++ = value / M_LN10;
  return out;
}

}  // namespace

Products products_along(std::span<Node* const> xs, const ProductOptions& options) {
  const Chain chain = chain_along(xs, options);
  std::vector<double> cotangent;
  if (options.cotangent.defined()) {
    const Node& y = *xs.back();
    check_direction("products", options.cotangent, y.shape, y.dtype);
    cotangent.resize(size_t(options.cotangent.numel()));
    to_rows(options.cotangent, chain.batched ? int(options.batch_axis) : -1, cotangent.data());
  }
  return products(chain, options, std::move(cotangent));
}
Products products_along(std::span<const Tensor> xs, const ProductOptions& options) {
  return products_along(nodes_of(xs), options);
}
Products products_of(std::span<const Tensor> matrices, const ProductOptions& options) {
  return products(chain_of(matrices), options, {});
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
      << p.seconds * 1e3 << " ms\n  from        norm     at most       bound   looseness        gain";
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
