// The arithmetic of one cell, written out: window, kernel, products, bias, sum, and what the layers right behind make
// of it. All results are those of maths.js; the service's own stand beside them.

import * as api from "./api.js";
import { make } from "./dom.js";
import { colour, inkOn } from "./draw.js";
import { digits, number, t } from "./i18n.js";
import { flat, sum, winner, worked } from "./maths.js";

const FEW = 49; // numbers of a window that are written as a grid; of more the largest products are listed
const CHAIN = 4; // layers behind that are followed

export class CellPanel {
  // begin(): shows an example   zoom(view, layer, map): opens a map large
  constructor(root, begin, zoom) {
    Object.assign(this, { root, begin, zoom, asked: 0 });
  }

  // samples: how many pictures there are to show one of
  empty(samples) {
    const step = (n, key) => make("li", {}, make("i", { ariaHidden: "true" }, String(n)), make("span", {}, make("b", {}, t(key)), ` ${t(`${key}t`)}`));
    this.root.replaceChildren(
      make("ol", { className: "how" }, step(1, "how1"), step(2, "how2"), step(3, "how3")),
      ...(samples ? [make("button", { className: "main", type: "button", onclick: this.begin, id: "example" }, t("example"))] : []),
    );
  }

  // view: a NetworkView; row: of its rows; at: [map, row, column]
  async show(view, row, at) {
    const asked = ++this.asked;
    this.shown = { view, row, at, version: view.version };
    const cell = await this.fetched(view, row, at);
    if (asked !== this.asked) return;
    this.root.replaceChildren(this.title(view, row, at), ...this.written(cell));
    let last = row;
    for (let n = 0; n < CHAIN; n++) {
      const next = follower(view.rows, last);
      if (!next) return;
      const then = await this.fetched(view, next, at);
      if (asked !== this.asked) return;
      this.root.append(this.after(next, then));
      last = next;
    }
  }

  // For another picture; `anew` for other colours.
  again(anew = false) {
    if (this.shown && (anew || this.shown.version !== this.shown.view.version)) return this.show(this.shown.view, this.shown.row, this.shown.at);
  }

  fetched(view, row, at) {
    return api.post(`${view.base}/cell`, { ...view.item.body, layer: row.name, index: at });
  }

  title(view, row, [c, i, j]) {
    const one = row.maps[1] * row.maps[2] === 1;
    const name = make("h3", {}, t(one ? "atNumber" : "at", { layer: row.name, map: c, row: i, column: j }));
    const large = make("button", { type: "button", id: "enlarge", className: "quiet", onclick: () => this.zoom(view, row.name, c) }, t("enlarge"));
    return make("div", { className: "named" }, name, ...(one ? [] : [large]));
  }

  written(cell) {
    const found = worked(cell);
    const x = flat(cell.inputs), w = flat(cell.weights);
    const parts = [make("p", { className: "formula" }, make("code", {}, cell.formula))];
    if (cell.window && cell.weights) parts.push(...this.convolved(cell, found, x, w));
    else if (cell.window) parts.push(...this.pooled(cell, found, x));
    else if (found.products && x.length > 1) parts.push(this.largest(found.products, x, w));
    else if (cell.steps.length) parts.push(steps(cell, found.value));
    if (found.products && (cell.weights || cell.bias !== null)) parts.push(this.summed(cell, found));
    parts.push(this.result(cell, found.value));
    return parts;
  }

