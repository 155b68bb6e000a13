-- GET /v1/usage: what the ledger's rows add up to. A key is told of its own use, under whichever label; the admin of
-- all.
local address = require "moongate.address"
local clock = require "moongate.core.clock"
local exchange = require "moongate.exchange"
local near = require "moongate.near"
local usage = require "moongate.core.usage"
local usage_query = require "moongate.usage_query"
local usage_told = require "moongate.usage_told"

local usage_page = {}

local JSON = { ["content-type"] = "application/json" }
-- `key` is where Gemini's clients carry their key.
local PARAMETERS = { "by", "from", "to", "limit", "after", "key" }
local MOST_ROWS, MOST_GROUPS = 1000, 10000

local function refuse(handle, name, message)
  exchange.refuse(handle, {
    status = 400, code = "invalid_parameter", type = "invalid_request_error", param = name,
    message = string.format("%s: %s", name, message),
  })
end

local function shown(text)
  return string.sub(string.gsub(text, "[^\32-\126]", "?"), 1, 60)
end

-- The parameters of a query; or nil, the name of the wrong one, and what is wrong. A plus stays one, for the zone of a
-- time.
local function parameters_of(query)
  local given, known = {}, {}
  for _, name in ipairs(PARAMETERS) do known[name] = true end
  for pair in string.gmatch(query, "[^&]+") do
    local name, value = string.match(pair, "^([^=]*)=?(.*)$")
    name = address.decoded(name)
    if not known[name] then
      return nil, shown(name), string.format("there is no such parameter%s; there are by, from, to, limit and after",
        near.hint(name, PARAMETERS))
    end
    if given[name] then return nil, name, "is there twice" end
    given[name] = address.decoded(value)
  end
  return given
end

-- What goes with by=request alone; or nil, the name of the wrong one, and what is wrong.
local function page_of(given, by)
  if by ~= "request" then
    local name = given.limit and "limit" or given.after and "after"
    if name then return nil, name, "goes with by=request alone" end
    return { most = MOST_GROUPS }
  end
  local limit = given.limit or tostring(MOST_ROWS)
  local count = string.find(limit, "^%d+$") and #limit < 10 and tonumber(limit) or 0
  if count < 1 or count > MOST_ROWS then
    return nil, "limit", string.format('"%s" is not possible: expected a number from 1 to %d', shown(limit), MOST_ROWS)
  end
  if given.after and not string.find(given.after, "^%d%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%-%d+$") then
    return nil, "after", string.format('"%s" is no place: expected what `next` was in the page before',
      shown(given.after))
  end
  return { most = count, after = given.after }
end

-- Totals and the page of one moment may differ by what ends in between: rows come to the end.
local function totals_of(query)
  if query.by ~= "request" then return nil end
  return usage.ask {
    by = "provider", from = query.from, to = query.to, org = query.org, key = query.key, most = MOST_GROUPS,
  }
end

local function let_others_go_on() clock.sleep(0) end

local function answer(handle, query)
  local found = usage.ask(query)
  local whole = found and (totals_of(query) or query.by ~= "request" and found)
  if not whole then
    return exchange.refuse(handle, {
      status = 503, code = "ledger_unreadable",
      message = "the ledger cannot be read now: try again, and see /ready and the log for why",
    })
  end
  if found.is_over and query.by ~= "request" then
    return refuse(handle, "by", string.format("there are more than %d of %s in this time: expected a shorter one, or "
      .. "ask `moongate usage`, which tells them all", MOST_GROUPS, query.by))
  end
  handle:reply(200, JSON, usage_told.json(whole.totals, found, query.by, let_others_go_on))
end

---@param handle table
---@param state table
function usage_page.get(handle, state)
  local is_admin = state.callers:is_admin(handle)
  local caller, refusal
  if not is_admin then caller, refusal = state.callers:of(handle) end
  if refusal then return exchange.refuse(handle, refusal) end
  local given, name, message = parameters_of(handle:query())
  if not given then return refuse(handle, name, message) end
  local query, page
  query, name, message = usage_query.read(given, clock.now())
  if not query then return refuse(handle, name, message) end
  page, name, message = page_of(given, query.by)
  if not page then return refuse(handle, name, message) end
  query.most, query.after = page.most, page.after
  if not is_admin then query.org, query.key = caller.org, caller.name end
  answer(handle, query)
end

return usage_page
