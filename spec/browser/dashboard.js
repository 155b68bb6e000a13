// Walks through the dashboard in Debian's Chromium, and prints what it saw as JSON; dashboard_spec.lua judges it.
//
//   node dashboard.js GATEWAY GATEWAY_WITHOUT_TOKEN TOKEN FOLDER_OF_POLICIES
"use strict";

const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");

const [gateway, bare, token, policies] = process.argv.slice(2);
const MILLISECONDS = 8000;
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const hostile = '<img src=x onerror="window.hacked=1">';

const asked = [],
  faults = [];
const text = async (where) => (await where.innerText()).trim();
const card = (page, name = "front") => page.locator(`[data-provider="${name}"]`);
const lines = async (page) => (await text(card(page).getByRole("tooltip"))).split("\n");

async function chat(model, content = "Say hello.", key = null) {
  const answer = await fetch(`${gateway}/v1/chat/completions`, {
    method: "POST",
    headers: key ? { authorization: `Bearer ${key}` } : {},
    body: JSON.stringify({ model, messages: [{ role: "user", content }] }),
  });
  return { status: answer.status, id: answer.headers.get("x-request-id") };
}

// What the gateway's events tell first.
async function overview() {
  const stop = new AbortController();
  const answer = await fetch(`${gateway}/admin/events`, {
    headers: { authorization: `Bearer ${token}` },
    signal: stop.signal,
  });
  let told = "";
  for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
    told += part;
    const found = told.match(/^event: overview\ndata: (.*)\n\n/m);
    if (found) {
      stop.abort();
      return JSON.parse(found[1]);
    }
  }
  throw new Error("the events ended without an overview");
}

const update_ladder = (page, told) =>
  page.evaluate(async (overview) => (await import("./dashboard/ladder.js")).update(overview), told);

async function enter(page) {
  await page.goto(`${gateway}/dashboard`);
  await page.getByLabel("Admin token").fill(token);
  await page.keyboard.press("Enter");
  await page.getByText("Live", { exact: true }).waitFor();
}

