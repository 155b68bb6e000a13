-- /v1/usage and `moongate usage`: what the ledger adds up to is what was sent, whoever asks and in whichever shape.
local bench = require "spec.store.workbench"
local csv = require "moongate.csv"
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

local SUMS = { "requests", "input_tokens", "output_tokens", "billed_tokens", "cost_microusd", "savings_microusd" }
local DIMENSIONS = { "model", "provider", "task", "key", "label", "org", "tier", "day" }
local DAY = 86400

local upstream

local function config(more)
  local plain = {
    store = "sqlite:moongate.db", auth = "keys",
    providers = {
      acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0 },
      claude = { protocol = "anthropic", base_url = upstream:base "anthropic", api_key = "sk-2", retries = 0 },
    },
    models = {
      { id = "small", provider = "acme", cost = { input = 1, output = 2 } },
      { id = "large", provider = "claude", cost = { input = 15, output = 75 } },
    },
    tiers = { pro = {}, free = {} },
    keys = {
      { name = "dev", key = "sk-dev", org = "acme", tier = "pro" },
      { name = "ops", key = "sk-ops", org = "acme", tier = "free" },
    },
    agents = { triage = { system = "You sort tickets.", model = "small" } },
  }
  for name, value in pairs(more or {}) do plain[name] = value end
  return plain
end

local function total(rows)
  local sums = {}
  for _, name in ipairs(SUMS) do sums[name] = 0 end
  for _, row in ipairs(rows) do
    for _, name in ipairs(SUMS) do sums[name] = sums[name] + (name == "requests" and row[name] or row[name] or 1) end
  end
  return sums
end

local function usage(moongate, query, key)
  local answer = moongate:request { path = "/v1/usage" .. (query or ""), key = key or gateway.admin_token }
  assert.equal(200, answer.status, answer.body)
  return answer:json()
end

local function command(moongate, ...)
  local status, output, errors = moongate:command("usage", ...)
  assert.same({ 0, "" }, { status, errors })
  return output
end

