// One picture a run, layer by step, in the colours of one scale; and the scale itself.

const measured = runs.filter((run) => run.frames.length && run.layers.length);
const heat = {quantity: "sigma_max", maps: [], scale: null, margin: {l: 30, r: 2, t: 4, b: 18}};

// How long the last frame of a run stays in sight: as long as frames usually do.
for (const run of measured) {
  const gaps = run.frames.slice(1).map((step, i) => step - run.frames[i]).sort((a, b) => a - b);
  run.end = run.frames[run.frames.length - 1] + (gaps.length ? gaps[gaps.length >> 1] : 1) || 1;
}
const heatEnd = Math.max(1, ...measured.map((run) => run.end));

function makeScale() {
  const {centred} = QUANTITIES[heat.quantity], sample = [];
  for (const run of measured) {
    const values = run.values[heat.quantity] || [], stride = Math.ceil(values.length / 20000);
    for (let i = 0; i < values.length; i += stride)
      if (Number.isFinite(values[i]) && values[i] !== MISSING) sample.push(centred ? Math.abs(values[i]) : values[i]);
  }
  sample.sort((a, b) => a - b);
  const quantile = (q) => sample[Math.min(sample.length - 1, Math.floor(q * sample.length))] ?? 0;
  let lo, hi;
  if (centred) {
    hi = [0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200].find((m) => m >= quantile(0.98)) || 300;
    lo = -hi;
  } else {
    lo = quantile(0.01);
    hi = Math.max(quantile(0.995), lo + 0.05);
  }
  const colour = ramp(centred);
  heat.scale = {lo, hi, centred, colour: (log) => colour((log - lo) / (hi - lo)), middle: (lo + hi) / 2};
}

// What cannot be coloured is patterned: NaN and infinity in stripes, an exact zero in dots.
const hex = (name) => [1, 3, 5].map((at) => parseInt(css(name).slice(at, at + 2), 16));
function patterns() {
  const [paper, nan, up, between, zero, absent] = ["--paper", "--nan", "--up", "--between", "--zero", "--absent"].map(hex);
  return {
    nan: (x, y) => ((x + y) % 6 < 3 ? nan : between),
    infinite: (x, y) => ((x - y + 6000) % 6 < 3 ? up : between),
    zero: (x, y) => (x % 4 < 2 && y % 4 < 2 ? zero : absent),
    absent: () => absent,
    paper,
  };
}
const kindOf = (log) => log === MISSING ? "absent" : Number.isNaN(log) ? "nan" : log === Infinity ? "infinite" : log === -Infinity ? "zero" : "";

// Of a block of cells the one to show: what is no number first, then the farthest from the scale's middle.
function worst(run, frames, layers) {
  let shown = MISSING, far = -1;
  for (let f = frames[0]; f <= frames[1]; ++f)
    for (let l = layers[0]; l <= layers[1]; ++l) {
      const log = logAt(run, heat.quantity, f, l);
      if (log === MISSING) continue;
      const distance = Number.isNaN(log) ? Infinity : Math.abs(log - heat.scale.middle);
      if (distance > far) shown = log, far = distance;
    }
  return shown;
}

