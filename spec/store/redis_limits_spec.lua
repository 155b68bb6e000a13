-- Limits that several gateways keep together on one Redis: exact while it is there, never exceeded while it is not, and
-- in agreement once it is back.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local process = require "spec.support.process"
local redis = require "spec.support.redis"
local valgrind = require "spec.support.valgrind"
local wait = require "spec.support.wait"
local library, native = bench.library, bench.inbox

local NOON = 1772366400000 -- 2026-03-01T12:00:00Z, a Sunday
local DAY = 86400000
local MIDNIGHT = NOON - 12 * 3600000

library.log_open(4, true) -- coming and going is told; not here

describe("Redis", function()
  local server, stores

  local function start(options)
    if server then server:free() end
    server = redis.start(options)
    server.keeps_data = options and options.appendonly
  end

  before_each(function()
    stores = {}
    if not server or server.keeps_data or server.process:has_ended() then start() end
    server:command("FLUSHALL")
  end)
  after_each(function()
    for _, store in pairs(stores) do bench.close(store) end
    if server.frozen then server:thaw() end
  end)
  teardown(function() server:free() end)

  -- What a spec says of exactness must not hang on how full the machine is; how long one waits is said elsewhere.
  local deadline
  local function address()
    return ("redis://127.0.0.1:%d/0%s"):format(server.port, deadline and "?deadline_ms=" .. deadline or "")
  end

  local function problem(store)
    local text = library.store_problem(store)
    return text ~= nil and ffi.string(text) or nil
  end

  -- Runs the loop until a condition holds.
  local function await(condition, what)
    return wait.until_(function()
      bench.turn(0.002)
      return condition()
    end, what)
  end

  local function are_back(list)
    for _, store in ipairs(list or stores) do
      if problem(store) then return false end
    end
    return true
  end

  local function await_back(list) await(function() return are_back(list) end, "Redis to be back for all") end

  local function open(count, apart)
    for i = 1, count do stores[i] = assert((apart and bench.open_apart or bench.open)(address())) end
    -- Each has heard how many there are.
    local time = server:command("TIME")
    local now = time[1] + time[2] / 1e6
    await(function() return server:command("ZCOUNT", "moongate:gateways", now, "+inf") == count end, "all gateways")
    return unpack(stores)
  end

  local function claim(key, amount, max, more)
    local made = { key = key, amount = amount, max = max, window = "day", strict = true }
    for name, value in pairs(more or {}) do made[name] = value end
    return made
  end

  local function reserve(store, made, now) return bench.reserve(store, { claims = { made } }, now or NOON) end

  -- What Redis has of a fixed window: total, leases, and the sums of the gateways' own parts.
  local function figures(key, window, at)
    local list = server:command("HGETALL", ("moongate:counter:%s:%s:%d"):format(key, window or "day", at or MIDNIGHT))
    local found = { total = 0, leases = 0, own = 0, reserved = 0, lent = 0 }
    local names = { t = "total", L = "leases", u = "own", r = "reserved", l = "lent" }
    for i = 1, #(list or {}), 2 do
      local name = names[list[i]:match("^(%a):?")]
      if name then found[name] = found[name] + tonumber(list[i + 1]) end
    end
    return found
  end

  -- All that was ever told adds up.
  local function adds_up(key, used)
    wait.until_(function()
      local found = figures(key)
      return found.total == used and found.own == used and found.reserved == 0 and found.lent == found.leases
    end, ("%s to add up to %d"):format(key, used))
  end

  describe("that several gateways share", function()
    before_each(function() deadline = 5000 end)
    after_each(function() deadline = nil end)

    it("counts as if there were one gateway, whichever is asked", function()
      open(3)
      local limits = {
        claim("a", 0, 700), claim("b", 0, 2000, { window = "hour" }), claim("c", 0, 300, { strict = false }),
      }
      local used, held = { 0, 0, 0 }, {}
      math.randomseed(11)
      for round = 1, 700 do
        local store = stores[math.random(3)]
        local claims, fits = {}, true
        for i, limit in ipairs(limits) do
          local amount = math.random(0, 9)
          claims[i] = claim(limit.key, amount, limit.max, { window = limit.window, strict = limit.strict })
          fits = fits and (amount == 0 or used[i] + amount <= limit.max)
        end
        local reservation, blocked, _, away = bench.reserve(store, { claims = claims }, NOON)
        assert.equal(fits, reservation ~= nil, ("round %d, blocked by %s, away %s"):format(round, blocked, away))
        for i = 1, reservation and 3 or 0 do used[i] = used[i] + claims[i].amount end
        if reservation then held[#held + 1] = { store, reservation, claims } end
        if #held > 0 and math.random(3) == 1 then
          local taken = table.remove(held, math.random(#held))
          local amounts = {}
          for i, made in ipairs(taken[3]) do
            amounts[i] = math.random(0, made.amount)
            used[i] = used[i] - made.amount + amounts[i]
          end
          bench.settle(taken[1], taken[2], amounts, NOON)
          bench.turn(0.002)
        end
      end
      for i, limit in ipairs(limits) do
        local found = figures(limit.key, limit.window, limit.window == "hour" and NOON or nil)
        assert.same({ used[i], used[i] }, { found.total, found.own })
      end
    end)

    it("slides one window for all of them", function()
      open(3)
      local limit = { key = "s", amount = 1, max = 20, window = "10s", sliding = true }
      local times, now, seed = {}, NOON, 7
      for i = 1, 600 do
        seed = (seed * 16807) % 2147483647
        now = now + seed % 400
        local store = stores[i % 3 + 1]
        local reservation = reserve(store, limit, now)
        if reservation then
          times[#times + 1] = now
          bench.settle(store, reservation, { 1 }, now)
        end
      end
      for i = 21, #times do assert.is_true(times[i] - times[i - 20] >= 10000) end
      assert.is_true(#times >= (now - NOON) / 10400 * 20, #times)
    end)

    it("tells each what all have used", function()
      local first, second = open(2)
      local limit = claim("a", 40, 100)
      assert.truthy(reserve(first, limit))
      assert.truthy(reserve(second, claim("a", 30, 100)))
      assert.equal(70, (bench.used(second, limit, NOON)))
      await(function() return bench.used(first, limit, NOON) == 70 end, "the next heartbeat")
      assert.same({ nil, "a day", DAY / 2, false }, { bench.fits(first, { claims = { limit } }, NOON) })
      assert.is_true(bench.fits(first, { claims = { claim("a", 30, 100) } }, NOON))
    end)

    it("gives back what was lent when it is asked for: the last unit goes to whoever comes", function()
      open(3)
      local limit = claim("a", 1, 1000)
      for _, store in ipairs(stores) do
        for _ = 1, 3 do assert.truthy(reserve(store, limit)) end
      end
      assert.is_true(figures("a").leases > 0)
      local granted = 0
      while reserve(stores[1], limit) do granted = granted + 1 end
      assert.equal(991, granted)
      assert.same({ 1000, 0 }, { figures("a").total, figures("a").leases })
    end)

    it("forgets a gateway that ends, but not what it has used", function()
      local first, second = open(2)
      local settled = reserve(first, claim("a", 10, 1000))
      assert.truthy(reserve(first, claim("a", 7, 1000)))
      bench.settle(first, settled, { 6 }, NOON)
      bench.close(first)
      stores = { second }
      assert.same({ 6, 0, 0, 0 }, { figures("a").total, figures("a").reserved, figures("a").leases,
        figures("a").lent })
      assert.equal(1, server:command("ZCARD", "moongate:gateways"))
      assert.truthy(reserve(second, claim("a", 994, 1000)))
      assert.is_nil((reserve(second, claim("a", 1, 1000))))
    end)

    it("takes a gateway for dead that was silent for eleven minutes, and frees what it held", function()
      open(1)
      local key = "moongate:counter:a:day:" .. MIDNIGHT
      server:command("HSET", key, "t", 60, "u:dead", 60, "r:dead", 25, "L", 30, "l:dead", 30)
      server:command("ZADD", "moongate:touched:dead", "+inf", key)
      server:command("ZADD", "moongate:gateways", server:command("TIME")[1] - 700, "dead")
      await(function() return server:command("ZCARD", "moongate:gateways") == 1 end, "the burial")
      assert.same({ total = 35, own = 35, reserved = 0, leases = 0, lent = 0 }, figures "a")
      assert.equal(0, server:command("EXISTS", "moongate:touched:dead"))
    end)

    it("loses no script for good", function()
      local first = open(1)
      local limit = claim("a", 1, 100)
      for i = 1, 20 do
        server:command("SCRIPT", "FLUSH")
        local reservation, _, _, away = reserve(first, limit)
        assert.is_truthy(reservation, away)
        bench.settle(first, reservation, { 1 }, NOON)
        bench.turn(0.005)
        assert.equal(i, figures("a").total)
      end
      assert.is_nil(problem(first))
    end)

    it("sets aside what is no counter, says so, and counts on", function()
      local first, second = open(2)
      assert.truthy(reserve(first, claim("a", 10, 100)))
      assert.truthy(reserve(second, claim("a", 20, 100)))
      local key = "moongate:counter:a:day:" .. MIDNIGHT
      server:command("SET", key, "not a counter")
      assert.is_true(select(4, reserve(first, claim("a", 90, 100))))
      await(function() return figures("a").total == 30 end, "both to tell their figures")
      await(function() return (problem(first) or ""):find(key, 1, true) ~= nil end, "a word about it")
      assert.equal("not a counter", server:command("GET", key .. ":broken"))
      await(function() return reserve(first, claim("a", 70, 100)) end, "Redis to count again")
      assert.is_nil((reserve(second, claim("a", 1, 100))))
    end)
  end)

  -- Six threads at three gateways reserve and settle at random while `act` does something to Redis.
  local function storm(limit, options, act)
    local made, kept = ffi.new("struct store_limit"), {}
    bench.limit(limit, made, kept)
    local list = ffi.new("struct store *[6]", { stores[1], stores[2], stores[3], stores[1], stores[2], stores[3] })
    local amount, keeps, seed = options.amount or 9, options.keeps or false, options.seed or 1
    local blowing = native.storm_begin(list, 6, made, amount, keeps, NOON, seed)
    local seen = ffi.new("int64_t[6]")
    local function look()
      native.storm_look(blowing, seen)
      local figure = {}
      for i, name in ipairs { "granted", "refused", "away", "used", "peak", "longest_us" } do
        figure[name] = tonumber(seen[i - 1])
      end
      figure.asked = figure.granted + figure.refused
      return figure
    end
    local function pass(count, what)
      local from = look()[what or "asked"]
      wait.until_(function() return look()[what or "asked"] >= from + count end, count .. " " .. (what or "asked"), 30)
    end
    local fine, wrong = pcall(act, pass, look)
    native.storm_end(blowing)
    local last = look()
    native.storm_free(blowing)
    assert(kept)
    if not fine then error(wrong, 0) end
    return last
  end

  describe("under a storm of calls at several gateways", function()
    local it = valgrind.native -- for Redis has 30 ms to answer
    it("never lets them exceed a limit, and loses and doubles nothing", function()
      open(3, true)
      local last = storm(claim("a", 0, 300), { seed = 3 }, function(pass) pass(8000) end)
      assert.is_true(last.peak > 250 and last.peak <= 300, last.peak)
      adds_up("a", last.used)
    end)

    it("grants exactly as many calls as there are", function()
      open(3, true)
      local last = storm(claim("a", 0, 1000), { amount = 1, keeps = true }, function(pass)
        pass(1000, "granted")
        pass(300, "refused")
      end)
      assert.same({ 1000, 1000 }, { last.granted, last.used })
      adds_up("a", 1000)
    end)

    -- What is done to Redis -> how; then it is there again.
    local blows = {
      ["freezes"] = function(pass)
        server:freeze()
        pass(3000) -- nobody waits for it
        server:thaw()
      end,
      ["is slow"] = function(pass)
        for _ = 1, 4 do
          server:command("DEBUG", "SLEEP", "0.08")
          pass(200)
        end
      end,
      ["is killed and keeps its data"] = function(pass)
        server:kill()
        pass(3000)
        server:restart()
      end,
      ["is killed and loses its data"] = function(pass)
        server:kill()
        pass(3000)
        server:restart { lose = true }
      end,
      ["is emptied"] = function(pass)
        for _ = 1, 3 do
          server:command("FLUSHALL")
          pass(1000)
        end
      end,
      ["fails over to an old copy"] = function(pass)
        server:command("CONFIG", "SET", "appendonly", "no")
        server:command("SAVE")
        pass(1500)
        server.options.appendonly = false
        server:restart()
      end,
    }
    for what, act in pairs(blows) do
      it("keeps a budget when Redis " .. what, function()
        start { appendonly = true }
        open(3, true)
        local last = storm(claim("a", 0, 400), { seed = 5 }, function(pass)
          pass(1500)
          act(pass)
          await_back()
          pass(1500)
        end)
        await_back()
        assert.is_true(last.peak <= 400, last.peak)
        assert.is_true(last.longest_us < 2e6, last.longest_us)
        adds_up("a", last.used)
      end)
    end
  end)

  describe("that is away", function()
    local it = valgrind.native -- for Redis has 30 ms to answer
    -- The gateways have used some of everything; then Redis answers no more.
    local function prepare(count)
      open(count)
      await(function()
        for _, store in ipairs(stores) do
          if not reserve(store, claim("lent", 1, 1200)) then return false end
        end
        return figures("lent").lent == count * math.floor(1200 / 4 / count)
      end, "leases by the number of gateways")
      for _, store in ipairs(stores) do assert.truthy(reserve(store, claim("few", 1, 3 * count))) end
    end

    local function grants(store, made, now)
      local granted = 0
      while true do
        local reservation, _, _, away = reserve(store, made, now)
        if not reservation then return granted, away end
        granted = granted + 1
      end
    end

    it("leaves each gateway what it has lent itself, and no more", function()
      prepare(3)
      local used = figures("lent").total
      server:freeze()
      for _, store in ipairs(stores) do
        assert.same({ 100, true }, { grants(store, claim("lent", 1, 1200)) })
        assert.same({ 0, true }, { grants(store, claim("few", 1, 9)) }) -- too few to lend any
        assert.is_truthy(problem(store):find("Redis is away", 1, true))
      end
      server:thaw()
      await_back()
      assert.same({ used + 300, used + 300 }, { figures("lent").total, figures("lent").own })
      assert.equal(1200 - used - 300, (grants(stores[2], claim("lent", 1, 1200))))
    end)

    it("leaves a budget's new window nothing, and a rate limit's a share", function()
      prepare(3)
      local sliding = { key = "s", amount = 1, max = 11, window = "minute", sliding = true }
      server:kill()
      for _, store in ipairs(stores) do
        assert.same({ 0, true }, { grants(store, claim("lent", 1, 1200), NOON + DAY) })
        assert.same({ 4, true }, { grants(store, claim("rate", 1, 12, { strict = false, window = "minute" })) })
        assert.same({ 3, true }, { grants(store, sliding) })
      end
      server:restart()
      await_back()
      assert.equal(12, figures("rate", "minute", NOON).total)
      assert.is_nil((reserve(stores[1], claim("rate", 1, 12, { strict = false, window = "minute" }))))
      assert.equal(2, (grants(stores[1], sliding)))
    end)

    it("undoes what it carries out too late", function()
      local first = open(1)
      assert.truthy(reserve(first, claim("a", 5, 100)))
      server:freeze()
      local granted, _, _, away = reserve(first, claim("a", 7, 100)) -- on its way to Redis, and decided here
      assert.same({ true, nil }, { granted ~= nil, away })
      server:thaw()
      await_back()
      assert.same({ 12, 12 }, { figures("a").total, figures("a").own })
    end)

    it("settles what was reserved before, with or without it", function()
      local first, second = open(2)
      local limit = claim("a", 40, 100)
      local one, two = reserve(first, limit), reserve(second, limit)
      server:kill()
      await(function() return problem(first) and problem(second) end, "both to notice")
      bench.settle(first, one, { 10 }, NOON)
      assert.is_truthy(reserve(first, claim("a", 30, 100))) -- what came back is its own again
      server:restart { lose = true }
      await_back()
      bench.settle(second, two, { 50 }, NOON)
      await(function() return figures("a").total == 90 end, "the figures")
      assert.is_nil((reserve(second, claim("a", 11, 100))))
      assert.truthy(reserve(second, claim("a", 10, 100)))
    end)

    it("is waited for at the start, but not for long, and used once it comes", function()
      server:kill()
      local store = assert(bench.open(address()))
      stores[1] = store
      assert.is_truthy(problem(store):find("can't be reached", 1, true))
      assert.same({ 0, true }, { grants(store, claim("a", 1, 100)) })
      server:restart()
      await_back()
      assert.same({ 100, false }, { grants(store, claim("a", 1, 100)) })
    end)
  end)

  describe("that does not let a gateway in", function()
    local function refusal(where)
      local store, message = bench.open_apart(where)
      assert.is_nil(store)
      assert.is_nil(message:find("secret", 1, true))
      return message
    end

    it("is an error at the start: a wrong password, database or server", function()
      start { requirepass = "right" }
      assert.matches("refuses the password", refusal(("redis://:secret@127.0.0.1:%d"):format(server.port)))
      assert.matches("asks for a password", refusal(("redis://127.0.0.1:%d"):format(server.port)))
      assert.matches("has no database 99", refusal(("redis://:right@127.0.0.1:%d/99"):format(server.port)))
      assert.matches("host", refusal "redis://:secret@")
      local other = process.start { "luajit", "-e", [[
        local listener = require("socket").bind("127.0.0.1", 0)
        io.write((select(2, listener:getsockname())), "\n")
        io.flush()
        while true do listener:accept():send "HTTP/1.1 400 Bad Request\r\n\r\n" end]] }
      local port = wait.until_(function() return other:output():match "^(%d+)\n" end, "another server")
      assert.matches("is not Redis", refusal("redis://127.0.0.1:" .. port))
      other:kill "KILL"
      start()
    end)
  end)
end)
