// What a recorder measures of a site.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "fathom/autograd/checkpoint.h"  // Replay
#include "fathom/autograd/recording.h"
#include "fathom/autograd/slice.h"
#include "fathom/optim/clip.h"
#include "fathom/probe/jacobian.h"
#include "fathom/probe/product.h"
#include "fathom/probe/recorder/state.h"

namespace fathom::probe {
namespace {

// Requires: x is f64 and contiguous.
std::span<const double> numbers(const Tensor& x) { return {x.data<double>(), size_t(x.numel())}; }

bool any_nan(std::span<const double> list) {
  return std::any_of(list.begin(), list.end(), [](double value) { return std::isnan(value); });
}
// NaN where there is one, or no number.
double largest(std::span<const double> list) {
  return list.empty() || any_nan(list) ? NAN : *std::max_element(list.begin(), list.end());
}
double smallest(std::span<const double> list) {
  return list.empty() || any_nan(list) ? NAN : *std::min_element(list.begin(), list.end());
}
double median(std::span<const double> values) {
  if (values.empty() || any_nan(values)) return NAN;
  pool::vector<double> list(values.begin(), values.end());
  const auto middle = list.begin() + ptrdiff_t(list.size() / 2);
  std::nth_element(list.begin(), middle, list.end());
  return list.size() % 2 ? *middle : (*middle + *std::max_element(list.begin(), middle)) / 2;
}

double root_mean_square(const Tensor& x) { return norm_of(x) / std::sqrt(double(x.numel())); }

void describe_sigmas(SiteMeasure& row, std::span<const double> of_samples) {
  row.sigma_max = largest(of_samples);
  row.sigma_median = median(of_samples);
  row.sigma_least = smallest(of_samples);
}

// Moments and shares of a site's output, over all its elements.
void describe_activations(SiteMeasure& row, const Tensor& tensor, int batch_axis) {
  const Tensor y = contiguous_of(tensor);
  const Layout layout(y.shape(), y.dim() > 1 && batch_axis < y.dim() ? batch_axis : -1);
  visit_floating("Recorder", y.dtype(), [&]<class T>(T) {
    const T* x = y.data<T>();
    const int64_t n = y.numel();
    double sum = 0, most = 0, near = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double size = std::abs(double(x[i]));
      sum += double(x[i]), near += size >= 0.99;
      if (!(size <= most)) most = size;  // a NaN too
    }
    const double mean = sum / double(n), unit = most > 0 && std::isfinite(most) ? most : 1;
    double second = 0, fourth = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double part = (double(x[i]) - mean) / unit, square = part * part;
      second += square, fourth += square * square;
    }
    row.kurtosis = double(n) * fourth / (second * second);
    row.saturated = most <= 1 ? near / double(n) : 0;
    int64_t dead = 0;
    for (int64_t k = 0; k < layout.size(); ++k) {
      bool zero = true;
      for (int64_t i = 0; zero && i < layout.batch; ++i) zero = x[layout.at(i, k)] == 0;
      dead += zero;
    }
    row.dead = double(dead) / double(layout.size());
  });
}

}  // namespace

void Recorder::State::describe_output(SiteMeasure& row, const Site& site, const nn::Module& module,
                                      const Tensor& y) const {
  row.activation_rms = y.numel() ? norm_of(y) / std::sqrt(double(y.numel())) : 0;
  if (jacobians_due()) {
    row.weight_norm = 0;
    for (const Tensor& w : site.weights) row.weight_norm = std::hypot(row.weight_norm, norm_of(w));
  }
  if (details_due() && y.numel()) describe_activations(row, y, int(module.batch_axis()));
}

