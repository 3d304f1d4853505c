#include "fathom/optim/optimizer.h"

#include <cmath>
#include <map>
#include <set>
#include <string_view>

#include "fathom/autograd/node.h"
#include "fathom/autograd/recording.h"
#include "fathom/optim/for_each.h"
#include "fathom/optim/observer.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom::optim {
namespace {

constexpr std::string_view of_method = "method.";

}  // namespace

// A tensor's shape stands at an address of its own.
struct Optimizer::Known {
  std::set<const Shape*> shapes;
};

Optimizer::Optimizer() : known_(new Known) {}
Optimizer::~Optimizer() = default;
Optimizer::Optimizer(Optimizer&&) = default;
Optimizer& Optimizer::operator=(Optimizer&&) = default;

void Optimizer::add(std::string name, const Tensor& w, size_t group) {
  const auto refuse = [&](const std::string& why) {
    throw Error("optim: " + name + ", of shape " + to_string(w.shape()) + ", " + why);
  };
  if (!is_floating(w.dtype())) refuse(std::string("is not floating but ") + to_string(w.dtype()));
  if (const Node* node = node_of(w); node && !node->is_leaf()) refuse("was computed by " + describe(*node));
  if (!w.is_contiguous()) refuse("is not contiguous");
  if (!known_->shapes.insert(&w.shape()).second) refuse("is listed twice");
  parameters_.push_back({std::move(name), w, group, 0, {}, {}, {}});
}
void Optimizer::add(const std::vector<Tensor>& parameters, size_t group) {
  for (const Tensor& w : parameters) add("parameter " + std::to_string(parameters_.size()), w, group);
}

std::vector<Tensor> Optimizer::parameters() const {
  std::vector<Tensor> list;
  for (const Parameter& p : parameters_) list.push_back(p.w);
  return list;
}

void Optimizer::check_not_negative(const char* name, double option) {
  if (!(option >= 0 && std::isfinite(option)))
    throw Error(std::string("step: ") + name + " must be finite and not negative, got " + std::to_string(option));
}

void Optimizer::check_parameters() const {
  for (const Parameter& p : parameters_)
    if (Node* node = node_of(p.w); node && node->is_leaf() && static_cast<Leaf*>(node)->replaced)
      throw Error("step: " + p.name + ", of shape " + to_string(p.w.shape()) + " and " + to_string(p.w.dtype()) +
                  ", was replaced by Module::to; make the optimiser after it");
}

void Optimizer::zero_grad() {
  for (const Parameter& p : parameters_)
    if (p.w.requires_grad()) p.w.set_grad({});
}

double Optimizer::step(StepOptions options) {
  if (!(options.clip_norm >= 0))
    throw Error("step: clip_norm must not be negative, got " + std::to_string(options.clip_norm));
  for (size_t i = 0; const double* lr = rate(i); ++i) {
    if (!(*lr >= 0 && std::isfinite(*lr)))
      throw Error("step: the learning rate of group " + std::to_string(i) + " must be finite and not negative, got " +
                  std::to_string(*lr));
    check_shared_options(i);
    check_options(i);
  }
  check_parameters();
  const NoGrad off;
  const bool observed = norms_are_wanted();
  const bool measured = options.clip_norm > 0 || options.measure_norm || options.on_nonfinite == OnNonfinite::skip;
  pool::vector<double> squares;
  for (size_t i = 0; measured && i < parameters_.size(); ++i) squares.push_back(squared_grad_norm(parameters_[i].w));
  double norm = 0, scale = 1;
  if (measured) {
    norm = grad_norm_of(squares, [&](size_t i) -> const Tensor& { return parameters_[i].w; });
    if (!std::isfinite(norm)) {
      if (options.on_nonfinite == OnNonfinite::skip) return norm;
      for (size_t i = 0; i < parameters_.size(); ++i)
        if (const Parameter& p = parameters_[i]; !std::isfinite(grad_norm_of(p.w, squares[i])))
          not_finite("step", p.name, p.w);
      not_finite("step");
    }
    if (options.clip_norm > 0) scale = clip_scale(norm, options.clip_norm);
    if (scale < 1) tell_clipped(scale);
  }
  std::vector<StepNorms> norms;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& p = parameters_[i];
    const Tensor g = p.w.grad();
    if (!g.defined()) continue;
    ++p.steps;
    StepSums sums;
    {
      const Summing scope(observed ? &sums : nullptr);
      update(p, g.is_contiguous() ? g : kernel::clone(g), scale);
    }
    p.w.storage().changed("step");
    if (observed) norms.push_back({p.w, sums.weight.norm(), sums.gradient.norm(), sums.update.norm()});
  }
  if (observed) tell_norms(norms);
  tell_ended();
  return norm;
}

