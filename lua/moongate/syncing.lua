-- Fetches the lists of models that the configuration names in `sync`, each at its own interval, on one worker, and has
-- the control thread import them. A list that cannot be fetched or read changes nothing, and is tried again sooner.
local clock = require "moongate.core.clock"
local gate = require "moongate.core.gate"
local http = require "moongate.core.http"
local importing = require "moongate.importing"
local json = require "moongate.core.json"
local orders = require "moongate.core.orders"

local syncing = {}

local DEADLINE = 120
-- The first one comes soon, but not in the moment in which everything starts; one that failed, after a minute and then
-- less and less often.
local FIRST, RETRY, JITTER = 1, 60, 0.05

local jobs = {} -- by address

-- What the list says; nil and why it could not be fetched.
local function fetch(job)
  local status, headers, body = http.call { method = "GET", url = job.url, seconds = DEADLINE,
    most = importing.most_bytes }
  if not status then return nil, string.format("%s: cannot be fetched: %s", job.shown, body or headers) end
  if status == 200 then return body end
  local where = status >= 300 and status < 400 and headers.location and "; it leads elsewhere: name that address" or ""
  return nil, string.format("%s: answered %d%s", job.shown, status, where)
end

-- True once its models are in force, or stay as they were.
local function sync(job)
  local list, why = fetch(job)
  if job.is_over then return true end
  if not list then
    orders.ask("sync_failed", json.encode { sync = job.url, reason = why })
    return false
  end
  local answer = orders.ask("import", json.encode { origin = job.shown, format = job.format, sync = job.url } .. "\n"
    .. list)
  return answer ~= nil and not string.find(answer, '"error"', 1, true)
end

local schedule

local function run(job)
  job.timer = nil
  local fine = sync(job)
  if job.is_over then return end
  job.failures = fine and 0 or job.failures + 1
  local pause = fine and job.interval or math.min(job.interval, RETRY * 2 ^ (job.failures - 1))
  schedule(job, pause * (1 + JITTER * (2 * math.random() - 1)))
end

function schedule(job, seconds)
  job.timer = clock.later(seconds, function() run(job) end)
end

-- Soon after the start, unless that format was imported within the interval.
local function first(job, synced)
  local last = job.format and synced and synced[job.format]
  return math.max(FIRST, last and last + job.interval - clock.now() or 0)
end

-- A configuration is in force. What it names as before goes on as it was.
---@param state moongate.state
function syncing.configure(state)
  if gate.state().worker ~= 0 then return end
  local before = jobs
  jobs = {}
  for _, each in ipairs(state.config.sync or {}) do
    local job = before[each.url]
    if job and job.format == each.format and job.interval == each.interval then
      before[each.url] = nil
    elseif not jobs[each.url] then
      job = { url = each.url, format = each.format, interval = each.interval, failures = 0,
        shown = importing.shown(each.url) }
      schedule(job, first(job, state.config.synced))
    end
    jobs[each.url] = jobs[each.url] or job
  end
  for _, job in pairs(before) do
    job.is_over = true
    if job.timer then job.timer:cancel() end
  end
end

return syncing
