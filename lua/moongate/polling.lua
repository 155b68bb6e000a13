-- Asks the providers that have a quota checker what is left, each at its own interval, on one worker; publishes it to
-- all of them, and teaches it to the store. A failed poll leaves the last good answer there, as a stale one. Of several
-- gateways on one store one asks, and the others take over what it found.
local checkers = require "moongate.checkers"
local checking = require "moongate.checking"
local clock = require "moongate.core.clock"
local gate = require "moongate.core.gate"
local http = require "moongate.core.http"
local json = require "moongate.core.json"
local keys = require "moongate.core.keys"
local log = require "moongate.core.log"
local readings = require "moongate.readings"
local store = require "moongate.core.store"
local time = require "moongate.time"
local turns = require "moongate.core.turns"

local polling = {}

local DEADLINE, BODY_BYTES = 10, 1024 * 1024
-- The first round comes at once, but not all of it in the same moment.
local SPREAD, JITTER = 0.2, 0.1
-- One that fails is asked less and less often: up to so many intervals, and no longer than this.
local MOST_BACKED_OFF, LONGEST = 16, 3600
-- Whose turn it is has it for so much longer than until its next poll; a poll may take long. The others look again a
-- little after that, or soon where nothing new was told.
local MARGIN, LONGEST_POLL, SOON = 2, 20, 1
local COUNTED = { requests = true, tokens = true, input_tokens = true, percent = true }

local jobs, decider = {}, nil -- by provider

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for name, value in pairs(a) do
    if not same(value, b[name]) then return false end
  end
  for name in pairs(b) do
    if a[name] == nil then return false end
  end
  return true
end

local function publish()
  local board = {}
  for name, job in pairs(jobs) do board[name] = job.entry end
  gate.publish(json.encode(board))
  readings.forget()
end

local function teach(provider, job, result, now)
  for _, meter in ipairs(result.meters) do
    local metric, factor, window = meter.metric, 1, meter.window
    if metric == "dollars" then metric, factor = readings.MONEY, readings.MICRO end
    if window == "subscription" then window = readings.NO_WINDOW end
    local counts = factor > 1 or COUNTED[metric]
    if counts and meter.remaining then
      store.learn {
        provider = provider, model = "", metric = metric, window = window, source = "checker",
        limit = meter.limit and math.floor(meter.limit * factor),
        remaining = math.max(0, math.floor(meter.remaining * factor)),
        reset_s = meter.resets_at and math.max(0, meter.resets_at - now),
      }
    end
  end
end

local function ask(order)
  order.seconds, order.most = DEADLINE, BODY_BYTES
  local status, headers, body = http.call(order)
  -- The second is then a reason, the third what it means.
  if not status then return nil, body or headers end
  return { status = status, headers = headers, body = body }
end

-- The order of the next check of that job; nil and why there is none.
local function order_of(job)
  local given = job.checker
  local own = decider:checker(given.name)
  local found = own or checkers.get(given.name)
  job.version = own and own.version
  if not found then return nil, "there is no checker " .. given.name .. " now" end
  local options = {}
  for name, value in pairs(given) do options[name] = value end
  options.base_url = options.base_url or found.base_url or job.base_url
  local function within(work, ...) return decider:within(own, work, ...) end
  return {
    check = found.check, options = options, key = given.api_key or job.key, ask = ask, now = clock.now(),
    within = own and within or nil,
  }
end

local function check(job)
  local order, why = order_of(job)
  if not order then return nil, why end
  return checking.run(order)
end

local function pause(job, wait)
  local seconds = job.entry.interval
  if job.failures > 0 then
    local longer = math.min(seconds * math.min(2 ^ (job.failures - 1), MOST_BACKED_OFF), math.max(seconds, LONGEST))
    local wanted = type(wait) == "string" and time.wait(wait, clock.now()) or 0
    seconds = math.max(longer, math.min(wanted, LONGEST))
  end
  return seconds * (1 + JITTER * (2 * math.random() - 1))
end

