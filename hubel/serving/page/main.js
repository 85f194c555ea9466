// The page: one picture, one network (or two), and the questions about them.

import { bars, Change, classChoice, Dream, Why } from "./answer.js";
import * as api from "./api.js";
import { CellPanel } from "./cell.js";
import { by, make, options } from "./dom.js";
import * as draw from "./draw.js";
import { digits, share, speak, spoken, t, translate } from "./i18n.js";
import { normalised } from "./ink.js";
import { Lesson } from "./lesson.js";
import { NetworkView } from "./network.js";
import { Pad } from "./pad.js";
import { openCamera, openShelf } from "./shelf.js";

const TABS = ["cell", "why", "change", "dream", "learn"];
const page = { views: [], item: null, source: null, tab: "cell", truth: null };

const view = () => page.views[0];
const shared = { view, failed, use: usePixels };
const panels = {
  cell: new CellPanel(by("tab-cell"), example, zoomed),
  why: new Why(by("tab-why"), shared),
  change: new Change(by("tab-change"), shared),
  dream: new Dream(by("tab-dream"), shared),
  learn: new Lesson(by("tab-learn"), shared),
};
const pad = new Pad(by("pad"), by("pad-hint"), () => {
  onPad();
  changed();
});

// ---------------------------------------------------------------------------------------------- networks

function start() {
  wire();
  words();
  meet();
}

async function meet() {
  const waiting = busy();
  try {
    const [{ models, broken }, { kept }, first] = await Promise.all(["models", "feedback", "network"].map((what) => api.get(`/v1/${what}`)));
    page.kept = kept;
    options(by("model"), models.map((m) => [m.name, m.name]), models[0].name);
    options(by("other"), [["", t("nothing")], ...models.map((m) => [m.name, m.name])], "");
    by("comparing").hidden = models.length < 2;
    await openModels({ [first.name]: first });
    for (const [name, why] of Object.entries(broken ?? {})) tell(`${name}: ${why}`);
  } catch (e) {
    stumbled(e, meet);
    status(e.message);
  } finally {
    waiting();
  }
}

// known: of networks that have been asked about already
async function openModels(known = {}) {
  const names = [by("model").value, by("other").value].filter(Boolean);
  const facts = await Promise.all(names.map((name) => known[name] ?? api.get(`/v1/models/${encodeURIComponent(name)}/network`)));
  page.views.forEach((old) => old.close());
  by("networks").classList.toggle("two", facts.length > 1);
  page.views = facts.map((one) => {
    const root = make("div");
    const frame = make("div", { className: "frame" }, root);
    const title = make("div", { className: "title" }, make("b", {}, one.name), make("span", {}, `${one.network} · ${t("parameters", { n: one.parameters.toLocaleString() })}`));
    const mine = facts.length > 1 ? make("div", { className: "bars" }) : null;
    if (mine && one.task === "classify") bars(mine, one.classes, null);
    frame.prepend(title, ...(mine ? [mine] : []));
    by("networks").append(frame);
    const made = new NetworkView(root, `/v1/models/${encodeURIComponent(one.name)}`, one, { pointed, chosen, zoomed, failed: stumbled });
    return Object.assign(made, { mine, close: () => (NetworkView.prototype.close.call(made), frame.remove()) });
  });
  const first = facts[0];
  if (page.name !== first.name) {
    page.name = first.name;
    pad.prepare(first);
    if (pad.from?.source.kind === "sample") pad.from = null; // its number is another run's; its picture lies there
    onPad();
    by("ink-colour").hidden = first.input[0] !== 3;
    by("row-form").hidden = first.kind === "picture";
    for (const part of ["pad-frame", "tools", "seen-row"]) by(part).hidden = first.kind !== "picture";
  }
  words();
  buildPanels();
  changed();
}

// ---------------------------------------------------------------------------------------------- the picture

// What lies on the pad: a drawing, strokes over a picture included; or the picture as it came.
function onPad() {
  const from = pad.strokes.length ? null : pad.from;
  page.source = pad.empty || (view() && view().facts.kind !== "picture") ? null : (from?.source ?? { kind: "pad" });
  page.truth = from?.truth ?? null;
}

