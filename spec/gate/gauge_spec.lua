-- How a target stands, read from a real store in memory, and written down: moongate.core.gauge.
local ffi = require "ffi"
local json = require "spec.support.core" and require "moongate.core.json"
local library = require "spec.support.library"
local vm = require "spec.support.vm"

ffi.cdef [[
  struct gauge_spec_gate { const void *script; void *store, *health; };
  struct gauge_spec_worker { int index; struct gauge_spec_gate *gate; };
  struct gauge_spec_learnt {
    char provider[64], model[128], metric[24], window[12], source[12]; int64_t limit, remaining, reset_at, seen_at;
  };
  void *gauge_spec_store_open(const char *address, char *error, size_t size) __asm__("store_open");
  void gauge_spec_store_close(void *store) __asm__("store_close");
  void gauge_spec_learn(void *store, const struct gauge_spec_learnt *word) __asm__("store_learn");
  int64_t gauge_spec_now(void) __asm__("clock_wall_ms");
  void *gauge_spec_health_new(void) __asm__("health_new");
  void gauge_spec_health_free(void *health) __asm__("health_free");
  int gauge_spec_gauge(lua_State *L) __asm__("bind_gauge_module");
  int gauge_spec_store(lua_State *L) __asm__("bind_store_module");
  int gauge_spec_health(lua_State *L) __asm__("bind_health_module");
]]

-- What a target is, and what reads it. Words of a provider's are called by their metric; a checker's hold longer.
local BEGIN = [[
  gauge, store, health = require "moongate.core.gauge", require "moongate.core.store", require "moongate.core.health"
  json, asked = require "moongate.core.json", 0
  gauge.meaning(function(metric, window, source)
    asked = asked + 1
    return window ~= "fortnight" and metric .. "_per_" .. window or nil, source == "header" and 2 or 5,
      source == "checker" and 900 or 60
  end)
  function limit(metric, max, documented)
    return { name = metric .. "_per_minute", metric = metric, max = max, documented = documented,
      key = "provider:one:" .. metric, window = "minute" }
  end
  function take(metric, amount)
    local claim = limit(metric)
    claim.place = 3
    assert(store.reserve({ claim }, 0, 0, amount, 0, 0))
  end
  limits = { limit("requests", 30), limit("tokens", 1000) }
  function target() return gauge.of { index = 7, id = "one/a", provider = "one", model = "a", limits = limits } end
  function written(seen, whole)
    json.begin()
    json.add "{"
    json.add_seen(seen, whole)
    json.add "}"
    return json.finish()
  end
  function left_of(seen) return json.encode((gauge.left(seen))) end
]]