-- Gateways that ask the same of the same account take turns.
local function turn_of(provider, job)
  local own = decider:checker(job.checker.name)
  local function text(value)
    if type(value) ~= "table" then return tostring(value) end
    local names, parts = {}, {}
    for name in pairs(value) do names[#names + 1] = tostring(name) end
    table.sort(names)
    for i, name in ipairs(names) do parts[i] = name .. "=" .. text(value[name] or value[tonumber(name)]) end
    return "{" .. table.concat(parts, ",") .. "}"
  end
  local whole = text { job.checker, job.key or "", job.base_url or "", own and own.version or "" }
  return "poll:" .. provider .. ":" .. string.gsub(string.sub(keys.hash(whole), 1, 8), ".", function(byte)
    return string.format("%02x", string.byte(byte))
  end)
end

local SHARED = { "checked_at", "reason", "meters", "credits", "status" }

-- What the gateway whose turn it is found last. False: that is known already, or not told yet.
local function take_over(job, text)
  if text == "" or text == job.heard then return false end
  local told = json.decode(text)
  if type(told) ~= "table" or type(told.entry) ~= "table" then return false end
  job.heard, job.failures = text, 0
  for _, name in ipairs(SHARED) do job.entry[name] = told.entry[name] end
  publish()
  return true
end

local schedule

local function poll(provider, job)
  job.timer, job.busy, job.again = nil, true, false
  local turn = turn_of(provider, job)
  local is_ours, told, wait_s = turns.take(turn, job.entry.interval + LONGEST_POLL)
  if job.over then return end -- another configuration is in force
  if not is_ours then
    job.busy = false
    local is_news = take_over(job, told)
    return schedule(provider, job, job.again and 0 or (is_news and wait_s or 0) + SOON * (1 + math.random()))
  end
  local fine, result, why, wait = pcall(check, job)
  job.busy = false
  if job.over then return end -- another configuration is in force
  local entry = job.entry
  if fine and result then
    if job.failures > 0 or not entry.checked_at then
      log.write("info", "a quota checker answers", string.sub(json.encode {
        provider = provider, checker = entry.checker, status = result.status }, 2, -2))
    end
    job.failures = 0
    entry.checked_at, entry.reason = clock.now(), nil
    entry.meters, entry.credits, entry.status = json.array(result.meters), result.credits, result.status
    teach(provider, job, result, entry.checked_at)
  else
    -- What is not caught in the check itself is the program's own mistake.
    if not fine then why = "the check itself failed: " .. tostring(result) end
    job.failures = job.failures + 1
    if entry.reason ~= why then
      log.write("warn", "a quota checker failed; its last good answer is shown as stale", string.sub(json.encode {
        provider = provider, checker = entry.checker, error = why }, 2, -2))
    end
    entry.reason = why
  end
  publish()
  local seconds = pause(job, wait)
  turns.tell(turn, seconds + MARGIN, json.encode { at = clock.now(), entry = entry })
  schedule(provider, job, job.again and 0 or seconds)
end

function schedule(provider, job, seconds)
  job.timer = clock.later(seconds, function() poll(provider, job) end)
end

local function stop(job)
  job.over = true
  if job.timer then job.timer:cancel() end
end

-- A configuration is in force. Checkers whose own part of it is the same go on as they were.
---@param state moongate.state
function polling.configure(state)
  if gate.state().worker ~= 0 then return end
  decider = state.policies
  local before = jobs
  jobs = {}
  for name, provider in pairs(state.config.providers) do
    local checker = provider.checker
    if checker then
      local key = provider.keys and provider.keys[1] and provider.keys[1].key
      local job, last = { checker = checker, key = key, base_url = provider.base_url }, before[name]
      if last and same({ last.checker, last.key or false, last.base_url or false },
        { checker, key or false, job.base_url or false }) then
        jobs[name], before[name] = last, nil
      else
        job.failures, job.entry = 0, { checker = checker.name, interval = checker.interval }
        jobs[name] = job
        schedule(name, job, SPREAD * math.random())
      end
    end
  end
  for _, job in pairs(before) do stop(job) end
  publish()
end

-- Policies are in force: a checker of the operator's own that has changed is asked anew.
function polling.installed()
  for name, job in pairs(jobs) do
    local own = decider:checker(job.checker.name)
    if (job.version or own) and (own and own.version) ~= job.version then
      job.again, job.failures = true, 0
      if job.timer and not job.busy then
        job.timer:cancel()
        schedule(name, job, 0)
      end
    end
  end
end

return polling
