// The report page in a real browser, headless Chromium: it draws without an error, and what it says at the cursor is
// what the record says.
#include <doctest/doctest.h>
#include <unistd.h>  // getpid

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "fathom/probe/report.h"

using namespace fathom;
using nlohmann::json;

namespace {

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("fathom_browser_" + std::to_string(getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
};

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// The document as the browser leaves it, and after it what it logged.
std::string browse(const Folder& folder, const std::string& page) {
  const std::string out = folder / "out.txt", log = folder / "log.txt";
  const std::string command =
      "chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
      "--disable-component-update --disable-sync --enable-logging=stderr --window-size=1300,1000 "
      "--virtual-time-budget=20000 --user-data-dir=" +
      (folder / "profile") + " --dump-dom file://" + (folder / page) + " > " + out + " 2> " + log;
  const int status = std::system(command.c_str());
  INFO(text_of(log));
  REQUIRE_MESSAGE(status == 0, "chromium (scripts/setup --test) is needed");
  return text_of(out) + text_of(log);
}

// sigma_max of a layer at a step, as the record below has it.
double sigma(int run, int layer, int step) { return (run ? 1.1 : 0.9) + 0.01 * layer + 0.001 * step; }

std::string record() {
  std::ostringstream lines;
  for (int run = 0; run < 2; ++run) {
    const std::string name = run ? "growing" : "shrinking";
    const auto line = [&](json rest) {
      rest["run"] = name;
      lines << rest.dump() << '\n';
    };
    line({{"type", "run"}, {"schema", 2}, {"net", name}, {"depth", 8}});
    for (int step = 0; step < 60; ++step) {
      line({{"type", "step"}, {"step", step}, {"loss", 2.0 / (1 + step)}, {"grad_norm", 0.5}, {"clip", 1}});
      if (step % 10) continue;
      json sites = json::array(), norms = json::array();
      for (int layer = 0; layer < 8; ++layer) {
        const double s = sigma(run, layer, step);
        sites.push_back({{"site", "blocks." + std::to_string(layer)},
                         {"sigma_max", s},
                         {"sigma_median", s * 0.9},
                         {"sigma_min", s * 0.8},
                         {"gain", s * 0.7},
                         {"grad_in", 0.1},
                         {"frobenius", 4},
                         {"spectrum", {s, s / 2, s / 8}}});
        norms.push_back(0.1 * (8 - layer));
      }
      line({{"type", "layers"}, {"step", step}, {"sites", sites}, {"product", {{"log10_norm", norms}}}});
      line({{"type", "parameters"},
            {"step", step},
            {"rows", {{{"name", "w"}, {"weight_norm", 2}, {"grad_norm", 0.3}, {"update_norm", 0.002}}}}});
      line({{"type", "sharpness"}, {"step", step}, {"sharpness", 3 + step}, {"edge", 200}});
    }
    line({{"type", "alarm"}, {"step", 30}, {"kind", "exploding"}, {"site", "blocks.5"}, {"message", "too much"}});
    line({{"type", "lyapunov"},
          {"step", 59},
          {"site", "rnn"},
          {"exponents", {0.1, -0.3}},
          {"sum", -0.2},
          {"convergence", {{"steps", {1, 2, 3}}, {"exponents", {{0.3, -0.1}, {0.2, -0.2}, {0.1, -0.3}}}}}});
    line({{"type", "end"}, {"steps", 60}, {"seconds", 2}, {"measuring_seconds", 0.2}, {"costs", {{"sigma_max", 0.1}}}});
  }
  return lines.str();
}

// Drives the page as a reader would and leaves what it saw in an element `seen`.
constexpr const char* driver = R"(<script>
const seen = {cells: [], blank: [], pressed: 0};
const drawn = () => new Promise((then) => setTimeout(then, 100));
const cell = () => seen.cells.push([byId("at-run").textContent, byId("at-cell").textContent, byId("at-values").querySelector("dd").firstChild.textContent]);
(async () => {
  const map = byId("maps").querySelectorAll("canvas")[1];
  const key = (name) => map.dispatchEvent(new KeyboardEvent("keydown", {key: name}));
  map.focus();
  key("Home"), key("ArrowRight"), key("ArrowRight"), key("ArrowDown"), key("ArrowDown"), key("ArrowDown");
  await drawn();
  cell();
  const first = byId("maps").querySelector("canvas"), box = first.getBoundingClientRect(), m = layerWall.margin;
  first.dispatchEvent(new PointerEvent("pointermove", {bubbles: true, clientX: box.left + m.l + (box.width - m.l - m.r) * 45 / layerWall.end, clientY: box.top + m.t + (box.height - m.t - m.b) * 5.5 / 8}));
  await drawn();
  cell();
  document.querySelector("#alarms button").click();
  await drawn();
  cell();
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const button of document.querySelectorAll(".choice button, #legend button")) button.click(), ++seen.pressed;
  for (const button of document.querySelectorAll("#legend button")) button.click();
  await drawn();
  for (const canvas of document.querySelectorAll("canvas")) {
    const {data} = canvas.getContext("2d").getImageData(0, 0, Math.max(1, canvas.width), Math.max(1, canvas.height));
    if (!data.some((byte) => byte)) seen.blank.push(canvas.id || canvas.getAttribute("aria-label"));
  }
  seen.tables = [...document.querySelectorAll("details")].filter((d) => !d.hidden && d.children.length < 2).length;
  seen.sections = [...document.querySelectorAll("section")].filter((s) => !s.hidden).length;
  seen.note = byId("profile-note").textContent;
  document.body.append(el("pre", {id: "seen"}, JSON.stringify(seen)));
})();
</script></body>)";

}  // namespace

