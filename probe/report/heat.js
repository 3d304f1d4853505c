// Walls of pictures: one picture a run, rows by steps, in the colours of one scale; and the scale itself.

// `of` names the runs' boards, `row` the cursor's place in them, `id` the wall's elements on the page.
function makeWall(of, row, id, quantities) {
  const shown = runs.filter((run) => run[of].frames.length && run[of].rows.length);
  const present = quantities.filter((name) => shown.some((run) => run[of].values[name]));
  return {of, row, id, runs: shown, quantities: present, quantity: present[0] || quantities[0], maps: [], scale: null,
    margin: {l: 9 + 7 * Math.max(3, ...shown.map((run) => String(run[of].rows.length - 1).length)), r: 2, t: 4, b: 18}, end: Math.max(1, ...shown.map((run) => run[of].end))};
}
const layerWall = makeWall("layers", "layer", "", OF_LAYERS), parameterWall = makeWall("parameters", "parameter", "parameter-", OF_PARAMETERS);

function makeScale(wall) {
  const {centred} = QUANTITIES[wall.quantity], sample = [];
  for (const run of wall.runs) {
    const values = run[wall.of].values[wall.quantity] || [], stride = Math.ceil(values.length / 20000);
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
  wall.scale = {lo, hi, centred, colour: (log) => colour((log - lo) / (hi - lo)), middle: (lo + hi) / 2};
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
function worst(wall, board, frames, rows) {
  let shown = MISSING, far = -1;
  for (const f of frames)
    for (let r = rows[0]; r <= rows[1]; ++r) {
      const log = logAt(board, wall.quantity, f, r);
      if (log === MISSING) continue;
      const distance = Number.isNaN(log) ? Infinity : Math.abs(log - wall.scale.middle);
      if (distance > far) shown = log, far = distance;
    }
  return shown;
}

function paint(wall, board, w, h) {  // in device pixels
  const image = new ImageData(w, h), pattern = patterns();
  const frames = framesOf(board, wall.quantity), steps = frames.map((frame) => board.frames[frame]);
  const columns = Array.from({length: w}, (_, px) => {
    const from = (px / w) * wall.end, to = ((px + 1) / w) * wall.end;
    if (from >= board.end || to <= steps[0]) return null;
    const last = indexAt(steps, to);
    return [indexAt(steps, from), steps[last] >= to && last > 0 ? last - 1 : last];
  });
  const rows = Math.min(board.rows.length, h), thick = h / rows >= 8;
  for (let r = 0; r < rows; ++r) {
    const top = Math.floor((r * h) / rows), bottom = Math.floor(((r + 1) * h) / rows);
    const first = Math.floor((r * board.rows.length) / rows), last = Math.ceil(((r + 1) * board.rows.length) / rows) - 1;
    let log = MISSING, before = null;
    for (let px = 0; px < w; ++px) {
      const span = columns[px];
      if (span && !(before && before[0] === span[0] && before[1] === span[1])) log = worst(wall, board, frames.slice(span[0], span[1] + 1), [first, last]);
      before = span;
      const kind = span ? kindOf(log) : "", colour = !span ? pattern.paper : kind ? null : wall.scale.colour(log);
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

function drawMap(wall, map, repaint) {
  const {ctx, w, h, ratio} = surface(map.canvas), {run} = map, board = run[wall.of], m = wall.margin;
  const box = {l: m.l, t: m.t, w: w - m.l - m.r, h: h - m.t - m.b};
  if (box.w < 10) return;
  if (repaint || !map.image) map.image = paint(wall, board, Math.round(box.w * ratio), Math.round(box.h * ratio));
  ctx.imageSmoothingEnabled = false;
  ctx.drawImage(map.image, box.l, box.t, box.w, box.h);
  const rows = board.rows.length, x = (step) => box.l + (step / wall.end) * box.w, y = (r) => box.t + ((r + 0.5) / rows) * box.h;
  for (const r of rows > 1 ? ticks(0, rows - 1, 5).filter(Number.isInteger) : [0]) label(ctx, String(r), box.l - 5, y(r), "right");
  for (const t of ticks(0, wall.end, box.w / 70).filter(Number.isInteger)) label(ctx, whole(t), Math.max(box.l + 3, x(t)), h - 7);

  const f = indexAt(board.frames, cursor.step), from = board.frames[f], to = f + 1 < board.frames.length ? board.frames[f + 1] : board.end;
  const cx = Math.round(x((from + Math.min(to, wall.end)) / 2)) + 0.5, active = run === cursor.run;
  if (cursor.step < board.end) {
    ctx.globalAlpha = active ? 1 : 0.45;
    line(ctx, css("--cursor"), 1, [[cx, box.t], [cx, box.t + box.h]]);
  }
  if (active) {
    const cy = Math.round(y(cursor[wall.row])) + 0.5;
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

function drawScale(wall) {
  const {lo, hi, centred, colour} = wall.scale, place = byId(wall.id + "scale"), pattern = patterns(), strip = el("canvas");
  const bar = el("div", {className: "ramp"}, strip), kinds = new Set();
  for (const {[wall.of]: board} of wall.runs)
    for (const frame of framesOf(board, wall.quantity)) board.rows.forEach((_, row) => kinds.add(kindOf(logAt(board, wall.quantity, frame, row))));
  const keys = [["nan", "NaN"], ["infinite", "infinite"], ["zero", "exactly zero"], ["absent", "not measured"]].filter(([kind]) => kinds.has(kind));
  place.replaceChildren(bar, ...keys.map(([kind, name]) => el("span", {className: "key"}, el("canvas", {kind}), name)));
  const {ctx, w} = surface(strip), pad = 22, long = w - 2 * pad;
  for (let i = 0; i < long; ++i) {
    ctx.fillStyle = `rgb(${colour(lo + ((hi - lo) * (i + 0.5)) / long)})`;
    ctx.fillRect(pad + i, 0, 1.5, 13);
  }
  ctx.fillStyle = css("--soft");
  const marks = centred ? [lo, lo / 2, 0, hi / 2, hi] : [lo, (lo + hi) / 2, hi];
  for (const t of marks) label(ctx, (centred ? "×" : "") + power(t, 2), pad + ((t - lo) / (hi - lo)) * long, 23);
  if (centred) bar.title = `log10 from ${num(lo)} to ${num(hi)}; beyond, the end's colour`;
  place.querySelectorAll(".key canvas").forEach((canvas, i) => {
    const {ctx: c, w: cw, h: ch} = surface(canvas);
    for (let px = 0; px < cw; ++px)
      for (let py = 0; py < ch; ++py) {
        c.fillStyle = `rgb(${pattern[keys[i][0]](px, py)})`;
        c.fillRect(px, py, 1, 1);
      }
  });
}


function makeMaps(wall) {
  const holder = byId(wall.id + "maps");
  holder.style.setProperty("--left", wall.margin.l + "px");
  const ordered = isFamily ? [...wall.runs].sort((a, b) => nets.indexOf(a.net) - nets.indexOf(b.net) || a.depth - b.depth) : wall.runs;
  if (isFamily && depths.length <= 4 && wall.runs.length === nets.length * depths.length)
    holder.style.gridTemplateColumns = `repeat(${depths.length}, minmax(0, 1fr))`;
  holder.classList.toggle("few", ordered.length <= 4 && !holder.style.gridTemplateColumns);
  for (const run of ordered) {
    const board = run[wall.of];
    const canvas = el("canvas", {tabIndex: 0, role: "img", "aria-label": `${run.name}: ${board.rows.length} ${wall.of} by ${board.frames.length} steps. Arrow keys move the cursor; the table below holds the numbers.`});
    const details = el("details", {}, el("summary", {}, "As a table")), {loss, accuracy} = run.summary;
    const facts = (loss === null ? "" : `loss ${num(loss)}`) + (accuracy === undefined || accuracy === null ? "" : ` · ${percent(accuracy)}`);
    const figure = el("figure", {}, el("figcaption", {}, el("b", {title: run.name}, run.name), el("span", {}, facts)), canvas, details);
    const refill = tableIn(details, () => {
      const having = framesOf(board, wall.quantity), frames = some(having.length, 24).map((k) => having[k]);
      return table([QUANTITIES[wall.quantity].label, ...frames.map((f) => `step ${board.frames[f]}`)],
        board.rows.map((name, r) => [`${r} ${name}`, ...frames.map((f) => power(logAt(board, wall.quantity, f, r)))]));
    });
    wall.maps.push({run, canvas, figure, refill, image: null});
    holder.append(figure);
    const under = (event) => {
      const m = wall.margin, w = canvas.clientWidth - m.l - m.r, h = canvas.clientHeight - m.t - m.b;
      const step = ((event.offsetX - m.l) / w) * wall.end;
      return {run, step: board.frames[indexAt(board.frames, step)], [wall.row]: Math.floor(((event.offsetY - m.t) / h) * board.rows.length)};
    };
    canvas.addEventListener("pointermove", (event) => cursor.held || moveTo(under(event)));
    canvas.addEventListener("click", (event) => moveTo({...under(event), held: !cursor.held}));
    canvas.addEventListener("focus", () => cursor.held || moveTo({run}));
    canvas.addEventListener("keydown", (event) => {
      const frame = indexAt(board.frames, cursor.step), last = board.frames.length - 1;
      const to = (f) => ({run, step: board.frames[Math.max(0, Math.min(last, f))]}), by = (r) => ({run, [wall.row]: cursor[wall.row] + r});
      const change = {
        ArrowLeft: to(frame - 1), ArrowRight: to(frame + 1), Home: to(0), End: to(last),
        ArrowUp: by(-1), ArrowDown: by(1), PageUp: by(-10), PageDown: by(10),
      }[event.key];
      if (!change) return;
      event.preventDefault();
      moveTo(change);
    });
  }
}

function drawWall(wall) {
  makeScale(wall);
  drawScale(wall);
  for (const map of wall.maps) {
    drawMap(wall, map, true);
    map.refill();
  }
}

function startWall(wall) {
  makeMaps(wall);
  choice(byId(wall.id + "choice"), wall.quantities.map((name) => [name, QUANTITIES[name].label, QUANTITIES[name].title]), wall.quantity, (quantity) => {
    wall.quantity = quantity;
    drawWall(wall);
  });
  if (wall.runs.some((run) => run[wall.of].measured > run[wall.of].frames.length))
    byId(wall.id + "maps").before(el("p", {className: "note"}, "Long runs are thinned to keep this page small: of each group of neighbouring measured steps the most extreme is shown, and the steps with details. The record holds all."));
}