void Recorder::State::measure(SiteMeasure& row, Site& site, int64_t axis, int64_t call, Node& y, Node& x,
                              const Tensor& g) {
  Node* const from = &x;
  Slice slice(&y, std::span<Node* const>(&from, 1));
  if (!slice.reaches(0)) return;
  const Stopwatch watch(jacobians);
  const bool detailed = details_due();
  if (detailed) row.attention = attention_statistics(slice);
  const uint64_t structure = slice.structure();
  JacobianOptions how{
      .batch_axis = axis, .leading = options.samples, .seed = uint64_t(steps) << 24 ^ uint64_t(y.number)};
  const auto known = site.coupled.find(structure);
  if (known != site.coupled.end()) how.samples = known->second ? Samples::coupled : Samples::independent;
  const Jacobian jacobian(std::move(slice), how);
  if (jacobian.certain()) site.coupled.emplace(structure, jacobian.coupled());
  row.has_jacobian = true;
  row.coupled = jacobian.coupled();
  if (g.defined()) {  // backward() brings nothing to x, or more than this
    const bool all = g.shape() == jacobian.y_shape();
    const Tensor u = all ? g : kernel::clone(g.slice(int(axis), 0, options.samples));
    const double back = norm_of(jacobian.apply_transposed(u));
    row.gain = back / (all ? row.grad_out : norm_of(u));
    if (all) row.grad_in = back;
  }

  if (site.directions.size() <= size_t(call)) site.directions.resize(size_t(call) + 1);
  Tensor& direction = site.directions[size_t(call)];
  const bool warm = direction.defined() && direction.shape() == jacobian.x_shape() && direction.dtype() == x.dtype;
  Sigma sigmas = jacobian.sigma_max({.iterations = warm ? options.power_steps : options.cold_steps,
                                     .tolerance = 1e-3,
                                     .start = warm ? std::move(direction) : Tensor(),
                                     .unit_start = warm,
                                     .method = warm ? SigmaMethod::power : SigmaMethod::chosen,
                                     .upper = false});
  direction = std::move(sigmas.direction);
  describe_sigmas(row, numbers(sigmas.sigma));
  row.residual = largest(numbers(sigmas.residual));
  row.sigma_seconds = sigmas.seconds;
  // That of one sample, the right one, is enough for the bound to hold: `confidence` is the largest one's, too.
  const auto bound_sigma = [&](std::span<const double> uppers, double confidence) {
    row.upper = std::max(row.sigma_max, largest(uppers));
    row.confidence = confidence;
  };
  if (options.frobenius) {
    const Estimate norms = jacobian.frobenius({.exact_below = options.probes, .probes = options.probes});
    row.frobenius = root_mean_square(norms.value);
    // The samples' norms together are one of a larger matrix, whose estimate has the same bounds.
    row.frobenius_lower = root_mean_square(norms.lower), row.frobenius_upper = root_mean_square(norms.upper);
    row.frobenius_seconds = norms.seconds;
    bound_sigma(numbers(norms.upper), norms.confidence);
  }
  if (!detailed || jacobian.outputs() == 0 || jacobian.inputs() == 0) return;

  const Stopwatch more(details);
  row.has_details = true;
  const Spectrum spectrum = jacobian.spectrum();
  const std::span<const double> values = numbers(spectrum.values);
  const size_t count = values.size() / size_t(std::max<int64_t>(jacobian.batch(), 1));
  const auto of_samples = [count](std::span<const double> all, size_t k) {  // the k-th value of each
    pool::vector<double> list;
    for (size_t i = k; i < all.size(); i += count) list.push_back(all[i]);
    return list;
  };
  pool::vector<double> lowers = of_samples(values, 0);  // or what the power iteration found, where it is more
  for (size_t i = 0; i < lowers.size(); ++i) lowers[i] = std::max(numbers(sigmas.sigma)[i], lowers[i]);
  describe_sigmas(row, lowers);
  bound_sigma(of_samples(numbers(spectrum.upper), 0), spectrum.confidence);
  row.details_seconds = spectrum.seconds;
  row.complete = spectrum.complete;
  row.residual = largest(of_samples(numbers(spectrum.residuals), 0));
  if (row.complete) {
    if (options.frobenius)
      row.frobenius_lower = row.frobenius_upper = row.frobenius = root_mean_square(spectrum.frobenius);
  }
  row.spectrum.clear(), row.spectrum_upper.clear();
  for (size_t k = 0; k < count; ++k) {
    row.spectrum.push_back(median(of_samples(values, k)));
    row.spectrum_upper.push_back(median(of_samples(numbers(spectrum.upper), k)));
  }
  if (row.complete) {
    row.condition = median(numbers(spectrum.condition));
    row.sigma_min_active = median(numbers(spectrum.sigma_min_active));
    row.effective_rank = median(numbers(spectrum.effective_rank));
  }
  row.stable_rank = median(numbers(spectrum.stable_rank));
}

