// Items in two dimensions: a dot each; the pointer or the arrow keys choose one, the legend's buttons hide classes.
const root = document.querySelector(".embed");
const data = JSON.parse(document.querySelector(".embed-data").textContent);
const svg = root.querySelector("svg");
const wrong = new Set(data.wrong);
const hidden = new Set();
let onlyWrong = false;
let view = data.views.length - 1;
let chosen = -1;

const element = (name, attributes = {}, text = "") => {
  const space = name === "circle" ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
};

const size = Math.max(4, Math.min(12, 220 / Math.sqrt(data.of.length))); // few dots are large
const dots = data.of.map((group, n) =>
  element("circle", { r: wrong.has(n) ? 1.6 * size : size, fill: data.groups[group].colour, class: wrong.has(n) ? "wrong" : "" }));
svg.append(...[...dots].sort((a, b) => a.classList.contains("wrong") - b.classList.contains("wrong")));

const shown = (n) => !hidden.has(data.of[n]) && (!onlyWrong || wrong.has(n));

function place() {
  const { points, axes } = data.views[view];
  dots.forEach((dot, n) => {
    dot.setAttribute("cx", points[n][0]);
    dot.setAttribute("cy", points[n][1]);
    dot.style.display = shown(n) ? "" : "none";
  });
  root.querySelector(".embed-axes").textContent = axes.filter(Boolean).join(" · ");
}

function choose(n) {
  if (chosen >= 0) dots[chosen].classList.remove("chosen");
  chosen = n;
  if (n < 0) return;
  dots[n].classList.add("chosen");
  const [name, label, answer, p] = data.items[n];
  const card = root.querySelector(".embed-item");
  card.replaceChildren();
  if (data.sprite) {
    const sheet = Math.floor(n / data.sprite.each), within = n % data.sprite.each;
    const at = `--x:${within % data.sprite.columns};--y:${Math.floor(within / data.sprite.columns)}`;
    card.append(element("span", { class: `pic sheet${sheet}`, style: at, role: "img", "aria-label": name }));
  }
  const words = element("div");
  if (answer !== undefined) {
    words.append(element("b", { class: "name" }, answer), ` ${(100 * p).toFixed(1)} %`);
    if (wrong.has(n)) words.append(element("span", { class: "taken" }, ` is ${label}`));
  } else if (label) words.append(element("b", { class: "name" }, label));
  words.append(element("p", { class: "fine name" }, name));
  card.append(words);
}

function nearest(x, y, within, allowed = () => true) {
  const { points } = data.views[view];
  let best = -1, least = within * within;
  points.forEach(([px, py], n) => {
    const square = (px - x) ** 2 + (py - y) ** 2;
    if (square < least && shown(n) && allowed(px, py, n)) [best, least] = [n, square];
  });
  return best;
}

svg.addEventListener("pointermove", (event) => {
  const box = svg.getBoundingClientRect();
  const found = nearest((event.clientX - box.left) / box.width * 1000, (event.clientY - box.top) / box.height * 1000, 40);
  if (found >= 0) choose(found);
});

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
svg.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  const [x, y] = chosen < 0 ? [500, 500] : data.views[view].points[chosen];
  const [dx, dy] = step;
  // The nearest dot in a quarter of the plane: that way more than across.
  const ahead = (px, py, n) => {
    const along = (px - x) * dx + (py - y) * dy, across = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
    return n !== chosen && along > 0 && along >= across;
  };
  const found = chosen < 0 ? nearest(x, y, 2000) : nearest(x, y, 2000, ahead);
  if (found >= 0) choose(found);
});

for (const button of root.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => {
    view = Number(button.dataset.view);
    for (const other of root.querySelectorAll("[data-view]")) other.setAttribute("aria-pressed", other === button);
    place();
  });
}

const legend = root.querySelector(".embed-legend");
data.groups.forEach((group, n) => {
  const button = element("button", { type: "button", "aria-pressed": "true", style: `--c:${group.colour}` });
  button.append(element("i"), element("span", { class: "name" }, group.name), element("small", {}, String(group.count)));
  button.addEventListener("click", () => {
    hidden.has(n) ? hidden.delete(n) : hidden.add(n);
    button.setAttribute("aria-pressed", !hidden.has(n));
    place();
  });
  legend.append(button);
});
const buttons = [...legend.children];
const all = element("button", { type: "button" }, "All or none");
all.addEventListener("click", () => {
  const none = hidden.size > 0;
  hidden.clear();
  if (!none) data.groups.forEach((_, n) => hidden.add(n));
  buttons.forEach((button) => button.setAttribute("aria-pressed", none));
  place();
});
legend.append(all);
if (wrong.size) {
  const button = element("button", { type: "button", "aria-pressed": "false" }, `Only the ${wrong.size} mistakes`);
  button.addEventListener("click", () => {
    onlyWrong = !onlyWrong;
    button.setAttribute("aria-pressed", onlyWrong);
    place();
  });
  legend.append(button);
}
place();
