-- Asks the gateway that runs on a configuration, by its `listen` and `admin_token`: for commands.
local json = require "moongate.core.json"
local process = require "moongate.core.process"

local asking = {}

local SECONDS = 30
local CERTIFICATE = "%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-.-%-%-%-%-%-END CERTIFICATE%-%-%-%-%-"

-- Where it listens, as an address to call; nil and why there is none to call.
---@param config table filled
---@return string|nil
---@return string|nil
function asking.address(config)
  local listener = config.listen[1]
  local address = string.gsub(listener.addr, "^:", "127.0.0.1:")
  address = string.gsub(string.gsub(address, "^0%.0%.0%.0:", "127.0.0.1:"), "^%[::%]:", "[::1]:")
  if string.find(address, ":0$") then
    return nil, string.format("no gateway can be asked at %s: name its port in listen", listener.addr)
  end
  return (listener.cert and "https://" or "http://") .. address
end

-- The one certificate that a listener with TLS may show: the file's own, whatever name is in it and whoever signed it.
-- nil: without TLS. false and why it cannot be had.
local function certificate_of(listener)
  if not listener.cert then return nil end
  local text, reason = process.read(listener.cert)
  if not text then
    return false, string.format("%s: %s: the gateway at %s is known by this certificate", listener.cert, reason,
      listener.addr)
  end
  local certificate = string.match(text, CERTIFICATE)
  if certificate then return certificate .. "\n" end
  return false, listener.cert .. ": has no certificate in it"
end

local function silence(listener, reason)
  if string.find(reason, "connect to server", 1, true) then
    return string.format("no gateway answers at %s: start it first (moongate serve)", listener.addr)
  end
  if listener.cert and string.find(reason, "certificate", 1, true) then
    return string.format("what answers at %s does not show the certificate in %s, or it is not valid now: the "
      .. "gateway is not asked", listener.addr, listener.cert)
  end
  return string.format("the gateway at %s does not answer: %s", listener.addr, reason)
end

-- Its status and answer; nil and why there is none. An answer that is no JSON object is {}. With `secret` it is asked
-- with that in the admin token's place; false is none.
---@param config table filled
---@param order { method: string|nil, path: string, body: string|nil, seconds: number|nil, secret: string|false|nil,
---  headers: table<string, string>|nil }
---@return integer|nil
---@return table|string
function asking.ask(config, order)
  local address, reason = asking.address(config)
  if not address then return nil, reason end
  local listener = config.listen[1]
  local certificate, missing = certificate_of(listener)
  if certificate == false then return nil, missing end
  local headers, secret = { ["content-type"] = "application/json" }, order.secret
  if secret == nil then secret = config.admin_token end
  if secret then headers.authorization = "Bearer " .. secret end
  for name, value in pairs(order.headers or {}) do headers[name] = value end
  local status, text = process.fetch {
    method = order.method or "GET", url = address .. order.path, seconds = order.seconds or SECONDS,
    headers = headers, body = order.body, certificate = certificate,
  }
  if not status then return nil, silence(listener, text) end
  local reply = json.decode(text)
  return status, type(reply) == "table" and reply or {}
end

-- What a refusal says, for people.
---@param config table
---@param status integer
---@param reply table
---@return string
function asking.refusal(config, status, reply)
  local message = type(reply.error) == "table" and reply.error.message
  if not message then
    return string.format("what answers at %s is no gateway that knows of this (%d)", config.listen[1].addr, status)
  end
  if status ~= 401 then return message end
  if not config.admin_token then
    return "the gateway is asked with the admin token: set admin_token in the configuration, and reload it"
  end
  return string.format("the gateway at %s does not take the admin_token of this configuration: it runs with another "
    .. "one", config.listen[1].addr)
end

-- The answer of a gateway that agrees; else nil and what it says, or why it says nothing. `member` has to be a table in
-- it.
---@param config table
---@param order table as above
---@param member string|nil
---@return table|nil
---@return string|nil
function asking.answer(config, order, member)
  local status, reply = asking.ask(config, order)
  if not status then return nil, reply end
  local is_right = status >= 200 and status < 300 and (not member or type(reply[member]) == "table")
  if is_right then return reply end
  return nil, asking.refusal(config, status, reply)
end

return asking
