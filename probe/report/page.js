// The page: the table of runs, the cursor that all pictures share, and what redraws when.

const cursor = {run: null, layer: 0, step: 0, held: false};
let waiting = false;

function moveTo(change) {
  Object.assign(cursor, change);
  if (cursor.run) cursor.layer = Math.max(0, Math.min(cursor.run.layers.length - 1, cursor.layer));
  if (!waiting) requestAnimationFrame(drawCursor);
  waiting = true;
}

let refillProfileTable = () => {};
function drawCursor() {
  waiting = false;
  drawCurves();
  for (const map of heat.maps) drawMap(map, false);
  if (!cursor.run) return;
  drawInspector();
  drawProfile();
  refillProfileTable();
}

function drawHeat() {
  makeScale();
  drawScale();
  for (const map of heat.maps) {
    drawMap(map, true);
    map.refill();
  }
}

function drawAll() {
  drawLegend();
  if (measured.length) drawHeat();
  drawCursor();
}

function makeSummary() {
  const reach = Math.max(1, ...runs.map((run) => Math.abs(run.summary.gain)).filter(Number.isFinite));
  const bar = (gain) => {
    const share = Math.min(1, Math.abs(gain) / reach) * 50, mark = el("i", {className: gain < 0 ? "down" : "up"});
    mark.style.width = share + "%";
    mark.style.left = (gain < 0 ? 50 - share : 50) + "%";
    return el("span", {className: "bar", title: `×${power(gain)}`}, mark, el("i", {className: "axis"}));
  };
  const head = ["run", ...(isFamily ? ["net", "depth"] : []), "steps", "final loss", "accuracy", "end-to-end gain, log10", "σmax mean", "min", "max", "ms a step", "measuring"];
  const rows = runs.map((run, i) => {
    const s = run.summary, gain = s.gain === undefined ? NaN : Number(s.gain), sigma = s.sigma || [];
    const cell = (text, bad) => el("td", {className: bad ? "bad" : ""}, text);
    const wrong = (v) => v !== undefined && v !== null && !Number.isFinite(Number(v));
    const gainCell = cell(s.gain === undefined ? "–" : fixed(gain, Math.abs(gain) < 1 ? 2 : 1), wrong(s.gain));
    gainCell.append(Number.isFinite(gain) ? bar(gain) : el("span", {className: "bar"}));
    return el("tr", {className: isFamily && i && runs[i - 1].net !== run.net ? "group" : ""},
      cell(run.name), ...(isFamily ? [el("td", {className: "text"}, run.net), cell(String(run.depth))] : []),
      cell(num(s.steps, 9) + (s.cut ? " (cut)" : ""), s.cut), cell(num(s.loss), wrong(s.loss)), cell(percent(s.accuracy)), gainCell,
      ...[1, 0, 2].map((k) => cell(num(sigma[k]), wrong(sigma[k]))), cell(num(s.ms)), cell(percent(s.measuring)));
  });
  byId("summary").append(el("thead", {}, el("tr", {}, ...head.map((text) => el("th", {className: text === "net" ? "text" : ""}, text)))), el("tbody", {}, ...rows));
  byId("summary-note").textContent = "Gain and σmax over the layers at the last measured step; the mean is geometric." +
    (runs.some((run) => run.summary.cut) ? " A run is “cut” when its record has no end: stopped, or still going." : "");
  const shared = (key) => (new Set(runs.map((run) => String(run[key] ?? ""))).size === 1 ? runs[0][key] : null);
  const options = Object.entries(runs[0].options).filter(([key, value]) => runs.every((run) => run.options[key] === value));
  const facts = [`${runs.length} ${runs.length === 1 ? "run" : "runs"} from ${data.record}`, shared("fathom") && `Fathom ${shared("fathom")}`,
    shared("dtype"), shared("seed") !== null && `seed ${shared("seed")}`, ...options.map(([key, value]) => `${key} ${value}`)];
  byId("about").textContent = facts.filter(Boolean).join(" · ");
}

