// What all optimisers share: the parameters, the step over them, and what they remember.
#pragma once
#include <string>
#include <vector>

#include "fathom/optim/clip.h"
#include "fathom/tensor/named_tensor.h"

namespace fathom::optim {

struct StepOptions {
  double clip_norm = 0;                           // gradients of a greater norm are scaled down to it; 0 is off
  bool measure_norm = false;                      // measure the norm without clipping, too
  OnNonfinite on_nonfinite = OnNonfinite::error;  // `skip`: a step that changes nothing; it measures the norm
};

// Parameters with options of their own.
template <class Options>
struct Group {
  std::vector<Tensor> parameters;
  Options options = {};
};

// What an optimiser remembers, as copies. Given to one that was made alike, it goes on from there bit for bit.
using fathom::State;

class Optimizer {
 public:
  virtual ~Optimizer();
  Optimizer(Optimizer&&);
  Optimizer& operator=(Optimizer&&);

  // Changes every parameter that has a gradient. Returns the norm of the gradients before clipping where it was
  // measured, else 0. Throws Error, before any change, when an option is out of its range, such as a negative learning
  // rate, and when a measured norm is not finite (unless told to skip).
  double step(StepOptions options = {});
  void zero_grad();  // parameters have no gradient afterwards

  virtual double lr() const = 0;         // of the first group
  virtual void set_lr(double rate) = 0;  // of all groups
  std::vector<Tensor> parameters() const;

  // First method.M, boolean (), M being the method. Then for each parameter NAME: NAME.steps, i64 (), and once stepped
  // NAME.first, .second, .third as far as the method has them; for each group groups.N.lr, f64 ().
  State state() const;
  // Throws Error, before any change, when the state is another method's, a name is missing or not known here, or a
  // shape or dtype differs. A state without a method, as older files are, is taken for this one's.
  void load_state(const State& state);

 protected:
  struct Parameter {
    std::string name;  // for errors
    Tensor w;
    size_t group;
    int64_t steps = 0;            // those in which it had a gradient
    Tensor first, second, third;  // what the method remembers of it, undefined before its first step
  };
  Optimizer();
  // Throws Error on a tensor that cannot be stepped: not floating, computed by an op, not contiguous, or listed twice.
  void add(std::string name, const Tensor& w, size_t group);
  void add(const std::vector<Tensor>& parameters, size_t group);  // named "parameter 0", "parameter 1", ...
  // One step of one parameter, `steps` counting it already; g, contiguous, is to be taken times scale.
  virtual void update(Parameter& p, const Tensor& g, double scale) = 0;
  virtual double* rate(size_t group) = 0;                           // null when there is no such group
  void check_parameters() const;                                    // that they still are their module's; throws Error
  virtual void check_options(size_t) const {}                       // of a group, before a step; throws Error
  virtual void check_shared_options(size_t group) const = 0;        // those that several methods have
  static void check_not_negative(const char* name, double option);  // nor infinite, nor NaN; throws Error
  // How many of first, second and third a parameter that has been stepped has: one of the two.
  struct Memory {
    int least, most;
  };
  virtual Memory remembers() const { return {0, 0}; }
  // What a state holds beside the method's name.
  virtual const char* method() const = 0;
  virtual State remembered() const;
  virtual void restore(const State& state);

  std::vector<Parameter> parameters_;

 private:
  struct Known;
  Owned<Known> known_;  // which tensors the parameters are
};

// The options of each group may be changed between steps: opt.groups[0].lr = 1e-4. Throws Error when there are no
// parameters, naming Options::method.
template <class Options>
class Grouped : public Optimizer {
 public:
  std::vector<Options> groups;

  explicit Grouped(const std::vector<Tensor>& parameters, Options options = {}) : groups{options} {
    add(parameters, 0);
    check_any();
  }
  // From net.named_parameters(): errors tell the names.
  template <class Named>
  requires requires(const Named& each) { each.name, each.tensor; }
  explicit Grouped(const std::vector<Named>& parameters, Options options = {}) : groups{options} {
    for (const Named& each : parameters) add(each.name, each.tensor, 0);
    check_any();
  }
  explicit Grouped(const std::vector<Group<Options>>& list) {
    for (const auto& group : list) {
      add(group.parameters, groups.size());
      groups.push_back(group.options);
    }
    check_any();
  }
  double lr() const override { return groups.at(0).lr; }
  void set_lr(double rate) override {
    for (Options& options : groups) options.lr = rate;
  }

 private:
  void check_any() const {
    if (parameters_.empty()) throw Error(std::string(Options::method) + ": no parameters");
  }
  const char* method() const override { return Options::method; }
  double* rate(size_t group) override { return group < groups.size() ? &groups[group].lr : nullptr; }
  void check_shared_options(size_t group) const override {
    const Options& o = groups[group];
    if constexpr (requires { o.eps; }) check_not_negative("eps", o.eps);
    if constexpr (requires { o.weight_decay; }) check_not_negative("weight_decay", o.weight_decay);
    if constexpr (requires { o.momentum; }) check_not_negative("momentum", o.momentum);
  }
};

}  // namespace fathom::optim
