-- What the admin token orders of the whole gateway: POST /admin/reload, POST /admin/models/import, and what was
-- imported: GET /admin/models/known, /admin/models/changes. The control thread does it (moongate.ordering).
local address = require "moongate.address"
local clock = require "moongate.core.clock"
local exchange = require "moongate.exchange"
local importing = require "moongate.importing"
local json = require "moongate.core.json"
local near = require "moongate.near"
local orders = require "moongate.core.orders"
local period = require "moongate.period"

local orders_page = {}

local JSON = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }
local LONGEST_ORIGIN, MOST_PARTS = 300, 10000

local function refuse(handle, param, message)
  message = param .. ": " .. message
  exchange.refuse(handle, { status = 400, code = "invalid_parameter", param = param, message = message })
end

-- Orders it, and answers what the control thread answers.
local function order(handle, name, text)
  local answer = orders.ask(name, text)
  if not answer then return exchange.refuse(handle, { status = 503, message = "the gateway is stopping" }) end
  local fault = string.find(answer, '"error"', 1, true) and json.decode(answer).error
  if type(fault) == "string" then fault = { message = fault, status = 500 } end
  if not fault then return handle:reply(200, JSON, answer) end
  local problems = json.decode(answer).problems
  if problems and #problems > 1 then
    return handle:reply(fault.status, JSON, json.encode { error = fault, problems = problems })
  end
  exchange.refuse(handle, { status = fault.status, code = fault.code, message = fault.message })
end

-- Answers { problems }: what is wrong now, [] if all is well. A configuration that does not load changes nothing.
function orders_page.reload(handle) order(handle, "reload", "") end

local function number_of(text, most)
  local number = text and string.find(text, "^%d+$") and tonumber(text) or nil
  return number and number >= 1 and number <= most and number or nil
end

-- The body is the list, or with part, parts and id one of its parts, in order.
function orders_page.import(handle)
  local query = address.values(handle:query())
  if query.format then
    local is_known = false
    for _, name in ipairs(importing.formats) do is_known = is_known or name == query.format end
    if not is_known then
      return refuse(handle, "format", string.format('"%s" is not known%s: expected %s',
        string.gsub(string.sub(query.format, 1, 40), "%c", "?"), near.hint(query.format, importing.formats),
        table.concat(importing.formats, ", ")))
    end
  end
  local parts = query.parts and number_of(query.parts, MOST_PARTS) or 1
  local part = query.part and number_of(query.part, parts) or 1
  for name, most in pairs { parts = MOST_PARTS, part = parts } do
    if query[name] and not number_of(query[name], most) then
      return refuse(handle, name, "expected a number from 1 to " .. most)
    end
  end
  local head = json.encode {
    format = query.format, origin = string.sub(string.gsub(query.origin or "the list", "%c", "?"), 1, LONGEST_ORIGIN),
    dry_run = query.dry_run == "true" or query.dry_run == "1", part = part, parts = parts, id = query.id,
  }
  order(handle, "import", head .. "\n" .. handle:body())
end

function orders_page.known(handle) order(handle, "models", "") end

function orders_page.changes(handle)
  local since = address.values(handle:query()).since
  local from = since and period.moment(since, clock.now()) or 0
  if since and not period.moment(since, clock.now()) then
    return refuse(handle, "since", string.format('"%s" is no time: expected %s',
      string.sub(string.gsub(since, "[^\32-\126]", "?"), 1, 60), period.EXPECTED))
  end
  order(handle, "changes", json.encode { since = from })
end

return orders_page
