-- Guesses what a request is for, by its shape and the words of its last user message: chat, coding, reasoning,
-- summarization, translation, image or agent_step. Pure; reads at most a few kilobytes.

local near = require "moongate.near"
local words = require "moongate.core.words"

local task = {}

local MOST_BYTES = 4096

-- Every task type there is.
task.types = { "chat", "coding", "reasoning", "summarization", "translation", "image", "agent_step" }

local is_type = {}
for _, name in ipairs(task.types) do is_type[name] = true end

-- The first kind of which a word is found wins.
local kinds = {
  { "translation", {
    "translate", "translation", "traduire", "traduis", "übersetze", "übersetzen", "traduce", "in french", "in german",
    "into english", "into french", "into german", "into spanish", "into japanese", "into chinese", "auf deutsch",
  } },
  { "summarization", {
    "summarize", "summarise", "summary", "summarization", "tldr", "tl dr", "key points", "in a nutshell", "abstract of",
    "zusammenfassung", "zusammenfassen", "condense",
  } },
  { "coding", {
    "code", "function", "python", "javascript", "typescript", "java", "rust", "golang", "lua", "sql", "bash", "regex",
    "compile", "compiler", "debug", "stack trace", "traceback", "refactor", "unit test", "unit tests", "implement",
    "algorithm", "api", "segfault", "dockerfile", "html", "css", "script", "bug", "git",
  } },
  { "reasoning", {
    "prove", "proof", "theorem", "step by step", "reason", "reasoning", "logic", "puzzle", "deduce", "solve",
    "equation", "calculate", "derive", "probability", "think carefully", "integral",
  } },
  { "image", { "draw", "an image of", "a picture of", "illustration", "generate an image", "logo" } },
}

local phrases = {}
for i, kind in ipairs(kinds) do phrases[i] = kind[2] end
local find = words.finder(phrases)

local function text_of(content)
  if type(content) == "string" then return content end
  if type(content) ~= "table" then return "" end
  local texts, length = {}, 0
  for _, part in ipairs(content) do
    if type(part) == "table" and type(part.text) == "string" and length < MOST_BYTES then
      texts[#texts + 1] = part.text
      length = length + #part.text
    end
  end
  return table.concat(texts, " ")
end

-- Whether a name is one of them.
---@param name any
---@return boolean
function task.is_known(name) return is_type[name] == true end

-- The kind of a text: its words, compared without case and punctuation.
---@param text string
---@return string
function task.of_text(text)
  if #text > MOST_BYTES then
    -- What is asked stands at the beginning or the end; what it is asked about, between.
    text = string.sub(text, 1, MOST_BYTES / 2) .. " " .. string.sub(text, -MOST_BYTES / 2)
  end
  if string.find(text, "```", 1, true) then return "coding" end
  local found = find(text)
  return found and kinds[found][1] or "chat"
end

-- The task type of a request: what it says itself, else by its shape, else by its words.
---@param request table
---@return string
function task.classify(request)
  if request.task and is_type[request.task] then return request.task end
  if request.surface == "embeddings" then return "chat" end
  local asked = request.asked -- where the messages need not be made for it
  if asked then
    if asked.role == "tool" then return "agent_step" end
    if request.images then return "image" end
    return asked.content and task.of_text(text_of(asked.content)) or "chat"
  end
  local messages = request.messages
  if type(messages) ~= "table" then return "chat" end
  local last = messages[#messages]
  if type(last) == "table" and last.role == "tool" then return "agent_step" end
  if request.images then return "image" end
  for i = #messages, 1, -1 do
    local message = messages[i]
    if type(message) == "table" and message.role == "user" then return task.of_text(text_of(message.content)) end
  end
  return "chat"
end

-- What is wrong with a task type that a caller named; nil when it is one.
---@param name any
---@return string|nil
function task.problem(name)
  if is_type[name] then return nil end
  return "task must be one of " .. table.concat(task.types, ", ")
    .. (type(name) == "string" and near.hint(name, task.types) or "")
end

return task