// What a network is asked about, in a form that the service takes; null where there is nothing.
function bodyFor(facts, place) {
  const source = page.source;
  if (!source) return null;
  if (facts.kind !== "picture" && source.kind !== "row") return null;
  if (source.kind === "sample") {
    if (place === 0) return { sample: source.id };
    return view().item?.body && "sample" in view().item.body ? seenPixels() : view().item?.body;
  }
  if (source.kind === "row") return { row: source.numbers };
  if (source.kind === "file") return { image: source.data };
  if (facts.ink && !pad.picture) {
    const [, H, W] = facts.input;
    const levels = normalised(pad.grey(), pad.height, pad.width, facts.ink, H, W);
    if (!levels) return null;
    return { pixels: Array.from({ length: H }, (_, i) => Array.from(levels.subarray(i * W, (i + 1) * W))) };
  }
  return { image: pad.png() };
}

// The sample of another run's test set as plain pixels.
function seenPixels() {
  const held = view().held.get("input");
  return held && { image: draw.picture(held.levels, held.shape).toDataURL("image/png").split(",")[1] };
}

function changed() {
  if (!view()) return; // the network is not here yet; it asks when it comes
  if (!page.source) return nothing();
  live();
}

const live = api.latest(async () => {
  clearTimeout(trying);
  const waiting = busy();
  try {
    for (const [place, one] of page.views.entries()) {
      const body = bodyFor(one.facts, place);
      if (!body) return nothing();
      if (place === 0) showSeen(body);
      const answer = await one.ask({ body });
      if (!answer) return;
      one.answer = answer;
      if (place === 0) {
        showAnswer(answer);
        panels.learn.forget(page.truth);
      }
      if (one.mine && answer.probabilities) bars(one.mine, one.facts.classes, answer.probabilities);
    }
    page.says = null;
    if (page.views.length > 1) compared();
    say();
    showSeen();
    if (view().answer.class) askTruth(view().answer);
    settled();
  } catch (e) {
    stumbled(e);
  } finally {
    waiting();
  }
});

// Slower questions wait until the picture rests.
let resting = 0;
function settled() {
  clearTimeout(resting);
  resting = setTimeout(() => {
    if (page.tab === "why") panels.why.ask();
    if (page.tab === "cell") panels.cell.again()?.catch(failed);
    if (page.tab === "learn") panels.learn.ask();
  }, 250);
}

function nothing() {
  by("feedback").hidden = true;
  page.views.forEach((one) => one.forget());
  by("verdict").textContent = "";
  panels.cell.shown = null;
  panels.cell.asked++;
  panels.cell.empty(view()?.facts.samples);
  if (view()) {
    bars(by("bars"), view().facts.classes, null);
    for (const one of page.views) if (one.mine) bars(one.mine, one.facts.classes, null);
  }
  const context = by("seen").getContext("2d");
  context.fillStyle = draw.dark() ? "#1c2027" : "#eceef1";
  context.fillRect(0, 0, by("seen").width, by("seen").height);
  by("seen-text").textContent = t("empty");
  page.says = null;
  pointed(null);
}

// body: known before the answer comes, where the drawing is normalised here
function showSeen(body = null) {
  const { facts, held } = view(), [C, H, W] = facts.input;
  if (facts.kind !== "picture") return;
  const known = body?.pixels && Array.isArray(body.pixels[0]) && C === 1 ? [body.pixels.flat(), [1, H, W]] : null;
  const input = held.get("input");
  const [values, shape] = known ?? (input ? [input.levels, input.shape] : [null]);
  if (!values || values.length !== shape.reduce((a, b) => a * b)) return;
  const wide = Math.max(W, Math.floor(84 / W) * W);
  draw.enlarge(draw.picture(values, shape), by("seen"), wide <= 100 ? wide : 84, wide <= 100 ? (wide * H) / W : Math.round((84 * H) / W));
  by("seen-text").textContent = t(facts.ink && page.source?.kind === "pad" ? "seenInk" : "seenPicture", { size: `${W} × ${H}` });
}

