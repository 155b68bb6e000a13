-- Circuit breakers, moving latency and moving error rate of targets.
local ffi = require "ffi"
local library = require "spec.support.library"

ffi.cdef [[
  struct health_spec_state { bool open; int64_t open_until; double latency_ms, error_rate; };
  void *health_new(void);
  void health_free(void *health);
  bool health_admit(void *health, const char *target, int64_t now);
  void health_succeeded(void *health, const char *target, double latency_ms);
  void health_failed(void *health, const char *target, int64_t now, int failures, double open_s);
  void health_released(void *health, const char *target);
  struct health_spec_state health_state(void *health, const char *target, int64_t now);
]]

local FAILURES, OPEN_S = 3, 15
local health

local function fail(target, now) library.health_failed(health, target, now, FAILURES, OPEN_S) end
local function admit(target, now) return library.health_admit(health, target, now) end
local function state(target, now) return library.health_state(health, target, now) end
local function break_down(target, now)
  for _ = 1, FAILURES do fail(target, now) end
end

describe("a target's health", function()
  before_each(function() health = library.health_new() end)
  after_each(function() library.health_free(health) end)

  it("is good before anything is known of it", function()
    local fresh = state("a", 1000)
    assert.same({ false, 0, -1, 0 },
      { fresh.open, tonumber(fresh.open_until), fresh.latency_ms, fresh.error_rate })
    assert.is_true(admit("a", 1000))
  end)

  it("opens the breaker after so many failures in a row, for so long, for that target alone", function()
    fail("a", 1000)
    fail("a", 1000)
    assert.is_true(admit("a", 1000))
    fail("a", 1000)
    assert.is_false(admit("a", 1000))
    assert.is_false(admit("a", 15999))
    assert.is_true(state("a", 15999).open)
    assert.equal(16000, tonumber(state("a", 15999).open_until))
    assert.is_true(admit("b", 1000))
  end)

  it("counts failures anew after a success", function()
    fail("a", 1000)
    fail("a", 1000)
    library.health_succeeded(health, "a", 10)
    fail("a", 1000)
    fail("a", 1000)
    assert.is_true(admit("a", 1000))
  end)

  it("lets exactly one through when the time is over", function()
    break_down("a", 1000)
    assert.is_false(state("a", 16000).open)
    assert.is_true(admit("a", 16000))
    assert.is_true(state("a", 16000).open)
    for _ = 1, 10 do assert.is_false(admit("a", 16001)) end
  end)

  it("closes when that one succeeds", function()
    break_down("a", 1000)
    admit("a", 16000)
    library.health_succeeded(health, "a", 10)
    for _ = 1, 10 do assert.is_true(admit("a", 16000)) end
    assert.equal(0, tonumber(state("a", 16000).open_until))
  end)

  it("opens again when that one fails", function()
    break_down("a", 1000)
    admit("a", 16000)
    fail("a", 17000)
    assert.is_false(admit("a", 17000))
    assert.is_false(admit("a", 31999))
    assert.is_true(admit("a", 32000))
    assert.is_false(admit("a", 32000))
  end)

  it("lets another one try when that one was called back", function()
    break_down("a", 1000)
    assert.is_true(admit("a", 16000))
    library.health_released(health, "a")
    assert.is_true(admit("a", 16000))
    assert.is_false(admit("a", 16000))
  end)

  it("lets another one try when that one is never heard of again", function()
    break_down("a", 1000)
    assert.is_true(admit("a", 16000))
    assert.is_false(admit("a", 16000 + 119999))
    assert.is_true(admit("a", 16000 + 120000))
    assert.is_false(admit("a", 16000 + 120000))
  end)

  it("is told by figures that follow the latest calls", function()
    library.health_succeeded(health, "a", 100)
    assert.equal(100, state("a", 0).latency_ms)
    library.health_succeeded(health, "a", 200)
    assert.near(120, state("a", 0).latency_ms, 1e-9)
    fail("a", 0)
    assert.near(0.2, state("a", 0).error_rate, 1e-9)
    assert.near(120, state("a", 0).latency_ms, 1e-9)
    fail("a", 0)
    assert.near(0.36, state("a", 0).error_rate, 1e-9)
    library.health_succeeded(health, "a", 120)
    assert.near(0.288, state("a", 0).error_rate, 1e-9)
    for _ = 1, 100 do library.health_succeeded(health, "a", 50) end
    assert.near(50, state("a", 0).latency_ms, 0.01)
    assert.near(0, state("a", 0).error_rate, 0.01)
  end)

  it("keeps thousands of targets apart", function()
    for i = 1, 5000 do library.health_succeeded(health, "target/" .. i, i) end
    for i = 1, 5000 do assert.equal(i, state("target/" .. i, 0).latency_ms) end
  end)
end)
