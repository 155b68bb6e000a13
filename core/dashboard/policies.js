// The policies: which version is in force, how it does, and what was last wrong with it.
import { get } from "./api.js";
import { now, timed } from "./clock.js";
import { at, columns, h, keyed, mark, put, show, table } from "./dom.js";
import { ago, count, milliseconds } from "./format.js";

const PAUSE = 3000;
let body = null,
  timer = null,
  seen = "",
  list = [];

function make(item) {
  if (item.kind === "error") return h("tr", { class: "trouble" }, h("td"));
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "text" }, h("span", {}, item.policy.file), " ", h("span", { class: "tag" })),
    h("td", { class: "some mono" }),
    h("td", { class: "number" }),
    h("td", { class: "number" }),
    h("td", { class: "number some" }),
    h("td", { class: "number" }),
  );
}

function say_error(node, policy) {
  const error = policy.last_error,
    place = [error.file, error.line].filter(Boolean).join(":");
  const lead = policy.is_broken
    ? policy.version
      ? "The saved file does not load; the version before it is in force."
      : "Does not load."
    : error.mended_at
      ? "Mended since:"
      : "Failed in a call:";
  mark(node, "data-state", policy.is_broken ? "broken" : error.mended_at ? "mended" : "failed");
  const cell = node.firstChild;
  cell.colSpan = columns(at("policies-table"));
  const words = `${lead} ${place ? `${place}: ` : ""}${error.message}`;
  if (cell.dataset.words === words) return;
  cell.dataset.words = words;
  const when = h("span", { class: "hint" });
  cell.replaceChildren(words, " ", when);
  timed(when, () => ago(now() - error.at));
}

function update_row(node, item) {
  const policy = item.policy;
  if (item.kind === "error") {
    say_error(node, policy);
    return;
  }
  const [name, version, calls, faults, time, loaded] = node.children;
  put(name.children[1], policy.is_broken ? "broken" : policy.is_default ? "default" : "");
  mark(name.children[1], "data-state", policy.is_broken ? "broken" : "plain");
  put(version, policy.version || "–");
  put(calls, count(policy.calls));
  put(faults, count(policy.faults));
  mark(faults, "data-level", policy.faults > 0 ? "red" : null);
  put(time, typeof policy.mean_ms === "number" ? milliseconds(policy.mean_ms) : "–");
  timed(loaded, () => (policy.loaded_at ? ago(now() - policy.loaded_at) : "never"));
}

async function load() {
  timer = null;
  try {
    list = (await get("admin/policies")).policies;
    put(at("policies-fault"), "");
  } catch (fault) {
    put(at("policies-fault"), fault.message);
    return;
  }
  draw();
}

function draw() {
  const items = list.flatMap((policy) => [
    { kind: "policy", policy, key: policy.file },
    ...(policy.last_error ? [{ kind: "error", policy, key: `${policy.file} error` }] : []),
  ]);
  show(at("policies-table"), list.length > 0);
  show(at("policies-empty"), list.length === 0);
  keyed(body, items, (item) => item.key, make, update_row);
}

export function start() {
  if (body) return;
  body = h("tbody");
  const heads = [
    ["File"],
    ["Version", "some"],
    ["Calls", "number"],
    ["Faults", "number"],
    ["Mean time", "number some"],
    ["Loaded", "number"],
  ];
  at("policies-body").replaceChildren(
    h("p", { class: "fault", id: "policies-fault" }),
    h(
      "p",
      { class: "empty", id: "policies-empty", hidden: true },
      "No policy file is there. Put one into ",
      h("code", {}, "policies/routing/"),
      "; it is in force once it is saved.",
    ),
    table("policies-table", "policies-title", heads, body),
  );
  addEventListener("resize", draw);
}

// Anew at once where files have changed, and now and then where only calls were counted.
export function update(overview) {
  const text = JSON.stringify([overview.policies_generation, overview.problems]);
  const is_new = text !== seen;
  seen = text;
  if (is_new) {
    clearTimeout(timer);
    timer = null;
  }
  if (timer === null) timer = setTimeout(load, is_new ? 0 : PAUSE);
}
