---@meta
-- What the language of policies has besides plain Lua: for editors only, never run.

---Writes a line to the gateway's log.
---@param ... any
function log(...) end
