// Which calls of which modules a recorder measures.
#include "fathom/autograd/checkpoint.h"
#include "fathom/autograd/ops.h"
#include "fathom/probe/recorder.h"
#include "tests/probe/recorded_net.h"
#include "tests/probe/recorder_support.h"
#include "tests/support.h"

using namespace recorded_net;
using probe::Recorder;

TEST_CASE("Recorder: a module called twice has a site for each call; what is not recorded has none") {
  const Folder folder;
  Block block(5);
  Recorder recorder(block, {.every = 1, .out = folder, .sites = "net"});
  {
    const NoGrad off;
    block(batch(3));
  }
  block(batch(3));  // recorded, but it does not lead to the loss
  recorder.backward(mean(square(block(block(batch(3))))));
  REQUIRE(recorder.last().size() == 2);
  CHECK(recorder.last()[0].site == "net");
  CHECK(recorder.last()[0].call == 0);
  CHECK(recorder.last()[1].call == 1);
  CHECK(recorder.last()[0].grad_out == doctest::Approx(recorder.last()[1].grad_in));
  recorder.backward(mean(square(block(batch(3)))));
  CHECK(recorder.last().size() == 1);
}

TEST_CASE("Recorder: sites within a checkpoint are measured when they are computed again") {
  const Folder folder;
  manual_seed(2);
  Net net;
  net.eval();
  std::vector<std::vector<probe::SiteMeasure>> seen;
  for (const bool checkpointed : {false, true}) {
    Recorder recorder(net, {.every = 1, .out = folder, .cold_steps = 200});
    const auto run = [&](const Tensor& x) { return net(x); };
    recorder.backward(mean(square(checkpointed ? checkpoint(run, batch(4)) : run(batch(4)))));
    seen.push_back(recorder.last());
  }
  REQUIRE(seen[0].size() == 5);
  REQUIRE(seen[1].size() == 5);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(seen[0][i].site == seen[1][i].site);
    CHECK(seen[0][i].sigma_max == doctest::Approx(seen[1][i].sigma_max).epsilon(1e-3));
    CHECK(seen[0][i].gain == seen[1][i].gain);
  }
}

TEST_CASE("Recorder: a module under two names has its first") {
  struct Shared : nn::Module {
    nn::Linear one{5, 5};
    Tensor forward(Tensor x) override { return one(one(std::move(x))); }
    void fields(nn::Fields& f) override {
      f("first", one);
      f("second", one);
    }
  } net;
  const Folder folder;
  Recorder recorder(net, {.every = 1, .out = folder});
  CHECK(recorder.sites() == std::vector<std::string>{"first"});
  recorder.backward(mean(square(net(randn({4, 5})))));
  REQUIRE(recorder.last().size() == 2);
  CHECK(recorder.last()[0].site == "first");
}

TEST_CASE("Recorder: sites by name") {
  const Folder folder;
  Net net;
  const auto sites = [&](const std::string& pattern) {
    return Recorder(net, {.out = folder, .sites = pattern}).sites();
  };
  CHECK(sites("blocks.*") == std::vector<std::string>{"blocks.0", "blocks.1"});
  CHECK(sites("**.linear,out") == std::vector<std::string>{"blocks.0.linear", "blocks.1.linear", "out"});
  CHECK(sites("*") == std::vector<std::string>{"in", "dropout", "out"});
  CHECK(sites("out,net") == std::vector<std::string>{"net", "out"});
  nn::Sequential nested(nn::Sequential(nn::Linear(5, 5), nn::Tanh()), nn::Residual(nn::Linear(5, 5)));
  CHECK(Recorder(nested, {.out = folder}).sites() == std::vector<std::string>{"0.0", "0.1", "1"});
}
