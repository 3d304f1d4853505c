"use strict";
// The page's data, and numbers written for people.

const data = JSON.parse(document.getElementById("data").textContent);
const MISSING = Math.fround(-1e30);  // among logarithms: nothing was recorded; -Infinity is an exact zero

const QUANTITIES = {
  sigma_max: {label: "σmax", title: "σmax: the most a layer can stretch", centred: true},
  gain: {label: "gain", title: "gain: what the layer did to the gradient", centred: true},
  gradient_left: {label: "gradient left", title: "what is left of the gradient before the layer, of what there is behind the last", centred: true},
  grad_in: {label: "gradient norm", title: "gradient norm at the layer's input"},
  frobenius: {label: "Frobenius", title: "Frobenius norm of the Jacobian"},
  condition: {label: "condition", title: "condition number: the largest singular value over the smallest"},
  sigma_min_active: {label: "σmin", title: "σmin: the least a layer can stretch, of its outputs that are not dead"},
  effective_rank: {label: "effective rank", title: "effective rank of the Jacobian"},
  stable_rank: {label: "stable rank", title: "stable rank of the Jacobian: the square of its Frobenius norm over σmax"},
  activation_rms: {label: "activation rms", title: "root mean square of the layer's output", centred: true},
  kurtosis: {label: "kurtosis", title: "kurtosis of the layer's output: 3 for normal numbers"},
  dead: {label: "dead units", title: "share of units that are zero for the whole batch"},
  saturated: {label: "saturated", title: "share of the outputs where the activation is flat"},
  attention_entropy: {label: "entropy", title: "entropy of the attention weights, in nats: the mean over the heads"},
  logit_variance: {label: "logit variance", title: "variance of the attention's scores: the mean over the heads"},
  weight_norm: {label: "weight norm", title: "norm of the weights"},
  update_ratio: {label: "update / weight", title: "norm of the step's change over that of the weight"},
  grad_norm: {label: "gradient norm", title: "norm of the parameter's gradient"},
  update_norm: {label: "update norm", title: "norm of the step's change"},
};
const OF_LAYERS = ["sigma_max", "gain", "gradient_left", "grad_in", "frobenius", "condition", "sigma_min_active", "effective_rank", "stable_rank", "activation_rms", "kurtosis", "dead", "saturated", "attention_entropy", "logit_variance", "weight_norm"];
const OF_PARAMETERS = ["update_ratio", "grad_norm", "weight_norm", "update_norm"];

// 16-bit codes, base64, frame after frame of those that have the quantity: as logarithms to base ten.
function decode({lo, hi, codes}) {
  const bytes = Uint8Array.from(atob(codes), (c) => c.charCodeAt(0));
  const logs = new Float32Array(bytes.length / 2);
  for (let i = 0; i < logs.length; ++i) {
    const code = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    logs[i] = code <= 65531 ? lo + ((hi - lo) * code) / 65531 : [MISSING, NaN, Infinity, -Infinity][code - 65532];
  }
  return logs;
}

const logOf = (v) => (v === null ? MISSING : Math.log10(Number(v)));
// Rows by frames. How long the last frame stays in sight: as long as measured ones usually do.
function unpack(board) {
  const {frames} = board;
  const all = frames.map((_, frame) => frame);
  board.having = {};  // of each quantity the frames that have it
  for (const [name, packed] of Object.entries(board.values)) {
    const logs = decode(packed), width = board.rows.length, having = (board.having[name] = packed.frames || all);
    board.values[name] = new Float32Array(frames.length * width).fill(MISSING);
    having.forEach((frame, k) => board.values[name].set(logs.subarray(k * width, (k + 1) * width), frame * width));
  }
  board.end = frames.length ? frames[frames.length - 1] + board.gap || 1 : 0;
  return board;
}
const runs = data.runs.map((run, index) => ({...run, index, visible: true, layers: unpack(run.layers), parameters: unpack(run.parameters)}));

// What each run has over its steps, as logarithms, but as it is where a run has negative numbers, as the loss of a density:
// the end-to-end gain only where layers were measured.
const RECORDED = {loss: (run) => run.loss, grad_norm: (run) => run.grad_norm, sharpness: (run) => run.sharpness.map((s) => s.value)};
const LINEAR = new Set(Object.keys(RECORDED).filter((name) => runs.some((run) => RECORDED[name](run).some((v) => Number.isFinite(v) && v < 0))));
for (const run of runs) {
  const values = (name) => RECORDED[name](run).map((v) => (LINEAR.has(name) && v !== null ? Number(v) : logOf(v)));
  run.curves = {
    loss: {steps: run.steps, values: values("loss")},
    grad_norm: {steps: run.steps, values: values("grad_norm")},
    through: throughOf(run.layers),
    sharpness: {steps: run.sharpness.map((s) => s.step), values: values("sharpness")},
  };
}

