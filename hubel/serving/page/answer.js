// What the network answers, why, what would change it, and what it dreams of.

import * as api from "./api.js";
import { Choice, make, options, wait } from "./dom.js";
import * as draw from "./draw.js";
import { share, t } from "./i18n.js";

const BARS = 10;

// Bars of probabilities: all classes in their order where they are few, else the best. mark: a class that is framed
export function bars(box, classes, probabilities, mark = null) {
  const few = classes.length <= BARS + 2, ranked = order(probabilities);
  const shown = few ? classes.map((_, k) => k) : ranked.slice(0, BARS);
  const best = ranked[0] ?? -1;
  if (box.childElementCount !== shown.length) {
    box.replaceChildren(...shown.map(() => make("div", { className: "bar" }, make("span", { className: "name" }), make("i"), make("span", { className: "share" }))));
  }
  shown.forEach((k, n) => {
    const [name, bar, text] = box.children[n].children, p = probabilities?.[k] ?? 0;
    name.textContent = classes[k];
    name.title = classes[k];
    bar.style.setProperty("--p", p);
    text.textContent = probabilities ? share(p) : "";
    box.children[n].classList.toggle("best", k === best);
    box.children[n].classList.toggle("mark", k === mark);
  });
}

export const order = (numbers) => numbers ? Array.from(numbers.keys()).sort((a, b) => numbers[b] - numbers[a]) : [];

// One of the classes, by its number or by its name; `none`, if said, stands for none of them.
export function classChoice(name, classes, { none, chosen, id, named = false } = {}) {
  const entries = classes.map((text, k) => [named ? text : String(k), text]);
  const words = { name, find: t("findClass"), more: (n) => t("moreFound", { n: n.toLocaleString() }) };
  return new Choice([...(none ? [["", none]] : []), ...entries], chosen ?? (none ? "" : "0"), words, id);
}

// With its words above it.
function classSelect(label, classes, none) {
  const select = classChoice(label, classes, { none });
  return [make("label", {}, make("span", {}, label), select.root), select];
}

// page: {view(), answer(), failed(e), use(values, shape)}
export class Why {
  constructor(root, page) {
    Object.assign(this, { root, page });
    this.ask = api.latest(() => this.asked());
  }

  build() {
    const { facts } = this.page.view();
    if (!facts.methods.length) return this.root.replaceChildren(make("p", {}, t("noMethods")));
    const method = options(make("select", { id: "why-method" }), facts.methods.map((m) => [m, t(m)]), this.method?.value ?? facts.methods[0]);
    const [label, select] = classSelect(t("ofClass"), facts.classes, t("itsAnswer"));
    this.method = method;
    this.select = select;
    this.strength = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0.7 });
    this.canvas = make("canvas", { className: "large", id: "why-picture" });
    this.text = make("p", { className: "small" });
    method.onchange = select.onchange = () => this.ask();
    this.strength.oninput = () => this.paint();
    this.root.replaceChildren(
      make("div", { className: "fields" }, make("label", {}, make("span", {}, t("method")), method), label),
      this.canvas,
      make("label", { className: "slide" }, make("span", {}, t("strength")), this.strength),
      this.text,
    );
    this.blank();
    this.ask();
  }

  blank() {
    const view = this.page.view(), [, H, W] = view.facts.input.length === 3 ? view.facts.input : [1, 1, 1];
    this.found = null;
    draw.sized(this.canvas, 280, Math.round((280 * H) / W));
  }

  async asked() {
    const view = this.page.view(), item = view.item;
    if (!item || !this.select || this.root.hidden) return;
    this.root.classList.add("busy");
    try {
      const body = { ...item.body, method: this.method.value, ...(this.select.value === "" ? {} : { class: Number(this.select.value) }) };
      const found = await api.post(`${view.base}/explanations`, body);
      if (item !== view.item) return;
      this.found = { values: api.numbers(found.heat), shape: found.heat.shape.slice(-2) };
      this.paint();
      this.text.textContent = `${t(`why-${found.method}`, { class: found.class })} ${t("whyText", { class: found.class })}`;
    } catch (e) {
      this.page.failed(e);
    } finally {
      this.root.classList.remove("busy");
    }
  }

  paint() {
    const held = this.page.view().held.get("input");
    if (!held) return;
    const context = draw.enlarge(grey(held), this.canvas, this.canvas.width, this.canvas.height).getContext("2d");
    if (!this.found) return;
    context.globalAlpha = Number(this.strength.value);
    context.imageSmoothingEnabled = true;
    context.drawImage(draw.heat(this.found.values, this.found.shape), 0, 0, this.canvas.width, this.canvas.height);
    context.globalAlpha = 1;
  }
}

