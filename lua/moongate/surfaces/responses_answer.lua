-- Writes the neutral answer in the shape of OpenAI's Responses API, as a whole. Thoughts that must come back unchanged
-- go out as encrypted_content, sealed with where they came from. See responses_stream for the same as events.
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local openai_answer = require "moongate.surfaces.openai_answer"
local openai_chat = require "moongate.openai_chat"

local answer = {}

local SPEAKS = "openai_responses"
-- Before sealed data that is no signature of a text but the whole thought.
local WHOLE = "redacted."

-- What a response tells of the request, if the caller said it, and else.
local TOLD = {
  instructions = json.null, max_output_tokens = json.null, metadata = {}, parallel_tool_calls = true,
  temperature = 1, tool_choice = "auto", tools = json.array {}, top_p = 1, text = { format = { type = "text" } },
  reasoning = { effort = json.null, summary = json.null }, user = json.null, truncation = "disabled",
}

-- What is unlike in the ids of one request's answer and another's.
local function own_part(call)
  return (string.gsub(string.gsub(call.id, "^req_", ""), "[^%w]", ""))
end

-- A response as it is told in that state; its output is added by who has it.
---@param call moongate.call
---@param status "in_progress"|"completed"|"incomplete"|"failed"
---@return table
function answer.frame(call, status)
  local body = {
    id = "resp_" .. own_part(call), object = "response", status = status, background = false,
    created_at = math.floor(call.request.now or 0), model = openai_answer.model(call), output = json.array {},
    error = json.null, incomplete_details = json.null, previous_response_id = json.null, store = false,
    usage = json.null,
  }
  local asked = call.request.original
  for name, default in pairs(TOLD) do
    local node = asked and asked:find(0, name)
    if node and asked:kind(node) ~= "null" then body[name] = asked:value(node) else body[name] = default end
  end
  return body
end

-- Usage as this API tells it: cached tokens are part of the input's, thoughts part of the output's.
---@param usage moongate.usage|nil
---@return table
function answer.usage(usage)
  if not usage then return json.null end
  local input, output = usage.input + usage.cached + usage.cache_write, usage.output + usage.reasoning
  return {
    input_tokens = input, output_tokens = output, total_tokens = input + output,
    input_tokens_details = { cached_tokens = usage.cached, cache_write_tokens = usage.cache_write },
    output_tokens_details = { reasoning_tokens = usage.reasoning },
  }
end

-- How a response ends: its status, and why it is incomplete.
---@param finish moongate.finish|nil
---@return "completed"|"incomplete" status
---@return table details
function answer.ending(finish)
  if finish == "length" then return "incomplete", { reason = "max_output_tokens" } end
  if finish == "content_filter" then return "incomplete", { reason = "content_filter" } end
  return "completed", json.null
end

-- A name for an item of the output: always the same for the same place in the same answer.
---@param call moongate.call
---@param prefix string
---@param place integer
---@return string
function answer.item_id(call, prefix, place)
  return string.format("%s_%s%02x", prefix, own_part(call), place)
end

-- The encrypted_content of a thought.
---@param block moongate.block thinking with a signature, or redacted
---@return string
function answer.seal(block)
  local origin = block.origin or SPEAKS
  if block.kind == "redacted" and origin ~= SPEAKS then return chat.seal(WHOLE .. block.data, origin, SPEAKS) end
  return chat.seal(block.data or block.signature, origin, SPEAKS)
end

-- The thought that an encrypted_content holds, whose text is told beside it.
---@param sealed string
---@param text string
---@return moongate.block
function answer.unseal(sealed, text)
  local data, origin = chat.unseal(sealed, SPEAKS)
  if origin ~= SPEAKS and string.sub(data, 1, #WHOLE) == WHOLE then
    return { kind = "redacted", data = string.sub(data, #WHOLE + 1), origin = origin }
  end
  if origin == SPEAKS and text == "" then return { kind = "redacted", data = data, origin = origin } end
  return { kind = "thinking", text = text, signature = data, origin = origin }
end

-- A call as an item of the output.
---@param call moongate.call
---@param place integer
---@param block moongate.block
---@param status string
---@return table
function answer.function_call(call, place, block, status)
  return {
    type = "function_call", id = answer.item_id(call, "fc", place), call_id = block.id, name = block.name,
    arguments = block.arguments, status = status, extra_content = openai_chat.tool_call(block, true).extra_content,
  }
end

-- ---- whole answers ----

local ITEMS = {}

function ITEMS.thinking(call, place, block)
  local summary = {}
  if (block.text or "") ~= "" then summary[1] = { type = "summary_text", text = block.text } end
  return {
    type = "reasoning", id = answer.item_id(call, "rs", place), summary = json.array(summary),
    encrypted_content = (block.signature or block.data) and answer.seal(block) or nil,
  }
end

ITEMS.redacted = ITEMS.thinking

function ITEMS.tool_use(call, place, block) return answer.function_call(call, place, block, "completed") end

function ITEMS.image(call, place, block)
  return {
    type = "image_generation_call", id = answer.item_id(call, "ig", place), status = "completed", result = block.data,
  }
end

local PARTS = {
  text = function(block)
    return {
      type = "output_text", text = block.text, annotations = json.array {}, logprobs = json.array {},
    }
  end,
  refusal = function(block) return { type = "refusal", refusal = block.text } end,
}

local function output_of(call, blocks)
  local output, message = {}, nil
  for _, block in ipairs(blocks) do
    local part, item = PARTS[block.kind], ITEMS[block.kind]
    if part and not message then
      message = {
        type = "message", id = answer.item_id(call, "msg", #output), role = "assistant", status = "completed",
        content = json.array {},
      }
      output[#output + 1] = message
    end
    if part then
      table.insert(message.content, part(block))
    elseif item then
      output[#output + 1], message = item(call, #output, block), nil
    end
  end
  return json.array(output)
end

-- A whole answer.
---@param call moongate.call
---@param reply moongate.chat_reply
---@return string
function answer.reply(call, reply)
  local choice = reply.choices[1] or { blocks = {} }
  local status, details = answer.ending(choice.finish)
  local body = answer.frame(call, status)
  body.output, body.incomplete_details, body.usage = output_of(call, choice.blocks), details, answer.usage(reply.usage)
  local last = body.output[#body.output]
  if last and last.status and status == "incomplete" then last.status = "incomplete" end
  return json.encode(body)
end

return answer
