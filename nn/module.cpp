#include "fathom/nn/module.h"

#include <algorithm>  // min
#include <typeinfo>
#include <unordered_map>
#include <unordered_set>

#include "fathom/autograd/node.h"
#include "fathom/autograd/recording.h"

namespace fathom::nn {
namespace {

// Calls f(fields, name, tensor, is_buffer) for each tensor under m. Tied ones come once for each of their names.
template <class F>
void each_tensor(const Module& m, F f) {
  struct Each final : Fields {
    F& f;
    explicit Each(F& g) : f(g) {}
    using Fields::path;
    void on_tensor(std::string_view name, Tensor& x, bool is_buffer) override { f(*this, name, x, is_buffer); }
  } each(f);
  const_cast<Module&>(m).fields(each);
}

template <class F>
void each_module(Module& m, F f) {
  struct Each final : Fields {
    F& f;
    explicit Each(F& g) : f(g) {}
    using Fields::path;
    void on_module(Module& child) override { f(path(""), child); }
  } each(f);
  f(std::string(), m);
  m.fields(each);
}

std::vector<NamedTensor> named(const Module& m, bool buffers, bool each_once) {
  std::unordered_set<const Shape*> known;  // a tensor's shape stands at an address of its own
  std::unordered_set<std::string> paths;
  std::vector<NamedTensor> list;
  each_tensor(m, [&](auto& fields, std::string_view name, Tensor& x, bool is_buffer) {
    std::string path = fields.path(name);
    if (!paths.insert(path).second) throw Error("fields: " + path + " is listed twice");
    if (is_buffer != buffers) return;
    if (each_once && !known.insert(&x.shape()).second) return;
    list.push_back({std::move(path), x});
  });
  return list;
}

void check_same_structure(const std::vector<NamedTensor>& to, const std::vector<NamedTensor>& from) {
  std::unordered_map<const Shape*, size_t> known;  // a tensor's shape stands at an address of its own
  for (size_t i = 0; i < std::min(to.size(), from.size()); ++i) {
    if (to[i].name != from[i].name)
      throw Error("load_from: the structures differ: " + to[i].name + " here, " + from[i].name + " there");
    if (to[i].tensor.shape() != from[i].tensor.shape())
      throw Error("load_from: " + to[i].name + " has shape " + to_string(to[i].tensor.shape()) + " here, " +
                  to_string(from[i].tensor.shape()) + " there");
    const size_t first = known.emplace(&to[i].tensor.shape(), i).first->second;
    if (!from[i].tensor.is_same(from[first].tensor))
      throw Error("load_from: " + to[i].name + " is " + to[first].name + " here, a tensor of its own there");
  }
  if (to.size() != from.size())
    throw Error("load_from: the structures differ: " + std::to_string(to.size()) + " tensors here, " +
                std::to_string(from.size()) + " there");
}

void check_same_structure(const Module& to, const Module& from) {
  for (const bool buffers : {false, true}) check_same_structure(named(to, buffers, false), named(from, buffers, false));
}

// The i-th tensor, where it is floating, is replaced by one of dtype_of(i). Tied ones stay tied.
template <class F>
void convert(Module& m, F dtype_of) {
  std::vector<std::pair<Tensor, Tensor>> converted;
  size_t i = 0;
  each_tensor(m, [&](auto&, std::string_view, Tensor& x, bool) {
    const Dtype dtype = dtype_of(i++);
    if (!is_floating(x.dtype()) || !is_floating(dtype) || x.dtype() == dtype) return;
    for (const auto& [before, after] : converted)
      if (before.is_same(x)) return void(x = after);
    Tensor y;
    {
      const NoGrad off;
      y = x.to(dtype);
    }
    if (x.requires_grad()) {
      y.requires_grad_();
      if (Node* node = node_of(x); node->is_leaf()) static_cast<Leaf*>(node)->replaced = true;
    }
    converted.emplace_back(x, y);
    x = std::move(y);
  });
}

// Where an Error came from, for the modules around it to give the path from there.
struct ModuleError final : Error {
  const Module* module;
  std::string why;
  ModuleError(const std::string& path, const Module* m, const std::string& w)
      : Error(path.empty() ? w : "module " + path + ": " + w), module(m), why(w) {}
};

}  // namespace

Module::~Module() = default;

Tensor Module::operator()(Tensor x) {
  return call(std::move(x), [this](Tensor at) { return forward(std::move(at)); });
}

// Called while e is handled.
void Module::rethrow_with_path(const Error& e) {
  const auto* inner = dynamic_cast<const ModuleError*>(&e);
  if (!inner && typeid(e) == typeid(Error)) throw ModuleError("", this, e.what());
  if (inner)
    for (const NamedModule& each : modules())
      if (each.module == inner->module) throw ModuleError(each.name, inner->module, std::string(inner->why));
  throw;
}

std::vector<NamedTensor> Module::named_parameters() const { return named(*this, false, true); }
std::vector<NamedTensor> Module::named_buffers() const { return named(*this, true, true); }
std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> list;
  for (NamedTensor& each : named_parameters()) list.push_back(std::move(each.tensor));
  return list;
}
std::vector<NamedModule> Module::modules() {
  std::vector<NamedModule> list;
  each_module(*this, [&](std::string name, Module& m) { list.push_back({std::move(name), &m}); });
  return list;
}

void Module::train(bool on) {
  each_module(*this, [&](const std::string&, Module& m) { m.training = on; });
}

void Module::to(Dtype dtype) {
  if (!is_floating(dtype)) throw Error(std::string("Module::to: f32 or f64, got ") + to_string(dtype));
  convert(*this, [dtype](size_t) { return dtype; });
}

