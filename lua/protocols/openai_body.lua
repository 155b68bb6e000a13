-- Writes the body of a call to an OpenAI-shaped provider: from the caller's own, patched, or from the neutral chat.
-- Quirks are applied to either in the same way (moongate.dialect). Names what could not be carried.
local dialect = require "moongate.dialect"
local json = require "moongate.core.json"
local openai_chat = require "moongate.openai_chat"
local writing = require "protocols.writing"

local body = {}

-- What OpenAI's own models would refuse as unknown, and who takes it nevertheless says so in its quirks.
local EXTENSIONS = { "top_k", "min_p" }
-- Models that think in words of effort, by name, where the configuration tells no strengths.
local THINKERS = { "^o%d", "gpt%-5", "gpt%-oss", "reason", "think", "grok%-3%-mini", "magistral", "qwq", "deepseek%-v" }

-- Whether a model is one that thinks before it speaks.
---@param target table
---@param quirks moongate.quirks|nil
---@return boolean
function body.thinks(target, quirks)
  return quirks and quirks.switch ~= nil or writing.thinks(target, THINKERS)
end

-- ---- what can't be said at all ----

local function unfit_block(block)
  if block.kind == "document" and block.url and not block.data then
    return { param = "messages", message = "this provider takes documents as data, not by their address" }
  end
  return nil
end

local function unfit_of(chat)
  for _, turn in ipairs(chat.turns) do
    for _, block in ipairs(turn.blocks) do
      local wrong = unfit_block(block)
      for _, inner in ipairs(block.blocks or {}) do wrong = wrong or unfit_block(inner) end
      if wrong then return wrong end
    end
  end
  return nil
end

-- ---- from the neutral chat ----

local function drop(table_of, name, dropped)
  if table_of[name] == nil then return end
  table_of[name] = nil
  dropped[#dropped + 1] = name
end

local function chat_text(order, quirks, dropped)
  local chat, takes = order.chat, {}
  for _, name in ipairs(quirks.extensions or {}) do takes[name] = true end
  local document = openai_chat.document(chat, {
    cache = not takes.cache_control, thoughts = not quirks.keep_reasoning, signatures = true, marks = true,
  })
  -- A conversation can't be empty.
  if #document.messages == 0 then document.messages[1] = { role = "user", content = "" } end
  for _, name in ipairs(EXTENSIONS) do
    if not takes[name] then drop(document, name, dropped) end
  end
  if not body.thinks(order.target, quirks) then drop(document, "reasoning_effort", dropped) end
  local most = order.target.max_output
  if most and document.max_tokens and document.max_tokens > most then document.max_tokens = most end
  writing.drop_unread(dropped, chat)
  document.stream = order.stream and true or nil
  document.model = order.target.upstream_id
  return json.encode(document)
end

local function embedding_text(order, dropped)
  local call = order.embedding
  writing.drop(dropped, call, { "task", "title" })
  local inputs = {}
  for index, input in ipairs(call.inputs) do inputs[index] = type(input) == "table" and json.array(input) or input end
  return json.encode {
    model = order.target.upstream_id, input = json.array(inputs), dimensions = call.dimensions,
    encoding_format = "float",
  }
end

-- ---- either ----

-- The scanned body to start from.
local function document_of(order, quirks, dropped)
  if order.document then return order.document end
  local text = order.chat and chat_text(order, quirks, dropped) or embedding_text(order, dropped)
  return assert(json.scan(text, 1000))
end

local NONE = {}

-- By the name of a model at its provider: the changes that put it into a body. Nobody adds to them.
local changes_of = setmetatable({}, { __mode = "v" })

local function renamed(upstream_id)
  local changes = changes_of[upstream_id]
  if not changes then
    changes = { model = json.encode(upstream_id) }
    changes_of[upstream_id] = changes
  end
  return changes
end

local function sent(order, document, changes)
  return order.outgoing and document:outgoing(changes) or document:patch(changes)
end

-- The body to send: with the model's name at the provider, usage asked for, and the provider's quirks.
---@param order table
---@param facts moongate.provider_table|table what is known of the provider: its quirks
---@return string|userdata|nil body no string where order.outgoing is set
---@return string[]|table dropped the names of what was left out; or why the call can't be carried { message, param }
function body.write(order, facts)
  local upstream_id = order.target.upstream_id
  local quirks = dialect.of(facts.quirks, order.operation, upstream_id)
  local wrong = order.chat and unfit_of(order.chat)
  if wrong then return nil, wrong end
  -- The caller's own body for a provider without quirks, whole: nothing is dropped, and the name alone is changed.
  local is_plain = order.document and not order.stream and next(quirks) == nil
  if is_plain then return sent(order, order.document, renamed(upstream_id)), NONE end
  local dropped, changes = {}, { model = json.encode(upstream_id) }
  local document = document_of(order, quirks, dropped)
  if next(quirks) then
    wrong = dialect.unfit(document, quirks)
    if wrong then return nil, wrong end
    local refused = dialect.apply(document, quirks, changes)
    for _, name in ipairs(refused) do dropped[#dropped + 1] = name end
  end
  if order.operation == "chat" and order.stream then
    if quirks.stream_options == false then
      if document:find(0, "stream_options") then changes.stream_options = false end
    else
      changes.stream_options = dialect.stream_options(document)
    end
  end
  return sent(order, document, changes), dropped
end

return body
