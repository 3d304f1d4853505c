// Colours, a few words for the document, and for canvases.

const dark = matchMedia("(prefers-color-scheme: dark)");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const RAMPS = {  // safe for colour-blind eyes: blue against orange; viridis
  centred: ["#08306b", "#2171b5", "#6baed6", "#c6dbef", "#f3f3f1", "#fdd0a2", "#fd9140", "#d25505", "#7f2704"],
  centredDark: ["#c4e4ff", "#7dbdf5", "#4189d2", "#285a92", "#1d2126", "#8a4a14", "#cc6c1c", "#f6943f", "#ffd9b0"],
  plain: ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"],
};
function ramp(centred) {  // [0, 1] -> [r, g, b], from a table of 256
  const stops = RAMPS[centred ? (dark.matches ? "centredDark" : "centred") : "plain"]
    .map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const table = Array.from({length: 256}, (_, i) => {
    const at = (i / 255) * (stops.length - 1), k = Math.min(stops.length - 2, Math.floor(at));
    return stops[k].map((from, c) => Math.round(from + (stops[k + 1][c] - from) * (at - k)));
  });
  return (t) => table[Math.max(0, Math.min(255, Math.round(t * 255)))];
}

// ---- document

const byId = (id) => document.getElementById(id);
function el(tag, properties = {}, ...children) {  // strings become text, never markup
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  node.append(...children);
  return node;
}
function table(head, rows) {
  const row = (cells, tag) => el("tr", {}, ...cells.map((cell) => el(tag, {}, cell)));
  return el("div", {className: "wide"},
    el("table", {}, el("thead", {}, row(head, "th")), el("tbody", {}, ...rows.map((cells) => row(cells, "td")))));
}
// Fills a <details> when it is opened; the function returned fills it anew if it is open.
function tableIn(details, make) {
  const fill = () => {
    if (details.open) details.replaceChildren(details.firstElementChild, make());
  };
  details.addEventListener("toggle", fill);
  return fill;
}
// At most `most` of the indices below `size`, evenly, with the first and the last.
const some = (size, most) => size <= most ? [...Array(size).keys()]
  : Array.from({length: most}, (_, i) => Math.round((i * (size - 1)) / (most - 1)));
function choice(container, options, chosen, onChoose) {
  const buttons = options.map(([value, label, title]) =>
    el("button", {type: "button", title: title || "", "aria-pressed": String(value === chosen), onclick: () => {
      for (const b of buttons) b.setAttribute("aria-pressed", String(b === buttons[options.findIndex((o) => o[0] === value)]));
      onChoose(value);
    }}, label));
  container.replaceChildren(...buttons);
}

// ---- canvas

function surface(canvas) {  // sharp on any screen; returns its context and size in CSS pixels
  const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  canvas.width = Math.round(w * ratio);
  canvas.height = Math.round(h * ratio);
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.font = "11px system-ui, sans-serif";
  ctx.fillStyle = css("--soft");
  return {ctx, w, h, ratio};
}
function line(ctx, colour, width, points, dash = []) {  // a point that is null or not finite lifts the pen
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.setLineDash(dash);
  ctx.lineJoin = "round";
  ctx.beginPath();
  let down = false;
  for (const point of points) {
    if (!point || !Number.isFinite(point[0] + point[1])) down = false;
    else {
      if (down) ctx.lineTo(...point);
      else ctx.moveTo(...point), ctx.lineTo(...point);
      down = true;
    }
  }
  ctx.stroke();
  ctx.setLineDash([]);
}
function dot(ctx, colour, x, y) {
  ctx.fillStyle = colour;
  ctx.beginPath();
  ctx.arc(x, y, 3.5, 0, 7);
  ctx.fill();
}
function label(ctx, text, x, y, align = "center") {  // whole: moved inside where it would be cut
  const half = ctx.measureText(text).width / 2 + 1, {clientWidth: w, clientHeight: h} = ctx.canvas;
  ctx.textAlign = align;
  ctx.textBaseline = "middle";
  ctx.fillText(text, align === "center" ? Math.max(half, Math.min(w - half, x)) : x, Math.max(6, Math.min(h - 6, y)));
}
function nothing(ctx, box, why) {  // in an empty picture
  ctx.fillStyle = css("--soft");
  label(ctx, why, (box.l + box.r) / 2, (box.t + box.b) / 2 - 10);
}

// A grid with numbers along both axes; x and y are [lo, hi]. Returns where a point lies, and the box.
function axes(canvas, {x: xs, y: ys, xName, yName = power, key = []}) {
  const {ctx, w, h} = surface(canvas), box = {l: 50, r: w - 14, t: key.length ? 22 : 10, b: h - 30};
  const pad = 0.06 * (ys[1] - ys[0]) || 0.5, [lo, hi] = [ys[0] - pad, ys[1] + pad], wide = xs[1] - xs[0] || 1;
  const x = (v) => box.l + ((v - xs[0]) / wide) * (box.r - box.l), y = (v) => box.b - ((v - lo) / (hi - lo)) * (box.b - box.t);
  const marks = yName === num ? ticks(lo, hi, 6) : logTicks(lo, hi, 6);
  for (const t of marks) {
    const zero = Math.abs(t) < 1e-9;
    line(ctx, css(zero ? "--soft" : "--grid"), 1, [[box.l, y(t)], [box.r, y(t)]]);
    label(ctx, yName(t), box.l - 6, y(t), "right");
  }
  for (const t of ticks(xs[0], xs[1], Math.min(6, wide)).filter(Number.isInteger)) label(ctx, whole(t), x(t), box.b + 10);
  label(ctx, xName, (box.l + box.r) / 2, box.b + 23);
  let at = box.l;
  for (const [name, colour, dash] of key) {
    line(ctx, css(colour), 2.2, [[at, 8], [at + 16, 8]], dash);
    ctx.fillStyle = css("--soft");
    label(ctx, name, at + 21, 8, "left");
    at += 32 + ctx.measureText(name).width;
  }
  return {ctx, box, x, y};
}
function range(values, start = [Infinity, -Infinity]) {  // of what is finite
  let [lo, hi] = start;
  for (const v of values) if (Number.isFinite(v) && v !== MISSING) lo = Math.min(lo, v), hi = Math.max(hi, v);
  return lo > hi ? [-1, 1] : [lo, hi];
}
function mark(ctx, box, at) {  // the cursor
  line(ctx, css("--cursor"), 1, [[at, box.t], [at, box.b]], [3, 3]);
}