function showAnswer(answer) {
  const { classes, task } = view().facts;
  if (task === "regress") {
    by("verdict").textContent = answer.values.map((v) => digits(v, 4)).join(", ");
    return;
  }
  bars(by("bars"), classes, answer.probabilities, page.truth);
  by("verdict").replaceChildren(make("b", { title: answer.class, className: answer.class.length > 8 ? "long" : "" }, answer.class), make("span", {}, t("sure", { p: share(answer.p) })));
}

// Where the service keeps corrections, people may say what the picture really is.
function askTruth(answer) {
  const box = by("feedback"), { classes } = view().facts, body = view().item?.body;
  box.hidden = !page.kept || !body;
  if (box.hidden) return;
  const select = classChoice(t("wrong"), classes, { none: t("nothing"), id: "truth", named: true });
  const keep = make("button", { type: "button", onclick: async () => { // not onchange: an arrow key chooses what lies on the way
    if (!select.value) return;
    try {
      await api.post(`${view().base}/feedback`, { ...body, label: select.value, ...(select.value === answer.class ? {} : { answer: answer.class }) });
      box.replaceChildren(make("p", { className: "small", role: "status" }, t("thanks")));
    } catch (e) {
      failed(e);
    }
  } }, t("ok"));
  box.replaceChildren(make("div", { className: "buttons" }, make("label", { className: "pick" }, make("span", {}, t("wrong")), select.root), keep));
}

function compared() {
  const [a, b] = page.views.map((one) => one.answer);
  if (!a?.class || !b?.class) return;
  const names = page.views.map((one) => one.facts.name);
  page.says = a.class === b.class ? t("agree", { answer: a.class }) : t("disagree", { a: names[0], x: a.class, b: names[1], y: b.class });
}

async function useFile(blob) {
  if (view() && view().facts.kind !== "picture") return tell(t("numbersOnly"));
  const waiting = busy();
  try {
    const data = await new Promise((done, fail) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result.split(",")[1]);
      reader.onerror = fail;
      reader.readAsDataURL(blob);
    });
    const image = await createImageBitmap(blob).then(draw.reduced, () => decoded(data));
    pad.show(image, { source: { kind: "file", data } });
  } catch (e) {
    if (e.status === 415 || e.status === 422) tell(t("notPicture"));
    else failed(e);
  } finally {
    waiting();
  }
}

// A picture that the browser does not read, as TIFF: as the network receives it, if the service reads it.
async function decoded(data) {
  const { layers } = await api.post(`${view()?.base ?? "/v1"}/maps`, { image: data, layers: ["input"] });
  return draw.picture(api.numbers(layers[0]), layers[0].shape);
}

// sample: {id, label}; image: of the test set
function useSample(sample, image) {
  const place = view().facts.classes.indexOf(sample.label);
  pad.show(image, { source: { kind: "sample", id: sample.id }, truth: place < 0 ? null : place });
}

// values: (C, H, W) in 0..255
function usePixels(values, shape) {
  const canvas = draw.picture(values, shape);
  canvas.toBlob((blob) => useFile(blob), "image/png");
}

async function example() {
  const { samples } = view().facts;
  if (!samples) return tell(t("noSamples"));
  try {
    const id = Math.floor(Math.random() * samples);
    const [facts, image] = await Promise.all([api.get(`${view().base}/samples/${id}`), loaded(`${view().base}/samples/${id}`)]);
    useSample(facts, image);
  } catch (e) {
    failed(e);
  }
}

async function loaded(path) {
  const image = new Image();
  image.src = await api.picture(path);
  await image.decode();
  return image;
}

// ---------------------------------------------------------------------------------------------- pointing

function status(text) {
  by("status").textContent = text;
}

// The status line anew: of the cell that is pointed at, else of the one that was clicked, else what can be done.
function say() {
  const { views } = page;
  (views.find((one) => one.pointing) ?? views.find((one) => one.pinned) ?? view())?.say();
}

