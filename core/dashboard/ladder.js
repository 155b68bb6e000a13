// The ladder as it is now, for a policy and a task: each place with its reason, each target that is left out with its
// reason, and when it comes back. The route tester shows its answers the same way.
import { post } from "./api.js";
import { now, timed } from "./clock.js";
import { at, choices, h, parted } from "./dom.js";
import { dollars, left } from "./format.js";
import { facts } from "./models.js";

let latest = null; // overview
let asked = 0,
  timer = null,
  shown = "";

const PAUSE = 2000;
const MOST_SHOWN = 40;

// When a target is back: its mark, its provider's, or a limit of it that is used up, whichever is latest.
function back_at(candidate) {
  const until = [0];
  for (const mark of latest ? latest.out : []) {
    if (mark.target === candidate.id || mark.target === candidate.provider) until.push(mark.until || 0);
  }
  const provider = latest && latest.providers.find((one) => one.provider === candidate.provider);
  for (const limit of provider ? provider.limits : []) {
    const counts = !limit.stale && (!limit.model || limit.model === candidate.model);
    if (counts && typeof limit.remaining === "number" && limit.remaining <= 0) until.push(limit.reset_at || 0);
  }
  return Math.max(...until);
}

function rung(candidate, place, is_past) {
  // The countdown beside it tells the same, and goes on.
  const reason = String(candidate.reason || "").replace(/^rung \d+(, )?/, "");
  const back = is_past ? 0 : back_at(candidate),
    is_out = !candidate.kept || /passed over|refused/.test(reason);
  const words = back ? reason.replace(/ \(\d+ s left\)/, "") : reason;
  const node = h(
    "li",
    { class: "rung", "data-state": candidate.kept ? (is_out ? "passed" : "kept") : "dropped" },
    h("span", { class: "place" }, place === null ? "–" : String(place)),
    h("span", { class: "target" }, parted(candidate.id)),
    h("span", { class: "cost" }, typeof candidate.estimated_cost === "number" ? dollars(candidate.estimated_cost) : ""),
    h(
      "span",
      { class: "why" },
      [words || (place === 1 ? "called first" : ""), is_past ? "" : facts(candidate.id)].filter(Boolean).join(" · "),
    ),
  );
  if (typeof candidate.score === "number") node.lastChild.append(` · score ${candidate.score.toFixed(2)}`);
  if (is_out && back > now()) {
    const text = h("span", { class: "back" });
    timed(text, () => (back > now() ? ` · back in ${left(back - now())}` : " · back now"));
    node.lastChild.append(text);
  }
  return node;
}

// What /v1/router/debug answered, as nodes; or what was explained in the past, and says nothing of now.
export function explain(told, is_past = false) {
  const kept = told.candidates.filter((candidate) => candidate.kept);
  const dropped = told.candidates.filter((candidate) => !candidate.kept);
  const nodes = [h("p", { class: "sentence" }, told.reason || "")];
  if (kept.length > 0)
    nodes.push(
      h(
        "ol",
        { class: "rungs" },
        kept.slice(0, MOST_SHOWN).map((one, index) => rung(one, index + 1, is_past)),
      ),
    );
  else nodes.push(h("p", { class: "empty" }, "Nothing is on the ladder: a request would be refused."));
  if (dropped.length > 0) {
    nodes.push(
      h("h3", {}, `Left out (${dropped.length})`),
      h(
        "ul",
        { class: "rungs" },
        dropped.slice(0, MOST_SHOWN).map((one) => rung(one, null, is_past)),
      ),
    );
  }
  if (Math.max(kept.length, dropped.length) > MOST_SHOWN) {
    nodes.push(h("p", { class: "hint" }, `Of each the first ${MOST_SHOWN} are shown.`));
  }
  return nodes;
}

async function refresh() {
  timer = null;
  const number = ++asked,
    policy = at("ladder-policy").value,
    task = at("ladder-task").value;
  const body = {
    messages: [{ role: "user", content: "Hello" }],
    ...(policy ? { policy } : {}),
    ...(task ? { task } : {}),
  };
  let nodes, text;
  try {
    const told = await post("v1/router/debug", JSON.stringify(body));
    nodes = () => explain(told);
    // The seed and what is left of waits differ each time.
    text = JSON.stringify([
      told.ladder,
      told.candidates.map((one) => [one.id, one.reason.replace(/\d+ s left/, ""), Math.round(back_at(one))]),
    ]);
  } catch (fault) {
    nodes = () => [h("p", { class: "fault" }, fault.message)];
    text = fault.message;
  }
  if (number !== asked || text === shown) return;
  shown = text;
  at("ladder-body").replaceChildren(...nodes());
}

function soon(milliseconds) {
  if (timer === null) timer = setTimeout(refresh, milliseconds);
}

export function start() {
  for (const id of ["ladder-policy", "ladder-task"]) at(id).addEventListener("change", refresh);
}

export function update(overview) {
  const is_first = latest === null;
  latest = overview;
  choices(at("ladder-policy"), [
    ["", `default (${overview.policy})`],
    ...overview.policies.map((name) => [name, name]),
  ]);
  choices(at("ladder-task"), [["", "as guessed"], ...overview.tasks.map((name) => [name, name.replaceAll("_", " ")])]);
  soon(is_first ? 0 : PAUSE);
}
