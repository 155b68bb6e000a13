-- How providers stand, in words: one line for status bars, a table for people. Pure.

local figures = require "moongate.figures"
local grid = require "moongate.grid"

local status_told = {}

local function is_number(value) return type(value) == "number" end

local function quota_of(entry)
  local quota = type(entry.quota) == "table" and entry.quota
  if not quota then return nil end
  return string.format("%s/%s %s", figures.count(quota.remaining), figures.count(quota.limit), quota.name), quota
end

-- "groq 950/1k rpd left": the first free provider that can be used, and the quota of which the smallest share is left.
-- "exhausted" where there are free providers and none can be used now; "" where there is none. providers: free ones
-- first, best first. Its second result is that provider's name.
---@param providers table[]
---@return string
---@return string|nil
function status_told.line(providers)
  local any = false
  for _, entry in ipairs(providers) do
    any = any or entry.free
    if entry.free and entry.usable then
      local quota = quota_of(entry)
      return entry.provider .. (quota and " " .. quota .. " left" or ""), entry.provider
    end
  end
  return any and "exhausted" or "", nil
end

local function state_of(entry)
  local wait = is_number(entry.exhausted_for_s) and entry.exhausted_for_s or 0
  if wait > 0 then return "exhausted, back in " .. figures.duration(wait) end
  if entry.free and not entry.usable then return "exhausted" end
  return entry.status
end

-- The longer form: every provider, and what is wrong.
---@param told table what GET /v1/status answers
---@param columns integer|nil
---@return string[]
function status_told.table(told, columns)
  local lines, rows = { "gateway: " .. tostring(told.status) }, {}
  for _, problem in ipairs(told.problems) do
    local place = problem.file and (problem.line and problem.file .. ":" .. problem.line or problem.file) .. ": " or ""
    lines[#lines + 1] = "  " .. grid.cut(place .. tostring(problem.message), columns and columns - 2 or 1000)
  end
  if #told.providers == 0 then return lines end
  for i, entry in ipairs(told.providers) do
    local quota, facts = quota_of(entry)
    rows[i] = {
      entry.provider, state_of(entry), entry.free and "free" or "", quota and quota .. " left" or "no quota is known",
      facts and is_number(facts.reset_s) and figures.duration(math.ceil(facts.reset_s)) or "",
      is_number(entry.credits) and figures.dollars(entry.credits) or "",
    }
  end
  lines[#lines + 1] = ""
  local head = { "PROVIDER", "STATE", "FREE", "TIGHTEST QUOTA", "RESETS IN", "CREDITS" }
  local options = { cuttable = { 1, 2, 4 }, right = { [6] = true }, columns = columns }
  for _, line in ipairs(grid.lines(head, rows, options)) do lines[#lines + 1] = line end
  return lines
end

return status_told
