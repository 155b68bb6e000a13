// Usage, cost and savings over time: a bar an hour or a day, and what each model, provider or key had of it. What is
// over does not change: only the last bar is asked for again.
import { get } from "./api.js";
import { at, h, head, put, show, svg } from "./dom.js";
import { count, date, exact, hour, microdollars } from "./format.js";

const RANGES = { day: [3600, 24], week: [86400, 7], month: [86400, 30] };
const PAUSE = 15000,
  AT_ONCE = 4,
  SHADES = 5;
const WIDTH = 600,
  HEIGHT = 160;

let timer = null,
  asked = 0,
  is_started = false,
  last_text = "";
const past = new Map(); // "by from" -> groups of an hour or a day that is over

const is_money = (measure) => measure.endsWith("microusd");
const written = (measure, amount) => (is_money(measure) ? microdollars(amount) : count(amount));
const exactly = (measure, amount) => (is_money(measure) ? `$${(amount / 1e6).toFixed(6)}` : exact(amount));
const amount_of = (group, measure) =>
  measure === "tokens" ? group.input_tokens + group.output_tokens : group[measure];

// The beginnings of the bars, in UTC as the gateway's own days.
function beginnings(seconds, bars) {
  const last = Math.floor(Date.now() / 1000 / seconds) * seconds;
  return Array.from({ length: bars }, (_, index) => last - (bars - 1 - index) * seconds);
}

async function groups_of(by, from, seconds) {
  const key = `${by} ${seconds} ${from}`,
    to = from + seconds,
    is_over = to + 60 < Date.now() / 1000;
  if (past.has(key)) return past.get(key);
  const groups = (await get(`v1/usage?by=${by}&from=${from}&to=${to}`)).groups;
  if (is_over) past.set(key, groups);
  return groups;
}

async function read(by, seconds, bars) {
  const froms = beginnings(seconds, bars),
    found = new Array(bars);
  let next = 0;
  const one = async () => {
    while (next < bars) {
      const index = next++;
      found[index] = { from: froms[index], groups: await groups_of(by, froms[index], seconds) };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  return found;
}

// What belongs to whom over the whole time, the most first; those behind the fifth are one.
function ranked(bars, by, measure) {
  const sums = new Map();
  for (const bar of bars) {
    for (const group of bar.groups) sums.set(group[by], (sums.get(group[by]) || 0) + amount_of(group, measure));
  }
  const list = [...sums]
    .map(([name, amount]) => ({ name, amount }))
    .sort((a, b) => b.amount - a.amount || (a.name < b.name ? -1 : 1));
  if (list.length <= SHADES + 1) return list;
  const rest = list.slice(SHADES).reduce((sum, one) => sum + one.amount, 0);
  return [...list.slice(0, SHADES), { name: null, amount: rest, others: list.length - SHADES }];
}

const shade_of = (names, name) => {
  const index = names.findIndex((one) => one.name === name);
  return index < 0 || index >= SHADES ? SHADES : index;
};

function chart(bars, names, by, measure, label_of) {
  const totals = bars.map((bar) => bar.groups.reduce((sum, group) => sum + Math.max(0, amount_of(group, measure)), 0));
  const most = Math.max(...totals, 0),
    step = WIDTH / bars.length,
    width = step * 0.72;
  const drawing = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    class: "chart",
    role: "img",
    preserveAspectRatio: "none",
    "aria-label":
      `${bars.length} bars from ${label_of(bars[0].from)} to ${label_of(bars[bars.length - 1].from)}, ` +
      `at most ${written(measure, most)}; the figures are below`,
  });
  bars.forEach((bar, index) => {
    const parts = new Map();
    for (const group of bar.groups) {
      const shade = shade_of(names, group[by]);
      parts.set(shade, (parts.get(shade) || 0) + Math.max(0, amount_of(group, measure)));
    }
    const column = svg(
      "g",
      {},
      svg("title", {}, `${label_of(bar.from)}: ${written(measure, totals[index])}`),
      svg("rect", { x: index * step, y: 0, width: step, height: HEIGHT, class: "column" }),
    );
    let y = HEIGHT;
    for (const [shade, amount] of [...parts].sort((a, b) => a[0] - b[0])) {
      const height = most > 0 ? (amount / most) * (HEIGHT - 4) : 0;
      y -= height;
      column.append(svg("rect", { x: index * step + (step - width) / 2, y, width, height, class: `shade-${shade}` }));
    }
    drawing.append(column);
  });
  return h(
    "figure",
    { class: "plot" },
    h("div", { class: "scale", "aria-hidden": "true" }, written(measure, most)),
    drawing,
    h(
      "div",
      { class: "axis", "aria-hidden": "true" },
      h("span", {}, label_of(bars[0].from)),
      h("span", {}, label_of(bars[bars.length - 1].from)),
    ),
  );
}

