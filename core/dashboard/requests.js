// Recent requests, the newest first; each opens to show its attempts and why its ladder was what it was.
import { get } from "./api.js";
import { at, columns, h, keyed, parted, put, show, table } from "./dom.js";
import { count, microdollars, milliseconds, moment } from "./format.js";
import { explain } from "./ladder.js";

const MOST = 100,
  STEP = 15;
let shown = STEP,
  rows = [],
  is_held = false,
  timer = null,
  body = null,
  is_started = false;
const open = new Map(); // request id -> nodes of its details

const served = (row) => (row.provider ? `${row.provider}/${row.model}` : row.model || "");

function attempts(told) {
  if (told.attempts.length === 0) return h("p", { class: "hint" }, "No provider was called.");
  return h(
    "ol",
    { class: "attempts" },
    told.attempts.map((attempt) =>
      h(
        "li",
        {},
        h("strong", {}, parted(`${attempt.provider || ""}/${attempt.model || ""}`)),
        ` ${attempt.status || ""}${attempt.error ? ` ${attempt.error}` : ""}`,
        typeof attempt.ms === "number" ? ` · ${milliseconds(attempt.ms)}` : "",
      ),
    ),
  );
}

function facts(row) {
  const list = [
    ["id", row.request_id],
    ["surface", row.surface],
    ["policy", row.policy],
    ["task", row.task],
    ["key", [row.org, row.key, row.label].filter(Boolean).join(" / ")],
    [
      "tokens",
      `${count(row.input_tokens)} in, ${count(row.cached_tokens)} cached, ${count(row.output_tokens)} out` +
        `, ${count(row.billed_tokens)} billed${row.estimated ? " (estimated)" : ""}`,
    ],
    ["saved", microdollars(row.savings_microusd || 0)],
    ["took", milliseconds(row.latency_ms)],
  ];
  return h(
    "dl",
    { class: "facts" },
    list
      .filter(([, value]) => value)
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)))),
  );
}

async function fill(row, cell) {
  try {
    const told = await get(`v1/requests/${encodeURIComponent(row.request_id)}`);
    const nodes = [facts(row), h("h3", {}, "Attempts"), attempts(told)];
    if (told.explanation) nodes.push(h("h3", {}, "Why this ladder"), ...explain(told.explanation, true));
    cell.replaceChildren(...nodes);
  } catch (fault) {
    cell.replaceChildren(facts(row), h("p", { class: "fault" }, fault.message));
  }
}

function toggle(row, button) {
  const is_open = open.has(row.request_id);
  button.setAttribute("aria-expanded", String(!is_open));
  if (is_open) open.delete(row.request_id);
  else {
    const cell = h("td", { class: "details" }, h("p", { class: "hint" }, "Loading…"));
    open.set(row.request_id, h("tr", { class: "opened" }, cell));
    fill(row, cell);
  }
  draw();
}

function make(item) {
  if (item.node) return item.node;
  const row = item.row;
  const button = h(
    "button",
    {
      type: "button",
      class: "opener",
      "aria-expanded": "false",
      "aria-label": `Details of the request of ${moment(row.time)}, ${served(row)}`,
    },
    moment(row.time),
  );
  button.addEventListener("click", () => toggle(row, button));
  return h(
    "tr",
    { "data-outcome": row.outcome },
    h("td", {}, button),
    h("td", { class: "text" }, parted(served(row))),
    h(
      "td",
      {},
      h("span", { class: "outcome" }, row.outcome === "ok" ? "ok" : `${row.outcome} ${row.status || ""}`.trim()),
    ),
    h("td", { class: "text some" }, (row.policy || "").replace(/@.*$/, "")),
    h("td", { class: "number some" }, String(row.attempts)),
    h("td", { class: "number some" }, `${count(row.input_tokens)} / ${count(row.output_tokens)}`),
    h("td", { class: "number" }, microdollars(row.cost_microusd)),
    h("td", { class: "number few" }, milliseconds(row.latency_ms)),
  );
}

function draw() {
  show(at("requests-empty"), rows.length === 0);
  show(at("requests-table"), rows.length > 0);
  show(at("requests-more"), rows.length > shown);
  const items = rows
    .slice(0, shown)
    .flatMap((row) => [
      { row, key: row.request_id + row.time },
      ...(open.has(row.request_id) ? [{ node: open.get(row.request_id), key: `${row.request_id} open` }] : []),
    ]);
  keyed(
    body,
    items,
    (item) => item.key,
    make,
    () => {},
  );
  for (const node of open.values()) node.firstChild.colSpan = columns(at("requests-table"));
}

export async function load() {
  try {
    rows = (await get(`admin/requests?limit=${MOST}`)).requests;
    put(at("requests-fault"), "");
  } catch (fault) {
    put(at("requests-fault"), fault.message);
  }
  draw();
}

// One that has just ended. Many within a moment are drawn together.
export function add(row) {
  if (is_held) return;
  rows = [row, ...rows.filter((one) => one.request_id !== row.request_id || one.time !== row.time)];
  rows.sort((a, b) => b.time - a.time);
  rows = rows.slice(0, MOST);
  if (timer === null) {
    timer = setTimeout(() => {
      timer = null;
      draw();
    }, 250);
  }
}

export function start() {
  if (is_started) return;
  is_started = true;
  const heads = [
    ["Time"],
    ["Model"],
    ["Outcome"],
    ["Policy", "some"],
    ["Calls", "number some"],
    ["Tokens", "number some"],
    ["Cost", "number"],
    ["Took", "number few"],
  ];
  body = h("tbody");
  at("requests-body").replaceChildren(
    h("p", { class: "fault", id: "requests-fault" }),
    h(
      "p",
      { class: "empty", id: "requests-empty", hidden: true },
      "No request yet. Send one to ",
      h("code", {}, "/v1/chat/completions"),
      ", and it shows up here.",
    ),
    table("requests-table", "requests-title", heads, body),
    h("button", { type: "button", class: "quiet", id: "requests-more", hidden: true }, "Show older"),
  );
  at("requests-more").addEventListener("click", () => {
    shown += STEP;
    draw();
  });
  addEventListener("resize", draw);
  const hold = at("requests-hold");
  hold.addEventListener("click", () => {
    is_held = !is_held;
    hold.setAttribute("aria-pressed", String(is_held));
    if (!is_held) load();
  });
}