namespace {

// Of the calls whose outputs lead to the end: f(index, its input's node or null, its output's node), in their order.
template <class Calls, class F>
void each_on_the_way(const Calls& calls, Node& end, F f) {
  std::unordered_map<uint64_t, Node*> nodes;
  for (const auto& call : calls) nodes[call.x] = nodes[call.y] = nullptr;
  for (Node* node = &end; node; node = node->older)
    if (const auto at = nodes.find(node->number); at != nodes.end()) at->second = node;
  pool::vector<Node*> outputs;
  for (const auto& call : calls) outputs.push_back(nodes[call.y]);
  const Slice way(&end, outputs);
  for (size_t i = 0; i < calls.size(); ++i)
    if (way.reaches(i)) f(i, nodes[calls[i].x], outputs[i]);
}

}  // namespace

void Recorder::State::measure_product(Node& end, const Tensor& g) {
  product.emplace();
  const Stopwatch watch(jacobians), more(details);
  pool::vector<Node*> chain;
  Node* output = nullptr;
  bool known = true;
  each_on_the_way(links, end, [&](size_t, Node* x, Node* y) {
    known &= x != nullptr;
    chain.push_back(x);
    output = y;
  });
  if (!known) product->why_none = "an input of a site is not on the tape";
  if (!known || !output) return;
  const size_t sites_count = chain.size();
  chain.push_back(output);
  product->why_none = chain_break(std::span<Node* const>(chain));
  if (!product->why_none.empty()) return;
  ProductOptions how;
  how.batch_axis = batch_axis;
  if (g.defined() && g.shape() == chain.back()->shape) how.cotangent = g;
  const Products found_products = products_along(std::span<Node* const>(chain), how);
  const bool batched = found_products.log10_norm.dim() == 2;
  const auto most = [&](const Tensor& x) {  // over the samples
    std::vector<double> out;
    if (!x.defined()) return out;
    std::span<const double> all = numbers(x);
    if (batched && options.samples) all = all.first(std::min(all.size(), size_t(options.samples) * sites_count));
    out.assign(sites_count, -std::numeric_limits<double>::infinity());
    for (size_t i = 0; i < all.size(); ++i)
      if (!(all[i] <= out[i % sites_count])) out[i % sites_count] = all[i];
    return out;
  };
  product->norm = most(found_products.log10_norm);
  product->upper = most(found_products.log10_upper);
  product->bound = most(found_products.log10_bound);
  product->gain = most(found_products.log10_gain);
  product->confidence = found_products.confidence, product->seconds = found_products.seconds;
}

// The tape of what is frozen is nobody's to take apart: it is measured before the walk back, where it leads to the
// loss.
void Recorder::State::measure_frozen(Node& loss_node) {
  if (frozen.empty()) return;
  const Stopwatch watch(measuring);
  const Flag off(busy);
  std::vector<Frozen> kept;
  each_on_the_way(frozen, loss_node, [&](size_t i, Node* x, Node* y) {
    Frozen& each = kept.emplace_back(std::move(frozen[i]));
    if (x && x != y && jacobians_due() && !options.probe.defined())
      measure(*each.row, *each.site, each.batch_axis, each.call, *y, *x, {});
  });
  frozen = std::move(kept);
}

// The probe goes through the network; its tape is measured and dropped.
void Recorder::State::measure_probe() {
  const Stopwatch watch(measuring);
  const Flag as_probe(probing);
  const Recording on(true);
  const Replay own_numbers{Rng(uint64_t(steps), 0x70726f6265)};
  probed.clear();
  for (auto& [module, site] : sites) site.calls = 0;
  links.clear();
  const Tensor y = (*net)(options.probe);
  if (details_due() && !links.empty() && node_of(y)) measure_product(*node_of(y), {});
  links.clear();
  for (auto& [module, site] : sites) site.calls = 0;
}

double Recorder::State::grad_norm() const {
  pool::vector<double> squares;
  for (const nn::NamedTensor& each : parameters) squares.push_back(optim::squared_grad_norm(each.tensor));
  return optim::grad_norm_of(squares, [&](size_t i) -> const Tensor& { return parameters[i].tensor; });
}

}  // namespace fathom::probe
