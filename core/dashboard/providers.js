// The provider cards: a pulse, bars for what is used of each window, and on hover, focus or tap the exact figures. And
// above them, in a line each, the quotas and balances that checkers found.
import { now, timed, untimed } from "./clock.js";
import { at, h, keyed, mark, put, show } from "./dom.js";
import { ago, count, dollars, exact, left, milliseconds, percent } from "./format.js";

const WORDS = { green: "capacity", amber: "low", red: "throttled" };
const WINDOWS = ["minute", "hour", "5h", "day", "week", "month", "subscription"];
const SHORT = {
  requests: { minute: "RPM", hour: "RPH", day: "RPD" },
  tokens: { minute: "TPM", hour: "TPH", day: "TPD" },
};
const SPAN = { "5h": "5 h", unknown: "a window" };
const BARS = 4;

const spaced = (name) => String(name).replaceAll("_", " ");
const span = (window) => SPAN[window] || spaced(window);
const is_percent = (limit) => limit.metric === "percent";
const name_of = (limit) =>
  (SHORT[limit.metric] || {})[limit.window] ||
  (is_percent(limit) ? span(limit.window) : `${spaced(limit.metric)} / ${span(limit.window)}`);
const place = (limit) => WINDOWS.indexOf(limit.window) + 1 || 99;
const is_money = (limit) => limit.metric === "dollars" || limit.metric === "microusd";

function used_of(limit) {
  if (typeof limit.used === "number") return limit.used;
  if (typeof limit.limit === "number" && typeof limit.remaining === "number") return limit.limit - limit.remaining;
  return null;
}

function share_of(limit) {
  const used = used_of(limit);
  return used !== null && limit.limit > 0 ? Math.min(1, Math.max(0, used / limit.limit)) : null;
}

const source = (of) => (of.source ? ` (${of.source})` : "");

function rate_line(label, rate) {
  if (typeof rate.max !== "number") return null;
  return `${label} ${typeof rate.current === "number" ? count(rate.current) : "?"} / ${count(rate.max)}${source(rate)}`;
}

// When the balance was told last.
function checked_at(provider) {
  if (provider.checker && typeof provider.checker.checked_at === "number") return provider.checker.checked_at;
  const money = provider.limits.find(is_money);
  return money && money.seen_at;
}

function credits_line(provider) {
  if (typeof provider.credits !== "number") return null;
  const when = checked_at(provider);
  return `Credits ${dollars(provider.credits)} (cached${when ? ` ${ago(now() - when)}` : ""})`;
}

function limit_line(limit) {
  const show_amount = (amount) => (is_money(limit) ? dollars(amount) : exact(amount));
  const parts = [`${spaced(limit.metric)} per ${span(limit.window)}${limit.model ? ` of ${limit.model}` : ""}:`];
  const used = used_of(limit);
  if (used !== null && typeof limit.limit === "number")
    parts.push(`${show_amount(used)} of ${show_amount(limit.limit)} used`);
  else if (typeof limit.remaining === "number") parts.push(`${show_amount(limit.remaining)} left`);
  else if (typeof limit.limit === "number") parts.push(`at most ${show_amount(limit.limit)}`);
  if (limit.reset_at > now()) parts.push(`resets in ${left(limit.reset_at - now())}`);
  return `${parts.join(" ").replace(" resets", ", resets")}${source(limit)}`;
}

const TIP_LIMITS = 12;

// All there is to say of a provider, a line each.
function lines_of(provider) {
  const lines = [rate_line("RPM", provider.rpm), rate_line("TPM", provider.tpm), credits_line(provider)];
  for (const limit of provider.limits.slice(0, TIP_LIMITS)) if (!is_money(limit)) lines.push(limit_line(limit));
  const more = provider.limits.filter((limit) => !is_money(limit)).length - TIP_LIMITS;
  if (more > 0) lines.push(`and ${more} more limits`);
  if (provider.checker && provider.checker.reason)
    lines.push(`Checker ${provider.checker.name}: ${provider.checker.reason}`);
  if (typeof provider.latency_ms === "number") {
    lines.push(`First answer in ${milliseconds(provider.latency_ms)}, ${percent(provider.error_rate || 0)} errors`);
  }
  return lines.filter((line) => line !== null);
}

// The windows that a card has bars for: those of the whole provider first, the tightest of each name.
function bars_of(provider) {
  const by_name = new Map();
  for (const limit of [...provider.limits].sort((a, b) => Boolean(a.model) - Boolean(b.model))) {
    if (is_money(limit) || share_of(limit) === null) continue;
    const name = name_of(limit),
      last = by_name.get(name);
    if (!last || (Boolean(last.model) === Boolean(limit.model) && share_of(limit) > share_of(last)))
      by_name.set(name, limit);
  }
  return [...by_name]
    .map(([name, limit]) => ({ name, limit }))
    .sort((a, b) => place(a.limit) - place(b.limit) || (a.limit.metric < b.limit.metric ? -1 : 1))
    .slice(0, BARS);
}

function make_bar({ name }) {
  return h(
    "li",
    { class: "window" },
    h("span", { class: "name" }, name),
    h(
      "span",
      { class: "meter", role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100 },
      h("span"),
    ),
    h("span", { class: "amount" }),
    h("span", { class: "reset" }),
  );
}

function update_bar(node, { limit }) {
  const share = share_of(limit),
    [, meter, amount, reset] = node.children;
  mark(meter, "aria-valuenow", Math.round(share * 100));
  mark(meter, "data-level", share >= 0.9 ? "red" : share >= 0.75 ? "amber" : "plain");
  meter.firstChild.style.inlineSize = `${share * 100}%`;
  put(amount, is_percent(limit) ? percent(share) : `${count(used_of(limit))} / ${count(limit.limit)}`);
  timed(reset, () => (limit.reset_at > now() ? left(limit.reset_at - now()) : ""));
}

