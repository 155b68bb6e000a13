-- A Redis that fails as it is told (redis_faults.js), before a real one.
local http = require "spec.support.http"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local redis_faults = {}
redis_faults.__index = redis_faults

--- Before a server of spec.support.redis.
---@return table
function redis_faults.start(server)
  local folder = process.folder()
  local self = setmetatable({}, redis_faults)
  self.process = process.start({ "node", "spec/support/redis_faults.js", server.socket },
    { stdout = folder .. "/stdout", stderr = folder .. "/stderr" })
  local port, control = wait.until_(function()
    assert(not self.process:has_ended(), "the failing Redis does not start: " .. self.process:errors())
    return self.process:output():match "^%d+ %d+\n"
  end, "the failing Redis"):match "(%d+) (%d+)"
  self.port, self.control = tonumber(port), "127.0.0.1:" .. control
  return self
end

--- From now on these rules hold; how many commands met a fault of each kind until now.
---@param rules { kind: string, every: integer, match?: string, text?: string, ms?: integer }[]
---@return table<string, integer>
function redis_faults:set(rules)
  local answer = http.request(self.control, { path = "/", json = { rules = rules } })
  assert(answer.status == 200, self.process:errors())
  return answer:json()
end

function redis_faults:free()
  self.process:kill "KILL"
  self.process:wait()
end

return redis_faults
