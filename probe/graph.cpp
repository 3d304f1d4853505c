#include "fathom/probe/graph.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <unordered_map>

#include "fathom/autograd/ops/arithmetic.h"
#include "fathom/autograd/recording.h"
#include "fathom/autograd/slice.h"
#include "fathom/probe/samples.h"

namespace fathom::probe {
namespace {

// The nodes that lead to y, from the oldest to y.
std::vector<Node*> ancestors(Node* y, int64_t most) {
  std::unordered_map<const Node*, bool> met{{y, true}};
  std::vector<Node*> list;
  for (Node* node = y; node && list.size() < met.size(); node = node->older) {
    if (!met.count(node)) continue;
    node->check_not_consumed();
    list.push_back(node);
    if (int64_t(list.size()) > most)
      throw Error("to_dot: more than " + std::to_string(most) + " nodes lead to " + describe(*y) +
                  "; .most allows more");
    for (const auto& input : node->inputs)
      if (input) met[static_cast<const Node*>(input.get())] = true;
  }
  std::reverse(list.begin(), list.end());
  return list;
}

std::vector<Node*> inputs_of(const Node& node) {  // each once
  std::vector<Node*> list;
  for (const auto& ref : node.inputs)
    if (auto* input = static_cast<Node*>(ref.get()); input && std::find(list.begin(), list.end(), input) == list.end())
      list.push_back(input);
  return list;
}

// The largest singular value of the Jacobian of the i-th x alone.
double sigma_max(const Slice& slice, size_t i, size_t xs, int64_t iterations, Rng& rng) {
  const Node& x = slice.x(i);
  if (x.shape.numel() == 0) return 0;
  std::vector<Tensor> vs(xs);
  vs[i] = Tensor(x.shape, x.dtype);
  draw_direction(vs[i], -1, 0, rng);
  double sigma = 0;
  for (int64_t k = 0; k < iterations; ++k) {
    const Tensor u = slice.jvp(vs);
    if (!u.defined() || !(norm_of(u) > 0)) return u.defined() ? norm_of(u) : 0;
    Tensor v = slice.vjp(u)[i];
    const double norm = norm_of(v);
    sigma = norm / norm_of(u);
    if (!(norm > 0) || !std::isfinite(norm)) return sigma;
    vs[i] = std::move(v) * (1 / norm);
  }
  return sigma;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  return out + '"';
}
std::string number(const char* before, double x) {
  char text[32];
  return before + std::string(text, std::to_chars(text, text + sizeof text, x, std::chars_format::general, 3).ptr);
}

// How an edge looks that stretches or shrinks by sigma: saturated at a factor of 10.
std::string colour(double sigma) {
  if (std::isnan(sigma)) return "#b3005e";
  const double strength = std::min(1.0, std::abs(std::log10(sigma)));
  const auto mix = [&](int from, int to) { return int(std::lround(from + (to - from) * strength)); };
  char text[8];
  if (sigma < 1) std::snprintf(text, sizeof text, "#%02x%02x%02x", mix(0x99, 0x1c), mix(0x99, 0x62), mix(0x99, 0xa8));
  else std::snprintf(text, sizeof text, "#%02x%02x%02x", mix(0x99, 0xb8), mix(0x99, 0x50), mix(0x99, 0x0c));
  return text;
}

}  // namespace

std::string to_dot(const Tensor& y, const GraphOptions& options) {
  if (!node_of(y)) throw Error("to_dot: nothing was recorded for y of shape " + to_string(y.shape()));
  const NoGrad off;
  const std::vector<Node*> nodes = ancestors(node_of(y), options.most);
  std::unordered_map<const Node*, size_t> number_of;
  std::unordered_map<const Node*, std::string> names;
  for (const nn::NamedTensor& each : options.names)
    if (const Node* node = node_of(each.tensor)) names[node] = each.name;

  std::string dot =
      "digraph fathom {\n  node [fontname=\"sans-serif\" fontsize=10]; edge [fontname=\"sans-serif\" fontsize=8];\n";
  for (const Node* node : nodes) {
    const size_t id = number_of[node] = number_of.size();
    const auto name = names.find(node);
    const std::string label =
        std::string(name == names.end() ? node->name : name->second) + "\n" + to_string(node->shape);
    dot += "  n" + std::to_string(id) + " [label=" + quoted(label) +
           (node->is_leaf() ? " shape=box style=filled fillcolor=\"#eef2f6\"" : " shape=ellipse") + "];\n";
  }
  Rng rng(0);
  pool::vector<Tensor> gradients;
  if (options.norms) gradients = Slice(node_of(y), nodes).vjp(kernel::full(y.shape(), 1, y.dtype()));
  for (const Node* node : nodes) {
    const std::vector<Node*> inputs = inputs_of(*node);
    if (inputs.empty()) continue;
    const Slice slice(const_cast<Node*>(node), inputs, Slice::Beyond::cut);
    pool::vector<Tensor> back(inputs.size());
    if (options.norms && gradients[number_of[node]].defined()) back = slice.vjp(gradients[number_of[node]]);
    for (size_t i = 0; i < inputs.size(); ++i) {
      dot += "  n" + std::to_string(number_of[inputs[i]]) + " -> n" + std::to_string(number_of[node]);
      if (options.norms) {
        const double sigma = sigma_max(slice, i, inputs.size(), options.iterations, rng);
        const std::string g = number("|g| ", back[i].defined() ? norm_of(back[i]) : 0);
        dot +=
            " [label=" + quoted(g + "\n" + number("\xcf\x83 ", sigma)) + " color=\"" + colour(sigma) + "\" penwidth=2]";
      }
      dot += ";\n";
    }
  }
  return dot + "}\n";
}

}  // namespace fathom::probe
