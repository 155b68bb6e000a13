-- GET /admin/events: what happens, as it happens, to whoever holds the admin token, at no cost to anybody else.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local json = require "dkjson"
local wait = require "spec.support.wait"

local CONFIG = [[
return { listen = "127.0.0.1:0", auth = "none", store = "memory:", workers = 3, admin_token = "%s", providers = {
    one = { protocol = "mock" }, off = { protocol = "mock", mock = { status = 429, retry_after = 4000 } } },
  models = { { id = "small", provider = "one" }, { id = "gone", provider = "off" } } }
]]

describe("the events", function()
  local moongate, open

  before_each(function()
    open = {}
    moongate = gateway.start { config = CONFIG:format(gateway.admin_token) }
  end)
  after_each(function()
    for _, stream in ipairs(open) do stream:close() end
    gateway.stop_all()
  end)

  local function follow()
    local stream = http.open(moongate.address, { path = "/admin/events", key = gateway.admin_token })
    open[#open + 1] = stream
    return stream
  end

  -- The next event of that name that will do.
  local function await(stream, name, will_do)
    while true do
      local event = assert(stream:event(), "the events ended before " .. name)
      local data = json.decode(event.data)
      if event.name == name and (not will_do or will_do(data)) then return data end
    end
  end

  it("begin with the time and how everything stands", function()
    local stream = follow()
    assert.same({ 200, "text/event-stream; charset=utf-8" }, { stream.status, stream.headers["content-type"] })
    local first = stream:event()
    assert.equal("hello", first.name)
    assert.is_true(math.abs(json.decode(first.data).now - os.time()) < 20)
    assert.equal(2, #await(stream, "overview").providers)
  end)

  it("tell of each request that ends, whichever worker served it, and of what it changed", function()
    local stream = follow()
    await(stream, "overview")
    local ids = {}
    for i = 1, 6 do ids[i] = moongate:chat({ model = "small" }).headers["x-request-id"] end
    local told = {}
    for _ = 1, 6 do
      local row = await(stream, "request")
      told[row.request_id] = row.outcome
    end
    for _, id in ipairs(ids) do assert.equal("ok", told[id]) end
    assert.equal(6, await(stream, "overview", function(o) return o.counts.requests == 6 end).counts.requests)
    moongate:chat { model = "gone" }
    await(stream, "overview", function(o) return o.providers[1].provider == "off" and o.providers[1].pulse == "red" end)
  end)

  it("say nothing while nothing happens", function()
    local stream = follow()
    assert.equal(1, await(stream, "overview").policies_generation)
    stream.connection:settimeout(2.5)
    local data, problem, part = stream.connection:receive "*l"
    assert.same({ "nil", "timeout", "" }, { tostring(data), problem, part })
  end)

  it("end when the gateway drains, and hold it up no longer than a moment, read or unread", function()
    local read = follow()
    await(read, "overview")
    for _ = 1, 3 do follow() end
    local begun = require("socket").gettime()
    moongate:stop()
    assert.is_true(require("socket").gettime() - begun < 5)
    while read:event() do end
    assert.is_true(read.complete)
  end)

  it("end when another configuration is in force, whose token may be another", function()
    local stream = follow()
    await(stream, "overview")
    moongate:write("moongate.lua", CONFIG:format "another-token")
    moongate.process:kill "HUP"
    while stream:event() do end
    assert.is_true(stream.complete)
    assert.equal(401, follow().status)
  end)

  it("are for 32 at a time; who leaves makes room", function()
    local streams = {}
    for i = 1, 32 do
      streams[i] = follow()
      assert.equal(200, streams[i].status)
    end
    local refused = follow()
    assert.same({ 503, "30" }, { refused.status, refused.headers["retry-after"] })
    streams[1]:reset()
    wait.until_(function() return follow().status == 200 end, "room for one more")
  end)
end)
