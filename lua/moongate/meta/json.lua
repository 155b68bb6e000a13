---@meta moongate.json
-- `require "moongate.json"`: for editors only, never run.

---@class moongate.json
---@field null userdata what null is decoded to
local json = {}

---@param text string up to 4 MiB
---@return any value nil if it is no JSON
---@return string|nil message
function json.decode(text) end

---Names are written in their order; raises on what JSON cannot say.
---@param value any
---@return string
function json.encode(value) end

---Marks a table as a list, so that it is written as [] even when it is empty; returns it.
---@generic T: table
---@param t T
---@return T
function json.array(t) end

---@param value any
---@return boolean
function json.is_array(value) end

return json