// A picture without its colours, so that those of the heat are seen.
function grey(held) {
  const [C, H, W] = held.shape, n = H * W;
  const mixed = C === 3 ? Array.from({ length: n }, (_, p) => 0.3 * held.levels[p] + 0.59 * held.levels[n + p] + 0.11 * held.levels[2 * n + p]) : held.levels;
  return draw.picture(mixed, [1, H, W]);
}

export class Change {
  constructor(root, page) {
    Object.assign(this, { root, page });
  }

  build() {
    const { facts } = this.page.view();
    const [label, select] = classSelect(t("towards"), facts.classes, t("anyClass"));
    this.select = select;
    this.button = make("button", { type: "button", className: "main", id: "change-find", onclick: () => this.ask() }, t("find"));
    this.out = make("div", {}, make("p", { className: "small" }, t("changeStart")));
    this.root.replaceChildren(make("div", { className: "fields" }, label), this.button, this.out);
  }

  async ask() {
    const view = this.page.view(), item = view.item;
    if (!item) return this.page.failed(new Error(t("status")));
    this.button.disabled = true;
    wait(this.out, t("loading"));
    try {
      const target = this.select.value === "" ? {} : { target: Number(this.select.value) };
      this.show(await api.post(`${view.base}/attacks`, { ...item.body, ...target, steps: view.facts.small ? 40 : 10 }), view);
    } catch (e) {
      this.out.replaceChildren();
      this.page.failed(e);
    } finally {
      this.button.disabled = false;
    }
  }

  show(found, view) {
    const { classes } = view.facts, shape = found.before.shape;
    const before = api.numbers(found.before), after = api.numbers(found.after);
    const [first, last] = [found.way[0].class, found.way.at(-1).class];
    const times = Math.max(1, Math.min(100, Math.round(0.5 / found.largest)));
    const [one, two] = [make("canvas", { className: "half" }), make("canvas", { className: "half" })];
    const list = make("div", { className: "bars" });
    const slider = make("input", { type: "range", min: 0, max: found.way.length - 1, step: 1, value: 0, id: "change-amount" });
    const wide = 150, high = Math.round((wide * shape[1]) / shape[2]);
    const said = found.changed ? t("changeText", { from: first, to: last, most: share(found.largest) }) : t("changeNone", { to: classes[this.select.value] ?? t("anyClass") });
    const move = () => {
      const part = slider.value / (found.way.length - 1);
      draw.enlarge(draw.picture(before.map((v, n) => v + part * (after[n] - v)), shape, 1), one, wide, high);
      draw.enlarge(draw.picture(before.map((v, n) => 0.5 + part * times * (after[n] - v)), shape, 1), two, wide, high);
      bars(list, classes, found.way[slider.value].probabilities, classes.indexOf(last));
    };
    slider.oninput = move;
    this.out.replaceChildren(
      make("p", { className: "small" }, said),
      make("div", { className: "pair" }, make("figure", {}, one, make("figcaption", {}, t("picture"))), make("figure", {}, two, make("figcaption", {}, t("difference", { n: times })))),
      make("label", { className: "slide" }, make("span", {}, t("amount")), slider),
      list,
    );
    move();
  }
}

export class Dream {
  constructor(root, page) {
    Object.assign(this, { root, page, seed: 0 });
  }

  build() {
    const { facts } = this.page.view();
    const [label, select] = classSelect(t("dreamOf"), facts.classes);
    this.select = select;
    this.button = make("button", { type: "button", className: "main", id: "dream-go", onclick: () => this.ask({ class: select.value }) }, t("dream"));
    this.out = make("div", {}, make("p", { className: "small" }, t("dreamStart")));
    this.root.replaceChildren(make("div", { className: "fields" }, label), this.button, this.out);
  }

  // what: {class} or {layer, map}
  async ask(what) {
    const view = this.page.view();
    this.button.disabled = true;
    wait(this.out, t("loading"));
    try {
      const found = await api.post(`${view.base}/dreams?${new URLSearchParams({ ...what, seed: this.seed })}`, {});
      const shape = found.pixels.shape, full = api.numbers(found.pixels).map((v) => 255 * v);
      const canvas = draw.enlarge(draw.picture(full, shape), make("canvas", { className: "large" }), 280, Math.round((280 * shape[1]) / shape[2]));
      const wanted = "class" in what ? view.facts.classes[what.class] : t("mapOf", what);
      const p = Math.max(...found.answer.probabilities ?? [0]);
      this.out.replaceChildren(
        canvas,
        make("p", { className: "small" }, t("dreamText", { class: wanted, p: share(p), answer: found.answer.class ?? "" })),
        make("div", { className: "buttons" },
          make("button", { type: "button", onclick: () => (this.seed++, this.ask(what)) }, t("again")),
          make("button", { type: "button", onclick: () => this.page.use(full, shape) }, t("use"))),
      );
    } catch (e) {
      this.out.replaceChildren();
      this.page.failed(e);
    } finally {
      this.button.disabled = false;
    }
  }
}
