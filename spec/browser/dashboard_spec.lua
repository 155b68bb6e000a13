-- The dashboard in a browser: dashboard.js walks through it once, here is judged what it saw.
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local valgrind = require "spec.support.valgrind"
local wait = require "spec.support.wait"

local IN_ORDER = [[
-- What is not exhausted, by priority.
return function(request, candidates)
  return candidates
    :drop("exhausted", function(c) return c.exhausted end)
    :sort("priority", function(c) return -c.priority end)
end
]]

local TOLD = {
  ["x-ratelimit-limit-requests"] = "200", ["x-ratelimit-remaining-requests"] = "155",
  ["x-ratelimit-limit-tokens"] = "100000", ["x-ratelimit-remaining-tokens"] = "85000",
  ["x-ratelimit-reset-requests"] = "50s", ["x-ratelimit-reset-tokens"] = "50s",
}

local function walk()
  local front, bank = provider.open(), provider.open()
  front:usually { headers = TOLD }
  bank:usually { kind = "text", type = "application/json",
    body = '{"code":0,"status":true,"data":{"available_balance":9.8,"cash_balance":0}}' }
  local moongate = gateway.start {
    config = {
      policy = "in-order", store = "sqlite:moongate.db", keys = { { name = "web", key = "sk-web" } },
      providers = {
        front = { protocol = "openai", base_url = front.base_url, api_key = "sk",
          checker = { "moonshot", interval = 3600, base_url = bank.base_url } },
        tired = { protocol = "mock", mock = { status = 429, retry_after = 4000 } },
        scarce = { protocol = "mock", limits = { rpd = 1 } },
      },
      models = {
        { id = "small", provider = "front", priority = 90, cost = { input = 1, output = 2 } },
        { id = "<img/src=x/onerror=window.hacked=1>", provider = "front", priority = 20 },
        { id = "tired-model", provider = "tired", priority = 95 },
        { id = "scarce-model", provider = "scarce", priority = 10 },
      },
    },
    policies = { ["routing/in-order.lua"] = IN_ORDER },
  }
  local bare = gateway.start { config =
    'return { listen = "127.0.0.1:0", auth = "none", store = "memory:", workers = 1, providers = {} }' }
  wait.until_(function() return moongate:admin("/v1/limits/front").credits == 9.8 end, "the balance")
  local status, output, errors = process.run({ "node", "spec/browser/dashboard.js", "http://" .. moongate.address,
    "http://" .. bare.address, gateway.admin_token, moongate.folder .. "/policies" }, { seconds = 120 })
  local told = { metrics = moongate:request({ path = "/metrics" }).body }
  for _, by in ipairs { "model", "provider", "key" } do
    told[by] = {
      http = moongate:admin("/v1/usage?by=" .. by),
      command = select(2, moongate:command("usage", "--by", by, "--format", "jsonl")),
    }
  end
  gateway.stop_all()
  assert(status == 0, errors)
  return assert(json.decode(output)), told
end

