-- Which function serves which path. Handlers take the caller's handle and the worker's state.
local admin = require "moongate.admin"
local address = require "moongate.address"
local agents = require "moongate.agents"
local anthropic = require "moongate.surfaces.anthropic"
local board = require "moongate.board"
local dashboard = require "moongate.dashboard"
local debug = require "moongate.debug"
local events = require "moongate.events"
local exchange = require "moongate.exchange"
local gemini = require "moongate.surfaces.gemini"
local inspect = require "moongate.inspect"
local model_page = require "moongate.model_page"
local near = require "moongate.near"
local ollama = require "moongate.surfaces.ollama"
local openai = require "moongate.surfaces.openai"
local operator = require "moongate.operator"
local orders_page = require "moongate.orders_page"
local policy_page = require "moongate.policy_page"
local recent = require "moongate.recent"
local responses = require "moongate.surfaces.responses"
local router = require "moongate.surfaces.router"
local status_page = require "moongate.status_page"
local usage_page = require "moongate.usage_page"

local routes = {}

local VERBS = {
  generateContent = { "chat" }, streamGenerateContent = { "chat", stream = true }, countTokens = { "count" },
  embedContent = { "embeddings" }, batchEmbedContents = { "embeddings" },
}

-- Gemini's API says in the address what is to be done with which model.
local function gemini_call(handle, state, rest)
  local model, name = string.match(rest, "^(.+):(%a+)$")
  local verb = VERBS[name]
  if not verb then
    return exchange.refuse(handle, {
      status = 404, code = "not_found",
      message = "expected models/MODEL:VERB, the verb one of generateContent, streamGenerateContent, countTokens, "
        .. "embedContent and batchEmbedContents",
    }, nil, gemini)
  end
  local path = {
    model = address.decoded(model),
    verb = name, stream = verb.stream or false,
    sse = string.find("&" .. handle:query() .. "&", "&alt=sse&", 1, true) ~= nil,
  }
  exchange.handler(gemini, verb[1], path)(handle, state)
end

-- Path -> method -> handler.
local exact = {
  ["/v1/chat/completions"] = { POST = exchange.handler(openai, "chat") },
  ["/v1/embeddings"] = { POST = exchange.handler(openai, "embeddings") },
  ["/v1/responses"] = { POST = exchange.handler(responses, "chat") },
  ["/v1/messages"] = { POST = exchange.handler(anthropic, "chat") },
  ["/v1/messages/count_tokens"] = { POST = exchange.handler(anthropic, "count") },
  ["/v1beta/models"] = { GET = inspect.gemini_models },
  ["/api/chat"] = { POST = exchange.handler(ollama, "chat", { verb = "chat" }) },
  ["/api/generate"] = { POST = exchange.handler(ollama, "chat", { verb = "generate" }) },
  ["/api/embed"] = { POST = exchange.handler(ollama, "embeddings") },
  ["/api/embeddings"] = { POST = exchange.handler(ollama, "embeddings") },
  ["/api/tags"] = { GET = inspect.ollama_models },
  ["/api/show"] = { POST = inspect.ollama_model },
  ["/api/version"] = { GET = inspect.ollama_version },
  ["/v1/chat"] = { POST = exchange.handler(router.chat, "chat") },
  ["/v1/agent-step"] = { POST = exchange.handler(router.step, "chat") },
  ["/v1/router/debug"] = { POST = debug.explain },
  ["/v1/models"] = { GET = inspect.models },
  ["/v1/limits"] = { GET = inspect.limits },
  ["/v1/status"] = { GET = status_page.get },
  ["/v1/usage"] = { GET = usage_page.get },
  ["/health"] = { GET = inspect.health },
  ["/ready"] = { GET = inspect.ready },
  ["/metrics"] = { GET = inspect.metrics },
  ["/dashboard"] = { GET = dashboard.page },
  ["/dashboard/door"] = { GET = dashboard.door },
  ["/dashboard/"] = { GET = dashboard.away },
  ["/admin/overview"] = { GET = operator.only(board.overview) },
  ["/admin/events"] = { GET = operator.only(events.stream) },
  ["/admin/requests"] = { GET = operator.only(recent.requests) },
  ["/admin/policies"] = { GET = operator.only(policy_page.policies) },
  ["/admin/models"] = { GET = operator.only(model_page.models) },
  ["/admin/models/known"] = { GET = operator.only(orders_page.known) },
  ["/admin/models/changes"] = { GET = operator.only(orders_page.changes) },
  ["/admin/models/import"] = { POST = operator.only(orders_page.import) },
  ["/admin/reload"] = { POST = operator.only(orders_page.reload) },
  ["/admin/keys"] = { GET = admin.list_keys, POST = admin.create_key },
}

-- Prefix, suffix, handlers. What stands between the two goes to the handler as its third argument.
local around = {
  { "/v1/models/", "", { GET = inspect.model, POST = gemini_call } },
  { "/v1beta/models/", "", { GET = inspect.gemini_model, POST = gemini_call } },
  { "/v1/limits/", "", { GET = inspect.provider_limits } },
  { "/v1/requests/", "", { GET = inspect.request } },
  { "/agents/", "/run", { POST = agents.run } },
  { "/dashboard/", "", { GET = dashboard.part } },
  { "/admin/keys/", "", { DELETE = admin.revoke_key } },
  { "/admin/probe/", "", { POST = admin.probe } },
  { "/admin/marks/", "", { DELETE = admin.pardon } },
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
  for _, each in ipairs(around) do list[#list + 1] = each[1] .. "..." .. each[2] end
  return list
end

local function shown(text)
  return string.sub(string.gsub(text, "[^\32-\126]", "?"), 1, 100)
end

local function find(path)
  local entry = exact[path]
  if entry then return entry end
  for _, each in ipairs(around) do
    local prefix, suffix = each[1], each[2]
    local fits = #path > #prefix + #suffix and string.sub(path, 1, #prefix) == prefix
    if fits and string.sub(path, #path - #suffix + 1) == suffix then
      return each[3], string.sub(path, #prefix + 1, #path - #suffix)
    end
  end
end

-- The methods of a path, joined; those of all paths where there is nothing.
---@param path string
---@return string
function routes.methods(path)
  local entry = find(path)
  return entry and methods(entry) or "DELETE, GET, POST"
end

-- The handler, and what is left of the path; or nil and a refusal.
---@param method string
---@param path string
---@return function|nil
---@return string|table|nil
function routes.find(method, path)
  local entry, rest = find(path)
  -- GET tells of a model; at a verb there is nothing to tell.
  if entry and entry.POST == gemini_call and VERBS[string.match(rest, ":(%a+)$")] then entry = { POST = entry.POST } end
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
