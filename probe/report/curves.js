// The curves of all runs over the steps, logarithmic where nothing is negative, with a legend that hides and shows.

const curves = {quantity: "loss", smooth: true, cache: new Map()};
const CURVES = {
  loss: {label: "loss", title: "Loss"},
  grad_norm: {label: "gradient norm", title: "Gradient norm of all weights"},
  through: {label: "end-to-end gain", title: "End-to-end gain: what the layers leave of the gradient"},
  sharpness: {label: "sharpness", title: "Sharpness: the largest curvature of the loss; plain gradient descent is stable below 2 / rate (dotted)"},
};
const lastOf = (steps) => (steps.length ? steps[steps.length - 1] : 0);
const lastStep = Math.max(1, ...runs.map((run) => Math.max(lastOf(run.steps), lastOf(run.layers.frames), lastOf(run.parameters.frames))));

// Points [step, value], as recorded and as a running mean; null where a curve has no number.
function curveOf(run) {
  const key = run.index + curves.quantity;
  if (!curves.cache.has(key)) {
    const {steps, values} = run.curves[curves.quantity];
    const raw = values.map((v, i) => (v !== MISSING && Number.isFinite(v) ? [steps[i], v] : null));
    const weight = curves.quantity === "through" || curves.quantity === "sharpness" ? 1 : 2 / (1 + Math.max(1, raw.length / 40));
    const oneWay = (points) => {
      let mean = null;
      return points.map((point) => (mean = point && (mean === null ? point[1] : mean + weight * (point[1] - mean))));
    };
    const there = oneWay(raw), back = oneWay([...raw].reverse()).reverse();  // both ways: no lag
    curves.cache.set(key, {raw, smooth: raw.map((point, i) => point && [point[0], (there[i] + back[i]) / 2])});
  }
  return curves.cache.get(key);
}

// The value at the cursor's step, missing when the run had ended before.
function valueAt(run, step) {
  const {steps, values} = run.curves[curves.quantity], at = indexAt(steps, step);
  return at < 0 || step > Math.max(lastOf(run.steps), run.layers.end) ? MISSING : values[at];
}
const written = (value, digits) => (LINEAR.has(curves.quantity) && value !== MISSING ? num(value, digits) : power(value, digits));

function drawCurves() {
  const {ctx, w, h} = surface(byId("curves"));
  const shown = runs.filter((run) => run.visible), clipping = shown.filter((run) => run.clips);
  const thick = Math.max(2, Math.min(5, 30 / clipping.length)), base = h - 28;  // below the plot a strip for each of these
  const box = {l: 54, r: w - 12, t: 10, b: base - (clipping.length && 2 + clipping.length * thick)};
  const linear = LINEAR.has(curves.quantity), edgeOf = ({edge}) => (linear ? edge : logOf(edge));
  let lo = Infinity, hi = -Infinity, start = -Infinity;
  const rawToo = curves.smooth && shown.length <= 4;  // more would be a thicket
  for (const run of shown) {
    const {raw, smooth} = curveOf(run), first = raw.find(Boolean);
    if (first) start = Math.max(start, first[1]);
    for (const points of curves.smooth ? (rawToo ? [smooth, raw] : [smooth]) : [raw])
      for (const [, y] of points.filter(Boolean)) lo = Math.min(lo, y), hi = Math.max(hi, y);
    if (curves.quantity === "sharpness")
      for (const each of run.sharpness) if (each.edge > 0) lo = Math.min(lo, edgeOf(each)), hi = Math.max(hi, edgeOf(each));
  }
  if (lo > hi) lo = -1, hi = 1;
  else if (curves.quantity === "loss") hi = Math.min(hi, start + (linear ? 10 * (Math.abs(start) + start - lo) : 1));  // one explosion must not flatten the others
  const pad = Math.max(0.04 * (hi - lo), linear ? 0.01 * Math.abs(hi) : 0.03);
  lo -= pad;
  hi += pad;
  const x = (step) => box.l + (step / lastStep) * (box.r - box.l);
  const y = (value) => box.b - ((value - lo) / (hi - lo)) * (box.b - box.t);

  for (const t of (linear ? ticks : logTicks)(lo, hi, 7)) {
    line(ctx, css("--grid"), 1, [[box.l, y(t)], [box.r, y(t)]]);
    label(ctx, written(t), box.l - 7, y(t), "right");
  }
  for (const t of ticks(0, lastStep, w / 90).filter(Number.isInteger)) label(ctx, whole(t), x(t), base + 10);
  label(ctx, "step", box.r, base + 22, "right");
  line(ctx, css("--line"), 1, [[box.l, box.t], [box.l, box.b], [box.r, box.b]]);

  ctx.save();
  ctx.beginPath();
  ctx.rect(box.l - 5, box.t - 4, box.r - box.l + 11, box.b - box.t + 4);
  ctx.clip();
  for (const run of shown) {
    const {raw, smooth} = curveOf(run), style = styleOf(run), colour = css(style.colour);
    const place = ([step, value]) => [x(step), y(value)];
    if (rawToo) {
      ctx.globalAlpha = 0.28;
      line(ctx, colour, 1, raw.map((p) => p && place(p)));
      ctx.globalAlpha = 1;
    }
    line(ctx, colour, style.width, (curves.smooth ? smooth : raw).map((p) => p && place(p)), style.dash);
    raw.forEach((p, i) => p && !raw[i - 1] && !raw[i + 1] && dot(ctx, colour, ...place(p)));
    const {steps, values} = run.curves[curves.quantity];
    const broken = values.findIndex((v) => Number.isNaN(v) || v === Infinity);
    if (broken >= 0) {  // a cross where the numbers end
      const before = broken > 0 && (curves.smooth ? smooth : raw)[broken - 1];
      const cx = x(steps[broken]), cy = before ? Math.max(box.t + 5, y(before[1])) : box.t + 5;
      line(ctx, css("--nan"), 2.5, [[cx - 5, cy - 5], [cx + 5, cy + 5], null, [cx - 5, cy + 5], [cx + 5, cy - 5]]);
    }
  }
  if (curves.quantity === "sharpness")
    for (const run of shown)
      line(ctx, css(styleOf(run).colour), 1.4, run.sharpness.map((each) => each.edge !== null && [x(each.step), y(edgeOf(each))]), [1, 3]);
  ctx.restore();
  clipping.forEach((run, i) => {
    ctx.fillStyle = css(styleOf(run).colour);
    for (const [from, to, share] of run.clipped) {  // as dense as steps were clipped
      ctx.globalAlpha = 0.15 + 0.85 * share;
      ctx.fillRect(x(from), box.b + 2 + i * thick, Math.max(1, x(to + 1) - x(from)), thick - 1);
    }
  });
  ctx.globalAlpha = 1;
  for (const run of shown) {
    for (const {step} of run.alarms) {
      ctx.fillStyle = css("--nan");
      ctx.beginPath();
      for (const [dx, dy] of [[-5, 0], [5, 0], [0, 8]]) ctx.lineTo(x(step) + dx, box.t - 4 + dy);
      ctx.fill();
    }
  }
  mark(ctx, box, x(cursor.step));
  for (const run of runs) run.output.textContent = written(valueAt(run, cursor.step));
}

