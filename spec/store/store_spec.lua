-- What every store does, whichever backend is behind it.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local library = bench.library
local until_ = require("spec.support.wait").until_

local NOON = 1772366400000 -- 2026-03-01T12:00:00Z, a Sunday
local MINUTE, HOUR, DAY = 60000, 3600000, 86400000

local backends = {
  memory = function() return "memory:" end,
  sqlite = function() return "sqlite:" .. bench.folder() .. "/moongate.db" end,
  ["sqlite, synced later"] = function() return "sqlite:" .. bench.folder() .. "/moongate.db?sync=second" end,
  redis = function() return (select(2, bench.patient())) end,
}

for name, address in pairs(backends) do
  describe("a store in " .. name, function()
    local store, desk

    before_each(function()
      store = assert(bench.open(address()))
      desk = bench.desk()
    end)

    after_each(function()
      bench.close(store)
      desk:free()
      bench.clean()
    end)

    local function claim(key, amount, max, window)
      return { key = key, amount = amount, max = max, window = window or "minute" }
    end

    describe("that counts fixed windows", function()
      it("grants what fits and refuses what does not, naming the limit and the wait", function()
        local call = { claims = { claim("provider:groq:requests", 1, 2) } }
        assert.truthy(bench.reserve(store, call, NOON + 1000))
        assert.truthy(bench.reserve(store, call, NOON + 2000))
        local granted, blocked, wait = bench.reserve(store, call, NOON + 3000)
        assert.is_nil(granted)
        assert.equal("provider:groq:requests minute", blocked)
        assert.equal(57000, wait)
        assert.truthy(bench.reserve(store, call, NOON + MINUTE))
      end)

      it("takes nothing at all when one claim of several has no room", function()
        local roomy, tight = claim("a", 5, 10), claim("b", 5, 4, "day")
        local granted, blocked, wait = bench.reserve(store, { claims = { roomy, tight } }, NOON)
        assert.is_nil(granted)
        assert.equal("b day", blocked)
        assert.equal(0, wait) -- more than the limit itself: waiting does not help
        assert.equal(0, (bench.used(store, roomy, NOON)))
        assert.equal(0, (bench.used(store, tight, NOON)))
      end)

      it("names the limit with the longest wait when several have no room", function()
        bench.reserve(store, { claims = { claim("a", 4, 4), claim("b", 4, 4, "hour") } }, NOON)
        local _, blocked, wait = bench.reserve(store, { claims = { claim("a", 1, 4), claim("b", 1, 4, "hour") } }, NOON)
        assert.equal("b hour", blocked)
        assert.equal(HOUR, wait)
      end)

      it("counts two claims on the same counter together", function()
        assert.is_nil((bench.reserve(store, { claims = { claim("a", 3, 5), claim("a", 3, 5) } }, NOON)))
        assert.equal(0, (bench.used(store, claim("a"), NOON)))
        assert.truthy(bench.reserve(store, { claims = { claim("a", 3, 6), claim("a", 3, 6) } }, NOON))
        assert.equal(6, (bench.used(store, claim("a"), NOON)))
      end)

      it("counts without refusing where there is no limit", function()
        local call = { claims = { { key = "all", amount = 1e15 } } }
        for _ = 1, 3 do assert.truthy(bench.reserve(store, call, NOON)) end
        assert.equal(3e15, (bench.used(store, { key = "all" }, NOON)))
      end)

      it("puts the real amount in the reserved one's place, once", function()
        local limit = claim("tokens", 100, 1000)
        local reservation = bench.reserve(store, { claims = { limit } }, NOON)
        assert.equal(100, (bench.used(store, limit, NOON)))
        bench.settle(store, reservation, { 140 }, NOON + 10)
        bench.settle(store, reservation, { 999 }, NOON + 20)
        bench.settle(store, reservation + 12345, { 999 }, NOON + 20)
        bench.settle(store, 0, { 999 }, NOON + 20)
        assert.equal(140, (bench.used(store, limit, NOON)))
      end)

      it("gives everything back for zeros", function()
        local limit = claim("tokens", 100, 100)
        bench.settle(store, bench.reserve(store, { claims = { limit } }, NOON), { 0 }, NOON)
        assert.equal(0, (bench.used(store, limit, NOON)))
        assert.truthy(bench.reserve(store, { claims = { limit } }, NOON))
      end)

      it("lets a new window begin empty, and charges it only what came beyond the reserved amount", function()
        local limit = claim("tokens", 100, 1000)
        local less = bench.reserve(store, { claims = { limit } }, NOON + 59000)
        local more = bench.reserve(store, { claims = { limit } }, NOON + 59000)
        assert.equal(0, (bench.used(store, limit, NOON + 60000)))
        bench.settle(store, less, { 40 }, NOON + 61000)
        assert.equal(0, (bench.used(store, limit, NOON + 61000)))
        bench.settle(store, more, { 130 }, NOON + 61000)
        assert.equal(30, (bench.used(store, limit, NOON + 61000)))
      end)

      it("rolls days at midnight of the limit's zone", function()
        local limit = { key = "d", amount = 1, max = 1, window = "day", zone = "America/Los_Angeles" }
        assert.truthy(bench.reserve(store, { claims = { limit } }, NOON))
        local _, _, wait = bench.reserve(store, { claims = { limit } }, NOON)
        assert.equal(20 * HOUR, wait) -- 12:00 UTC is 04:00 in winter
        local used, ends = bench.used(store, limit, NOON)
        assert.equal(1, used)
        assert.equal(NOON + 20 * HOUR, ends)
        assert.equal(0, (bench.used(store, { key = "d", window = "day" }, NOON))) -- a UTC day is another counter
      end)

      it("never resets what has no window", function()
        local limit = claim("credits", 6, 10, "none")
        assert.truthy(bench.reserve(store, { claims = { limit } }, NOON))
        local granted, _, wait = bench.reserve(store, { claims = { limit } }, NOON + 1000 * DAY)
        assert.is_nil(granted)
        assert.equal(0, wait)
      end)
    end)

    describe("that slides", function()
      it("frees what is older than the window and nothing younger", function()
        local limit = { key = "key:a:requests", amount = 1, max = 3, window = "minute", sliding = true }
        local call = { claims = { limit } }
        for i = 0, 2 do assert.truthy(bench.reserve(store, call, NOON + i * 10000)) end
        local _, _, wait = bench.reserve(store, call, NOON + 59999)
        assert.truthy(wait > 0 and wait <= 1001, wait)
        assert.truthy(bench.reserve(store, call, NOON + 59999 + wait))
        assert.is_nil((bench.reserve(store, call, NOON + 61000)))
      end)

      it("never holds more than the limit in any window, and little less", function()
        local limit = { key = "s", amount = 1, max = 20, window = "10s", sliding = true }
        local times, now, seed = {}, NOON, 7
        for _ = 1, 4000 do
          seed = (seed * 16807) % 2147483647
          now = now + seed % 400
          local reservation = bench.reserve(store, { claims = { limit } }, now)
          if reservation then
            times[#times + 1] = now
            bench.settle(store, reservation, { 1 }, now)
          end
        end
        for i = 21, #times do assert.is_true(times[i] - times[i - 20] >= 10000) end
        -- 20 a window of 10 s and a part of it
        assert.is_true(#times >= (now - NOON) / 10400 * 20, #times)
      end)

      it("settles into the part of the window where it was reserved", function()
        local limit = { key = "s", amount = 10, max = 100, window = "minute", sliding = true }
        local reservation = bench.reserve(store, { claims = { limit } }, NOON)
        bench.settle(store, reservation, { 25 }, NOON + 30000)
        assert.equal(25, (bench.used(store, limit, NOON + 59000)))
        assert.equal(0, (bench.used(store, limit, NOON + 61000)))
        local late = bench.reserve(store, { claims = { limit } }, NOON + 70000)
        bench.settle(store, late, { 12 }, NOON + 200000)
        assert.equal(2, (bench.used(store, limit, NOON + 200000)))
      end)
    end)

    describe("whose clock jumps back", function()
      for _, sliding in ipairs { false, true } do
        local kind = sliding and "sliding" or "fixed"
        it("keeps the count of a " .. kind .. " window", function()
          local limit = { key = "j", amount = 1, max = 3, window = "minute", sliding = sliding }
          local call = { claims = { limit } }
          local first = bench.reserve(store, call, NOON + 5000)
          bench.reserve(store, call, NOON + 5000)
          assert.equal(2, (bench.used(store, limit, NOON - 5000)))
          assert.truthy(bench.reserve(store, call, NOON - 5000))
          assert.is_nil((bench.reserve(store, call, NOON - 5000)))
          bench.settle(store, first, { 0 }, NOON - 5000)
          assert.equal(2, (bench.used(store, limit, NOON - 5000)))
        end)

        it("counts on in the present when a " .. kind .. " window lay far ahead", function()
          local limit = { key = "far", amount = 1, max = 3, window = "minute", sliding = sliding }
          local call = { claims = { limit } }
          local ahead = bench.reserve(store, call, NOON + 365 * DAY)
          bench.reserve(store, call, NOON + 365 * DAY)
          assert.equal(2, (bench.used(store, limit, NOON)))
          assert.truthy(bench.reserve(store, call, NOON))
          local granted, _, wait = bench.reserve(store, call, NOON)
          assert.is_nil(granted)
          assert.is_true(wait <= 61000, wait)
          bench.settle(store, ahead, { 1 }, NOON)
          assert.equal(3, (bench.used(store, limit, NOON)))
          assert.equal(0, (bench.used(store, limit, NOON + 2 * MINUTE)))
        end)
      end
    end)

    it("sweeps counters that are over and none that counts", function()
      local old, present = claim("old", 1), claim("present", 1, 10, "day")
      bench.settle(store, bench.reserve(store, { claims = { old, present } }, NOON), { 1, 1 }, NOON)
      for i = 1, 5000 do
        local reservation = bench.reserve(store, { claims = { claim("k" .. i, 1) } }, NOON + 10 * MINUTE)
        bench.settle(store, reservation, { 1 }, NOON + 10 * MINUTE)
      end
      assert.equal(1, (bench.used(store, present, NOON + 10 * MINUTE)))
      assert.equal(1, (bench.used(store, claim("k1"), NOON + 10 * MINUTE)))
      assert.equal(1, (bench.used(store, claim("k5000"), NOON + 10 * MINUTE)))
    end)

    describe("under several threads", function()
      local function crowd(call, rounds, actual)
        local made, kept = bench.call(call)
        local amounts = actual and ffi.new("int64_t[?]", #actual, actual) or nil
        library.store_leave(store) -- this thread's loop stands still meanwhile
        local granted = bench.inbox.crowd_run(store, made, 8, rounds, NOON, amounts)
        library.store_join(store, bench.loop)
        assert(kept)
        return tonumber(granted)
      end

      -- Another server tells in its own time what it knows.
      local function uses(expected, limit)
        until_(function()
          bench.turn(0.001)
          return bench.used(store, limit, NOON) == expected
        end, ("%s to be %d"):format(limit.key, expected))
      end

      it("grants exactly as many calls as fit", function()
        local call = { claims = { claim("a", 1, 1e6), claim("b", 3, 3000), claim("c", 1, 1500, "day") } }
        local granted = 0
        -- A full machine may make it miss its server for a moment, and refuse what would fit.
        for _ = 1, 50 do
          granted = granted + crowd(call, 1000)
          if granted >= 1000 or name ~= "redis" then break end
          until_(function()
            bench.turn(0.001)
            return library.store_problem(store) == nil
          end, "Redis to be back")
        end
        assert.same({ 1000, 0 }, { granted, crowd(call, 10) })
        uses(1000, call.claims[1])
        uses(3000, call.claims[2])
        uses(1000, call.claims[3])
      end)

      it("loses and doubles nothing that is settled", function()
        local call = { claims = { claim("a", 100), { key = "s", amount = 5, window = "hour", sliding = true } } }
        assert.equal(8000, crowd(call, 1000, { 7, 3 }))
        uses(56000, call.claims[1])
        uses(24000, call.claims[2])
      end)

      it("draws no more of a learnt limit than the provider told", function()
        library.store_learn(store, ffi.new("struct store_learnt", { provider = "groq", metric = "requests",
          window = "day", limit = 1000, remaining = 321, reset_at = NOON + HOUR, seen_at = NOON }))
        assert.equal(321, crowd({ claims = { claim("a", 1) }, provider = "groq", model = "m" }, 200))
        uses(321, claim("a"))
      end)
    end)

    describe("that is told of limits", function()
      local function learn(word)
        word.provider, word.window = word.provider or "groq", word.window or "minute"
        word.limit, word.reset_at, word.seen_at = word.limit or -1, word.reset_at or 0, word.seen_at or NOON
        library.store_learn(store, ffi.new("struct store_learnt", word))
      end

      local function learnt(provider)
        local all = {}
        local each = ffi.cast("void (*)(void *, const struct store_learnt *)", function(_, word)
          all[#all + 1] = { metric = ffi.string(word.metric), model = ffi.string(word.model),
            remaining = tonumber(word.remaining), source = ffi.string(word.source) }
        end)
        library.store_each_learnt(store, provider, each, nil)
        each:free()
        return all
      end

      local function reserve(model, tokens, now)
        return bench.reserve(store, { claims = {}, provider = "groq", model = model, tokens = tokens }, now or NOON)
      end

      it("counts down what remains and refuses what does not", function()
        learn { metric = "tokens", limit = 1000, remaining = 100, reset_at = NOON + 41000, source = "discovered" }
        assert.truthy(reserve("m", 60))
        assert.same({ { metric = "tokens", model = "", remaining = 40, source = "discovered" } }, learnt("groq"))
        local granted, blocked, wait = reserve("m", 60)
        assert.is_nil(granted)
        assert.equal("provider:groq:tokens minute (told by the provider)", blocked)
        assert.equal(41000, wait)
        assert.truthy(reserve("m", 40))
        assert.truthy(reserve("m", 60, NOON + 41000))
        assert.same({}, learnt("other"))
      end)

      it("holds a model's word against that model only", function()
        learn { model = "big", metric = "requests", remaining = 0, reset_at = NOON + 1000 }
        assert.truthy(reserve("small", 1))
        local _, blocked = reserve("big", 1)
        assert.equal("provider:groq/big:requests minute (told by the provider)", blocked)
      end)

      it("believes a word without reset for one window", function()
        learn { metric = "input_tokens", remaining = 5, window = "hour" }
        local _, _, wait = reserve("m", 6, NOON + 1000)
        assert.equal(HOUR - 1000, wait)
        assert.truthy(reserve("m", 6, NOON + HOUR))
      end)

      it("lets a newer word replace an older one, and not the other way", function()
        learn { metric = "requests", remaining = 7, seen_at = NOON }
        learn { metric = "requests", remaining = 9, seen_at = NOON - 1 }
        assert.equal(7, learnt()[1].remaining)
        learn { metric = "requests", remaining = 3, seen_at = NOON + 1 }
        assert.equal(3, learnt()[1].remaining)
        assert.equal(1, #learnt())
        learn { metric = "requests", remaining = 8, seen_at = NOON - DAY } -- the clock was ahead before
        assert.equal(8, learnt()[1].remaining)
      end)

      it("is not held up by what the provider left unsaid", function()
        learn { metric = "requests", remaining = -1, limit = 10 }
        learn { metric = "neurons", remaining = 0 }
        assert.truthy(reserve("m", 5))
      end)

      it("gives a call that was never made back to the provider's account", function()
        learn { metric = "requests", remaining = 5, limit = 10 }
        local call = { claims = { claim("a") }, provider = "groq", tokens = 1 }
        local back, kept = bench.reserve(store, call, NOON), bench.reserve(store, call, NOON)
        assert.equal(3, learnt()[1].remaining)
        bench.settle(store, back, { 0 }, NOON)
        bench.settle(store, kept, { 1 }, NOON)
        assert.equal(4, learnt()[1].remaining)
      end)
    end)

    describe("that marks targets exhausted", function()
      local function exhaust(until_time, now, reason)
        return tonumber(library.store_exhaust(store, "groq/m", until_time, reason or "429", now))
      end
      local function exhausted(now)
        local reason = ffi.new("char[64]")
        local until_time = tonumber(library.store_exhausted(store, "groq/m", now, reason, 64))
        return until_time, ffi.string(reason)
      end

      it("keeps the mark and its reason until the time told", function()
        assert.equal(NOON + 41000, exhaust(NOON + 41000, NOON, "tokens per minute"))
        local until_time, reason = exhausted(NOON + 40999)
        assert.equal(NOON + 41000, until_time)
        assert.equal("tokens per minute", reason)
        assert.equal(0, (exhausted(NOON + 41000)))
        assert.equal(0, tonumber(library.store_exhausted(store, "other", NOON, nil, 0)))
      end)

      it("only ever raises an expiry", function()
        exhaust(NOON + 5000, NOON, "first")
        assert.equal(NOON + 5000, exhaust(NOON + 1000, NOON, "second"))
        assert.equal("first", select(2, exhausted(NOON)))
        assert.equal(NOON + 9000, exhaust(NOON + 9000, NOON, "third"))
        assert.equal("third", select(2, exhausted(NOON)))
      end)

      it("doubles an untold wait each time it proves too short, up to an hour", function()
        local now, waits = NOON, {}
        for i = 1, 8 do
          local until_time = exhaust(0, now)
          waits[i] = (until_time - now) / 1000
          now = until_time
        end
        assert.same({ 60, 120, 240, 480, 960, 1920, 3600, 3600 }, waits)
        library.store_recovered(store, "groq/m")
        assert.equal(now + 60000, exhaust(0, now))
      end)

      it("takes refusals of calls under way for one", function()
        assert.equal(NOON + 60000, exhaust(0, NOON))
        assert.equal(NOON + 60200, exhaust(0, NOON + 200))
      end)
    end)

    describe("that holds keys", function()
      local function add(text, prefix, settings)
        local key, answer = ffi.new("struct store_key"), bench.answer()
        library.digest_sha256(text, #text, key.hash)
        key.prefix, key.settings, key.created = prefix, settings or "{}", NOON
        local added = library.store_key_add(store, key, desk:home(), bench.inbox.inbox_note, answer.place)
        if added then desk:wait(function() return answer() ~= nil end) end
        return added, answer()
      end
      local function find(text)
        local hash = ffi.new("unsigned char[32]")
        library.digest_sha256(text, #text, hash)
        local settings = library.store_key_find(store, hash)
        if settings == nil then return nil end
        local found = ffi.string(settings)
        library.mem_free(settings)
        return found
      end
      local function revoke(prefix)
        local answer = bench.answer()
        local count = tonumber(library.store_key_revoke(store, prefix, NOON, desk:home(), bench.inbox.inbox_note,
          answer.place))
        if count == 1 then desk:wait(function() return answer() ~= nil end) end
        return count, answer()
      end

      it("finds a key by its digest and nothing by another", function()
        local added, saved = add("mg-3f9c2a-secret", "mg-3f9c2a", '{"name":"dev"}')
        assert.is_true(added)
        assert.is_true(saved)
        assert.equal('{"name":"dev"}', find("mg-3f9c2a-secret"))
        assert.is_nil(find("mg-3f9c2a-secreT"))
      end)

      it("refuses a second key with the same prefix or digest", function()
        assert.is_true(add("one", "mg-1"))
        assert.is_false((add("two", "mg-1")))
        assert.is_false((add("one", "mg-2")))
        assert.is_nil(find("two"))
      end)

      it("revokes by a prefix that fits exactly one key in force", function()
        add("one", "mg-aaa1")
        add("two", "mg-aaa2")
        local before = tonumber(library.store_key_generation(store))
        assert.equal(2, (revoke("mg-aaa")))
        assert.equal(0, (revoke("mg-b")))
        assert.equal(before, tonumber(library.store_key_generation(store)))
        local count, saved = revoke("mg-aaa1")
        assert.equal(1, count)
        assert.is_true(saved)
        assert.equal(before + 1, tonumber(library.store_key_generation(store)))
        assert.is_nil(find("one"))
        assert.equal("{}", find("two"))
        assert.equal(1, (revoke("mg-aaa")))
      end)

      it("lists them all, the revoked ones too", function()
        add("one", "mg-1")
        add("two", "mg-2")
        revoke("mg-1")
        local list = {}
        local each = ffi.cast("void (*)(void *, const struct store_key *)", function(_, key)
          list[ffi.string(key.prefix)] = tonumber(key.revoked)
        end)
        library.store_each_key(store, each, nil)
        each:free()
        assert.same({ ["mg-1"] = NOON, ["mg-2"] = 0 }, list)
      end)
    end)

    describe("that keeps the ledger", function()
      local function row(id, more)
        local fields = { request_id = id, time = NOON, org = "acme", key = "mg-1", surface = "chat", provider = "groq",
          model = "llama", outcome = "ok", status = 200, attempts = 2, input_tokens = 10, cached_tokens = 1,
          cache_write_tokens = 2, output_tokens = 20, reasoning_tokens = 3, billed_tokens = 36, cost_microusd = 420,
          savings_microusd = 99, estimated = false, latency_ms = 512, detail = '{"attempts":[]}' }
        for field, value in pairs(more or {}) do fields[field] = value end
        return fields
      end

      it("finds a closed row with all that was in it", function()
        assert.is_true(desk:close_row(store, row("r1")))
        assert.same(row("r1"), desk:find_row(store, "r1"))
        assert.is_nil(desk:find_row(store, "r2"))
      end)

      it("finds a row that is still open", function()
        local fields = row("r1", { outcome = "", status = 0 })
        local row_id = bench.open_row(store, fields)
        assert.same(fields, desk:find_row(store, "r1"))
        assert.is_true(desk:close_row(store, row("r1", { row_id = row_id })))
        assert.equal("ok", desk:find_row(store, "r1").outcome)
      end)

      it("closes a row once: what comes later changes nothing", function()
        local row_id = bench.open_row(store, row("r1"))
        assert.is_true(desk:close_row(store, row("r1", { row_id = row_id, status = 200 })))
        assert.is_true(desk:close_row(store, row("r1", { row_id = row_id, status = 500 })))
        assert.equal(200, desk:find_row(store, "r1").status)
      end)

      it("gives every row an id of its own that no caller chooses", function()
        local first, second = bench.open_row(store, row("r1", { row_id = "mine" })), bench.open_row(store, row("r1"))
        assert.matches("^%w+$", first)
        assert.equal(26, #first)
        assert.not_equal(first, second)
      end)

      it("begins a new row for a request id that comes again, and finds the newest", function()
        for status = 200, 204 do
          local row_id = bench.open_row(store, row("r1", { status = 0 }))
          assert.equal(0, desk:find_row(store, "r1").status)
          assert.is_true(desk:close_row(store, row("r1", { row_id = row_id, status = status })))
          assert.equal(status, desk:find_row(store, "r1").status)
        end
        assert.is_true(desk:close_row(store, row("r1", { status = 400 }))) -- never opened
        assert.equal(400, desk:find_row(store, "r1").status)
      end)

      it("keeps rows apart that are under way with one request id", function()
        local ids = {}
        for i = 1, 3 do ids[i] = bench.open_row(store, row("r1", { outcome = "", label = "row " .. i })) end
        local function close(i)
          assert.is_true(desk:close_row(store, row("r1", { row_id = ids[i], label = "row " .. i })))
          local found = desk:find_row(store, "r1")
          return { found.label, found.outcome }
        end
        local found = desk:find_row(store, "r1")
        assert.same({ "row 3", "" }, { found.label, found.outcome })
        assert.same({ "row 2", "" }, close(3))
        assert.same({ "row 2", "" }, close(1))
        assert.same({ "row 2", "ok" }, close(2))
      end)

      it("finds a row by the request id that it was closed with", function()
        local row_id = bench.open_row(store, row("r1"))
        assert.is_true(desk:close_row(store, row("r2", { row_id = row_id })))
        assert.is_nil(desk:find_row(store, "r1"))
        assert.equal("ok", desk:find_row(store, "r2").outcome)
      end)

      it("keeps texts whole that quote, and cuts those that never end", function()
        local odd = row("r'\"1", { label = "Ünï'; DROP TABLE ledger;--", task = ("é"):rep(2000) })
        assert.is_true(desk:close_row(store, odd))
        local found = desk:find_row(store, "r'\"1")
        assert.equal(odd.label, found.label)
        assert.equal(("é"):rep(512), found.task)
      end)

      it("finds what was queued before it is written", function()
        local answers = {}
        for i = 1, 200 do
          answers[i] = bench.answer()
          local made = bench.row(row("r" .. i))
          library.store_row_close(store, made, desk:home(), bench.inbox.inbox_note, answers[i].place)
        end
        assert.equal("r200", desk:find_row(store, "r200").request_id)
        desk:wait(function() return answers[200]() end)
        assert.equal("r1", desk:find_row(store, "r1").request_id)
      end)

      it("finds the newest of those that are queued with one request id", function()
        local answers, opened = {}, {}
        for i = 1, 200 do opened[i] = bench.open_row(store, row("r1", { status = 0 })) end
        for i = 1, 200 do
          local fields = row("r1", { row_id = opened[i], status = i })
          answers[i] = bench.answer()
          library.store_row_close(store, bench.row(fields), desk:home(), bench.inbox.inbox_note, answers[i].place)
        end
        assert.equal(200, desk:find_row(store, "r1").status)
        desk:wait(function() return answers[200]() end)
        assert.equal(200, desk:find_row(store, "r1").status)
      end)
    end)

    it("has no problem to tell of", function()
      assert.is_true(library.store_problem(store) == nil)
    end)
  end)
end
