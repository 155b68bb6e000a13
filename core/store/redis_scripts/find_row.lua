-- The ledger row of a request that was closed last, as field, value, ...; nil if there is none.
-- KEYS: the entry of the request, the stream.
local id = redis.pcall("GET", KEYS[1])
if type(id) ~= "string" then return false end
local found = redis.pcall("XRANGE", KEYS[2], id, id)
return found[1] and found[1][2] or false
