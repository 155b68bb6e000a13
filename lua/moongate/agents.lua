-- Agents: a system prompt, a model and bounds under a name of the configuration. A run is one chat completion through
-- the same gates, policies and limits as any other; the caller sends the input and gets the output.
local exchange = require "moongate.exchange"
local json = require "moongate.core.json"
local near = require "moongate.near"
local check = require "moongate.surfaces.router_check"
local openai = require "moongate.surfaces.openai"
local router = require "moongate.surfaces.router"

local agents = {}

local function unknown(name, configured)
  local names = {}
  for each in pairs(configured) do names[#names + 1] = each end
  table.sort(names)
  local shown = string.sub(string.gsub(name, "[^\32-\126]", "?"), 1, 64)
  return {
    status = 404, code = "agent_not_found",
    message = string.format('there is no agent "%s"%s', shown, near.hint(name, names, 3)),
  }
end

-- The chat completion that a run is.
---@param agent table
---@param model string|nil the caller's wish
---@param input string
---@return string
local function body_of(agent, model, input)
  local members = { '"model":' .. json.encode(model or agent.model or "auto") }
  local messages = {}
  if agent.system and agent.system ~= "" then
    messages[1] = '{"role":"system","content":' .. json.encode(agent.system) .. "}"
  end
  messages[#messages + 1] = '{"role":"user","content":' .. json.encode(input) .. "}"
  members[2] = '"messages":[' .. table.concat(messages, ",") .. "]"
  if agent.max_tokens then members[3] = string.format('"max_tokens":%d', agent.max_tokens) end
  return "{" .. table.concat(members, ",") .. "}"
end

local function value_of(document, name)
  local node = document:find(0, name)
  return node and document:kind(node) ~= "null" and document:value(node) or nil
end

-- The surface of one agent. Whether it is there is told to callers only, so it is looked up when the caller is known.
---@param name string
---@param configured table<string, table>
---@return moongate.surface
function agents.surface(name, configured)
  local self = { name = "agent", reads = "openai", chat = openai.chat, error = router.error }

  function self.parse(document, headers, operation)
    local agent = configured[name]
    if not agent then return nil, unknown(name, configured) end
    local wrong = check.agent(document)
    if wrong then return nil, { status = 400, code = "invalid_value", message = wrong.message, param = wrong.param } end
    local body = assert(json.scan(body_of(agent, value_of(document, "model"), value_of(document, "input"))))
    local request, refusal = openai.parse(body, headers, operation)
    if not request then return nil, refusal end
    request.document, request.timeout_s = body, agent.timeout_secs
    return request
  end

  function self.reply(call, reply, row)
    local told = router.told(call, reply, row)
    told.agent = name
    return json.encode(told)
  end

  return self
end

-- POST /agents/<name>/run
---@param handle table
---@param state moongate.state
---@param name string
function agents.run(handle, state, name)
  exchange.handler(agents.surface(name, state.config.agents or {}), "chat")(handle, state)
end

return agents
