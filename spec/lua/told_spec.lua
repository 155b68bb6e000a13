-- What the commands print: numbers for people, tables that fit a terminal, the status line, the screen of top.
local figures = require "moongate.figures"
local grid = require "moongate.grid"
local models_told = require "moongate.models_told"
local status_told = require "moongate.status_told"
local top_view = require "moongate.top_view"

local NOW = 1796083200

local function width(line)
  local plain = line:gsub("\27%[[%d;]*m", "")
  local _, continued = plain:gsub("[\128-\191]", "")
  return #plain - continued
end

describe("a figure", function()
  it("is short and still says what it is", function()
    for number, text in pairs { [0] = "0", [999] = "999", [1300] = "1.3k", [15000] = "15k", [999999] = "1M",
      [1234567] = "1.2M", [250e9] = "250B" } do
      assert.equal(text, figures.count(number))
    end
    for usd, text in pairs { [0] = "$0", [9.8] = "$9.80", [0.0012] = "$0.0012", [0.00000123] = "$0.000001",
      [123456] = "$123k", [-2.5] = "-$2.50" } do
      assert.equal(text, figures.dollars(usd))
    end
    for seconds, text in pairs { [0.35] = "350ms", [2.5] = "2.5s", [41] = "41s", [725] = "12m 5s", [9000] = "2h 30m",
      [273600] = "3d 4h", [3600] = "1h" } do
      assert.equal(text, figures.duration(seconds))
    end
    assert.same({ "?", "?", "?" }, { figures.count(nil), figures.dollars(0 / 0), figures.duration "x" })
  end)
end)

describe("a table", function()
  it("is as wide as it needs to be, and cuts the widest names where that is too much", function()
    local rows = { { "a-very-long-name-indeed", "1" }, { "\195\164\195\182", "22" } }
    assert.same({ "NAME                      N", "a-very-long-name-indeed   1",
      "\195\164\195\182                       22" },
      grid.lines({ "NAME", "N" }, rows, { right = { [2] = true } }))
    assert.same({ "NAME         N", "a-very-lo~   1", "\195\164\195\182          22" },
      grid.lines({ "NAME", "N" }, rows, { right = { [2] = true }, cuttable = { 1 }, columns = 14 }))
  end)
end)

describe("the status line", function()
  local GROQ = { provider = "groq", free = true, usable = true,
    quota = { name = "rpd", remaining = 950, limit = 1000 } }

  it("is the first free provider that can be used, and its tightest quota", function()
    local out = { provider = "cerebras", free = true, usable = false }
    assert.same({ "groq 950/1k rpd left", "groq" }, { status_told.line { out, GROQ, { provider = "paid" } } })
    assert.equal("local", (status_told.line { { provider = "local", free = true, usable = true } }))
  end)

  it("is one word where all free ones are used up, and nothing where there are none", function()
    assert.equal("exhausted", (status_told.line { { provider = "groq", free = true, usable = false } }))
    assert.equal("", (status_told.line { { provider = "paid", free = false, usable = true } }))
    assert.equal("", (status_told.line {}))
  end)

  it("has a longer form with every provider", function()
    GROQ.status, GROQ.exhausted_for_s = "ok", 0
    local lines = status_told.table({ status = "degraded", problems = { { file = "p.lua", line = 3, message = "no" } },
      providers = { GROQ, { provider = "paid", status = "exhausted", exhausted_for_s = 90, credits = 9.8 } } }, 80)
    local text = table.concat(lines, "\n")
    assert.matches("gateway: degraded\n  p.lua:3: no\n\nPROVIDER", text, 1, true)
    assert.matches("groq +ok +free +950/1k rpd left", text)
    assert.matches("paid +exhausted, back in 1m 30s +no quota is known +%$9.80", text)
  end)
end)

describe("an import in words", function()
  it("tells how much has changed, and every price that has jumped", function()
    local text = table.concat(models_told.report({ models = 3, origin = "or.json", source = "openrouter", added = 1,
      changed = 1, removed = 0, same = 1, skipped = 2, skipped_why = { ["makes no text"] = 2 }, usable = 3,
      change_count = 2, changes = {
        { provider = "p", model = "m", field = "cost.input", old = 1, new = 5, alert = true },
        { provider = "p", model = "n", field = "model", new = "added" } } }, 80), "\n")
    assert.matches("imported 3 models from or.json (openrouter): 1 new, 1 changed, 0 gone, 1 as before", text, 1, true)
    assert.matches("2 passed over (2: makes no text)", text, 1, true)
    assert.matches("PRICE JUMP p/m: cost.input 1 -> 5 (5 times as much)", text, 1, true)
  end)

  it("says what to do where nothing is known, and nothing has changed", function()
    assert.matches("moongate models import", models_told.list({}, 0)[1], 1, true)
    assert.matches("none of the 7 models", models_told.list({}, 7)[1], 1, true)
    assert.equal("nothing has changed since 2026-12-01 00:00 UTC", models_told.changes({}, NOW)[1])
  end)

  it("lists models and changes in the width of the terminal", function()
    local lines = models_told.list({
      { id = ("long-"):rep(20), provider = "p", target = "p/x", cost = { input = 0, output = 2.5 }, free = true,
        context_length = 131072, source = "openrouter" },
      { id = "old", provider = "q", source = "table", deprecated = "deprecated since 2026-01-01", replacement = "new" },
    }, 2, 80)
    for _, line in ipairs(lines) do assert.is_true(width(line) <= 80, line) end
    assert.matches("0 +2.5 +131.1k +free +openrouter", lines[2])
    lines = models_told.changes({ { time = NOW, source = "litellm", provider = "p", model = ("m"):rep(90),
      field = "cost.input", old = -1, new = 2, alert = true } }, 0, 80)
    assert.is_true(width(lines[2]) <= 80)
    assert.matches("cost.input +unknown +2 +JUMP", lines[2])
  end)
end)

