// What all optimisers share: the parameters, the norm of their gradients, the clipping.
#pragma once
#include <string>
#include <vector>

#include "fathom/tensor/tensor.h"

namespace fathom::optim {

// What to do about gradients whose norm is infinite or NaN.
enum class OnNonfinite { error, skip };

struct StepOptions {
  double clip_norm = 0;                           // gradients of a greater norm are scaled down to it; 0 is off
  bool measure_norm = false;                      // measure the norm without clipping, too
  OnNonfinite on_nonfinite = OnNonfinite::error;  // `skip`: a step that changes nothing; it measures the norm
};

// The root of the sum of squares of all gradients there are.
double grad_norm(std::span<const Tensor> parameters);
// Scales the gradients by min(1, max_norm / (norm + 1e-6)), as PyTorch's, and returns the norm before. Throws Error on
// a norm that is not finite, naming the first parameter to blame, or else leaves the gradients as they are.
double clip_grad_norm(std::span<const Tensor> parameters, double max_norm,
                      OnNonfinite on_nonfinite = OnNonfinite::error);
// Clamps each element of the gradients to [-max, max]; a NaN stays.
void clip_grad_value(std::span<const Tensor> parameters, double max);

// Parameters with options of their own.
template <class Options>
struct Group {
  std::vector<Tensor> parameters;
  Options options = {};
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  // Changes every parameter that has a gradient. Returns the norm of the gradients before clipping where it was
  // measured, else 0. Throws Error when a measured norm is not finite (unless told to skip), before any change.
  double step(StepOptions options = {});
  void zero_grad();  // parameters have no gradient afterwards

  virtual double lr() const = 0;         // of the first group
  virtual void set_lr(double rate) = 0;  // of all groups
  std::vector<Tensor> parameters() const;

 protected:
  struct Parameter {
    std::string name;  // for errors
    Tensor w;
    size_t group;
    int64_t steps = 0;     // those in which it had a gradient
    Tensor first, second;  // what the method remembers of it, undefined before its first step
  };
  Optimizer() = default;
  // Throws Error on a tensor that cannot be stepped: not floating, computed by an op, not contiguous, or listed twice.
  void add(std::string name, const Tensor& w, size_t group);
  void add(const std::vector<Tensor>& parameters, size_t group);  // named "parameter 0", "parameter 1", ...
  // One step of one parameter, `steps` counting it already; g, contiguous, is to be taken times scale.
  virtual void update(Parameter& p, const Tensor& g, double scale) = 0;

  std::vector<Parameter> parameters_;

 private:
  std::vector<const Shape*> known_;  // sorted; a tensor's shape stands at an address of its own
};

// The options of each group may be changed between steps: opt.groups[0].lr = 1e-4.
template <class Options>
class Grouped : public Optimizer {
 public:
  std::vector<Options> groups;

  explicit Grouped(const std::vector<Tensor>& parameters, Options options = {}) {
    add(parameters, 0);
    groups.push_back(options);
  }
  // From net.named_parameters(): errors tell the names.
  template <class Named>
  requires requires(const Named& each) { each.name, each.tensor; }
  explicit Grouped(const std::vector<Named>& parameters, Options options = {}) {
    for (const Named& each : parameters) add(each.name, each.tensor, 0);
    groups.push_back(options);
  }
  explicit Grouped(const std::vector<Group<Options>>& list) {
    for (const auto& group : list) {
      add(group.parameters, groups.size());
      groups.push_back(group.options);
    }
  }
  double lr() const override { return groups.at(0).lr; }
  void set_lr(double rate) override {
    for (Options& options : groups) options.lr = rate;
  }
};

}  // namespace fathom::optim
