-- Models that are no longer to be used: since when, and what stands in their place. Pure: the day is told.

local time = require "moongate.time"

local deprecation = {}

local MOST_STEPS = 8

-- The moment from which on a model is deprecated, for "YYYY-MM-DD" (perhaps with a reason behind it), a reason alone or
-- true; nil: it is not.
---@param stated string|boolean|nil
---@return number|nil
function deprecation.moment(stated)
  if not stated then return nil end
  local day = type(stated) == "string" and string.match(stated, "^%d%d%d%d%-%d%d%-%d%d")
  return day and time.rfc3339(day .. "T00:00:00Z") or 0
end

---@param target table
---@param now number|nil
---@return boolean
function deprecation.is_over(target, now)
  return target.retired_at ~= nil and (now or 0) >= target.retired_at
end

-- "is deprecated since 2026-01-31 (too old)"
---@param target table
---@return string
function deprecation.words(target)
  local stated = target.deprecated
  if type(stated) ~= "string" then return "is deprecated" end
  local day, reason = string.match(stated, "^(%d%d%d%d%-%d%d%-%d%d)[%s:,;-]*(.*)$")
  if not day then return "is deprecated (" .. stated .. ")" end
  return "is deprecated since " .. day .. (reason ~= "" and " (" .. reason .. ")" or "")
end

-- The first that names what stands in its place, if all are deprecated by now; true and nil if none names anything.
local function replaced(targets, now)
  for _, target in ipairs(targets) do
    if not deprecation.is_over(target, now) then return false end
  end
  for _, target in ipairs(targets) do
    if target.replacement then return true, target end
  end
  return true, nil
end

local function refuse(asked, message)
  return nil, { status = 404, code = "model_deprecated", type = "invalid_request_error",
    message = string.format('"%s" %s', asked, message) }
end

local function shown(name)
  local text = string.gsub(name, "%c", "?")
  return #text > 80 and string.sub(text, 1, 77) .. "..." or text
end

-- The name that serves in the place of a deprecated one, and a note of it: { asked, name, words }. The same name where
-- nothing is deprecated; nil and a refusal where nothing stands in its place.
---@param registry registry
---@param name string
---@param now number|nil
---@return string|nil
---@return table|nil
function deprecation.follow(registry, name, now)
  if name == "auto" then return name end
  local asked, note, been -- worked out where something is deprecated
  for _ = 1, MOST_STEPS do
    local targets = registry:resolve(name)
    if not targets or #targets == 0 then
      if not note then return name end
      return refuse(asked, string.format('%s; its replacement "%s" is not here', note.words, shown(name)))
    end
    local is_over, last = replaced(targets, now)
    if not is_over then return name, note end
    asked, been = asked or shown(name), been or {}
    note = note or { asked = asked, words = deprecation.words(last or targets[1]) }
    if not last then return refuse(asked, note.words .. " and nothing stands in its place") end
    been[name] = true
    local own = last.provider .. "/" .. last.replacement
    name = registry:resolve(last.replacement) and last.replacement or registry:resolve(own) and own or last.replacement
    if been[name] then break end
    note.name = shown(name)
  end
  return refuse(asked, note.words .. "; its replacements lead in a circle")
end

return deprecation
