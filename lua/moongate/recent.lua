-- GET /admin/requests?limit=: the newest requests, without what was asked. The ledger is read forwards only, so this
-- first looks for the moment since which there are enough of them.
local clock = require "moongate.core.clock"
local exchange = require "moongate.exchange"
local json = require "moongate.core.json"
local notice = require "moongate.notice"
local usage = require "moongate.core.usage"

local recent = {}

local JSON = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }
local USUAL, MOST = 50, 200
-- A reading of so many times as many rows as are wanted is cheap enough.
local ENOUGH, PAGE, MOST_PAGES = 4, 500, 10
local FIRST_WINDOW, WIDER, NARROWER = 60, 8, 30

local function count_since(from)
  local found = usage.ask { by = "provider", from = from, most = 1 }
  return found and tonumber(found.totals.requests)
end

-- Since when there are at least `wanted` rows, and not many more; nil: the ledger cannot be read.
local function since_when(wanted, now)
  local width, late, early = FIRST_WINDOW, now, nil
  while not early do
    local from = math.max(0, now - width)
    local count = count_since(from)
    if not count then return nil end
    if count >= wanted or from == 0 then
      if count <= ENOUGH * wanted then return from end
      early = from
    else
      late, width = from, width * WIDER
    end
  end
  for _ = 1, NARROWER do
    local middle = (early + late) / 2
    local count = count_since(middle)
    if not count then return nil end
    if count < wanted then
      late = middle
    else
      early = middle
      if count <= ENOUGH * wanted then return early end
    end
  end
  return early
end

-- The newest rows of all since then, the newest first.
local function newest(from, wanted)
  local rows, place = {}, nil
  for _ = 1, MOST_PAGES do
    local page = usage.ask { by = "request", from = from, most = PAGE, after = place }
    if not page then return nil end
    for row in page.each do rows[#rows + 1] = notice.brief(row) end
    place = page.next
    if not page.is_over then break end
  end
  local list = {}
  for i = #rows, math.max(1, #rows - wanted + 1), -1 do list[#list + 1] = rows[i] end
  return list
end

function recent.requests(handle)
  local given = string.match("&" .. handle:query(), "&limit=([^&]*)")
  local limit = given and (string.find(given, "^%d%d?%d?$") and tonumber(given) or 0) or USUAL
  if limit < 1 or limit > MOST then
    return exchange.refuse(handle, {
      status = 400, code = "invalid_parameter", param = "limit",
      message = string.format("limit: expected a number from 1 to %d", MOST),
    })
  end
  local from = since_when(limit, clock.now())
  local rows = from and newest(from, limit)
  if not rows then
    return exchange.refuse(handle, {
      status = 503, code = "ledger_unreadable",
      message = "the ledger cannot be read now: try again, and see /ready and the log for why",
    })
  end
  handle:reply(200, JSON, json.encode { requests = json.array(rows) })
end

return recent
