-- What a reservation would meet, asked beforehand: the same answer, and nothing taken.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local library = bench.library

local NOON, MINUTE = 1772366400000, 60000

describe("asking a store whether a call fits", function()
  local store

  before_each(function() store = assert(bench.open "memory:") end)
  after_each(function()
    library.store_close(store)
    bench.clean()
  end)

  local call = {
    claims = { { key = "a", amount = 3, max = 5, window = "minute" },
      { key = "b", amount = 1, max = 9, window = "hour" } },
    provider = "groq", model = "llama", tokens = 10,
  }

  local function used()
    return { (bench.used(store, call.claims[1], NOON)), (bench.used(store, call.claims[2], NOON)) }
  end

  it("takes nothing, however often", function()
    for _ = 1, 5 do assert.is_true((bench.fits(store, call, NOON))) end
    assert.same({ 0, 0 }, used())
    assert.truthy(bench.reserve(store, call, NOON))
    assert.same({ 3, 1 }, used())
  end)

  it("names the limit and the wait as reserving then does", function()
    bench.reserve(store, call, NOON)
    local told = { bench.fits(store, call, NOON + 1000) }
    assert.same({ nil, "a minute", 59000, false }, told)
    assert.same(told, { bench.reserve(store, call, NOON + 1000) })
    assert.same({ 3, 1 }, used())
  end)

  it("heeds what the provider told, and draws nothing of it", function()
    library.store_learn(store, ffi.new("struct store_learnt", { provider = "groq", metric = "requests",
      window = "minute", limit = 5, remaining = 1, reset_at = NOON + MINUTE, seen_at = NOON }))
    local free = { claims = {}, provider = "groq", model = "llama", tokens = 10 }
    for _ = 1, 3 do assert.is_true((bench.fits(store, free, NOON))) end
    assert.truthy(bench.reserve(store, free, NOON))
    local told = { bench.fits(store, free, NOON) }
    assert.same({ "provider:groq:requests minute (told by the provider)", MINUTE }, { told[2], told[3] })
    assert.same(told, { bench.reserve(store, free, NOON) })
  end)
end)

describe("a limit whose counter's name was worked out beforehand", function()
  local store

  before_each(function() store = assert(bench.open "memory:") end)
  after_each(function()
    library.store_close(store)
    bench.clean()
  end)

  local given = { key = "a", window = "day", zone = "Asia/Tokyo", max = 9, amount = 4 }

  it("has the counter that it has without", function()
    local call, kept = bench.call { claims = { given } }
    local limit, room = call.claims[0].limit, ffi.new "char[256]"
    assert.is_true(library.store_name_limit(limit, room, 256))
    assert.equal(0, tonumber(library.store_used(store, limit, NOON, nil)))
    assert.truthy(bench.reserve(store, { claims = { given } }, NOON))
    assert.equal(4, tonumber(library.store_used(store, limit, NOON, nil)))
    local verdict = ffi.new "struct store_verdict"
    bench.inbox.inbox_reserve(store, bench.loop, call, NOON, verdict)
    assert.is_true(verdict.granted and #kept > 0)
    assert.equal(8, (bench.used(store, given, NOON)))
  end)

  it("is left as it was where there is no room for the name", function()
    local call, kept = bench.call { claims = { given } }
    local limit = call.claims[0].limit
    assert.is_false(library.store_name_limit(limit, ffi.new "char[8]", 8))
    assert.is_true(limit.name == nil and #kept > 0)
  end)
end)
