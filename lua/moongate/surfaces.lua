-- Which surface a path belongs to: what is refused there before a handler has taken the request, or by one that has no
-- surface of its own, is told in its shape.
local openai = require "moongate.surfaces.openai"
local router = require "moongate.surfaces.router"

local surfaces = {}

local EXACT = {
  ["/v1/chat"] = router, ["/v1/agent-step"] = router, ["/v1/limits"] = router, ["/v1/usage"] = router,
  ["/v1/requests"] = router, ["/health"] = router, ["/ready"] = router, ["/metrics"] = router,
  ["/dashboard"] = router, ["/agents"] = router, ["/admin"] = router,
}
local BELOW = { "/v1/router/", "/v1/limits/", "/v1/requests/", "/agents/", "/admin/", "/dashboard/" }

-- OpenAI's shape where nothing else is known: most clients understand it.
---@param path string|nil
---@return { error: function }
function surfaces.of(path)
  if not path then return openai end
  if EXACT[path] then return EXACT[path] end
  for _, prefix in ipairs(BELOW) do
    if string.sub(path, 1, #prefix) == prefix then return router end
  end
  return openai
end

return surfaces