function legend(names, measure, by) {
  const total = names.reduce((sum, one) => sum + one.amount, 0);
  return h(
    "table",
    { "aria-label": `By ${by}`, "data-measure": measure },
    head([[by], ["Amount", "number"], ["Share", "number"]]),
    h(
      "tbody",
      {},
      names.map((one, index) =>
        h(
          "tr",
          {},
          h(
            "th",
            { scope: "row", class: "text" },
            h("span", { class: `swatch shade-${Math.min(index, SHADES)}`, "aria-hidden": "true" }),
            one.name === null ? `${one.others} others` : one.name || "(none)",
          ),
          h("td", { class: "number", title: exactly(measure, one.amount) }, written(measure, one.amount)),
          h("td", { class: "number" }, total > 0 ? `${Math.round((100 * one.amount) / total)} %` : "–"),
        ),
      ),
    ),
  );
}

function by_time(bars, measure, label_of) {
  return h(
    "details",
    {},
    h("summary", {}, "Figures over time"),
    h(
      "table",
      {},
      head([["From"], ["Requests", "number"], ["Tokens", "number"], ["Cost", "number"], ["Saved", "number some"]]),
      h(
        "tbody",
        {},
        [...bars].reverse().map((bar) => {
          const sum = (of) => bar.groups.reduce((all, group) => all + amount_of(group, of), 0);
          return h(
            "tr",
            {},
            h("th", { scope: "row" }, label_of(bar.from)),
            h("td", { class: "number" }, count(sum("requests"))),
            h("td", { class: "number" }, count(sum("tokens"))),
            h("td", { class: "number" }, microdollars(sum("cost_microusd"))),
            h("td", { class: "number some" }, microdollars(sum("savings_microusd"))),
          );
        }),
      ),
    ),
  );
}

function draw(bars, by, measure, seconds) {
  const label_of = seconds < 86400 ? hour : date;
  const text = JSON.stringify([bars, by, measure]);
  if (text === last_text) return;
  last_text = text;
  const all = (of) =>
    bars.reduce((sum, bar) => sum + bar.groups.reduce((more, group) => more + amount_of(group, of), 0), 0);
  show(at("usage-empty"), all("requests") === 0);
  show(at("usage-shown"), all("requests") > 0);
  if (all("requests") === 0) return;
  const names = ranked(bars, by, measure);
  const was_open = Boolean(at("usage-shown").querySelector("details[open]"));
  put(
    at("usage-sum"),
    `${count(all("requests"))} requests, ${count(all("tokens"))} tokens, ` +
      `${microdollars(all("cost_microusd"))} spent, ${microdollars(all("savings_microusd"))} saved`,
  );
  const figures = by_time(bars, measure, label_of);
  figures.open = was_open;
  at("usage-plot").replaceChildren(chart(bars, names, by, measure, label_of), legend(names, measure, by), figures);
}

async function load() {
  clearTimeout(timer);
  timer = setTimeout(() => (document.hidden ? later() : load()), PAUSE);
  const number = ++asked,
    by = at("usage-by").value,
    measure = at("usage-measure").value;
  const [seconds, bars] = RANGES[at("usage-range").value];
  try {
    const found = await read(by, seconds, bars);
    if (number !== asked) return;
    put(at("usage-fault"), "");
    draw(found, by, measure, seconds);
  } catch (fault) {
    if (number === asked) put(at("usage-fault"), fault.message);
  }
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(load, PAUSE);
}

export function start() {
  if (is_started) return;
  is_started = true;
  at("usage-body").replaceChildren(
    h("p", { class: "fault", id: "usage-fault" }),
    h(
      "p",
      { class: "empty", id: "usage-empty", hidden: true },
      "Nothing was used in this time. Choose a longer one, or send a request.",
    ),
    h(
      "div",
      { id: "usage-shown", hidden: true },
      h("p", { class: "sentence", id: "usage-sum" }),
      h("div", { id: "usage-plot" }),
    ),
  );
  for (const id of ["usage-by", "usage-measure", "usage-range"]) at(id).addEventListener("change", load);
}

export { load };