  // A grid of the window, of the kernel and of their products, channel by channel: the one that adds most comes first.
  convolved(cell, found, x, w) {
    const channels = cell.window.channels, each = x.length / channels.length;
    const adds = channels.map((_, c) => sum(found.products.slice(c * each, (c + 1) * each)));
    const order = channels.map((_, c) => c).sort((a, b) => Math.abs(adds[b]) - Math.abs(adds[a]));
    const box = make("div", { className: "grids" });
    const from = this.shown.row.inputs[0] ?? "input";
    const most = Math.max(...x.map(Math.abs)), heavy = Math.max(...w.map(Math.abs)), strong = Math.max(...found.products.map(Math.abs));
    const bars = channels.length > 1 ? contributions(adds, (c) => write(order.indexOf(c))) : null;
    const write = (place) => {
      const c = order[place], cut = (v) => v.slice(c * each, (c + 1) * each);
      const head = make("div", { className: "channel" });
      if (channels.length > 1) {
        const turn = (label, by) => make("button", { type: "button", className: "quiet", ariaLabel: t(label), title: t(label), disabled: place + by < 0 || place + by >= order.length, onclick: () => write(place + by) }, by < 0 ? "‹" : "›");
        head.append(turn("prev", -1), make("span", {}, t("channel", { n: channels[c], layer: from === "input" ? t("input") : from })), turn("next", 1));
      }
      head.append(make("span", { className: "adds" }, t("sumOf", { value: digits(adds[c], 4) })));
      const shape = cell.window.positions.map((p) => p.length), inside = cell.window.inside.flat();
      if (each > FEW) box.replaceChildren(head, this.largest(cut(found.products), cut(x), cut(w)));
      else {
        box.replaceChildren(
          head,
          make("div", { className: "equation" }, grid(t("window"), cut(x), shape, most, inside), joined("×", grid(t("kernel"), cut(w), shape, heavy)),
            joined("=", grid(t("productsOf"), cut(found.products), shape, strong, inside))),
        );
      }
      bars?.mark(c);
    };
    write(0);
    return [box, ...(bars ? [make("p", { className: "small" }, t("allChannels", { n: channels.length })), bars] : [])];
  }

  pooled(cell, found, x) {
    const shape = cell.window.positions.map((p) => p.length), inside = cell.window.inside.flat();
    const won = cell.winner ? winner(x) : null;
    const most = Math.max(...x.filter((v) => v !== null).map(Math.abs));
    const shown = x.length > FEW ? this.largest(x, x, []) : grid(t("window"), x, shape, most, inside, won);
    const said = won === null ? t("ofN", { n: found.counted ?? x.length }) : t("wins", { value: digits(x[won], 4) });
    return [make("div", { className: "equation" }, shown), make("p", {}, said)];
  }

  // Of many products the largest, as a table.
  largest(products, x, w) {
    const order = products.map((_, n) => n).sort((a, b) => Math.abs(products[b]) - Math.abs(products[a])).slice(0, 8);
    const rest = sum(products) - sum(order.map((n) => products[n]));
    const body = order.map((n) => make("tr", {}, make("td", {}, `${n}`), make("td", {}, digits(x[n], 4)), make("td", {}, w.length ? `× ${digits(w[n], 4)}` : ""), make("td", {}, w.length ? `= ${digits(products[n], 4)}` : "")));
    if (products.length > order.length) body.push(make("tr", { className: "rest" }, make("td", {}, `+ ${number(products.length - order.length)}`), make("td"), make("td"), make("td", {}, `= ${digits(rest, 4)}`)));
    return make("div", {}, make("p", { className: "small" }, t("largest")), make("table", { className: "products" }, make("tbody", {}, ...body)));
  }

  summed(cell, found) {
    const before = found.total - (cell.bias ?? 0);
    const rows = [[t("total", { n: number(found.products.length) }), digits(before, 6)]];
    if (cell.bias !== null) rows.push([`+ ${t("bias")}`, digits(cell.bias, 6)], [`= ${t("sum")}`, digits(found.total, 6)]);
    return make("table", { className: "sums" }, make("tbody", {}, ...rows.map(([what, value]) => make("tr", {}, make("td", {}, what), make("td", {}, value)))));
  }

  result(cell, value) {
    const near = Math.abs(value - cell.value) <= 1e-5 * Math.max(1, Math.abs(cell.value));
    const said = t(near ? "agrees" : "differs", { value: digits(value, 7), replay: digits(cell.value, 7) });
    return make("p", { className: near ? "agrees" : "differs" }, said);
  }

