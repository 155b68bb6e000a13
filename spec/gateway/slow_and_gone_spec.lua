-- Callers that read slowly or vanish, providers that drip, flood or never end: what each may cost, and that nothing of
-- it stays.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local valgrind = require "spec.support.valgrind"
local wait = require "spec.support.wait"

local in_order = [[
-- By priority, whatever is known of them.
return function(request, candidates)
  return candidates:sort("priority", function(c) return -c.priority end)
end
]]
local TEXT = "Hello from the provider."

local first, second

local function start(times, change)
  local function openai(upstream, more)
    local timeouts = { connect = 2, first_byte = 10, first_content = 10, idle = 10 }
    for name, value in pairs(more or {}) do timeouts[name] = value end
    return { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0, timeouts = timeouts }
  end
  local config = {
    workers = 1, policy = "in-order", providers = { first = openai(first, times), second = openai(second) },
    models = { { id = "small", provider = "first", priority = 90, cost = { input = 1, output = 1 } },
      { id = "small", provider = "second", priority = 10, cost = { input = 1, output = 1 } } },
  }
  if change then change(config) end
  return gateway.start { config = config, policies = { ["routing/in-order.lua"] = in_order } }
end

-- Resident memory in KiB.
local function resident(moongate)
  local _, status = process.run { "cat", "/proc/" .. moongate.process.pid .. "/status" }
  return tonumber(status:match("VmRSS:%s+(%d+) kB"))
end

-- Sanitizers and valgrind keep what was freed: figures mean nothing there.
local function assert_grew_less(moongate, before, kilobytes)
  local grew = resident(moongate) - before
  if os.getenv "MOONGATE_PRELOAD" or valgrind.is_on then return end
  assert.truthy(grew < kilobytes, ("it grew by %d KiB"):format(grew))
end

local function row_of(moongate, answer)
  return (moongate:admin("/v1/requests/" .. answer.headers["x-request-id"]))
end

