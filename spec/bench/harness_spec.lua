local bodies = require "spec.bench.bodies"
local cast = require "spec.bench.cast"
local figures = require "spec.bench.figures"
local json = require "dkjson"
local measure = require "spec.bench.measure"
local proc = require "spec.bench.proc"
local process = require "spec.support.process"
local report = require "spec.bench.report"

local places = cast.places(proc.processors())

describe("the benchmark's figures", function()
  it("are medians with their spread, and ratios within a round", function()
    assert.equal(2.5, figures.median { 4, 1, 2, 3 })
    assert.is_nil(figures.median {})
    assert.equal("2.00 (1.00–9.00)", figures.spread { 9, 1, 2 })
    assert.equal("7.00", figures.spread { 7, 7 })
    local ratios = figures.ratios({ { cpu = 10 }, { cpu = 90 } }, { { cpu = 20 }, { cpu = 90 }, { cpu = 1 } }, "cpu")
    assert.same({ 0.5, 1 }, ratios)
  end)

  it("are written with about three digits", function()
    local written = {}
    for _, value in ipairs { 0.256, 12.34, 999.6, 1234, 1234567, 12345678, -88.26 } do
      written[#written + 1] = figures.number(value)
    end
    assert.same({ "0.26", "12.3", "1,000", "1,234", "1,234,567", "12,345,678", "-88.3" }, written)
  end)

  it("are told as Markdown, with a warning where others used the machine", function()
    local function record(cpu, foreign)
      return { cpu = cpu, per_second = 1000, foreign = foreign, errors = 0, p50 = 1, p99 = 2 }
    end
    local text = report.text { head = "Here.", notes = { "A note." }, scenarios = {
      { name = "1k-64", kind = "closed", text = "1 KB" } }, records = { ["1k-64"] = {
      moongate = { record(30, 0.5), record(40, 0) }, ["nginx-lua"] = { record(60, 0), record(50, 0) },
      ["moongate-second"] = { record(15, 0), record(15, 0) } } } }
    assert.matches("| 1 KB | **0.65** (0.50–0.80) | – | – | 35.0 | 55.0 | – | – |", text, 1, true)
    assert.matches("| 1 KB; sync=second | **0.28** (0.25–0.30) | – | – | 15.0 | 55.0 | – | – |", text, 1, true)
    assert.matches("Warning: in 1 of 6 measurements", text, 1, true)
    assert.matches("A note.", text, 1, true)
  end)
end)

describe("the benchmark's requests", function()
  it("are chats of the sizes they say", function()
    for _, size in ipairs { 1024, 32 * 1024, 1024 * 1024 } do
      local text = bodies.chat(size)
      assert.is_true(#text >= size * 0.95 and #text <= size * 1.05, ("%d for %d"):format(#text, size))
      assert.equal("auto", json.decode(text).model)
    end
    local tools = json.decode(bodies.chat(32 * 1024, { tools = 45 })).tools
    assert.equal(45, #tools)
  end)
end)

describe("the benchmark's two ends", function()
  local mock, paths

  setup(function()
    mock = cast.mock(places):start()
    paths = bodies.write(process.folder())
  end)

  teardown(function() mock:stop() end)

  local function load(options)
    options.port, options.processors = mock.port, places.callers
    return measure.load(options)
  end

  it("count each answer once, sent as fast as may be or at a fixed rate", function()
    local closed = load { mode = "closed", body = paths["32k"], connections = 16, seconds = 0.2 }
    assert.is_true(closed.completed > 16)
    assert.equal(closed.completed, closed.latency.count)
    assert.equal(0, closed.failed + closed.refused + closed.unanswered)
    local rate = load { mode = "rate", body = paths["1k"], connections = 8, seconds = 0.2, rate = 500 }
    assert.equal(100, rate.completed)
    assert.equal(0, rate.failed + rate.refused + rate.unanswered)
  end)

  it("carry streams to their end, and tell how old each chunk is", function()
    local body = paths.stream .. "-fast"
    local file = assert(io.open(body, "wb"))
    file:write(bodies.chat(1024, { stream = true, pace = "pace:delay=5,gap=2,chunks=10" }))
    file:close()
    local told = load { mode = "streams", body = body, connections = 50, repeats = 2, ramp = 20 }
    assert.equal(100, told.completed)
    assert.equal(0, told.cut_short + told.failed)
    assert.equal(100 * 14, told.events)
    assert.equal(100 * 10, told.transit.count)
    assert.is_true(told.latency.p50 >= 20000, "a stream of 5 + 9 * 2 ms took " .. told.latency.p50 .. " us")
  end)

  it("measure a gateway that counts what it was sent", function()
    local moongate = cast.moongate(places, mock):start()
    moongate:check(paths)
    local record = measure.once({ kind = "rate", body = "1k", connections = 8, rate = 200 }, moongate,
      { mock = mock, others = {}, paths = paths, places = places, seconds = 0.5 })
    assert.equal(100, record.requests)
    assert.equal(0, record.errors)
    assert.is_true(record.cpu > 10 and record.cpu < 100000, "CPU a request: " .. record.cpu)
    assert.is_true(record.peak >= record.before and record.before > 1000)
    assert.same(moongate.sent, moongate:counted())
    moongate:stop()
  end)
end)

describe("make bench", function()
  it("says which scenarios there are when none fits", function()
    for script, name in pairs { run = "1k-64", growth = "models" } do
      local status, _, errors = process.run({ "luajit", "-joff", "spec/bench/" .. script .. ".lua" },
        { env = { BENCH_ONLY = "no such thing" } })
      assert.equal(2, status, errors)
      assert.matches(name, errors, 1, true)
    end
  end)
end)