// Only what weighs: the page's script is kept out of it by its own policy, so axe comes through the debugger.
async function violations(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document));
  return found.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes
          .slice(0, 3)
          .map(({ target }) => target.join(" "))
          .join(", ")}`,
    );
}

const width = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

const scenes = {
  async unset(page) {
    await page.goto(`${bare}/dashboard`);
    await page.getByRole("heading", { name: "No admin token yet" }).waitFor();
    return {
      help: await text(page.locator("#unset")),
      fields: await page.locator("input[type=password]:visible").count(),
    };
  },

  async wrong_token(page) {
    await page.goto(`${gateway}/dashboard`);
    await page.getByLabel("Admin token").fill("not-the-token");
    await page.getByRole("button", { name: "Open dashboard" }).click();
    const told = page.locator("#token-fault:not(:empty)");
    await told.waitFor();
    return {
      told: await text(told),
      cards: await page.locator("[data-provider]").count(),
      axe: await violations(page),
      kept: await page.evaluate(() => Object.values(sessionStorage).concat(Object.values(localStorage))),
    };
  },

  // From here on the page is not loaded anew.
  async live(page) {
    await enter(page);
    const requests = page.locator('#figures div:has(dt:text-is("requests")) dd');
    const before = {
      requests: await text(requests),
      pulse: await card(page, "tired").getAttribute("data-pulse"),
      rows: await page.locator("#requests-table tbody tr").count(),
    };
    await chat("small");
    await chat("tired-model");
    await page.locator('[data-provider="tired"][data-pulse="red"]').waitFor();
    const told = page.locator("#news", { hasText: "throttled" });
    await told.waitFor({ state: "attached" });
    const news = await told.textContent();
    await chat("scarce-model");
    await page.locator("#requests-table tbody tr").nth(2).waitFor();
    await page.waitForFunction(() => document.querySelector("#figures dd").textContent === "3");
    return {
      before,
      after: {
        requests: await text(requests),
        pulse: await card(page, "tired").getAttribute("data-pulse"),
        front: await card(page).getAttribute("data-pulse"),
        word: await text(card(page, "tired").locator(".word")),
        back: await text(card(page, "tired").locator(".back")),
      },
      news,
      address: page.url(),
      wallets: await text(page.locator("#wallets")),
      kept: await page.evaluate(() => ({ session: Object.values(sessionStorage), local: Object.values(localStorage) })),
    };
  },

  async hover(page) {
    const tip = card(page).getByRole("tooltip", { includeHidden: true });
    const before = await tip.isVisible();
    await card(page).hover();
    const seen = await lines(page);
    await page.keyboard.press("Escape");
    await page.mouse.move(0, 0);
    return { before, seen, after: await tip.isVisible() };
  },

  async focus(page) {
    await card(page).focus();
    const seen = await lines(page);
    await page.keyboard.press("Escape");
    const after = await card(page).getByRole("tooltip", { includeHidden: true }).isVisible();
    return { seen, after };
  },

  async ladder(page) {
    await page.getByLabel("Policy").selectOption("in-order");
    await page.getByLabel("Task").selectOption("coding");
    const out = page.locator('#ladder-body .rung:has-text("tired/tired-model")');
    await page.locator("#ladder-body .sentence", { hasText: "in-order" }).waitFor();
    await out.locator(".back").waitFor();
    const spent = page.locator('#ladder-body .rung:has-text("scarce/scarce-model")');
    await spent.locator(".back").waitFor();
    const seen = {
      sentence: await text(page.locator("#ladder-body .sentence")),
      first: await text(page.locator("#ladder-body .rung").first()),
      out: await text(out),
      spent: await text(spent),
    };
    // What is told of quotas may come after the ladder that they shaped.
    const told = await overview();
    const untold = { ...told, providers: told.providers.map((one) => ({ ...one, limits: [] })) };
    // The gateway tells the page as well, and may do so in between.
    const reaches = async (overview, state, tries = 5) => {
      await update_ladder(page, overview);
      try {
        await spent.locator(".back").waitFor({ state, timeout: 2000 });
      } catch (fault) {
        if (tries === 1) throw fault;
        await reaches(overview, state, tries - 1);
      }
    };
    await reaches(untold, "detached");
    await reaches(told, "visible");
    return seen;
  },

  async tester(page) {
    const body = { model: "small", messages: [{ role: "user", content: "Which way?" }], policy: "in-order" };
    await page.locator("#tester-text").fill(JSON.stringify(body));
    await page.getByRole("button", { name: "Explain route" }).click();
    await page.locator("#tester-body .rung").first().waitFor();
    const seen = await text(page.locator("#tester-body"));
    await page
      .locator("#tester-text")
      .fill('{"model": "nothing-such", "messages": [{"role": "user", "content": "x"}]}');
    await page.getByRole("button", { name: "Explain route" }).click();
    await page.locator("#tester-fault:not(:empty)").waitFor();
    const unknown = await text(page.locator("#tester-fault"));
    await page.locator("#tester-text").fill("{");
    await page.getByRole("button", { name: "Explain route" }).click();
    await page.locator("#tester-fault", { hasText: "JSON" }).waitFor();
    return { seen, unknown, broken: await text(page.locator("#tester-fault")) };
  },

  async broken_policy(page) {
    const file = path.join(policies, "routing/unfinished.lua");
    fs.writeFileSync(`${file}~`, "return function(request, candidates)\n  return candidates:keep(\nend\n");
    fs.renameSync(`${file}~`, file);
    const trouble = page.locator("#policies-table tr.trouble", { hasText: "unfinished.lua" });
    await trouble.waitFor();
    await page.locator("#problems").waitFor();
    return {
      problem: await text(page.locator("#problem-list")),
      row: await text(trouble),
      fitness: await text(page.locator("#fitness")),
      other: await text(page.locator("#policies-table tr", { hasText: "routing/in-order.lua" }).first()),
    };
  },

  async request_details(page) {
    const row = page.locator("#requests-table tr", { hasText: "front/small" }).first();
    await row.getByRole("button").click();
    const details = page.locator("#requests-table .details");
    await details.getByText("Why this ladder").waitFor();
    const seen = await text(details);
    await row.getByRole("button").click();
    return { seen, closed: (await details.count()) === 0 };
  },

  async usage(page) {
    await page.getByLabel("Show").selectOption("requests");
    await page.locator("#usage-by").selectOption("provider");
    await page.locator("#usage-plot th", { hasText: "front" }).waitFor();
    return {
      sum: await text(page.locator("#usage-sum")),
      legend: await text(page.locator("#usage-plot table").first()),
      bars: await page.locator(".chart g").count(),
      label: await page.locator(".chart").getAttribute("aria-label"),
    };
  },

  async hostile(page) {
    await chat(hostile);
    const cell = page.locator("#requests-table td", { hasText: "<img" }).first();
    await cell.waitFor();
    await page.locator("#models-table th", { hasText: "<img" }).waitFor();
    return {
      cell: await text(cell),
      hacked: await page.evaluate(() => window.hacked === undefined),
      images: await page.locator("main img").count(),
    };
  },

  async numbers(page) {
    return page.evaluate(async () => {
      const format = await import("/dashboard/format.js");
      return [
        format.count(999),
        format.count(1300),
        format.count(15000),
        format.count(100000),
        format.count(999960),
        format.dollars(0.0012),
        format.dollars(9.8),
        format.dollars(0),
        format.microdollars(11),
        format.duration(2.5),
        format.duration(9000),
        format.duration(41),
        format.duration(0.35),
        format.ago(12),
        format.percent(0.124),
      ];
    });
  },

  async looks(page) {
    const seen = {};
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      seen[scheme] = {
        axe: await violations(page),
        ground: await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
      };
    }
    await page.getByRole("button", { name: /^Theme/ }).click();
    seen.chosen = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    for (const size of [360, 768, 1440, 2560, 3840]) {
      await page.setViewportSize({ width: size, height: 900 });
      seen[size] = await width(page);
    }
    return seen;
  },

  async keyboard(page) {
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.evaluate(() => sessionStorage.clear());
    await page.goto(`${gateway}/dashboard`);
    await page.locator("#token:focus").waitFor();
    await page.keyboard.type(token);
    await page.keyboard.press("Enter");
    await page.locator("[data-provider]").first().waitFor();
    const order = [];
    for (let step = 0; step < 60 && !order.includes("tester-text"); step++) {
      await page.keyboard.press("Tab");
      order.push(
        await page.evaluate(() => {
          const { id, dataset, className } = document.activeElement;
          return dataset.provider ? `card ${dataset.provider}` : id || className || document.activeElement.tagName;
        }),
      );
    }
    await page.keyboard.press("Control+Enter");
    await page.locator("#tester-body .rung").first().waitFor();
    return { order };
  },

  async tap(page, browser) {
    const context = await browser.newContext({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    const phone = await watch(context);
    await enter(phone);
    await card(phone).tap();
    const seen = { lines: await lines(phone), width: await width(phone) };
    await context.close();
    return seen;
  },

  // The last one: what it reads has to be what the gateway tells when all is over.
  async sums(page) {
    for (let time = 0; time < 3; time++) await chat("small", `Say hello ${"again ".repeat(time)}`, "sk-web");
    await page.reload();
    await page.locator("#usage-shown").waitFor();
    const seen = {};
    for (const by of ["model", "provider", "key"]) {
      seen[by] = {};
      await page.locator("#usage-by").selectOption(by);
      for (const measure of ["requests", "tokens", "cost_microusd", "savings_microusd"]) {
        await page.locator("#usage-measure").selectOption(measure);
        const table = page.locator(`#usage-plot table[aria-label="By ${by}"][data-measure="${measure}"]`);
        await table.waitFor();
        seen[by][measure] = await table
          .locator("tbody tr")
          .evaluateAll((rows) => rows.map((row) => [row.cells[0].textContent, row.cells[1].title]));
      }
    }
    // The page may have begun with figures that were a second old.
    const { requests } = (await overview()).counts;
    await page
      .locator("#figures div", { hasText: "requests" })
      .locator("dd", { hasText: new RegExp(`^${requests}$`) })
      .waitFor();
    return { ...seen, figures: await text(page.locator("#figures")) };
  },
};

async function watch(context) {
  context.setDefaultTimeout(MILLISECONDS);
  const page = await context.newPage();
  page.on("request", (request) => asked.push(request.url()));
  page.on("pageerror", (fault) => faults.push(fault.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of 40[14]/.test(message.text())) faults.push(message.text());
  });
  return page;
}

(async () => {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const seen = {};
  try {
    const page = await watch(
      await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce" }),
    );
    for (const [name, scene] of Object.entries(scenes)) {
      try {
        seen[name] = await scene(page, browser);
      } catch (fault) {
        seen[name] = { fault: String(fault.message || fault) };
      }
    }
  } finally {
    await browser.close();
  }
  seen.elsewhere = asked.filter(
    (url) => !url.startsWith(`${gateway}/`) && !url.startsWith(`${bare}/`) && !url.startsWith("data:"),
  );
  seen.asked = asked.length;
  seen.faults = faults;
  seen.tokens_in_addresses = asked.filter((url) => url.includes(token)).length;
  process.stdout.write(JSON.stringify(seen));
})();
