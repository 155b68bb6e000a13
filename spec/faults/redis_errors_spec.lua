-- Two gateways on a Redis that answers errors of every kind, half answers, garbage, late or not at all: callers get
-- whole answers or honest refusals, a budget is never exceeded, no row is lost, /ready says why; when it is well again,
-- all counts on.
local faults = require "spec.support.redis_faults"
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local redis = require "spec.support.redis"
local wait = require "spec.support.wait"

local TEXT, KEY = "Hello from the provider.", "the-key-of-dev"
local NOON = 1772366400 -- 2026-03-01T12:00:00Z: no midnight in between
local SOME, ALL = 15, 4 -- requests while some commands fail, and while all do
local COST, BUDGET = 21, 21 * 50 -- micro-dollars: of a call, and for all of them

local rows = {
  { "LOADING", kind = "error", text = "LOADING Redis is loading the dataset in memory", says = "still loading" },
  { "READONLY", kind = "error", text = "READONLY You can't write against a read only replica." },
  { "OOM", kind = "error", text = "OOM command not allowed when used memory > 'maxmemory'." },
  { "MISCONF", kind = "error", text = "MISCONF Redis is configured to save RDB snapshots, but it's unable to." },
  { "BUSY", kind = "error", text = "BUSY Redis is busy running a script." },
  { "NOSCRIPT", kind = "error", text = "NOSCRIPT No matching script. Please use EVAL." },
  { "WRONGPASS", kind = "error", text = "WRONGPASS invalid username-password pair or user is disabled.",
    says = "refuses the password" },
  { "NOPERM", kind = "error", text = "NOPERM this user has no permissions to run the 'evalsha' command" },
  { "MASTERDOWN", kind = "error", text = "MASTERDOWN Link with MASTER is down" },
  { "MOVED", kind = "error", text = "MOVED 3999 127.0.0.1:6381" },
  { "an error of a script", kind = "error", text = "ERR user_script:1: something. script: 0, on @user_script:1." },
  { "an error nobody knows", kind = "error", text = "WHATEVER" },
  { "no answer, and an end", kind = "refuse" },
  { "an end where it has carried out", kind = "vanish" },
  { "half an answer", kind = "cut" },
  { "what is no RESP", kind = "garbage" },
  { "an answer of another kind", kind = "nonsense" },
  { "late answers", kind = "slow", ms = 120 },
}

describe("gateways whose Redis gives", function()
  local server, failing, upstream, gateways

  setup(function()
    server = redis.start()
    failing = faults.start(server)
  end)
  teardown(function()
    failing:free()
    server:free()
  end)
  before_each(function()
    server:command "FLUSHALL"
    upstream = provider.open()
    gateways = {}
    for number = 1, 2 do
      gateways[number] = gateway.prepare { clock = true, config = {
        auth = "keys", workers = 2, store = ("redis://127.0.0.1:%d/0"):format(failing.port),
        keys = { { name = "dev", key = KEY, budget = { usd = BUDGET / 1e6, window = "day" } } },
        providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk-1", retries = 0 } },
        models = { { id = "small", provider = "acme", cost = { input = 1, output = 1 } } },
      } }
      gateways[number]:shift(NOON - os.time())
      gateways[number]:open()
    end
  end)
  after_each(function()
    failing:set {}
    gateway.stop_all()
  end)

  local seen, number

  -- A request of 12 tokens at most; true if it was answered.
  local function ask()
    number = number + 1
    local moongate, fields = gateways[number % 2 + 1], { model = "small", max_tokens = 12 }
    local answer
    if number % 3 == 0 then
      answer = moongate:stream(fields, { key = KEY })
      if answer.status == 200 then
        local text, last = gateway.text_of(answer:events())
        if last == "[DONE]" then
          assert.equal(TEXT, text)
          seen[answer.headers["x-request-id"]] = true
        else
          assert.equal("table", type(last and last.error))
        end
      else
        answer:rest()
      end
      answer:close()
    else
      answer = moongate:chat(fields, { key = KEY })
      if answer.status == 200 then
        assert.equal(TEXT, answer:json().choices[1].message.content)
        seen[answer.headers["x-request-id"]] = true
      end
    end
    if answer.status ~= 200 and os.getenv "DBG" then print(answer.status, answer.body) end
assert.truthy(answer.status == 200 or answer.status == 429 or answer.status == 503, answer.status)
    return answer.status == 200
  end

  local function ready(moongate)
    return moongate:request({ path = "/ready" }):json()
  end

  local function await_well()
    for _, moongate in ipairs(gateways) do
      wait.until_(function() return ready(moongate).status == "ready" end, "the gateway to be well")
    end
  end

  local function rows_of_ledger()
    local found, count = {}, 0
    for _, entry in ipairs(server:command("XRANGE", "moongate:ledger", "-", "+")) do
      local fields = {}
      for index = 1, #entry[2], 2 do fields[entry[2][index]] = entry[2][index + 1] end
      assert.is_nil(found[fields.request_id], "twice in the ledger")
      found[fields.request_id] = fields.outcome
      if fields.outcome == "ok" then count = count + 1 end
    end
    return found, count
  end

  local function answered()
    local count = 0
    for _, record in ipairs(upstream:seen()) do
      if record.state == "answered" then count = count + 1 end
    end
    return count
  end

  for _, row in ipairs(rows) do
    it(row[1] .. " exceed no budget, lose no row, say why, and come back", function()
      seen, number = {}, 0
      local function rule(every)
        return { { kind = row.kind, text = row.text, ms = row.ms, every = every } }
      end
      await_well()
      for _ = 1, 4 do wait.until_(ask, "an answer") end
      failing:set(rule(3))
      for _ = 1, SOME do ask() end
      assert.truthy(failing:set(rule(1))[row.kind] > 0, "no command has failed")
      for _ = 1, ALL do ask() end
      for _, moongate in ipairs(gateways) do
        local told = wait.until_(function()
          local answer = ready(moongate)
          return answer.status == "degraded" and answer
        end, "/ready to say why")
        assert.matches("Redis", told.problems[1].message, 1, true)
        if row.text and row.kind == "error" then
          wait.until_(function()
            return ready(moongate).problems[1].message:find(row.says or row.text:match "^%u+", 1, true)
          end, "the server's own word")
        end
        assert.is_false(moongate.process:has_ended())
      end
      failing:set {}
      await_well()

      -- What is left of the budget is left: until nobody is given any more.
      local refused = 0
      wait.until_(function()
        refused = ask() and 0 or refused + 1
        return refused == 4
      end, "the budget to be used up", 60)
      local calls = answered()
      assert.truthy(calls * COST <= BUDGET, ("%d calls were made"):format(calls))
      assert.truthy(calls * COST > BUDGET - 4 * COST, ("only %d calls were made"):format(calls))
      for _, moongate in ipairs(gateways) do moongate:stop() end
      local found, count = rows_of_ledger()
      for id in pairs(seen) do assert.equal("ok", found[id], id) end
      assert.equal(calls, count)
    end)
  end
end)