describe("the screen of top", function()
  local function state()
    local requests, candidates, ladder = {}, {}, {}
    for i = 1, 30 do
      requests[i] = { time = NOW - i, key = "dev", provider = "groq", model = "llama",
        outcome = i == 2 and "error" or "ok", status = 502, input_tokens = 5, output_tokens = 7, latency_ms = 120,
        cost_microusd = 15 }
      candidates[i] = { id = "groq/model-" .. i, reason = i < 25 and "rung " .. i or "exhausted", kept = i < 25 }
      if i < 25 then ladder[i] = candidates[i].id end
    end
    local providers = {}
    for i, pulse in ipairs { "green", "amber", "red", "green", "green", "green", "green", "green", "green" } do
      providers[i] = { provider = "provider-" .. i, pulse = pulse, status = "ok", reason = "rate limited", barred = 0,
        models = 3, back_at = NOW + 41, latency_ms = 250, limits = {
          { metric = "requests", window = "day", limit = 1000, remaining = 1000 - 100 * i, reset_at = NOW + 9000 } } }
    end
    return {
      address = "127.0.0.1:8080", now = NOW, rate = 12.34, requests = { unpack(requests) },
      overview = { status = "ready", problems = {}, started_at = NOW - 9000, workers = 2, models = 27,
        providers = providers, counts = { requests = 1300, failed = 2, tokens = 15000, cost_microusd = 1200,
          streams_open = 1 } },
      ladder = { policy = "free-tier@1", ladder = ladder, candidates = candidates, reason = "" },
    }
  end

  for _, size in ipairs { { 80, 24 }, { 200, 60 }, { 40, 10 }, { 132, 30 } } do
    it(("fits %d by %d"):format(size[1], size[2]), function()
      for _, colour in ipairs { true, false } do
        local lines = top_view.lines(state(), { columns = size[1], rows = size[2], colour = colour, utf8 = true })
        assert.is_true(#lines <= size[2], #lines .. " lines")
        for _, line in ipairs(lines) do assert.is_true(width(line) <= size[1], line) end
      end
    end)
  end

  it("tells of the gateway, the providers, the ladder and the requests", function()
    local text = table.concat(top_view.lines(state(), { columns = 100, rows = 40, colour = false, utf8 = false }), "\n")
    assert.matches("moongate at 127.0.0.1:8080  ready  up 2h 30m  2 workers", text, 1, true)
    assert.matches("12.3 requests/s   1.3k in all, 2 failed   15k tokens   $0.0012   1 stream open", text, 1, true)
    assert.matches("%* provider%-1 +|%.%.%.%.%.%.%.%.%. 100/1k rpd, reset in 2h 30m +ok  250ms", text)
    assert.matches("provider%-3 .-back in 41s: rate limited", text)
    assert.matches("  1  groq/model-1", text, 1, true)
    assert.matches("  %-  groq/model%-25 +exhausted", text)
    assert.matches("23:59:58  dev +groq/llama +error 502 +5%+7 tok +120ms  %$0.000015", text)
    assert.is_nil(text:find("\27", 1, true))
  end)

  it("is in colours where there are any", function()
    local text = table.concat(top_view.lines(state(), { columns = 100, rows = 40, colour = true, utf8 = true }), "\n")
    assert.matches("\27[31m\226\151\143\27[0m provider-3", text, 1, true)
  end)

  it("says when the gateway is away, and keeps what it told last", function()
    local away = state()
    away.away = "no gateway answers at 127.0.0.1:8080"
    local lines = top_view.lines(away, { columns = 80, rows = 24, colour = false, utf8 = false })
    assert.matches("no gateway answers", lines[2], 1, true)
    assert.matches("PROVIDERS", lines[3], 1, true)
    assert.equal(2, #top_view.lines({ address = "x", now = NOW, away = "no" }, { columns = 80, colour = false }))
  end)
end)
