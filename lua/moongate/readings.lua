-- What the quota checkers found, for whoever asks on any worker: published by the one that polls (moongate.polling);
-- until its first round after a start, balances are those that the store kept.
local clock = require "moongate.core.clock"
local gate = require "moongate.core.gate"
local json = require "moongate.core.json"
local store = require "moongate.core.store"

local readings = {}

-- How money stands in the store, whose figures are whole.
readings.MONEY, readings.MICRO = "microusd", 1e6
-- A balance has no window there.
readings.NO_WINDOW = "none"

local MOMENT = 0.5
-- An answer that is so many intervals old is old, whatever the last poll said.
local ROUNDS = 3

local text, board, read_at = "{}", {}, nil

local function whole_board()
  local now = clock.monotonic()
  if read_at and now - read_at < MOMENT and now >= read_at then return board end
  read_at = now
  local latest = gate.readings()
  if latest ~= text then text, board = latest, json.decode(latest) or {} end
  return board
end

-- Reads anew what is asked next.
function readings.forget() read_at = nil end

-- Whether any checker has told anything yet.
---@return boolean
function readings.are_there() return next(whole_board()) ~= nil end

---@class moongate.readings.entry
---@field checker string
---@field interval number
---@field checked_at number|nil unix seconds of the last good answer
---@field reason string|nil why the last poll failed
---@field meters table[]|nil see moongate.reading
---@field credits number|nil
---@field status string|nil

---@param provider string
---@return moongate.readings.entry|nil
function readings.of(provider) return whole_board()[provider] end

---@param entry moongate.readings.entry
---@return boolean stale
---@return number|nil age_s
function readings.is_stale(entry)
  if not entry.checked_at then return true end
  local age = math.max(0, clock.now() - entry.checked_at)
  return entry.reason ~= nil or age > ROUNDS * entry.interval, age
end

-- USD left at a provider, as it told last; nil where it never did.
---@param provider string
---@return number|nil
function readings.balance(provider)
  local entry = readings.of(provider)
  if not entry then return nil end
  if entry.checked_at then return entry.credits end
  for _, told in ipairs(store.learnt(provider)) do
    if told.metric == readings.MONEY and told.window == readings.NO_WINDOW and told.source == "checker" then
      return told.remaining and told.remaining / readings.MICRO
    end
  end
  return nil
end

return readings
