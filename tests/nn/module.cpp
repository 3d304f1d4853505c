#include "fathom/nn/module.h"

#include "tests/nn/nested.h"

namespace {

struct Log : nn::Observer {
  std::string calls;
  Tensor before(nn::Module& m, Tensor x) override {
    calls.append("(").append(std::to_string(m.training));
    return x;
  }
  void after(nn::Module&, const Tensor& x, const Tensor& y) override {
    calls.append(" ").append(to_string(x.shape())).append(to_string(y.shape())).append(")");
  }
};

static_assert(!std::is_copy_constructible_v<Net> && std::is_nothrow_move_constructible_v<nn::Linear>);

}  // namespace

TEST_CASE("module: a field that is listed twice is an error") {
  struct Twice : nn::Module {
    Tensor a = ones({1}), b = ones({2});
    Tensor forward(Tensor x) override { return x; }
    void fields(nn::Fields& f) override {
      f("a", a);
      f.buffer("a", b);
    }
  };
  struct Outer : nn::Module {
    Twice inner;
    Tensor forward(Tensor x) override { return x; }
    void fields(nn::Fields& f) override { f("inner", inner); }
  } net;
  for (const auto list : {&nn::Module::named_parameters, &nn::Module::named_buffers})
    CHECK(error_of([&] { (net.*list)(); }) == "fields: inner.a is listed twice");
  CHECK(error_of([&] { net.inner.parameters(); }) == "fields: a is listed twice");
}

TEST_CASE("module: paths of parameters, buffers and modules, in the order of fields") {
  Net net;
  CHECK(names(net.named_parameters()) ==
        "block.in.weight;block.in.bias;block.norm.weight;block.norm.bias;heads.0.weight;heads.0.bias;heads.1.weight;"
        "scale;");
  CHECK(net.parameters().size() == 8);
  CHECK(net.parameters()[0].is_same(net.block.in.weight));
  CHECK(names(net.named_buffers()) == "block.count;");
  CHECK(names(net.modules()) == ";block;block.in;block.norm;heads.0;heads.1;");
  CHECK(net.modules()[2].module == &net.block.in);
}

TEST_CASE("module: a tied weight is listed once, under its first name, and stays tied") {
  Net net;
  net.heads[1].weight = net.heads[0].weight;
  CHECK(names(net.named_parameters()) ==
        "block.in.weight;block.in.bias;block.norm.weight;block.norm.bias;heads.0.weight;heads.0.bias;scale;");
  net.to(f64);
  CHECK(net.heads[1].weight.is_same(net.heads[0].weight));
  CHECK(net.heads[1].weight.dtype() == f64);
}

TEST_CASE("module: train and eval reach every module") {
  Net net;
  net.eval();
  for (const auto& each : net.modules()) CHECK_FALSE(each.module->training);
  net.train();
  for (const auto& each : net.modules()) CHECK(each.module->training);
}

TEST_CASE("module: to converts what is floating and keeps what trains") {
  Net net;
  net.block.in.bias.requires_grad_(false);
  const auto before = net.block.in.weight.to_vector();
  net.to(f64);
  for (const Tensor& w : net.parameters()) CHECK(w.dtype() == f64);
  CHECK(net.block.in.weight.to_vector() == before);
  CHECK(net.block.in.weight.requires_grad());
  CHECK(node_of(net.block.in.weight)->is_leaf());
  CHECK_FALSE(net.block.in.bias.requires_grad());
  net.to(f32);
  CHECK(net.block.count.dtype() == f32);
  CHECK(error_of([&] { net.to(i64); }) == "Module::to: f32 or f64, got i64");
}

TEST_CASE("module: gradients come, are cleared, and stay away from what is frozen") {
  Net net;
  const Tensor x = normal({5, 3}, 1, f32);
  net.block.freeze();
  sum(net(x)).backward();
  CHECK_FALSE(net.block.in.weight.grad().defined());
  CHECK(net.heads[1].weight.grad().shape() == Shape{2, 4});
  net.zero_grad();
  CHECK_FALSE(net.heads[1].weight.grad().defined());
  net.block.unfreeze();
  sum(net(x)).backward();
  CHECK(net.block.in.weight.grad().defined());
}

