#include "fathom/probe/trace.h"

#include <cmath>
#include <limits>

#include "fathom/autograd/checkpoint.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/node.h"
#include "fathom/autograd/ops.h"
#include "fathom/nn/activations.h"
#include "fathom/nn/containers.h"
#include "fathom/nn/linear.h"
#include "fathom/nn/recurrent.h"
#include "fathom/optim/sgd.h"
#include "tests/support.h"

using namespace fathom;
using probe::NonFinite;
using probe::Trace;

namespace tracing {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Head : nn::Module {
  nn::Linear linear{4, 3, {.bias = false}};
  Tensor forward(Tensor x) override { return log(linear(std::move(x))); }
  void fields(nn::Fields& f) override { f("linear", linear); }
};
struct Net : nn::Module {
  nn::Linear in{2, 4};
  Head head;
  Tensor forward(Tensor x) override { return head(relu(in(std::move(x)))); }
  void fields(nn::Fields& f) override { f("in", in), f("head", head); }
};

// Head sees 1, 1, 1, 1 of each sample but the third, of which it sees zeros: log gives -infinity there.
void set(Net& net) {
  const NoGrad off;
  net.in.weight.fill_(1);
  net.in.bias.fill_(0);
  net.head.linear.weight.fill_(0.25);
}
[[gnu::noinline]] Tensor root_of(const Tensor& x) { return sqrt(relu(x)); }
Tensor inputs() { return tensor({{0.5, 0.5}, {1.0, 0.0}, {-1.0, -1.0}, {0.25, 0.75}}).to(f32); }

}  // namespace tracing

using namespace tracing;

TEST_CASE("trace: the first value that is not finite, by op, module, sample and place") {
  Net net;
  set(net);
  Trace trace(net, {.stop = false});
  const Tensor y = net(inputs());
  REQUIRE(trace.forward().has_value());
  const NonFinite& found = *trace.forward();
  CHECK(found.at.op == "log");
  CHECK(found.at.module == "head");
  CHECK(found.at.shape == Shape{4, 3});
  CHECK(found.value == -infinity);
  CHECK(found.element == 6);
  CHECK(found.sample == 2);
  CHECK(found.count == 3);
  CHECK(found.parameters.empty());
  REQUIRE(found.before.size() == 3);
  CHECK(found.others.empty());
  CHECK(found.before[0].op == "input");
  CHECK(found.before[1].module == "in");
  CHECK(found.before[1].largest == 2);
  CHECK(found.before[2].module == "head.linear");
  CHECK(found.before[2].largest == 1);
  CHECK(found.text().find("log (4, 3) in head is not finite: -inf at element 6, sample 2; 3 in all") == 0);
  if (found.calls.empty()) return;  // the compiler brings no libbacktrace
  REQUIRE(found.place());
  CHECK(found.place()->function.find("Head::forward") != std::string::npos);
}

TEST_CASE("trace: the sample of a sequence that is time first, within a net") {
  nn::Sequential net(nn::Residual(nn::Sequential(nn::RNN(3, 3, {.nonlinearity = Nonlinearity::relu}))),
                     nn::Linear(3, 2));
  CHECK(net.batch_axis() == 1);
  CHECK(nn::Sequential(nn::Linear(3, 2), nn::Tanh()).batch_axis() == 0);
  Trace trace(net, {.stop = false});
  Tensor x = ones({5, 4, 3});
  x.select(0, 3).select(0, 2).fill_(infinity);
  net(x);
  REQUIRE(trace.forward().has_value());
  CHECK(trace.forward()->sample == 2);
}

TEST_CASE("trace: it stops with an Error") {
  Net net;
  set(net);
  Trace trace(net);
  std::string message;
  try {
    net(inputs());
  } catch (const Error& e) {
    message = e.what();
  }
  CHECK(message.find("module head: Trace: log (4, 3) in head is not finite: -inf at element 6, sample 2; 3 in all") ==
        0);
  CHECK(message.find("\n  before it: linear (4, 3) in head.linear, at most 1") != std::string::npos);
}

TEST_CASE("trace: a net's input and parameters that are not finite are named") {
  Net net;
  set(net);
  {
    Trace trace(net, {.stop = false});
    net(tensor({{1.0, 1.0}, {1.0, infinity}}).to(f32));
    CHECK(trace.forward()->text().find("input (2, 2) is not finite: inf at element 3, sample 1; 1 in all") == 0);
  }
  {
    const NoGrad off;
    net.head.linear.weight.fill_(NAN);
  }
  Trace trace(net, {.stop = false});
  net(inputs());
  REQUIRE(trace.forward());
  CHECK(std::isnan(trace.forward()->value));
  CHECK(trace.forward()->at.module == "head.linear");
  CHECK(trace.forward()->parameters == std::vector<std::string>{"head.linear.weight"});
}

