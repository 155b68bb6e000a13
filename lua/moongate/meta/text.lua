---@meta moongate.text
-- `require "moongate.text"`: for editors only, never run.

---@class moongate.text
local text = {}

---Whether it holds one of the words, whole or as part of a longer one, whatever their case.
---@param value string
---@param words string|string[]
---@return boolean
function text.contains(value, words) end

---@param value string
---@param beginning string
---@return boolean
function text.starts_with(value, beginning) end

---@param value string
---@param ending string
---@return boolean
function text.ends_with(value, ending) end

---What messages say, as one text.
---@param messages moongate.message[]
---@return string
function text.of(messages) end

return text