describe("the dashboard", function()
  local it = valgrind.native -- for a browser waits a few seconds at most
  local all, told

  setup(function() all, told = walk() end)

  local function seen(scene)
    assert.is_nil(all[scene].fault)
    return all[scene]
  end
  local function has(words, text)
    assert.is_true(text:find(words, 1, true) ~= nil, ("%q is not in %q"):format(words, text))
  end

  it("says how to set an admin token where there is none", function()
    has('admin_token = env "MOONGATE_ADMIN_TOKEN"', seen("unset").help)
    assert.equal(0, seen("unset").fields)
  end)

  it("says that a token is not the admin token, keeps it nowhere, and shows nothing", function()
    local got = seen "wrong_token"
    has("That is not the admin token of this gateway", got.told)
    assert.same({ 0, {}, {} }, { got.cards, got.kept, got.axe })
  end)

  it("shows what traffic changes, without being loaded anew", function()
    local got = seen "live"
    assert.same({ "0", "green", 0 }, { got.before.requests, got.before.pulse, got.before.rows })
    assert.same({ "3", "red", "green", "throttled" },
      { got.after.requests, got.after.pulse, got.after.front, got.after.word })
    assert.matches("^back in 1h %d+m$", got.after.back)
    assert.equal("tired is throttled", got.news)
  end)

  it("keeps the token for the session alone, and out of addresses", function()
    assert.same({ session = { gateway.admin_token }, ["local"] = {} }, seen("live").kept)
    assert.equal(0, all.tokens_in_addresses)
  end)

  for _, way in ipairs { "hover", "focus" } do
    it("tells the exact figures of a provider on " .. way .. ", until Escape", function()
      local got = seen(way)
      assert.same({ "RPM 45 / 200 (discovered)", "TPM 15k / 100k (discovered)" }, { got.seen[1], got.seen[2] })
      assert.matches("^Credits %$9%.80 %(cached .+ ago%)$", got.seen[3])
      assert.is_false(got.after)
    end)
  end

  it("tells them on a tap, too, on a screen as wide as a telephone's", function()
    local got = seen "tap"
    assert.same({ "RPM 45 / 200 (discovered)", 0 }, { got.lines[1], got.width })
  end)

  it("shows balances in compact cards", function()
    has("front $9.80", seen("live").wallets)
  end)

  it("shows the ladder of a policy and a task, with the reasons, and when what is left out comes back", function()
    local got = seen "ladder"
    has("in-order", got.sentence)
    has("front/small", got.first)
    has("exhausted", got.out)
    assert.matches("back in 1h %d+m", got.out)
    assert.matches("back in %d+[hms]", got.spent)
  end)

  it("explains the route of a pasted request, or says what is wrong with it", function()
    local got = seen "tester"
    has("front/small", got.seen)
    has('there is no model "nothing-such"', got.unknown)
    has("This is not JSON", got.broken)
  end)

  it("shows a policy that was saved broken, with file, line and reason, beside those that are fine", function()
    local got = seen "broken_policy"
    for _, text in ipairs { got.problem, got.row } do
      has("policies/routing/unfinished.lua:3", text)
      has("unexpected symbol near 'end'", text)
    end
    assert.equal("Degraded", got.fitness)
    assert.matches("routing/in%-order%.lua default\t%x+\t%d+\t0\t", got.other)
  end)

  it("opens a request to its attempts and its explanation", function()
    local got = seen "request_details"
    has("front/small", got.seen)
    has("Attempts", got.seen)
    has("in-order", got.seen)
    assert.is_true(got.closed)
  end)

  it("draws usage over time, and has the figures as text", function()
    local got = seen "usage"
    has("3 requests", got.sum)
    assert.matches("front%s+1%s+33 %%", got.legend)
    assert.equal(24, got.bars)
    has("24 bars", got.label)
  end)

  -- What is hovered over, as the numbers that programs are told.
  local function shown(by)
    local groups = {}
    for measure, rows in pairs(seen("sums")[by]) do
      for _, row in ipairs(rows) do
        local name, text = row[1] == "(none)" and "" or row[1], row[2]:gsub(",", "")
        local dollars = text:match "^%$(.*)$"
        groups[name] = groups[name] or {}
        groups[name][measure] = dollars and math.floor(dollars * 1e6 + 0.5) or tonumber(text)
      end
    end
    return groups
  end

  local function as_shown(groups, by)
    local list = {}
    for _, group in ipairs(groups) do
      list[group[by]] = { requests = group.requests, tokens = group.input_tokens + group.output_tokens,
        cost_microusd = group.cost_microusd, savings_microusd = group.savings_microusd }
    end
    return list
  end

  it("tells the same sums as /v1/usage, the usage command and /metrics, by model, provider and key", function()
    for _, by in ipairs { "model", "provider", "key" } do
      local lines = {}
      for line in told[by].command:gmatch "[^\n]+" do lines[#lines + 1] = json.decode(line) end
      assert.same(told[by].http.groups, lines)
      assert.same(as_shown(lines, by), shown(by))
    end
    local totals, counted = told.key.http.totals, {}
    for name, value in told.metrics:gmatch "\n(moongate_%w[%w_]*)[^\n ]* ([%d.]+)" do
      counted[name] = (counted[name] or 0) + tonumber(value)
    end
    assert.same({ counted.moongate_requests_total, counted.moongate_billed_tokens_total,
      counted.moongate_cost_microusd_total }, { totals.requests, totals.billed_tokens, totals.cost_microusd })
    assert.equal(3, shown("key").web.requests)
    assert.same({ true, true }, { totals.cost_microusd > 0, totals.savings_microusd > 0 })
    assert.matches(("^requests%%s+%d%%s.*tokens%%s+%d%%s"):format(totals.requests, totals.input_tokens
      + totals.output_tokens), seen("sums").figures)
  end)

  it("puts what comes from outside in as text", function()
    local got = seen "hostile"
    assert.equal('<img src=x onerror="window.hacked=1">', got.cell)
    assert.same({ true, 0 }, { got.hacked, got.images })
  end)

  it("writes numbers as people read them", function()
    assert.same({ "999", "1.3k", "15k", "100k", "1M", "$0.0012", "$9.80", "$0", "$0.000011", "2.5s", "2h 30m", "41s",
      "350ms", "12 s ago", "12 %" }, seen "numbers")
  end)

  it("has no serious fault that axe would find, light and dark", function()
    local got = seen "looks"
    assert.same({ {}, {} }, { got.light.axe, got.dark.axe })
    assert.are_not.equal(got.light.ground, got.dark.ground)
  end)

  it("is light where that is chosen, whatever the system says", function()
    assert.equal(seen("looks").light.ground, seen("looks").chosen)
  end)

  for _, size in ipairs { "360", "768", "1440", "2560", "3840" } do
    it("does not scroll sideways at " .. size .. " pixels", function() assert.equal(0, seen("looks")[size]) end)
  end

  it("can be used with the keyboard alone, from the token to the route tester", function()
    local order = table.concat(seen("keyboard").order, ", ")
    local at = 1
    for _, stop in ipairs { "card front", "card tired", "ladder-policy", "usage-measure", "models-filter",
      "tester-text" } do
      local from = order:find(stop, at, true)
      assert.is_truthy(from, stop .. " is not behind the others in: " .. order)
      at = from
    end
  end)

  it("asks nobody but the gateway, and breaks none of its own rules", function()
    assert.same({ {}, {} }, { all.elsewhere, all.faults })
    assert.is_true(all.asked > 20)
  end)
end)
