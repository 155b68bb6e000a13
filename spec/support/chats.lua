-- Makes up neutral answers and streams (moongate.chat) from a seed: the same seed, the same ones. And tells in one way
-- what an answer says, so that answers which came through different formats can be held against each other.
local base64 = require "moongate.base64"
local chat = require "moongate.chat"
local json = require "moongate.core.json"
local seal = require "moongate.surfaces.gemini_seal"

local chats = {}

-- ---- the five formats, and what can be said in an answer of each ----
--   kept      whether the order of text, thoughts and calls is
--   one       a single choice
--   hidden    a signature without a text is as good as a thought that only its maker can read
--   carried   a call's signature comes as that of a thought without text
--   folds     kinds that become text
--   lacks     kinds that get lost, signatures of calls among them
--   finishes  other than these become a stop
chats.FORMATS = { "openai", "openai_responses", "anthropic", "gemini", "ollama" }

chats.SAYS = {
  openai = { finishes = { length = true, content_filter = true }, folds = {}, lacks = {} },
  openai_responses = {
    kept = true, one = true, hidden = true, finishes = { length = true, content_filter = true }, folds = {},
    lacks = { call_signature = true },
  },
  anthropic = {
    kept = true, one = true, carried = true, folds = { refusal = true },
    lacks = { image = true, call_signature = true },
    finishes = { length = true, content_filter = true, stop_sequence = true, pause = true },
  },
  gemini = {
    kept = true, finishes = { length = true, content_filter = true }, folds = { refusal = true },
    lacks = { redacted = true, cache_write = true },
  },
  ollama = {
    one = true, finishes = { length = true }, folds = { refusal = true },
    lacks = { signature = true, redacted = true, call_signature = true, cached = true, cache_write = true,
      reasoning = true },
  },
}

---@param format string
---@return table protocol
---@return table surface
function chats.sides(format)
  local surface = format == "openai_responses" and "responses" or format
  return require("protocols." .. format), require("moongate.surfaces." .. surface)
end

-- ---- chance ----

---@class spec.dice
local dice = {}
dice.__index = dice

---@param seed integer
---@return spec.dice
function chats.dice(seed)
  local own = setmetatable({ state = seed * 7919 % 2147483646 + 1 }, dice)
  for _ = 1, 3 do own:upto(2) end
  return own
end

-- 1 to n.
function dice:upto(n)
  self.state = self.state * 16807 % 2147483647
  return math.floor(self.state / 64) % n + 1
end

function dice:chance(percent) return self:upto(100) <= percent end

