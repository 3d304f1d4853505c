// The recorded computation as a picture: a graph in DOT, which Graphviz draws (dot -Tsvg graph.dot -o graph.svg).
#pragma once
#include <string>
#include <vector>

#include "fathom/nn/module.h"

namespace fathom::probe {

struct GraphOptions {
  std::vector<nn::NamedTensor> names = {};  // what to call tensors on the tape, such as net.named_parameters()
  bool norms = true;                        // write on each edge the two norms
  int64_t iterations = 30;                  // of the power iteration on each edge
  int64_t most = 2000;                      // nodes
};

// All that leads to y: each op with the shape of its output, each leaf with its name. On the edge from a tensor to the
// op that reads it stand |g|, the norm of the gradient of y that comes back along this edge (for a y of more elements,
// of their sum), and sigma_max of the op's own Jacobian in this input, a lower bound by power iteration, over all
// elements at once. An edge that stretches is drawn orange, one that shrinks blue.
// Throws Error when y is not on the tape, a part of it was consumed by backward(), or there are more nodes than `most`.
std::string to_dot(const Tensor& y, const GraphOptions& options = {});

}  // namespace fathom::probe
