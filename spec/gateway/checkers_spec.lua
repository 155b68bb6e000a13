-- Quota checkers in a running gateway: what providers say is left, on every worker, to callers and to policies.
local gateway = require "spec.support.gateway"
local provider = require "spec.support.provider"
local wait = require "spec.support.wait"

local KEY = "sk-key-of-the-account"
local LISTED = [[
return function(request, candidates)
  return candidates:keep("has money", function(c) return (c.balance or 0) > 1 end)
end
]]
local ALL = "return function(_, candidates) return candidates end"
local MINE = [[
return { base_url = "http://nowhere.invalid", check = function(http, options)
  local answer, why = http.json(options.base_url .. "/left", { headers = { ["x-key"] = "{key}" } })
  if not answer then return nil, why end
  return { { unit = "dollars", remaining = answer.left }, { unit = "requests", window = "daily", limit = 100,
    remaining = answer.left * FACTOR } }
end }
]]

describe("a quota checker", function()
  local upstream, moongate

  before_each(function() upstream = provider.open() end)
  after_each(gateway.stop_all)

  local function config(checker, more)
    local own = { protocol = "openai", base_url = upstream.base_url, api_key = KEY, checker = checker }
    local all = { policy = "rich", providers = { p = own, other = { protocol = "mock" } },
      models = { { id = "m", provider = "p" }, { id = "free", provider = "other" } } }
    for name, value in pairs(more or {}) do all[name] = value end
    return all
  end
  local function start(checker, policies, more)
    local files = { ["routing/rich.lua"] = LISTED }
    for path, text in pairs(policies or {}) do files[path] = text end
    moongate = gateway.start { config = config(checker, more), policies = files }
  end
  local function says(body, status)
    upstream:usually { kind = "text", type = "application/json", body = body, status = status }
  end
  local function limits(name)
    local found, status = moongate:admin("/v1/limits/" .. (name or "p"))
    assert.equal(200, status)
    return found
  end
  local function until_limits(condition, what)
    return wait.until_(function()
      local found = limits()
      return condition(found) and found
    end, what)
  end
  local function checked() return until_limits(function(l) return l.stale == false end, "a good answer") end
  local function failed()
    return until_limits(function(l) return l.checker and l.checker.reason end, "an answer that is no good")
  end
  local function balance(left)
    return ('{"code":0,"status":true,"data":{"available_balance":%s,"cash_balance":0}}'):format(left)
  end
  local function moonshot(more)
    local checker = { "moonshot", interval = 10, base_url = upstream.base_url .. "/" }
    for name, value in pairs(more or {}) do checker[name] = value end
    return checker
  end

  it("tells every worker and the gauges what is left; one worker asks, with the provider's key", function()
    says(balance "9.8")
    start(moonshot { full = 100 }, nil, { workers = 3 })
    local found = checked()
    assert.same({ 9.8, "critical", "moonshot", "critical" },
      { found.credits, found.status, found.checker.name, found.checker.status })
    assert.is_true(math.abs(found.checked_at - os.time()) < 20)
    local entry = found.limits[1]
    assert.same({ "dollars", "subscription", 100, 9.8, "checker", false },
      { entry.metric, entry.window, entry.limit, entry.remaining, entry.source, entry.stale })
    local agreed = 0
    until_limits(function(l)
      agreed = l.stale == false and agreed + 1 or 0
      return agreed == 12
    end, "every worker to know it")
    assert.is_nil(limits("other").checker)
    assert.matches('moongate_quota_remaining{provider="p",metric="dollars_subscription"} 9.8\n',
      moongate:request({ path = "/metrics" }).body, 1, true)
    local seen = upstream:seen()
    assert.same({ 1, "GET", "/v1/users/me/balance", "Bearer " .. KEY },
      { #seen, seen[1].method, seen[1].path, seen[1].headers.authorization })
  end)

  it("tells policies the balance", function()
    says(balance "0.5")
    start(moonshot())
    checked()
    local function ladder()
      return moongate:request({ path = "/v1/router/debug", json = {
        model = "m", messages = { { role = "user", content = "Hi" } } } }):json().ladder
    end
    assert.same({}, ladder())
    moongate:write("moongate.lua", (moongate:read("moongate.lua"):gsub("moonshot", "kilo")))
    says '{"balance": 2.5}'
    moongate.process:kill "HUP"
    until_limits(function(l) return l.credits == 2.5 end, "another checker after the reload")
    wait.until_(function() return ladder()[1] == "p/m" end, "the policy to see the balance")
  end)

  it("goes with a reload that no longer names it", function()
    says(balance "9.8")
    start(moonshot())
    checked()
    moongate:write("moongate.lua", (moongate:read("moongate.lua"):gsub('%["checker"%] = %b{}', '["quality"] = 7')))
    moongate.process:kill "HUP"
    local found = until_limits(function(l) return l.checker == nil end, "the checker to go")
    assert.same({ nil, true }, { found.stale, type(found.credits) ~= "number" })
  end)

  it("keeps the last good answer when a poll fails, as a stale one, with age and reason", function()
    says(balance "9.8")
    start(moonshot())
    checked()
    says("<html>", 502)
    local found = wait.until_(function()
      local now = limits()
      return now.checker.reason and now
    end, "the next poll to fail", 25)
    assert.same({ 9.8, "it answered 502", true, "ok" },
      { found.credits, found.checker.reason, found.limits[1].stale, found.status })
    assert.is_true(found.checker.age_s > 5)
    local logged = moongate:logged "a quota checker failed; its last good answer is shown as stale"
    assert.same({ "p", "moonshot", "it answered 502" }, { logged.provider, logged.checker, logged.error })
  end)

  -- title, what the provider does, the reason
  for _, case in ipairs {
    { "a refused key", { kind = "text", status = 401, type = "application/json",
      body = '{"error":"bad key ' .. KEY .. '"}' }, "it answered 401: the key is not accepted" },
    { "a page in HTML", { kind = "text" }, "it answered with something else than JSON" },
    { "more than a megabyte", { kind = "text", body = ("x"):rep(1100000) }, "the answer is too large" },
    { "a cut connection", { kind = "close" } },
    { "a redirect", { kind = "text", status = 302, body = "{}" }, "it answered 302" },
  } do
    it("has no reading of " .. case[1] .. ", and tells no secret", function()
      upstream:usually(case[2])
      start(moonshot())
      local found = failed()
      if case[3] then assert.equal(case[3], found.checker.reason) end
      assert.same({ true, 0, "ok" }, { found.stale, #found.limits, found.status })
      assert.is_nil(tonumber(found.credits))
      assert.is_nil(moongate:errors():find(KEY, 1, true))
      assert.is_nil(moongate:request({ path = "/v1/limits", key = gateway.admin_token }).body:find(KEY, 1, true))
    end)
  end

  it("gives up on silence, and holds nothing up meanwhile", function()
    upstream:usually { kind = "silence" }
    start(moonshot())
    upstream:wait_for(1, "answering")
    assert.equal(200, moongate:request({ path = "/health" }).status)
    local found = wait.until_(function()
      local now = limits()
      return now.checker.reason and now
    end, "its deadline", 20)
    assert.truthy(({ ["no whole answer in time"] = true, ["no reply head within 10 s"] = true })[found.checker.reason])
  end)

  it("ends with the gateway in the midst of a call", function()
    upstream:usually { kind = "silence" }
    start(moonshot())
    wait.until_(function() return #upstream:seen() == 1 end, "the call")
    moongate:stop()
  end)

  it("of the last run is told as stale until it is asked anew", function()
    says(balance "9.8")
    start(moonshot(), nil, { store = "sqlite:gate.db" })
    checked()
    moongate:stop()
    upstream:refuse()
    moongate:open()
    local found = failed()
    assert.same({ 9.8, true, true, "checker", "dollars", "subscription" },
      { found.credits, found.stale, found.limits[1].stale, found.limits[1].source, found.limits[1].metric,
        found.limits[1].window })
  end)

  describe("of the operator's own", function()
    local function mine(factor) return { ["checkers/mine.lua"] = (MINE:gsub("FACTOR", factor)) } end
    local function own() return { "mine", interval = 3600, base_url = upstream.base_url } end

    it("is asked anew when its file changes, and keeps its last good answer when it fails", function()
      says '{"left": 4}'
      start(own(), mine(10))
      local found = checked()
      assert.same({ 4, 40, "day" }, { found.credits, found.limits[2].remaining, found.limits[2].window })
      assert.equal(KEY, upstream:seen()[1].headers["x-key"])
      moongate:write("policies/checkers/mine.lua", mine(2)["checkers/mine.lua"])
      until_limits(function(l) return l.limits[2].remaining == 8 and l.status == "critical" end, "the new version")
      moongate:write("policies/checkers/mine.lua", "return 7")
      wait.until_(function() return #moongate:admin("/ready").problems > 0 end, "the broken one to be told")
      checked() -- as before, on whichever worker: each reads what is known twice a second
      moongate:write("policies/checkers/mine.lua", "return function(http, options)\n  error 'no luck'\nend")
      -- What is known is stale as soon as another version is to be asked; why, it is once that has failed.
      found = until_limits(function(l) return l.checker.reason end, "one that fails")
      assert.same({ true, 4, 8 }, { found.stale, found.credits, found.limits[2].remaining })
      assert.matches("policies/checkers/mine.lua:2: no luck", found.checker.reason, 1, true)
    end)

    it("is as the README shows one", function()
      local file = assert(io.open "README.md")
      local text = file:read("*a"):match("### What is left at providers.-```lua\n(.-)```")
      file:close()
      says '{"balance": 12, "limit": 1000, "used": 990, "reset": "3600"}'
      start({ "acme", base_url = upstream.base_url }, { ["checkers/acme.lua"] = text })
      local found = checked()
      assert.same({ 12, "critical", 10, "day" },
        { found.credits, found.status, found.limits[2].remaining, found.limits[2].window })
      local headers = upstream:seen()[1].headers
      assert.same({ KEY }, { headers["x-api-key"], headers.authorization })
    end)

    -- title, text, reason
    for _, case in ipairs {
      { "loops", "return function() while true do end end", "its checker failed: policies/checkers/mine.lua:1: " },
      { "loops behind an answer",
        "return function(http, o) http.get(o.base_url) while true do end end",
        "its checker failed: policies/checkers/mine.lua:1: " },
      { "swallows its budget's end",
        "return function() while true do pcall(function() while true do end end) end end", "its checker failed" },
      { "eats memory", "return function() local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end end",
        "its checker failed" },
      { "yields", "return function() coroutine.yield() end", "a checker may wait by http alone" },
      { "asks a model", "return function(http, o) return http.json(o.base_url .. '/chat/completions',"
        .. " { method = 'POST', body = '{}' }) end", "a background call never asks a model for anything" },
      { "hides that it asks a model", "return function(http, o) return http.json(o.base_url .. '/%63hat/x',"
        .. " { method = 'POST', body = '{}' }) end", "the path of a POST is written plainly, without %" },
      { "reads files", "return function(http) return http.json('file:///etc/passwd') end",
        "only http and https addresses can be asked" },
      { "sends broken headers", "return function(http, o) return http.json(o.base_url,"
        .. " { headers = { a = 'b\\r\\nc: d' } }) end", "" },
    } do
      it("that " .. case[1] .. " harms nobody else", function()
        says "{}"
        start(own(), { ["checkers/mine.lua"] = case[2], ["routing/all.lua"] = ALL }, { workers = 1 })
        local found = failed()
        assert.equal(case[3], found.checker.reason:sub(1, #case[3]))
        assert.equal(200, moongate:chat({ model = "free" }, { headers = { ["x-moongate-policy"] = "all" } }).status)
        for _, record in ipairs(upstream:seen()) do assert.equal("GET", record.method) end
      end)
    end
  end)

  it("is named by `moongate check` when there is none of that name, or it lacks something", function()
    local function check(checker, policies)
      local prepared = gateway.prepare { config = config(checker), policies = policies
        or { ["routing/rich.lua"] = LISTED } }
      local status, _, errors = prepared:command "check"
      return { status, (errors:gsub("^.-providers", "providers"):gsub("\n$", "")) }
    end
    assert.same({ 1, 'providers.p.checker: there is no checker "moonshoot" (did you mean "moonshot"?); there are: '
      .. "deepseek, kilo, minimax, moonshot, naga, nanogpt, openrouter, synthetic, zai" }, check "moonshoot")
    assert.same({ 1, "providers.p.checker: the checker minimax needs groupid" }, check { "minimax" })
    assert.same({ 1, "providers.p.checker.interval: must be a number from 10 to 86400, not 1" },
      check { "kilo", interval = 1 })
    local own = { ["routing/rich.lua"] = LISTED, ["checkers/mine.lua"] = MINE }
    assert.equal(0, check("mine", own)[1])
    assert.matches('did you mean "mine"', check("mind", own)[2], 1, true)
  end)
end)
