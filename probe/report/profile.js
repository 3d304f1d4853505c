// What is under the cursor: the layer's values, and what is left of the gradient layer by layer.

// log10 from the output to each layer: what came, what could at most by the layers' product, what could by each layer
// alone. Index L is the output itself.
function products(board, frame) {
  const [observed, norm, bound] = ["gradient_left", "product", "product_bound"].map((quantity) =>
    [...board.rows.map((_, l) => logAt(board, quantity, frame, l)).map((log) => (log === MISSING ? NaN : log)), 0]);
  const known = (logs) => logs.slice(0, -1).some((log) => !Number.isNaN(log));
  return {observed, bound: known(bound) ? bound : sigmas(board, frame), norm: known(norm) ? norm : null};
}
// The product of each layer's sigma_max alone, which may lie below the true one.
function sigmas(board, frame) {
  const sum = Array(board.rows.length + 1).fill(0);
  for (let l = board.rows.length - 1; l >= 0; --l) {
    const log = logAt(board, "sigma_max", frame, l);
    sum[l] = log === MISSING && sum[l + 1] !== -Infinity ? NaN : times(sum[l + 1], log);
  }
  return sum;
}

function drawProfile() {
  const {run} = cursor, board = run.layers, layers = board.rows.length;
  const frame = indexAt(board.frames, cursor.step), {observed, bound, norm} = products(board, frame);
  const key = [["observed", "--c0", []], ...(norm ? [["norm of product", "--c2", [2, 3]]] : []), ["bound", "--c1", [6, 4]]];
  const {ctx, box, x, y} = axes(byId("profile"), {x: [0, layers], y: range([...observed, ...bound, ...(norm || [])], [-1, 1]),
    xName: "← input   layer   output →", key, yName: (t) => (Math.abs(t) < 1e-9 ? "×1" : power(t))});
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
  if (norm) line(ctx, css("--c2"), 2, norm.map((v, l) => [x(l), y(v)]), [2, 3]);
  line(ctx, css("--c0"), 2.4, observed.map((v, l) => [x(l), y(v)]));
  mark(ctx, box, x(cursor.layer));

  const words = ([log]) => (Number.isNaN(log) ? "no number" : Number.isFinite(log) ? "×" + power(log) : power(log));
  const complete = (quantity) => board.rows.every((_, l) => logAt(board, quantity, frame, l) !== MISSING);
  const loose = norm && bound[0] - norm[0];
  byId("profile-note").textContent = (Number.isNaN(observed[0]) && !complete("sigma_max") ? "Not all layers were measured at this step." :
    `Through ${layers === 1 ? "the one layer" : `all ${layers} layers`}, from the output to the input: ${Number.isNaN(observed[0]) ? "" : `${words(observed)} came, `}` +
    (norm ? `${words(norm)} is the most that could, the bound by layers is ${words(bound)}${Number.isFinite(loose) ? `: ${num(loose)} decades too loose` : ""}.` : `${words(bound)} could.`)) +
    (norm || run.no_chain ? "" : productSteps(board, frame)) + (run.no_chain ? ` The layers are no chain: ${run.no_chain}` : "");
}

// Where to look for the norm of the product, which few steps have.
function productSteps(board, frame) {
  const steps = stepsWith(board, "product");
  return steps.length ? ` The norm of the product was measured at step ${steps[indexAt(steps, board.frames[frame])]}.` : "";
}

// A row's log10 of a quantity as last measured, and at which frame.
function lastAt(board, quantity, frame, row) {
  for (let at = frame; at >= 0; --at)
    if (logAt(board, quantity, at, row) !== MISSING) return {log: logAt(board, quantity, at, row), at};
  return {log: MISSING, at: frame};
}

function drawInspector() {
  const {run, layer} = cursor, board = run.layers, frame = indexAt(board.frames, cursor.step);
  byId("at-run").textContent = run.name;
  byId("at-cell").textContent = `layer ${layer}: ${board.rows[layer]}, step ${board.frames[frame]}${cursor.held ? " (held)" : ""}`;
  const rows = [];
  for (const name of OF_LAYERS.filter((quantity) => board.values[quantity])) {
    const {log, at} = lastAt(board, name, frame, layer), {label: text} = QUANTITIES[name];
    const of = (quantity) => (name === "sigma_max" ? logAt(board, quantity, at, layer) : MISSING);
    const residual = of("residual"), upper = of("upper");
    const value = el("dd", {className: kindOf(log) === "nan" || kindOf(log) === "infinite" ? "bad" : ""}, power(log));
    if (upper !== MISSING) value.append(` to ${power(upper)}`);
    if (residual !== MISSING) value.append(` (residual ${power(residual)})`);
    if (log !== MISSING && at !== frame) value.append(el("span", {className: "note"}, ` at step ${board.frames[at]}`));
    rows.push(el("dt", {}, text), value);
  }
  byId("at-values").replaceChildren(...rows);
}

function profileTable() {
  const board = cursor.run.layers, frame = indexAt(board.frames, cursor.step), {observed, bound, norm} = products(board, frame);
  const names = OF_LAYERS.filter((quantity) => board.values[quantity]);
  return table(["layer", "observed so far", ...(norm ? ["norm of product"] : []), "bound so far", ...names.map((name) => QUANTITIES[name].label)],
    board.rows.map((name, l) => [`${l} ${name}`, power(observed[l]), ...(norm ? [power(norm[l])] : []), power(bound[l]), ...names.map((q) => power(logAt(board, q, frame, l)))]));
}
