-- What a caller asks of the router itself, by headers that every surface takes alike.
local wishes = {}

local CREDENTIALS = {
  authorization = true, ["proxy-authorization"] = true, cookie = true, ["x-api-key"] = true, ["api-key"] = true,
  ["x-goog-api-key"] = true,
}
local PRIORITIES = { cheap = true, balanced = true, best = true }
local TRUTHS = { ["true"] = true, ["1"] = true, ["false"] = false, ["0"] = false }

local function fault(param, message)
  return {
    status = 400, message = param .. ": " .. message, param = param, type = "invalid_request_error",
    code = "invalid_value",
  }
end

local of_handle = { __index = function(self, name) return self[1]:header(name, true) end }

-- The headers of a caller's request by their lower-case names, each read when it is asked for.
---@param handle table
---@return table<string, string>
function wishes.headers(handle) return setmetatable({ handle }, of_handle) end

-- The headers that policies may see.
---@param headers table<string, string> see wishes.read
---@return table<string, string>
function wishes.shown(headers)
  local list = {}
  for name, value in pairs(headers[1] and headers[1]:headers() or headers) do
    if not CREDENTIALS[name] then list[name] = type(value) == "table" and table.concat(value, ", ") or value end
  end
  return list
end

-- Reads privacy, priority, max_cost, task and policy into the request; a refusal where one of them makes no sense.
---@param request table
---@param headers table<string, string> names in lower case, as they are or from wishes.headers
---@return table|nil refusal
function wishes.read(request, headers)
  -- Most callers have none.
  if headers[1] and not headers[1]:has_header "x-moongate-" then return nil end
  local privacy = headers["x-moongate-privacy"]
  if privacy ~= nil then
    request.privacy = TRUTHS[string.lower(privacy)]
    if request.privacy == nil then return fault("x-moongate-privacy", 'expected "true" or "false"') end
  end
  local priority = headers["x-moongate-priority"]
  if priority ~= nil then
    if not PRIORITIES[priority] then return fault("x-moongate-priority", "expected cheap, balanced or best") end
    request.priority = priority
  end
  local max_cost = headers["x-moongate-max-cost"]
  if max_cost ~= nil then
    request.max_cost = string.match(max_cost, "^%d+%.?%d*$") and tonumber(max_cost) or nil
    if not request.max_cost then return fault("x-moongate-max-cost", "expected an amount in USD such as 0.01") end
  end
  request.task = headers["x-moongate-task"]
  request.policy = headers["x-moongate-policy"]
  return nil
end

return wishes
