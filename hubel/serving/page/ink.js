// A drawing brought to what the network learnt from. MNIST's way (LeCun et al. 1998, section III.A): the ink is scaled
// into a box, its longer side to the box's, and its centre of mass is put where that of the data lies.

const PAPER = 0.2; // of full ink: what an edge's haze stays below

// grey: (h, w) in 0..1, ink is 1   ink: {box, middle: [row, column]} as /v1/network measured it
// -> Uint8Array (H, W), null where there is no ink.
export function normalised(grey, h, w, ink, H, W) {
  const found = extent(grey, h, w);
  if (!found) return null;
  const { top, bottom, left, right } = found;
  const scale = ink.box / Math.max(bottom - top, right - left);
  const rows = Math.max(1, Math.round((bottom - top) * scale));
  const columns = Math.max(1, Math.round((right - left) * scale));
  const small = resampled(grey, w, found, rows, columns);
  const [y, x] = centre(small, rows, columns);
  const down = Math.round(ink.middle[0] - y), across = Math.round(ink.middle[1] - x);
  const peak = Math.max(...small);
  const made = new Uint8Array(H * W);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      const r = i + down, c = j + across;
      if (r >= 0 && r < H && c >= 0 && c < W) made[r * W + c] = Math.round((255 * small[i * columns + j]) / peak);
    }
  return made;
}

// The box around the ink: [top, bottom) x [left, right).
export function extent(grey, h, w) {
  let top = h, bottom = 0, left = w, right = 0;
  for (let i = 0; i < h; i++)
    for (let j = 0; j < w; j++)
      if (grey[i * w + j] > PAPER) {
        if (i < top) top = i;
        if (i >= bottom) bottom = i + 1;
        if (j < left) left = j;
        if (j >= right) right = j + 1;
      }
  return bottom > top ? { top, bottom, left, right } : null;
}

// Each small pixel is the mean of the part of the drawing that it covers, fractions of pixels included.
function resampled(grey, w, { top, bottom, left, right }, rows, columns) {
  const high = bottom - top;
  const narrow = new Float64Array(high * columns);
  for (const [j, parts] of shares(right - left, columns).entries())
    for (let i = 0; i < high; i++) {
      let total = 0;
      for (const [at, share] of parts) total += share * grey[(top + i) * w + left + at];
      narrow[i * columns + j] = total;
    }
  const made = new Float64Array(rows * columns);
  for (const [i, parts] of shares(high, rows).entries())
    for (let j = 0; j < columns; j++) {
      let total = 0;
      for (const [at, share] of parts) total += share * narrow[at * columns + j];
      made[i * columns + j] = total;
    }
  return made;
}

// For each of `count` parts of `size` cells: [cell, share of the part that it is].
function shares(size, count) {
  const made = [];
  for (let i = 0; i < count; i++) {
    const begin = (i * size) / count, end = ((i + 1) * size) / count;
    const parts = [];
    for (let at = Math.floor(begin); at < Math.min(size, Math.ceil(end)); at++) {
      const share = (Math.min(at + 1, end) - Math.max(at, begin)) / (end - begin);
      if (share > 0) parts.push([at, share]);
    }
    made.push(parts);
  }
  return made;
}

// [row, column] of the centre of mass, in pixels from 0.
export function centre(grey, h, w) {
  let total = 0, y = 0, x = 0;
  for (let i = 0; i < h; i++)
    for (let j = 0; j < w; j++) {
      const ink = grey[i * w + j];
      total += ink;
      y += ink * i;
      x += ink * j;
    }
  return [y / total, x / total];
}

// How thick a stroke should be on a canvas of `side` pixels: a digit of MNIST fills 5/7 of the picture with strokes of
// about two of its 28 pixels; where pixels are fewer, strokes are thinner.
export function strokeWidth(side, ink, H) {
  const box = ink ? ink.box : Math.min(H, 28) * 0.72;
  return Math.round(((0.72 * side) / box) * (1 + box / 17));
}
