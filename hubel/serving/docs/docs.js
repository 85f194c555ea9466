// The service's description for people, made of openapi.json. No library; nothing is asked but this origin.

const OPEN = ["/healthz", "/readyz"]; // answer without a token
const ONE = "/v1/models/{name}/"; // what stands under both prefixes is shown once, under /v1/

let token = sessionStorage.getItem("hubel-token") ?? ""; // the same place as the page's

/** An answer, with the token where there is one; while it is refused, people are asked for another. */
async function asked(path) {
  for (;;) {
    const reply = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    if (reply.status !== 401) return reply;
    await newToken(Boolean(token));
  }
}

function newToken(wrong) {
  const form = document.getElementById("token"), field = form.querySelector("input");
  form.hidden = false;
  form.querySelector("[role=status]").textContent = wrong ? "That was not it." : "";
  field.value = "";
  field.focus();
  return new Promise((done) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      token = field.value;
      sessionStorage.setItem("hubel-token", token);
      form.hidden = true;
      done();
    }, { once: true });
  });
}

/** An element with attributes and children; text stays text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Paragraphs of a description; `words` in backquotes become code. */
function prose(text) {
  return text.trim().split(/\n\s*\n/).map((paragraph) => {
    const pieces = paragraph.split("`").map((piece, n) => (n % 2 ? element("code", {}, piece) : piece));
    return element("p", {}, ...pieces);
  });
}

/** What a schema allows, in a few words. */
function kind(schema = {}) {
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.anyOf) return schema.anyOf.filter((one) => one.type !== "null").map(kind).join(" | ");
  if (schema.type === "array") return `list of ${kind(schema.items) || "anything"}`;
  const low = schema.minimum !== undefined ? ` from ${schema.minimum}` : "";
  const high = schema.maximum !== undefined && schema.maximum < 2 ** 31 ? ` to ${schema.maximum}` : "";
  return (schema.type ?? "") + low + high;
}

function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const lines = rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))));
  return element("div", { class: "scroll" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines)));
}

function parameters(list) {
  const rows = list.map((one) => {
    const usual = one.schema?.default;
    const said = [one.description, usual !== undefined && usual !== null ? `default ${usual}` : ""].filter(Boolean).join("; ");
    return [element("code", {}, one.name), one.in, kind(one.schema), said];
  });
  return table(["parameter", "in", "kind", ""], rows);
}

function properties(schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, one]) => [element("code", {}, name), kind(one), one.description ?? ""]);
  return table(["in JSON", "kind", ""], rows);
}

/** A path with its parameters filled in. */
function filled(path) {
  return path.replace("{id}", "17");
}

/** The command line that asks, ready to be copied. */
function commands(method, path, operation) {
  const shown = token && !OPEN.includes(path) ? ' -H "Authorization: Bearer $HUBEL_TOKEN"' : "";
  const address = location.origin + filled(path) + shown;
  if (method === "get") return [`curl ${address}`];
  const json = operation.requestBody?.content?.["application/json"];
  if (!json) return [`curl -X POST ${address}`];
  const told = [`curl ${address} -H 'Content-Type: application/json' -d '${JSON.stringify(json.example)}'`];
  if (path.endsWith("/predictions")) {
    told.unshift(`curl ${address} -H 'Content-Type: image/png' --data-binary @digit.png`);
    told.push(`curl ${address} -F file=@one.png -F file=@two.png`);
  }
  return told;
}

/** A button that asks, and the answer under it. */
function trial(path) {
  const shown = element("pre", { hidden: "", tabindex: "0" });
  const button = element("button", { type: "button" }, "Try it");
  button.addEventListener("click", async () => {
    shown.hidden = false;
    shown.textContent = "…";
    try {
      const reply = await asked(filled(path));
      const text = await reply.text();
      let told = text;
      try { told = JSON.stringify(JSON.parse(text), null, 1); } catch { /* the metrics are text */ }
      shown.textContent = `${reply.status}\n${told.length > 4000 ? `${told.slice(0, 4000)}\n…` : told}`;
    } catch (error) {
      shown.textContent = String(error);
    }
  });
  return [button, shown];
}

function route(method, path, operation) {
  const made = element("article", { id: anchor(method, path) },
    element("h3", {}, element("span", { class: `method ${method}` }, method.toUpperCase()), element("code", {}, path)),
    ...prose(operation.description || operation.summary || ""));
  const list = (operation.parameters ?? []).filter((one) => one.in !== "header");
  if (list.length) made.append(parameters(list));
  const content = operation.requestBody?.content;
  if (content) {
    made.append(element("p", {}, `Body: ${Object.keys(content).join(", ")}`));
    made.append(element("details", {}, element("summary", {}, "what JSON may have"), properties(content["application/json"].schema)));
  }
  for (const line of commands(method, path, operation)) made.append(element("pre", { tabindex: "0" }, line));
  const answers = Object.entries(operation.responses ?? {}).map(([status, one]) => [element("code", {}, status), one.description]);
  made.append(element("details", {}, element("summary", {}, "answers"), table(["status", ""], answers)));
  if (method === "get") made.append(...trial(path));
  return made;
}

function anchor(method, path) {
  return `${method}${path}`.replace(/[^a-z0-9]+/gi, "-").replace(/-$/, "");
}

async function main() {
  const text = await (await asked("/openapi.json")).text(), told = JSON.parse(text);
  if (token) { // a link cannot show it
    const file = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    Object.assign(document.getElementById("document"), { href: file, download: "openapi.json" });
  }
  document.getElementById("about").append(...prose(told.info.description ?? ""));
  const groups = new Map();
  for (const [path, methods] of Object.entries(told.paths)) {
    if (path.startsWith(ONE)) continue;
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] ?? "more";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([method, path, operation]);
    }
  }
  const places = element("ul");
  const routes = document.getElementById("routes");
  routes.replaceChildren();
  for (const [tag, entries] of groups) {
    routes.append(element("h2", {}, tag));
    for (const [method, path, operation] of entries) {
      routes.append(route(method, path, operation));
      places.append(element("li", {}, element("a", { href: `#${anchor(method, path)}` }, `${method.toUpperCase()} ${path}`)));
    }
  }
  document.getElementById("contents").append(places);
}

main().catch((error) => {
  document.getElementById("routes").textContent = `openapi.json could not be read: ${error}`;
});
