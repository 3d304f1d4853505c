// The report page draws without an error, and what it says at the cursor is what the record says.
#include <algorithm>
#include <cmath>

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
  CHECK(seen["note"].get<std::string>().find("decades more") != std::string::npos);
}

TEST_CASE("report page: what was measured at few steps is where the cursor begins, and what is not there is said") {
  const Folder folder;
  std::string record = R"({"type":"run","run":"a","schema":2}
{"type":"step","run":"a","step":0,"loss":1.5}
{"type":"layers","run":"a","step":0,"sites":[{"site":"x","sigma_max":2,"gain":0.5,"grad_out":0.5,"activation_rms":1,"condition":3,"spectrum":[2,1]},{"site":"y","sigma_max":2,"gain":0.5,"grad_out":1,"activation_rms":1,"condition":3,"spectrum":[2,1]}],"product":{"log10_norm":[0.5,0.3],"log10_bound":[0.9,0.4]}}
{"type":"step","run":"a","step":1,"loss":2e22}
{"type":"layers","run":"a","step":1,"sites":[{"site":"x","activation_rms":1},{"site":"y","gain":0.5,"grad_out":1,"activation_rms":1}]}
{"type":"alarm","run":"a","step":1,"kind":"nonfinite","site":"y","message":"its output is not finite","action":"warn"}
{"type":"layers","run":"a","step":2,"sites":[{"site":"x","sigma_max":1,"gain":"NaN","grad_out":0,"activation_rms":1,"spectrum":["NaN"]},{"site":"y","sigma_max":1,"gain":0,"grad_out":1,"activation_rms":1,"spectrum":["NaN"]}]}
{"type":"lyapunov","run":"a","step":2,"site":"x","exponents":[0.1],"convergence":{"steps":[1,20],"exponents":[[0.3],[0.1]]}}
)";
  for (int step = 2; step < 60; ++step)
    record += R"({"type":"step","run":"a","loss":"NaN","step":)" + std::to_string(step) + "}\n";
  write_page(folder, record);
  const json seen = drive(folder, R"(
  const written = {}, fillText = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    (written[this.canvas.id] ??= []).push(text);
    fillText.call(this, text, ...rest);
  };
  seen.begin = byId("at-cell").textContent;
  drawCurves();
  seen.losses = [...written.curves];
  seen.through = runs[0].curves.through;
  seen.alarm = document.querySelector("#alarms button").textContent;
  seen.notes = [];
  for (const step of [0, 1, 2]) {
    moveTo({step});
    await drawn();
    seen.notes.push(byId("profile-note").textContent);
    if (step === 1) seen.values = [...document.querySelectorAll("#at-values dd")].map((value) => value.textContent);
  }
  seen.spectrum = written.spectrum;
  [...document.querySelectorAll("#choice button")].find((button) => button.textContent === "condition").click();
  seen.keys = document.querySelectorAll("#scale .key").length;
  const details = document.querySelector("#lyapunov details");
  details.open = true;
  await drawn();
  seen.exponents = [...details.querySelectorAll("td")].map((cell) => cell.textContent);
)");
  CHECK(seen["begin"] == "layer 0: x, step 0");  // the product is there
  CHECK(seen["through"]["steps"] == json({0, 2}));
  CHECK(seen["through"]["values"][0] == doctest::Approx(2 * std::log10(0.5)));
  CHECK(seen["through"]["values"][1].is_null());  // -infinity: no gradient is left
  CHECK(seen["alarm"] == "nonfinite a, step 1, y: its output is not finite");
  CHECK(std::count(seen["losses"].begin(), seen["losses"].end(), "2") == 1);  // 1.5 is in sight, 2e22 is not
  const auto note_has = [&](size_t step, const char* part) {
    INFO(seen["notes"][step]);
    CHECK(seen["notes"][step].get<std::string>().find(part) != std::string::npos);
  };
  note_has(0, "×0.25 came, between ×3.16 and ×3.16 could, the product of the σmax is ×7.94: 0.4 decades");
  note_has(1, "Not all layers were measured at this step. The norm of the product was measured at step 0.");
  note_has(2, "0 came, the product of the σmax is ×1. The norm of the product was measured at step 0.");
  CHECK(seen["values"] == json({"2 at step 0", "0.5 at step 0", "0.25 at step 0", "3 at step 0", "1"}));
  CHECK(seen["keys"] == 0);  // the condition is shown until it is measured again
  CHECK(seen["spectrum"].back() == "no value is finite and above zero");
  CHECK(seen["exponents"] == json({"1", "0.1", "0.3", "0.1"}));
}

TEST_CASE(
    "report page: a negative loss has an axis as it is, steps are whole, no curve is empty, all alarms are counted") {
  const Folder folder;
  std::string record = R"({"type":"run","run":"a","schema":2})"
                       "\n";
  for (int i = 0; i < 5; ++i)
    record += json({{"type", "step"}, {"run", "a"}, {"step", 100000 * i}, {"loss", 1.5 - i}}).dump() + "\n";
  for (int i = 0; i < 300; ++i)
    record += json({{"type", "alarm"}, {"run", "a"}, {"step", i}, {"kind", "nonfinite"}}).dump() + "\n";
  write_page(folder, record);
  const json seen = drive(folder, R"(
  const written = [], fillText = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    if (this.canvas.id === "curves") written.push(text);
    fillText.call(this, text, ...rest);
  };
  moveTo({step: 300000});
  await drawn();
  seen.alarms = document.querySelector("#alarms summary").textContent;
  seen.written = written;
  seen.value = runs[0].output.textContent;
  seen.curves = document.querySelectorAll("#curves-choice button").length;
  byId("curves-table").open = true;
  await drawn();
  seen.table = byId("curves-table").querySelector("tbody tr:last-child").textContent;
  seen.steps = byId("summary").querySelectorAll("td")[1].textContent;
)");
  for (const std::string text : {"−2", "−1", "0", "1", "100000", "400000"})
    CHECK_MESSAGE(std::count(seen["written"].begin(), seen["written"].end(), text) >= 1, text, " of ",
                  seen["written"].dump());
  CHECK(seen["alarms"] == "300 alarms, 200 of them here");
  CHECK(seen["value"] == "−1.5");
  CHECK(seen["curves"] == 1);  // no gradient norm was recorded
  CHECK(seen["table"] == "400000−2.5");
  CHECK(seen["steps"] == "400001 (open)");
}
