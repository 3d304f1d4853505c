#include "fathom/probe/graph.h"

#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "fathom/nn/nn.h"
#include "tests/support.h"

using namespace fathom;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("to_dot: ops, shapes, names, gradients and Jacobians of a line of mathematics") {
  const Tensor x = tensor({3.0, 4.0}).requires_grad_(), w = tensor({2.0, 0.5}).requires_grad_();
  const Tensor y = sum(x * w * 0.5 + x);
  const std::string dot = probe::to_dot(y, {.names = {{"the \"weight\"", w}}});
  CHECK(dot.starts_with("digraph fathom {"));
  CHECK(dot.ends_with("}\n"));
  CHECK(has(dot, "[label=\"leaf\\n(2)\" shape=box"));
  CHECK(has(dot, "[label=\"the \\\"weight\\\"\\n(2)\" shape=box"));
  CHECK(has(dot, "[label=\"sum\\n()\" shape=ellipse"));
  // Into x, along x * w: g = (1, 0.25), and the Jacobian is diag(w). Along x + ...: g = (1, 1), the identity.
  CHECK(has(dot, "|g| 1.03\\n\xcf\x83 2\""));
  CHECK(has(dot, "|g| 1.41\\n\xcf\x83 1\" color=\"#999999\""));
  // Into w: g = x / 2, diag(x).
  CHECK(has(dot, "|g| 2.5\\n\xcf\x83 4\""));
  // Into the sum: a row of ones.
  CHECK(has(dot, "|g| 1.41\\n\xcf\x83 1.41\""));
  CHECK_FALSE(has(probe::to_dot(y, {.norms = false}), "|g|"));
  CHECK(grad(y, x).to_vector() == std::vector<double>{2, 1.25});  // the tape is as it was
}

TEST_CASE("to_dot: a network, its parameters by name") {
  nn::Sequential net(nn::Linear(3, 4), nn::Tanh(), nn::LayerNorm(4), nn::Linear(4, 1));
  const std::string dot = probe::to_dot(mean(square(net(ones({5, 3})))), {.names = net.named_parameters()});
  for (const char* name :
       {"0.weight\\n(4, 3)", "0.bias\\n(4)", "2.weight\\n(4)", "3.bias\\n(1)", "layer_norm\\n(5, 4)"})
    CHECK_MESSAGE(has(dot, name), name);
}

TEST_CASE("to_dot: what is wrong is said") {
  CHECK(error_of([] { probe::to_dot(ones({2})); }) == "to_dot: nothing was recorded for y of shape (2)");
  const Tensor x = ones({2}, {.requires_grad = true});
  Tensor y = x;
  for (int i = 0; i < 5; ++i) y = y * 2;
  CHECK(error_of([&] { probe::to_dot(y, {.most = 4}); }) ==
        "to_dot: more than 4 nodes lead to mul of shape (2); .most allows more");
  const Tensor loss = sum(y);
  loss.backward();
  CHECK(has(error_of([&] { probe::to_dot(loss); }), "backward() has consumed"));
}