function makeMaps() {
  const holder = byId("maps");
  const ordered = isFamily ? [...measured].sort((a, b) => nets.indexOf(a.net) - nets.indexOf(b.net) || a.depth - b.depth) : measured;
  if (isFamily && depths.length <= 4 && measured.length === nets.length * depths.length)
    holder.style.gridTemplateColumns = `repeat(${depths.length}, minmax(0, 1fr))`;
  holder.classList.toggle("few", ordered.length <= 4 && !holder.style.gridTemplateColumns);
  for (const run of ordered) {
    const canvas = el("canvas", {tabIndex: 0, role: "img", "aria-label": `${run.name}: ${run.layers.length} layers by ${run.frames.length} steps. Arrow keys move the cursor; the table below holds the numbers.`});
    const details = el("details", {}, el("summary", {}, "As a table")), {loss, accuracy} = run.summary;
    const facts = (loss === null ? "" : `loss ${num(loss)}`) + (accuracy === undefined || accuracy === null ? "" : ` · ${percent(accuracy)}`);
    const figure = el("figure", {}, el("figcaption", {}, el("b", {title: run.name}, run.name), el("span", {}, facts)), canvas, details);
    const refill = tableIn(details, () => {
      const frames = some(run.frames.length, 24);
      return table([QUANTITIES[heat.quantity].label, ...frames.map((f) => `step ${run.frames[f]}`)],
        run.layers.map((name, l) => [`${l} ${name}`, ...frames.map((f) => power(logAt(run, heat.quantity, f, l)))]));
    });
    heat.maps.push({run, canvas, figure, refill, image: null});
    holder.append(figure);
    const under = (event) => {
      const m = heat.margin, w = canvas.clientWidth - m.l - m.r, h = canvas.clientHeight - m.t - m.b;
      const step = ((event.offsetX - m.l) / w) * heatEnd;
      return {run, step: run.frames[indexAt(run.frames, step)], layer: Math.floor(((event.offsetY - m.t) / h) * run.layers.length)};
    };
    canvas.addEventListener("pointermove", (event) => cursor.held || moveTo(under(event)));
    canvas.addEventListener("click", (event) => moveTo({...under(event), held: !cursor.held}));
    canvas.addEventListener("focus", () => cursor.held || moveTo({run}));
    canvas.addEventListener("keydown", (event) => {
      const frame = indexAt(run.frames, cursor.step), last = run.frames.length - 1, {layer} = cursor;
      const to = (f) => ({run, step: run.frames[Math.max(0, Math.min(last, f))]});
      const change = {
        ArrowLeft: to(frame - 1), ArrowRight: to(frame + 1), Home: to(0), End: to(last),
        ArrowUp: {run, layer: layer - 1}, ArrowDown: {run, layer: layer + 1}, PageUp: {run, layer: layer - 10}, PageDown: {run, layer: layer + 10},
      }[event.key];
      if (!change) return;
      event.preventDefault();
      moveTo(change);
    });
  }
}

function start() {
  document.querySelector("main").hidden = false;
  document.title = `Fathom report: ${data.record}`;
  makeSummary();
  startCurves();
  cursor.step = lastStep;
  if (measured.length) {
    const by = (run) => (Number.isFinite(Number(run.summary.gain)) ? Math.abs(run.summary.gain) : 0);
    cursor.run = measured.reduce((a, b) => (by(b) > by(a) ? b : a));  // begin where there is most to see
    cursor.step = cursor.run.frames[cursor.run.frames.length - 1];
    makeMaps();
    const present = Object.keys(QUANTITIES).filter((name) => measured.some((run) => run.values[name]));
    heat.quantity = present[0] || heat.quantity;
    choice(byId("heat-choice"), present.map((name) => [name, QUANTITIES[name].label, QUANTITIES[name].title]), heat.quantity, (quantity) => {
      heat.quantity = quantity;
      drawHeat();
    });
    refillProfileTable = tableIn(byId("profile-table"), profileTable);
    const thinned = measured.some((run) => run.measured > run.frames.length);
    if (thinned) byId("layers").before(el("p", {className: "note"}, "Long runs are thinned to keep this page small: of each group of neighbouring measured steps the most extreme is shown. The record holds all."));
  } else byId("layers").replaceChildren("No layer was measured in this record.");
  drawAll();
  dark.addEventListener("change", drawAll);
  let width = 0;
  new ResizeObserver(() => {
    if (document.body.clientWidth !== width) width = document.body.clientWidth, drawAll();
  }).observe(document.body);
}

start();
document.documentElement.dataset.ready = "yes";