  after(row, cell) {
    const found = worked(cell);
    const box = make("div", { className: "then" }, make("b", {}, `${t("then")} ${row.name}`), make("span", { className: "kind" }, ` ${row.type} `));
    box.append(make("span", { className: "formula" }, make("code", {}, cell.formula)), steps(cell, found.value));
    return box;
  }
}

// The next layer, where it works cell by cell on this one alone: a norm, an activation.
function follower(rows, row) {
  const readers = rows.filter((r) => r.inputs.includes(row.name));
  const [next] = readers;
  const alike = next && next.inputs.length === 1 && !next.window && next.type !== "Linear" && String(next.output) === String(row.output);
  return readers.length === 1 && alike ? next : null;
}

function steps(cell, value) {
  const list = cell.steps.map((s, n) => {
    const last = n === cell.steps.length - 1;
    return make("tr", {}, make("td", {}, s.what), make("td", {}, s.text.replaceAll("*", "·").replaceAll("-", "−")), make("td", {}, `= ${digits(last ? value : s.value, 5)}`));
  });
  return make("table", { className: "steps" }, make("tbody", {}, ...list));
}

// A sign that stays with the grid that follows it.
const joined = (text, table) => make("div", { className: "joined" }, make("span", { className: "sign", ariaHidden: "true" }, text), table);

// A table of numbers on their colours. Small numbers are all written in one power of ten, which the name says.
function grid(name, values, shape, most, inside = null, won = null) {
  const [rows, columns] = shape.length === 2 ? shape : [1, shape[0]];
  const power = most > 0 && (most < 0.1 || most >= 1000) ? Math.floor(Math.log10(most)) : 0;
  const written = (v) => {
    if (v === null) return "−∞";
    const scaled = v / 10 ** power, text = scaled.toFixed(Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2);
    const short = Number(text) === 0 ? "0" : columns > 4 ? text.replace("0.", ".") : text;
    return short.replace("-", "−");
  };
  const body = Array.from({ length: rows }, (_, i) =>
    make("tr", {}, ...Array.from({ length: columns }, (_, j) => {
      const n = i * columns + j, v = values[n];
      const out = inside && !inside[n];
      const td = make("td", { className: [out ? "padding" : "", n === won ? "won" : ""].join(" ").trim(), title: digits(v, 7) }, written(v));
      if (!out) Object.assign(td.style, { background: colour(v, most), color: inkOn(v, most) });
      return td;
    })),
  );
  const caption = make("caption", {}, name, ...(power ? [" ·10", make("sup", {}, String(power).replace("-", "−"))] : []));
  return make("table", { className: `grid ${columns > 4 ? "tight" : ""}` }, caption, make("tbody", {}, ...body));
}

// A bar per channel, up for what adds and down for what takes away; a click shows that channel.
function contributions(adds, chosen) {
  const canvas = make("canvas", { className: "adds-bars", width: 300, height: 54, tabIndex: 0 });
  canvas.setAttribute("role", "slider");
  canvas.setAttribute("aria-label", t("allChannels", { n: adds.length }));
  canvas.setAttribute("aria-valuemax", adds.length - 1);
  const most = Math.max(...adds.map(Math.abs)) || 1, wide = 300 / adds.length;
  let marked = 0;
  canvas.mark = (c) => {
    marked = c;
    canvas.setAttribute("aria-valuenow", c);
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, 300, 54);
    adds.forEach((v, n) => {
      context.fillStyle = n === marked ? getComputedStyle(document.documentElement).getPropertyValue("--lit") : colour(v < 0 ? -0.6 : 0.6, 1);
      const tall = Math.max(1, (25 * Math.abs(v)) / most);
      context.fillRect(n * wide, v < 0 ? 27 : 27 - tall, Math.max(1, wide - (wide > 3 ? 1 : 0)), tall);
    });
  };
  const at = (e) => Math.max(0, Math.min(adds.length - 1, Math.floor((e.offsetX / canvas.clientWidth) * adds.length)));
  canvas.onclick = (e) => chosen(at(e));
  canvas.onkeydown = (e) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (by && adds[marked + by] !== undefined) chosen(marked + by);
  };
  return canvas;
}
