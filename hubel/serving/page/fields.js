// Which cells a cell looks at, worked out from the layers' windows without asking the service.

// What a cell sees of the picture along one axis: [first, last], clipped. seen: [size, stride, offset] or null.
function along(seen, i, side) {
  if (!seen) return [0, side - 1];
  const begin = seen[2] + i * seen[1];
  return [Math.max(0, begin), Math.min(side, begin + seen[0]) - 1];
}

// row: of /v1/network   at: [map, row, column]   -> [top, bottom, left, right] of the picture
export function onInput(row, at, [H, W]) {
  const [vertical, horizontal] = row.sees ?? [null, null];
  return [...along(vertical, at[1], H), ...along(horizontal, at[2], W)];
}

// The cells of one layer before: {maps: [first, last], box: [top, bottom, left, right]} in its own cells.
// place: which of the layer's inputs it is, outputs: of all of them, as [C, H, W]
export function onBefore(row, at, outputs, place) {
  const [c, i, j] = at, [C, H, W] = outputs[place], own = asMaps(row.output);
  const everything = { maps: [0, C - 1], box: [0, H - 1, 0, W - 1] };
  if (row.window && outputs.length === 1) {
    const [rows, columns] = [0, 1].map((axis) => {
      const { kernel, stride, padding, dilation } = row.window;
      const begin = at[1 + axis] * stride[axis] - padding[axis];
      const side = axis ? W : H, end = begin + (kernel[axis] - 1) * dilation[axis];
      return [Math.max(0, begin), Math.min(side - 1, end)];
    });
    const groups = row.window.groups;
    const each = groups ? C / groups : 1, group = groups ? Math.floor(c / (own[0] / groups)) : c;
    return { maps: [group * each, (group + 1) * each - 1], box: [...rows, ...columns] };
  }
  if (row.type === "Linear" || row.type === "RBF") return everything;
  if (own[1] === H && own[2] === W) {
    const joined = outputs.reduce((total, o) => total + o[0], 0);
    if (own[0] === C) return { maps: [c, c], box: [i, i, j, j] };
    if (outputs.length > 1 && joined === own[0]) {
      const first = outputs.slice(0, place).reduce((total, o) => total + o[0], 0);
      return c >= first && c < first + C ? { maps: [c - first, c - first], box: [i, i, j, j] } : null;
    }
  }
  if (own[1] === 1 && own[2] === 1 && own[0] === C * H * W) {
    const inside = c % (H * W);
    const map = Math.floor(c / (H * W)), r = Math.floor(inside / W), s = inside % W;
    return { maps: [map, map], box: [r, r, s, s] };
  }
  if (own[0] === C && own[1] <= H && own[2] <= W) {
    const [top, bottom] = evenly(i, H, own[1]), [left, right] = evenly(j, W, own[2]);
    return { maps: [c, c], box: [top, bottom, left, right] };
  }
  return everything;
}

const evenly = (i, cells, parts) => [Math.floor((i * cells) / parts), Math.ceil(((i + 1) * cells) / parts) - 1];

// Any output as maps, as the service gives them: numbers are maps of one cell, rows of words are one map.
export function asMaps(output) {
  if (output.length === 3) return output;
  if (output.length === 2) return [1, ...output];
  if (output.length === 1) return [output[0], 1, 1];
  const last = output.slice(-2);
  return [output.slice(0, -2).reduce((a, b) => a * b, 1), ...last];
}