TEST_CASE("trace: a gradient that is not finite, by the rule that made it") {
  Net net;
  set(net);
  Trace trace(net, {.stop = false});
  {
    const Tensor y = net.in(inputs());  // 1, 1, -2, 1 in each column
    const Tensor z = root_of(y);        // its slope at 0 is infinite
    trace.backward(sum(z));
  }
  CHECK(!trace.forward());
  REQUIRE(trace.backward().has_value());
  const NonFinite& found = *trace.backward();
  CHECK(found.at.op == "sqrt");
  CHECK(found.of == "relu (4, 4)");
  CHECK(found.value == infinity);
  CHECK(found.element == 8);
  CHECK(found.sample == 2);
  CHECK(found.count == 4);
  REQUIRE(found.before.size() == 2);
  CHECK(found.before[0].op == "sum");
  CHECK(found.before[1].op == "sqrt");
  CHECK(found.before[1].largest == 1);
  CHECK(found.text().find("the gradient of relu (4, 4), made by the rule of sqrt (4, 4) is not finite: inf at") == 0);
  if (found.calls.empty()) return;
  REQUIRE(found.place());
  CHECK(found.place()->function.find("root_of") != std::string::npos);
}

TEST_CASE("trace: where several rules give to one gradient all are named") {
  Net net;
  set(net);
  Trace trace(net, {.stop = false});
  const Tensor y = relu(net.in(inputs()));
  trace.backward(sum(sqrt(y) + square(y)));
  REQUIRE(trace.backward());
  REQUIRE(trace.backward()->others.size() == 1);
  // The order in which + has its operands computed is the compiler's.
  CHECK((trace.backward()->at.op == "square" || trace.backward()->others[0].op == "square"));
  CHECK((trace.backward()->at.op == "sqrt" || trace.backward()->others[0].op == "sqrt"));
}

TEST_CASE("trace: a parameter's gradient of the last rule") {
  struct Root : nn::Module {
    Tensor weight = zeros({3}).requires_grad_();
    Tensor forward(Tensor x) override { return x + sqrt(weight); }
    void fields(nn::Fields& f) override { f("weight", weight); }
  } net;
  Trace trace(net);
  CHECK(error_of([&] {
          trace.backward(sum(net(ones({2, 3}))));
        }).starts_with("Trace: the gradient of parameter weight, made by the rule of sqrt (3) is not finite: inf"));
  CHECK(trace.backward()->of == "parameter weight");
}

TEST_CASE("trace: training is the same bit for bit, and nothing is left behind") {
  const auto train = [](bool traced) {
    manual_seed(3);
    nn::Sequential net(nn::Linear(5, 8), nn::Tanh(), nn::Dropout(0.2), nn::Linear(8, 8), nn::Tanh(), nn::Linear(8, 3));
    optim::SGD opt(net.parameters(), {.lr = 0.1, .momentum = 0.9});
    std::optional<Trace> trace;
    if (traced) trace.emplace(net);
    std::vector<double> numbers;
    for (int step = 0; step < 5; ++step) {
      const Tensor x = randn({4, 5});
      const Tensor h = checkpoint([&](Tensor t) { return tanh(net(std::move(t))); }, x);
      Tensor loss = mean(square(h)) + mean(square(net(x)));  // each weight is met twice
      opt.zero_grad();
      if (traced) trace->backward(loss);
      else loss.backward();
      opt.step();
      numbers.push_back(loss.item());
    }
    for (const Tensor& w : net.parameters())
      for (const double e : w.to_vector()) numbers.push_back(e);
    return numbers;
  };
  const int64_t nodes = Node::live, storages = Storage::live;
  CHECK(train(true) == train(false));
  CHECK(Node::live == nodes);
  CHECK(Storage::live == storages);
  CHECK(nn::observer == nullptr);
}

TEST_CASE("trace: what outlives it is no longer watched") {
  Net net;
  set(net);
  Tensor loss;
  {
    Trace trace(net);
    loss = sum(sqrt(relu(net.in(inputs()))));
    trace.attach(loss);
  }
  CHECK_NOTHROW(loss.backward());
  CHECK_NOTHROW(net(inputs()));
}

TEST_CASE("trace: the loss itself, and an op that the tape kept no value of") {
  Net net;
  set(net);
  Trace trace(net, {.stop = false});
  const Tensor y = net.in(inputs());                                   // 1, 1, -2, 1
  trace.backward(sum(log(y.slice(0, 0, 2)) + log(y.slice(0, 2, 4))));  // log(-2) is NaN
  REQUIRE(trace.forward());
  CHECK(std::isnan(trace.forward()->value));
  bool told = trace.forward()->at.op == "log";
  for (const auto& each : trace.forward()->others) told |= each.op == "log";
  CHECK(told);
}

TEST_CASE("trace: an op beside the modules of a block is told as the block's") {
  struct Block : nn::Module {
    nn::Linear linear{2, 2};
    nn::Tanh last;
    Tensor forward(Tensor x) override { return last(log(linear(std::move(x)))); }
    void fields(nn::Fields& f) override { f("linear", linear), f("last", last); }
  };
  nn::Sequential net{Block()};
  for (Tensor w : net.parameters()) {
    const NoGrad off;
    w.fill_(-1);
  }
  Trace trace(net, {.stop = false});
  net(ones({1, 2}));
  REQUIRE(trace.forward());
  CHECK(trace.forward()->at.op == "log");
  CHECK(trace.forward()->at.module == "0");
}