describe("a provider that", function()
  before_each(function() first, second = provider.open(), provider.open() end)
  after_each(gateway.stop_all)

  local function assert_second(answer)
    assert.equal(200, answer.status, answer.body)
    assert.same({ "second", "2" }, { answer.headers["x-moongate-provider"], answer.headers["x-moongate-attempts"] })
  end

  it("drips a whole answer for ever is given up when time is up", function()
    local moongate = start({ total = 0.5 }, function(config) table.remove(config.models) end)
    first:usually { kind = "drip", text = " ", delay = 10 }
    local answer = moongate:chat { model = "small" }
    assert.equal(504, answer.status)
    first:wait_for(1, "left")
    assert.same({ "error", 0 }, { row_of(moongate, answer).outcome, row_of(moongate, answer).cost_microusd })
  end)

  it("drips comments before any content is given up for the next", function()
    local moongate = start { first_content = 0.3 }
    first:usually { kind = "drip", text = ": still there\n\n", delay = 10 }
    local stream = moongate:stream { model = "small" }
    assert_second(stream)
    assert.equal(TEXT, (gateway.text_of(stream:events())))
    first:wait_for(1, "left")
    stream:close()
  end)

  it("drips a head for ever is given up for the next", function()
    local moongate = start { first_byte = 0.3 }
    first:usually { kind = "drip_head", delay = 10 }
    assert_second(moongate:chat { model = "small" })
    first:wait_for(1, "left")
  end)

  it("streams for ever is ended when time is up, not as if complete", function()
    local moongate = start { total = 0.5 }
    first:usually { endless = true, delay = 10 }
    local stream = moongate:stream { model = "small" }
    assert.equal("first", stream.headers["x-moongate-provider"])
    local text, last = gateway.text_of(stream:events())
    assert.matches("^Hello from", text)
    assert.equal("string", type(last.error.message))
    first:wait_for(1, "left")
    local row = row_of(moongate, stream)
    assert.same({ "error", true }, { row.outcome, row.estimated })
    assert.equal(0, #second:seen())
    stream:close()
  end)

  for title, behaviour in pairs {
    ["floods a whole answer"] = { kind = "drip", text = "x", times = 65536 },
    ["has a head of a megabyte"] = { kind = "huge_head", bytes = 1024 * 1024 },
  } do
    it(title .. " is given up for the next, in bounded memory", function()
      local moongate = start()
      assert.equal(200, moongate:chat({ model = "small" }).status)
      local before = resident(moongate)
      first:usually(behaviour)
      assert_second(moongate:chat { model = "small" })
      -- A head that is given up may have left the provider whole.
      if behaviour.kind == "drip" then first:wait_for(2, "left") end
      assert_grew_less(moongate, before, 80 * 1024)
    end)
  end

  it("floods one event without end is given up for the next, in bounded memory", function()
    local moongate = start()
    assert.equal(200, moongate:chat({ model = "small" }).status)
    local before = resident(moongate)
    first:usually { kind = "drip", text = "x", times = 65536 }
    local stream = moongate:stream { model = "small" }
    assert_second(stream)
    assert.equal(TEXT, (gateway.text_of(stream:events())))
    first:wait_for(2, "left")
    assert_grew_less(moongate, before, 40 * 1024)
    stream:close()
  end)
end)

describe("callers that", function()
  before_each(function() first, second = provider.open(), provider.open() end)
  after_each(gateway.stop_all)

  local function count(upstream, sees)
    local number = 0
    for _, record in ipairs(upstream:seen()) do
      if sees(record) then number = number + 1 end
    end
    return number
  end

  -- What waits for a caller is bounded, by 64 KB and a piece more in two places: what goes out to it (in a buffer of up
  -- to twice that), and what has come and was not taken yet; and by one event, here 16 KB, in each of the hands that it
  -- goes through. With the request itself, and buffers of libcurl's that are no more, 260 to 390 KB were seen. What the
  -- kernel holds for the two sockets comes on top, by its own limits.
  local KILOBYTES = 512
  local function messages(moongate)
    return http.open(moongate.address, { path = "/v1/messages", headers = { ["anthropic-version"] = "2023-06-01" },
      json = { model = "small", max_tokens = 1e6, stream = true,
        messages = { { role = "user", content = "Hi." } } } })
  end
  for title, open in pairs {
    ["do not read a stream"] = function(moongate) return moongate:stream { model = "small" } end,
    ["do not read a translated stream"] = messages,
  } do
    it(title .. " cost a bounded memory each, and their providers wait", function()
      local CALLERS = 60
      local moongate = start()
      first:usually { pieces = { ("x"):rep(16000) }, endless = true }
      local warm = open(moongate)
      warm:event()
      warm:close()
      first:wait_for(1, "left")
      local before, streams = resident(moongate), {}
      for number = 1, CALLERS do streams[number] = open(moongate) end
      local written = -1
      wait.until_(function()
        local blocked, now = 0, 0
        for _, record in ipairs(first:seen()) do
          if record.blocked then blocked, now = blocked + 1, now + record.written end
        end
        local stands = blocked == CALLERS and now == written
        written = now
        return stands
      end, "every provider's stream to stand")
      assert_grew_less(moongate, before, CALLERS * KILOBYTES)
      -- They are served still, and so are others.
      second:usually { kind = "answer" }
      assert.truthy(streams[1]:event())
      assert.equal(200, moongate:request({ path = "/health" }).status)
      for _, stream in ipairs(streams) do stream:reset() end
      wait.until_(function()
        return count(first, function(record) return record.state == "left" end) == CALLERS + 1
      end, "every provider's stream to be cancelled")
    end)
  end

  it("vanish together leave nothing: every provider's stream is cancelled, every row closed and billed once", function()
    local CALLERS = 60
    local moongate = start()
    first:usually { endless = true, delay = 5 }
    local streams = {}
    for number = 1, CALLERS do
      streams[number] = moongate:stream { model = "small" }
      assert.truthy(streams[number]:event())
    end
    for number, stream in ipairs(streams) do stream[number % 2 == 0 and "close" or "reset"](stream) end
    wait.until_(function()
      return count(first, function(record) return record.state == "left" end) == CALLERS
    end, "every provider's stream to be cancelled")
    for _, stream in ipairs(streams) do
      wait.until_(function() return row_of(moongate, stream).outcome == "cancelled" end, "the row to be closed")
    end
    local totals = moongate:admin("/v1/usage").totals
    local cost = 0
    for _, stream in ipairs(streams) do cost = cost + row_of(moongate, stream).cost_microusd end
    assert.same({ CALLERS, cost }, { totals.requests, totals.cost_microusd })
    assert.equal(0, #second:seen())
    assert.matches("\nmoongate_streams_open 0\n", moongate:request({ path = "/metrics" }).body, 1, true)
  end)

  it("vanish while a provider is silent are tried nowhere else", function()
    local moongate = start()
    first:usually { kind = "silence" }
    for number, streamed in ipairs { false, true } do
      local connection = moongate:begin_chat { model = "small", stream = streamed }
      first:wait_for(number, "answering")
      connection:close()
      first:wait_for(number, "left")
    end
    wait.until_(function()
      return moongate:request({ path = "/metrics" }).body:find("\nmoongate_streams_open 0\n", 1, true)
    end, "both requests to end")
    assert.equal(0, #second:seen())
  end)

  it("vanish while a whole answer is read cancel it, and it is billed once", function()
    local moongate = start()
    first:usually { kind = "drip", text = " ", delay = 5 }
    local connection = moongate:begin_chat { model = "small" }
    wait.until_(function()
      local record = first:seen()[1]
      return record and record.written > 300
    end, "the answer to be under way")
    connection:close()
    first:wait_for(1, "left")
    wait.until_(function() return moongate:admin("/v1/usage").totals.requests == 1 end, "the row")
    assert.equal(0, #second:seen())
  end)
end)
