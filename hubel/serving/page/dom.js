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

const FEW = 100; // entries that a select shows; of more it shows those that fit a word typed above it

// One of several entries [value, text], of which those with an empty value stand for none.
export class Choice {
  // words: what is chosen, "find", "… {n} more"   id: of the select
  constructor(entries, chosen, words, id = "") {
    this.entries = entries;
    this.words = words;
    this.select = make("select", id ? { id } : {});
    this.root = this.select;
    if (entries.length > FEW) {
      this.search = make("input", { type: "search", placeholder: words.find, ariaLabel: `${words.name}: ${words.find}`, autocomplete: "off" });
      this.select.ariaLabel = words.name;
      this.search.oninput = () => this.fill(this.value);
      this.search.onkeydown = (event) => { // braces: what gives false would swallow the key
        if (event.key === "Enter") this.take();
      };
      this.root = make("div", { className: "choice" }, this.search, this.select);
    }
    this.fill(chosen);
  }

  get found() {
    const word = this.search?.value.trim().toLocaleLowerCase() ?? "";
    return this.entries.filter(([value, text]) => value === "" || text.toLocaleLowerCase().includes(word));
  }

  // What is chosen stays there, whether it fits or not.
  fill(chosen) {
    const found = this.found, shown = this.search ? found.slice(0, FEW) : found;
    const mine = this.entries.find(([value]) => value === chosen);
    if (mine && !shown.includes(mine)) shown.unshift(mine);
    options(this.select, shown, chosen);
    if (found.length > FEW && this.search) this.select.append(make("option", { disabled: true, textContent: this.words.more(found.length - FEW) }));
  }

  // The first that fits.
  take() {
    const first = this.found.find(([value]) => value !== "");
    if (!first) return;
    this.value = first[0];
    this.select.dispatchEvent(new Event("change"));
  }

  get value() {
    return this.select.value;
  }

  set value(chosen) {
    this.fill(chosen);
  }

  set onchange(act) {
    this.select.onchange = act;
  }
}

export function wait(box, text) {
  box.replaceChildren(make("p", { className: "wait" }, text));
}
