-- Reads comma-separated values as RFC 4180 has them: quotes, doubled quotes, line ends inside quotes, CR LF, LF or CR,
-- and a byte order mark. Says where a text stops being CSV. Pure: knows nothing of what the columns mean.

local csv = {}

-- The position of the first byte that is not well-formed UTF-8; nil where all is.
---@param text string
---@return integer|nil
function csv.malformed(text)
  local at = string.find(text, "[\128-\255]")
  while at do
    local first, second = string.byte(text, at, at + 1)
    local last
    if first >= 0xC2 and first <= 0xDF then
      last = at + 1
    elseif first >= 0xE0 and first <= 0xEF then
      last = at + 2
    elseif first >= 0xF0 and first <= 0xF4 then
      last = at + 3
    end
    if not last or not string.find(text, "^[\128-\191]+", at + 1) then return at end
    local _, run = string.find(text, "^[\128-\191]+", at + 1)
    if run < last or first == 0xE0 and second < 0xA0 or first == 0xED and second > 0x9F
      or first == 0xF0 and second < 0x90 or first == 0xF4 and second > 0x8F then
      return at
    end
    at = string.find(text, "[\128-\255]", last + 1)
  end
  return nil
end

-- How many lines end in text[from..to]; CR LF is one end.
local function line_ends(text, from, to)
  local count, at = 0, string.find(text, "[\r\n]", from)
  while at and at <= to do
    count = count + 1
    if string.find(text, "^\r\n", at) then at = at + 1 end
    at = string.find(text, "[\r\n]", at + 1)
  end
  return count
end

-- The value that begins with the quote at position at, and the position behind its last quote; nil if none ends it.
local function quoted(text, at)
  local from, doubled = at + 1, false
  local stop = string.find(text, '"', from, true)
  while stop and string.byte(text, stop + 1) == 34 do
    doubled = true
    stop = string.find(text, '"', stop + 2, true)
  end
  if not stop then return nil end
  local value = string.sub(text, from, stop - 1)
  if doubled then value = string.gsub(value, '""', '"') end
  return value, stop + 1
end

local function wrong(line, message)
  return nil, { line = line, message = message }
end

-- What the whole text must be before any of it is read: its first position, or nil and what is wrong.
local function start_of(text)
  if string.find(text, "^\255\254") or string.find(text, "^\254\255") then
    return wrong(1, "is UTF-16: save it as UTF-8")
  end
  local nul = string.find(text, "\0", 1, true)
  if nul then
    return wrong(1 + line_ends(text, 1, nul), "has a NUL byte in it: it is no CSV file, or one in another encoding")
  end
  local bad = csv.malformed(text)
  if bad then
    return wrong(1 + line_ends(text, 1, bad - 1),
      string.format("is not UTF-8 (byte 0x%02X): save it as UTF-8", string.byte(text, bad)))
  end
  return string.find(text, "^\239\187\191") and 4 or 1
end

-- Where the mark comes next, at or behind a position; the search goes on where it stopped.
local function finder(text, mark)
  local found = 0
  return function(at)
    if found < at then found = string.find(text, mark, at, true) or math.huge end
    return found
  end
end

-- A line that has nothing to be looked at but commas.
local function plain_record(line_text, line)
  local record, size, at = { line = line }, 0, 1
  local comma = string.find(line_text, ",", 1, true)
  while comma do
    size = size + 1
    record[size] = string.sub(line_text, at, comma - 1)
    at = comma + 1
    comma = string.find(line_text, ",", at, true)
  end
  size = size + 1
  record[size] = string.sub(line_text, at)
  return record, size
end

-- The records, each a list of its values with the line it begins in; empty lines are none. Or nil, and the line and
-- what is wrong there. At most so many records, if that is told.
---@param text string
---@param most integer|nil
---@return table[]|nil records { line = integer, string... }
---@return { line: integer, message: string }|nil
function csv.read(text, most)
  local at, problem = start_of(text)
  if not at then return nil, problem end
  local records, count, line, length = {}, 0, 1, #text
  local quote_from, end_from, return_from = finder(text, '"'), finder(text, "\n"), finder(text, "\r")
  while at <= length do
    local record, size, ended
    local line_end = math.min(end_from(at), length + 1)
    local stop = return_from(at) == line_end - 1 and line_end - 1 or line_end
    if quote_from(at) > stop and return_from(at) >= stop then
      record, size = plain_record(string.sub(text, at, stop - 1), line)
      at, ended = stop, true
    else
      record, size, ended = { line = line }, 0, false
    end
    while not ended do
      local value
      if string.byte(text, at) == 34 then
        local behind
        value, behind = quoted(text, at)
        if not value then return wrong(line, "a quote is opened here and never closed") end
        line = line + line_ends(text, at, behind - 1)
        at = behind
        if at <= length and not string.find(text, "^[,\r\n]", at) then
          return wrong(line, "after a closing quote comes a comma or the line's end: write a quote inside twice")
        end
      else
        stop = string.find(text, '[,\r\n"]', at) or length + 1
        if string.byte(text, stop) == 34 then
          return wrong(line, "a quote stands inside an unquoted value: quote the whole value, and write that one twice")
        end
        value = string.sub(text, at, stop - 1)
        at = stop
      end
      size = size + 1
      record[size] = value
      ended = string.byte(text, at) ~= 44
      if not ended then at = at + 1 end
    end
    local _, eol = string.find(text, "^\r?\n?", at)
    if at <= length then
      line = line + 1
      at = eol + 1
    end
    if size > 1 or record[1] ~= "" then
      count = count + 1
      if most and count > most then return wrong(record.line, "has more than " .. most .. " lines of values") end
      records[count] = record
    end
  end
  return records
end

return csv
