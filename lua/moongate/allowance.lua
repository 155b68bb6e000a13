-- How much a stream may still say: what was reserved for it, out of the caller's budgets and limits of tokens. Once
-- that is used up, more is reserved; where there is no room for more, whoever relays the stream ends it.
local claims = require "moongate.claims"
local money = require "moongate.money"
local store = require "moongate.core.store"
local usage_of = require "moongate.usage"

local allowance = {}

---@class moongate.allowance
---@field tokens integer of the answer that are paid for
---@field blocked string|nil the limit that had no room for more, as the store names it
local own = {}
own.__index = own

local function prompt_of(usage) return usage.input + usage.cached + usage.cache_write end

-- The allowance of an answer that begins; nil where its length takes nothing from the caller's limits.
---@param call moongate.call
---@param answer table see moongate.attempt: wanted, usage
---@return moongate.allowance|nil
function allowance.of(call, answer)
  local wanted, told = answer.wanted, answer.usage
  local drawn = claims.growing(wanted.claims)
  if #drawn == 0 then return nil end
  -- A prompt that was longer than thought has used up some of it.
  local excess = told and math.max(0, prompt_of(told) - wanted.input) or 0
  return setmetatable({
    call = call, answer = answer, drawn = drawn, tokens = math.max(0, wanted.output - excess),
    reserved = {
      tokens = wanted.tokens, billed_tokens = wanted.billed_tokens, cost_microusd = wanted.cost_microusd,
    },
  }, own)
end

-- In bytes of text, as usage is estimated.
---@return integer
function own:bytes() return self.tokens * usage_of.bytes_per_token end

---@param usage moongate.usage of the stream, with what is to go out next
---@return boolean
function own:covers(usage) return usage.output + usage.reasoning <= self.tokens end

-- The same where nothing is told but the text.
---@param bytes integer
---@return boolean
function own:covers_text(bytes) return math.ceil(bytes / usage_of.bytes_per_token) <= self.tokens end

local function longer(usage, tokens)
  local more = {}
  for name, value in pairs(usage) do more[name] = value end
  more.output, more.total = usage.output + tokens, usage.total + tokens
  return more
end

-- The figures of a usage beyond what is reserved; nil if no claim takes more.
function own:lacking(usage)
  local call, target, reserved = self.call, self.answer.target, self.reserved
  local billed, cost = claims.charged(self.drawn, target, call.request, call.state.policies, usage)
  local more = {
    tokens = math.max(0, usage.total - reserved.tokens), billed_tokens = math.max(0, billed - reserved.billed_tokens),
    cost_microusd = math.max(0, cost - reserved.cost_microusd),
  }
  for _, claim in ipairs(self.drawn) do
    if more[claim.figure] > 0 then return more end
  end
  return nil
end

-- Why a stream was ended, in words.
---@return string
function own:told()
  return "ended: nothing is left of " .. (self.blocked or "what its caller may use")
end

function own:took(reservation, more)
  local answer = self.answer
  for figure, amount in pairs(more) do self.reserved[figure] = self.reserved[figure] + amount end
  answer.further = answer.further or {}
  table.insert(answer.further, { reservation = reservation, claims = self.drawn })
end

-- Reserves more, so that the usage is covered and a while of what comes after it. False: there is no room.
---@param usage moongate.usage
---@return boolean
---@return string|nil cancelled why nobody waits any more
function own:extend(usage)
  for _, length in ipairs(money.lengths) do
    local more = self:lacking(longer(usage, length))
    local reservation, blocked, wait
    if more then
      reservation, blocked, wait = store.reserve(self.drawn, 0, 0, more.tokens, more.billed_tokens, more.cost_microusd)
    end
    if reservation or not more then
      if reservation then self:took(reservation, more) end
      self.tokens = usage.output + usage.reasoning + length
      return true
    end
    if not wait then return false, blocked end
    self.blocked = blocked
  end
  return false
end

-- Settles an answer: everything it used is charged to its first reservation, and what it took on top is given back.
---@param answer table { reservation, wanted, further }
---@param requests integer
---@param served integer|nil
---@param tokens integer|nil
---@param billed integer|nil
---@param cost integer|nil in micro-dollars
function allowance.settle(answer, requests, served, tokens, billed, cost)
  store.settle(answer.reservation, answer.wanted.claims, requests, served, tokens, billed, cost)
  if not answer.further then return end
  for _, more in ipairs(answer.further) do store.settle(more.reservation, more.claims) end
end

return allowance