function paint(run, w, h) {  // in device pixels
  const image = new ImageData(w, h), pattern = patterns();
  const columns = Array.from({length: w}, (_, px) => {
    const from = (px / w) * heatEnd, to = ((px + 1) / w) * heatEnd;
    if (from >= run.end || to <= run.frames[0]) return null;
    const last = indexAt(run.frames, to);
    return [indexAt(run.frames, from), run.frames[last] >= to && last > 0 ? last - 1 : last];
  });
  const rows = Math.min(run.layers.length, h), thick = h / rows >= 8;
  for (let r = 0; r < rows; ++r) {
    const top = Math.floor((r * h) / rows), bottom = Math.floor(((r + 1) * h) / rows);
    const first = Math.floor((r * run.layers.length) / rows), last = Math.ceil(((r + 1) * run.layers.length) / rows) - 1;
    let log = MISSING, before = null;
    for (let px = 0; px < w; ++px) {
      const span = columns[px];
      if (span && !(before && before[0] === span[0] && before[1] === span[1])) log = worst(run, span, [first, last]);
      before = span;
      const kind = span ? kindOf(log) : "", colour = !span ? pattern.paper : kind ? null : heat.scale.colour(log);
      for (let y = top; y < bottom; ++y) {
        const [red, green, blue] = thick && y === bottom - 1 && r < rows - 1 ? pattern.paper : colour || pattern[kind](px, y);
        image.data.set([red, green, blue, 255], 4 * (y * w + px));
      }
    }
  }
  const canvas = el("canvas", {width: w, height: h});
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function drawMap(map, repaint) {
  const {ctx, w, h, ratio} = surface(map.canvas), {run} = map, m = heat.margin;
  const box = {l: m.l, t: m.t, w: w - m.l - m.r, h: h - m.t - m.b};
  if (box.w < 10) return;
  if (repaint || !map.image) map.image = paint(run, Math.round(box.w * ratio), Math.round(box.h * ratio));
  ctx.imageSmoothingEnabled = false;
  ctx.drawImage(map.image, box.l, box.t, box.w, box.h);
  const layers = run.layers.length, x = (step) => box.l + (step / heatEnd) * box.w, y = (l) => box.t + ((l + 0.5) / layers) * box.h;
  for (const l of new Set(some(layers, Math.min(layers, 5)))) label(ctx, String(l), box.l - 5, y(l), "right");
  for (const t of ticks(0, heatEnd, box.w / 70).filter(Number.isInteger)) if (x(t) < w - 12) label(ctx, num(t, 6), Math.max(box.l + 3, x(t)), h - 7);

  const f = indexAt(run.frames, cursor.step), from = run.frames[f], to = f + 1 < run.frames.length ? run.frames[f + 1] : run.end;
  const cx = Math.round(x((from + Math.min(to, heatEnd)) / 2)) + 0.5, active = run === cursor.run;
  if (cursor.step < run.end) {
    ctx.globalAlpha = active ? 1 : 0.45;
    line(ctx, css("--cursor"), 1, [[cx, box.t], [cx, box.t + box.h]]);
  }
  if (active) {
    const cy = Math.round(y(cursor.layer)) + 0.5;
    line(ctx, css("--cursor"), 1, [[box.l, cy], [box.l + box.w, cy]]);
    ctx.fillStyle = css("--paper");
    ctx.strokeStyle = css("--cursor");
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    ctx.arc(cx, cy, 3.5, 0, 7);
    ctx.fill();
    ctx.stroke();
  }
  ctx.globalAlpha = 1;
  map.figure.classList.toggle("active", active);
}

function drawScale() {
  const {lo, hi, centred, colour} = heat.scale, pattern = patterns(), strip = el("canvas");
  const bar = el("div", {className: "ramp"}, strip), kinds = new Set();
  for (const run of measured) for (const log of run.values[heat.quantity] || []) if (kindOf(log)) kinds.add(kindOf(log));
  const keys = [["nan", "NaN"], ["infinite", "infinite"], ["zero", "exactly zero"], ["absent", "not measured"]].filter(([kind]) => kinds.has(kind));
  byId("scale").replaceChildren(bar, ...keys.map(([kind, name]) => el("span", {className: "key"}, el("canvas", {kind}), name)));
  const {ctx, w} = surface(strip), pad = 22, long = w - 2 * pad;
  for (let i = 0; i < long; ++i) {
    ctx.fillStyle = `rgb(${colour(lo + ((hi - lo) * (i + 0.5)) / long)})`;
    ctx.fillRect(pad + i, 0, 1.5, 13);
  }
  ctx.fillStyle = css("--soft");
  const marks = centred ? [lo, lo / 2, 0, hi / 2, hi] : [lo, (lo + hi) / 2, hi];
  for (const t of marks) label(ctx, (centred ? "×" : "") + power(t, 2), pad + ((t - lo) / (hi - lo)) * long, 23);
  if (centred) bar.title = `log10 from ${num(lo)} to ${num(hi)}; beyond, the end's colour`;
  byId("scale").querySelectorAll(".key canvas").forEach((canvas, i) => {
    const {ctx: c, w: cw, h: ch} = surface(canvas);
    for (let px = 0; px < cw; ++px)
      for (let py = 0; py < ch; ++py) {
        c.fillStyle = `rgb(${pattern[keys[i][0]](px, py)})`;
        c.fillRect(px, py, 1, 1);
      }
  });
}

