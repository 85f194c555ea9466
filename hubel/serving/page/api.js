// What the page asks of the service. Answers come in an envelope {status, data, msg}; a refusal becomes an error whose
// message is meant for people.

import { t } from "./i18n.js";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let token = sessionStorage.getItem("hubel-token") ?? "";
let asking = null; // one question for the token, however many requests were refused

async function fetched(path, settings = {}) {
  const used = token, headers = { ...settings.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let found;
  try {
    found = await fetch(path, { ...settings, headers });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Refused(0, t("unreachable"));
  }
  if (found.status === 401) {
    if (token === used) await (asking ??= askForToken().finally(() => (asking = null)));
    if (token) return fetched(path, settings); // a wrong one is asked for again, until the box is put away
    throw new Refused(401, t("noToken"));
  }
  return found;
}

function askForToken() {
  const box = document.getElementById("token-box");
  return new Promise((done) => {
    const form = document.createElement("form");
    form.method = "dialog";
    const label = Object.assign(document.createElement("label"), { textContent: t("askToken") });
    const field = Object.assign(document.createElement("input"), { type: "password", autocomplete: "off" });
    form.append(label, field, Object.assign(document.createElement("button"), { textContent: t("ok"), className: "main" }));
    box.replaceChildren(form);
    box.onclose = () => {
      token = field.value;
      sessionStorage.setItem("hubel-token", token);
      done();
    };
    box.showModal();
  });
}

async function opened(found) {
  let said;
  try {
    said = await found.json();
  } catch {
    throw new Refused(found.status, t("unreachable"));
  }
  if (!found.ok) throw new Refused(found.status, said.msg);
  return said.data;
}

export const get = async (path, settings) => opened(await fetched(path, settings));

export async function post(path, body, settings = {}) {
  const headers = { "Content-Type": "application/json" };
  return opened(await fetched(path, { ...settings, method: "POST", headers, body: JSON.stringify(body) }));
}

// A picture of the service as an address for <img>.
export async function picture(path) {
  const found = await fetched(path, { headers: { Accept: "image/png" } });
  if (!found.ok) throw new Refused(found.status, "");
  return URL.createObjectURL(await found.blob());
}

// At most one question of a kind is under way; while it is, only the newest of those that follow is kept.
export function latest(send) {
  let busy = false, waiting = null;
  return async function asked(...what) {
    if (busy) {
      waiting = what;
      return;
    }
    busy = true;
    try {
      await send(...what);
    } finally {
      busy = false;
      if (waiting) {
        const next = waiting;
        waiting = null;
        asked(...next);
      }
    }
  };
}

// Base64 -> the numbers of a map as the service packs them: {shape, of, low, high, kind, data}.
export function numbers(packed) {
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return packed.kind === "float32" ? new Float32Array(bytes.buffer) : bytes;
}
