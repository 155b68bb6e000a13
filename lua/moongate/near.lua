-- The names nearest to a misspelt one, for messages that help: "did you mean base_url?".

jit.off(true, true) -- policies call this with what they like: compiled, it could not be stopped

local near = {}

local LONGEST = 64 -- a longer name is a client's noise: not worth its distance

-- Edit distance with swapped neighbours as one edit; nil as soon as it must be over most. Only the band around the
-- diagonal is worked out: outside it the distance is over most anyway.
local function distance(a, b, most)
  local length_a, length_b = #a, #b
  if math.abs(length_a - length_b) > most then return nil end
  local before, row, previous = {}, {}, {}
  for j = 0, length_b + 1 do row[j] = j end
  for i = 1, length_a do
    before, previous, row = previous, row, before
    local from, to = math.max(1, i - most), math.min(length_b, i + most)
    row[from - 1] = from == 1 and i or most + 1
    row[to + 1] = most + 1
    local least, byte = row[from - 1], string.byte(a, i)
    for j = from, to do
      local other = string.byte(b, j)
      local edits = math.min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (byte == other and 0 or 1))
      if i > 1 and j > 1 and byte == string.byte(b, j - 1) and string.byte(a, i - 1) == other then
        edits = math.min(edits, before[j - 2] + 1)
      end
      row[j] = edits
      if edits < least then least = edits end
    end
    if least > most then return nil end
  end
  return row[length_b] <= most and row[length_b] or nil
end

-- The names that sets have, sorted.
---@param ... table<string, any>
---@return string[]
function near.names(...)
  local names = {}
  for _, set in ipairs { ... } do
    for name in pairs(set) do names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- Names that are close to `name`, nearest first: few edits away, or one a part of the other.
---@param name string
---@param names string[]
---@param most integer|nil how many, 3 unless told
---@return string[]
function near.find(name, names, most)
  local found = {}
  if type(name) ~= "string" or name == "" or #name > LONGEST then return found end
  local wanted = string.lower(name)
  local edits = math.max(1, math.min(4, math.floor(#name / 3)))
  for _, candidate in ipairs(names) do
    local other = string.lower(candidate)
    local away = #other <= LONGEST and distance(wanted, other, edits) or nil
    if not away and #wanted >= 3 and #other >= 3
      and (string.find(other, wanted, 1, true) or string.find(wanted, other, 1, true)) then
      away = edits + math.abs(#wanted - #other) / LONGEST
    end
    if away and candidate ~= name then found[#found + 1] = { name = candidate, away = away } end
  end
  table.sort(found, function(a, b)
    if a.away ~= b.away then return a.away < b.away end
    return a.name < b.name
  end)
  local result = {}
  for i = 1, math.min(#found, most or 3) do result[i] = found[i].name end
  return result
end

-- ` (did you mean "a" or "b"?)`, or "" when nothing is near.
---@param name string
---@param names string[]
---@param most integer|nil
---@return string
function near.hint(name, names, most)
  local found = near.find(name, names, most or 1)
  if #found == 0 then return "" end
  for i, each in ipairs(found) do found[i] = '"' .. each .. '"' end
  local last = table.remove(found)
  local first = #found > 0 and table.concat(found, ", ") .. " or " or ""
  return " (did you mean " .. first .. last .. "?)"
end

-- What to say of a name that is not there: the nearest one, else all there are.
---@param what string "a request"
---@param name any
---@param names string[]
---@return string
function near.missing(what, name, names)
  name = string.sub(tostring(name), 1, LONGEST)
  local hint = near.hint(name, names)
  if hint == "" then
    local all = { unpack(names) }
    table.sort(all)
    hint = "; it has " .. table.concat(all, ", ")
  end
  return what .. ' has no "' .. name .. '"' .. hint
end

return near
