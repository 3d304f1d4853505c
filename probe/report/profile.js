// What is under the cursor: the layer's values, and what is left of the gradient layer by layer.

// log10 of the products from the output to each layer: [observed, bound], index L is the output itself.
function products(run, frame) {
  const sums = ["gain", "sigma_max"].map((quantity) => {
    const sum = Array(run.layers.length + 1).fill(0);
    for (let l = run.layers.length - 1; l >= 0; --l) {
      const log = logAt(run, quantity, frame, l);
      sum[l] = log === MISSING ? NaN : sum[l + 1] + log;
    }
    return sum;
  });
  return {observed: sums[0], bound: sums[1]};
}

function drawProfile() {
  const {run} = cursor, frame = indexAt(run.frames, cursor.step), layers = run.layers.length;
  const {observed, bound} = products(run, frame), {ctx, w, h} = surface(byId("profile"));
  const box = {l: 46, r: w - 14, t: 22, b: h - 30};
  let lo = -1, hi = 1;
  for (const v of [...observed, ...bound]) if (Number.isFinite(v)) lo = Math.min(lo, v), hi = Math.max(hi, v);
  const pad = 0.06 * (hi - lo);
  const x = (l) => box.l + (l / layers) * (box.r - box.l), y = (v) => box.b - ((v - lo + pad) / (hi - lo + 2 * pad)) * (box.b - box.t);
  for (const t of ticks(lo - pad, hi + pad, 6).filter(Number.isInteger)) {
    line(ctx, css(Math.abs(t) < 1e-9 ? "--soft" : "--grid"), 1, [[box.l, y(t)], [box.r, y(t)]]);
    label(ctx, Math.abs(t) < 1e-9 ? "×1" : power(t), box.l - 6, y(t), "right");
  }
  for (const t of ticks(0, layers, Math.min(6, layers)).filter(Number.isInteger)) label(ctx, String(t), x(t), box.b + 10);
  label(ctx, "← input", box.l, box.b + 23, "left");
  label(ctx, "output →", box.r, box.b + 23, "right");
  label(ctx, "layer", (box.l + box.r) / 2, box.b + 23);

  ctx.save();  // between what could be and what came
  ctx.globalAlpha = 0.13;
  ctx.fillStyle = css("--c1");
  ctx.beginPath();
  const both = observed.map((_, l) => l).filter((l) => Number.isFinite(observed[l] + bound[l]));
  for (const l of both) ctx.lineTo(x(l), y(bound[l]));
  for (const l of both.reverse()) ctx.lineTo(x(l), y(observed[l]));
  ctx.fill();
  ctx.restore();
  line(ctx, css("--c1"), 1.8, bound.map((v, l) => [x(l), y(v)]), [6, 4]);
  line(ctx, css("--c0"), 2.4, observed.map((v, l) => [x(l), y(v)]));
  const here = x(cursor.layer);
  line(ctx, css("--cursor"), 1, [[here, box.t], [here, box.b]], [3, 3]);

  let at = box.l;  // the key
  for (const [name, colour, dash] of [["observed gain", "--c0", []], ["bound: product of σmax", "--c1", [6, 4]]]) {
    line(ctx, css(colour), 2.2, [[at, 8], [at + 22, 8]], dash);
    ctx.fillStyle = css("--soft");
    label(ctx, name, at + 28, 8, "left");
    at += 48 + ctx.measureText(name).width;
  }
  const words = (sum) => (Number.isNaN(sum[0]) ? "no number" : Number.isFinite(sum[0]) ? "×" + power(sum[0]) : power(sum[0]));
  byId("profile-note").textContent =
    `Through ${layers === 1 ? "the one layer" : `all ${layers} layers`}, from the output to the input: ${words(observed)} came, ${words(bound)} could.`;
}

function drawInspector() {
  const {run, layer} = cursor, frame = indexAt(run.frames, cursor.step);
  byId("at-run").textContent = run.name;
  byId("at-cell").textContent = `layer ${layer}: ${run.layers[layer]}, step ${run.frames[frame]}${cursor.held ? " (held)" : ""}`;
  const rows = [];
  for (const [name, {label: text}] of Object.entries(QUANTITIES)) {
    const log = logAt(run, name, frame, layer), residual = name === "sigma_max" ? logAt(run, "residual", frame, layer) : MISSING;
    const value = el("dd", {className: kindOf(log) === "nan" || kindOf(log) === "infinite" ? "bad" : ""}, power(log));
    if (residual !== MISSING) value.append(` (residual ${power(residual)})`);
    rows.push(el("dt", {}, text), value);
  }
  byId("at-values").replaceChildren(...rows);
}

function profileTable() {
  const {run} = cursor, frame = indexAt(run.frames, cursor.step), {observed, bound} = products(run, frame);
  const names = Object.keys(QUANTITIES);
  return table(["layer", "observed so far", "bound so far", ...names.map((name) => QUANTITIES[name].label)],
    run.layers.map((name, l) => [`${l} ${name}`, power(observed[l]), power(bound[l]), ...names.map((q) => power(logAt(run, q, frame, l)))]));
}