TEST_CASE("report page: loads in a browser without an error") {
  const Folder folder;
  std::ofstream(folder / "record.jsonl") << record();
  probe::write_report(folder / "record.jsonl", folder / "report.html");
  const std::string document = browse(folder, "report.html");
  CHECK(document.find("data-ready=\"yes\"") != std::string::npos);
  CHECK(document.find("CONSOLE") == std::string::npos);
}

TEST_CASE(
    "report page: every view is drawn; the cursor moves by keys, pointer and alarm, and its values are the record's") {
  const Folder folder;
  std::ofstream(folder / "record.jsonl") << record();
  probe::write_report(folder / "record.jsonl", folder / "report.html");
  std::string page = text_of(folder / "report.html");
  const size_t policy = page.find("<meta http-equiv=\"Content-Security-Policy\"");
  page.erase(policy, page.find('\n', policy) - policy);  // it would keep the driver out
  page.replace(page.rfind("</body>"), 7, driver);
  // Without a screen no frame comes by itself.
  page.insert(page.find("<body>") + 6, "<script>requestAnimationFrame = (f) => setTimeout(f, 16)</script>");
  std::ofstream(folder / "driven.html") << page;
  const std::string document = browse(folder, "driven.html");
  CHECK(document.find("Uncaught") == std::string::npos);

  const std::string open = "<pre id=\"seen\">";
  REQUIRE(document.find(open) != std::string::npos);
  const size_t from = document.find(open) + open.size();
  std::string text = document.substr(from, document.find("</pre>", from) - from);
  const json seen = json::parse(text);
  const auto value = [](int run, int layer, int step) {
    std::ostringstream out;
    out.precision(3);
    out << sigma(run, layer, step);
    return out.str();
  };
  CHECK(seen["cells"][0] == json({"growing", "layer 3: blocks.3, step 20", value(1, 3, 20)}));
  CHECK(seen["cells"][1] == json({"shrinking", "layer 5: blocks.5, step 40", value(0, 5, 40)}));
  CHECK(seen["cells"][2] == json({"shrinking", "layer 5: blocks.5, step 30", value(0, 5, 30)}));
  CHECK(seen["blank"] == json::array());
  CHECK(seen["tables"] == 0);
  CHECK(seen["sections"] == 7);
  CHECK(seen["pressed"].get<int>() > 12);
  CHECK(seen["note"].get<std::string>().find("decades too loose") != std::string::npos);
}
