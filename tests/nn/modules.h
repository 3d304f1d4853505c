// What tests of modules share.
#pragma once
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/node.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/recording.h"
#include "fathom/nn/nn.h"
#include "tests/support.h"

// The leaves that make() puts on the tape and the fields of its module do not name, told by their shapes.
template <class Make>
std::vector<std::string> forgotten_by_fields(Make make) {
  using namespace fathom;
  const Node* before = Node::newest;
  const auto module = make();
  const std::vector<Tensor> listed = module.parameters();
  std::vector<std::string> list;
  for (const Node* node = Node::newest; node && node != before; node = node->older)
    if (node->is_leaf() && node->trained &&
        std::none_of(listed.begin(), listed.end(), [&](const Tensor& w) { return w.history() == node; }))
      list.push_back(describe(*node));
  return list;
}

// Checks the derivatives of m, converted to f64, in x (where it is floating) and in all its parameters.
inline void check_module(fathom::nn::Module& m, const fathom::Tensor& x, fathom::CheckGradsOptions options = {}) {
  using namespace fathom;
  m.to(f64);
  std::vector<Tensor> inputs = m.parameters();
  if (is_floating(x.dtype())) inputs.push_back(x);
  struct Put final : nn::Fields {
    std::span<const Tensor> from;
    size_t i = 0;
    void on_tensor(std::string_view, Tensor& w, bool is_buffer) override {
      if (!is_buffer) w = from[i++];
    }
  };
  const auto f = [&](std::span<const Tensor> given) {
    Put put;
    put.from = given;
    m.fields(put);
    return m(is_floating(x.dtype()) ? given.back() : x);
  };
  CHECK(error_of([&] { check_grads(f, inputs, options); }) == "");
}

inline fathom::Tensor normal(const fathom::Shape& shape, uint64_t seed = 1, fathom::Dtype dtype = fathom::f64) {
  fathom::Rng rng(seed);
  fathom::Tensor x(shape, dtype);
  fathom::fill_normal(x, 0, 1, rng);
  return x;
}
