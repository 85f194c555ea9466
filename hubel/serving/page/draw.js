// Everything that is painted: colours for numbers, maps as tiles on one canvas per layer, heat over a picture, graphs.

// From strongly against over nothing to strongly for. Nothing is the colour of the paper, so that what is quiet is
// not seen; warm is above zero, cool below, in both themes.
const LIGHT = ["#0b2447", "#1d5a9e", "#62a3dc", "#c3dcf3", "#ffffff", "#fddcae", "#f59a3c", "#c8460c", "#571405"];
const DARK = ["#e6f4ff", "#79bdf6", "#2b74b8", "#163a5c", "#15181d", "#55300f", "#b95a0c", "#f9b64a", "#fff6dd"];
const HALF = 127;

export function dark() {
  const said = document.documentElement.dataset.theme;
  return said ? said === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const made = new Map();

// 255 colours as numbers of a canvas (ABGR); the middle one is zero.
export function colours() {
  const anchors = dark() ? DARK : LIGHT;
  if (!made.has(anchors)) {
    const steps = anchors.map((a) => [1, 3, 5].map((k) => parseInt(a.slice(k, k + 2), 16)));
    const table = new Uint32Array(2 * HALF + 1);
    for (let i = 0; i < table.length; i++) {
      const at = (i / (table.length - 1)) * (steps.length - 1), low = Math.min(Math.floor(at), steps.length - 2);
      const [r, g, b] = steps[low].map((c, k) => Math.round(c + (at - low) * (steps[low + 1][k] - c)));
      table[i] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
    made.set(anchors, table);
  }
  return made.get(anchors);
}

export function colour(value, most) {
  const c = colours()[Math.round(HALF + HALF * Math.max(-1, Math.min(1, most > 0 ? value / most : 0)))];
  return `rgb(${c & 255} ${(c >> 8) & 255} ${(c >> 16) & 255})`;
}

// Whether dark or light digits are read on that colour.
export function inkOn(value, most) {
  const c = colours()[Math.round(HALF + HALF * Math.max(-1, Math.min(1, most > 0 ? value / most : 0)))];
  return 0.3 * (c & 255) + 0.59 * ((c >> 8) & 255) + 0.11 * ((c >> 16) & 255) > 140 ? "#16181d" : "#ffffff";
}

export const EDGE = 1; // pixels of the line around a tile: maps without anything in them would not be seen

// How tiles of (h, w) cells lie on a canvas that is `room` wide.
export function tiled([count, h, w], room, cell = cellSize(h, w)) {
  const gap = Math.max(h, w) === 1 ? 3 : 5;
  const columns = Math.max(1, Math.min(count, Math.floor((room + gap - 2 * EDGE) / (w * cell + gap))));
  const rows = Math.ceil(count / columns);
  const along = (n, side) => n * (side * cell + gap) - gap + 2 * EDGE;
  return { count, h, w, cell, gap, columns, width: along(columns, w), height: along(rows, h) };
}

export function cellSize(h, w) {
  const side = Math.max(h, w);
  return side === 1 ? 16 : side <= 4 ? 13 : Math.max(1, Math.round(50 / side));
}

export const tileAt = (l, n) => [EDGE + (n % l.columns) * (l.w * l.cell + l.gap), EDGE + Math.floor(n / l.columns) * (l.h * l.cell + l.gap)];

// Which cell lies at (x, y) of the canvas: [map, row, column]; null between tiles.
export function cellAt(l, x, y) {
  const column = Math.floor(x / (l.w * l.cell + l.gap)), row = Math.floor(y / (l.h * l.cell + l.gap));
  const n = row * l.columns + column;
  if (column < 0 || row < 0 || column >= l.columns || n >= l.count) return null;
  const [left, top] = tileAt(l, n);
  const j = Math.min(l.w - 1, Math.floor((x - left) / l.cell)), i = Math.min(l.h - 1, Math.floor((y - top) / l.cell));
  return [n, Math.max(0, i), Math.max(0, j)];
}

export function sized(canvas, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return canvas;
}

// levels: Uint8Array of (count, h, w), level q standing for low + q / 255 (high - low).
export function paintTiles(canvas, l, levels, low, high) {
  sized(canvas, l.width, l.height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(l.width, l.height);
  const out = new Uint32Array(image.data.buffer);
  const most = Math.max(Math.abs(low), Math.abs(high)), table = colours();
  const of = new Uint32Array(256);
  for (let q = 0; q < 256; q++) {
    const value = low + (q / 255) * (high - low);
    of[q] = table[Math.round(HALF + HALF * (most > 0 ? value / most : 0))];
  }
  const { h, w, cell, count } = l, edge = dark() ? 0xff352c27 : 0xffe7e3e1;
  for (let n = 0; n < count; n++) {
    const [left, top] = tileAt(l, n), corner = (top - EDGE) * l.width + left - EDGE, [wide, high] = [w * cell + 2 * EDGE, h * cell + 2 * EDGE];
    for (const line of [corner, corner + (high - 1) * l.width]) out.fill(edge, line, line + wide);
    for (let i = 1; i < high - 1; i++) out[corner + i * l.width] = out[corner + i * l.width + wide - 1] = edge;
    for (let i = 0; i < h; i++) {
      const start = (top + i * cell) * l.width + left;
      for (let j = 0; j < w; j++) {
        const c = of[levels[(n * h + i) * w + j]], from = start + j * cell;
        for (let k = 0; k < cell; k++) out[from + k] = c;
      }
      for (let k = 1; k < cell; k++) out.copyWithin(start + k * l.width, start, start + w * cell);
    }
  }
  context.putImageData(image, 0, 0);
}

// Empty tiles: where the maps of a layer will be.
export function paintBlank(canvas, l) {
  const context = sized(canvas, l.width, l.height).getContext("2d");
  context.clearRect(0, 0, l.width, l.height);
  context.fillStyle = dark() ? "#1c2027" : "#eceef1";
  for (let n = 0; n < l.count; n++) context.fillRect(...tileAt(l, n), l.w * l.cell, l.h * l.cell);
}

// (C, H, W) numbers, `full` being white -> a canvas of H x W pixels: grey, or in colour where C is 3.
export function picture(values, [C, H, W], full = 255, canvas = document.createElement("canvas")) {
  const context = sized(canvas, W, H).getContext("2d");
  const image = context.createImageData(W, H);
  const size = H * W;
  for (let p = 0; p < size; p++) {
    for (let k = 0; k < 3; k++) image.data[4 * p + k] = (255 / full) * values[(C === 3 ? k : 0) * size + p];
    image.data[4 * p + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// A picture that came, in no more pixels than the pad can show: photographs have fifty times that.
export function reduced(image) {
  const scale = 840 / Math.max(image.width, image.height);
  if (scale >= 1) return image;
  return enlarge(image, document.createElement("canvas"), Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale)));
}

// `from` enlarged onto a canvas: pixel by pixel where pixels are few, smoothly otherwise. edge: left free around it
export function enlarge(from, canvas, width, height, edge = 0) {
  const context = sized(canvas, width, height).getContext("2d");
  context.imageSmoothingEnabled = from.width > width || from.width > 100;
  context.imageSmoothingQuality = "high";
  context.clearRect(0, 0, width, height);
  context.drawImage(from, edge, edge, width - 2 * edge, height - 2 * edge);
  return canvas;
}

// (H, W) evidence as a see-through layer: warm for, cool against, nothing where there is none.
export function heat(values, [H, W]) {
  const canvas = sized(document.createElement("canvas"), W, H);
  const context = canvas.getContext("2d");
  const image = context.createImageData(W, H);
  let most = 0;
  for (const v of values) most = Math.max(most, Math.abs(v));
  for (let p = 0; p < H * W; p++) {
    const size = most > 0 ? Math.abs(values[p]) / most : 0;
    const [r, g, b] = values[p] >= 0 ? [255, Math.round(176 - 130 * size), 30] : [30, Math.round(150 - 40 * size), 255];
    image.data.set([r, g, b, Math.round(255 * Math.min(1, 1.1 * Math.sqrt(size)))], 4 * p);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// Lanes for a graph whose rows stand in order: of each row its lane, and from which rows lines come to it.
// A value holds its lane until its last reader has it; where ways fork, the new ones take free lanes.
export function lanes(rows) {
  const place = new Map(rows.map((row, n) => [row.name, n]));
  const last = new Map();
  rows.forEach((row, n) => row.inputs.forEach((name) => last.set(name, n)));
  const busy = []; // lane -> the row that holds it
  const lane = [], lines = [];
  rows.forEach((row, n) => {
    const sources = row.inputs.filter((name) => place.has(name)).map((name) => place.get(name));
    for (const s of sources) {
      lines.push([s, n]);
      if (last.get(rows[s].name) === n) busy[lane[s]] = undefined;
    }
    const freed = sources.filter((s) => busy[lane[s]] === undefined).map((s) => lane[s]);
    let mine = freed.length ? Math.min(...freed) : 0;
    while (busy[mine] !== undefined) mine++;
    lane[n] = mine;
    if (last.has(row.name)) busy[mine] = n;
  });
  return { lane, lines, width: Math.max(0, ...lane) + 1 };
}

const SVG = "http://www.w3.org/2000/svg";

export function shape(kind, attributes) {
  const e = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
}

// heights: the middle of each row. Dots with lines between them: straight along a lane, a bend where it is left.
export function paintGraph(svg, graph, heights, step, height) {
  const x = (n) => 8 + graph.lane[n] * step;
  const drawn = graph.lines.map(([from, to]) => {
    const [x0, y0, x1, y1] = [x(from), heights[from], x(to), heights[to]];
    const apart = Math.min(22, (y1 - y0) / 2);
    const side = graph.lane[to] > graph.lane[from];
    const path = x0 === x1 ? `M${x0} ${y0}V${y1}`
      : side ? `M${x0} ${y0}C${x0} ${y0 + apart} ${x1} ${y0} ${x1} ${y0 + apart}V${y1}`
      : `M${x0} ${y0}V${y1 - apart}C${x0} ${y1} ${x1} ${y1 - apart} ${x1} ${y1}`;
    return shape("path", { d: path, class: to - from > 1 ? "line long" : "line" });
  });
  const dots = graph.lane.map((_, n) => shape("circle", { cx: x(n), cy: heights[n], r: 3.5, class: "dot" }));
  svg.setAttribute("width", 16 + (graph.width - 1) * step);
  svg.setAttribute("height", height);
  svg.replaceChildren(...drawn, ...dots);
}