function makeLegend() {
  const legend = byId("legend");
  const item = (run, name) => {
    run.sample = el("canvas");
    run.output = el("output");
    run.toggle = el("button", {type: "button", title: run.name, onclick: () => show([run], !run.visible)},
      run.sample, el("span", {className: "name"}, name), run.output);
    return run.toggle;
  };
  if (isFamily) {
    legend.style.gridTemplateColumns = `repeat(${depths.length + 1}, max-content)`;
    for (const net of nets) {
      const mine = runs.filter((run) => run.net === net);
      legend.append(el("button", {type: "button", className: "net", title: "all depths",
        onclick: () => show(mine, !mine.every((run) => run.visible))}, net));
      for (const depth of depths) {
        const run = mine.find((r) => r.depth === depth);
        legend.append(run ? item(run, `depth ${depth}`) : el("span"));
      }
    }
  } else {
    legend.style.gridTemplateColumns = "repeat(auto-fill, minmax(240px, max-content))";
    legend.append(...runs.map((run) => item(run, run.name)));
  }
}

function show(some, visible) {
  for (const run of some) run.visible = visible;
  drawLegend();
  drawCurves();
}

function drawLegend() {
  for (const run of runs) {
    const {ctx, w, h} = surface(run.sample), style = styleOf(run);
    line(ctx, css(style.colour), style.width, [[0, h / 2], [w, h / 2]], style.dash);
    run.toggle.setAttribute("aria-pressed", String(run.visible));
  }
}

function startCurves() {
  makeLegend();
  const canvas = byId("curves");
  const redrawTable = tableIn(byId("curves-table"), () => {
    return table(["step", ...runs.map((run) => run.name)],
      data.steps.map((step) => [String(step), ...runs.map((run) => written(valueAt(run, step), 4))]));
  });
  choice(byId("curves-choice"), Object.entries(CURVES).filter(([name]) => name === "loss" || runs.some((run) => run.curves[name].values.some((v) => v !== MISSING))).map(([name, {label: text}]) => [name, text]), "loss", (quantity) => {
    curves.quantity = quantity;
    byId("curves-title").textContent = CURVES[quantity].title;
    drawCurves();
    redrawTable();
  });
  byId("smooth").addEventListener("change", (event) => {
    curves.smooth = event.target.checked;
    drawCurves();
  });
  const at = (event) => Math.round(Math.max(0, Math.min(1, (event.offsetX - 54) / (canvas.clientWidth - 66))) * lastStep);
  canvas.addEventListener("pointermove", (event) => cursor.held || moveTo({step: at(event)}));
  canvas.addEventListener("click", (event) => moveTo({step: at(event), held: !cursor.held}));
  canvas.addEventListener("keydown", (event) => {
    const by = {ArrowLeft: -1, ArrowRight: 1, PageUp: -lastStep / 10, PageDown: lastStep / 10, Home: -lastStep, End: lastStep}[event.key];
    if (by === undefined) return;
    event.preventDefault();
    moveTo({step: Math.round(Math.max(0, Math.min(lastStep, cursor.step + by)))});
  });
}

