// What is at the cursor beside the wall of layers: singular values, the spread over samples, the parameter; and what
// belongs to a whole run: alarms, Lyapunov exponents, costs.

// Of a run the spectra measured last before a step (the first, if all came later).
function spectraAt(run, step) {
  return run.spectra[indexAt(run.spectra.map((each) => each.step), step)];
}
function drawSpectrum() {
  const {run} = cursor, at = spectraAt(run, cursor.step), layers = run.layers.rows.length;
  byId("spectrum-figure").hidden = !at;
  if (!at) return;
  byId("spectrum-at").textContent = `${run.name}, step ${at.step}`;
  const logs = Object.values(at.layers).flatMap(({values}) => values.map(Number));
  const {ctx, box, x, y} = axes(byId("spectrum"), {x: [-0.5, layers - 0.5], y: range(logs, [-0.5, 0.5]), xName: "← input   layer   output →",
    key: [["the largest", "--c1", []], ["the others", "--c0", []]]});
  const half = Math.max(1, Math.min(5, 0.4 * (x(1) - x(0))));
  for (const [layer, {values}] of Object.entries(at.layers)) {
    const here = Number(layer) === cursor.layer;
    ctx.globalAlpha = here ? 1 : 0.55;
    values.forEach((log, i) => {
      if (!Number.isFinite(Number(log))) return;
      ctx.fillStyle = css(i === 0 ? "--c1" : here ? "--cursor" : "--c0");
      ctx.fillRect(x(Number(layer)) - half, y(Number(log)) - 0.75, 2 * half, i === 0 ? 2.5 : 1.5);
    });
  }
  ctx.globalAlpha = 1;
  if (!logs.some(Number.isFinite)) nothing(ctx, box, "no value is finite and above zero");
  mark(ctx, box, x(cursor.layer));
}
function spectrumTable() {
  const {run} = cursor, at = spectraAt(run, cursor.step);
  const entries = at ? Object.entries(at.layers) : [], most = Math.max(0, ...entries.map(([, {values}]) => values.length));
  return table(["layer", "of", ...some(most, 9).map((i) => `σ ${i + 1}`)],
    entries.map(([layer, {values, of}]) => [`${layer} ${run.layers.rows[layer]}`, num(of), ...some(most, 9).map((i) => (i < values.length ? power(Number(values[i])) : "–"))]));
}

function spreadOf(board, layer) {  // [step, least, middle, greatest]
  return board.frames.map((step, f) => [step, ...["sigma_least", "sigma_median", "sigma_max"].map((name) => logAt(board, name, f, layer))])
    .filter((row) => row[3] !== MISSING);
}
function drawSpread() {
  const {run, layer} = cursor, rows = spreadOf(run.layers, layer);
  byId("spread-at").textContent = `${run.name}, layer ${layer}: ${run.layers.rows[layer]}`;
  const {ctx, box, x, y} = axes(byId("spread"), {x: [0, Math.max(1, run.layers.end)], y: range(rows.flatMap((row) => row.slice(1)), [-0.1, 0.1]), xName: "step",
    key: [["greatest", "--c1", []], ["middle", "--c0", []], ["least", "--c2", []]]});
  ["--c2", "--c0", "--c1"].forEach((colour, i) => {
    const points = rows.map((row) => row[i + 1] !== MISSING && Number.isFinite(row[i + 1]) && [x(row[0]), y(row[i + 1])]);
    line(ctx, css(colour), 1.8, points);
    points.forEach((point, k) => point && !points[k - 1] && !points[k + 1] && dot(ctx, css(colour), ...point));
  });
  if (!rows.some((row) => Number.isFinite(row[3]))) nothing(ctx, box, "not measured at this layer");
  mark(ctx, box, x(cursor.step));
}
function spreadTable() {
  const rows = spreadOf(cursor.run.layers, cursor.layer);
  return table(["step", "least", "middle", "greatest"], some(rows.length, 25).map((i) => [String(rows[i][0]), ...rows[i].slice(1).map((log) => power(log))]));
}

