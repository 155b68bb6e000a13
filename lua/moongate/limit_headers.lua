-- Rate-limit headers as data: what each family of providers calls its limits, and one reader for all of them. A line
-- of the grammar is { name with {} for limit, remaining or reset, metric, window }; a family's own lines come before
-- the common ones. "told" means that the header's value may name its window itself (`100;w=60`).
local time = require "moongate.time"

local limit_headers = {}

local FIELDS = { "limit", "remaining", "reset" }

local COMMON = {
  { "x-ratelimit-{}-requests", "requests", "minute" },
  { "x-ratelimit-{}-tokens", "tokens", "minute" },
  { "x-ratelimit-{}-input-tokens", "input_tokens", "minute" },
  { "x-ratelimit-{}-output-tokens", "output_tokens", "minute" },
  { "ratelimit-{}", "requests", "told" },
  { "x-ratelimit-{}", "requests", "told" },
  { "x-rate-limit-{}", "requests", "told" },
  { "x-rate-limit-{}-requests", "requests", "minute" },
  { "x-rate-limit-{}-tokens", "tokens", "minute" },
}
for _, window in ipairs({ "second", "minute", "hour", "day", "week", "month" }) do
  COMMON[#COMMON + 1] = { "x-ratelimit-{}-requests-" .. window, "requests", window }
  COMMON[#COMMON + 1] = { "x-ratelimit-{}-req-" .. window, "requests", window }
  COMMON[#COMMON + 1] = { "x-ratelimit-{}-tokens-" .. window, "tokens", window }
end

-- `percents` are subscription windows: a share used instead of limit and remaining.
local FAMILIES = {
  generic = {},
  openai = {},
  azure = {},
  anthropic = {
    { "anthropic-ratelimit-requests-{}", "requests", "minute" },
    { "anthropic-ratelimit-tokens-{}", "tokens", "minute" },
    { "anthropic-ratelimit-input-tokens-{}", "input_tokens", "minute" },
    { "anthropic-ratelimit-output-tokens-{}", "output_tokens", "minute" },
    { "anthropic-priority-input-tokens-{}", "priority_input_tokens", "minute" },
    { "anthropic-priority-output-tokens-{}", "priority_output_tokens", "minute" },
  },
  -- Requests are always per day there.
  groq = { { "x-ratelimit-{}-requests", "requests", "day" } },
  mistral = {
    { "x-ratelimit-{}-req-10-second", "requests", "10s" },
    { "x-ratelimit-{}-tokens-10-second", "tokens", "10s" },
    { "ratelimitbysize-{}", "tokens", "minute" },
    { "x-ratelimitbysize-{}-minute", "tokens", "minute" },
    { "x-ratelimitbysize-{}-month", "tokens", "month" },
  },
  together = {
    { "x-ratelimit-{}", "requests", "second" },
    { "x-tokenlimit-{}", "tokens", "second" },
  },
  cohere = {
    { "x-trial-endpoint-call-{}", "requests", "minute" },
    { "x-endpoint-monthly-call-{}", "requests", "month" },
  },
}

-- name -> { metric, window, field, rank }; the first line that makes a name has it.
local function index_of(family)
  local index, rank = {}, 0
  local function add(lines)
    for _, line in ipairs(lines) do
      rank = rank + 1
      for _, field in ipairs(FIELDS) do
        local name = string.gsub(line[1], "{}", field)
        index[name] = index[name] or { metric = line[2], window = line[3], field = field, rank = rank }
      end
    end
  end
  add(FAMILIES[family])
  add(COMMON)
  return index
end

local indexes = {}
for family in pairs(FAMILIES) do indexes[family] = index_of(family) end

local SECONDS = {
  [1] = "second", [10] = "10s", [60] = "minute", [3600] = "hour", [18000] = "5h", [86400] = "day", [604800] = "week",
  [2592000] = "month", [2678400] = "month",
}

-- The name of a window of that many seconds.
---@param seconds number|nil
---@return string
function limit_headers.window(seconds)
  return SECONDS[seconds] or "unknown"
end

-- What is read of a header, which may have come more than once: of its first value that says it.
local function first(value, read, now)
  if type(value) ~= "table" then return read(value, now) end
  for _, text in ipairs(value) do
    local found = read(text, now)
    if found then return found end
  end
end

-- Limits and remainders end at the first comma or semicolon.
local function figure_in(text)
  return type(text) == "string" and time.number(string.match(text, "^[^,;]*")) or nil
end

local function window_in(text)
  local seconds = type(text) == "string" and string.match(text, ";%s*w%s*=%s*\"?(%d+)")
  return seconds and limit_headers.window(tonumber(seconds)) or nil
end

local function figure(value) return first(value, figure_in) end
local function wait(value, now) return first(value, time.wait, now) end
local function told_window(value) return first(value, window_in) end

-- Where the window is told by the value: in the limit itself, else by the policy header beside it.
local function window_of(headers, name, entry)
  if entry.window ~= "told" then return entry.window end
  local limit = headers[(string.gsub(name, entry.field .. "$", "limit"))]
  return told_window(limit) or told_window(headers["ratelimit-policy"]) or "unknown"
end

local CODEX = { "primary", "secondary" }
local UNIFIED = { { "5h", "5h" }, { "7d", "week" }, { "7d_oi", "week" } }
-- Of these headers each plan has at least one.
local SHARES = {}
for _, which in ipairs(CODEX) do
  for _, what in ipairs { "used-percent", "reset-after-seconds", "reset-at" } do
    SHARES["x-codex-" .. which .. "-" .. what] = true
  end
end
for _, line in ipairs(UNIFIED) do
  for _, what in ipairs { "utilization", "reset" } do
    SHARES["anthropic-ratelimit-unified-" .. line[1] .. "-" .. what] = true
  end
end

local function sort(names, index)
  table.sort(names, function(a, b)
    local first_rank, second_rank = index[a].rank, index[b].rank
    if first_rank ~= second_rank then return first_rank < second_rank end
    return a < b
  end)
end

-- The names of those that the grammar has, in the order of its lines; and whether there may be shares of plans.
local function matches(headers, index)
  local names, has_shares = {}, false
  for name in pairs(headers) do
    if index[name] then names[#names + 1] = name end
    has_shares = has_shares or SHARES[name]
  end
  if #names > 1 then sort(names, index) end
  return names, has_shares
end

local function round(value)
  return math.floor(value * 1e6 + 0.5) / 1e6
end

-- One subscription window; of two with the same name the tighter one stays.
local function add_percent(limits, window, used, reset_s)
  if not used and not reset_s then return end
  local remaining = used and round(math.max(0, 100 - used)) or nil
  for _, other in ipairs(limits) do
    if other.metric == "percent" and other.window == window then
      if remaining and (not other.remaining or remaining < other.remaining) then
        other.remaining, other.reset_s = remaining, reset_s
      end
      return
    end
  end
  limits[#limits + 1] = { metric = "percent", window = window, limit = 100, remaining = remaining, reset_s = reset_s }
end

-- ChatGPT plans: percent used, the window's length in minutes, the reset from now or as a moment.
local function add_codex(limits, headers, now)
  for _, which in ipairs(CODEX) do
    local prefix = "x-codex-" .. which .. "-"
    local minutes = figure(headers[prefix .. "window-minutes"])
    local reset_s = wait(headers[prefix .. "reset-after-seconds"], now) or wait(headers[prefix .. "reset-at"], now)
    local used = figure(headers[prefix .. "used-percent"])
    add_percent(limits, limit_headers.window(minutes and minutes * 60), used, reset_s)
  end
end

-- Claude plans: the share used as a fraction that may pass 1, the reset as epoch seconds.
local function add_unified(limits, headers, now)
  for _, line in ipairs(UNIFIED) do
    local prefix = "anthropic-ratelimit-unified-" .. line[1] .. "-"
    local share = figure(headers[prefix .. "utilization"])
    add_percent(limits, line[2], share and share * 100, wait(headers[prefix .. "reset"], now))
  end
end

-- The header grammar of a provider of that name, or the common one.
---@param name string|nil
---@return string
function limit_headers.family(name)
  return FAMILIES[name] and name or "generic"
end

-- The grammar for core.limit_headers, which reads what is written plainly: of each name field, metric and window, in
-- the order of the lines. "other" has to be read here.
---@param family string
---@return { [1]: string, [2]: string, [3]: string|nil, [4]: string|nil }[]
function limit_headers.lines(family)
  local index, lines = indexes[family], {}
  for _, name in ipairs((matches(index, index))) do
    local entry = index[name]
    lines[#lines + 1] = { name, entry.window == "told" and "other" or entry.field, entry.metric, entry.window }
  end
  for name in pairs(SHARES) do lines[#lines + 1] = { name, "other" } end
  return lines
end

-- Whether noughts in a family's headers mean that it does not know: Azure's.
---@param family string
---@return boolean
function limit_headers.has_blanks(family) return family == "azure" end

-- The limits that headers tell: a list of { metric, window, limit, remaining, reset_s }.
---@param headers table<string, string|string[]> lower-case names
---@param family string
---@param now number
---@return table[]
function limit_headers.read(headers, family, now)
  local limits, by_key, index = {}, {}, indexes[family]
  local names, has_shares = matches(headers, index)
  for _, name in ipairs(names) do
    local entry, told = index[name], headers[name]
    local window = window_of(headers, name, entry)
    local key = entry.metric .. "/" .. window
    local limit = by_key[key]
    if not limit then
      limit = { metric = entry.metric, window = window }
      by_key[key], limits[#limits + 1] = limit, limit
    end
    local value
    if entry.field == "reset" then value = wait(told, now) else value = figure(told) end
    local field = entry.field == "reset" and "reset_s" or entry.field
    if limit[field] == nil then limit[field] = value end
  end
  if has_shares then
    add_codex(limits, headers, now)
    add_unified(limits, headers, now)
  end
  local kept = {}
  for _, limit in ipairs(limits) do
    local is_blank = limit.limit == 0 and limit.remaining == 0 and limit_headers.has_blanks(family)
    if is_blank then limit.limit, limit.remaining = nil, nil end
    if limit.limit or limit.remaining or limit.reset_s then kept[#kept + 1] = limit end
  end
  return kept
end

return limit_headers
