// The network as rows in graph order: each layer's maps as tiles on one canvas, lines for the ways between them, and
// a light on what a cell looks at. Maps are fetched for the rows that are near the window; small networks at once.

import * as api from "./api.js";
import * as draw from "./draw.js";
import { asMaps, seen } from "./fields.js";
import { digits, number, t } from "./i18n.js";

const AT_ONCE = 300_000; // numbers up to which all maps come in one answer
const SHOWN = { small: 64, large: 18, numbers: 128 }; // maps of a layer, before "all" is pressed
const SIDE = 56; // cells of a map's longer side that are shown

export class NetworkView {
  // facts: of /v1/network; told: {pointed(info or null), chosen(view, layer, index), zoomed(view, layer, map), failed(e)}
  constructor(root, base, facts, told) {
    Object.assign(this, { root, base, facts, told });
    const input = facts.kind === "picture" ? facts.input : [facts.input[0], 1, 1];
    const first = { name: "input", type: "", settings: "", output: input, parameters: 0, inputs: [], sees: null };
    this.rows = [first, ...facts.layers].map((row) => ({ ...row, maps: asMaps(row.output) }));
    this.place = new Map(this.rows.map((row, n) => [row.name, n]));
    this.graph = draw.lanes(this.rows);
    this.all = this.rows.reduce((total, row) => total + row.maps.reduce((a, b) => a * b), 0) <= AT_ONCE;
    this.held = new Map(); // layer -> {version, first, shape, step, low, high, levels}
    this.version = 0;
    this.cursor = null; // where the keyboard walks on from
    this.pointing = null;
    this.pinned = null; // clicked
    this.build();
  }

  build() {
    this.root.classList.add("network");
    this.svg = draw.shape("svg", { class: "graph", "aria-hidden": "true" });
    this.body = document.createElement("div");
    this.body.className = "rows";
    this.root.replaceChildren(this.svg, this.body);
    this.parts = this.rows.map((row, n) => this.rowPart(row, n));
    this.body.append(...this.parts.map((part) => part.box));
    this.watch = new IntersectionObserver((seen) => this.came(seen), { rootMargin: "500px 0px" });
    this.parts.forEach((part) => this.watch.observe(part.box));
    this.resized = new ResizeObserver(() => this.laid());
    this.resized.observe(this.root);
    this.laid();
  }

