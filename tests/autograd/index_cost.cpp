#include "fathom/autograd/create.h"
#include "fathom/autograd/node.h"
#include "fathom/autograd/ops.h"
#include "fathom/tensor/parallel.h"  // FunctionRef
#include "tests/support.h"

using namespace fathom;

namespace {

using Take = Tensor (*)(const Tensor& table, int64_t row);
const Take takes[] = {
    [](const Tensor& table, int64_t row) {
      return index_select(table, 0, tensor({row, row}));
    },
    [](const Tensor& table, int64_t row) {
      return gather(table, 0, full({1, table.size(1)}, double(row), {.dtype = i64}));
    },
};

// What flows into one tensor.
struct Into final : Cotangents {
  Tensor flow;
  void update(Node&, FunctionRef<Tensor(Tensor)> f) override { flow = f(std::move(flow)); }

 protected:
  void receive(Node&, Tensor g) override { flow = flow.defined() ? flow + g : g; }
};

}  // namespace

TEST_CASE("index: the gradients of many selections from one table are added in place") {
  const int64_t steps = 50;
  for (const Take take : takes) {
    Tensor table = ones({100, 8}, {.dtype = f64, .requires_grad = true});
    Into into;
    const Storage* first = nullptr;
    for (int64_t i = 0; i < steps; ++i) {
      const Tensor y = take(table, i) * 1.0;
      Node* node = node_of(y)->input(0);
      node->vjp(full(node->shape, double(i), {.dtype = f64}), {node}, into);
      if (i == 0) first = &into.flow.storage();
      CHECK(&into.flow.storage() == first);
    }
    const std::vector<double> sums = sum(into.flow, 1).to_vector();
    const double rows = double(take(table, 0).size(0));
    for (int64_t i = 0; i < 100; ++i) CHECK(sums[size_t(i)] == (i < steps ? rows * 8 * double(i) : 0));
  }
}
