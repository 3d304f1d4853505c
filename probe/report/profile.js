// What is under the cursor: the layer's values, and what is left of the gradient layer by layer.

// log10 from the output to each layer: what came, what could by the layers' product (found, and at most), what could by
// each layer alone. Index L is the output itself.
function products(board, frame) {
  const [observed, norm, upper, bound] = ["gradient_left", "product", "product_upper", "product_bound"].map((quantity) =>
    [...board.rows.map((_, l) => logAt(board, quantity, frame, l)).map((log) => (log === MISSING ? NaN : log)), 0]);
  const known = (logs) => logs.slice(0, -1).some((log) => !Number.isNaN(log));
  return {observed, bound: known(bound) ? bound : sigmas(board, frame), norm: known(norm) ? norm : null, upper: known(upper) ? upper : norm};
}
// The product of each layer's sigma_max, as found.
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
  const frame = indexAt(board.frames, cursor.step), {observed, bound, norm, upper} = products(board, frame);
  const key = [["observed", "--c0", []], ...(norm ? [["norm of product", "--c2", [2, 3]]] : []), ["by σmax", "--c1", [6, 4]]];
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
    (norm ? `between ${words(norm)} and ${words(upper)} could, the product of the σmax is ${words(bound)}${Number.isFinite(loose) ? `: ${num(loose)} decades more` : ""}.` : `the product of the σmax is ${words(bound)}.`)) +
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

// What is known of the error: a bound further off than a hundred times says nothing.
function interval(board, name, frame, row) {
  const [log, residual, lower, upper] = [name, "residual", "frobenius_lower", name === "frobenius" ? "frobenius_upper" : "upper"].map((q) => logAt(board, q, frame, row));
  const near = upper !== MISSING && upper - log < 2;
  if (name === "frobenius") return upper === MISSING ? "" : near ? ` (${power(lower)} to ${power(upper)})` : " (estimated)";
  if (name !== "sigma_max") return "";
  if (near && upper - log < 1e-5) return " (exact)";
  const known = [near && `at most ${power(upper)}`, residual !== MISSING && `residual ${power(residual)}`].filter(Boolean);
  return known.length ? ` (${known.join(", ")})` : "";
}

function drawInspector() {
  const {run, layer} = cursor, board = run.layers, frame = indexAt(board.frames, cursor.step);
  byId("at-run").textContent = run.name;
  byId("at-cell").textContent = `layer ${layer}: ${board.rows[layer]}, step ${board.frames[frame]}${cursor.held ? " (held)" : ""}`;
  const rows = [];
  for (const name of OF_LAYERS.filter((quantity) => board.values[quantity])) {
    const {log, at} = lastAt(board, name, frame, layer), {label: text} = QUANTITIES[name];
    const value = el("dd", {className: kindOf(log) === "nan" || kindOf(log) === "infinite" ? "bad" : ""}, power(log), interval(board, name, at, layer));
    if (log !== MISSING && at !== frame) value.append(el("span", {className: "note"}, ` at step ${board.frames[at]}`));
    rows.push(el("dt", {}, text), value);
  }
  byId("at-values").replaceChildren(...rows);
}

function profileTable() {
  const board = cursor.run.layers, frame = indexAt(board.frames, cursor.step), {observed, bound, norm} = products(board, frame);
  const names = OF_LAYERS.filter((quantity) => board.values[quantity]);
  return table(["layer", "observed so far", ...(norm ? ["norm of product"] : []), "product of σmax", ...names.map((name) => QUANTITIES[name].label)],
    board.rows.map((name, l) => [`${l} ${name}`, power(observed[l]), ...(norm ? [power(norm[l])] : []), power(bound[l]), ...names.map((q) => power(logAt(board, q, frame, l)))]));
}
