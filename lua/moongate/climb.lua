-- Goes up the ladder: tries its rungs in order, the same one again where that makes sense, and stops at the first
-- answer that may be handed on, or with the reason why there is none.
local attempt = require "moongate.attempt"
local clock = require "moongate.core.clock"
local failures = require "moongate.failures"
local passing = require "moongate.passing"
local protocols = require "moongate.protocols"
local standing = require "moongate.standing"
local translation = require "moongate.translation"

local climb = {}

-- A provider that names its wait is waited for only if the wait is shorter than a caller notices.
local LONGEST_WAIT = 2
-- More calls than this for one request help nobody.
local MOST_CALLS = 16

-- Whether the request's time, or the provider's, will be over after a wait.
local function time_is_up(call, target, wait)
  local total = call.state.config.providers[target.provider].timeouts.total
  return call.handle:elapsed() + (wait or 0) >= math.min(total, call.request.timeout_s or total)
end

-- How often the same target is tried again. Unless the configuration says, another provider is the better second try,
-- and only the last rung gets one.
local function retries_of(call, target, is_last)
  return call.state.config.providers[target.provider].retries or (is_last and 1 or 0)
end

-- Whether the same target is tried again after this verdict, and after which wait.
local function again(call, target, verdict, tries, is_last)
  if tries > retries_of(call, target, is_last) or call.calls >= MOST_CALLS then return nil end
  local wait = failures.backoff(tries, math.random)
  if verdict.retry == "last_rung" then
    local told = verdict.wait or LONGEST_WAIT + 1
    if not is_last or told > LONGEST_WAIT then return nil end
    return math.max(wait, told)
  end
  return verdict.retry and wait or nil
end

-- The answer; or nil and the outcome, and the wait after which the same is tried again, where it is.
local function try_once(call, target, tries, is_last)
  call.calls = call.calls + 1
  local answer, outcome = attempt.try(call, target)
  if answer then return answer end
  if outcome.skipped or outcome.refusal then call.calls = call.calls - 1 end -- nobody was called
  if outcome.skipped or outcome.refusal or outcome.cancelled then return nil, outcome end
  local wait = again(call, target, outcome, tries, is_last)
  if not wait or time_is_up(call, target, wait) then return nil, outcome end
  return nil, outcome, wait
end

-- One rung, with its retries. Most need none, and meet no loop: LuaJIT would not compile the way into one.
local function try_rung(call, target, is_last)
  local answer, outcome, wait = try_once(call, target, 1, is_last)
  local tries = 1
  while wait do
    local _, reason = clock.sleep(wait)
    if reason then return nil, { cancelled = reason } end
    tries = tries + 1
    answer, outcome, wait = try_once(call, target, tries, is_last)
  end
  return answer, outcome
end

local function describe(target, outcome)
  return target.id .. ": " .. passing.with_wait(outcome.skipped or outcome.message, outcome.wait)
end

local function sooner(a, b)
  if not b or b <= 0 then return a end
  return a and math.min(a, b) or b
end

-- Every rung failed or was left out.
local function nothing_left(call, told, retry_after, timed_out, barred, unfit, first_unfit)
  local list = table.concat(told, "; ")
  if timed_out then
    return { status = 504, message = "the time for this request is used up: " .. list, code = "timeout" }
  end
  if unfit > 0 and unfit == #told then
    return {
      status = 400, message = first_unfit.message, param = first_unfit.param, code = "unsupported_by_provider",
      type = "invalid_request_error",
    }
  end
  if barred == #told then
    return { status = 403, message = "no provider may be called: " .. list, code = "barred", type = "permission_error" }
  end
  if #call.attempts == 0 then
    return {
      status = 503, message = "no provider can be used now: " .. list, retry_after = retry_after,
      code = "no_provider_available",
    }
  end
  return {
    status = 502, message = "all providers failed: " .. list, retry_after = retry_after, code = "all_providers_failed",
  }
end

local function passed_on(verdict)
  local error = verdict.error or {}
  return {
    status = verdict.status and verdict.status >= 400 and verdict.status or 400,
    message = error.message or verdict.message, type = error.type, code = error.code,
  }
end

-- The caller's own limit blocks.
local function at_own_limit(caller, outcome)
  local words, wait = passing.own_limit(caller, outcome)
  return { status = 429, retry_after = wait, message = words }
end

-- Tries the ladder. Answers an opened answer (see attempt.try), or nil and { refusal = ... } or { cancelled = ... }.
---@param call table
---@return table|nil
---@return table|nil
function climb.ladder(call)
  local ladder, told, retry_after, needs_larger, timed_out = call.plan.ladder, nil, nil, nil, false
  local noted = call.plan.standing -- a moment ago: of the rung that was found free, it is not asked again
  local free = noted and noted.first == ladder[1]
  local callers_fault
  local barred = 0 -- by the firewall: no wait will help
  local unfit, first_unfit = 0, nil -- what their formats cannot carry
  for i = 1, #ladder do
    local target = ladder[i]
    local outcome = not (free and i == 1) and standing.exhausted(target) or nil
    if not outcome and needs_larger and (target.context_length or 0) <= needs_larger then
      outcome = { skipped = "its context is no larger" }
    end
    if not outcome then
      local answer
      answer, outcome = try_rung(call, target, i == #ladder)
      if answer then return answer end
    end
    if outcome.cancelled then return nil, outcome end
    if outcome.refusal then return nil, { refusal = at_own_limit(call.caller, outcome) } end
    if outcome.next == "no" then return nil, { refusal = passed_on(outcome) } end
    if outcome.next == "larger" then needs_larger = math.max(needs_larger or 0, target.context_length or 0) end
    if outcome.pass_on then callers_fault = outcome end
    if outcome.barred then barred = barred + 1 end
    if outcome.unfit and not outcome.unfit.fault then
      unfit, first_unfit = unfit + 1, first_unfit or outcome.unfit
    end
    told = told or {} -- most requests need none
    told[#told + 1] = describe(target, outcome)
    retry_after = sooner(retry_after, outcome.wait)
    if time_is_up(call, target) or outcome.end_name == "total_timeout" then timed_out = true break end
    if call.calls >= MOST_CALLS then break end
  end
  -- What no provider would take is the caller's own fault, said in the last one's words.
  if callers_fault and not timed_out then return nil, { refusal = passed_on(callers_fault) } end
  return nil, { refusal = nothing_left(call, told or {}, retry_after, timed_out, barred, unfit, first_unfit) }
end

-- The first answer of a target whose provider counts tokens; nil where none does, and { cancelled } if nobody waits.
---@param call moongate.call
---@return table|nil
---@return table|nil
function climb.count(call)
  for _, target in ipairs(call.plan.ladder) do
    local provider = call.state.config.providers[target.provider]
    local protocol = protocols.of(provider, translation.format(call), call.state.policies)
    if protocol and protocol.counts and not standing.exhausted(target) then
      call.calls = call.calls + 1
      local answer, outcome = attempt.try(call, target)
      if answer and answer.tokens then return answer end
      if outcome and outcome.cancelled then
        attempt.give_back(outcome)
        return nil, outcome
      end
      if not answer and (outcome.skipped or outcome.refusal) then call.calls = call.calls - 1 end
    end
  end
  return nil
end

return climb