void Module::zero_grad() {
  each_tensor(*this, [](auto&, std::string_view, Tensor& x, bool) {
    if (x.requires_grad()) x.set_grad({});
  });
}

void Module::requires_grad_(bool on) {
  std::vector<NamedTensor> list = named_parameters();
  for (const auto& [name, x] : list) {
    if (on && !is_floating(x.dtype()))
      throw Error("requires_grad_: only floating parameters have gradients, " + name + " is " + to_string(x.dtype()));
    if (const Node* node = node_of(x); !on && node && !node->is_leaf())
      throw Error("requires_grad_(false): " + name + " was computed by " + describe(*node) + "; use detach()");
  }
  for (NamedTensor& each : list) each.tensor.requires_grad_(on);
}

void Module::load_from(const Module& other) {
  const NoGrad off;
  check_same_structure(*this, other);
  for (const bool buffers : {false, true}) {
    std::vector<NamedTensor> to = named(*this, buffers, false);
    const std::vector<NamedTensor> from = named(other, buffers, false);
    for (size_t i = 0; i < to.size(); ++i) to[i].tensor.copy_(from[i].tensor);
  }
}

State Module::state() const {
  State list;
  for (const bool buffers : {false, true})
    for (const NamedTensor& each : named(*this, buffers, true))
      list.push_back({each.name, each.tensor.detach().clone()});
  return list;
}

void Module::load_state(const State& state) {
  const NoGrad off;
  std::string differences;
  const auto differ = [&](const std::string& what) { differences += (differences.empty() ? "" : "; ") + what; };
  std::unordered_map<std::string, Tensor> left;
  for (const NamedTensor& each : state)
    if (!left.emplace(each.name, each.tensor).second) differ(each.name + " is given twice");

  std::vector<NamedTensor> to = named(*this, false, false), buffers = named(*this, true, false);
  to.insert(to.end(), buffers.begin(), buffers.end());
  std::unordered_map<const Shape*, NamedTensor> found;  // by the tensor it is for: a tied one has several names
  for (const NamedTensor& each : to) {
    const auto at = left.find(each.name);
    if (at == left.end()) continue;
    const Tensor from = at->second;
    left.erase(at);
    const auto text = [](const Tensor& x) {
      return x.defined() ? std::string(to_string(x.dtype())) + " " + to_string(x.shape()) : "undefined";
    };
    const auto [known, is_first] = found.emplace(&each.tensor.shape(), NamedTensor{each.name, from});
    if (text(from) != text(each.tensor))
      differ(each.name + " is " + text(each.tensor) + " here, " + text(from) + " in the state");
    else if (!is_first && from.to_vector() != known->second.tensor.to_vector())
      differ(each.name + " is " + known->second.name + " here, another in the state");
  }
  for (const bool of_buffers : {false, true})
    for (const NamedTensor& each : named(*this, of_buffers, true))
      if (!found.contains(&each.tensor.shape())) differ(each.name + " is missing");
  for (const NamedTensor& each : state)
    if (left.contains(each.name)) differ(each.name + " is not known here");
  if (!differences.empty()) throw Error("load_state: " + differences);
  for (NamedTensor& each : to) each.tensor.copy_(found.at(&each.tensor.shape()).tensor);
}

void make_same(Module& copy, const Module& m) {
  const std::vector<NamedModule> to = copy.modules(), from = const_cast<Module&>(m).modules();
  if (to.size() != from.size())
    throw Error("clone: there are " + std::to_string(to.size()) + " modules here, " + std::to_string(from.size()) +
                " there: it is to be built as the original was");
  for (size_t k = 0; k < to.size(); ++k)
    if (const Module& here = *to[k].module, &there = *from[k].module; typeid(here) != typeid(there))
      throw Error("clone: " + (to[k].name.empty() ? "the module" : to[k].name) + " is of another type than there: it " +
                  "is to be built as the original was");
  check_same_structure(copy, m);
  std::vector<Tensor> there;
  each_tensor(m, [&](auto&, std::string_view, const Tensor& x, bool) { there.push_back(x); });
  std::unordered_map<const Shape*, size_t> known;
  std::vector<Tensor> here;
  each_tensor(copy, [&](auto&, std::string_view, Tensor& x, bool) {
    const size_t first = known.emplace(&there[here.size()].shape(), here.size()).first->second;
    if (first < here.size()) x = here[first];
    here.push_back(x);
  });
  convert(copy, [&](size_t i) { return there[i].dtype(); });
  size_t i = 0;
  each_tensor(copy, [&](auto&, std::string_view, Tensor& x, bool is_buffer) {
    const bool on = there[i++].requires_grad();
    if (!is_buffer && x.requires_grad() != on) x.requires_grad_(on);
  });
  copy.load_from(m);
  for (size_t k = 0; k < to.size(); ++k) to[k].module->training = from[k].module->training;
}

void Fields::operator()(std::string_view name, Module& child) {
  const size_t length = enter(name);
  on_module(child);
  child.fields(*this);
  leave(length);
}

void Fields::on_tensor(std::string_view, Tensor&, bool) {}
void Fields::on_module(Module&) {}

std::string Fields::path(std::string_view name) const {
  std::string whole = path_;
  if (!whole.empty() && !name.empty()) whole += '.';
  return whole += name;
}
size_t Fields::enter(std::string_view name) {
  const size_t length = path_.size();
  if (length) path_ += '.';
  path_ += name;
  return length;
}

}  // namespace fathom::nn
