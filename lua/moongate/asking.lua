-- Asks the gateway that runs on a configuration, by its `listen` and `admin_token`: for commands.
local json = require "moongate.core.json"
local process = require "moongate.core.process"

local asking = {}

local SECONDS = 30

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

-- Its status and answer; nil and why there is none. An answer that is no JSON object is {}.
---@param config table filled
---@param order { method: string|nil, path: string, body: string|nil, seconds: number|nil }
---@return integer|nil
---@return table|string
function asking.ask(config, order)
  local address, reason = asking.address(config)
  if not address then return nil, reason end
  local headers = { ["content-type"] = "application/json" }
  if config.admin_token then headers.authorization = "Bearer " .. config.admin_token end
  local status, text = process.fetch {
    method = order.method or "GET", url = address .. order.path, seconds = order.seconds or SECONDS,
    headers = headers, body = order.body,
  }
  if not status then
    return nil, string.format("no gateway answers at %s: start it first (moongate serve)", config.listen[1].addr)
  end
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
  return message .. "; the running gateway has another one than the file"
end

return asking
