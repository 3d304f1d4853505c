// The report page draws without an error, and what it says at the cursor is what the record says.
#include "tests/probe/browser.h"

using namespace browser;
using nlohmann::json;

TEST_CASE("report page: loads in a browser without an error") {
  const Folder folder;
  write_page(folder, Record().text());
  const std::string document = browse(folder, "report.html");
  CHECK(document.find("data-ready=\"yes\"") != std::string::npos);
  CHECK(document.find("CONSOLE") == std::string::npos);
}

TEST_CASE(
    "report page: every view is drawn; the cursor moves by keys, pointer and alarm, and its values are the record's") {
  const Folder folder;
  write_page(folder, Record().text());
  const json seen = drive(folder, R"(
  seen.cells = [], seen.blank = [], seen.pressed = 0;
  const cell = () => seen.cells.push([byId("at-run").textContent, byId("at-cell").textContent, byId("at-values").querySelector("dd").firstChild.textContent]);
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
)");
  const auto value = [](int run, int layer, int step) {
    std::ostringstream out;
    out.precision(3);
    out << Record::sigma(run, layer, step);
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
