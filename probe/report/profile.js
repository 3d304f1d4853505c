// What is under the cursor: the layer's values, and what is left of the gradient layer by layer.

// log10 of the products from the output to each layer: what came, what could at most by the layers' product, what could
// by each layer alone. Index L is the output itself.
function products(board, frame) {
  const sums = ["gain", "sigma_max"].map((quantity) => {
    const sum = Array(board.rows.length + 1).fill(0);
    for (let l = board.rows.length - 1; l >= 0; --l) {
      const log = logAt(board, quantity, frame, l);
      sum[l] = log === MISSING && sum[l + 1] !== -Infinity ? NaN : times(sum[l + 1], log);
    }
    return sum;
  });
  const norms = board.rows.map((_, l) => logAt(board, "product", frame, l)).map((log) => (log === MISSING ? NaN : log));
  return {observed: sums[0], bound: sums[1], norm: norms.some((log) => !Number.isNaN(log)) ? [...norms, 0] : null};
}

function drawProfile() {
  const {run} = cursor, board = run.layers, layers = board.rows.length;
  const {observed, bound, norm} = products(board, indexAt(board.frames, cursor.step));
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

  const words = (sum) => (Number.isNaN(sum[0]) ? "no number" : Number.isFinite(sum[0]) ? "×" + power(sum[0]) : power(sum[0]));
  byId("profile-note").textContent =
    `Through ${layers === 1 ? "the one layer" : `all ${layers} layers`}, from the output to the input: ${words(observed)} came, ` +
    (norm ? `${words(norm)} is the most that could, the bound by layers is ${words(bound)}: ${num(bound[0] - norm[0])} decades too loose.` : `${words(bound)} could.`) +
    (run.no_chain ? ` The layers are no chain: ${run.no_chain}` : "");
}

function drawInspector() {
  const {run, layer} = cursor, board = run.layers, frame = indexAt(board.frames, cursor.step);
  byId("at-run").textContent = run.name;
  byId("at-cell").textContent = `layer ${layer}: ${board.rows[layer]}, step ${board.frames[frame]}${cursor.held ? " (held)" : ""}`;
  const rows = [];
  for (const name of OF_LAYERS.filter((quantity) => board.values[quantity])) {
    const log = logAt(board, name, frame, layer), {label: text} = QUANTITIES[name];
    const of = (quantity) => (name === "sigma_max" ? logAt(board, quantity, frame, layer) : MISSING);
    const residual = of("residual"), upper = of("upper");
    const value = el("dd", {className: kindOf(log) === "nan" || kindOf(log) === "infinite" ? "bad" : ""}, power(log));
    if (upper !== MISSING) value.append(` to ${power(upper)}`);
    else if (residual !== MISSING) value.append(` (residual ${power(residual)})`);
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
