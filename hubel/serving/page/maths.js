// The arithmetic of one cell, worked out here from its window and its weights. Nothing is taken over from the server
// but the numbers that go in: `value` and `computed` of its answer are only there to be compared with.
//
//     worked(cell) -> {value, products, total}     products: flat, in the order of cell.inputs; null where there are none
//
// The letters are those of the definitions (hubel/definitions): x input, w weight, b bias.

export function worked(cell) {
  const rule = RULES[cell.operation];
  if (!rule) throw new Error(`no arithmetic for ${cell.operation}`);
  const found = rule(cell, flat(cell.inputs), flat(cell.weights), cell.given ?? {});
  return typeof found === "number" ? { value: found, products: null, total: null } : found;
}

export function flat(nested) {
  return nested == null ? [] : Array.isArray(nested) ? nested.flat(Infinity) : [nested];
}

export function sum(numbers) {
  let total = 0;
  for (const n of numbers) total += n;
  return total;
}

export const mean = (numbers) => sum(numbers) / numbers.length;

export function variance(numbers) {
  const middle = mean(numbers);
  return mean(numbers.map((n) => (n - middle) ** 2));
}

export function softmax(z) {
  const top = Math.max(...z);
  const e = z.map((v) => Math.exp(v - top));
  const total = sum(e);
  return e.map((v) => v / total);
}

