-- Names of limits and what they count: "rpm" is requests per minute, "neurons_per_day" a provider's own unit. And the
-- tables of what is left and used that policies see. Counting itself is the store's.

local near = require "moongate.near"

local quota = {}

local metrics = { r = "requests", t = "tokens" }
local letters = { requests = "r", tokens = "t" }
local windows = { s = "second", m = "minute", h = "hour", d = "day", month = "month" }
local endings = { second = "s", minute = "m", hour = "h", day = "d", month = "month" }

-- Every window there is, shortest first.
quota.windows = { "second", "10s", "minute", "hour", "5h", "day", "week", "month" }

-- The short names, in the order in which people read them.
quota.names = { "rps", "rpm", "rph", "rpd", "rpmonth", "tps", "tpm", "tph", "tpd", "tpmonth" }

local is_window = {}
for _, window in ipairs(quota.windows) do is_window[window] = true end

local parsed = {}

-- "rpm" -> "requests", "minute"; nil if it is not the name of a limit.
---@param name string
---@return string|nil metric
---@return string|nil window
function quota.parse(name)
  local known = parsed[name]
  if known then return known[1], known[2] end
  if type(name) ~= "string" or #name > 48 then return nil end
  local letter, ending = string.match(name, "^([rt])p(%a+)$")
  local metric, window = metrics[letter], windows[ending]
  if not (metric and window) then
    metric, window = string.match(name, "^(%l[%l_]*)_per_(%w+)$")
    if not (metric and is_window[window]) then return nil end
  end
  return metric, window
end

for _, name in ipairs(quota.names) do parsed[name] = { quota.parse(name) } end

-- "requests", "minute" -> "rpm": the name under which policies see it.
---@param metric string
---@param window string
---@return string
function quota.name(metric, window)
  local letter, ending = letters[metric], endings[window]
  if letter and ending then return letter .. "p" .. ending end
  return metric .. "_per_" .. window
end

local named = {} -- by window and metric
for _, window in ipairs(quota.windows) do named[window] = {} end

-- The same; nil where it is no name of a limit that policies could read.
---@param metric string
---@param window string
---@return string|nil
function quota.known_name(metric, window)
  local by_window = named[window]
  if not by_window then return nil end
  if by_window[metric] == nil then
    local name = quota.name(metric, window)
    by_window[metric] = quota.parse(name) and name or false
  end
  return by_window[metric] or nil
end

-- Anything may be a provider's own unit, but not a slip in these.
local usual = { "requests", "tokens", "input_tokens", "output_tokens" }

-- The unit that was meant by one like "request"; nil if it may well be a unit. One that is longer, as audio_tokens, is.
local function meant(metric)
  for _, each in ipairs(usual) do
    if metric == each then return nil end
  end
  local nearest = near.find(metric, usual, 1)[1]
  if not nearest or math.abs(#nearest - #metric) > 1 then return nil end
  return nearest
end

local function reader(otherwise)
  return {
    __index = function(own, name)
      if parsed[name] then return otherwise end -- as it is kept, so it would have been found
      local metric, window = quota.parse(name)
      local other = metric and meant(metric)
      if metric and not other then
        local value = rawget(own, quota.name(metric, window)) -- rpd is requests_per_day
        if value == nil then value = otherwise end
        return value
      end
      name = string.sub(tostring(name), 1, 48)
      local hint = other and near.hint(name, { other .. "_per_" .. window }) or near.hint(name, quota.names)
      error('there is no limit called "' .. name .. '"' .. hint, 2)
    end,
  }
end

local unlimited, unused = reader(math.huge), reader(0)

-- What is left, by limit name, as a policy reads it: no limit is math.huge, a misspelt name an error. The same table,
-- guarded from now on.
---@param values table<string, number>
---@return table<string, number>
function quota.left(values) return setmetatable(values, unlimited) end

-- What is used, by limit name, as a policy reads it: nothing is 0. The same table, guarded from now on.
---@param values table<string, number>
---@return table<string, number>
function quota.used(values) return setmetatable(values, unused) end

-- What each of these limits leaves: used(limit) says what is used up. Where a name comes twice (the model's and the
-- provider's), the smaller rest counts.
---@param limits table[]
---@param used fun(limit: table): number
---@return table<string, number>
function quota.rest(limits, used)
  local left = {}
  for _, limit in ipairs(limits) do
    local rest = math.max(0, limit.max - used(limit))
    if not left[limit.name] or rest < left[limit.name] then left[limit.name] = rest end
  end
  return left
end

return quota