local function from_jsonl(text)
  local rows = {}
  for line in text:gmatch("[^\n]+") do rows[#rows + 1] = assert(json.decode(line)) end
  return rows
end

local function from_csv(text)
  local records, rows = assert(csv.read(text)), {}
  for i = 2, #records do
    rows[i - 1] = {}
    for at, name in ipairs(records[1]) do
      local value = records[i][at]
      rows[i - 1][name] = (name:find("tokens", 1, true) or name:find("microusd", 1, true) or name == "requests")
        and tonumber(value) or value
    end
  end
  return rows, records[1]
end

local function by_name(groups, dimension)
  local found = {}
  for _, group in ipairs(groups) do
    assert.is_nil(found[group[dimension]])
    found[group[dimension]] = group
  end
  return found
end

describe("usage", function()
  local moongate, sent, other

  local function note(answer)
    sent[#sent + 1] = answer.headers["x-request-id"]
    return answer
  end

  -- Two providers, three keys (two of one name) with and without labels, streams, an agent, a failure, a refusal, and
  -- one that left.
  local function traffic()
    for _, key in ipairs { "sk-dev", "sk-dev:batch", "sk-dev:batch", other, "sk-ops" } do
      assert.equal(200, note(moongate:chat({ model = "small" }, { key = key })).status)
      assert.equal(200, note(moongate:chat({ model = "large" },
        { key = key, headers = { ["x-moongate-task"] = "coding" } })).status)
    end
    for _, model in ipairs { "small", "large" } do
      local stream = note(moongate:stream({ model = model }, { key = "sk-ops:live" }))
      stream:rest():close()
    end
    assert.equal(200, note(moongate:request { path = "/v1/messages", key = "sk-dev", json = { model = "small",
      max_tokens = 50, messages = { { role = "user", content = "Hello" } } } }).status)
    assert.equal(200, note(moongate:request { path = "/agents/triage/run", key = "sk-dev",
      json = { input = "It is broken." } }).status)
    upstream:next { kind = "error", status = 500 }
    assert.equal(502, note(moongate:chat({ model = "small" }, { key = "sk-dev" })).status)
    assert.equal(404, note(moongate:chat({ model = 'no, such "model"' }, { key = "sk-dev" })).status)
    upstream:next { hold = { after = 1, name = "middle" } }
    local left = note(moongate:stream({ model = "small" }, { key = other }))
    left:event()
    left:reset()
    -- Nobody waits for the row of one that left: it is found by its id before it is written, where usage looks.
    wait.until_(function() return usage(moongate).totals.requests == #sent end, "the row of the one that left")
    assert.equal("cancelled", moongate:admin("/v1/requests/" .. left.headers["x-request-id"]).outcome)
    upstream:go("middle", "all")
  end

  setup(function()
    upstream, sent = provider.open(), {}
    moongate = gateway.prepare { config = config() }
    local _, output = moongate:command("key", "create", "--name", "dev", "--org", "umbrella", "--tier", "free")
    other = assert(output:match("mg%-[%w_-]+"))
    moongate:open()
    traffic()
  end)
  teardown(gateway.stop_all)

  it("adds up to what was sent, by every dimension, over HTTP, as CSV and as lines of JSON", function()
    local rows = {}
    for i, id in ipairs(sent) do rows[i] = moongate:admin("/v1/requests/" .. id) end
    local expected = total(rows)
    assert.equal(17, expected.requests)
    assert.same({ true, true }, { expected.cost_microusd > 5000, expected.savings_microusd ~= 0 })
    for _, dimension in ipairs(DIMENSIONS) do
      local answer = usage(moongate, "?by=" .. dimension)
      assert.same(expected, answer.totals, dimension)
      assert.same(expected, total(answer.groups), dimension)
      -- Each group is what its own rows add up to.
      for name, group in pairs(by_name(answer.groups, dimension)) do
        local own = {}
        for _, row in ipairs(rows) do
          local value = dimension == "day" and os.date("!%Y-%m-%d", math.floor(row.time)) or row[dimension]
          if value == name then own[#own + 1] = row end
        end
        local sums = total(own)
        sums[dimension] = name
        assert.same(sums, group)
      end
      local lines = from_jsonl(command(moongate, "--by", dimension, "--format", "jsonl"))
      assert.same(answer.groups, lines)
      local records, head = from_csv(command(moongate, "--by=" .. dimension, "--format=csv"))
      assert.equal(dimension .. "," .. table.concat(SUMS, ","), table.concat(head, ","))
      assert.same(answer.groups, records)
    end
  end)

  it("by request is the rows themselves, newest last, and adds up to the same", function()
    local whole = usage(moongate)
    local answer = usage(moongate, "?by=request")
    assert.same(whole.totals, answer.totals)
    assert.same(whole.totals, total(answer.groups))
    assert.equal(#sent, #answer.groups)
    local lines = from_jsonl(command(moongate, "--by", "request", "--format", "jsonl"))
    assert.same(whole.totals, total(lines))
    local records = from_csv(command(moongate, "--by", "request", "--format", "csv"))
    assert.same(whole.totals, total(records))
    for i, id in ipairs(sent) do
      local row = moongate:admin("/v1/requests/" .. id)
      assert.same({ id, id, id, id }, { answer.groups[i].request, answer.groups[i].request_id, lines[i].request_id,
        records[i].request_id })
      for _, name in ipairs { "time", "org", "key", "label", "tier", "surface", "task", "policy", "provider", "model",
        "outcome", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
        "billed_tokens", "cost_microusd", "estimated", "latency_ms" } do
        assert.equal(row[name], lines[i][name], name)
        assert.equal(row[name], answer.groups[i][name], name)
      end
      assert.equal(#row.attempts, lines[i].attempts)
      assert.equal(tostring(row.estimated), records[i].estimated)
    end
  end)

  it("agrees with the counters of /metrics", function()
    local counted = {}
    for name, value in moongate:request({ path = "/metrics" }).body:gmatch("\n(moongate_[%w_]+[^\n ]*) ([%d.]+)") do
      local plain, kind = name:match("^[%w_]+"), name:match('kind="(%w+)"')
      local key = kind and plain .. " " .. kind or plain
      counted[key] = (counted[key] or 0) + tonumber(value)
    end
    local totals = usage(moongate).totals
    assert.equal(counted["moongate_requests_total"], totals.requests)
    assert.equal(counted["moongate_tokens_total input"], totals.input_tokens)
    assert.equal(counted["moongate_tokens_total output"], totals.output_tokens)
    assert.equal(counted["moongate_billed_tokens_total"], totals.billed_tokens)
    assert.equal(counted["moongate_cost_microusd_total"], totals.cost_microusd)
  end)

  it("by request comes in pages, none of which leaves out or repeats a row", function()
    local seen, query, pages = {}, "?by=request&limit=5", 0
    repeat
      local page = usage(moongate, query)
      for _, row in ipairs(page.groups) do seen[#seen + 1] = row.request_id end
      query, pages = page.next and "?by=request&limit=5&after=" .. page.next, pages + 1
      assert.equal(#sent, page.totals.requests)
    until not query
    assert.same(sent, seen)
    assert.equal(4, pages)
  end)

  it("of a key is its own, under all of its labels, and not that of the same name of another org", function()
    local own = usage(moongate, "?by=label", "sk-dev")
    assert.same({ 10, 6, 4 }, { own.totals.requests, by_name(own.groups, "label")[""].requests,
      by_name(own.groups, "label").batch.requests })
    assert.same(own.totals, usage(moongate, "", "sk-dev:batch").totals)
    for _, dimension in ipairs { "key", "org" } do
      local name = dimension == "key" and "dev" or "umbrella"
      local groups = usage(moongate, "?by=" .. dimension, other).groups
      assert.same({ 1, name, 3 }, { #groups, groups[1][dimension], groups[1].requests })
    end
    for _, row in ipairs(usage(moongate, "?by=request", "sk-ops").groups) do assert.equal("ops", row.key) end
    assert.same(usage(moongate, "?by=request", "sk-ops").totals, usage(moongate, "", "sk-ops").totals)
  end)

  it("is refused to who has no key", function()
    assert.equal(401, moongate:request({ path = "/v1/usage" }).status)
    assert.equal(401, moongate:request({ path = "/v1/usage", key = "sk-unknown" }).status)
  end)

  it("is that of the time asked for, whose end is not in it", function()
    local row = moongate:admin("/v1/requests/" .. sent[4])
    local function requests(from, to) return usage(moongate, ("?from=%s&to=%s"):format(from, to)).totals.requests end
    assert.equal(3, requests("0", ("%.3f"):format(row.time)))
    assert.equal(4, requests("1h", ("%.3f"):format(row.time + 0.001)))
    assert.equal(#sent, requests("24h", os.date("!%Y-%m-%d", os.time() + DAY)))
    assert.equal(#sent, requests(os.date("!%Y-%m-%dT%H:%M:%S%%2B00:00", os.time() - 600), "2100-01-01"))
    assert.same({ 0, {} }, { requests("60d", "7d"), usage(moongate, "?from=60d&to=7d").groups })
  end)

  -- query, words of the sentence
  for _, case in ipairs {
    { "by=mdel", { "by: ", '"mdel"', 'did you mean "model"' } },
    { "from=yesterday", { "from: ", '"yesterday"', "2026-11-30", "7d" } },
    { "from=2026-11-30T25:00:00Z", { "from: ", "is no time" } },
    { "to=", { "to: ", '""' } },
    { "from=1d&to=2d", { "from: ", '"1d"', "from < to" } },
    { "form=7d", { "form: ", 'did you mean "from"' } },
    { "by=day&by=key", { "by: ", "twice" } },
    { "limit=5", { "limit: ", "by=request" } },
    { "by=request&limit=0", { "limit: ", '"0"', "1 to 1000" } },
    { "by=request&limit=1001", { "limit: ", '"1001"' } },
    { "by=request&limit=1e2", { "limit: ", '"1e2"' } },
    { "by=request&after=yesterday", { "after: ", '"yesterday"', "`next`" } },
    { "by=%00%ff", { "by: ", '"??"' } },
    { ("x"):rep(3000), { "there is no such parameter" } },
  } do
    it("asked for with " .. case[1]:sub(1, 40) .. " is a 400 that says what was expected", function()
      local answer = moongate:request { path = "/v1/usage?" .. case[1], key = gateway.admin_token }
      assert.equal(400, answer.status, answer.body)
      local message = answer:json().error.message
      for _, word in ipairs(case[2]) do assert.matches(word, message, 1, true) end
      assert.is_true(#message < 300)
    end)
  end

  it("is a table for people, in 80 columns, with the totals last", function()
    local output, totals = command(moongate), usage(moongate).totals
    local lines = {}
    for line in output:gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.matches("^MODEL +REQUESTS +INPUT +OUTPUT +BILLED +COST +SAVINGS$", lines[1])
    assert.matches(("^total +%d +%d +%d +%d +%%$%d%%.%%d+ "):format(totals.requests, totals.input_tokens,
      totals.output_tokens, totals.billed_tokens, math.floor(totals.cost_microusd / 1e6)), lines[#lines])
    for _, line in ipairs(lines) do assert.is_true(#line <= 80, line) end
    output = command(moongate, "--by", "request")
    assert.matches(sent[1], output, 1, true)
    assert.matches("cancelled", output, 1, true)
    assert.matches("\ntotal +17 ", output)
    assert.equal("no request is recorded since 2100-01-01 00:00 UTC\n", command(moongate, "--from", "2100-01-01"))
  end)

  it("asked for with words that make no sense says which, and ends with 2", function()
    for words, expected in pairs {
      ["--by mdel"] = "--by: \"mdel\"", ["--from yesterday"] = "--from: \"yesterday\"", ["--to"] = "--to needs a value",
      ["--format xml"] = '--format: "xml" is not known', ["--format cvs"] = 'did you mean "csv"',
      ["--frm 7d"] = 'did you mean "--from"', ["today"] = '"today" is one word too many',
    } do
      local list = {}
      for word in words:gmatch("%S+") do list[#list + 1] = word end
      local status, output, errors = moongate:command("usage", unpack(list))
      assert.same({ 2, "" }, { status, output })
      assert.matches(expected, errors, 1, true)
    end
    local status, output = moongate:command("usage", "--help")
    assert.equal(0, status)
    assert.matches("moongate usage --by key --from", output, 1, true)
  end)

  it("that cannot be written out is a failure", function()
    local status = os.execute(("cd '%s' && '%s' usage > /dev/full 2> full"):format(moongate.folder, gateway.binary))
    assert.equal(256, status)
    assert.matches("could not be written: No space left", moongate:read "full", 1, true)
  end)
end)

describe("usage of a gateway that was killed", function()
  after_each(gateway.stop_all)

  it("has the request under way as lost, estimated, and counts it", function()
    upstream = provider.open()
    local moongate = gateway.start { config = config() }
    moongate:chat({ model = "small" }, { key = "sk-dev" })
    upstream:next { hold = { after = 1, name = "middle" } }
    moongate:stream({ model = "small" }, { key = "sk-dev" }):event()
    -- What was opened is written within milliseconds; the next row is written after it.
    moongate:chat({ model = "small" }, { key = "sk-ops" })
    moongate:kill():open()
    local answer = usage(moongate, "?by=request")
    local outcomes = {}
    for i, row in ipairs(answer.groups) do outcomes[i] = row.outcome end
    assert.same({ "ok", "lost", "ok" }, outcomes)
    assert.is_true(answer.groups[2].estimated)
    assert.equal(3, answer.totals.requests)
    assert.same(answer.totals, total(answer.groups))
  end)
end)

describe("usage of a gateway in memory", function()
  after_each(gateway.stop_all)

  it("is told by the gateway; the command says that it has to be asked", function()
    upstream = provider.open()
    local moongate = gateway.start { config = config { store = "memory:" } }
    for _ = 1, 3 do moongate:chat({ model = "small" }, { key = "sk-dev" }) end
    assert.equal(3, usage(moongate, "?by=key").groups[1].requests)
    local status, output, errors = moongate:command("usage")
    assert.same({ 1, "" }, { status, output })
    assert.matches("/v1/usage", errors, 1, true)
    assert.matches('store = "sqlite:', errors, 1, true)
  end)

  it("without keys is open to whoever may call it", function()
    upstream = provider.open()
    local moongate = gateway.start { config = config { store = "memory:", auth = "none", keys = {} } }
    moongate:chat { model = "small" }
    local answer = moongate:request { path = "/v1/usage?by=provider" }
    assert.same({ 200, "acme" }, { answer.status, answer:json().groups[1].provider })
  end)
end)

describe("the ledger with retention_days", function()
  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  local function requests(moongate)
    return tonumber(bench.sql(moongate.folder .. "/moongate.db", "SELECT count(*) FROM ledger")[1])
  end

  it("loses rows that are older, as soon as it starts and while it runs; SIGHUP changes how many days", function()
    local moongate = gateway.start { config = config { retention_days = 30 }, clock = true }
    local old = moongate:chat({ model = "small" }, { key = "sk-dev" }).headers["x-request-id"]
    moongate:shift(20 * DAY)
    local kept = moongate:chat({ model = "small" }, { key = "sk-dev" }).headers["x-request-id"]
    assert.equal(2, requests(moongate))
    moongate:stop()
    moongate:shift(31 * DAY)
    moongate:open()
    wait.until_(function() return requests(moongate) == 1 end, "the old row to go")
    assert.same({ 404, 200 }, { select(2, moongate:admin("/v1/requests/" .. old)),
      (select(2, moongate:admin("/v1/requests/" .. kept))) })
    assert.equal(1, usage(moongate, "?from=0").totals.requests)
    local text = moongate:read("moongate.lua"):gsub('%["retention_days"%] = 30', '["retention_days"] = 5')
    moongate:write("moongate.lua", text)
    moongate.process:kill("HUP")
    wait.until_(function() return requests(moongate) == 0 end, "the other row to go")
  end)

  it("keeps all where nothing is said of it", function()
    local moongate = gateway.start { config = config(), clock = true }
    moongate:chat({ model = "small" }, { key = "sk-dev" })
    moongate:shift(4000 * DAY)
    moongate:chat({ model = "small" }, { key = "sk-dev" })
    assert.equal(2, requests(moongate:stop()))
  end)

  it("of nonsense does not start", function()
    for value, words in pairs { [-1] = "whole number from 0", [1.5] = "whole number", ["30d"] = "whole number" } do
      local moongate = gateway.prepare { config = config { retention_days = value } }
      local status, _, errors = moongate:command("serve")
      assert.equal(1, status)
      assert.matches("retention_days: must be a " .. words, errors, 1, true)
    end
  end)
end)
