#include <doctest/doctest.h>

#include <clocale>
#include <cmath>
#include <filesystem>

#include "fathom/io/npy.h"
#include "fathom/probe/record.h"
#include "tests/folder.h"

using namespace fathom;

namespace {

struct Folder : TemporaryFolder {
  probe::record::Record record(const std::string& lines) const {
    return probe::record::read(write("record.jsonl", lines));
  }
};

const std::string lines = R"({"type":"run","run":"a, \"b\""}
{"type":"step","run":"a, \"b\"","step":0,"loss":0.1,"grad_norm":"NaN","clip":1}
{"type":"layers","run":"a, \"b\"","step":0,"sites":[{"site":"in","sigma_max":2.5},{"site":"out","gain":0}]}
{"type":"layers","run":"a, \"b\"","step":10,"sites":[{"site":"out","sigma_max":0.125}]}
{"type":"parameters","run":"a, \"b\"","step":0,"rows":[{"name":"w","weight_norm":2,"update_norm":1}]}
)";

}  // namespace

TEST_CASE("record: CSV files of steps, layers and parameters") {
  const Folder folder;
  probe::record::write_csv(folder.record(lines), folder / "csv");
  CHECK(folder.text("csv/steps.csv") ==
        "run,step,loss,grad_norm,clipped\n\"a, \"\"b\"\"\",0,0.10000000000000001,nan,1\n");
  const std::string layers = folder.text("csv/layers.csv");
  CHECK(layers.starts_with("run,step,name,sigma_max,"));
  CHECK(layers.find("\"a, \"\"b\"\"\",0,in,2.5,\n") != std::string::npos);
  CHECK(layers.find("\"a, \"\"b\"\"\",10,out,0.125,\n") != std::string::npos);
  CHECK(folder.text("csv/parameters.csv").find(",0,w,") != std::string::npos);
}

TEST_CASE(
    "record: what is left of the gradient is absent where its norm behind the last layer is, NaN where that is NaN") {
  using probe::record::gradient_left, probe::record::missing;
  const auto left = [](const std::string& behind) {
    const Folder folder;
    folder.record(R"({"type":"run","run":"a"}
{"type":"layers","run":"a","step":0,"sites":[{"site":"x","grad_in":1,"gain":1},{"site":"y","gain":0.5)" +
                  behind + "}]}\n");
    const auto run = probe::record::read(folder.path.string()).runs.at(0);
    const auto& rows = run.layers.frames.at(0).rows;
    return std::pair(rows[0].second[gradient_left], rows[1].second[gradient_left]);
  };
  CHECK(left("") == std::pair(missing, missing));
  CHECK(left(R"(,"grad_out":10)").first == -1);
  CHECK(left(R"(,"grad_out":10)").second == doctest::Approx(std::log10(0.5)));
  CHECK(std::isnan(left(R"(,"grad_out":"NaN")").first));
}

TEST_CASE("record: of a folder, its record.jsonl is read") {
  const Folder folder;
  folder.record(lines);
  CHECK(probe::record::read(folder.path.string()).runs.size() == 1);
}

TEST_CASE("record: the numbers of a CSV file have points in every locale") {
  if (!std::setlocale(LC_NUMERIC, "de_DE.UTF-8")) return;  // not installed here
  const Folder folder;
  probe::record::write_csv(folder.record(lines), folder / "csv");
  std::setlocale(LC_NUMERIC, "C");
  CHECK(folder.text("csv/layers.csv").find(",in,2.5,\n") != std::string::npos);
}

TEST_CASE("record: npy files, a row a layer, NaN where nothing was measured") {
  const Folder folder;
  probe::record::write_npy(folder.record(lines), folder / "npy");
  CHECK(io::read_npy(folder / "npy/0_layers_steps.npy").to_vector<int64_t>() == std::vector<int64_t>{0, 10});
  const Tensor sigma = io::read_npy(folder / "npy/0_layers_sigma_max.npy");
  CHECK(sigma.shape() == Shape{2, 2});
  const auto values = sigma.to_vector();
  CHECK(values[0] == doctest::Approx(2.5).epsilon(1e-14));
  CHECK(std::isnan(values[1]));
  CHECK(std::isnan(values[2]));
  CHECK(values[3] == doctest::Approx(0.125).epsilon(1e-14));
  CHECK(io::read_npy(folder / "npy/0_layers_gain.npy").to_vector()[1] == 0);
  CHECK(io::read_npy(folder / "npy/0_parameters_update_ratio.npy").item() == doctest::Approx(0.5));
  CHECK_FALSE(std::filesystem::exists(folder / "npy/0_layers_frobenius.npy"));
}

TEST_CASE("record: event files for TensorBoard, byte by byte") {
  const Folder folder;
  probe::record::write_events(folder.record(R"({"type":"run","run":"a"}
{"type":"step","run":"a","step":300,"loss":0.5}
)"),
                              folder / "events");
  const auto bytes = [](std::initializer_list<int> list) {
    std::string text;
    for (const int byte : list) text += char(byte);
    return text;
  };
  // Length and checksums around: wall time 0 (1), the version (3); then wall time, step 300 (2), summary (5) of one
  // value (1): tag (1) "loss", simple value (2) 0.5.
  const std::string version = bytes({0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x1a, 13}) + "brain.Event:2";
  const std::string scalar = bytes({0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0xac, 0x02, 0x2a, 13, 0x0a, 11, 0x0a, 4}) +
                             "loss" + bytes({0x15, 0, 0, 0, 0x3f});
  const std::string file = folder.text("events/0/events.out.tfevents.0.fathom");
  REQUIRE(file.size() == version.size() + scalar.size() + 32);
  CHECK(file.substr(0, 8) == bytes({24, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(file.substr(8, 4) == bytes({0xa3, 0x7f, 0x4b, 0x22}));  // masked CRC-32C of these eight bytes
  CHECK(file.substr(12, 24) == version);
  CHECK(file.substr(40 + 12, scalar.size()) == scalar);
}

TEST_CASE("record: a torn last line is noted") {
  const Folder folder;
  CHECK(folder.record(lines).note.empty());
  CHECK(folder.record(lines + "{\"type\":\"st")
            .note.ends_with("record.jsonl:6: not a JSON object, so not a line of a record; skipped"));
}

TEST_CASE("record: a folder that cannot be made") {
  const Folder folder;
  const probe::record::Record record = folder.record(lines);
  CHECK_THROWS_AS(probe::record::write_csv(record, folder / "record.jsonl"), Error);
  CHECK_THROWS_AS(probe::record::write_npy(record, folder / "record.jsonl/x"), Error);
}
