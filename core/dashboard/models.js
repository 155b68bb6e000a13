// The models: what each costs and can, and which prices have changed.
import { get } from "./api.js";
import { now, timed } from "./clock.js";
import { at, h, keyed, parted, put, show, table } from "./dom.js";
import { ago, count, dollars, milliseconds } from "./format.js";

const FEW = 30;
let told = { models: [], changes: [], aliases: [] },
  is_whole = false,
  body = null,
  drawn = "";

// USD per million tokens
const price = (amount) => (typeof amount !== "number" || amount < 0 ? "?" : dollars(amount));

function abilities(model) {
  const names = [
    ...model.strengths,
    model.tools ? "tools" : "",
    model.vision ? "vision" : "",
    model.is_local ? "local" : "",
    model.free ? "free" : "",
  ];
  return [...new Set(names)].filter(Boolean).join(", ");
}

function make(model) {
  const cost = model.cost || {};
  const change = told.changes.find((one) => one.id === model.id);
  const name = h("th", { scope: "row", class: "text" }, parted(model.id));
  if (change) name.append(" ", h("span", { class: "tag", "data-state": "changed" }, "price changed"));
  return h(
    "tr",
    {},
    name,
    h("td", { class: "number" }, price(cost.input)),
    h("td", { class: "number" }, price(cost.output)),
    h("td", { class: "number some" }, model.context_length ? count(model.context_length) : "?"),
    h("td", { class: "number some" }, typeof model.latency_ms === "number" ? milliseconds(model.latency_ms) : "–"),
    h("td", { class: "text some" }, abilities(model)),
  );
}

function make_change(change) {
  const when = h("span", { class: "hint" });
  timed(when, () => ago(now() - change.at));
  return h(
    "li",
    {},
    h("strong", {}, parted(change.id)),
    ` ${change.field.replaceAll("_", " ")} ${price(change.old)} → ${price(change.new)} `,
    change.alert ? h("span", { class: "tag", "data-state": "broken" }, "jump") : null,
    " ",
    when,
    h("span", { class: "hint" }, change.source ? ` · list ${change.source}` : " · configuration"),
  );
}

// What policies often sort by, of one target: "free · quality 95 · 0.2ms".
export function facts(id) {
  const model = told.models.find((one) => one.id === id);
  if (!model) return "";
  const parts = [
    model.is_local ? "local" : model.free ? "free" : "",
    model.quality ? `quality ${model.quality}` : "",
    typeof model.latency_ms === "number" ? milliseconds(model.latency_ms) : "",
    model.error_rate >= 0.005 ? `${Math.round(100 * model.error_rate)} % errors` : "",
  ];
  return parts.filter(Boolean).join(" · ");
}

function draw() {
  const wanted = at("models-filter").value.trim().toLowerCase();
  const fits = told.models.filter((model) => `${model.id} ${abilities(model)}`.toLowerCase().includes(wanted));
  const list = is_whole ? fits : fits.slice(0, FEW);
  show(at("models-table"), list.length > 0);
  show(at("models-empty"), list.length === 0);
  put(
    at("models-empty"),
    told.models.length === 0
      ? "No model is known yet: name some under models in the configuration."
      : `No model fits “${at("models-filter").value}”.`,
  );
  show(at("models-more"), fits.length > list.length);
  put(at("models-more"), `Show all ${fits.length}`);
  keyed(
    body,
    list,
    (model) => JSON.stringify(model),
    make,
    () => {},
  );
  show(at("models-changes"), told.changes.length > 0);
  keyed(
    at("models-change-list"),
    told.changes.slice(0, 20),
    (one) => JSON.stringify(one),
    make_change,
    () => {},
  );
}

export async function load() {
  try {
    const answer = await get("admin/models");
    put(at("models-fault"), answer.changes_fault ? `Price changes of imports: ${answer.changes_fault}` : "");
    told = answer;
    if (JSON.stringify(told) === drawn) return;
    drawn = JSON.stringify(told);
    draw();
  } catch (fault) {
    put(at("models-fault"), fault.message);
  }
}

export function start() {
  if (body) return;
  body = h("tbody");
  const heads = [
    ["Model"],
    ["In / M", "number"],
    ["Out / M", "number"],
    ["Context", "number some"],
    ["Latency", "number some"],
    ["Good for", "some"],
  ];
  at("models-body").replaceChildren(
    h("p", { class: "fault", id: "models-fault" }),
    h(
      "div",
      { id: "models-changes", hidden: true },
      h("h3", {}, "Price changes"),
      h("ul", { class: "changes", id: "models-change-list" }),
    ),
    table("models-table", "models-title", heads, body),
    h("p", { class: "empty", id: "models-empty", hidden: true }),
    h("button", { type: "button", class: "quiet", id: "models-more", hidden: true }, "Show all"),
  );
  at("models-filter").addEventListener("input", draw);
  at("models-more").addEventListener("click", () => {
    is_whole = true;
    draw();
  });
}
