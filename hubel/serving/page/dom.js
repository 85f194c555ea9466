// Elements in one line: make("button", {className: "main", onclick}, "text", child, …).

export function make(kind, values = {}, ...children) {
  const e = document.createElement(kind);
  for (const [name, value] of Object.entries(values)) {
    if (name.startsWith("aria") || name === "role" || name === "for") e.setAttribute(name.replace("aria", "aria-").toLowerCase(), value);
    else e[name] = value;
  }
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

export const by = (id) => document.getElementById(id);

export function options(select, values, chosen) {
  select.replaceChildren(...values.map(([value, text]) => make("option", { value, textContent: text, selected: value === chosen })));
  return select;
}

export function wait(box, text) {
  box.replaceChildren(make("p", { className: "wait" }, text));
}
