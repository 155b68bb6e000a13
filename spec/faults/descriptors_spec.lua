-- A gateway that may open no more files: callers are turned away, not kept waiting; those who are connected are served
-- still, providers included; and it recovers by itself.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local socket = require "socket"
local valgrind = require "spec.support.valgrind"
local wait = require "spec.support.wait"

describe("a gateway out of descriptors", function()
  local it = valgrind.native -- which has descriptors of its own, at the top of what is allowed
  after_each(gateway.stop_all)

  local function open_files(moongate)
    local _, list = process.run { "ls", "/proc/" .. moongate.process.pid .. "/fd" }
    return select(2, list:gsub("\n", ""))
  end

  local function limit(moongate, files)
    local order = { "prlimit", "--pid", tostring(moongate.process.pid), "--nofile=" .. files .. ":" }
    assert(process.run(order) == 0)
  end

  local function connect(moongate)
    local host, port = moongate.address:match("^(.*):(%d+)$")
    local connection = assert(socket.connect(host, tonumber(port)))
    connection:settimeout(0)
    return connection
  end

  -- Opens connections until the gateway closes one; all that stand.
  local function crowd(moongate)
    local list = {}
    wait.until_(function()
      list[#list + 1] = connect(moongate)
      for _, connection in ipairs(list) do
        local _, problem = connection:receive(1)
        if problem == "closed" then return true end
      end
    end, "a connection to be turned away")
    return list
  end

  local function problems(answer)
    local found = {}
    for _, problem in ipairs(answer:json().problems) do found[#found + 1] = problem.what end
    return table.concat(found, " ")
  end

  local READY = { path = "/ready" }

  it("turns callers away, serves those it has, says so, and recovers", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = { workers = 1,
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0 } },
      models = { { id = "small", provider = "acme" } } } }
    local chat = { path = "/v1/chat/completions",
      json = { model = "small", messages = { { role = "user", content = "Hi." } } } }
    local kept = http.keep(moongate.address)
    upstream:next { hold = { after = 2, name = "middle" } }
    local stream = moongate:stream { model = "small" }
    upstream:wait_for(1, "middle")
    limit(moongate, open_files(moongate) + 60)
    local before = open_files(moongate)
    local callers = crowd(moongate)

    local ready = kept:request(READY)
    assert.equal(200, ready.status)
    assert.equal("degraded", ready:json().status)
    assert.equal("connections", problems(ready))
    assert.matches("ulimit -n", ready.body, 1, true)
    assert.truthy(moongate:errors():find("raise the limit of open files", 1, true))
    -- Calls to the provider on connections that are not there yet: more of them than the process had open before.
    local answer = kept:request(chat)
    assert.equal(200, answer.status, answer.body)
    upstream:go("middle")
    local text, last = gateway.text_of(stream:events())
    assert.same({ "Hello from the provider.", "[DONE]" }, { text, last })
    stream:close()
    assert.is_false(moongate.process:has_ended())

    for _, connection in ipairs(callers) do connection:close() end
    wait.until_(function()
      local connection = connect(moongate)
      connection:settimeout(http.seconds)
      connection:send("GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      local said = connection:receive("*a")
      connection:close()
      return said and said:find('"status":"ready"', 1, true)
    end, "the gateway to take callers again")
    assert.equal("", problems(kept:request(READY)))
    wait.until_(function() return open_files(moongate) <= before end, "every descriptor to be given back")
    kept.connection:close()
  end)

  it("has none left over for itself either, and lives on", function()
    local upstream = provider.open()
    local moongate = gateway.start { config = { workers = 1,
      providers = { acme = { protocol = "openai", base_url = upstream.base_url, api_key = "sk", retries = 0 } },
      models = { { id = "small", provider = "acme" } } } }
    local kept = http.keep(moongate.address)
    local chat = { path = "/v1/chat/completions",
      json = { model = "small", messages = { { role = "user", content = "Hi." } } } }
    assert.equal(200, kept:request(chat).status)
    upstream:hang_up()
    limit(moongate, 3)
    local answer = kept:request(chat)
    assert.equal(502, answer.status)
    assert.matches("acme/small", answer:json().error.message, 1, true)
    limit(moongate, 1000)
    assert.equal(200, kept:request(chat).status)
    kept.connection:close()
  end)
end)