function drawParameter() {
  const {run, parameter} = cursor, board = run.parameters, frame = indexAt(board.frames, cursor.step);
  byId("at-parameter").textContent = frame < 0 ? "nothing measured in this run." :
    `${run.name}, ${board.rows[parameter]}, step ${board.frames[frame]}: ` +
    OF_PARAMETERS.filter((name) => board.values[name]).map((name) => `${QUANTITIES[name].label} ${power(logAt(board, name, frame, parameter))}`).join(", ") + ".";
}

function makeAlarms() {
  const clipped = runs.filter((run) => run.clips), all = runs.flatMap((run) => run.alarms.map((alarm) => ({run, ...alarm})));
  const total = runs.reduce((sum, run) => sum + run.alarmed, 0);
  byId("curves-note").textContent = clipped.length ? "Below the axis a strip for each curve, in its colour: the steps whose gradient was clipped, the denser the more." : "";
  byId("alarms").hidden = !all.length;
  byId("alarms").querySelector("summary").textContent = `${total} ${total === 1 ? "alarm" : "alarms"}` + (all.length < total ? `, ${all.length} of them here` : "");
  byId("alarms").querySelector("ul").append(...all.map(({run, step, kind, site, message, action}) => {
    const layer = run.layers.rows.findIndex((name) => name === site);
    return el("li", {}, el("button", {type: "button", onclick: () => moveTo({run: run.layers.frames.length ? run : cursor.run, step, ...(layer >= 0 && {layer})})},
      el("b", {className: "bad"}, kind.replace("_", " ")), ` ${run.name}, step ${step}${site && `, ${site}`}${message && `: ${message}`}${action && action !== "warn" ? ` (${action})` : ""}`));
  }));
}

const dynamics = runs.flatMap((run) => run.lyapunov.map((found) => ({run, ...found})));
function makeLyapunov() {
  byId("lyapunov").hidden = !dynamics.length;
  for (const each of dynamics) {
    each.canvas = el("canvas", {role: "img", "aria-label": `Lyapunov exponents of ${each.site}: their course. The table below holds the numbers.`});
    const details = el("details", {}, el("summary", {}, "As a table"));
    tableIn(details, () => {
      const points = some(each.steps.length, 9);
      return table(["exponent", "nats a step", ...points.map((k) => `up to step ${each.steps[k]}`)],
        each.exponents.map((value, i) => [String(i + 1), num(value, 6), ...points.map((k) => num(each.convergence[k][i], 6))]));
    });
    const facts = [`largest ${num(each.exponents[0], 5)}`, `sum ${num(each.sum, 5)}`, each.log_det !== null && `mean log |det J| ${num(each.log_det, 5)}`,
      each.kaplan_yorke !== null && `Kaplan–Yorke dimension ${num(each.kaplan_yorke, 5)}`];
    byId("lyapunov-figures").append(el("figure", {}, el("figcaption", {}, el("b", {}, `${each.run.name}: ${each.site}`), el("span", {}, `step ${each.step}`)),
      each.canvas, el("p", {className: "note"}, facts.filter(Boolean).join(" · ")), details));
  }
}
function drawLyapunov() {
  for (const {canvas, exponents, steps, convergence} of dynamics) {
    const course = steps.length > 1, rows = course ? convergence : [exponents, exponents], at = course ? steps : [0, 1];
    const {ctx, box, x, y} = axes(canvas, {x: [at[0], at[at.length - 1]], y: range(rows.slice(rows.length >> 3).flat().map(Number), [-0.02, 0.02]), xName: "steps of the sequence", yName: num});
    ctx.beginPath();
    ctx.rect(box.l, box.t - 4, box.r - box.l, box.b - box.t + 4);  // the first steps may lie far off
    ctx.clip();
    exponents.forEach((_, i) => line(ctx, css(`--c${i % 8}`), i ? 1.3 : 2.2, rows.map((row, k) => [x(at[k]), y(Number(row[i]))])));
  }
}

function makeCosts() {
  const kinds = [...new Set(runs.flatMap((run) => Object.keys(run.costs)))];
  const seconds = (v) => (v === undefined || v === null ? "–" : `${num(v)} s`);
  byId("costs").append(...table(["run", "whole run", "measuring", "share", ...kinds],
    runs.map((run) => [run.name, seconds(run.seconds), seconds(run.measuring_seconds), percent(run.summary.measuring), ...kinds.map((kind) => seconds(run.costs[kind]))])).firstChild.childNodes);
}
