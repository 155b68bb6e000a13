-- The poll of quota checkers: when it asks, what it keeps, what it teaches the store, what it leaves to others.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("the poll of quota checkers", function()
  local core, polling, readings, own, answer, learnt

  before_each(function()
    core = fakes.install()
    polling, readings = require "moongate.polling", require "moongate.readings"
    own, learnt = {}, {}
    answer = { 200, {}, '{"balance": "4.25"}' }
    core.set("http.call", function() return unpack(answer, 1, 3) end)
    core.set("store.learnt", function() return learnt end)
  end)
  after_each(function() core.restore() end)

  local function configure(checkers, more)
    local providers = {}
    for name, checker in pairs(checkers) do
      checker.interval = checker.interval or 60
      providers[name] = { checker = checker, keys = { { key = "sk-1" } }, base_url = "http://p.example" }
      for field, value in pairs(more or {}) do providers[name][field] = value end
    end
    polling.configure { config = { providers = providers }, policies = {
      checker = function(_, name) return own[name] end,
      within = function(_, _, work, ...) return true, work(...) end,
    } }
  end
  -- Runs what is due next; answers when it was.
  local function due()
    for _, entry in ipairs(core.later) do
      if not (entry.cancelled or entry.done) then
        entry.done = true
        entry.fn()
        return entry.seconds
      end
    end
  end
  local function next_in()
    for _, entry in ipairs(core.later) do
      if not (entry.cancelled or entry.done) then return entry.seconds end
    end
  end
  local function about(seconds) return next_in() >= seconds * 0.9 and next_in() <= seconds * 1.1 end

  it("asks soon, then at its interval, give or take a tenth", function()
    configure { p = { name = "naga" } }
    assert.is_nil(readings.of("p").checked_at)
    assert.is_true(due() <= 0.2)
    local asked = core.of("http.call")[1][1]
    assert.same({ "GET", "https://api.naga.ac/v1/account/balance", "Bearer sk-1", 10, 1048576 },
      { asked.method, asked.url, asked.headers.authorization, asked.seconds, asked.most })
    assert.is_true(about(60))
    assert.same({ 4.25, "ok", core.now }, { readings.of("p").credits, readings.of("p").status,
      readings.of("p").checked_at })
    assert.equal(4.25, readings.balance "p")
  end)

  it("is the first worker's alone", function()
    core.set("gate.state", function() return { worker = 1 } end)
    configure { p = { name = "naga" } }
    assert.same({ 0, 0 }, { #core.later, #core.of "gate.publish" })
  end)

  it("takes a key and an address of the checker's own", function()
    configure { p = { name = "naga", api_key = "sk-provisioning", base_url = "http://x/v1" } }
    due()
    local asked = core.of("http.call")[1][1]
    assert.same({ "http://x/v1/account/balance", "Bearer sk-provisioning" }, { asked.url, asked.headers.authorization })
  end)

  it("keeps the last good answer, and asks less and less often while it fails", function()
    configure { p = { name = "naga" } }
    due()
    answer = { nil, "unreachable", "no connection" }
    for _, seconds in ipairs { 60, 120, 240, 480, 960, 960 } do
      due()
      assert.is_true(about(seconds))
    end
    local entry = readings.of "p"
    assert.same({ 4.25, "no connection" }, { entry.credits, entry.reason })
    assert.is_true(readings.is_stale(entry))
    assert.equal(2, #core.of "log.write") -- it answers; it fails, said once
    answer = { 200, {}, '{"balance": "3"}' }
    due()
    assert.is_true(about(60))
    assert.same({ 3, nil, false }, { readings.of("p").credits, readings.of("p").reason,
      (readings.is_stale(readings.of "p")) })
  end)

  it("leaves a provider alone for as long as it asks, up to an hour", function()
    configure { p = { name = "naga" } }
    answer = { 429, { ["retry-after"] = "600" }, "" }
    due()
    assert.is_true(about(600))
    answer = { 429, { ["retry-after"] = "1000000" }, "" }
    due()
    assert.is_true(about(3600))
  end)

  it("is stale when nobody has asked for three intervals", function()
    configure { p = { name = "naga" } }
    due()
    core.now = core.now + 179
    assert.is_false((readings.is_stale(readings.of "p")))
    core.now = core.now + 2
    assert.is_true((readings.is_stale(readings.of "p")))
  end)

  it("goes on over a reload that leaves it as it is, and begins anew over one that does not", function()
    configure { p = { name = "naga" } }
    due()
    configure { p = { name = "naga" } }
    assert.same({ 2, 4.25 }, { #core.later, readings.balance "p" })
    configure { p = { name = "naga", interval = 90 } }
    assert.same({ true, 3 }, { core.later[2].cancelled, #core.later })
    assert.is_nil(readings.of("p").checked_at)
    configure {}
    assert.is_true(core.later[3].cancelled)
    assert.is_nil(readings.of "p")
    assert.is_nil(readings.balance "p")
  end)

  it("drops the answer that a reload has overtaken", function()
    configure { p = { name = "naga" } }
    core.set("http.call", function()
      configure {}
      return unpack(answer, 1, 3)
    end)
    due()
    assert.is_nil(readings.of "p")
    assert.is_nil(next_in())
  end)

  it("teaches the store limits and balances, in whole figures", function()
    own.mine = { check = function()
      return { { unit = "dollars", remaining = -1.5, limit = 20 },
        { unit = "requests", window = "five_hour", limit = 500, used = 154.3, resets = "60" },
        { unit = "percentage", window = "weekly", used = 12.5 }, { unit = "yuan", remaining = 3 } }
    end, version = "1" }
    configure { p = { name = "mine" } }
    due()
    local taught = {}
    for i, call in ipairs(core.of "store.learn") do
      local word = call[1]
      assert.same({ "p", "checker" }, { word.provider, word.source })
      taught[i] = { word.metric, word.window, word.limit, word.remaining, word.reset_s }
    end
    assert.same({ { "microusd", "none", 20e6, 0 }, { "requests", "5h", 500, 345, 60 }, { "percent", "week", 100, 87 } },
      taught)
    assert.equal(-1.5, readings.balance "p")
  end)

  it("knows the balance of the last run until it has asked", function()
    learnt = { { metric = "microusd", window = "none", model = "", source = "checker", remaining = 2500000 } }
    configure { p = { name = "naga" } }
    assert.equal(2.5, readings.balance "p")
    assert.is_nil(readings.balance "unchecked")
  end)

  it("asks anew at once when the file of the operator's own has changed", function()
    own.mine = { check = function() return { unit = "dollars", remaining = 1 } end, version = "1" }
    configure { p = { name = "mine" }, q = { name = "naga" } }
    due()
    due()
    polling.installed()
    assert.is_true(about(60))
    own.mine = { check = function() return { unit = "dollars", remaining = 2 } end, version = "2" }
    polling.installed()
    local soon = {}
    for _, entry in ipairs(core.later) do
      if not (entry.cancelled or entry.done) then soon[#soon + 1] = entry.seconds == 0 end
    end
    assert.same({ false, true }, soon)
    for _ = 1, 2 do due() end
    assert.equal(2, readings.balance "p")
    own.mine = nil
    polling.installed()
    for _ = 1, 2 do due() end
    assert.equal("there is no checker mine now", readings.of("p").reason)
  end)

  describe("of several gateways", function()
    local function told(entry, at) return json.encode { at = at or 1, entry = entry } end
    local function turn(...)
      local answers = { ... }
      core.set("turns.take", function() return unpack(answers, 1, 3) end)
    end

    it("tells the others what it found, and keeps the turn until a little after its next poll", function()
      configure { p = { name = "naga" } }
      due()
      local taken, kept = core.of("turns.take")[1], core.of("turns.tell")[1]
      assert.matches("^poll:p:%x+$", taken[1])
      assert.same({ taken[1], 80 }, { kept[1], taken[2] })
      assert.equal(next_in() + 2, kept[2])
      assert.equal(4.25, json.decode(kept[3]).entry.credits)
    end)

    it("takes over what another found, asks nobody, and looks again when that one's turn is over", function()
      turn(false, told { checker = "naga", interval = 5, checked_at = core.now - 7, credits = 3, status = "low",
        meters = {} }, 40)
      configure { p = { name = "naga" } }
      due()
      assert.same({ 0, 0, 0 }, { #core.of "http.call", #core.of "store.learn", #core.of "turns.tell" })
      local entry = readings.of "p"
      assert.same({ 3, "low", core.now - 7, 60 }, { entry.credits, entry.status, entry.checked_at, entry.interval })
      assert.is_true(next_in() >= 41 and next_in() <= 42)
    end)

    it("looks again soon where nothing new was told, and takes over failures, too", function()
      configure { p = { name = "naga" } }
      for _, text in ipairs { "", "no JSON", "[]", '{"entry": 5}' } do
        turn(false, text, 40)
        due()
        assert.is_true(next_in() <= 2)
        assert.is_nil(readings.of("p").checked_at)
      end
      local failed = told { checked_at = core.now, credits = 3, reason = "it answered 503" }
      turn(false, failed, 40)
      due()
      assert.equal("it answered 503", readings.of("p").reason)
      assert.is_true(next_in() >= 41)
      due()
      assert.is_true(next_in() <= 2) -- the same once more
    end)

    it("asks itself once it is its turn", function()
      turn(false, told { checked_at = core.now, credits = 3 }, 40)
      configure { p = { name = "naga" } }
      due()
      turn(true, "", 0)
      due()
      assert.same({ 4.25, 1 }, { readings.of("p").credits, #core.of "http.call" })
      assert.is_true(about(60))
    end)

    it("gives way to a configuration that came while it asked whose turn it is", function()
      core.set("turns.take", function()
        configure {}
        return true, "", 0
      end)
      configure { p = { name = "naga" } }
      due()
      assert.equal(0, #core.of "http.call")
    end)

    it("takes turns only with those that ask the same of the same account", function()
      core.set("keys.hash", function(text)
        local sum = 7
        for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 99999989 end
        return ("%08d"):format(sum)
      end)
      local names = {}
      local changes = { {}, {}, { key = "sk-2" }, { base_url = "http://q.example" }, { checker = "kilo" }, {} }
      for i, change in ipairs(changes) do
        configure({ p = { name = change.checker or "naga", api_key = change.key } }, { base_url = change.base_url,
          keys = { { key = i == 2 and "sk-other" or "sk-1" } } })
        due()
        names[i] = core.of("turns.take")[i][1]
      end
      for i = 2, 5 do assert.is_true(names[i] ~= names[1]) end
      assert.equal(names[6], names[1])
    end)
  end)

  it("publishes JSON that any worker reads", function()
    configure { p = { name = "naga" } }
    due()
    local board = json.decode(core.published)
    assert.same({ "naga", 60, 4.25, "subscription" }, { board.p.checker, board.p.interval, board.p.credits,
      board.p.meters[1].window })
  end)
end)
