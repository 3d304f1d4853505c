// The report page's layout: what is where, in boxes, on a wide and on a narrow page.
#include "tests/probe/browser.h"

using namespace browser;
using nlohmann::json;

namespace {

constexpr const char* boxes = R"(
  // Texts within a canvas: as they are written.
  const written = new Map(), plain = {surface, fillText: CanvasRenderingContext2D.prototype.fillText};
  surface = (canvas) => (written.set(canvas, []), plain.surface(canvas));
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    plain.fillText.call(this, text, x, y);
    const m = this.measureText(text), box = new DOMRect(x - m.actualBoundingBoxLeft, y - m.actualBoundingBoxAscent, m.actualBoundingBoxLeft + m.actualBoundingBoxRight, m.actualBoundingBoxAscent + m.actualBoundingBoxDescent);
    written.get(this.canvas).push({box, name: text});
  };
  for (const details of document.querySelectorAll("details")) details.open = true;
  await drawn();
  drawAll();
  await drawn();

  const nameOf = (node) => node.nodeType === Node.TEXT_NODE ? nameOf(node.parentElement) + " '" + node.data.slice(0, 40) + "'"
    : node.tagName.toLowerCase() + (node.id && "#" + node.id) + (node.className && "." + node.className);
  const within = (box, outer, by = 2) => box.left >= outer.left - by && box.right <= outer.right + by && box.top >= outer.top - by && box.bottom <= outer.bottom + by;
  const overlapping = (all, where) => {
    for (const [i, a] of all.entries())
      for (const b of all.slice(0, i)) {
        const wide = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left), high = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
        if (wide > 1 && high > 3) seen.overlapping.push(where + b.name + " and " + a.name);
      }
  };
  seen.overlapping = [], seen.outside = [], seen.cut = [], seen.blank = [];

  // Every element within its parent, where that does not scroll, and apart from its siblings.
  const shown = (node) => node.checkVisibility() && !node.closest("table");
  for (const element of [...document.querySelectorAll("body, header, header *, main, main *")].filter(shown)) {
    const outer = element.getBoundingClientRect(), children = [...element.children].filter((child) => shown(child) && getComputedStyle(child).display !== "inline");
    const all = children.map((child) => ({box: child.getBoundingClientRect(), name: nameOf(child)}));
    if (getComputedStyle(element).overflowX === "visible")
      for (const {box, name} of all) if (!within(box, outer)) seen.outside.push(name + " of " + nameOf(element));
    overlapping(all, "");
  }
  seen.page = document.documentElement.scrollWidth;

  // Texts and pictures: all apart from each other; a text is cut only where a title says it whole or the panel scrolls.
  const leaves = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ALL);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
    if (!element.checkVisibility() || element.closest("script") || (node === element && node.tagName !== "CANVAS")) continue;
    const lines = document.createRange();
    lines.selectNode(node);
    for (const box of node === element ? [node.getBoundingClientRect()] : lines.getClientRects()) {
      let {left, right, top, bottom} = box;
      for (let outer = element; outer !== document.body; outer = outer.parentElement) {
        const {overflowX, display} = getComputedStyle(outer);
        if (overflowX === "visible" || display === "inline") continue;
        const clip = outer.getBoundingClientRect();
        if (overflowX === "hidden" && !within({left, right, top, bottom}, clip) && !outer.title && !outer.parentElement.title) seen.cut.push(nameOf(node));
        left = Math.max(left, clip.left), right = Math.min(right, clip.right), top = Math.max(top, clip.top), bottom = Math.min(bottom, clip.bottom);
      }
      if (right > left && bottom > top) leaves.push({box: {left, right, top, bottom}, name: nameOf(node)});
    }
  }
  overlapping(leaves, "");
  seen.leaves = leaves.length;

  for (const [canvas, texts] of written) {
    if (!canvas.checkVisibility()) continue;
    const box = canvas.getBoundingClientRect(), where = nameOf(canvas) + " " + (canvas.getAttribute("aria-label") || "").slice(0, 40) + ": ";
    if (!canvas.width || !canvas.height || box.width < 20 || !canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte)) seen.blank.push(where);
    for (const text of texts) if (!within(text.box, new DOMRect(0, 0, box.width, box.height), 0.5)) seen.cut.push(where + text.name);
    overlapping(texts, where);
  }
  seen.canvases = written.size;
  const {left, right, top, width} = byId("maps").getBoundingClientRect(), inspector = byId("inspector").getBoundingClientRect();
  seen.maps = {left, right, top, width}, seen.inspector = {left: inspector.left, right: inspector.right, top: inspector.top, width: inspector.width};
  seen.notes = document.querySelectorAll("#layers > .note").length;
)";

// What holds of every page.
json laid_out(const Folder& folder, int width) {
  CAPTURE(width);
  const json seen = drive(folder, boxes, width);
  CHECK(seen["page"].get<int>() <= width);
  for (const std::string fault : {"outside", "overlapping", "cut", "blank"})
    CHECK_MESSAGE(seen[fault].empty(), fault, ": ", seen[fault].dump(1));
  CHECK(seen["leaves"].get<int>() > 200);
  CHECK(seen["canvases"].get<int>() >= 10);
  return seen;
}

// On a wide page the maps have the first column and the panel of the cursor is beside them; on a narrow one it is above
// them, as wide as they are.
void check_layout(const Folder& folder, bool thinned) {
  const json wide = laid_out(folder, 1400), narrow = laid_out(folder, 700);
  CHECK(wide["notes"] == (thinned ? 1 : 0));
  CHECK(wide["inspector"]["left"] > wide["maps"]["right"]);
  CHECK(wide["inspector"]["top"] == wide["maps"]["top"]);
  CHECK(wide["maps"]["width"].get<double>() > 2 * wide["inspector"]["width"].get<double>());
  CHECK(narrow["inspector"]["top"] < narrow["maps"]["top"]);
  CHECK(narrow["inspector"]["width"] == narrow["maps"]["width"]);
}

}  // namespace

TEST_CASE("report page: panels, pictures and texts have their places on a wide and on a narrow page") {
  const Folder folder;
  write_page(folder, Record().text());
  check_layout(folder, false);
}

TEST_CASE("report page: the numbers of a thousand layers and of a million steps are whole") {
  const Folder folder;
  write_page(folder, Record{.layers = 1100, .steps = 3, .every = 1, .stride = 500000}.text());
  for (const int width : {1400, 500}) laid_out(folder, width);
}

TEST_CASE("report page: a thinned record of a deep net with long names has the same layout") {
  const Folder folder;
  write_page(
      folder,
      Record{.layers = 100, .steps = 150, .every = 1, .site = "encoder.layers.self_attention.out_projection."}.text());
  check_layout(folder, true);
}
