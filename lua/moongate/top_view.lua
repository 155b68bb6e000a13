-- What `moongate top` shows, as lines that fit a terminal: the gateway, its providers with their quotas, the ladder as
-- it is now, the newest requests. Pure: what the admin API told goes in, text comes out.

local figures = require "moongate.figures"
local grid = require "moongate.grid"
local quota_names = require "moongate.quota"

local top_view = {}

local COLOURS = { green = "32", amber = "33", red = "31", dim = "2", bold = "1", head = "7" }
local BAR, WIDE, SPACIOUS = 10, 70, 100

---@class moongate.top_look
---@field columns integer
---@field rows integer|nil nil: as many as it takes
---@field colour boolean
---@field utf8 boolean

---@class moongate.top_state
---@field address string
---@field now number
---@field rate number|nil requests a second
---@field away string|nil why the gateway does not answer; then the rest is what it told last
---@field overview table|nil GET /admin/overview
---@field requests table|nil GET /admin/requests
---@field ladder table|nil POST /v1/router/debug

local function is_number(value) return type(value) == "number" end

-- A text in a colour, if there are colours.
local function painted(look, name, text)
  if not look.colour or not COLOURS[name] then return text end
  return "\27[" .. COLOURS[name] .. "m" .. text .. "\27[0m"
end

-- "[||||||....]": how much is used.
local function bar(look, used, limit)
  local share = limit > 0 and math.max(0, math.min(1, used / limit)) or 1
  local full = math.floor(share * BAR + 0.5)
  local on, off = look.utf8 and "\226\150\136" or "|", look.utf8 and "\226\150\145" or "."
  return string.rep(on, full) .. string.rep(off, BAR - full)
end