describe("a gauge", function()
  local gate, worker, lua

  before_each(function()
    gate, worker = ffi.new "struct gauge_spec_gate", ffi.new "struct gauge_spec_worker"
    local error = ffi.new "char[200]"
    gate.store = library.gauge_spec_store_open("memory:", error, 200)
    assert(gate.store ~= nil, ffi.string(error))
    gate.health = library.gauge_spec_health_new()
    worker.gate = gate
    lua = vm.new(worker)
    library.vm_preload(lua.vm, "moongate.core.gauge", library.gauge_spec_gauge)
    library.vm_preload(lua.vm, "moongate.core.store", library.gauge_spec_store)
    library.vm_preload(lua.vm, "moongate.core.health", library.gauge_spec_health)
    lua:run(BEGIN)
  end)

  after_each(function()
    lua:free()
    library.gauge_spec_store_close(gate.store)
    library.gauge_spec_health_free(gate.health)
  end)

  -- seconds: since it was told; reset_s: from now on
  local function learn(word)
    local now = library.gauge_spec_now()
    local told = ffi.new "struct gauge_spec_learnt"
    told.provider, told.model, told.metric = "one", word.model or "", word.metric or "requests"
    told.window, told.source, told.limit = word.window or "minute", word.source or "header", -1
    told.remaining, told.seen_at = word.remaining or 2, now - (word.seconds or 5) * 1000
    told.reset_at = word.reset_s == nil and now + 20000 or word.reset_s and now + word.reset_s * 1000 or 0
    library.gauge_spec_learn(gate.store, told)
  end

  local function answer(source) return json.decode((lua:run("return " .. source))) end

  it("tells what is left of limits, never below nothing", function()
    assert.same({ requests_per_minute = 30, tokens_per_minute = 1000 }, answer "left_of(gauge.read(target()))")
    lua:run 'take("requests", 12) take("tokens", 1000) take("tokens", 5)'
    assert.same({ requests_per_minute = 18, tokens_per_minute = 0 }, answer "left_of(gauge.begin(target()))")
    assert.same({ 12, 1005 }, answer "json.encode(gauge.counts(gauge.begin(target())))")
  end)

  it("tells the smaller rest where two limits have one name", function()
    lua:run 'limits = { limit("requests", 30), limit("requests", 20) }'
    assert.same({ requests_per_minute = 20 }, answer "left_of(gauge.read(target()))")
  end)

  -- title, what was told, what is left of requests a minute
  for _, case in ipairs {
    { "where it is lower", { {} }, 2 },
    { "of this very model", { { model = "a" } }, 2 },
    { "not of another model", { { model = "b" } }, 30 },
    { "not where our own count is lower", { { remaining = 500 } }, 30 },
    { "not once its window is over", { { reset_s = -1 } }, 30 },
    { "without a reset for a while", { { reset_s = false, seconds = 55 } }, 2 },
    { "without a reset no longer than that", { { reset_s = false, seconds = 61 } }, 30 },
    { "without a reset for longer of another source", { { reset_s = false, seconds = 895, source = "checker" } }, 2 },
    { "no longer than that", { { reset_s = false, seconds = 901, source = "checker" } }, 30 },
    { "only if it tells what remains", { { remaining = -1 } }, 30 },
    { "not what has no name", { { window = "fortnight" } }, 30 },
    { "of the source that is trusted most", { { remaining = 3, source = "probe" }, { remaining = 9 } }, 9 },
    { "of another one where that does not hold", { { remaining = 3, source = "probe" },
      { remaining = 9, reset_s = -1 } }, 3 },
    { "of all models and of this one the lower", { { remaining = 9 }, { remaining = 4, model = "a" } }, 4 },
    { "the lower the other way round", { { remaining = 4 }, { remaining = 9, model = "a" } }, 4 },
  } do
    it("believes the provider's own word " .. case[1], function()
      for _, word in ipairs(case[2]) do learn(word) end
      assert.equal(case[3], answer("left_of(gauge.read(target()))").requests_per_minute)
      assert.equal(case[3], answer("left_of(gauge.begin(target()))").requests_per_minute)
    end)
  end

  it("believes it over what is only documented, and also of what has no limit here", function()
    lua:run 'limits = { limit("requests", 30, true) }'
    learn { remaining = 190 }
    learn { metric = "units", remaining = 7 }
    assert.same({ requests_per_minute = 190, units_per_minute = 7 }, answer "left_of(gauge.read(target()))")
    assert.same({ requests_per_minute = 190, units_per_minute = 7 }, answer "json.encode(gauge.remains(target()))")
  end)

  it("tells of what is left what a replay works out of the record", function()
    local decision, chance = require "moongate.decision", 4711
    local function dice(sides)
      chance = chance * 16807 % 2147483647
      return chance % sides + 1
    end
    local metrics = { "requests", "tokens", "units" }
    for round = 1, 60 do
      local limits, lines = {}, {}
      for i = 1, dice(5) do
        local limit = { metric = metrics[dice(3)], max = dice(300), documented = dice(3) == 1 }
        limit.name, limits[i] = limit.metric .. "_per_minute", limit
        lines[i] = ("limit(%q, %d, %s)"):format(limit.metric, limit.max, tostring(limit.documented))
      end
      lua:run("limits = { " .. table.concat(lines, ", ") .. " }")
      lua:run(('take(%q, %d)'):format(metrics[dice(3)], dice(9)))
      learn { metric = metrics[dice(3)], remaining = dice(300) - 1, model = ({ "", "a", "b" })[dice(3)] }
      lua:run "seen = gauge.read(target())"
      local facts = json.decode((lua:run "return written(seen)"))["7"]
      local target = { index = round, provider_limits = limits, limits = {} }
      assert.same(decision.left(target, facts.used, facts.told), answer "left_of(seen)")
    end
  end)

  it("has room for as much as a provider tells", function()
    local all = {}
    for i = 1, 60 do
      local metric = "unit_" .. string.char(96 + math.ceil(i / 20), 96 + i % 20 + 1)
      learn { metric = metric, remaining = i }
      all[metric .. "_per_minute"] = i
    end
    assert.same(all, answer "json.encode(gauge.remains(target()))")
    all.requests_per_minute, all.tokens_per_minute = 30, 1000
    lua:run 'one = target() first, second = gauge.begin(one), gauge.begin(one) gauge.exhausted(first)'
    for _, seen in ipairs { "first", "second", "(gauge.read(target()))" } do
      assert.same(all, answer("left_of(" .. seen .. ")"))
      assert.same(all, answer("left_of(gauge.complete(" .. seen .. "))"))
    end
  end)

  it("asks once what a word means", function()
    learn {}
    lua:run "for _ = 1, 5 do gauge.read(target()) end"
    assert.equal("1", (lua:run "return tostring(asked)"))
  end)

  it("tells how long target or provider are exhausted, and why", function()
    assert.same({ "0", "" }, { lua:run "return tostring(gauge.exhausted(gauge.read(target()))), ''" })
    lua:run 'store.exhaust("one/a", 50, "rate_limited") store.exhaust("one", 90, "auth")'
    for _, read in ipairs { "read", "begin" } do
      local source = "local wait, why = gauge.exhausted(gauge." .. read .. "(target()))"
      local wait, why = lua:run(source .. " return tostring(wait), why")
      assert.equal("auth", why)
      assert.is_true(tonumber(wait) > 89 and tonumber(wait) <= 90)
    end
    assert.is_false((lua:run "return (select(2, gauge.read(target())))"))
  end)

  it("says whether a target may be called: neither exhausted, nor with an open breaker", function()
    assert.is_true((lua:run "return (select(2, gauge.read(target())))"))
    lua:run 'health.failed("one/a", 1, 15)'
    assert.is_false((lua:run "return (select(2, gauge.read(target())))"))
    local open, ms, errors, wait = lua:run [[
      local open, ms, errors, wait = gauge.health(gauge.read(target()))
      return open, ms, tostring(errors), tostring(wait)
    ]]
    assert.same({ true, nil, "0.2" }, { open, ms, errors })
    assert.is_true(tonumber(wait) > 14)
  end)

  it("holds still what it has read", function()
    lua:run "seen, begun = gauge.read(target()), gauge.begin(target()) gauge.left(begun)"
    learn { remaining = 3 }
    lua:run 'take("requests", 5) store.exhaust("one", 5, "x") health.failed("one/a", 1, 15)'
    assert.equal(30, answer("left_of(seen)").requests_per_minute)
    assert.equal(30, answer("left_of(gauge.complete(begun))").requests_per_minute)
    assert.equal("0", (lua:run "return tostring((gauge.exhausted(seen)))"))
    assert.is_false((lua:run "return (gauge.health(seen))"))
  end)

  it("outlives what it was read by", function()
    lua:run "seen = gauge.read(target()) limits = nil collectgarbage() collectgarbage()"
    assert.same({ requests_per_minute = 30, tokens_per_minute = 1000 }, answer "left_of(seen)")
  end)

  describe("is written down", function()
    it("whole: only what is unusual", function()
      assert.equal("{}", (lua:run "return written(gauge.read(target()), true)"))
      lua:run 'take("tokens", 5) health.succeeded("one/a", 12.345) store.exhaust("one", 1e6, "x")'
      learn { metric = "units", remaining = 0 }
      learn { metric = "bits", remaining = 8 }
      local text = string.gsub((lua:run "return written(gauge.read(target()), true)"), "99%d+%.?%d*", "99")
      assert.equal('{"7":{"wait":1000000,"ms":12.35,"told":{"bits_per_minute":8,"units_per_minute":0},"used":[0,5]}}',
        (string.gsub(text, '"wait":99', '"wait":1000000')))
    end)

    it("else: what has been read", function()
      assert.equal('{"7":{}}', (lua:run "return written(gauge.begin(target()))"))
      assert.equal('{"7":{"wait":0,"used":[0,0]}}', (lua:run [[
        local seen = gauge.begin(target())
        gauge.left(seen)
        gauge.exhausted(seen)
        return written(seen)
      ]]))
      assert.equal('{"7":{"errors":0}}', (lua:run [[
        local seen = gauge.begin(target())
        gauge.health(seen)
        return written(seen)
      ]]))
    end)

    it("with a balance, or that there was none", function()
      lua:run "seen = gauge.begin(target()) gauge.note_balance(seen, nil)"
      assert.equal('{"7":{"balance":false}}', (lua:run "return written(seen)"))
      assert.equal("{}", (lua:run "return written(seen, true)"))
      lua:run "gauge.note_balance(seen, 7.25)"
      assert.equal('{"7":{"balance":7.25}}', (lua:run "return written(seen, true)"))
      assert.same({ true, "7.25" }, { lua:run "local known, usd = gauge.balance(seen) return known, tostring(usd)" })
    end)

    it("of an open breaker, with its wait", function()
      lua:run 'health.failed("one/a", 1, 1e6)'
      local text = lua:run "return written(gauge.read(target()), true)"
      assert.matches('^{"7":{"errors":0.2,"open":true,"open_s":9?%d+.*}}$', text)
    end)
  end)

  it("takes nothing else for one of its own", function()
    for _, call in ipairs { "gauge.read(1)", "gauge.left({})", "gauge.exhausted(target())", "gauge.read(io.stdout)",
      "gauge.read(gauge.read(target()))", "json.add_seen({})", "json.add_seen(target())", "gauge.of {}" } do
      assert.is_false((lua:run("return (pcall(function() " .. call .. " end))")), call)
    end
  end)
end)
