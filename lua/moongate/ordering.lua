-- What workers order of the control thread (core/gate/orders.h): a reload, imports of models, and what the store knows
-- of them. One after the other; may take long, which holds up no request.
local catalogue = require "moongate.catalogue"
local clock = require "moongate.core.clock"
local importing = require "moongate.importing"
local imports = require "moongate.imports"
local json = require "moongate.core.json"
local log = require "moongate.core.log"
local models = require "moongate.core.models"

local ordering = {}

-- How long /ready tells of a price that has jumped, and of how many by name.
local ALERT_SECONDS, MOST_NAMED = 86400, 3
-- Of an import that never becomes whole.
local PARTS_SECONDS = 300
local MOST_LOGGED = 20

local parts -- of the import that is arriving: { id, list, bytes, at }
local finished -- what to answer once the configuration is loaded again

local function refusal(status, message, code)
  return json.encode { error = { message = message, status = status, code = code } }
end

local function log_alerts(report)
  for i, change in ipairs(report.changes) do
    if i > MOST_LOGGED or not change.alert then break end
    log.write("warn", "a price has jumped", string.sub(json.encode {
      provider = change.provider, model = change.model, field = change.field, old = change.old, new = change.new,
      source = report.source,
    }, 2, -2))
  end
end

-- The text of an import whose parts are all there; nil: there are more to come, and what to answer meanwhile.
local function whole(head, body)
  local count, number = tonumber(head.parts) or 1, tonumber(head.part) or 1
  if count <= 1 then return body end
  local now = clock.monotonic()
  if number == 1 then parts = { id = head.id, list = {}, bytes = 0, at = now } end
  if not parts or parts.id ~= head.id or number ~= #parts.list + 1 or now - parts.at > PARTS_SECONDS then
    return nil, refusal(409, "another import has begun meanwhile: try again", "import_interrupted")
  end
  parts.list[number], parts.bytes, parts.at = body, parts.bytes + #body, now
  if parts.bytes > importing.most_bytes then
    parts = nil
    return nil, refusal(413, string.format("a list may have %d MiB", importing.most_bytes / 2 ^ 20), "too_large")
  end
  if number < count then return nil, json.encode { received = number } end
  local text = table.concat(parts.list)
  parts = nil
  return text
end

local function log_failure(head, problems)
  log.write("warn", "models were not imported; those of the last import stay", string.sub(json.encode {
    origin = head.origin, error = problems[1], more = #problems > 1 and #problems - 1 or nil,
  }, 2, -2))
end

local orders = {}

function orders.reload()
  finished = {}
  return nil
end

-- text: a JSON object { origin, format, dry_run, part, parts, id, sync }, a line end, the list.
function orders.import(text, state)
  local line, body = string.match(text, "^([^\n]*)\n(.*)$")
  local head = json.decode(line)
  local list, answer = whole(head, body)
  if not list then return answer end
  local now = clock.now()
  local report, problems, is_stores = importing.run({
    text = list, format = head.format, origin = head.origin, dry_run = head.dry_run, now = now,
  }, state.current)
  local was_told = head.sync and state.syncs[head.sync] ~= nil
  if head.sync then state.syncs[head.sync] = problems and problems[1] or nil end
  if not report then
    log_failure(head, problems)
    finished = { error = { status = is_stores and 503 or 422, message = problems[1],
      code = is_stores and "store_refused" or "import_refused" } }
    finished.problems = json.array(problems)
    -- What /ready tells has changed.
    if head.sync then return nil end
    return json.encode(finished)
  end
  if report.dry_run then return json.encode(report) end
  log.write("info", "models imported", string.sub(json.encode {
    source = report.source, origin = report.origin, models = report.models, added = report.added,
    removed = report.removed, changed = report.changed, skipped = report.skipped, alerts = report.alerts,
  }, 2, -2))
  log_alerts(report)
  finished = report
  -- Nothing that a worker knows is another.
  if report.change_count == 0 and not was_told then return ordering.finish {} end
  return nil
end

-- text: { sync, reason }: a list could not be fetched.
function orders.sync_failed(text, state)
  local told = json.decode(text)
  finished = {}
  if state.syncs[told.sync] == told.reason then return json.encode {} end
  state.syncs[told.sync] = told.reason
  log_failure({ origin = told.sync }, { told.reason })
  return nil
end

function orders.models(_, state)
  local sources, reason = importing.sources(state.current.store)
  if not sources then return refusal(503, reason, "store_unreadable") end
  return json.encode { models = json.array(catalogue.list(state.current, sources, clock.now())) }
end

function orders.changes(text, state)
  local list, reason = importing.changes(state.current.store, json.decode(text).since)
  if not list then return refusal(503, reason, "store_unreadable") end
  return json.encode { changes = json.array(list) }
end

function orders.prices(text, state)
  local order = json.decode(text)
  local list, reason = importing.price_changes(state.current, order.since, order.most)
  return list and json.encode { changes = json.array(list) } or refusal(503, reason, "store_unreadable")
end

---@param name string
---@param text string
---@param state table the control thread's
---@return string|nil answer nil: first the configuration is to be loaded again
function ordering.run(name, text, state)
  return orders[name](text, state)
end

-- The answer once the configuration was loaded again: what was ordered, and what is wrong now.
---@param problems table[]
---@return string
function ordering.finish(problems)
  local answer = finished or {}
  finished = nil
  answer.problems = answer.problems or json.array(problems)
  return json.encode(answer)
end

-- The problem that prices at the configuration's providers have jumped within a day; nil: none has.
---@param config table
---@param now number
---@return table|nil
function ordering.alerts(config, now)
  local found = models.changes(config.store, now - ALERT_SECONDS)
  local place, count, newest, named = imports.places(config.providers), 0, 0, {}
  for i = #(found or {}), 1, -1 do
    for change in imports.each_alert(found[i]) do
      local concerns = #place(change.provider) > 0
      if concerns then count, newest = count + 1, math.max(newest, change.time) end
      if concerns and count <= MOST_NAMED then
        named[count] = string.format("%s/%s %s from %.14g to %.14g", change.provider, change.model, change.field,
          change.old, change.new)
      end
    end
  end
  if count == 0 then return nil end
  local more = count > MOST_NAMED and string.format(", and %d more", count - MOST_NAMED) or ""
  return {
    what = "prices", ["until"] = newest + ALERT_SECONDS,
    message = string.format("%d imported price%s jumped: %s%s (USD per million tokens); see moongate models changes "
      .. "--alerts", count, count == 1 and " has" or "s have", table.concat(named, ", "), more),
  }
end

-- Lists that are to be fetched now and then, and could not be.
---@param state table
---@return table[]
function ordering.sync_problems(state)
  local list = {}
  for _, each in ipairs(state.current and state.current.sync or {}) do
    local reason = state.syncs[each.url]
    if reason then list[#list + 1] = { what = "sync", message = reason } end
  end
  return list
end

return ordering
