-- One thread of another program that stands still, as if it hung in a call: by ptrace, while this process lives.
local ffi = require "ffi"

ffi.cdef "long ptrace(long request, int thread, void *address, void *data);"
local SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
local ALL = 0x40000000 -- threads, too

local frozen = {}

--- The thread of a process that has this name.
---@return integer
function frozen.thread_of(pid, name)
  local pipe = assert(io.popen(("grep -lx '%s' /proc/%d/task/*/comm"):format(name, pid)))
  local path = pipe:read "*l"
  pipe:close()
  return tonumber((assert(path, "no thread " .. name):match "task/(%d+)/"))
end

--- False: this user may not.
function frozen.freeze(thread)
  if ffi.C.ptrace(SEIZE, thread, nil, nil) ~= 0 then return false end
  assert(ffi.C.ptrace(INTERRUPT, thread, nil, nil) == 0)
  assert(ffi.C.waitpid(thread, ffi.new "int[1]", ALL) == thread)
  return true
end

function frozen.thaw(thread)
  assert(ffi.C.ptrace(DETACH, thread, nil, nil) == 0)
end

return frozen
