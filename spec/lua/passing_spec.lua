-- The words for rungs that are passed over, and for callers at their own limit: the same wherever they are told.
local passing = require "moongate.passing"

describe("passing", function()
  it("says of what a target is exhausted", function()
    assert.equal("exhausted, rate limited", passing.exhausted "rate_limited")
    assert.equal("exhausted, no quota", passing.exhausted "")
  end)

  it("names the limit that has no room", function()
    assert.equal("no quota left: provider:one:requests day", passing.no_quota "provider:one:requests day")
  end)

  it("adds the wait, rounded up, where it is known", function()
    assert.equal("late (41 s left)", passing.with_wait("late", 40.2))
    for _, wait in ipairs { 0, false } do assert.equal("late", passing.with_wait("late", wait or nil)) end
  end)

  it("names the caller's limit, its figure and its reset", function()
    local caller = { name = "dev", org = "acme" }
    assert.same({ "key dev has used up its 60 requests per minute; try again in 31 s", 31 },
      { passing.own_limit(caller, { refusal = "key:config:dev:requests minute", max = 60, wait = 30.2 }) })
    assert.same({ "org acme has used up its 19.99 USD per day; try again in 1 s", 1 },
      { passing.own_limit(caller, { refusal = "org:acme:microusd day", max = 19990000 }) })
    caller.tier = "pro"
    assert.same({ "key dev has used up its 10 requests per minute (of tier pro); try again in 3 s", 3 },
      { passing.own_limit(caller,
        { refusal = "key:x:requests minute", max = 10, amount = 1, wait = 3, by_tier = true }) })
  end)

  it("promises no wait to a request that is larger than the limit itself", function()
    local caller = { name = "dev", org = "acme", tier = "pro" }
    assert.same({ "this request may take 1200 billed tokens, and key dev has 1000 billed tokens per day in all: "
      .. "it can never fit; ask for less" }, { passing.own_limit(caller, { refusal = "key:config:dev:billed_tokens day",
      max = 1000, amount = 1200, wait = 3600 }) })
  end)

  it("says so when Redis is away", function()
    assert.equal("no quota left: provider:one:requests day (counted alone, for Redis is away)",
      passing.no_quota("provider:one:requests day", true))
    assert.equal("key dev has used up its 60 requests per minute (counted alone, for Redis is away); try again in 9 s",
      (passing.own_limit({ name = "dev" }, { refusal = "key:k:requests minute", max = 60, wait = 9, away = true })))
  end)
end)
