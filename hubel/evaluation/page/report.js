// The report's page: reads the data beside it, draws the matrix, opens cells, sorts the classes. Asks nobody for anything.
(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const source = $("data");
  const data = source ? JSON.parse(source.textContent) : null;
  const MOST_ROWS = 100; // of the class table at once: ten thousand rows would stop the page
  const ENDS = 20; // where there are more: the first and the last of them
  const MOST_PAIRS = 40; // mistakes listed at once
  const thousands = (n) => n.toLocaleString("en");
  const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;

  /** An element with attributes and children; text children can never become markup. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("--")) element.style.setProperty(key, value);
      else if (value !== false && value !== null) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }
  const named = (name) => make("span", { class: "name" }, name);

  // ---- pictures

  /** Picture n of the sheets, `zoom` times as large as the report draws it; nothing where items are no pictures. */
  function picture(n, label, zoom = 1) {
    const { columns, each } = data.sprite;
    const within = n % each;
    const place = { "--x": within % columns, "--y": Math.floor(within / columns) };
    const size = zoom === 1 ? {} : { "--s": `calc(var(--zoom) * ${zoom})` };
    return make("span", { class: `pic sheet${Math.floor(n / each)}`, role: "img", "aria-label": label, ...place, ...size });
  }

  function bars(label, best) {
    const list = make("div", { class: "bars" });
    for (let i = 0; i < best.length; i += 2) {
      const line = make("span", { class: best[i] === label ? "bar true" : "bar" });
      line.append(named(data.classes[best[i]]), make("i", { "--p": best[i + 1] }), make("span", {}, percent(best[i + 1])));
      list.append(line);
    }
    return list;
  }

  /** One item in the dialog, as large as fits. */
  function zoom(n) {
    const [item, label, answer, loss, best] = data.items[n];
    const body = $("zoom").querySelector("div");
    body.replaceChildren();
    if (data.sprite) {
      const style = getComputedStyle(document.documentElement);
      const side = Math.max(data.sprite.h, data.sprite.w) * Number(style.getPropertyValue("--zoom"));
      const room = Math.min(280, innerWidth - 96);
      body.append(picture(n, item, Math.max(1, Math.floor(room / side))));
    }
    const verdict = make("p", { class: "verdict" }, make("b", { class: "name" }, data.classes[label]));
    if (answer !== label) verdict.append(make("span", { class: "taken" }, "answered ", named(data.classes[answer])));
    body.append(verdict, bars(label, best), make("p", { class: "fine name" }, item), make("p", { class: "fine" }, `loss ${loss.toFixed(3)}`));
    $("zoom").showModal();
  }

  // ---- confusions

  const cellOf = new Map();
  const key = (label, answer) => label * data.classes.length + answer;

  /** What a cell is, in words. */
  function describe([label, answer, count]) {
    const share = percent(count / data.table[label][3]);
    const what = label === answer ? "answered right" : `answered ${data.classes[answer]}`;
    return `${data.classes[label]} ${what}: ${thousands(count)} (${share} of its ${thousands(data.table[label][3])})`;
  }

  /** Show the items of one cell. */
  function open(cell, { scroll = false } = {}) {
    const [label, answer, count, start, stop] = cell;
    const view = $("cell");
    const title = make("h3", {}, named(data.classes[label]));
    title.append(make("span", { class: label === answer ? "" : "taken" }, ...(label === answer ? ["answered right"] : ["answered ", named(data.classes[answer])])));
    const shown = stop - start;
    const right = label === answer ? "the least sure first" : "the highest loss first";
    const how = !shown ? `${thousands(count)} ${count === 1 ? "item" : "items"}; this page holds none of them, but the ${thousands(data.items.length)} worst of all` : shown === count ? `${thousands(count)} ${count === 1 ? "item" : "items"}${count > 1 ? `, ${right}` : ""}` : `${thousands(shown)} of ${thousands(count)} items, ${right}`;
    const thumbs = make("div", { class: data.sprite ? "thumbs" : "thumbs words" });
    for (let n = start; n < stop; n++) {
      const [item, , , , best] = data.items[n];
      const button = make("button", { type: "button", class: "thumb", title: item, "data-item": n });
      if (data.sprite) button.append(picture(n, item));
      else button.append(named(item));
      button.append(make("span", {}, best.length ? percent(best[1], best[1] > 0.9995 ? 0 : 1) : ""));
      thumbs.append(button);
    }
    view.replaceChildren(title, make("p", { class: "fine" }, how), thumbs);
    for (const other of document.querySelectorAll('[data-cell][aria-pressed="true"]')) other.setAttribute("aria-pressed", "false");
    for (const mine of document.querySelectorAll(`[data-cell="${key(label, answer)}"]`)) mine.setAttribute("aria-pressed", "true");
    if (data.matrix) $("cell-readout").textContent = describe(cell);
    const { top, bottom } = view.getBoundingClientRect();
    if (scroll && (top > innerHeight * 0.75 || bottom < 0)) view.scrollIntoView({ block: "center" });
  }

  function drawPairs(pairs) {
    const list = document.createDocumentFragment();
    for (const [label, answer] of pairs) {
      const cell = cellOf.get(key(label, answer));
      const words = make("span", {}, named(data.classes[label]), make("span", { class: "arrow" }, "→"), named(data.classes[answer]));
      const button = make("button", { type: "button", "data-cell": key(label, answer), "aria-pressed": "false" }, words, make("span", {}, thousands(cell[2])));
      list.append(make("li", {}, button));
    }
    $("confusions").replaceChildren(list);
  }

  /** All mistakes that a class has part in, by its name; without one the most frequent of all. */
  function searchPairs(search) {
    const frequent = data.cells.filter(([label, answer]) => label !== answer).sort((a, b) => b[2] - a[2]); // stable: as Python lists them
    const count = (pairs) => {
      $("pair-count").textContent = pairs.length > MOST_PAIRS ? `${MOST_PAIRS} of ${thousands(pairs.length)} kinds of mistake, the most frequent first` : pairs.length ? "" : "No mistakes of such a class";
    };
    search.addEventListener("input", () => {
      const wanted = search.value.trim().toLocaleLowerCase();
      const fits = data.classes.map((name) => name.toLocaleLowerCase().includes(wanted));
      const pairs = wanted ? frequent.filter(([label, answer]) => fits[label] || fits[answer]) : frequent;
      drawPairs(wanted ? pairs.slice(0, MOST_PAIRS) : data.confusions);
      count(pairs);
      if (wanted && pairs.length) open(pairs[0]);
    });
    count(frequent);
  }

  /** One button per non-empty cell, so that hundreds of classes stay light. */
  function drawMatrix() {
    const K = data.classes.length;
    const most = Math.max(1, ...data.cells.filter(([l, a]) => l !== a).map((cell) => cell[2]));
    const [least, largest] = K <= 12 ? ["1.5rem", "3rem"] : K <= 30 ? ["1.625rem", "2.25rem"] : K <= 80 ? ["0.625rem", "1rem"] : ["0.3125rem", "0.5rem"];
    const tall = data.classes.some((name) => [...name].length > 3);
    const grid = make("div", { class: "matrix-grid", "--k": K, "--least": least, "--most": largest });
    const rows = make("div", { class: "matrix-rows", "aria-hidden": "true" });
    const columns = make("div", { class: "matrix-columns", "aria-hidden": "true" });
    for (const name of data.classes) {
      rows.append(make("span", { title: name }, K <= 80 ? named(name) : ""));
      columns.append(make("span", { title: name }, K <= 80 ? named(name) : ""));
    }
    const cells = make("div", { class: "matrix-cells", role: "group", "aria-label": "Confusion matrix: rows are the true class, columns the answer" });
    for (const cell of data.cells) {
      const [label, answer, count] = cell;
      const right = label === answer;
      const t = right ? count / data.table[label][3] : (Math.log1p(count) / Math.log1p(Math.max(most, 8))) ** 1.4;
      cells.append(
        make(
          "button",
          { type: "button", tabindex: "-1", class: `cell${right ? " right" : ""}${t > 0.65 ? " strong" : ""}`, style: `grid-area:${label + 1}/${answer + 1}`, "--t": t.toFixed(3), "data-cell": key(label, answer), "aria-pressed": "false", "aria-label": describe(cell) },
          K <= 30 ? count : "",
        ),
      );
    }
    grid.append(make("span", { class: "corner", "aria-hidden": "true" }, "answer →", make("br"), "true ↓"), columns, rows, cells);
    $("matrix").classList.toggle("tall", tall);
    $("matrix").classList.toggle("wide", K > 16); // no room beside it
    $("matrix").classList.toggle("large", K > 30);
    $("matrix").append(grid);
    cells.querySelector("button")?.setAttribute("tabindex", "0");
    cells.addEventListener("keydown", walk);
    const light = ({ target }) => {
      const cell = target.dataset?.cell && cellOf.get(Number(target.dataset.cell));
      for (const lit of grid.querySelectorAll(".lit")) lit.classList.remove("lit");
      if (!cell) return;
      rows.children[cell[0]].classList.add("lit");
      columns.children[cell[1]].classList.add("lit");
      $("cell-readout").textContent = describe(cell);
    };
    cells.addEventListener("pointerover", light);
    cells.addEventListener("focusin", light);
  }

  /** Arrow keys go to the next non-empty cell of the row or column. */
  function walk(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const from = step && cellOf.get(Number(event.target.dataset.cell));
    if (!from) return;
    event.preventDefault();
    for (let [r, c] = [from[0] + step[0], from[1] + step[1]]; r >= 0 && c >= 0 && r < data.classes.length && c < data.classes.length; r += step[0], c += step[1]) {
      const next = event.currentTarget.querySelector(`[data-cell="${key(r, c)}"]`);
      if (!next) continue;
      event.target.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
      return;
    }
  }

  // ---- the table of classes

  function classTable() {
    const table = $("class-table");
    const heads = [...table.tHead.rows[0].cells];
    const search = $("filter").querySelector("input");
    $("filter").hidden = data.classes.length <= 20;
    const names = new Intl.Collator(undefined, { numeric: true });
    let [column, direction] = data.classes.length > 30 ? [3, 1] : [-1, 1]; // many classes: the weakest first

    const items = (k) => data.table[k][3];
    const share = (value, of) => (of ? make("td", { class: "share", "--p": value }, percent(value)) : make("td", {}, "–"));

    /** Two classes in the order of the column; of equal ones that of which more is known comes first. */
    function compared(a, b, way) {
      if (column < 0) return a - b;
      const apart = column === 0 ? names.compare(data.classes[a], data.classes[b]) : data.table[a][column - 1] - data.table[b][column - 1];
      return way * apart || items(b) - items(a) || a - b;
    }

    function drawClass(k) {
      const [precision, recall, f1, support] = data.table[k];
      const row = make("tr", {}, make("td", { class: "name" }, data.classes[k]));
      row.append(share(precision, support || precision), share(recall, support), share(f1, support), make("td", {}, thousands(support)));
      return row;
    }

    function fill() {
      const wanted = search.value.trim().toLocaleLowerCase();
      let rows = data.classes.map((_, k) => k);
      if (wanted) rows = rows.filter((k) => data.classes[k].toLocaleLowerCase().includes(wanted));
      const many = rows.length > MOST_ROWS;
      const unseen = many && column > 0 ? rows.filter((k) => !items(k)).length : 0;
      if (unseen) rows = rows.filter(items); // nothing is known of them
      rows.sort((a, b) => compared(a, b, direction));
      const body = document.createDocumentFragment();
      if (many) {
        const last = column < 0 ? rows.slice(-ENDS) : [...rows].sort((a, b) => compared(a, b, -direction)).slice(0, ENDS).reverse();
        const between = make("td", { class: "between", colspan: heads.length }, `${thousands(rows.length - 2 * ENDS)} classes between`);
        body.append(...rows.slice(0, ENDS).map(drawClass), make("tr", {}, between), ...last.map(drawClass));
      } else body.append(...rows.map(drawClass));
      table.tBodies[0].replaceChildren(body);
      const without = unseen ? `; ${thousands(unseen)} without items ${unseen === 1 ? "is" : "are"} left out` : "";
      $("class-count").textContent = many ? `The first and the last ${ENDS} of ${thousands(rows.length)} classes${without}. Sort or search for the others.` : "";
      heads.forEach((head, n) => (n === column ? head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending") : head.removeAttribute("aria-sort")));
    }
    heads.forEach((head, n) =>
      head.firstElementChild.addEventListener("click", () => {
        direction = column === n ? -direction : n === 4 ? -1 : 1; // the weakest first, but the largest first
        column = n;
        fill();
      }),
    );
    search.addEventListener("input", fill);
    fill();
  }

  // ---- plots

  /** The words at the nearest x, under the pointer or by arrow keys. */
  function readable(plot) {
    const points = JSON.parse(plot.dataset.readout);
    const [box, cursor, words] = [".box", ".cursor", ".readout"].map((part) => plot.querySelector(part));
    let at = points.length - 1;
    const show = (n) => {
      at = Math.max(0, Math.min(points.length - 1, n));
      cursor.setAttribute("d", `M${points[at][0]} 0V100`);
      words.textContent = points[at][1];
    };
    box.addEventListener("pointermove", (event) => {
      const { left, width } = box.getBoundingClientRect();
      const x = ((event.clientX - left) / width) * 100;
      show(points.reduce((best, point, n) => (Math.abs(point[0] - x) < Math.abs(points[best][0] - x) ? n : best), 0));
    });
    box.addEventListener("pointerleave", () => cursor.setAttribute("d", ""));
    plot.addEventListener("blur", () => cursor.setAttribute("d", ""));
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -points.length, End: points.length }[event.key];
      if (!step) return;
      event.preventDefault();
      show(at + step);
    });
  }

  document.querySelectorAll("[data-readout]").forEach(readable);
  if (data) {
    for (const cell of data.cells) cellOf.set(key(cell[0], cell[1]), cell);
    drawPairs(data.confusions);
    const search = document.querySelector("#pair-filter input");
    if (search) searchPairs(search);
    if (data.matrix) drawMatrix();
    classTable();
    document.addEventListener("click", ({ target }) => {
      const hit = target.closest?.("[data-cell], [data-item]");
      if (hit?.dataset.cell) open(cellOf.get(Number(hit.dataset.cell)), { scroll: true });
      else if (hit?.dataset.item) zoom(Number(hit.dataset.item));
      else if (target === $("zoom")) $("zoom").close(); // the dark around it
    });
    const first = data.confusions[0] ?? data.cells[0];
    if (first) open(cellOf.get(key(first[0], first[1])));
  }
})();