function close(card) {
  card.classList.remove("is-open");
}

function make_card(provider) {
  const id = `provider-${provider.provider}`;
  const card = h(
    "article",
    {
      class: "card",
      tabindex: 0,
      "aria-labelledby": `${id}-name ${id}-word`,
      "aria-describedby": `${id}-tip`,
      "data-provider": provider.provider,
    },
    h(
      "div",
      { class: "top" },
      h("span", { class: "pulse", "aria-hidden": "true" }),
      h("h3", { id: `${id}-name` }, provider.provider),
      h("span", { class: "word", id: `${id}-word` }),
    ),
    h("p", { class: "state" }, h("span", { class: "back" }), h("span", { class: "cause" })),
    h("ul", { class: "windows" }),
    h("p", { class: "none" }, "No limit known yet"),
    h("p", { class: "foot" }, h("span", { class: "about" }), h("span", { class: "money" })),
    h("div", { class: "tip", id: `${id}-tip`, role: "tooltip" }, h("ul")),
  );
  card.addEventListener("click", () => card.classList.toggle("is-open"));
  card.addEventListener("blur", () => close(card));
  card.addEventListener("pointerleave", () => card.classList.remove("is-shut"));
  card.addEventListener("focus", () => card.classList.remove("is-shut"));
  card.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    close(card);
    card.classList.add("is-shut");
  });
  return h("li", {}, card);
}

function about(provider) {
  const parts = [provider.models === 1 ? "1 model" : `${count(provider.models)} models`];
  if (provider.barred > 0) parts.push(`${provider.barred} out`);
  if (provider.is_local) parts.push("local");
  else if (provider.free) parts.push("free");
  if (typeof provider.latency_ms === "number") parts.push(milliseconds(provider.latency_ms));
  return parts.join(" · ");
}

function update_card(item, provider) {
  const card = item.firstChild,
    [top, state, windows, none, foot, tip] = card.children,
    bars = bars_of(provider);
  mark(card, "data-pulse", provider.pulse);
  put(top.lastChild, WORDS[provider.pulse]);
  put(state.lastChild, provider.pulse === "green" ? "" : provider.reason || "");
  timed(state.firstChild, () => (provider.back_at > now() ? `back in ${left(provider.back_at - now())}` : ""));
  show(windows, bars.length > 0);
  show(none, bars.length === 0);
  keyed(windows, bars, (bar) => bar.name, make_bar, update_bar);
  put(foot.children[0], about(provider));
  put(foot.children[1], typeof provider.credits === "number" ? dollars(provider.credits) : "");
  // Figures that grow older are written anew each second.
  keyed(
    tip.firstChild,
    lines_of(provider).map((line, index) => ({ line, index })),
    (line) => line.index,
    () => h("li", {}),
    (node, { index }) => timed(node, () => lines_of(provider)[index] || ""),
  );
}

// "zai 12 % / 4 %" and "openrouter $9.80"
function wallet_text(provider) {
  const quotas = provider.limits
    .filter((limit) => limit.source === "checker" && !is_money(limit) && share_of(limit) !== null)
    .sort((a, b) => place(a) - place(b))
    .map((limit) => percent(share_of(limit)));
  const parts = [quotas.join(" / "), typeof provider.credits === "number" ? dollars(provider.credits) : ""];
  return parts.filter((part) => part !== "").join(" · ");
}

function make_wallet(provider) {
  return h(
    "li",
    { class: "wallet" },
    h("span", { class: "purse", "aria-hidden": "true" }),
    h(
      "span",
      {},
      h("span", { class: "whose" }, provider.provider),
      " ",
      h("span", { class: "sum" }),
      h("span", { class: "age" }),
    ),
  );
}

function update_wallet(node, provider) {
  const [, sum, age] = node.lastChild.children;
  mark(node, "data-kind", typeof provider.credits === "number" ? "balance" : "quota");
  mark(
    node,
    "data-level",
    { critical: "red", exhausted: "red", warning: "amber" }[provider.checker && provider.checker.status],
  );
  put(sum, wallet_text(provider));
  if (provider.stale || (provider.checker && provider.checker.stale)) {
    timed(age, () => (checked_at(provider) ? ` stale, ${ago(now() - checked_at(provider))}` : " stale"));
  } else {
    untimed(age);
    put(age, "");
  }
}

let last = new Map();

// What a reader who does not see the page is told: a pulse that has changed, not every figure.
function announce(providers) {
  const words = [];
  for (const provider of providers) {
    const before = last.get(provider.provider);
    if (before && before !== provider.pulse) {
      words.push(
        provider.pulse === "green"
          ? `${provider.provider} has capacity again`
          : `${provider.provider} is ${WORDS[provider.pulse]}`,
      );
    }
  }
  last = new Map(providers.map((provider) => [provider.provider, provider.pulse]));
  if (words.length > 0) put(at("news"), words.join(". "));
}

export function update(overview) {
  const providers = overview.providers;
  const having = (pulse) => providers.filter((provider) => provider.pulse === pulse).length;
  const parts = ["green", "amber", "red"]
    .filter((pulse) => having(pulse) > 0)
    .map((pulse) => `${having(pulse)} ${WORDS[pulse]}`);
  put(at("providers-hint"), parts.join(", "));
  show(at("cards-empty"), providers.length === 0);
  const wallets = providers.filter((provider) => wallet_text(provider) !== "");
  show(at("wallets"), wallets.length > 0);
  keyed(at("wallets"), wallets, (provider) => provider.provider, make_wallet, update_wallet);
  keyed(at("cards"), providers, (provider) => provider.provider, make_card, update_card);
  announce(providers);
}
