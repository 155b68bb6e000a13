-- What /metrics shows: counted by each worker for itself, summed and written in Prometheus' text format.
local ffi = require "ffi"
local library = require "spec.support.library"

ffi.cdef [[
  struct counters_spec_buf { char *data; size_t length, capacity; };
  void *counters_new(void);
  void counters_free(void *counters);
  int counters_series(void *counters, const char *name, const char *labels);
  void counters_add(void *counters, int series, int64_t amount);
  void counters_observe(void *counters, int series, double seconds);
  void counters_spec_write(void *const *sets, size_t count, struct counters_spec_buf *out) __asm__("counters_write");
  void counters_spec_buf_free(struct counters_spec_buf *buf) __asm__("buf_free");
]]

local sets

local function add(set, name, labels, amount)
  library.counters_add(set, library.counters_series(set, name, labels), amount)
end

local function observe(set, name, labels, seconds)
  library.counters_observe(set, library.counters_series(set, name, labels), seconds)
end

local function text()
  local all, out = ffi.new("void *[?]", #sets), ffi.new "struct counters_spec_buf"
  for i, set in ipairs(sets) do all[i - 1] = set end
  library.counters_spec_write(all, #sets, out)
  local written = ffi.string(out.data, out.length)
  library.counters_spec_buf_free(out)
  return written
end

-- The value of one line, by all that stands before it.
local function value(written, line)
  local at = (written:sub(1, #line + 1) == line .. " ") and 1 or select(2, written:find("\n" .. line .. " ", 1, true))
  return at and tonumber(written:match("^([%-%d%.]+)\n", at + 1))
end

describe("the counters", function()
  before_each(function() sets = { library.counters_new(), library.counters_new() } end)
  after_each(function()
    for _, set in ipairs(sets) do library.counters_free(set) end
  end)

  it("name every metric with its help and its type, counted or not", function()
    local written = text()
    local kinds = {}
    for name, kind in written:gmatch "# TYPE (%S+) (%S+)\n" do
      assert.truthy(written:find("# HELP " .. name .. " %u[^\n]+%.\n"))
      kinds[name] = kind
    end
    assert.same({ "counter", "histogram", "gauge" }, { kinds.moongate_requests_total, kinds.moongate_request_seconds,
      kinds.moongate_streams_open })
  end)

  it("give a name and its labels one number, and another to others", function()
    local set = sets[1]
    local one = library.counters_series(set, "moongate_tokens_total", 'kind="input"')
    assert.equal(one, library.counters_series(set, "moongate_tokens_total", 'kind="input"'))
    assert.not_equal(one, library.counters_series(set, "moongate_tokens_total", 'kind="output"'))
    assert.not_equal(one, library.counters_series(set, "moongate_requests_total", 'kind="input"'))
  end)

  it("know no other names, and count nothing for them", function()
    assert.equal(-1, library.counters_series(sets[1], "moongate_nonesuch", ""))
    local before = text()
    library.counters_add(sets[1], -1, 5)
    library.counters_add(sets[1], 99, 5)
    library.counters_observe(sets[1], -1, 5)
    assert.equal(before, text())
  end)

  it("sum what all workers counted", function()
    add(sets[1], "moongate_requests_total", 'status="200"', 2)
    add(sets[2], "moongate_requests_total", 'status="500"', 1)
    add(sets[2], "moongate_requests_total", 'status="200"', 3)
    add(sets[1], "moongate_streams_open", "", 2)
    add(sets[2], "moongate_streams_open", "", -1)
    add(sets[1], "moongate_cost_microusd_total", "", 9007199254740993LL)
    local written = text()
    assert.equal(5, value(written, 'moongate_requests_total{status="200"}'))
    assert.equal(1, value(written, 'moongate_requests_total{status="500"}'))
    assert.equal(1, value(written, "moongate_streams_open"))
    assert.truthy(written:find("\nmoongate_cost_microusd_total 9007199254740993\n", 1, true))
  end)

  it("count durations into steps that include the smaller ones", function()
    for _, seconds in ipairs { 0.00005, 0.0001, 0.0002, 0.3, 119, 500 } do
      observe(sets[1], "moongate_request_seconds", "", seconds)
    end
    observe(sets[2], "moongate_request_seconds", "", 0.3)
    local written = text()
    local steps, last = {}, 0
    for step, count in written:gmatch '\nmoongate_request_seconds_bucket{le="([^"]+)"} (%d+)' do
      steps[step] = tonumber(count)
      assert.is_true(steps[step] >= last)
      last = steps[step]
    end
    assert.same({ 2, 3, 3, 5, 6, 7 },
      { steps["0.0001"], steps["0.00025"], steps["0.1"], steps["0.5"], steps["120"], steps["+Inf"] })
    assert.equal(7, value(written, "moongate_request_seconds_count"))
    assert.near(619.60035, value(written, "moongate_request_seconds_sum"), 1e-6)
  end)

  it("put a histogram's labels before its steps", function()
    observe(sets[1], "moongate_policy_seconds", 'policy="routing/fast"', 0.002)
    local written = text()
    assert.equal(0, value(written, 'moongate_policy_seconds_bucket{policy="routing/fast",le="0.001"}'))
    assert.equal(1, value(written, 'moongate_policy_seconds_bucket{policy="routing/fast",le="0.0025"}'))
    assert.equal(1, value(written, 'moongate_policy_seconds_count{policy="routing/fast"}'))
    assert.equal(0.002, value(written, 'moongate_policy_seconds_sum{policy="routing/fast"}'))
  end)

  it("take a duration that is none for nothing", function()
    for _, seconds in ipairs { -5, 0 / 0 } do observe(sets[1], "moongate_request_seconds", "", seconds) end
    assert.equal(2, value(text(), 'moongate_request_seconds_bucket{le="0.0001"}'))
    assert.equal(0, value(text(), "moongate_request_seconds_sum"))
  end)

  it("observe durations in histograms only", function()
    local series = library.counters_series(sets[1], "moongate_streams_open", "")
    library.counters_observe(sets[1], series, 3)
    assert.equal(0, value(text(), "moongate_streams_open"))
  end)

  it("count together what would be too many series, for each metric by itself", function()
    for i = 1, 10100 do add(sets[1], "moongate_requests_total", ('model="%d"'):format(i), 1) end
    observe(sets[1], "moongate_request_seconds", 'policy="new"', 1)
    add(sets[1], "moongate_requests_total", 'model="1"', 1)
    local written = text()
    assert.equal(2, value(written, 'moongate_requests_total{model="1"}'))
    assert.equal(1, value(written, 'moongate_requests_total{model="10000"}'))
    assert.is_nil(value(written, 'moongate_requests_total{model="10001"}'))
    assert.equal(100, value(written, 'moongate_requests_total{overflow="true"}'))
    assert.equal(1, value(written, 'moongate_request_seconds_count{overflow="true"}'))
  end)
end)
