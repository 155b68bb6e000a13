-- Lets web pages of other origins call: what a browser must be told before it hands an answer to a page. Off unless the
-- configuration names origins; never for cookies (no key is ever in one), never for what the admin token opens.
local routes = require "moongate.routes"

local cors = {}

local EXPOSED = {
  "x-request-id", "retry-after", "x-moongate-provider", "x-moongate-model", "x-moongate-policy", "x-moongate-attempts",
  "x-moongate-cost-usd", "x-moongate-billed-tokens", "x-moongate-estimated",
}
for _, kind in ipairs { "", "-requests", "-tokens" } do
  for _, figure in ipairs { "limit", "remaining", "reset" } do
    EXPOSED[#EXPOSED + 1] = "x-ratelimit-" .. figure .. kind
    if kind ~= "" then EXPOSED[#EXPOSED + 1] = string.format("anthropic-ratelimit%s-%s", kind, figure) end
  end
end
local exposed = table.concat(EXPOSED, ", ")

local PREFLIGHT_SECONDS = "600"
local LONGEST_LIST = 1000 -- of names that a page asks for
local USUAL_HEADERS = "authorization, content-type"

local function is_open(path)
  return string.find(path, "^/admin/") == nil and string.find(path, "^/dashboard") == nil and path ~= "/metrics"
end

-- What a page of that origin is allowed as access-control-allow-origin; nil: nothing.
---@param origins string[] as configured
---@param origin string|nil
---@return string|nil
function cors.allowed(origins, origin)
  for _, each in ipairs(origins) do
    if each == "*" then return "*" end
    if each == origin then return origin end
  end
  return nil
end

-- The headers that a page asks to send, given back if they are names and nothing else. A star would not do: it never
-- stands for authorization.
local function headers_for(wanted)
  if not wanted then return USUAL_HEADERS end
  if #wanted > LONGEST_LIST or string.find(wanted, "[^%w!#$%%&'*+.^_`|~, -]") then return nil end
  return wanted
end

local function preflight(handle, allowed)
  local wanted = headers_for(handle:header "access-control-request-headers")
  if not wanted then
    local message = "access-control-request-headers is no list of names"
    return nil, { status = 400, code = "invalid_request", message = message }
  end
  return {
    ["access-control-allow-origin"] = allowed, ["access-control-allow-headers"] = wanted,
    ["access-control-allow-methods"] = routes.methods(handle:path()), ["access-control-max-age"] = PREFLIGHT_SECONDS,
  }
end

-- Sets what goes with every answer of this request. For a preflight, which asks and wants nothing done, it returns the
-- headers of the answer, or a refusal.
---@param handle table
---@param config { origins: string[] }|nil
---@return table<string, string>|nil preflight
---@return table|nil refusal
function cors.begin(handle, config)
  if not config or not is_open(handle:path()) then return nil end
  local origin = handle:header "origin"
  local allowed = cors.allowed(config.origins, origin)
  -- A cache must not hand one origin's answer to another; with a star they are all the same.
  local always = { vary = allowed ~= "*" and "origin" or nil }
  local asks = handle:method() == "OPTIONS" and origin and handle:header "access-control-request-method"
  if allowed and not asks then
    always["access-control-allow-origin"], always["access-control-expose-headers"] = allowed, exposed
  end
  handle:always(always)
  if not asks then return nil end
  if allowed then return preflight(handle, allowed) end
  return nil, {
    status = 403, code = "origin_not_allowed",
    message = "pages of this origin may not call: name it in cors.origins of the configuration",
  }
end

return cors