TEST_CASE("module: where one parameter cannot be frozen or unfrozen, none is") {
  Net net;
  net.heads[1].weight = net.heads[1].weight * 2;
  CHECK(error_of([&] { net.freeze(); }) ==
        "requires_grad_(false): heads.1.weight was computed by mul of shape (2, 4); use detach()");
  for (const Tensor& w : net.parameters()) CHECK(w.requires_grad());
  net.heads[1].weight = zeros({2, 4}, {.dtype = i64});
  net.freeze();
  CHECK(error_of([&] { net.unfreeze(); }) ==
        "requires_grad_: only floating parameters have gradients, heads.1.weight is i64");
  for (const Tensor& w : net.parameters()) CHECK_FALSE(w.requires_grad());
}

TEST_CASE("module: an observer sees every call, its input and its output") {
  Net net;
  Log log;
  nn::observer = &log;
  net(normal({5, 3}, 1, f32));
  nn::observer = nullptr;
  CHECK(log.calls == "(1(1(1 (5, 3)(5, 4))(1 (5, 4)(5, 4)) (5, 3)(5, 4))(1 (5, 4)(5, 2)) (5, 3)(5, 2))");
  const std::string before = log.calls;
  net(normal({5, 3}, 1, f32));
  CHECK(log.calls == before);
}

TEST_CASE("module: what an observer gives is what the module gets") {
  struct Twice final : nn::Observer {
    Tensor before(nn::Module&, Tensor x) override { return x * 2; }
    void after(nn::Module&, const Tensor&, const Tensor&) override {}
  } twice;
  nn::Identity same;
  nn::observer = &twice;
  const Tensor y = same(ones({2}));
  nn::observer = nullptr;
  CHECK(y.to_vector() == std::vector<double>{2, 2});
}

TEST_CASE("module: an error tells the path of the module it comes from") {
  struct Inner : nn::Module {
    nn::Sequential body{nn::Tanh(), nn::Sequential(nn::LayerNorm(4))};
    Tensor forward(Tensor x) override { return body(std::move(x)); }
    void fields(nn::Fields& f) override { f("body", body); }
    Tensor scaled(Tensor x, const Tensor& by) {
      return call(std::move(x), [&](Tensor at) { return body(std::move(at)) * by; });
    }
  };
  struct Outer : nn::Module {
    std::vector<Inner> blocks;
    Outer() { blocks.emplace_back(), blocks.emplace_back(); }
    Tensor forward(Tensor x) override { return blocks[1](blocks[0](std::move(x)).slice(1, 0, 3)); }
    void fields(nn::Fields& f) override { f("blocks", blocks); }
  };
  const std::string why = "LayerNorm: the last axis has 4 elements, got (5, 3)";
  CHECK(error_of([] { Outer()(normal({5, 4}, 1, f32)); }) == "module blocks.1.body.1.0: " + why);
  CHECK(error_of([] { nn::LayerNorm(4)(ones({5, 3})); }) == why);
  CHECK(error_of([] { Inner().scaled(ones({5, 3}), ones({1})); }) == "module body.1.0: " + why);
  CHECK(error_of([] { Inner().scaled(ones({5, 4}), ones({3})); }) == "mul: shapes do not broadcast: (5, 4) and (3)");

  struct Stop : Error {
    using Error::Error;
  };
  struct Stopping : nn::Module {
    Tensor forward(Tensor) override { throw Stop("enough"); }
  };
  CHECK_THROWS_AS(nn::Residual(Stopping{})(ones({1})), Stop);
}

TEST_CASE("module: a member that fields forgets is found") {
  struct Forgetful : nn::Module {
    nn::Linear in{3, 4}, out{4, 2};
    Tensor forward(Tensor x) override { return out(in(std::move(x))); }
    void fields(nn::Fields& f) override { f("in", in); }
  };
  CHECK(forgotten_by_fields([] { return Forgetful(); }) ==
        std::vector<std::string>{"leaf of shape (2)", "leaf of shape (2, 4)"});
  CHECK(forgotten_by_fields([] { return Net(); }).empty());
}

TEST_CASE("module: no member of the library's modules is forgotten") {
  CHECK(forgotten_by_fields([] { return nn::Linear(2, 3); }).empty());
  CHECK(forgotten_by_fields([] { return nn::LayerNorm(3); }).empty());
  CHECK(forgotten_by_fields([] { return nn::Embedding(3, 2); }).empty());
  CHECK(forgotten_by_fields([] { return nn::Sequential(nn::Linear(2, 3), nn::Tanh(), nn::Linear(3, 1)); }).empty());
  CHECK(forgotten_by_fields([] { return nn::Residual(nn::Linear(3, 3)); }).empty());
}