State Optimizer::state() const {
  State list{{std::string(of_method) + method(), kernel::full({}, 1, boolean)}};
  for (NamedTensor& each : remembered()) list.push_back(std::move(each));
  return list;
}

void Optimizer::load_state(const State& state) {
  State rest;
  for (const NamedTensor& each : state) {
    // A parameter named `method` has numbers under such names, but none that are boolean.
    if (!each.name.starts_with(of_method) || each.tensor.dtype() != boolean) rest.push_back(each);
    else if (const std::string other = each.name.substr(of_method.size()); other != method())
      throw Error("load_state: " + std::string(method()) + " here, the state is " + other + "'s");
  }
  restore(rest);
}

State Optimizer::remembered() const {
  State list;
  const auto number = [&](const std::string& name, auto value) {
    Tensor x({}, dtype_of<decltype(value)>);
    *x.data<decltype(value)>() = value;
    list.push_back({name, x});
  };
  for (const Parameter& p : parameters_) {
    number(p.name + ".steps", p.steps);
    for (const auto& [name, x] : {std::pair(".first", p.first), {".second", p.second}, {".third", p.third}})
      if (x.defined()) list.push_back({p.name + name, kernel::clone(x)});
  }
  for (size_t i = 0; const double* lr = const_cast<Optimizer*>(this)->rate(i); ++i)
    number("groups." + std::to_string(i) + ".lr", *lr);
  return list;
}

void Optimizer::restore(const State& state) {
  std::map<std::string, Tensor> left;
  for (const auto& [name, x] : state) left.emplace(name, x);
  // Undefined where there is none of this name.
  const auto take = [&](const std::string& name, const Shape& shape, Dtype dtype) {
    const auto at = left.find(name);
    if (at == left.end()) return Tensor();
    const Tensor x = at->second;
    if (x.shape() != shape || x.dtype() != dtype)
      throw Error("load_state: " + name + " is " + to_string(dtype) + " " + to_string(shape) + " here, " +
                  to_string(x.dtype()) + " " + to_string(x.shape()) + " in the state");
    left.erase(at);
    return kernel::clone(x);
  };
  const auto number = [&]<class T>(const std::string& name, T) {
    const Tensor x = take(name, {}, dtype_of<T>);
    if (!x.defined())
      throw Error("load_state: the state has no " + name +
                  (state.empty() ? "" : "; its names begin with " + state[0].name));
    return *x.data<T>();
  };
  std::vector<Parameter> next = parameters_;
  for (Parameter& p : next) {
    p.steps = number(p.name + ".steps", int64_t{});
    const auto [least, most] = remembers();
    int needed = p.steps > 0 && p.w.numel() > 0 ? least : 0, i = 0;
    for (const auto& [name, x] : {std::pair(".first", &p.first), {".second", &p.second}, {".third", &p.third}}) {
      *x = i < most ? take(p.name + name, p.w.shape(), p.w.dtype()) : Tensor();
      if (++i > least && x->defined()) needed = most;
      if (i <= needed && !x->defined()) throw Error("load_state: the state has no " + p.name + name);
    }
  }
  std::vector<double> rates;
  for (size_t i = 0; rate(i); ++i) rates.push_back(number("groups." + std::to_string(i) + ".lr", double{}));
  if (!left.empty()) throw Error("load_state: " + left.begin()->first + " of the state is not known here");
  parameters_ = std::move(next);
  for (size_t i = 0; i < rates.size(); ++i) *rate(i) = rates[i];
}

}  // namespace fathom::optim
