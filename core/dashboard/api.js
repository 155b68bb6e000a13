// Asks the gateway, with the admin token of this tab. The token is kept in the session's storage and sent in a header,
// never in an address.

const KEY = "moongate.admin-token";
const ROOT = new URL("../", import.meta.url);
const SILENCE = 40000; // the gateway says something every 15 seconds

let token = null;
try {
  token = sessionStorage.getItem(KEY);
} catch {
  // A browser that keeps nothing: the token lasts until the page is left.
}

export const has_token = () => token !== null && token !== "";

export function keep_token(text) {
  token = text;
  try {
    if (text) sessionStorage.setItem(KEY, text);
    else sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function ask(path, options) {
  const headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), ...options.headers };
  const answer = await fetch(new URL(path, ROOT), { ...options, headers, cache: "no-store", credentials: "omit" });
  if (answer.ok) return answer;
  let told = {};
  try {
    told = (await answer.json()).error || {};
  } catch {
    // Not an answer of the gateway itself.
  }
  throw new Refused(answer.status, told.code, told.message || `the gateway answered ${answer.status}`);
}

export const get = async (path) => (await ask(path, {})).json();

// Whether the configuration names an admin token: told to everybody.
export const is_token_set = async () => (await get("dashboard/door")).admin_token_is_set;

export const post = async (path, text) =>
  (await ask(path, { method: "POST", body: text, headers: { "content-type": "application/json" } })).json();

// Follows GET /admin/events, each event as on_event(name, data), until it ends or breaks off.
export async function follow(on_event, on_open) {
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), SILENCE);
  try {
    const answer = await ask("admin/events", { signal: stop.signal });
    on_open();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let pending = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), SILENCE);
      const events = (pending + value).split("\n\n");
      pending = events.pop();
      for (const event of events) {
        const name = /^event: (.*)$/m.exec(event),
          data = /^data: (.*)$/m.exec(event);
        if (name && data) on_event(name[1], JSON.parse(data[1]));
      }
    }
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}
