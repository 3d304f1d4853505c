// What the page keeps of a long run.
#include <algorithm>

#include "tests/probe/report_support.h"

using namespace report_support;

TEST_CASE("report: a long run is thinned and keeps its extremes") {
  const Folder folder;
  std::ostringstream record;
  record << R"({"type":"run","run":"a"})" << '\n';
  for (int step = 0; step < 5000; ++step) {
    record << R"({"type":"step","run":"a","step":)" << step << R"(,"loss":)" << (step == 1234 ? 99 : 1) << "}\n";
    if (step % 5) continue;
    record << R"({"type":"layers","run":"a","step":)" << step << R"(,"sites":[)";
    for (int layer = 0; layer < 200; ++layer)
      record << (layer ? "," : "") << R"({"site":")" << layer << R"(","sigma_max":)" << (step == 2345 ? 50 : 1) << "}";
    record << "]}\n";
  }
  const json page = report_of(folder, record.str());
  CHECK(std::filesystem::file_size(folder / "report.html") < 1000000);
  const json& thin = page["runs"][0];
  CHECK(thin["layers"]["measured"] == 1000);
  CHECK(thin["layers"].value("gap", 0) == 5);  // not that of the frames that are left
  CHECK(thin["layers"]["frames"].size() < 1000);
  CHECK(thin["layers"]["frames"].front() == 0);
  CHECK(thin["layers"]["frames"].back() == 4995);
  CHECK(count(thin["layers"]["frames"].dump(), "2345") == 1);
  CHECK(thin["steps"].size() <= 2002);
  CHECK(count(thin["loss"].dump(), "99.0") == 1);
}

TEST_CASE("report: a long run keeps the points that the table and the cursor show") {
  const Folder folder;
  const auto loss = [](int step) { return step * 7919 % 5003; };
  std::ostringstream record;
  record << run;
  for (int step = 0; step < 5000; ++step) {
    record << R"({"type":"step","run":"a","step":)" << step << R"(,"loss":)" << loss(step) << "}\n";
    if (step % 100 == 0) record << layers(step, R"("sigma_max":1)", R"("sigma_max":1)");
  }
  const json page = report_of(folder, record.str());
  const json& a = page["runs"][0];
  CHECK(page["steps"].size() == 25);
  CHECK(a["steps"].size() <= 2002);
  std::vector<int> wanted = page["steps"];
  for (const int step : a["layers"]["frames"]) wanted.push_back(step);
  for (const int step : wanted) {
    const auto found = std::find(a["steps"].begin(), a["steps"].end(), step);
    REQUIRE_MESSAGE(found != a["steps"].end(), step);
    CHECK(a["loss"][size_t(found - a["steps"].begin())] == loss(step));
  }
}

TEST_CASE("report: a long run keeps its few steps with details") {
  const Folder folder;
  std::ostringstream record;
  record << run;
  for (int step = 0; step < 5000; ++step) {
    const bool details = step == 1000 || step == 2222, product = step == 3333;
    record << R"({"type":"layers","run":"a","step":)" << step << R"(,"sites":[)";
    for (int layer = 0; layer < 100; ++layer)
      record << (layer ? "," : "") << R"({"site":")" << layer << R"(","sigma_max":)" << 2 + step % 7
             << (details ? R"(,"condition":3)" : "") << "}";
    record << "]";
    if (product) {
      record << R"(,"product":{"log10_norm":[0)";
      for (int layer = 1; layer < 100; ++layer) record << ",0";
      record << "]}";
    }
    record << "}\n";
  }
  const json frames = report_of(folder, record.str())["runs"][0]["layers"]["frames"];
  CHECK(frames.size() < 2000);
  for (const int step : {0, 1000, 2222, 3333, 4999})
    CHECK_MESSAGE(std::count(frames.begin(), frames.end(), step) == 1, step);
  CHECK(std::is_sorted(frames.begin(), frames.end()));
}

TEST_CASE("report: what few steps have takes no room at the others") {
  const Folder folder;
  const std::string detailed = R"("sigma_max":2,"condition":3)", plain = R"("sigma_max":2)";
  const json values = report_of(folder, run + layers(0, plain, plain) + layers(1, detailed, plain) +
                                            layers(2, plain, plain))["runs"][0]["layers"]["values"];
  CHECK(values["condition"]["frames"] == json({1}));
  CHECK(values["condition"]["codes"] == "AAD8/w==");  // 0 and 65532 (absent)
  CHECK_FALSE(values["sigma_max"].contains("frames"));
}
