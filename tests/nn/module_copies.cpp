// What goes from one module to another: clones, load_from, states.
#include "fathom/nn/module.h"
#include "tests/nn/nested.h"

TEST_CASE("module: clone has the same values on memory of its own and leaves the random numbers alone") {
  manual_seed(7);
  Net net;
  net.block.count.fill_(3);
  net.eval();
  const Rng before = default_rng();
  Net copy = nn::clone(net);
  CHECK(default_rng() == before);
  CHECK_FALSE(copy.training);
  const auto from = net.named_parameters(), to = copy.named_parameters();
  REQUIRE(from.size() == to.size());
  for (size_t i = 0; i < from.size(); ++i) CHECK(from[i].tensor.to_vector() == to[i].tensor.to_vector());
  CHECK(copy.block.count.item() == 3);
  {
    const NoGrad off;
    copy.block.in.weight.zero_();
  }
  CHECK(net.block.in.weight.to_vector() != copy.block.in.weight.to_vector());

  nn::Linear layer(3, 2);
  CHECK(nn::clone(layer, 3, 2).weight.to_vector() == layer.weight.to_vector());
}

TEST_CASE("module: clone refuses modules of other types, though their tensors fit") {
  const nn::Sequential net(nn::Linear(2, 2), nn::Tanh());
  CHECK(error_of([&] { nn::clone(net, nn::Linear(2, 2), nn::ReLU()); }) ==
        "clone: 1 is of another type than there: it is to be built as the original was");
  CHECK(error_of([&] { nn::clone(net, nn::Linear(2, 2)); }) ==
        "clone: there are 2 modules here, 3 there: it is to be built as the original was");
  CHECK(error_of([&] { nn::clone(net, nn::Linear(2, 2), nn::Tanh()); }) == "");
}

TEST_CASE("module: load_from tells what differs before it writes") {
  Block to, wider(5);
  const auto before = to.in.weight.to_vector();
  CHECK(error_of([&] { to.load_from(wider); }) == "load_from: in.weight has shape (4, 3) here, (4, 5) there");
  CHECK(error_of([&] { to.load_from(nn::LayerNorm(4)); }) ==
        "load_from: the structures differ: in.weight here, weight there");
  CHECK(error_of([&] { nn::Linear(3, 4).load_from(nn::Linear(3, 4, {.bias = false})); }) ==
        "load_from: the structures differ: 2 tensors here, 1 there");
  CHECK(to.in.weight.to_vector() == before);
}

TEST_CASE("module: clone has the dtypes, the modes and what is frozen of the module it is made of") {
  Net net;
  net.to(f64);
  net.block.count = zeros({1}, {.dtype = f32});
  net.block.freeze();
  net.block.norm.eval();
  {
    const NoGrad off;
    net.scale.fill_(1.0 / 3);
  }
  Net copy = nn::clone(net);
  CHECK(copy.scale.item() == 1.0 / 3);
  CHECK(copy.block.in.weight.dtype() == f64);
  CHECK(copy.block.count.dtype() == f32);
  CHECK_FALSE(copy.block.in.weight.requires_grad());
  CHECK(copy.scale.requires_grad());
  CHECK(copy.training);
  CHECK(copy.block.in.training);
  CHECK_FALSE(copy.block.norm.training);
}

TEST_CASE("module: load_from refuses two weights for one that is tied") {
  Net tied, untied;
  tied.heads[1].weight = tied.heads[0].weight;
  const auto before = tied.block.in.weight.to_vector();
  CHECK(error_of([&] { tied.load_from(untied); }) ==
        "load_from: heads.1.weight is heads.0.weight here, a tensor of its own there");
  CHECK(tied.block.in.weight.to_vector() == before);
  untied.load_from(tied);
  CHECK(untied.heads[1].weight.to_vector() == tied.heads[0].weight.to_vector());
}

TEST_CASE("module: a clone is tied as the module it is made of") {
  Net net;
  net.heads[1].weight = net.heads[0].weight;
  const Net copy = nn::clone(net);
  CHECK(names(copy.named_parameters()) == names(net.named_parameters()));
  CHECK(copy.heads[1].weight.is_same(copy.heads[0].weight));
  CHECK(copy.heads[1].weight.to_vector() == net.heads[1].weight.to_vector());
}

TEST_CASE("module: its state goes to another of the same structure, bit for bit") {
  Net from, to;
  from.block.count.fill_(7);
  const State state = from.state();
  CHECK(names(state) ==
        "block.in.weight;block.in.bias;block.norm.weight;block.norm.bias;heads.0.weight;heads.0.bias;heads.1.weight;"
        "scale;block.count;");
  const std::vector<double> before = from.heads[0].weight.to_vector();
  {
    const NoGrad off;
    from.heads[0].weight.fill_(0);
  }
  CHECK(!state[4].tensor.requires_grad());
  to.load_state(state);
  CHECK(to.heads[0].weight.to_vector() == before);
  CHECK(to.block.count.item() == 7);
  CHECK((to.scale.requires_grad() && !to.scale.is_same(state[7].tensor)));
  State reversed(state.rbegin(), state.rend());
  to.load_state(reversed);
}

TEST_CASE("module: load_state names all differences before it writes") {
  Block block;
  block.in.bias.detach().fill_(5);
  State state = Block().state();
  state[0].tensor = zeros({4, 5});
  state[1].name = "in.offset";
  state[2].tensor = ones({4}, {.dtype = f64});
  state[3].tensor = Tensor();
  state.push_back(state[4]);
  CHECK(
      error_of([&] { block.load_state(state); }) ==
      "load_state: count is given twice; in.weight is f32 (4, 3) here, f32 (4, 5) in the state; norm.weight is f32 (4) "
      "here, f64 (4) in the state; norm.bias is f32 (4) here, undefined in the state; in.bias is missing; in.offset is "
      "not known here");
  CHECK(block.in.bias.to_vector() == std::vector<double>(4, 5));
}

TEST_CASE("module: load_state takes a tied tensor under any of its names") {
  nn::Sequential tied(nn::Linear(2, 2), nn::Linear(2, 2));
  const auto weight = [&](size_t i) -> Tensor& { return dynamic_cast<nn::Linear&>(tied[i]).weight; };
  weight(1) = weight(0);
  State state = tied.state();
  CHECK(names(state) == "0.weight;0.bias;1.bias;");
  state[0] = {"1.weight", full({2, 2}, 3)};
  tied.load_state(state);
  CHECK(weight(0).to_vector() == std::vector<double>(4, 3));
  state.push_back({"0.weight", full({2, 2}, 3)});
  tied.load_state(state);
  state.back().tensor = full({2, 2}, 4);
  CHECK(error_of([&] { tied.load_state(state); }) == "load_state: 1.weight is 0.weight here, another in the state");
  state.pop_back();
  state.erase(state.begin());
  CHECK(error_of([&] { tied.load_state(state); }) == "load_state: 0.weight is missing");
}
