// A function with parameters: a plain struct that computes `forward` and names its `fields`.
//
//   struct Net : nn::Module {
//     nn::Linear in{784, 256}, out{256, 10};
//     Tensor forward(Tensor x) override { return out(tanh(in(std::move(x)))); }
//     void fields(nn::Fields& f) override { f("in", in); f("out", out); }
//   };
//
//   1. Modules move and do not copy.
//   2. A tensor that two modules hold (`head.weight = embedding.weight`) is one parameter: listed, converted and
//      stepped once, under the first of its names.
//   3. What `fields` leaves out is neither trained, converted, saved nor measured.
#pragma once
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

#include "fathom/nn/observer.h"
#include "fathom/tensor/named_tensor.h"
#include "fathom/tensor/random.h"

namespace fathom::nn {

class Fields;

using fathom::NamedTensor;  // under the path to it
struct NamedModule {
  std::string name;  // "" for the module itself
  Module* module;
};

struct Module {
  bool training = true;  // what Dropout and its like look at

  Module() = default;
  Module(Module&&) noexcept = default;
  Module& operator=(Module&&) noexcept = default;
  virtual ~Module();

  virtual Tensor forward(Tensor x) = 0;
  virtual void fields(Fields&) {}
  // Where the samples of its input and output lie: a time-first sequence's are along 1.
  virtual int64_t batch_axis() const { return 0; }

  // forward(x), told to this thread's observers. An Error from a module within begins with its path.
  Tensor operator()(Tensor x);

  // These three throw Error, naming it, where the path of a tensor is listed twice.
  std::vector<Tensor> parameters() const;
  std::vector<NamedTensor> named_parameters() const;
  std::vector<NamedTensor> named_buffers() const;
  std::vector<NamedModule> modules();  // this one first, then those within, in the order of fields

  void train(bool on = true);
  void eval() { train(false); }
  // Floating parameters and buffers are replaced by converted ones, without gradients: make the optimiser afterwards.
  void to(Dtype dtype);
  void zero_grad();
  // Throws Error, naming the parameter, before any is changed where one is not floating or, when off, no leaf.
  void requires_grad_(bool on = true);
  void freeze() { requires_grad_(false); }
  void unfreeze() { requires_grad_(true); }
  // Copies the values of the parameters and buffers of a module of the same structure. Throws Error, naming the field
  // and both shapes, before anything is written where they differ.
  void load_from(const Module& other);

  // Copies of the parameters and buffers, under their paths; a tied one under the first of its names.
  State state() const;
  // Copies them back; a tied one may be there under any of its names. Throws Error, naming all that is missing, not
  // known here, given twice, or of another shape or dtype, before anything is written.
  void load_state(const State& state);

 protected:
  // f(x) as a call of this module, for methods that take more than forward does: y = call(x, [&](Tensor x) { ... }).
  template <class F>
  Tensor call(Tensor x, F f) try {
    if (!observer) return f(std::move(x));
    for (Observer* each = observer; each; each = each->next) x = each->before(*this, std::move(x));
    Tensor y = f(x);
    for (Observer* each = observer; each; each = each->next) each->after(*this, x, y);
    return y;
  } catch (const Error& e) {
    rethrow_with_path(e);
  }

 private:
  [[noreturn]] void rethrow_with_path(const Error& e);
};

// Gives a module of m's structure m's values and dtypes, the modes of its modules, what is frozen and what is tied: for
// clone.
void make_same(Module& copy, const Module& m);

// A module of the same structure, values and dtypes, in the same modes, frozen and tied alike, built as m was: `auto
// copy = nn::clone(net, in, out)` for a Net(in, out). What its construction draws at random is drawn again by what
// comes after.
template <std::derived_from<Module> M, class... Arguments>
M clone(const M& m, Arguments&&... arguments) {
  const Rng before = default_rng();
  M copy(std::forward<Arguments>(arguments)...);
  default_rng() = before;
  make_same(copy, m);
  return copy;
}

// What `fields` is called with: each member under its name, which is the last part of its path.
class Fields {
 public:
  void operator()(std::string_view name, Tensor& parameter) { tensor(name, parameter, false); }
  void operator()(std::string_view name, Module& child);
  // What points to a module: Owned, std::unique_ptr.
  template <class Pointer>
  requires requires(Pointer& child) { static_cast<Module&>(*child); }
  void operator()(std::string_view name, Pointer& child) {
    if (child) (*this)(name, static_cast<Module&>(*child));
  }
  // A list: its modules are name.0, name.1, ...
  template <class M>
  void operator()(std::string_view name, std::vector<M>& list) {
    const size_t length = enter(name);
    for (size_t i = 0; i < list.size(); ++i) (*this)(std::to_string(i), list[i]);
    leave(length);
  }
  // A tensor that belongs to the module and is not trained.
  void buffer(std::string_view name, Tensor& x) { tensor(name, x, true); }

 protected:
  Fields() = default;
  ~Fields() = default;
  std::string path(std::string_view name) const;
  virtual void on_tensor(std::string_view name, Tensor& x, bool is_buffer);  // undefined ones are left out
  virtual void on_module(Module& module);                                    // path("") is its name

 private:
  void tensor(std::string_view name, Tensor& x, bool is_buffer) {
    if (x.defined()) on_tensor(name, x, is_buffer);
  }
  size_t enter(std::string_view name);
  void leave(size_t length) { path_.resize(length); }

  std::string path_;
};

}  // namespace fathom::nn
