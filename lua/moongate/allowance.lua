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

local NOTHING = { requests = 0, served = 0, tokens = 0, billed_tokens = 0, cost_microusd = 0 }

local function prompt_of(usage) return usage.input + usage.cached + usage.cache_write end

-- The allowance of an answer that begins; nil where its length takes nothing from the caller's limits.
---@param call moongate.call
---@param answer table see moongate.attempt: claims, amounts, expected, usage
---@return moongate.allowance|nil
function allowance.of(call, answer)
  local drawn, reserved = {}, {}
  for i, claim in ipairs(answer.claims) do
    if claims.grows(claim) then drawn[#drawn + 1], reserved[#reserved + 1] = claim, answer.amounts[i] end
  end
  drawn.is_billed, drawn.is_paid = answer.claims.is_billed, answer.claims.is_paid
  if #drawn == 0 then return nil end
  local expected, told = answer.expected, answer.usage
  -- A prompt that was longer than thought has used up some of it.
  local excess = told and math.max(0, prompt_of(told) - expected.input) or 0
  return setmetatable({
    call = call, answer = answer, drawn = drawn, reserved = reserved, tokens = math.max(0, expected.output - excess),
  }, own)
end

-- In bytes of text, as usage is estimated.
---@return integer
function own:bytes() return self.tokens * usage_of.bytes_per_token end

---@param usage moongate.usage of the stream, with what is to go out next
---@return boolean
function own:covers(usage) return usage.output + usage.reasoning <= self.tokens end

local function longer(usage, tokens)
  local more = {}
  for name, value in pairs(usage) do more[name] = value end
  more.output, more.total = usage.output + tokens, usage.total + tokens
  return more
end

-- What a usage takes of each claim beyond what is reserved; nil if nothing.
function own:lacking(usage)
  local call, target = self.call, self.answer.target
  local amounts, lacks = claims.taken(self.drawn, target, call.request, call.state.policies, usage), false
  for i, reserved in ipairs(self.reserved) do
    amounts[i] = math.max(0, amounts[i] - reserved)
    lacks = lacks or amounts[i] > 0
  end
  return lacks and amounts or nil
end

-- Why a stream was ended, in words.
---@return string
function own:told()
  return "ended: nothing is left of " .. (self.blocked or "what its caller may use")
end

function own:took(reservation, amounts)
  local answer = self.answer
  for i, amount in ipairs(amounts) do self.reserved[i] = self.reserved[i] + amount end
  answer.further = answer.further or {}
  table.insert(answer.further, { reservation = reservation, claims = self.drawn })
end

-- Reserves more, so that the usage is covered and a while of what comes after it. False: there is no room.
---@param usage moongate.usage
---@return boolean
---@return string|nil cancelled why nobody waits any more
function own:extend(usage)
  for _, length in ipairs(money.lengths) do
    local amounts = self:lacking(longer(usage, length))
    local reservation, blocked, wait
    if amounts then
      reservation, blocked, wait = store.reserve { claims = self.drawn, amounts = amounts, tokens = 0 }
    end
    if reservation or not amounts then
      if reservation then self:took(reservation, amounts) end
      self.tokens = usage.output + usage.reasoning + length
      return true
    end
    if not wait then return false, blocked end
    self.blocked = blocked
  end
  return false
end

-- Settles an answer: everything it used is charged to its first reservation, and what it took on top is given back.
---@param answer table { reservation, claims, further }
---@param figures table see claims.amounts
function allowance.settle(answer, figures)
  store.settle(answer.reservation, claims.amounts(answer.claims, figures))
  for _, more in ipairs(answer.further or {}) do
    store.settle(more.reservation, claims.amounts(more.claims, NOTHING))
  end
end

return allowance
