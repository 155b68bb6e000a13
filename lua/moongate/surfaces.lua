-- Which surface a path belongs to: what is refused there before a handler has taken the request, or by one that has no
-- surface of its own, is told in its shape.
local anthropic = require "moongate.surfaces.anthropic"
local gemini = require "moongate.surfaces.gemini"
local ollama = require "moongate.surfaces.ollama"
local openai = require "moongate.surfaces.openai"
local router = require "moongate.surfaces.router"

local surfaces = {}

local EXACT = {
  ["/v1/chat"] = router, ["/v1/agent-step"] = router, ["/v1/limits"] = router, ["/v1/usage"] = router,
  ["/v1/requests"] = router, ["/health"] = router, ["/ready"] = router, ["/metrics"] = router,
  ["/dashboard"] = router, ["/agents"] = router, ["/admin"] = router,
}
local BELOW = {
  { "/v1/router/", router }, { "/v1/limits/", router }, { "/v1/requests/", router }, { "/agents/", router },
  { "/admin/", router }, { "/dashboard/", router }, { "/v1/messages", anthropic }, { "/v1beta/", gemini },
  { "/api/", ollama },
}

-- OpenAI's shape where nothing else is known: most clients understand it.
---@param path string|nil
---@return { error: function }
function surfaces.of(path)
  if not path then return openai end
  if EXACT[path] then return EXACT[path] end
  for _, each in ipairs(BELOW) do
    if string.sub(path, 1, #each[1]) == each[1] then return each[2] end
  end
  if string.find(path, "^/v1/models/.+:%a+$") then return gemini end
  return openai
end

return surfaces
