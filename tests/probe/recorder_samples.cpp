// What a recorder makes of samples: whether they reach each other, and layers without numbers.
#include <fstream>
#include <sstream>

#include "fathom/autograd/ops.h"
#include "fathom/probe/recorder.h"
#include "tests/probe/recorder_support.h"
#include "tests/support.h"

using probe::Recorder;

namespace {

struct Centre : nn::Module {
  Tensor forward(Tensor x) override { return x - mean(x, 0, true); }
};

Tensor samples_of(int64_t n) { return inputs(n).to(f32); }

}  // namespace

TEST_CASE("Recorder: samples that reach each other are labelled") {
  const Folder folder;
  nn::Sequential net(nn::Linear(5, 4), Centre());
  Recorder recorder(net, {.every = 1, .out = folder});
  recorder.backward(mean(square(net(samples_of(6)))));
  REQUIRE(recorder.last().size() == 2);
  CHECK_FALSE(recorder.last()[0].coupled);
  CHECK(recorder.last()[1].coupled);
  CHECK(recorder.last()[1].sigma_max == doctest::Approx(1));
  recorder.flush();
  std::stringstream record;
  record << std::ifstream(folder.path / "record.jsonl").rdbuf();
  CHECK(record.str().find("\"coupled\":true") != std::string::npos);
  const probe::record::Board layers = folder.run().layers;
  CHECK(layers.label(0) == "0");
  CHECK(layers.label(1) == "1 (whole batch)");
}

TEST_CASE("Recorder: one sample does not tell whether samples reach each other") {
  const Folder folder;
  nn::Sequential net(nn::Linear(5, 4), Centre());
  Recorder recorder(net, {.every = 1, .out = folder});
  for (int64_t samples : {1, 6}) {
    recorder.backward(mean(square(net(samples_of(samples)))));
    REQUIRE(recorder.last().size() == 2);
    CHECK(recorder.last()[1].coupled == (samples == 6));
  }
  CHECK(recorder.last()[1].sigma_max == doctest::Approx(1));
}

TEST_CASE("Recorder: a layer without outputs has no spectrum, and disturbs nothing") {
  const Folder folder;
  nn::Sequential net(nn::Linear(5, 0), nn::Linear(0, 3));
  Recorder recorder(net, {.every = 1, .details_every = 1, .out = folder});
  recorder.backward(mean(square(net(samples_of(4)))));
  REQUIRE(recorder.last().size() == 2);
  for (const auto& m : recorder.last()) {
    CHECK(m.sigma_max == 0);
    CHECK(!m.has_details);
  }
}