local function padded(text, width)
  text = grid.cut(text, width)
  local _, continued = string.gsub(text, "[\128-\191]", "")
  return text .. string.rep(" ", width - #text + continued)
end

local function title(look, text)
  return painted(look, "head", padded(text, look.columns))
end

local function head_of(state, look)
  local told, lines = state.overview, {}
  local left = "moongate at " .. state.address
  if told then
    left = left .. string.format("  %s  up %s  %d worker%s", told.status,
      figures.duration(math.max(0, state.now - told.started_at)), told.workers, told.workers == 1 and "" or "s")
    if told.zero_spend then left = left .. "  zero spend" end
  end
  local clock = os.date("!%H:%M:%S UTC", math.floor(state.now))
  lines[1] = painted(look, "bold", padded(left, look.columns - #clock - 1) .. " " .. clock)
  if state.away then
    lines[2] = painted(look, "red", grid.cut(state.away, look.columns))
  elseif told then
    local counts = told.counts
    lines[2] = grid.cut(string.format("%s requests/s   %s in all, %s failed   %s tokens   %s   %s stream%s open",
      state.rate and string.format("%.1f", state.rate) or "?", figures.count(counts.requests),
      figures.count(counts.failed), figures.count(counts.tokens), figures.dollars(counts.cost_microusd / 1e6),
      figures.count(counts.streams_open), counts.streams_open == 1 and "" or "s"), look.columns)
  end
  local problem = told and not state.away and told.problems[1]
  if problem then
    local place = problem.file and (problem.line and problem.file .. ":" .. problem.line or problem.file) .. ": " or ""
    local more = #told.problems > 1 and string.format(" (and %d more)", #told.problems - 1) or ""
    local text = grid.cut("! " .. place .. tostring(problem.message) .. more, look.columns)
    lines[#lines + 1] = painted(look, "amber", text)
  end
  return lines
end

-- Of a provider's limits the one that is nearest to its end.
local function tightest(limits)
  local found, least
  for _, limit in ipairs(limits) do
    if not limit.stale and is_number(limit.limit) and limit.limit > 0 and is_number(limit.remaining) then
      local share = limit.remaining / limit.limit
      local is_tighter = not least or share < least or share == least and limit.remaining < found.remaining
      if is_tighter then found, least = limit, share end
    end
  end
  return found
end

local function provider_line(provider, state, look)
  local mark = look.utf8 and "\226\151\143" or "*"
  local limit = tightest(provider.limits)
  local quota, meter = "no limit is known", string.rep(" ", BAR)
  if limit then
    local used = limit.limit - limit.remaining
    meter = bar(look, used, limit.limit)
    quota = string.format("%s/%s %s", figures.count(used), figures.count(limit.limit),
      quota_names.name(limit.metric, limit.window))
    if is_number(limit.reset_at) and limit.reset_at > state.now then
      quota = quota .. (look.columns >= SPACIOUS and ", reset in " or ", ")
        .. figures.duration(math.ceil(limit.reset_at - state.now))
    end
  end
  local says = provider.status
  if provider.pulse == "red" then
    says = provider.reason or "exhausted"
    if is_number(provider.back_at) and provider.back_at > state.now then
      says = string.format("back in %s: %s", figures.duration(math.ceil(provider.back_at - state.now)), says)
    end
  elseif is_number(provider.barred) and provider.barred > 0 then
    says = string.format("%d of %d models are out", provider.barred, provider.models)
  end
  local facts = {}
  if is_number(provider.latency_ms) then facts[1] = figures.duration(provider.latency_ms / 1000) end
  if is_number(provider.credits) then facts[#facts + 1] = figures.dollars(provider.credits) end
  local name_width = math.max(8, math.min(24, math.floor(look.columns / 6)))
  local quota_width = math.max(12, math.min(math.floor(look.columns * 0.33), 44))
  -- A narrow screen has room for the figures alone.
  local shown_meter = look.columns >= WIDE and painted(look, provider.pulse, meter) .. " " or ""
  local room = look.columns - name_width - quota_width - (look.columns >= WIDE and BAR + 1 or 0) - 5
  local rest = grid.cut(says .. (#facts > 0 and "  " .. table.concat(facts, "  ") or ""), math.max(0, room))
  return string.format("%s %s %s%s  %s", painted(look, provider.pulse, mark), padded(provider.provider, name_width),
    shown_meter, padded(quota, quota_width), rest)
end

local function ladder_lines(state, look, most)
  local told = state.ladder
  if not told then return {} end
  if told.error then return { grid.cut(tostring(told.error.message), look.columns) } end
  local lines, width = {}, math.max(30, math.floor(look.columns * 0.45))
  local rank = {}
  for i, id in ipairs(told.ladder) do rank[id] = i end
  local kept, left_out = {}, {}
  for _, each in ipairs(told.candidates) do
    local list = rank[each.id] and kept or left_out
    list[#list + 1] = each
  end
  table.sort(kept, function(a, b) return rank[a.id] < rank[b.id] end)
  local dropped = math.min(#left_out, math.max(0, most - math.min(#kept, math.max(1, most - 1))))
  for _, each in ipairs(kept) do
    if #lines >= most - dropped then break end
    local words = string.gsub(string.gsub(each.reason, "^rung %d+,? ?", ""), "^passed over: ", "")
    local text = string.format("%3d  %s %s", rank[each.id], padded(each.id, width), words)
    lines[#lines + 1] = grid.cut(text, look.columns)
  end
  for i = 1, dropped do
    local each = left_out[i]
    local text = grid.cut("  -  " .. padded(each.id, width) .. " " .. each.reason, look.columns)
    lines[#lines + 1] = painted(look, "dim", text)
  end
  if #told.ladder == 0 and #lines == 0 then lines[1] = grid.cut(tostring(told.reason), look.columns) end
  return lines
end

local function request_line(row, look)
  local outcome = row.outcome == "error" and string.format("error %s", row.status or "") or row.outcome
  local served = row.provider and row.provider .. "/" .. (row.model or "") or row.model or ""
  local tokens = (row.input_tokens or 0) + (row.cached_tokens or 0) .. "+" .. (row.output_tokens or 0)
  local key_width = look.columns >= SPACIOUS and 14 or 8
  -- What is left beside the time, outcome, tokens, latency and cost, each two apart.
  local wide = look.columns - key_width - 8 - 9 - 13 - 7 - 9 - 6 * 2
  local text = string.format("%s  %s  %s  %s  %13s  %7s  %s", os.date("!%H:%M:%S", math.floor(row.time)),
    padded(row.key or "", key_width), padded(served, math.max(10, wide)), padded(outcome, 9), tokens .. " tok",
    figures.duration((row.latency_ms or 0) / 1000), figures.dollars((row.cost_microusd or 0) / 1e6))
  return painted(look, row.outcome == "ok" and "" or "red", grid.cut(text, look.columns))
end

local function add_all(lines, more)
  for _, line in ipairs(more) do lines[#lines + 1] = line end
end

-- The first so many, the last of them telling how many more there are.
local function shortened(list, most)
  if #list <= most then return list end
  local short = {}
  for i = 1, math.max(0, most - 1) do short[i] = list[i] end
  if most > 0 then short[most] = string.format("  ... and %d more", #list - #short) end
  return short
end

-- The lines of the whole screen, none wider than it, no more than it has.
---@param state moongate.top_state
---@param look moongate.top_look
---@return string[]
function top_view.lines(state, look)
  local lines, told = head_of(state, look), state.overview
  if not told then return lines end
  local rows = look.rows or math.huge
  local left = rows - #lines - 3
  local providers, requests = {}, {}
  for i, provider in ipairs(told.providers) do providers[i] = provider_line(provider, state, look) end
  for i, row in ipairs(state.requests or {}) do requests[i] = request_line(row, look) end
  local most_providers = math.max(1, math.min(#providers, math.ceil(left * 0.45)))
  local most_ladder = math.max(1, math.min(math.ceil(left * 0.3), 12))
  lines[#lines + 1] = title(look, string.format(" PROVIDERS  %d, %d models", #providers, told.models))
  if #providers == 0 then lines[#lines + 1] = "no provider is configured: see moongate check" end
  add_all(lines, shortened(providers, most_providers))
  local plan = state.ladder
  lines[#lines + 1] = title(look, " LADDER now, for a small request to \"auto\""
    .. (plan and plan.policy and "  (" .. plan.policy .. ")" or ""))
  add_all(lines, ladder_lines(state, look, most_ladder))
  lines[#lines + 1] = title(look, " REQUESTS, the newest first" .. (look.rows and "  (q quits)" or ""))
  if #requests == 0 then lines[#lines + 1] = "none yet" end
  for i = 1, math.min(#requests, rows - #lines) do lines[#lines + 1] = requests[i] end
  return lines
end

return top_view