  rowPart(row, n) {
    const box = element("div", { className: "row" });
    box.dataset.layer = row.name;
    const head = element("div", { className: "head" });
    const title = element("b", { textContent: row.name === "input" ? t("input") : row.name });
    const kind = element("span", { className: "kind", textContent: [row.type, row.settings.replaceAll("x", "×")].filter(Boolean).join(" ") });
    const size = element("span", { className: "shape", textContent: row.output.join("×") });
    head.append(title, kind, size);
    if (row.parameters) {
      const said = row.parameters === 1 ? t("oneParameter") : t("parameters", { n: number(row.parameters) });
      head.append(element("span", { className: "count", textContent: said }));
    }
    const strip = element("div", { className: "strip" });
    const canvas = element("canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "application");
    const [C, h, w] = row.maps;
    canvas.setAttribute("aria-label", t("layerLabel", { layer: row.name, n: C, h, w }));
    const light = element("canvas", { className: "light", width: 0, height: 0 }); // sized when something lights up
    strip.append(canvas, light);
    const more = element("button", { type: "button", className: "more", hidden: true });
    more.onclick = () => this.expand(n);
    box.append(head, strip, more);
    const part = { box, title, strip, canvas, light, more, near: false, whole: false, layout: null };
    canvas.onpointermove = (e) => this.pointed(n, e);
    canvas.onpointerleave = () => this.left();
    canvas.onclick = (e) => this.clicked(n, e);
    canvas.ondblclick = () => this.cursor && this.told.zoomed(this, row.name, this.cursor.at[0]);
    canvas.onkeydown = (e) => this.pressed(n, e);
    canvas.onfocus = () => canvas.matches(":focus-visible") && this.point(n, this.cursor?.n === n ? this.cursor.at : [0, 0, 0]);
    canvas.onblur = () => this.left();
    return part;
  }

  // Cells as they are shown: large maps are thinned out, and of many maps the first come.
  shown(n) {
    const row = this.rows[n], [C, H, W] = row.maps;
    const step = n === 0 ? 1 : Math.max(1, Math.ceil(Math.max(H, W) / SIDE));
    const most = this.parts?.[n].whole ? C : H * W === 1 ? SHOWN.numbers : this.all ? SHOWN.small : SHOWN.large;
    const picture = n === 0 && this.facts.kind === "picture"; // its channels are one tile
    return { shape: [picture ? 1 : Math.min(C, most), Math.ceil(H / step), Math.ceil(W / step)], step };
  }

  laid() {
    const style = getComputedStyle(this.root);
    const step = innerWidth < 720 ? 9 : 13;
    this.root.style.setProperty("--lanes", `${18 + (this.graph.width - 1) * step}px`);
    const room = this.body.clientWidth - parseFloat(style.getPropertyValue("--inset") || 0);
    if (room <= 0) return;
    this.parts.forEach((part, n) => {
      const { shape } = this.shown(n);
      const input = n === 0 && this.facts.kind === "picture";
      const layout = draw.tiled(shape, room, input ? Math.max(1, Math.round(84 / shape[1])) : undefined);
      if (part.layout && ["columns", "count", "cell"].every((k) => part.layout[k] === layout[k])) return;
      part.layout = layout;
      const C = this.rows[n].maps[0];
      part.more.hidden = n === 0 || (shape[0] === C && !part.whole);
      part.more.textContent = part.whole ? t("fewerMaps") : t("moreMaps", { n: number(C) });
      this.paint(n);
    });
    this.lines(step);
    this.relight();
  }

  lines(step = innerWidth < 720 ? 9 : 13) {
    const top = this.root.getBoundingClientRect().top;
    const heights = this.parts.map((part) => {
      const at = part.title.getBoundingClientRect();
      return at.top + at.height / 2 - top;
    });
    draw.paintGraph(this.svg, this.graph, heights, step, this.root.clientHeight);
  }

  // Far rows only take their room: a canvas that is painted costs memory, and large networks have hundreds.
  paint(n) {
    const part = this.parts[n], held = this.held.get(this.rows[n].name);
    if (!part.layout) return;
    if (!part.near && !this.all) return draw.sized(part.canvas, part.layout.width, part.layout.height);
    if (!held) return draw.paintBlank(part.canvas, part.layout);
    const { shape } = this.shown(n);
    if (n === 0 && this.facts.kind === "picture") {
      const small = draw.picture(held.levels, held.shape);
      return draw.enlarge(small, part.canvas, part.layout.width, part.layout.height, draw.EDGE);
    }
    if (held.shape[0] < shape[0]) return draw.paintBlank(part.canvas, part.layout);
    draw.paintTiles(part.canvas, part.layout, held.levels, held.low, held.high);
    part.box.classList.toggle("old", held.version !== this.version);
  }

  repaint() {
    this.parts.forEach((_, n) => this.paint(n));
    this.relight();
  }

  came(seen) {
    for (const one of seen) {
      const n = this.parts.findIndex((part) => part.box === one.target);
      this.parts[n].near = one.isIntersecting;
      if (one.isIntersecting && !this.all) this.paint(n);
    }
    if (this.item && this.missing().length) this.fill();
  }

  // Rows that are near the window and do not show the picture that is asked about.
  missing() {
    return this.rows.filter((row, n) => {
      if (!this.parts[n].near && !this.all) return false;
      const held = this.held.get(row.name);
      return !held || held.version !== this.version || held.shape[0] < this.shown(n).shape[0];
    });
  }

  expand(n) {
    const part = this.parts[n];
    part.whole = !part.whole;
    part.layout = null;
    this.laid();
    if (part.whole) this.fill();
  }

  // item: {body} a picture as the service takes it; body changes to the network's own pixels once they are known.
  async ask(item) {
    this.item = item;
    this.version++;
    const version = this.version;
    const whole = this.parts.some((part) => part.whole);
    const named = this.all ? {} : { layers: ["input", ...this.rows.slice(1).filter((_, n) => this.parts[n + 1].near).map((row) => row.name)] };
    const found = await api.post(`${this.base}/maps`, { ...item.body, ...named, side: SIDE, count: this.all ? SHOWN.numbers : SHOWN.large });
    if (version !== this.version) return null;
    this.take(found, version);
    if (!this.all || whole) this.fill();
    return found.answer;
  }

  fill = api.latest(async () => {
    const version = this.version, item = this.item;
    const missing = this.missing();
    if (!missing.length || !item) return;
    try {
      const most = Math.max(...missing.map((row) => this.shown(this.place.get(row.name)).shape[0]));
      const found = await api.post(`${this.base}/maps`, { ...item.body, layers: missing.slice(0, 24).map((row) => row.name), side: SIDE, count: most });
      if (version === this.version) this.take(found, version);
      if (this.missing().length) this.fill();
    } catch (e) {
      this.told.failed(e);
    }
  });

  take(found, version) {
    for (const packed of found.layers) {
      this.held.set(packed.name, { ...packed, data: null, version, levels: api.numbers(packed) });
      if (packed.name === "input" && this.facts.kind === "picture") this.item.body = canonical(this.held.get("input"), this.item.body);
      this.paint(this.place.get(packed.name));
    }
    this.relight();
  }

  forget() {
    this.version++;
    this.item = this.pointing = this.pinned = null;
    this.held.clear();
    this.repaint();
  }

  // The cell of the layer that lies under the pointer, in the layer's own cells.
  under(n, e) {
    const part = this.parts[n], at = part.canvas.getBoundingClientRect();
    const scale = part.layout.width / at.width;
    const found = draw.cellAt(part.layout, (e.clientX - at.left) * scale, (e.clientY - at.top) * scale);
    if (!found) return null;
    const { step } = this.shown(n), [, H, W] = this.rows[n].maps;
    return [found[0], Math.min(H - 1, found[1] * step), Math.min(W - 1, found[2] * step)];
  }

  pointed(n, e) {
    const at = this.under(n, e);
    if (at) this.point(n, at);
    else this.left();
  }

  point(n, at) {
    this.cursor = this.pointing = { n, at };
    this.light(n, at);
    this.say();
  }

  left() {
    this.pointing = null;
    this.relight();
    this.say();
  }

  say() {
    const found = this.pointing ?? this.pinned;
    this.told.pointed(found && this.said(found.n, found.at));
  }

  clicked(n, e) {
    const at = this.under(n, e);
    if (at) this.choose(n, at);
  }

  choose(n, at) {
    if (n === 0) return;
    this.pinned = this.cursor = { n, at };
    this.light(n, at);
    this.told.chosen(this, this.rows[n], at);
  }

  pressed(n, e) {
    const [C, H, W] = this.rows[n].maps, { step, shape } = this.shown(n);
    let [c, i, j] = this.cursor?.n === n ? this.cursor.at : [0, 0, 0];
    const most = Math.min(C, shape[0]) - 1, columns = this.parts[n].layout.columns;
    const numbers = H * W === 1;
    if (e.key === "ArrowRight") numbers ? c++ : (j += step);
    else if (e.key === "ArrowLeft") numbers ? c-- : (j -= step);
    else if (e.key === "ArrowDown") numbers ? (c += columns) : (i += step);
    else if (e.key === "ArrowUp") numbers ? (c -= columns) : (i -= step);
    else if (e.key === "PageDown") c++;
    else if (e.key === "PageUp") c--;
    else if (e.key === "Enter" || e.key === " ") return e.preventDefault(), this.choose(n, [c, i, j]);
    else if (e.key === "z" || e.key === "Z") return this.told.zoomed(this, this.rows[n].name, c);
    else return;
    e.preventDefault();
    const within = (v, last) => Math.max(0, Math.min(last, v));
    this.point(n, [within(c, most), within(i, H - 1), within(j, W - 1)]);
  }

  // What the status line says of a cell, and what it sees of the picture.
  said(n, [c, i, j]) {
    const row = this.rows[n], [, H, W] = row.maps, held = this.held.get(row.name);
    const place = { layer: n ? row.name : t("input"), map: c, row: i, column: j };
    const input = this.facts.kind === "picture" ? this.facts.input.slice(1) : null;
    const sees = n && input ? seen(this.rows, this.place, n, [c, i, j]).get(0)?.box : null;
    const parts = [t(H * W === 1 ? "atNumber" : "at", place)];
    if (held && held.version === this.version && c < held.shape[0]) {
      const [, h, w] = held.shape;
      const q = held.levels[(c * h + Math.floor(i / held.step)) * w + Math.floor(j / held.step)];
      parts.push(t("about", { value: digits(held.low + (q / 255) * (held.high - held.low), 2) }));
    }
    if (sees) {
      const [h, w] = [sees[1] - sees[0] + 1, sees[3] - sees[2] + 1];
      parts.push(h === input[0] && w === input[1] ? t("seesAll") : t("sees", { h, w }));
    }
    return { text: parts.join("  ·  "), box: n ? (sees ?? null) : [i, i, j, j], size: input };
  }

  relight() {
    const found = this.pointing ?? this.pinned;
    if (found) this.light(found.n, found.at);
    else this.dark();
  }

  dark() {
    for (const { light } of this.parts) if (light.width) light.getContext("2d").clearRect(0, 0, light.width, light.height);
  }

  light(n, at) {
    this.dark();
    const row = this.rows[n];
    this.frame(n, [at[0], at[0]], [at[1], at[1], at[2], at[2]], "cell");
    if (!n) return;
    const found = seen(this.rows, this.place, n, at);
    const before = row.inputs.map((name) => this.place.get(name));
    for (const [k, { maps, box }] of found) {
      if (k !== n && (k === 0 || before.includes(k))) this.frame(k, maps, box, "before");
    }
  }

  // A frame around cells of each of some maps.
  frame(n, [first, last], [top, bottom, left, right], kind) {
    const part = this.parts[n], l = part.layout;
    if (!l || bottom < top || right < left) return;
    const context = draw.sized(part.light, l.width, l.height).getContext("2d"), { step } = this.shown(n);
    const style = getComputedStyle(this.root);
    context.strokeStyle = style.getPropertyValue(kind === "cell" ? "--lit-cell" : "--lit");
    context.fillStyle = style.getPropertyValue("--lit-fill");
    context.lineWidth = 2;
    const [y0, y1, x0, x1] = [top, bottom, left, right].map((v) => Math.floor(v / step));
    const picture = n === 0 && this.facts.kind === "picture"; // its channels are one tile
    for (let c = picture ? 0 : first; c <= (picture ? 0 : Math.min(last, l.count - 1)); c++) {
      const [x, y] = draw.tileAt(l, c);
      const box = [x + x0 * l.cell, y + y0 * l.cell, (x1 - x0 + 1) * l.cell, (y1 - y0 + 1) * l.cell];
      if (kind !== "cell") context.fillRect(...box);
      context.strokeRect(box[0] + 0.5, box[1] + 0.5, Math.max(2, box[2] - 1), Math.max(2, box[3] - 1));
    }
  }

  close() {
    this.watch.disconnect();
    this.resized.disconnect();
    this.root.remove();
  }
}

// The picture as the network received it, in the shortest form: asking again costs no new scaling, and nothing is lost.
function canonical(held, before) {
  if ("sample" in before) return before;
  const [C, H, W] = held.shape;
  if (C === 1 && H * W <= 4096) {
    return { pixels: Array.from({ length: H }, (_, i) => Array.from(held.levels.subarray(i * W, (i + 1) * W))) };
  }
  return { image: draw.picture(held.levels, held.shape).toDataURL("image/png").split(",")[1] };
}

function element(kind, values) {
  return Object.assign(document.createElement(kind), values);
}
