// The page: the table of runs, the cursor that all pictures share, and what redraws when.

const cursor = {run: null, layer: 0, parameter: 0, step: 0, held: false};
let waiting = false;

function moveTo(change) {
  Object.assign(cursor, change);
  const within = (row, rows) => Math.max(0, Math.min(rows.length - 1, row));
  if (cursor.run) cursor.layer = within(cursor.layer, cursor.run.layers.rows), cursor.parameter = within(cursor.parameter, cursor.run.parameters.rows);
  if (!waiting) requestAnimationFrame(drawCursor);
  waiting = true;
}

const walls = [layerWall, parameterWall].filter((wall) => wall.runs.length);
let refillTables = [];
function drawCursor() {
  waiting = false;
  drawCurves();
  for (const wall of walls) for (const map of wall.maps) drawMap(wall, map, false);
  if (!cursor.run) return;
  if (cursor.run.layers.frames.length) {
    drawInspector();
    drawProfile();
    drawSpectrum();
    drawSpread();
  }
  if (parameterWall.runs.length) drawParameter();
  for (const refill of refillTables) refill();
}

function drawAll() {
  drawLegend();
  for (const wall of walls) drawWall(wall);
  drawLyapunov();
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
  const clips = runs.some((run) => run.clips);
  const head = ["run", ...(isFamily ? ["net", "depth"] : []), "steps", "final loss", "accuracy", "end-to-end gain, log10", "σmax mean", "min", "max", ...(clips ? ["clipped"] : []), "ms a step", "measuring"];
  const rows = runs.map((run, i) => {
    const s = run.summary, gain = s.gain === undefined ? NaN : Number(s.gain), sigma = s.sigma || [];
    const cell = (text, bad) => el("td", {className: bad ? "bad" : ""}, text);
    const wrong = (v) => v !== undefined && v !== null && !Number.isFinite(Number(v));
    const gainCell = cell(s.gain === undefined ? "–" : fixed(gain, Math.abs(gain) < 1 ? 2 : 1), wrong(s.gain));
    gainCell.append(Number.isFinite(gain) ? bar(gain) : el("span", {className: "bar"}));
    return el("tr", {className: isFamily && i && runs[i - 1].net !== run.net ? "group" : ""},
      cell(run.name), ...(isFamily ? [el("td", {className: "text"}, run.net), cell(String(run.depth))] : []),
      cell(String(s.steps) + (s.open ? " (open)" : "")), cell(num(s.loss), wrong(s.loss)), cell(percent(s.accuracy)), gainCell,
      ...[1, 0, 2].map((k) => cell(num(sigma[k]), wrong(sigma[k]))), ...(clips ? [cell(percent(run.clips / s.steps))] : []), cell(num(s.ms)), cell(percent(s.measuring)));
  });
  byId("summary").append(el("thead", {}, el("tr", {}, ...head.map((text) => el("th", {className: text === "net" ? "text" : ""}, text)))), el("tbody", {}, ...rows));
  byId("summary-note").textContent = "Gain and σmax over the layers at the last measured step; the mean is geometric." +
    (data.note ? ` Of the record's last line, which is torn, nothing is shown.` : "") +
    (runs.some((run) => run.summary.open) ? " A run is open while its record has no end: it goes on, or was stopped." : "");
  const shared = (key) => (new Set(runs.map((run) => String(run[key] ?? ""))).size === 1 ? runs[0][key] : null);
  const options = Object.entries(runs[0].options).filter(([key, value]) => runs.every((run) => run.options[key] === value));
  const facts = [`${runs.length} ${runs.length === 1 ? "run" : "runs"} from ${data.record}`, shared("fathom") && `Fathom ${shared("fathom")}`,
    shared("dtype"), shared("seed") !== null && `seed ${shared("seed")}`, ...options.map(([key, value]) => `${key} ${value}`)];
  byId("about").textContent = [...facts, ...Object.keys(runs[0].facts).map((key) => runs.every((run) => run.facts[key] === runs[0].facts[key]) && runs[0].facts[key])].filter(Boolean).join(" · ");
}

function start() {
  document.querySelector("main").hidden = false;
  document.title = `Fathom report: ${data.record}`;
  makeSummary();
  startCurves();
  makeAlarms();
  cursor.step = lastStep;
  if (walls.length) {
    const by = (run) => Math.abs(Number(run.summary.gain)) || 0;
    cursor.run = walls[0].runs.reduce((a, b) => (by(b) > by(a) ? b : a));  // begin where there is most to see
    const board = cursor.run[walls[0].of];
    cursor.step = lastOf([stepsWith(board, "product"), stepsWith(board, "sigma_max"), board.frames].find((steps) => steps.length));
  }
  for (const wall of walls) startWall(wall);
  if (layerWall.runs.length) {
    refillTables = [tableIn(byId("profile-table"), profileTable), tableIn(byId("spectrum-table"), spectrumTable), tableIn(byId("spread-table"), spreadTable)];
  } else {
    byId("layers").replaceChildren("No layer was measured in this record.");
    byId("at-cursor").hidden = true;
  }
  byId("optimiser").hidden = !parameterWall.runs.length;
  makeLyapunov();
  makeCosts();
  drawAll();
  dark.addEventListener("change", drawAll);
  let width = 0;
  new ResizeObserver(() => {
    if (document.body.clientWidth !== width) width = document.body.clientWidth, drawAll();
  }).observe(document.body);
}

start();
document.documentElement.dataset.ready = "yes";
