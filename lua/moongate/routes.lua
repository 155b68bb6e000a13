-- Which function serves which path. Handlers take the caller's handle and the worker's state.
local admin = require "moongate.admin"
local exchange = require "moongate.exchange"
local inspect = require "moongate.inspect"
local near = require "moongate.near"
local openai = require "moongate.surfaces.openai"

local routes = {}

-- Path -> method -> handler.
local exact = {
  ["/v1/chat/completions"] = { POST = exchange.handler(openai, "chat") },
  ["/v1/embeddings"] = { POST = exchange.handler(openai, "embeddings") },
  ["/v1/models"] = { GET = inspect.models },
  ["/v1/limits"] = { GET = inspect.limits },
  ["/health"] = { GET = inspect.health },
  ["/ready"] = { GET = inspect.ready },
  ["/metrics"] = { GET = inspect.metrics },
  ["/admin/keys"] = { GET = admin.list_keys, POST = admin.create_key },
}

-- The rest of the path goes to the handler as its third argument.
local below = {
  ["/v1/models/"] = { GET = inspect.model },
  ["/v1/limits/"] = { GET = inspect.provider_limits },
  ["/v1/requests/"] = { GET = inspect.request },
  ["/admin/keys/"] = { DELETE = admin.revoke_key },
}

local function methods(entry)
  local list = {}
  for method in pairs(entry) do list[#list + 1] = method end
  table.sort(list)
  return table.concat(list, ", ")
end

local function paths()
  local list = {}
  for path in pairs(exact) do list[#list + 1] = path end
  for path in pairs(below) do list[#list + 1] = path .. "..." end
  return list
end

local function shown(text)
  return string.sub(string.gsub(text, "[^\32-\126]", "?"), 1, 100)
end

local function find(path)
  local entry = exact[path]
  if entry then return entry end
  for prefix, candidate in pairs(below) do
    if #path > #prefix and string.sub(path, 1, #prefix) == prefix then
      return candidate, string.sub(path, #prefix + 1)
    end
  end
end

-- The handler, and what is left of the path; or nil and a refusal.
---@param method string
---@param path string
---@return function|nil
---@return string|table|nil
function routes.find(method, path)
  local entry, rest = find(path)
  if not entry then
    return nil, {
      status = 404, code = "not_found", type = "invalid_request_error",
      message = string.format("there is nothing at %s%s", shown(path), near.hint(path, paths())),
    }
  end
  local handler = entry[method] or (method == "HEAD" and entry.GET)
  if handler then return handler, rest end
  local allowed = methods(entry)
  return nil, {
    status = 405, code = "method_not_allowed", type = "invalid_request_error", allow = allowed,
    message = string.format("%s is not possible here; %s is", shown(method), allowed),
  }
end

return routes
