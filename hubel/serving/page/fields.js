// Which cells a cell looks at, worked out from the layers' windows without asking the service. All in boxes:
// {maps: [first, last], box: [top, bottom, left, right]}, in the cells of the layer that is looked at.

// rows: of the network, the input first   place: name -> its row   n: whose cell   at: [map, row, column]
// -> Map of row -> box, for every row on the way back, the cell's own included.
export function seen(rows, place, n, [c, i, j]) {
  const found = new Map([[n, { maps: [c, c], box: [i, i, j, j] }]]);
  for (let k = n; k > 0; k--) {
    const here = found.get(k);
    if (!here) continue;
    const before = rows[k].inputs.map((name) => place.get(name)).filter((p) => p !== undefined);
    const outputs = before.map((p) => rows[p].maps);
    before.forEach((p, which) => {
      const cells = onBefore(rows[k], here, outputs, which);
      if (cells) found.set(p, found.has(p) ? united(found.get(p), cells) : cells);
    });
  }
  return found;
}

function united(a, b) {
  const [low, high] = [Math.min, Math.max];
  const [t, u, l, r] = a.box, [t2, u2, l2, r2] = b.box;
  return { maps: [low(a.maps[0], b.maps[0]), high(a.maps[1], b.maps[1])], box: [low(t, t2), high(u, u2), low(l, l2), high(r, r2)] };
}

// What a box of a layer looks at in one of its inputs; null where it does not look at that one.
// outputs: of all its inputs, as [C, H, W]   which: of them
function onBefore(row, { maps: [c, d], box: [top, bottom, left, right] }, outputs, which) {
  const [C, H, W] = outputs[which], own = asMaps(row.output);
  const everything = { maps: [0, C - 1], box: [0, H - 1, 0, W - 1] };
  if (row.window && outputs.length === 1) {
    const { kernel, stride, padding, dilation, groups } = row.window;
    const along = (first, last, axis, side) => {
      const begin = first * stride[axis] - padding[axis], end = last * stride[axis] - padding[axis] + (kernel[axis] - 1) * dilation[axis];
      return [Math.max(0, begin), Math.min(side - 1, end)];
    };
    const box = [...along(top, bottom, 0, H), ...along(left, right, 1, W)];
    if (box[1] < box[0] || box[3] < box[2]) return null; // only padding
    if (!groups) return { maps: [c, d], box };
    const each = C / groups, group = (map) => Math.floor(map / (own[0] / groups));
    return { maps: [group(c) * each, (group(d) + 1) * each - 1], box };
  }
  if (row.gathers || row.type === "RBF") return everything;
  if (own[1] === H && own[2] === W) {
    const box = [top, bottom, left, right];
    if (own[0] === C) return { maps: [c, d], box };
    const joined = outputs.reduce((total, o) => total + o[0], 0);
    if (outputs.length > 1 && joined === own[0]) {
      const first = outputs.slice(0, which).reduce((total, o) => total + o[0], 0);
      return d < first || c >= first + C ? null : { maps: [Math.max(0, c - first), Math.min(C - 1, d - first)], box };
    }
  }
  if (own[1] === 1 && own[2] === 1 && own[0] === C * H * W) {
    if (c !== d) return { ...everything, maps: [Math.floor(c / (H * W)), Math.floor(d / (H * W))] };
    const inside = c % (H * W), r = Math.floor(inside / W), s = inside % W;
    return { maps: [Math.floor(c / (H * W)), Math.floor(c / (H * W))], box: [r, r, s, s] };
  }
  if (own[0] === C && own[1] <= H && own[2] <= W) {
    return { maps: [c, d], box: [...evenly(top, bottom, H, own[1]), ...evenly(left, right, W, own[2])] };
  }
  return everything;
}

// Even parts, as adaptive pooling makes them.
const evenly = (first, last, cells, parts) => [Math.floor((first * cells) / parts), Math.ceil(((last + 1) * cells) / parts) - 1];

// Any output as maps, as the service gives them: numbers are maps of one cell, rows of words are one map.
export function asMaps(output) {
  if (output.length === 3) return output;
  if (output.length === 2) return [1, ...output];
  if (output.length === 1) return [output[0], 1, 1];
  const last = output.slice(-2);
  return [output.slice(0, -2).reduce((a, b) => a * b, 1), ...last];
}