// What is left of the gradient before the first layer that ran, at the frames where it is known.
function throughOf(board) {
  const at = (quantity, frame, row) => logAt(board, quantity, frame, row) !== MISSING;
  const known = board.rows.map((_, row) => row).filter((row) => board.frames.some((_, frame) => at("gradient_left", frame, row)));
  const first = board.frames.map((_, frame) => known.find((row) => at("activation_rms", frame, row)));
  const frames = board.frames.map((_, frame) => frame).filter((frame) => first[frame] !== undefined && at("gradient_left", frame, first[frame]));
  return {steps: frames.map((frame) => board.frames[frame]), values: frames.map((frame) => logAt(board, "gradient_left", frame, first[frame]))};
}
// Of logarithms: what was exactly zero stays so, whatever comes after it.
function times(sum, log) {
  return sum === -Infinity ? sum : sum + log;
}

// log10 of a quantity of a board's row at one of its frames.
function logAt(board, quantity, frame, row) {
  const values = board.values[quantity];
  return values && frame >= 0 ? values[frame * board.rows.length + row] : MISSING;
}

// The steps at which a quantity is a number somewhere.
function stepsWith(board, quantity) {
  const isNumber = (log) => Number.isFinite(log) && log !== MISSING;
  return board.frames.filter((_, frame) => board.rows.some((_, row) => isNumber(logAt(board, quantity, frame, row))));
}
const framesOf = (board, quantity) => board.having[quantity] || board.frames.map((_, frame) => frame);

// The last index whose step is not after the given one (the first, if all are).
function indexAt(steps, step) {
  let lo = 0, hi = steps.length - 1;
  while (lo < hi) {
    const middle = (lo + hi + 1) >> 1;
    if (steps[middle] <= step) lo = middle;
    else hi = middle - 1;
  }
  return steps.length ? lo : -1;
}

// Are the runs a family: nets by depths, each at most once?
const nets = [...new Set(runs.map((run) => run.net))];
const depths = [...new Set(runs.map((run) => run.depth))].sort((a, b) => a - b);
const isFamily = runs.length > 1 && runs.every((run) => run.net && run.depth !== null) && depths.length <= 8 &&
  new Set(runs.map((run) => run.net + " " + run.depth)).size === runs.length;
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [1, 6]];
function styleOf(run) {
  if (!isFamily) return {colour: `--c${run.index % 8}`, dash: DASHES[Math.floor(run.index / 8) % 5], width: 1.8};
  const shallower = depths.length - 1 - depths.indexOf(run.depth);  // the deepest is drawn solid and strong
  return {colour: `--c${nets.indexOf(run.net) % 8}`, dash: DASHES[shallower % 5], width: shallower ? 1.6 : 2.4};
}

const minus = (text) => text.replace(/-/g, "−");
function num(x, digits = 3) {
  if (x === undefined || x === null || x === "") return "–";
  x = Number(x);
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  if (x === 0 || (size >= 1e-3 && size < 1e5)) return minus(String(Number(x.toPrecision(digits))));
  const [mantissa, exponent] = x.toExponential(Math.max(0, digits - 2)).split("e");
  return minus(`${Number(mantissa)}e${Number(exponent)}`);
}
function power(log, digits = 3) {  // the number whose log10 is given
  if (log === MISSING) return "–";
  if (!Number.isFinite(log)) return log === -Infinity ? "0" : num(log);
  return Math.abs(log) < 300 ? num(10 ** log, digits) : minus(`1e${Math.round(log)}`);
}
const whole = (n) => (Math.abs(n) < 1e6 ? String(n) : num(n, 6));  // of an axis
const fixed = (x, digits) => (Number.isFinite(x) ? minus(x.toFixed(digits).replace(/^-(0\.?0*)$/, "$1")) : num(x));
const percent = (x, digits = 1) => (x === undefined || x === null ? "–" : fixed(100 * Number(x), digits) + " %");

function ticks(lo, hi, most) {
  const rough = (hi - lo) / Math.max(1, most) || 1, unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= rough * 0.999);
  const out = [];
  for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + 1e-9 * step; ++k) out.push(k * step);
  return out;
}
function logTicks(lo, hi, most) {  // in exponents; within two decades also 2 and 5
  if (hi - lo > 2) return ticks(lo, hi, most).filter((t) => Math.abs(t - Math.round(t)) < 1e-9);
  const out = [];
  for (let e = Math.floor(lo); e <= hi; ++e)
    for (const m of [1, 2, 5]) if (e + Math.log10(m) >= lo && e + Math.log10(m) <= hi) out.push(e + Math.log10(m));
  return out.length > 2 ? out : ticks(10 ** lo, 10 ** hi, most).map(Math.log10).filter(Number.isFinite);
}

