// The dashboard's beginning: asks for the admin token, follows the gateway's events, and hands what they tell to each
// part of the page.
import { follow, get, has_token, is_token_set, keep_token } from "./api.js";
import * as clock from "./clock.js";
import { at, h, keyed, mark, put, show } from "./dom.js";
import { count, duration, microdollars } from "./format.js";
import * as ladder from "./ladder.js";
import * as models from "./models.js";
import * as policies from "./policies.js";
import * as providers from "./providers.js";
import * as requests from "./requests.js";
import * as tester from "./tester.js";
import * as theme from "./theme.js";
import * as usage from "./usage.js";

const SHORTEST = 1000,
  LONGEST = 15000; // between two tries to connect
let run = 0;

const FITNESS = { ready: "Ready", degraded: "Degraded", draining: "Draining" };

function view(name) {
  for (const id of ["entry", "unset", "board"]) show(at(id), id === name);
  for (const id of ["fitness", "sections", "live", "leave"]) show(at(id), name === "board");
}

function say_live(state) {
  const words = { on: "Live", off: "Reconnecting…" };
  mark(at("live"), "data-state", state);
  put(at("live"), words[state]);
}

function update_figures(overview) {
  const counts = overview.counts;
  const figures = [
    ["requests", count(counts.requests)],
    ["failed", count(counts.failed)],
    ["tokens", count(counts.tokens)],
    ["cost", microdollars(counts.cost_microusd)],
    ["streams open", count(counts.streams_open)],
    ["models", count(overview.models)],
    ["workers", String(overview.workers)],
  ];
  if (overview.zero_spend) figures.push(["spending", "never"]);
  figures.push(["up for", null]);
  keyed(
    at("figures"),
    figures,
    ([name]) => name,
    ([name]) => h("div", {}, h("dt", {}, name), h("dd", {})),
    (node, [name, text]) => {
      if (name === "up for") clock.timed(node.lastChild, () => duration(Math.floor(clock.now() - overview.started_at)));
      else put(node.lastChild, text);
    },
  );
}

function update_problems(problems) {
  show(at("problems"), problems.length > 0);
  keyed(
    at("problem-list"),
    problems,
    (problem) => JSON.stringify(problem),
    (problem) =>
      h(
        "li",
        {},
        h("strong", {}, problem.what),
        " ",
        problem.file ? h("code", {}, problem.line ? `${problem.file}:${problem.line}` : problem.file) : null,
        " ",
        problem.message,
      ),
    () => {},
  );
}

function on_overview(overview) {
  mark(at("fitness"), "data-state", overview.status);
  put(at("fitness"), FITNESS[overview.status] || overview.status);
  update_problems(overview.problems);
  update_figures(overview);
  providers.update(overview);
  ladder.update(overview);
  policies.update(overview);
  models.load();
}

function on_event(name, data) {
  if (name === "hello") clock.set(data.now);
  else if (name === "overview") on_overview(data);
  else if (name === "request") requests.add(data);
}

function begin() {
  view("board");
  say_live("off");
  requests.start();
  policies.start();
  models.start();
  usage.start();
}

// In the words of whoever stands before the form.
function refuse(fault) {
  run++;
  if (fault.code === "admin_token_not_set") {
    view("unset");
    return;
  }
  const was_given = has_token();
  keep_token(null);
  view("entry");
  put(
    at("token-fault"),
    !was_given
      ? ""
      : "That is not the admin token of this gateway. Compare it with admin_token in the " +
          "configuration that is in force.",
  );
  mark(at("token"), "aria-invalid", was_given ? "true" : null);
  at("token").focus();
}

async function connect() {
  const mine = ++run;
  let pause = SHORTEST;
  while (mine === run) {
    try {
      await follow(
        (name, data) => mine === run && on_event(name, data),
        () => {
          pause = SHORTEST;
          say_live("on");
          requests.load();
          usage.load();
        },
      );
    } catch (fault) {
      if (mine === run && fault.status === 401) {
        refuse(fault);
        return;
      }
      // Where no more may follow, it is asked now and then.
      if (mine === run && fault.status) await get("admin/overview").then(on_overview, () => {});
    }
    if (mine !== run) return;
    say_live("off");
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(2 * pause, LONGEST);
  }
}

// Whether the token is good is known at once, and before anything of the board is shown.
async function enter() {
  try {
    if (!(await is_token_set())) {
      view("unset");
      return;
    }
    if (!has_token()) {
      view("entry");
      at("token").focus();
      return;
    }
    const overview = await get("admin/overview");
    begin();
    on_overview(overview);
    connect();
  } catch (fault) {
    if (fault.status === 401) refuse(fault);
    else {
      view("entry");
      put(at("token-fault"), `The gateway does not answer: ${fault.message}`);
    }
  }
}

at("entry-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("token").value.trim();
  if (text === "") return;
  keep_token(text);
  at("token").value = "";
  enter().then(() => at("board").hidden || at("main").focus({ preventScroll: true }));
});
at("unset-retry").addEventListener("click", enter);
at("leave").addEventListener("click", () => {
  keep_token(null);
  location.reload();
});

theme.start();
ladder.start();
tester.start();
enter();
