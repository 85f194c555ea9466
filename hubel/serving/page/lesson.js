// Learning from one picture: the loss, how strongly each layer is pulled, and steps on a copy of the network. The list
// of steps lives here; the service works them out anew each time.

import * as api from "./api.js";
import { bars, classChoice } from "./answer.js";
import { make } from "./dom.js";
import * as draw from "./draw.js";
import { digits, share, t } from "./i18n.js";

export class Lesson {
  constructor(root, page) {
    Object.assign(this, { root, page, steps: [], shown: null });
    this.ask = api.latest(() => this.asked());
  }

  build() {
    this.known = "";
    const { classes } = this.page.view().facts;
    const before = this.select?.value ?? "";
    this.select = classChoice(t("trueClass"), classes, { none: t("nothing"), chosen: before, id: "true-class" });
    this.select.onchange = () => {
      this.steps = [];
      this.ask();
    };
    this.out = make("div", {}, make("p", { className: "small" }, t("learnStart")));
    this.root.replaceChildren(make("div", { className: "fields" }, make("label", {}, make("span", {}, t("trueClass")), this.select.root)), this.out);
    if (before) this.ask();
  }

  // Another picture: what was learnt from the last one is over.
  forget(label = null) {
    this.steps = [];
    this.known = "";
    if (this.select) this.select.value = label === null ? "" : String(label);
    this.out?.replaceChildren(make("p", { className: "small" }, t("learnStart")));
  }

  async asked() {
    const view = this.page.view(), item = view.item;
    if (!item || !this.select || this.select.value === "") return;
    const asked = JSON.stringify([view.base, view.version, this.select.value, this.steps, this.shown]);
    if (asked === this.known) return; // it is there already
    this.root.classList.add("busy");
    try {
      const body = { ...item.body, class: Number(this.select.value), steps: this.steps, gradients: this.shown ? [this.shown] : [] };
      const found = await api.post(`${view.base}/lessons`, body);
      if (item !== view.item) return;
      this.known = asked;
      this.show(found, view);
    } catch (e) {
      this.page.failed(e);
    } finally {
      this.root.classList.remove("busy");
    }
  }

  take(rate) {
    this.steps = rate === null ? this.steps.slice(0, -1) : [...this.steps, rate];
    this.ask();
  }

  show(found, view) {
    const now = found.path.at(-1), { classes } = view.facts;
    const list = bars_of(classes, now.probabilities, classes.indexOf(found.label));
    const rates = found.next.map(({ rate, p }) => make("button", { type: "button", className: "rate", title: t("wouldBe", { p: share(p) }), onclick: () => this.take(rate) },
      make("b", {}, `${t("step")} ${rate}`), make("small", {}, `p → ${share(p)}`)));
    this.out.replaceChildren(
      make("p", { id: "loss" }, t("lossText", { loss: digits(now.loss, 4), p: share(now.p) })),
      path(found.path),
      list,
      make("div", { className: "rates" }, ...rates),
      make("p", { className: "small" }, t("stepsTaken", { n: this.steps.length })),
      make("div", { className: "buttons" },
        make("button", { type: "button", disabled: !this.steps.length, onclick: () => this.take(null) }, t("back")),
        make("button", { type: "button", disabled: !this.steps.length, onclick: () => ((this.steps = []), this.ask()) }, t("reset"))),
      make("h3", {}, t("gradients")),
      this.layers(found),
    );
  }

  // A row per layer: the length of the gradient at its maps and at its kernels; a click shows the maps' gradients.
  layers(found) {
    const length = (numbers) => Math.sqrt((numbers ?? []).reduce((total, v) => total + v * v, 0));
    const most = Math.max(1e-30, ...found.layers.map((l) => length(l.maps))), heavy = Math.max(1e-30, ...found.layers.map((l) => length(l.kernels)));
    const bar = (value, of, kind) => {
      const i = make("i", { className: kind });
      i.style.setProperty("--p", value / of);
      i.title = digits(value, 4);
      return i;
    };
    const rows = found.layers.map((layer) => {
      const open = layer.name === this.shown;
      const button = make("button", { type: "button", className: "layer", ariaExpanded: String(open), onclick: () => ((this.shown = open ? null : layer.name), this.ask()) },
        make("span", {}, layer.name), bar(length(layer.maps), most, "maps"), layer.kernels ? bar(length(layer.kernels), heavy, "kernels") : make("i"));
      const moved = layer.moved ? make("small", {}, t("moved", { p: share(layer.moved / layer.weight) })) : null;
      const box = make("div", {}, button, moved);
      if (open && layer.gradient) box.append(gradient(layer));
      return box;
    });
    const legend = make("p", { className: "legend small" }, make("span", { className: "maps" }, t("maps")), make("span", { className: "kernels" }, t("kernels")));
    return make("div", { className: "layers" }, legend, ...rows);
  }
}

function bars_of(classes, probabilities, mark) {
  const box = make("div", { className: "bars" });
  bars(box, classes, probabilities, mark);
  return box;
}

function gradient(layer) {
  const canvas = make("canvas", { className: "gradient" });
  const [C, h, w] = layer.gradient.shape, step = Math.max(1, Math.ceil(Math.max(h, w) / 40));
  const levels = api.numbers(layer.gradient), size = [Math.min(C, 48), Math.ceil(h / step), Math.ceil(w / step)];
  const thin = new Uint8Array(size[0] * size[1] * size[2]);
  let at = 0;
  for (let c = 0; c < size[0]; c++) for (let i = 0; i < h; i += step) for (let j = 0; j < w; j += step) thin[at++] = levels[(c * h + i) * w + j];
  draw.paintTiles(canvas, draw.tiled(size, 300, Math.max(1, Math.round(34 / Math.max(size[1], size[2])))), thin, layer.gradient.low, layer.gradient.high);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", t("gradientOf", { layer: layer.name }));
  if (!layer.kernels) return canvas;
  const most = Math.max(1e-30, ...layer.kernels);
  const kernels = make("div", { className: "spikes" }, ...layer.kernels.slice(0, 128).map((v, o) => {
    const i = make("i", { title: `${o}: ${digits(v, 4)}` });
    i.style.setProperty("--p", v / most);
    return i;
  }));
  return make("div", {}, canvas, kernels);
}

// How p of the true class went, step by step.
function path(points) {
  const svg = draw.shape("svg", { viewBox: "0 0 300 60", class: "path", role: "img" });
  const x = (n) => (points.length > 1 ? 6 + (288 * n) / (points.length - 1) : 6), y = (p) => 54 - 48 * p;
  svg.append(draw.shape("path", { d: "M0 54H300M0 6H300", class: "axis" }), draw.shape("path", { d: `M${points.map((one, n) => `${x(n)} ${y(one.p)}`).join("L")}`, class: "way" }),
    ...points.map((one, n) => draw.shape("circle", { cx: x(n), cy: y(one.p), r: 3.5, class: "dot" })));
  svg.setAttribute("aria-label", points.map((one) => share(one.p)).join(", "));
  return svg;
}