function dice:pick(list) return list[self:upto(#list)] end

local WORDS = {
  "a", "Hello", " world", "ü", "日本", "\240\159\152\128", '"quoted"', "back\\slash", "\ttab", "line\nbreak", "<b>",
  "data: x", "[DONE]", "}{", "\226\128\168", "  ", "e = mc²", "null", "\r\ncr", "%d %s", "event: error", "\127",
}

-- A text that says something. flat: in one line.
function dice:text(flat)
  local parts = { self:pick { "So", "Well", "x" } }
  for i = 2, self:upto(6) do parts[i] = self:pick(WORDS) end
  local text = table.concat(parts) .. "."
  return flat and (string.gsub(text, "[\r\n]", " ")) or text
end

function dice:word()
  local letters = {}
  for i = 1, 3 + self:upto(8) do letters[i] = string.char(96 + self:upto(26)) end
  return table.concat(letters)
end

function dice:base64()
  local bytes = {}
  for i = 1, 5 + self:upto(12) do bytes[i] = string.char(self:upto(256) - 1) end
  return base64.encode(table.concat(bytes))
end

-- A text in pieces, none of them empty.
function dice:cut(text, longest)
  local pieces, at = {}, 1
  while at <= #text do
    local size = self:upto(longest or 7)
    pieces[#pieces + 1] = string.sub(text, at, at + size - 1)
    at = at + size
  end
  return pieces
end

-- The same in pieces of whole characters, as events bring it.
function dice:pieces(text)
  local pieces, held = {}, ""
  for letter in string.gmatch(text, "[%z\1-\127\194-\244][\128-\191]*") do
    held = held .. letter
    if self:chance(25) then pieces[#pieces + 1], held = held, "" end
  end
  if held ~= "" then pieces[#pieces + 1] = held end
  return pieces
end

local function value(own, depth)
  local kind = own:upto(depth > 2 and 5 or 8)
  if kind == 1 then return own:upto(1000) - 500 end
  if kind == 2 then return own:text() end
  if kind == 3 then return own:chance(50) end
  if kind == 4 then return json.null end
  if kind == 5 then return own:upto(1000) / 8 end
  local list = kind == 6 and json.array {} or {}
  for i = 1, own:upto(3) - 1 do list[kind == 6 and i or own:word()] = value(own, depth + 1) end
  return list
end

-- The arguments of a call, as JSON.
function dice:arguments()
  local object = {}
  for _ = 1, self:upto(4) - 1 do object[self:word()] = value(self, 1) end
  return next(object) and json.encode(object) or "{}"
end

function dice:usage(says)
  local own = { input = self:upto(5000), output = self:upto(900) }
  for _, name in ipairs { "cached", "cache_write", "reasoning" } do
    own[name] = not says.lacks[name] and self:chance(50) and self:upto(700) or 0
  end
  own.total = own.input + own.output + own.cached + own.cache_write + own.reasoning
  return own
end

-- ---- answers ----

local MAKE = {}

function MAKE.text(own) return { kind = "text", text = own:text() } end

function MAKE.refusal(own) return { kind = "refusal", text = own:text() } end

-- An answer's thoughts are all signed, or none is.
function MAKE.thinking(own, says, context)
  local block = { kind = "thinking", text = own:text(true) }
  if context.signed and not says.lacks.signature then
    block.signature, block.origin = own:base64(), context.origin
  end
  return block
end

function MAKE.redacted(own, _, context)
  return { kind = "redacted", data = own:base64(), origin = context.origin }
end

function MAKE.tool_use(own, says, context)
  context.calls = context.calls + 1
  local block = {
    kind = "tool_use", id = "call_" .. context.calls .. own:word(), name = own:word(), arguments = own:arguments(),
  }
  if not says.lacks.call_signature and own:chance(20) then block.signature, block.origin = own:base64(), "gemini" end
  return block
end

function MAKE.image(own) return { kind = "image", data = own:base64(), media_type = "image/png" } end

-- What stands in an answer; in some formats of a single kind each.
local SHAPES = {
  { "text" }, { "thinking", "text" }, { "thinking", "text", "tool_use", "tool_use" }, { "tool_use" },
  { "tool_use", "tool_use", "tool_use" }, { "thinking", "tool_use" }, { "text", "refusal" }, { "refusal" },
  { "thinking", "redacted", "text" }, { "redacted", "text", "tool_use" }, { "text", "image" }, {},
  { "thinking", "text", "thinking", "text", "tool_use" }, { "text", "tool_use", "text" }, { "thinking" },
}

local function choice_of(own, says, origin)
  local blocks, context = {}, { calls = 0, signed = own:chance(50), origin = origin }
  for _, kind in ipairs(own:pick(SHAPES)) do
    if not says.lacks[kind] then blocks[#blocks + 1] = MAKE[kind](own, says, context) end
  end
  local finish = own:pick { "stop", "stop", "length", "content_filter", "stop_sequence", "pause" }
  if finish ~= "stop" and not says.finishes[finish] then finish = "stop" end
  if context.calls > 0 and finish ~= "length" then finish = "tool_calls" end
  return { blocks = blocks, finish = finish, stop_sequence = finish == "stop_sequence" and "END" or nil }
end

-- Limits that hold for both formats.
function chats.both(left, right)
  local both = {
    kept = left.kept and right.kept, one = left.one or right.one, folds = {}, lacks = {}, finishes = {},
  }
  for _, says in ipairs { left, right } do
    for name in pairs(says.folds) do both.folds[name] = true end
    for name in pairs(says.lacks) do both.lacks[name] = true end
  end
  for name in pairs(left.finishes) do both.finishes[name] = right.finishes[name] end
  return both
end

-- A neutral answer whose thoughts were signed by that origin.
---@param own spec.dice
---@param says table
---@param origin string
---@return moongate.chat_reply
function chats.reply(own, says, origin)
  local choices = {}
  for i = 1, not says.one and own:chance(20) and 3 or 1 do choices[i] = choice_of(own, says, origin) end
  return { id = "id_" .. own:word(), model = "model-" .. own:word(), choices = choices, usage = own:usage(says) }
end

-- ---- streams ----

local function block_events(own, block, index, call, is_last)
  local events = {}
  local function add(event)
    event.index = index
    events[#events + 1] = event
  end
  if block.kind == "tool_use" then
    add { kind = "tool", call = call, id = block.id, name = block.name, signature = block.signature,
      origin = block.origin }
    local text = block.arguments
    if own:chance(10) then text = text .. "\n" end
    if text == "{}" and is_last and own:chance(50) then text = "" end
    for _, piece in ipairs(own:pieces(text)) do add { kind = "arguments", call = call, text = piece } end
  elseif block.kind == "image" or block.kind == "redacted" then
    add { kind = block.kind, data = block.data, media_type = block.media_type, origin = block.origin }
  else
    for _, piece in ipairs(own:pieces(block.text)) do add { kind = block.kind, text = piece } end
    if block.signature then add { kind = "signature", signature = block.signature, origin = block.origin } end
  end
  return events
end

-- Lists of events as one, each in its own order. chance: of going on with another list.
local function merge(own, lists, chance)
  local events, open = {}, {}
  for i, list in ipairs(lists) do open[i] = { list = list, at = 1 } end
  local place = 1
  while #open > 0 do
    if own:chance(chance) then place = own:upto(#open) end
    local each = open[place] or open[1]
    if each.list[each.at] then
      events[#events + 1] = each.list[each.at]
      each.at = each.at + 1
    end
    if not each.list[each.at] then table.remove(open, open[place] and place or 1) end
  end
  return events
end

-- The answer of one choice: calls that follow each other may come interleaved, though they begin in order.
local function choice_events(own, choice, index)
  local events, calls, together = {}, 0, {}
  local function flush()
    local heads, rest = {}, {}
    local is_mixed = #together > 1 and own:chance(60)
    for i, list in ipairs(together) do
      if is_mixed then
        heads[i] = table.remove(list, 1)
        rest[i] = list
      else
        for _, event in ipairs(list) do events[#events + 1] = event end
      end
    end
    for _, event in ipairs(heads) do events[#events + 1] = event end
    for _, event in ipairs(merge(own, rest, 50)) do events[#events + 1] = event end
    together = {}
  end
  for i, block in ipairs(choice.blocks) do
    if block.kind == "tool_use" then
      together[#together + 1] = block_events(own, block, index, calls, i == #choice.blocks)
      calls = calls + 1
    else
      flush()
      for _, event in ipairs(block_events(own, block, index)) do events[#events + 1] = event end
    end
  end
  flush()
  events[#events + 1] = { kind = "finish", finish = choice.finish, stop_sequence = choice.stop_sequence, index = index }
  return events
end

-- The answer as the events of a stream.
---@param own spec.dice
---@param reply moongate.chat_reply
---@return moongate.chat_event[]
function chats.events(own, reply)
  local lists = {}
  for i, choice in ipairs(reply.choices) do
    local index = i - 1
    if index == 0 and #reply.choices == 1 and own:chance(50) then index = nil end
    lists[i] = choice_events(own, choice, index)
  end
  local events = merge(own, lists, 30)
  table.insert(events, 1, { kind = "start", id = reply.id, model = reply.model })
  if own:chance(30) then table.insert(events, 1 + own:upto(#events), { kind = "ping" }) end
  return events
end

-- The same out of order: after the thoughts, texts and the fragments of all calls come mixed.
---@param own spec.dice
---@param reply moongate.chat_reply
---@return moongate.chat_event[]
function chats.mixed(own, reply)
  local choice, first, lists, calls = reply.choices[1], {}, {}, 0
  for _, block in ipairs(choice.blocks) do
    if block.kind == "thinking" or block.kind == "redacted" then
      first[#first + 1] = block
    else
      lists[#lists + 1] = block_events(own, block, nil, #lists, true)
    end
  end
  local events, numbers = { { kind = "start", id = reply.id, model = reply.model } }, {}
  for _, block in ipairs(first) do
    for _, event in ipairs(block_events(own, block)) do events[#events + 1] = event end
  end
  for _, event in ipairs(merge(own, lists, 50)) do
    if event.kind == "tool" then numbers[event.call], calls = calls, calls + 1 end
    event.call = numbers[event.call]
    events[#events + 1] = event
  end
  events[#events + 1] = { kind = "finish", finish = choice.finish, stop_sequence = choice.stop_sequence }
  return events
end

local GATHER = {}

local function add_text(blocks, event)
  local last = blocks[#blocks]
  if last and last.kind == event.kind and not last.signature then
    last.text = last.text .. event.text
  else
    blocks[#blocks + 1] = { kind = event.kind, text = event.text }
  end
end

GATHER.text = function(own, event) add_text(own.blocks, event) end
GATHER.thinking, GATHER.refusal = GATHER.text, GATHER.text

function GATHER.signature(own, event)
  local last = own.blocks[#own.blocks]
  if not last or last.kind ~= "thinking" or last.signature then
    last = { kind = "thinking", text = "" }
    own.blocks[#own.blocks + 1] = last
  end
  last.signature, last.origin = event.signature, event.origin
end

function GATHER.redacted(own, event)
  own.blocks[#own.blocks + 1] = { kind = "redacted", data = event.data, origin = event.origin }
end

function GATHER.image(own, event)
  own.blocks[#own.blocks + 1] = { kind = "image", data = event.data, media_type = event.media_type }
end

function GATHER.tool(own, event)
  local block = {
    kind = "tool_use", id = event.id, name = event.name, arguments = "", signature = event.signature,
    origin = event.origin,
  }
  own.blocks[#own.blocks + 1], own.calls[event.call] = block, block
end

function GATHER.arguments(own, event)
  local block = assert(own.calls[event.call], "arguments of a call that has not begun")
  block.arguments = block.arguments .. event.text
end

function GATHER.finish(own, event)
  assert(not own.finish, "a second finish")
  own.finish, own.stop_sequence = event.finish, event.stop_sequence
end

-- The answer that events tell.
---@param events moongate.chat_event[]
---@return moongate.chat_reply
function chats.gather(events)
  local own, reply = {}, { choices = {} }
  for _, event in ipairs(events) do
    if event.kind == "start" then
      assert(not own.start, "a second start")
      own.start, reply.id, reply.model = true, event.id, event.model
    elseif GATHER[event.kind] then
      local index = (event.index or 0) + 1
      reply.choices[index] = reply.choices[index] or { blocks = {}, calls = {} }
      GATHER[event.kind](reply.choices[index], event)
    else
      assert(event.kind == "ping", event.kind)
    end
  end
  for _, choice in pairs(reply.choices) do
    for _, block in ipairs(choice.blocks) do
      if block.kind == "tool_use" and block.arguments == "" then block.arguments = "{}" end
    end
    choice.calls = nil
  end
  return reply
end

-- ---- what an answer says ----

-- A signature and whose it is, out of all seals that it came in; nil for a mark that there is none.
local function opened(signature, origin)
  if not signature then return nil end
  local inner, whose
  if origin == "gemini" then inner, whose = seal.open(signature) else inner, whose = chat.unseal(signature, origin) end
  if not inner or whose == "unsigned" then return nil end
  if whose ~= origin then return opened(string.gsub(inner, "^redacted%.", ""), whose) end
  return whose .. ":" .. inner
end

local function same_arguments(text)
  local decoded = json.decode(text)
  return decoded ~= nil and json.encode(decoded) or "broken: " .. text
end

local SAY = {}

function SAY.text(said, block) said.text = said.text .. block.text end

function SAY.refusal(said, block) said.refusal = said.refusal .. block.text end

function SAY.thinking(said, block, says)
  said.thought = said.thought .. string.gsub(block.text, "\n", "")
  local signature = not says.lacks.signature and opened(block.signature, block.origin)
  if signature then said.signed[#said.signed + 1] = signature end
end

function SAY.redacted(said, block)
  said.signed[#said.signed + 1] = "redacted " .. tostring(opened(block.data, block.origin))
end

function SAY.image(said, block) said.images[#said.images + 1] = block.data end

function SAY.tool_use(said, block, says)
  said.calls[#said.calls + 1] = {
    id = block.id, name = block.name, arguments = same_arguments(block.arguments),
    signature = not says.lacks.call_signature and opened(block.signature, block.origin) or nil,
  }
end

local function hide(block)
  if block.kind ~= "thinking" or block.text ~= "" or not block.signature then return block end
  return { kind = "redacted", data = block.signature, origin = block.origin }
end

local function say(choice, says)
  local said = { text = "", refusal = "", thought = "", signed = {}, images = {}, calls = {}, order = {} }
  for _, each in ipairs(choice.blocks) do
    local block = says.hidden and hide(each) or each
    local kind = says.folds[block.kind] and "text" or block.kind
    local is_carrier = says.carried and kind == "thinking" and block.text == ""
    if not says.lacks[kind] and not is_carrier then
      SAY[kind](said, block, says)
      local is_seen = block.text ~= "" and kind ~= said.order[#said.order]
      if says.kept and is_seen then said.order[#said.order + 1] = kind end
    end
  end
  said.finish = choice.finish
  if not says.finishes[said.finish] then said.finish = #said.calls > 0 and "tool_calls" or "stop" end
  said.stop_sequence = says.finishes.stop_sequence and choice.stop_sequence or nil
  return said
end

-- What an answer says, as far as the limits go.
---@param reply moongate.chat_reply
---@param says table
---@return table
function chats.said(reply, says)
  local choices = {}
  for i, choice in pairs(reply.choices) do choices[i] = say(choice, says) end
  return choices
end

-- The classes of usage, as far as the limits go: those that have no name there are in the next one.
---@param usage moongate.usage
---@param says table
---@return table
function chats.used(usage, says)
  local own = {}
  for _, name in ipairs { "input", "cached", "cache_write", "output", "reasoning", "total" } do
    own[name] = usage[name]
  end
  local INTO = { cached = "input", cache_write = "input", reasoning = "output" }
  for _, name in ipairs { "cached", "cache_write", "reasoning" } do
    if says.lacks[name] then own[INTO[name]], own[name] = own[INTO[name]] + own[name], 0 end
  end
  return own
end

return chats