// erf(x) = 2/sqrt(pi) sum (-1)^n x^(2n+1) / (n! (2n+1)); beyond 5 it is 1 to the last digit that matters here.
export function erf(x) {
  if (Math.abs(x) > 5) return Math.sign(x);
  let power = x, total = x;
  for (let n = 1; n < 120; n++) {
    power *= (-x * x) / n;
    total += power / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

// Where the largest stands; the first of equals. null is minus infinity: padding, which never wins.
export function winner(numbers) {
  let best = 0;
  for (let i = 1; i < numbers.length; i++) if ((numbers[i] ?? -Infinity) > (numbers[best] ?? -Infinity)) best = i;
  return best;
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const hard = (x) => Math.min(Math.max(x + 3, 0), 6) / 6;

function products(cell, x, w) {
  const each = x.map((v, i) => v * w[i]);
  const total = sum(each) + (cell.bias ?? 0);
  return { value: total, products: each, total };
}

function added(x) {
  return { value: sum(x), products: x, total: sum(x) };
}

function averaged(cell, x, _, given) {
  let counted = 1;
  const { positions, size } = cell.window;
  positions.forEach((along, axis) => {
    const [before, after] = given.count_padding ? given.padded[axis] : [0, 0];
    counted *= along.filter((p) => -before <= p && p < size[axis] + after).length;
  });
  return { value: sum(x) / counted, products: x, total: sum(x), counted };
}

function part(cell, x) {
  return { value: mean(x), products: x, total: sum(x), counted: x.length };
}

function largest(cell, x) {
  const at = winner(x);
  return { value: x[at], products: null, total: null, winner: at };
}

function standardised(x, middle, spread, given) {
  return (given.gamma ?? 1) * ((x - middle) / Math.sqrt(spread + given.eps)) + (given.beta ?? 0);
}

function normalised(cell, x, _, given) {
  const over = cell.reads[0].values;
  return standardised(x[0], mean(over), variance(over), given);
}

function attended(cell, v, _, __) {
  const [q, k] = cell.reads.map((read) => read.values);
  const scores = v.map((__, s) => sum(q.map((n, e) => n * k[s * q.length + e])) / Math.sqrt(q.length));
  const each = softmax(scores).map((p, s) => p * v[s]);
  return { value: sum(each), products: each, total: sum(each) };
}

function near(cell, x, _, given) {
  const c = given.index[1];
  const own = x[c - Math.max(0, c - Math.floor(given.size / 2))];
  return own * (given.k + (given.alpha / given.size) * sum(x.map((v) => v * v))) ** -given.beta;
}

function shared(cell, z, _, given) {
  const axis = given.axis < 0 ? given.index.length + given.axis : given.axis;
  return softmax(z)[given.index[axis]];
}

function sharedLog(cell, z, _, given) {
  const axis = given.axis < 0 ? given.index.length + given.axis : given.axis;
  const top = Math.max(...z);
  return z[given.index[axis]] - top - Math.log(sum(z.map((v) => Math.exp(v - top))));
}

function moved(cell, _, __, given) {
  return cell.reads.length ? cell.reads[0].values[0] : (given.fill ?? 0);
}

// What a cell depends on, and with which slopes: exact for whatever is linear in its numbers.
function sloped(cell) {
  return sum(cell.reads.flatMap((read) => read.values.map((v, i) => v * read.slopes[i])));
}

const alone = (f) => (cell, x, _, given) => f(x[0], given);
const two = (f) => (cell, [a, b]) => f(a, b);
const all = (rule, ...names) => Object.fromEntries(names.map((name) => [name, rule]));

export const RULES = {
  ...all(products, "conv2d", "convolve2d", "conv1d", "convolve1d", "conv_transpose2d", "partial_conv2d", "linear", "matmul"),
  ...all(largest, "max_pool2d", "max_pool1d", "adaptive_max_pool2d", "max_over_time"),
  ...all(averaged, "avg_pool2d", "avg_pool1d"),
  ...all(part, "global_avg_pool2d", "adaptive_avg_pool2d", "mean"),
  ...all((cell, x) => added(x), "sum_pool2d", "total"),
  subsample: (cell, x, _, { a, b }) => ({ value: a * sum(x) + b, products: x, total: sum(x) }),
  rbf: (cell, x, w) => added(x.map((v, i) => -((v - w[i]) ** 2))),
  scaled_dot_product_attention: attended,
  ...all(normalised, "batch_norm", "instance_norm", "layer_norm", "group_norm"),
  batch_norm_inference: (cell, x, _, given) => standardised(x[0], given.mean, given.variance, given),
  rms_norm: (cell, x, _, given) =>
    (given.gamma ?? 1) * (x[0] / Math.sqrt(mean(cell.reads[0].values.map((v) => v * v)) + given.eps)),
  local_response_norm: near,
  softmax: shared,
  log_softmax: sharedLog,
  prelu: alone((x, { slope }) => (x > 0 ? x : slope * x)),
  relu: alone((x) => Math.max(x, 0)),
  relu6: alone((x) => Math.min(Math.max(x, 0), 6)),
  leaky_relu: alone((x, { slope }) => (x > 0 ? x : slope * x)),
  sigmoid: alone(sigmoid),
  tanh: alone(Math.tanh),
  scaled_tanh: alone((x) => 1.7159 * Math.tanh((2 * x) / 3)),
  gelu: alone((x) => (x * (1 + erf(x / Math.SQRT2))) / 2),
  gelu_tanh: alone((x) => (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2),
  silu: alone((x) => x * sigmoid(x)),
  elu: alone((x, { alpha }) => (x > 0 ? x : alpha * Math.expm1(x))),
  softplus: alone((x, { beta }) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(beta * x))) / beta),
  mish: alone((x) => x * Math.tanh(Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))))),
  hardsigmoid: alone(hard),
  hardswish: alone((x) => x * hard(x)),
  exp: alone(Math.exp),
  log: alone(Math.log),
  sqrt: alone(Math.sqrt),
  absolute: alone(Math.abs),
  power: alone((x, { exponent }) => x ** exponent),
  clip: alone((x, { low, high }) => Math.min(Math.max(x, low ?? -Infinity), high ?? Infinity)),
  add: two((a, b) => a + b),
  subtract: two((a, b) => a - b),
  multiply: two((a, b) => a * b),
  divide: two((a, b) => a / b),
  maximum: two(Math.max),
  minimum: two(Math.min),
  ...all((cell, x) => x[0], "where", ""),
  ...all(moved, "reshape", "flatten", "transpose", "flip", "select", "broadcast", "pad", "concatenate", "stack", "part", "embedding", "upsample_nearest"),
  ...all(sloped, "upsample_bilinear", "largest"),
  variance: (cell) => sloped(cell) / 2, // a sum of squares: its slopes by its numbers add up to twice itself
};
