-- What a request may cost: upper bounds of what can be counted, and is the same on every machine. A change that needs
-- more says so by changing a bound here; `make profile` tells where a request's instructions go.
local bodies = require "spec.bench.bodies"
local cast = require "spec.bench.cast"
local ffi = require "ffi"
local lfs = require "lfs"
local measure = require "spec.bench.measure"
local proc = require "spec.bench.proc"
local process = require "spec.support.process"

local library = os.getenv("MOONGATE_TEST_COSTS") or "build/spec/costs.so"
if library:sub(1, 1) ~= "/" then library = lfs.currentdir() .. "/" .. library end

local COUNTS = { "allocations", "calls", "writes" } -- in the order of spec/support/costs.c

-- The sanitizers count for themselves.
if os.getenv "MOONGATE_PRELOAD" then return end

describe("a chat of 1 KB", function()
  local places, mock, moongate, path, body = cast.places(proc.processors()), nil, nil, nil, nil

  setup(function()
    path = process.folder() .. "/costs"
    local file = assert(io.open(path, "wb"))
    file:write(("\0"):rep(8 * #COUNTS))
    file:close()
    mock, body = cast.mock(places):start(), bodies.write(process.folder())["1k"]
    moongate = cast.moongate(places, mock)
    moongate.env = { LD_PRELOAD = library, MOONGATE_COSTS = path }
    moongate:start()
  end)

  teardown(function()
    moongate:stop()
    mock:stop()
  end)

  local function counted()
    local file = assert(io.open(path, "rb"))
    local bytes, counts = file:read("*a"), {}
    file:close()
    local numbers = ffi.cast("const uint64_t *", bytes)
    for i, name in ipairs(COUNTS) do counts[name] = tonumber(numbers[i - 1]) end
    return counts
  end

  local function ask()
    return measure.load { mode = "rate", body = body, connections = 8, rate = 400, seconds = 0.5, port = moongate.port,
      processors = places.callers }
  end

  local bounds = { calls = 10, allocations = 140, writes = 4 }

  it("asks the system and malloc for no more than it may", function()
    ask() -- connections are made, lists and caches grow
    local before = counted()
    local told = ask()
    assert.equal(200, told.completed)
    local after = counted()
    for name, most in pairs(bounds) do
      local cost = (after[name] - before[name]) / told.completed
      assert.is_true(cost > 1 and cost <= most, ("%.1f %s a request, at most %d"):format(cost, name, most))
    end
  end)
end)
