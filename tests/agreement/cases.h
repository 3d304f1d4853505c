// Agreement with libtorch: what is compared, once for both libraries. A case has inputs made from a seed, and the same
// function in Fathom and in libtorch; compared are its value, the gradients of its inputs under a random cotangent,
// and, where it is smooth, the gradients of those gradients.
//
// The numbers of libtorch are kept in values/, one line a tensor, so that the tests check against them where there is
// no libtorch; the program `agreement` (-DFATHOM_AGREEMENT=ON) compares with libtorch itself, and writes them.
#pragma once
#include <cstddef>  // nullptr_t
#include <cstdint>
#include <string>
#include <vector>

#include "fathom/tensor/random.h"
#include "fathom/tensor/tensor.h"

#ifdef FATHOM_WITH_TORCH
#include <torch/torch.h>
namespace agreement {
using TorchList = std::vector<torch::Tensor>;
}
#define TORCH(...) [](const agreement::TorchList& x) -> torch::Tensor { return __VA_ARGS__; }
#define TORCH_RUN(...) [](fathom::Dtype dtype) -> agreement::Results { return __VA_ARGS__; }
#else
#define TORCH(...) nullptr
#define TORCH_RUN(...) nullptr
#endif

#define OURS(...) [](const agreement::List& x) -> fathom::Tensor { return __VA_ARGS__; }
#define OURS_RUN(...) [](fathom::Dtype dtype) -> agreement::Results { return __VA_ARGS__; }

namespace agreement {

using fathom::Shape;
using fathom::Tensor;
using List = std::vector<Tensor>;

// Uniform between low and high; or, with `integers`, whole numbers below that, without gradient.
struct Input {
  Shape shape;
  double low = -2, high = 2;
  int64_t integers = 0;
};

struct Case {
  const char* name;
  std::vector<Input> inputs;
  Tensor (*ours)(const List& x);
#ifdef FATHOM_WITH_TORCH
  torch::Tensor (*torch)(const TorchList& x);
#else
  std::nullptr_t torch;
#endif
  bool smooth = true;  // compare double gradients
};
extern const std::vector<Case> ops, layers;
extern const std::vector<Case> differences;  // on purpose, each named with the reason

// What a computation comes to: its tensors, each flat, each under a name.
struct Result {
  std::string name;
  std::vector<double> numbers;
};
using Results = std::vector<Result>;
inline std::string numbered(const char* name, size_t i) { return std::string(name).append(std::to_string(i)); }

List inputs_of(const Case& c, fathom::Dtype dtype);  // leaves, without history where they are integers
Tensor random(const Shape& shape, uint64_t seed, fathom::Dtype dtype, double low = -1, double high = 1);
Results ours(const Case& c, fathom::Dtype dtype);

// A module, a training run or an initialiser: its numbers by either library, in f64 or f32.
struct Run {
  const char* name;
  Results (*ours)(fathom::Dtype dtype);
#ifdef FATHOM_WITH_TORCH
  Results (*torch)(fathom::Dtype dtype);
#else
  std::nullptr_t torch;
#endif
  bool only_f64 = false;
};
extern const std::vector<Run> modules, optimisers, initialisers;

// The largest difference of two results in units of the largest number of the tensor it is in (at least 1); infinite
// where names, counts, or NaNs differ. `where` says in which tensor.
double difference(const Results& a, const Results& b, std::string& where);

}  // namespace agreement
