-- One check: runs a checker's function, which asks by http.get, http.post and http.json, and makes a reading of what it
-- returns. The function runs as a coroutine, so that what it asks for can be waited for outside of any policy's budget.
-- The provider's key never reaches it: "{key}" in a header stands for it. Pure: `ask` does the calls.
local json = require "moongate.core.json"
local reading = require "moongate.reading"
local secrets = require "moongate.secrets"

local checking = {}

local CALLS, LONGEST = 8, 200
local BODY_BYTES = 64 * 1024
-- What of its configuration is no secret.
local OPEN = { base_url = true, name = true }

-- A text without the secrets, for people.
local function redact(text, hidden)
  text = string.gsub(secrets.hide(tostring(text), hidden), "%c", " ")
  return #text > LONGEST and string.sub(text, 1, LONGEST) .. "..." or text
end

local function secrets_of(key, options)
  local values = { key or false }
  for name, value in pairs(options) do
    if not OPEN[name] then values[#values + 1] = value end
  end
  return secrets.list(values)
end

-- The headers of a call: the checker's own, with the key filled in; the bearer key where none of them says who asks.
local function headers_of(given, key)
  local headers, signed = { accept = "application/json" }, false
  for name, value in next, given do
    if type(name) ~= "string" or type(value) ~= "string" then return nil end
    local plain = string.lower(name)
    signed = signed or plain == "authorization" or plain == "cookie" or plain == "x-api-key"
    headers[plain] = string.gsub(value, "{key}", function() return key or "" end)
  end
  if not signed and key then headers.authorization = "Bearer " .. key end
  return headers
end

-- What a checker asked for, as the call takes it; nil and what is wrong with it.
local function order_of(method, url, given, key)
  if type(url) ~= "string" then return nil, "http needs an address" end
  if given ~= nil and type(given) ~= "table" then return nil, "http takes a table { headers =, body = }" end
  given = given or {}
  local headers, body = rawget(given, "headers"), rawget(given, "body")
  if rawget(given, "method") ~= nil then method = rawget(given, "method") end
  if method ~= "GET" and method ~= "POST" then return nil, "http knows GET and POST" end
  headers = headers_of(type(headers) == "table" and headers or {}, key)
  if not headers then return nil, "headers are texts by name" end
  if body ~= nil and (type(body) ~= "string" or #body > BODY_BYTES) then return nil, "a body is a text up to 64 KiB" end
  return { method = method, url = url, headers = headers, body = body }
end

local WORDS = {
  [401] = "the key is not accepted", [403] = "the key may not ask this", [404] = "there is no such address",
  [429] = "asked too often",
}

-- The answer as JSON: a table, or nil, why, the status.
local function read_json(answer)
  if answer.status < 200 or answer.status > 299 then
    local words = WORDS[answer.status]
    return nil, "it answered " .. answer.status .. (words and ": " .. words or ""), answer.status
  end
  local value = json.decode(answer.body)
  if type(value) ~= "table" then return nil, "it answered with something else than JSON", answer.status end
  return value, nil, answer.status
end

-- What checkers ask by. `yield` hands the order to whoever runs the check.
local function new_http(token)
  local function call(method, url, given)
    local answer, why = coroutine.yield(token, method, url, given)
    if not answer then return nil, why end
    return { status = answer.status, headers = answer.headers, body = answer.body }
  end
  local http = {}
  function http.get(url, given) return call("GET", url, given) end
  function http.post(url, given) return call("POST", url, given) end
  function http.json(url, given)
    local answer, why = call("GET", url, given)
    if not answer then return nil, why end
    return read_json(answer)
  end
  return http
end

local OUT_OF_MEMORY = "not enough memory" -- Lua's words

---@class moongate.checking.order
---@field check fun(http: table, options: table): table|nil, string|nil
---@field options table as configured, with base_url
---@field key string|nil the provider's
---@field ask fun(order: table): table|nil, string|nil { status, headers, body }; or nil and why. May wait
---@field within (fun(work: function, ...): boolean, ...)|nil runs a slice of it in a budget; false and a fault
---@field now number

-- A reading; or nil, why there is none, and for how many seconds the provider wants to be left alone.
---@param order moongate.checking.order
---@return table|nil
---@return string|nil
---@return string|nil
function checking.run(order)
  local hidden, token = secrets_of(order.key, order.options), {}
  local options = {}
  for name, value in pairs(order.options) do options[name] = value end
  options.api_key = nil
  local within = order.within or pcall
  local thread = coroutine.create(order.check)
  local function fail(why, wait) return nil, redact(why, hidden), wait end

  local wait
  -- arguments of the next resume
  local first, second = new_http(token), options
  for calls = 0, CALLS do
    local well, fine, mark, method, url, given = within(coroutine.resume, thread, first, second)
    if not well then
      return fail(type(fine) == "table" and fine.message and string.format("its checker failed: %s%s",
        fine.line and string.format("%s:%d: ", fine.file, fine.line) or "", fine.message) or fine)
    end
    if mark == OUT_OF_MEMORY then return fail("its checker failed: " .. OUT_OF_MEMORY) end
    if not fine then return fail("its answer is not what the checker expects (" .. tostring(mark) .. ")") end
    if coroutine.status(thread) == "dead" then
      -- mark and method are what the check returned.
      if mark == nil then return fail(method or "it returned no reading", wait) end
      local result, why = reading.of(mark, order.now, order.options.full)
      if result then return result end
      return fail(why, wait)
    end
    if mark ~= token then return fail "a checker may wait by http alone" end
    if calls == CALLS then return fail("it asked more than " .. CALLS .. " times") end
    local asked, fault = order_of(method, url, given, order.key)
    if asked then
      first, second = order.ask(asked)
      if first and (first.status == 429 or first.status == 503) then wait = first.headers["retry-after"] or wait end
    else
      first, second = nil, fault
    end
  end
end

return checking