// info: of a cell; null for none
function pointed(info) {
  status(info ? info.text : (page.says ?? t(page.source ? "point" : "status")));
  const box = by("seen-box"), canvas = by("seen");
  box.hidden = !info?.box || !info.size;
  if (box.hidden) return;
  const [H, W] = info.size, [top, bottom, left, right] = info.box;
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
  Object.assign(box.style, { left: `${(100 * left) / W}%`, top: `${(100 * top) / H}%`, width: `${((right - left + 1) * wide) / W}px`, height: `${((bottom - top + 1) * high) / H}px` });
}

function chosen(from, row, at) {
  if (!from.item) return;
  page.views.forEach((one) => one !== from && ((one.pinned = null), one.relight()));
  choose("cell", true);
  panels.cell.show(from, row, at).catch(failed);
}

async function zoomed(from, layer, map) {
  const box = by("zoom"), row = from.rows.find((r) => r.name === layer);
  const canvas = make("canvas", { className: "large" });
  const text = make("p", { className: "small" });
  const kernel = make("div", { className: "kernel" });
  const buttons = make("div", { className: "buttons" }, make("button", { type: "button", onclick: () => box.close() }, t("close")));
  if (layer !== "input" && row.maps[1] * row.maps[2] > 1) {
    buttons.prepend(make("button", { type: "button", onclick: () => (box.close(), choose("dream", true), panels.dream.ask({ layer, map })) }, t("dreamMap")));
  }
  box.replaceChildren(make("h3", {}, layer === "input" ? t("input") : t("mapOf", { layer, map })), canvas, text, kernel, buttons);
  box.showModal();
  try {
    if (from.item) {
      const found = await api.post(`${from.base}/maps`, { ...from.item.body, layers: [layer], ...(layer === "input" ? {} : { first: map, count: 1 }) });
      const [packed] = found.layers, [C, h, w] = packed.shape, levels = api.numbers(packed);
      if (layer === "input" && from.facts.kind === "picture") draw.enlarge(draw.picture(levels, [C, h, w]), canvas, 420, Math.round((420 * h) / w));
      else draw.paintTiles(canvas, draw.tiled([1, h, w], 420, Math.max(1, Math.floor(418 / Math.max(h, w)))), levels, packed.low, packed.high);
      text.textContent = t("range", { low: digits(packed.low), high: digits(packed.high) });
    }
    if (row.kernels) {
      const found = await api.get(`${from.base}/kernel?${new URLSearchParams({ layer, map })}`);
      const values = api.numbers(found), [n, u, v] = found.shape;
      const span = Math.max(Math.abs(found.low), Math.abs(found.high)), levels = Uint8Array.from(values, (x) => Math.round(127.5 + (127.5 * x) / span));
      const tiles = make("canvas");
      draw.paintTiles(tiles, draw.tiled([Math.min(n, 256), u, v], 420, n === 1 ? 24 : Math.max(3, Math.round(24 / Math.max(u, v)))), levels, -span, span);
      kernel.replaceChildren(make("p", { className: "small" }, t("kernelOf", { n, u, v }), found.bias === null ? "" : ` · ${t("bias")} ${digits(found.bias)}`), tiles);
    }
  } catch (e) {
    box.close();
    failed(e);
  }
}

// ---------------------------------------------------------------------------------------------- the panel

function buildPanels() {
  panels.cell.shown = null;
  panels.cell.empty(view()?.facts.samples);
  for (const name of ["why", "change", "dream", "learn"]) {
    if (view().facts.task === "classify") panels[name].build();
    else by(`tab-${name}`).replaceChildren();
  }
}

function choose(name, open = false) {
  page.tab = name;
  for (const tab of TABS) {
    by(`tab-${tab}`).hidden = tab !== name;
    const button = by(`pick-${tab}`);
    button?.setAttribute("aria-selected", String(tab === name));
    if (button) button.tabIndex = tab === name ? 0 : -1;
  }
  if (open) by("panel").classList.add("open");
  if (name === "why") panels.why.ask();
  if (name === "learn" && page.source) {
    if (page.truth !== null && panels.learn.select?.value === "") panels.learn.select.value = String(page.truth);
    panels.learn.ask();
  }
}

