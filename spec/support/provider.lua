-- Simulated providers for specs (provider.js): opened, told how to behave, let go on, asked what they have seen.
local json = require "dkjson"
local http = require "spec.support.http"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local provider = {}
provider.__index = provider

local program, control

local function start()
  local folder = process.folder()
  program = process.start({ "node", "spec/support/provider.js" },
    { stdout = folder .. "/stdout", stderr = folder .. "/stderr" })
  control = "127.0.0.1:" .. wait.until_(function()
    assert(not program:has_ended(), "the provider simulator does not start: " .. program:errors())
    return program:output():match("^(%d+)\n")
  end, "the provider simulator")
end

local function order(fields)
  local answer = http.request(control, { path = "/", json = fields })
  assert(answer.status == 200, answer.body)
  return answer:json()
end

-- Where each protocol's docs let a base address end; the others have none of it.
local below = { openai = "/v1", responses = "/v1", gemini = "/v1beta" }

--- Opens a provider on a port of its own. It speaks every protocol, by the paths asked; `strict`: it judges OpenAI's
--- requests too, as it always judges those of the others.
---@param options? { cert?: string, key?: string, http2?: boolean, strict?: boolean } files for TLS
function provider.open(options)
  if not program then start() end
  local fields = { act = "open" }
  for name, value in pairs(options or {}) do fields[name] = value end
  local opened = order(fields)
  local scheme = fields.cert and "https" or "http"
  return setmetatable({
    id = opened.id,
    address = "127.0.0.1:" .. opened.port,
    base_url = ("%s://127.0.0.1:%d/v1"):format(scheme, opened.port),
  }, provider)
end

--- Its base address in a protocol ("openai", "responses", "anthropic", "gemini", "ollama"), as a config writes it.
function provider:base(protocol)
  return (self.base_url:gsub("/v1$", below[protocol] or ""))
end

function provider:order(act, fields)
  fields = fields or {}
  fields.act, fields.provider = act, self.id
  return order(fields)
end

--- What it does with the next requests, one behaviour each; then the usual one again.
function provider:next(...) self:order("behave", { next = { ... } }) return self end

--- What it does with every request that has no behaviour of its own.
function provider:usually(behaviour) self:order("behave", { usual = behaviour }) return self end

--- Lets `count` ("all": every one from now on) behaviours go on that hold, or will hold, at `name`.
function provider:go(name, count) self:order("go", { name = name or "go", count = count or 1 }) end

--- Refuses connections, and drops those that stand; accepts them again, on the same port.
function provider:refuse() self:order("refuse") end
function provider:accept() self:order("accept") end

--- Closes all its connections, as a provider does with idle ones.
function provider:hang_up() self:order("hang_up") end

--- Forgets requests and behaviours.
function provider:forget() self:order("forget") return self end

--- The requests it got, oldest first: { method, path, headers, body, connection, state, held, written, protocol,
--- refused (what was wrong with it), ... }.
function provider:seen()
  return self:order("seen")
end

--- How many requests with each of these words in their body are in which state: { word = { answered = 3 } }.
function provider:count(words) return self:order("count", { words = words }) end

--- The body of request `number` (default: the last), decoded.
function provider:body(number)
  local seen = self:seen()
  return assert(json.decode(seen[number or #seen].body))
end

--- Waits until request `number` is in `state` ("answering", "answered", "cut", "left"), or held at that point.
function provider:wait_for(number, state)
  return wait.until_(function()
    local record = self:seen()[number]
    return record and (record.state == state or record.held == state) and record
  end, ("request %d at the provider to be %s"):format(number, state))
end

--- Waits until `count` requests are held at `name`.
function provider:wait_held(count, name)
  wait.until_(function()
    local held = 0
    for _, record in ipairs(self:seen()) do
      if record.held == (name or "go") then held = held + 1 end
    end
    return held >= count
  end, count .. " requests held at the provider")
end

return provider
