#include "fathom/probe/report.h"

#include <cmath>

#include "fathom/probe/record.h"
#include "fathom/tensor/error.h"
#include "tests/probe/report_support.h"

using namespace report_support;

namespace {

std::string message_of(const Folder& folder, const std::string& record) {
  try {
    probe::write_report(folder.write(record), folder / "report.html");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("report: one page of a whole record, with its summary") {
  const Folder folder;
  const json page = report_of(folder, run +
                                          R"({"type":"step","run":"a","step":0,"loss":2.5,"grad_norm":0.5})"
                                          "\n" +
                                          layers(0, R"("sigma_max":0.1,"gain":0.01)", R"("sigma_max":10,"gain":1)") +
                                          R"({"type":"end","run":"a","steps":10,"seconds":2,"measuring_seconds":0.5,)"
                                          R"("loss":0.25,"accuracy":0.9})"
                                          "\n");
  const json& summary = page["runs"][0]["summary"];
  CHECK(summary["loss"] == 0.25);
  CHECK(summary["accuracy"] == 0.9);
  CHECK(summary["gain"] == -2.0);
  CHECK(summary["sigma"] == json({0.1, 1.0, 10.0}));
  CHECK(summary["ms"] == 200.0);
  CHECK(summary["measuring"] == 0.25);
  CHECK(summary["open"] == false);
  CHECK(page["runs"][0]["layers"]["rows"] == json({"blocks.0", "blocks.1"}));
  CHECK(page["runs"][0]["layers"]["values"]["sigma_max"]["lo"] == -1.0);
  CHECK(page["runs"][0]["layers"]["values"]["sigma_max"]["codes"] == "AAD7/w==");  // 0 and 65531
  CHECK_FALSE(page["runs"][0]["layers"]["values"].contains("frobenius"));
  int files = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(folder.path)) ++files;
  CHECK(files == 2);  // no draft is left
}

TEST_CASE("report: of a folder, its record is read and not overwritten") {
  const Folder folder;
  const json page = report_of(folder, run);
  probe::write_report(folder.path.string(), folder / "of_folder.html");
  CHECK(text_of(folder / "of_folder.html") == text_of(folder / "report.html"));
  CHECK_THROWS_WITH_AS(probe::write_report(folder.path.string(), folder / "record.jsonl"),
                       ("report: would overwrite its record " + (folder / "record.jsonl")).c_str(), Error);
}

TEST_CASE("report: nothing on the page comes from elsewhere or runs but its own script") {
  const Folder folder;
  report_of(folder, run);
  const std::string page = text_of(folder / "report.html");
  CHECK(count(page, "default-src 'none'; style-src 'sha256-") == 1);
  for (const char* part : {"http://", "https://", "@STYLE", "@SCRIPT", "@DATA", "innerHTML", "style=\"", "src="})
    CHECK_MESSAGE(count(page, part) == 0, part);
}

TEST_CASE("report: names cannot break out of the data") {
  const Folder folder;
  const std::string name = "</script><img src=x onerror=alert(1)>&\xe2\x80\xa8\xe2\x80\xa9<!--";
  const json entry = {{"type", "run"}, {"run", name}, {"net", name}, {"options", {{name, name}}}};
  const json step = {{"type", "layers"}, {"run", name}, {"step", 0}, {"sites", {{{"site", name}, {"sigma_max", 1}}}}};
  const json data = report_of(folder, entry.dump() + "\n" + step.dump() + "\n");
  CHECK(data["runs"][0]["name"] == name);
  CHECK(data["runs"][0]["layers"]["rows"][0] == name);
  CHECK(data["runs"][0]["options"][name] == name);
  const std::string page = text_of(folder / "report.html");
  CHECK(count(page, "</script>") == 2);  // of the data and of the script
  CHECK(count(page, "<img") == 0);
  CHECK(count(page, "<!--") == 0);
  CHECK(count(page, "\xe2\x80\xa8") == 0);
}

TEST_CASE("report: what is no number stays visible") {
  const Folder folder;
  const json page =
      report_of(folder, run +
                            R"({"type":"step","run":"a","step":0,"loss":"NaN","grad_norm":"Infinity"})"
                            "\n" +
                            layers(0, R"("sigma_max":"NaN","gain":0)", R"("sigma_max":"Infinity","gain":"NaN")") +
                            layers(1, R"("gain":2)", R"("sigma_max":2,"gain":1)"));
  const json& first = page["runs"][0];
  CHECK(first["loss"][0] == "NaN");
  CHECK(first["grad_norm"][0] == "Infinity");
  CHECK(first["summary"]["loss"] == "NaN");
  CHECK(first["summary"]["open"] == true);
  // little-endian codes 65533 (NaN), 65534 (infinite), 65532 (absent), 0
  CHECK(first["layers"]["values"]["sigma_max"]["codes"] == "/f/+//z/AAA=");
  const auto runs = probe::record::read(folder / "record.jsonl").runs;
  CHECK(std::isnan(runs[0].layers.frames[0].rows[0].second[probe::record::sigma_max]));
  CHECK(runs[0].layers.frames[0].rows[0].second[probe::record::gain] == -INFINITY);
  CHECK(runs[0].layers.frames[1].rows[0].second[probe::record::sigma_max] == probe::record::missing);
}

TEST_CASE("report: a logarithm beyond the range of double is kept, two norms are no gain") {
  const Folder folder;
  report_of(folder, run + layers(0, R"("gain":0,"log10_gain":-400.5)", R"("grad_in":1,"grad_out":100)"));
  const auto runs = probe::record::read(folder / "record.jsonl").runs;
  CHECK(runs[0].layers.frames[0].rows[0].second[probe::record::gain] == -400.5);
  CHECK(runs[0].layers.frames[0].rows[1].second[probe::record::gain] == probe::record::missing);
}

TEST_CASE("report: calls of one layer are rows, runs interleave, a name used again is a new run") {
  const Folder folder;
  const json page = report_of(folder, run +
                                          R"({"type":"run","run":"b"})"
                                          "\n" +
                                          R"({"type":"layers","run":"b","step":0,"sites":[)"
                                          R"({"site":"x","call":0},{"site":"x","call":2}]})"
                                          "\n"
                                          R"({"type":"step","run":"a","step":0,"loss":1})"
                                          "\n"
                                          R"({"type":"layers","run":"b","step":1,"sites":[)"
                                          R"({"site":"x","call":0},{"site":"x","call":1},{"site":"x","call":2}]})"
                                          "\n" +
                                          run);
  CHECK(page["runs"].size() == 3);
  CHECK(page["runs"][0]["loss"] == json({1.0}));
  CHECK(page["runs"][1]["layers"]["rows"] == json({"x", "x #1", "x #2"}));
  CHECK(page["runs"][2]["name"] == "a (2)");
}

TEST_CASE("report: a torn last line is skipped, a torn line within is an error") {
  const Folder folder;
  const std::string torn = R"({"type":"step","run":"a","st)", step = R"({"type":"step","run":"a","step":0,"loss":1})"
                                                                     "\n";
  CHECK(report_of(folder, run + step + torn)["runs"][0]["steps"] == json::array({0}));
  CHECK(message_of(folder, run + torn + "\n" + step)
            .ends_with("record.jsonl:2: not a JSON object, so not a line of a record"));
}

TEST_CASE("report: what is no record says where") {
  const Folder folder;
  CHECK(message_of(folder, "").starts_with("record: no run in "));
  CHECK(message_of(folder, "").ends_with("record.jsonl"));
  CHECK(message_of(folder, "some text").ends_with("record.jsonl:1: not a JSON object, so not a line of a record"));
  CHECK(message_of(folder, "[1, 2]\n").ends_with("record.jsonl:1: not a JSON object, so not a line of a record"));
  CHECK(message_of(folder, "{\"a\": 1}\n").ends_with("record.jsonl:1: no \"type\", so not a line of a record"));
  CHECK(message_of(folder, run + R"({"type":"step","run":"b","step":0})")
            .ends_with(":2: run \"b\" was not started by a line above"));
  CHECK(message_of(folder, run + R"({"type":"step","run":"a"})").ends_with(":2: no \"step\""));
  CHECK(message_of(folder, R"({"type":"run","run":"a","schema":5})")
            .ends_with(":1: schema 5, this program reads 1 to 4"));
  CHECK_FALSE(std::filesystem::exists(folder / "report.html"));
}

TEST_CASE("report: clips, alarms, spectra, products, parameters, sharpness, exponents, costs") {
  const Folder folder;
  const json page = report_of(folder, run + R"({"type":"step","run":"a","step":0,"loss":1,"clip":1}
{"type":"step","run":"a","step":1,"loss":1}
{"type":"alarm","run":"a","step":1,"kind":"loss_spike","site":"x","message":"m","action":"stop"}
{"type":"layers","run":"a","step":0,"sites":[{"site":"x","spectrum":[100,1,0]},{"site":"y"}],"product":{"log10_norm":[3.5,-2],"log10_bound":[4,-1]}}
{"type":"layers","run":"a","step":1,"sites":[{"site":"x"}],"product":{"chain":false,"why":"y is used twice"}}
{"type":"parameters","run":"a","step":1,"rows":[{"name":"w","weight_norm":10,"grad_norm":null,"update_norm":0.1}]}
{"type":"sharpness","run":"a","step":1,"sharpness":3,"edge":200}
{"type":"lyapunov","run":"a","step":1,"site":"x","exponents":[0.5,"-Infinity"],"sum":1,"convergence":{"steps":[1,2],"exponents":[[1,2],[3,4]]}}
{"type":"end","run":"a","steps":2,"seconds":2,"measuring_seconds":1,"costs":{"sigma_max":0.5}}
)");
  const json& a = page["runs"][0];
  CHECK(a["clips"] == 1);
  CHECK(a["clipped"] == json::array({{0, 0, 1}}));
  CHECK(a["alarms"][0] ==
        json({{"step", 1}, {"kind", "loss_spike"}, {"site", "x"}, {"message", "m"}, {"action", "stop"}}));
  CHECK(a["spectra"].size() == 1);
  CHECK(a["spectra"][0]["layers"] == json({{"0", {{"values", {2.0, 0.0, "-Infinity"}}, {"of", 3}}}}));
  CHECK(a["layers"]["values"]["product"]["lo"] == -2.0);
  CHECK(a["layers"]["values"]["product"]["hi"] == 3.5);
  CHECK(a["layers"]["values"]["product_bound"]["lo"] == -1.0);
  CHECK(a["layers"]["values"]["product_bound"]["hi"] == 4.0);
  CHECK(a["no_chain"] == "y is used twice");
  CHECK(a["parameters"]["rows"] == json({"w"}));
  CHECK(a["parameters"]["values"]["update_ratio"]["lo"].get<double>() == doctest::Approx(-2));
  CHECK(a["parameters"]["values"]["grad_norm"]["codes"] == "/f8=");  // NaN
  CHECK(a["sharpness"][0] == json({{"step", 1}, {"value", 3.0}, {"edge", 200.0}}));
  CHECK(a["lyapunov"][0]["exponents"] == json({0.5, "-Infinity"}));
  CHECK(a["lyapunov"][0]["convergence"] == json({{1.0, 2.0}, {3.0, 4.0}}));
  CHECK(a["costs"]["sigma_max"] == 0.5);
}

TEST_CASE("report: files that cannot be read or written") {
  const Folder folder;
  CHECK_THROWS_WITH_AS(probe::write_report(folder / "none.jsonl", folder / "report.html"),
                       ("record: cannot read " + (folder / "none.jsonl")).c_str(), Error);
  const std::string record = folder.write(run);
  CHECK_THROWS_WITH_AS(
      probe::write_report(record, folder / "none/report.html"),
      ("report: " + (folder / "none/report.html") + ": cannot be written: No such file or directory").c_str(), Error);
  CHECK_THROWS_WITH_AS(probe::write_report(record, record), ("report: would overwrite its record " + record).c_str(),
                       Error);
  CHECK(text_of(record) == run);
}

TEST_CASE("report: once no gradient is left the gain is zero, though layers before have none") {
  const Folder folder;
  const json page =
      report_of(folder, run + layers(0, R"("sigma_max":2,"gain":"NaN","grad_out":0)", R"("sigma_max":2,"gain":0)"));
  CHECK(page["runs"][0]["summary"]["gain"] == "-Infinity");
  const json broken = report_of(folder, run + layers(0, R"("sigma_max":2,"gain":"NaN")", R"("sigma_max":2,"gain":1)"));
  CHECK(broken["runs"][0]["summary"]["gain"] == "NaN");
}

TEST_CASE("report: the summary is of the last step with Jacobians, not of one with gains alone") {
  const Folder folder;
  const json page = report_of(folder, run + layers(0, R"("sigma_max":10,"gain":10)", R"("sigma_max":10,"gain":1)") +
                                          layers(5, R"("activation_rms":1)", R"("gain":1)"));
  CHECK(page["runs"][0]["summary"]["gain"] == 1.0);
  CHECK(page["runs"][0]["summary"]["sigma"] == json({10.0, 10.0, 10.0}));
}

TEST_CASE("report: a record under a name that is not UTF-8") {
  const Folder folder;
  const std::string path = folder / "\xff.jsonl";
  std::filesystem::rename(folder.write(run), path);
  probe::write_report(path, folder / "report.html");
  CHECK(data_of(text_of(folder / "report.html"))["record"] == "\ufffd.jsonl");
}
