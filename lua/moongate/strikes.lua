-- Switches off a version of a policy that goes over its budget again and again: each time it holds up all requests of
-- its worker. It may be what callers send that it stumbles over, so it is tried once a minute: no caller shall be able
-- to put an operator's policy out of work for good. Called by moongate.policies around every call.
local strikes = {}

local MOST, RETRY_SECONDS = 20, 60
local DEAR = { time = true, memory = true, depth = true } -- an error costs little

---@class moongate.strikes
local methods = {}
methods.__index = methods

---@param clock fun(): number in seconds
---@param told fun(origin: table, fault: moongate.fault|nil) gets what is switched off, and on again (nil)
---@return moongate.strikes
function strikes.new(clock, told)
  return setmetatable({
    clock = clock, told = told,
    counts = setmetatable({}, { __mode = "k" }), -- failures in a row, by the function that failed
    off = setmetatable({}, { __mode = "k" }), -- by origin: { fault, retry_at }
  }, methods)
end

-- The fault of a version that is switched off.
---@param origin table
---@return moongate.fault|nil
function methods:fault(origin)
  local off = self.off[origin]
  return off and off.fault
end

-- The same, unless it is time to try it.
---@param origin table
---@return moongate.fault|nil
function methods:bars(origin)
  local off = self.off[origin]
  return off and self.clock() < off.retry_at and off.fault or nil
end

local function count_down(self, origin, subject)
  if not self.counts[subject] then return end
  self.counts[subject] = nil
  if not self.off[origin] then return end
  self.off[origin] = nil
  self.told(origin, nil)
end

-- Takes notice of how a call has ended.
---@param origin table
---@param subject any which of its functions
---@param fault moongate.fault|nil
function methods:tally(origin, subject, fault)
  if not fault then return count_down(self, origin, subject) end
  if not DEAR[fault.kind] then return end
  local count = (self.counts[subject] or 0) + 1
  self.counts[subject] = count
  if count < MOST then return end
  local off = self.off[origin]
  if not off then
    off = { fault = {
      kind = "off", policy = fault.policy, file = fault.file, line = fault.line,
      message = string.format("switched off after %d failures in a row (%s); mend it and save the file to switch it on "
        .. "again. It is tried once a minute", MOST, fault.message),
    } }
    self.off[origin] = off
    self.told(origin, off.fault)
  end
  off.retry_at = self.clock() + RETRY_SECONDS
end

return strikes
