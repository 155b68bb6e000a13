-- Recorded requests under a changed policy: what would have been different, counted against a slow recount; and what
-- cannot be told. Rows are made as the ledger has them.
require "spec.support.core"
local decision = require "moongate.decision"
local json = require "moongate.core.json"
local replay = require "moongate.replay"
local routing = require "spec.support.routing"

describe("a replay", function()
  local models = {
    { id = "small", provider = "one", cost = { input = 1, output = 2 }, quality = 20 },
    { id = "large", provider = "two", cost = { input = 5, output = 20 }, quality = 90 },
    { id = "free", provider = "three", cost = { input = 0, output = 0 }, quality = 10 },
    { id = "dark", provider = "four", quality = 99 },
  }
  local registry = routing.registry(models, { policy = "mine" })
  local world = decision.world(registry)

  local function order(...)
    local wanted = { ... }
    return function(_, list)
      local rank = {}
      for i, id in ipairs(wanted) do rank[id] = i end
      return list:keep("is wanted", function(c) return rank[c.model] end)
        :sort("rank", function(c) return rank[c.model] end)
    end
  end

  -- A set of moongate.policies, as far as a replay asks it.
  local function set_of(own)
    local set = routing.policies(own)
    set.access = set.access or function() end
    return set
  end

  local number = 0
  -- A row whose ladder was this (indexes), served by its first rung unless told.
  local function row_of(ladder, more)
    more = more or {}
    number = number + 1
    local served = registry.targets[more.served or ladder[1] or 0]
    local row = {
      request_id = "r" .. number, time = 1700000000 + number, policy = "mine@1", task = "chat", outcome = "ok",
      provider = served and served.provider or "", model = served and served.model or "auto",
      input_tokens = served and 1000 or 0, cached_tokens = 0, cache_write_tokens = 0,
      output_tokens = served and 100 or 0, reasoning_tokens = 0, cost_microusd = 0,
    }
    if served and served.cost then row.cost_microusd = 1000 * served.cost.input + 100 * served.cost.output end
    local recorded = {
      world = more.world or "hash", whole = true, caller = { name = "dev" }, facts = {},
      request = { model = more.model or "auto", surface = "chat", now = 1700000000, seed = number, estimated_tokens = 7,
        policy = more.policy },
      runs = json.array(more.runs or { "mine" }), ladder = json.array(ladder),
    }
    local detail = json.encode { attempts = json.array {}, decision = recorded }
    if more.carries then detail = string.sub(detail, 1, -2) .. ',"world":' .. more.carries .. "}" end
    row.detail = detail
    for name, value in pairs(more.row or {}) do row[name] = value end
    return row
  end

  local function run(rows, policy, options)
    local given = {
      policies = set_of { mine = policy }, place = "routing", name = "mine", world = world, hash = "hash",
    }
    for name, value in pairs(options or {}) do given[name] = value end
    if given.world == "" then given.world = nil end
    local again = replay.new(given)
    for _, row in ipairs(rows) do again:add(row) end
    if again:left_over() > 0 then
      for _, row in ipairs(rows) do again:add(row, true) end
    end
    assert.equal(0, again:left_over())
    return again:report()
  end

  it("of the same policy finds no difference", function()
    local rows = {}
    for i = 1, 20 do rows[i] = row_of { 1, 2 } end
    local report = run(rows, order("small", "large"))
    assert.same({ 20, 20, 0, 0 }, { report.requests, report.replayed, report.differences, report.not_replayed.total })
    assert.equal(report.usd.before, report.usd.after)
    assert.same({ { provider = "one", before = 20, after = 20 } }, report.providers)
    assert.same({}, report.differ_most)
  end)

  it("prices the new first rung for the tokens that were used", function()
    local report = run({ row_of { 1, 2 }, row_of { 1, 2 } }, order("large", "small"))
    assert.equal(2, report.differences)
    assert.equal(2 * (1000 * 1 + 100 * 2) / 1e6, report.usd.before)
    assert.equal(2 * (1000 * 5 + 100 * 20) / 1e6, report.usd.after)
    assert.same({ { provider = "two", before = 0, after = 2 }, { provider = "one", before = 2, after = 0 } },
      report.providers)
  end)

  it("leaves a request where it was when only later rungs differ", function()
    local report = run({ row_of({ 1, 2 }, { served = 2 }) }, order("small", "free"))
    assert.equal(1, report.differences)
    assert.same({ report.usd.before, { { provider = "two", before = 1, after = 1 } } },
      { report.usd.after, report.providers })
  end)

  it("counts what would be refused, and what no longer would", function()
    local none = function() return {}, "closed today" end
    local report = run({ row_of { 1 } }, none)
    assert.same({ before = 0, after = 1 }, report.refusals)
    assert.equal(0, report.usd.after)
    assert.matches("closed today", report.differ_most[1].reason, 1, true)
    assert.same({ { provider = "", before = 0, after = 1 }, { provider = "one", before = 1, after = 0 } },
      report.providers)

    report = run({ row_of {} }, order("small"))
    assert.same({ before = 1, after = 0 }, report.refusals)
    assert.equal(1, report.estimated)
    assert.equal((7 * 1 + 500 * 2) / 1e6, report.usd.after)

    report = run({ row_of {} }, none)
    assert.same({ { before = 1, after = 1 }, 0 }, { report.refusals, report.differences })
  end)

  it("says how many would go where no price is known", function()
    local report = run({ row_of { 1 } }, order("dark"))
    assert.same({ 1, 0 }, { report.unpriced, report.usd.after })
  end)

  it("shows the ten that differ most, by money, then by their first rung", function()
    local rows = {}
    for i = 1, 15 do
      rows[i] = row_of({ 1, 2 }, { row = { input_tokens = i * 1000, cost_microusd = i * 1000 + 200 } })
    end
    rows[16] = row_of { 2 } -- another ladder, the same first rung
    local report = run(rows, order("large", "small"))
    assert.equal(10, #report.differ_most)
    assert.equal(rows[15].request_id, report.differ_most[1].request_id)
    assert.equal(rows[6].request_id, report.differ_most[10].request_id)
    local first = report.differ_most[1]
    assert.same({ "one/small", "two/large" }, { unpack(first.before.ladder) })
    assert.same({ "two/large", "one/small" }, { unpack(first.after.ladder) })
    assert.same({ 15200, 15000 * 5 + 2000 }, { first.before.cost_microusd, first.after.cost_microusd })
  end)

  it("agrees with a slow recount over random traffic", function()
    local random, rows = routing.random(5), {}
    for i = 1, 200 do
      local a, b = math.floor(random() * 3) + 1, math.floor(random() * 3) + 1
      rows[i] = row_of(a ~= b and { a, b } or random() < 0.2 and {} or { a })
    end
    local wanted = { "free", "large" }
    local report = run(rows, order(unpack(wanted)))
    local differ, before, after, refused = 0, 0, 0, 0
    for _, row in ipairs(rows) do
      local ladder = json.decode(row.detail).decision.ladder
      local same = #ladder == 2 and ladder[1] == 3 and ladder[2] == 2
      if not same then differ = differ + 1 end
      if #ladder == 0 then refused = refused + 1 end
      before = before + row.cost_microusd
      after = after + (ladder[1] == 3 and row.cost_microusd or 0) -- the new first rung costs nothing
    end
    assert.same({ 200, differ, refused, 0 },
      { report.replayed, report.differences, report.refusals.before, report.refusals.after })
    assert.same({ before / 1e6, after / 1e6 }, { report.usd.before, report.usd.after })
  end)

  it("leaves requests alone that the policy had no part in", function()
    local rows = { row_of({ 1 }, { runs = { "other" } }), row_of({}, { runs = { "other" } }) }
    local report = run(rows, function() error "never asked" end)
    assert.same({ 2, 0, 0, { before = 1, after = 1 } },
      { report.replayed, report.differences, report.faults.count, report.refusals })
  end)

  it("asks a policy of a new name for every request, whatever decided it then", function()
    local rows = { row_of({ 1 }, { runs = { "other" } }),
      row_of({ 1 }, { policy = "balanced", runs = { "balanced" } }) }
    local report = run(rows, order("large"), { is_new = true })
    assert.equal(2, report.differences)
  end)

  it("keeps on this machine what a new policy decides in the place of local-only", function()
    local report = run({ row_of({}, { policy = "local-only", runs = { "local-only" } }) }, order("large"),
      { is_new = true })
    assert.same({ before = 1, after = 1 }, report.refusals)
  end)

  it("goes by the task that was found then: what was said is gone", function()
    local by_task = function(request, list)
      return list:keep("fits", function(c) return c.model == (request.task == "coding" and "large" or "small") end)
    end
    local report = run({ row_of({ 1 }), row_of({ 2 }, { row = { task = "coding" } }) }, by_task)
    assert.equal(0, report.differences)
  end)

  it("tells of a policy that fails", function()
    local report = run({ row_of { 1 }, row_of { 1 } }, function() error("out of ideas", 0) end)
    assert.equal(2, report.faults.count)
    assert.matches("out of ideas", report.faults.first, 1, true)
  end)

  describe("refuses with a reason", function()
    local nosy = function(request, list) return #request.messages > 0 and list or list end

    -- title, row, policy, reason
    for _, case in ipairs {
      { "what the gateway died over", function()
        return row_of({ 1 }, { row = { detail = "", outcome = "lost" } }) end, nil, "the gateway died" },
      { "what has no decision with it", function()
        return row_of({ 1 }, { row = { detail = '{"attempts":[]}' } }) end, nil, "no decision is recorded" },
      { "what was refused before a policy was asked", function()
        return row_of({}, { row = { detail = '{"attempts":[]}', policy = "" } }) end, nil, "before a policy was" },
      { "what is no JSON", function()
        return row_of({ 1 }, { row = { detail = '{"decision":' } }) end, nil, "no decision is recorded" },
      { "a record that makes no sense", function()
        return row_of({ 1 }, { row = { detail = '{"decision":{"world":"hash","runs":["mine"],"ladder":7}}' } })
      end, nil, "its record cannot be read" },
      { "a record that is none", function()
        return row_of({ 1 }, { row = { detail = '{"decision":null}' } }) end, nil, "its record cannot be read" },
      { "a policy that reads what was said", function() return row_of { 1 } end, nosy, "reads request.messages" },
      { "a configuration that is gone", function()
        return row_of({ 1 }, { world = "gone" }) end, nil, "recorded nowhere any more" },
    } do
      it(case[1], function()
        local report = run({ row_of { 1 }, case[2](), row_of { 1 } }, case[3] or order "small")
        local reasons = report.not_replayed.reasons
        assert.equal(1, #reasons)
        assert.matches(case[4], reasons[1].reason, 1, true)
        assert.equal(3, report.requests)
        assert.equal(reasons[1].count, report.not_replayed.total)
        assert.equal(3, report.replayed + report.not_replayed.total)
      end)
    end
  end)

  describe("knows a configuration that is over", function()
    it("from the row that carries it, also those that came before", function()
      local rows = { row_of({ 1 }, { world = "old" }), row_of({ 1 }, { world = "old", carries = world }),
        row_of({ 1 }, { world = "old" }), row_of { 1 }, row_of({ 1 }, { world = "old", runs = { "other" } }) }
      local report = run(rows, order "large")
      assert.same({ 5, 5, 4, 0 }, { report.requests, report.replayed, report.differences, report.not_replayed.total })
    end)

    it("and goes a second time only over those that came before it", function()
      local again = replay.new {
        policies = set_of { mine = order "large" }, place = "routing", name = "mine", world = world, hash = "hash",
      }
      local rows = { row_of({ 1 }, { world = "old" }), row_of({ 1 }, { world = "gone" }), row_of { 1 },
        row_of({ 1 }, { world = "old", runs = { "other" } }), row_of({ 1 }, { world = "old" }),
        row_of({ 1 }, { world = "old", carries = world }), row_of({ 1 }, { world = "old" }) }
      for _, row in ipairs(rows) do again:add(row) end
      assert.same({ 2, 4 }, { again:left_over(), again:report().replayed })
      assert.equal(1, again:report().not_replayed.total)
      local walked = 0
      for _, row in ipairs(rows) do
        if again:left_over() == 0 then break end
        again:add(row, true)
        walked = walked + 1
      end
      local report = again:report()
      assert.same({ 5, 6, 1 }, { walked, report.replayed, report.not_replayed.total })
      local shown = {}
      for i, entry in ipairs(report.differ_most) do shown[i] = entry.request_id end
      assert.same({ rows[1].request_id, rows[3].request_id, rows[5].request_id, rows[6].request_id,
        rows[7].request_id }, shown)
    end)

    it("without the present one", function()
      local report = run({ row_of({ 1 }, { carries = world }), row_of { 1 } }, order "large", { world = "" })
      assert.same({ 2, 2 }, { report.replayed, report.differences })
    end)
  end)
end)