function words() {
  translate();
  by("language").textContent = t("language");
  by("language").lang = spoken() === "zh" ? "en" : "zh-CN";
  pointed(null);
  by("pad-hint").textContent = view()?.facts.ink ? t("hintInk") : t("hintPicture");
  by("tabs").replaceChildren(...TABS.map((name) => {
    const label = t(`tab${name[0].toUpperCase()}${name.slice(1)}`);
    const button = make("button", { type: "button", role: "tab", id: `pick-${name}`, onclick: () => {
      const again = page.tab === name && by("panel").classList.contains("open");
      choose(name, true);
      if (again) by("panel").classList.remove("open");
    } }, label);
    button.setAttribute("aria-controls", `tab-${name}`);
    return button;
  }));
  choose(page.tab);
}

// ---------------------------------------------------------------------------------------------- messages

let telling = 0;
function tell(text) {
  by("toast").textContent = text;
  by("toast").classList.add("told");
  clearTimeout(telling);
  telling = setTimeout(() => by("toast").classList.remove("told"), 6000);
}

function failed(e) {
  if (e?.name !== "AbortError") tell(e?.message || String(e));
}

// What was asked is asked again in a while, if the service is away or has too much to do.
let trying = 0;
function stumbled(e, again = changed) {
  failed(e);
  clearTimeout(trying);
  if (e.status === 0 || e.status === 503) trying = setTimeout(again, 2000);
}

// A thin bar while something takes more than a moment. -> to be called at its end
let under = 0;
function busy() {
  under++;
  by("networks").ariaBusy = "true";
  const shown = setTimeout(() => document.body.classList.add("busy"), 300);
  return () => {
    clearTimeout(shown);
    if (--under) return;
    by("networks").ariaBusy = "false";
    document.body.classList.remove("busy");
  };
}

// ---------------------------------------------------------------------------------------------- wires

function wire() {
  by("model").onchange = by("other").onchange = () => openModels().catch(failed);
  by("undo").onclick = () => pad.undo();
  by("clear").onclick = () => pad.clear();
  by("ink-colour").oninput = (e) => (pad.colour = e.target.value);
  by("file-button").onclick = () => by("file").click();
  by("file").onchange = by("photo").onchange = (e) => {
    if (e.target.files[0]) useFile(e.target.files[0]);
    e.target.value = "";
  };
  by("row-form").onsubmit = (e) => {
    e.preventDefault();
    page.source = { kind: "row", numbers: by("row").value.split(/[\s,;，]+/).filter(Boolean).map(Number) };
    page.truth = null;
    changed();
  };
  by("camera").onclick = () => openCamera(view().facts.input, useFile, tell);
  by("shelf-button").onclick = () => openShelf(view(), useSample, failed);
  by("language").onclick = () => {
    speak(spoken() === "zh" ? "en" : "zh");
    const item = page.source;
    words();
    if (view()) openModels().then(() => (page.source = item, changed())).catch(failed);
  };
  by("theme").onclick = () => {
    const theme = draw.dark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("hubel-theme", theme);
    page.views.forEach((one) => one.repaint());
    if (page.source) panels.cell.again(true)?.catch(failed);
    else nothing();
  };
  matchMedia("(prefers-color-scheme: dark)").onchange = () => page.views.forEach((one) => one.repaint());
  document.addEventListener("dragover", (e) => {
    e.preventDefault();
    by("pad-frame").classList.add("over");
  });
  document.addEventListener("dragleave", () => by("pad-frame").classList.remove("over"));
  document.addEventListener("drop", (e) => {
    e.preventDefault();
    by("pad-frame").classList.remove("over");
    if (e.dataTransfer.files[0]) useFile(e.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (e) => {
    const file = [...e.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) useFile(file);
  });
  by("tabs").onkeydown = (e) => {
    const by_ = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!by_) return;
    const next = TABS[(TABS.indexOf(page.tab) + by_ + TABS.length) % TABS.length];
    choose(next, true);
    by(`pick-${next}`).focus();
  };
  document.addEventListener("keydown", (e) => e.key === "Escape" && by("panel").classList.remove("open"));
}

if (innerWidth >= 720) by("panel").classList.add("open");
const theme = localStorage.getItem("hubel-theme");
if (theme) document.documentElement.dataset.theme = theme;
start();
