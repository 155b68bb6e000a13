-- What the kernel counts: CPU time of a program and all below it, its memory, and how busy the machine is. Linux's
-- /proc, read as it is.
local lfs = require "lfs"

local proc = {}

local TICK = 1e9 / 100 -- USER_HZ: 100 on every architecture that Debian has

local function read(path)
  local file = io.open(path)
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

local function tasks(pid)
  local list = {}
  local well, iterate, state = pcall(lfs.dir, ("/proc/%d/task"):format(pid))
  if not well then return list end
  for name in iterate, state do
    if name:match("^%d+$") then list[#list + 1] = ("/proc/%d/task/%s"):format(pid, name) end
  end
  return list
end

-- A process and all below it.
---@param pid integer
---@return integer[]
function proc.tree(pid)
  local found, next_one = { pid }, 1
  while found[next_one] do
    for _, task in ipairs(tasks(found[next_one])) do
      for child in (read(task .. "/children") or ""):gmatch("%d+") do found[#found + 1] = tonumber(child) end
    end
    next_one = next_one + 1
  end
  return found
end

-- Nanoseconds on a processor, and nanoseconds it would have run but had to wait for one.
---@param pid integer
---@return number on
---@return number waited
function proc.cpu(pid)
  local on, waited = 0, 0
  for _, each in ipairs(proc.tree(pid)) do
    for _, task in ipairs(tasks(each)) do
      local a, b = (read(task .. "/schedstat") or ""):match("^(%d+) (%d+)")
      on, waited = on + (tonumber(a) or 0), waited + (tonumber(b) or 0)
    end
  end
  return on, waited
end

-- Kilobytes: "VmRSS" now, "VmHWM" at most since `proc.forget_peak`.
---@param pid integer
---@param field string
---@return number
function proc.memory(pid, field)
  local sum = 0
  for _, each in ipairs(proc.tree(pid)) do
    sum = sum + (tonumber((read(("/proc/%d/status"):format(each)) or ""):match(field .. ":%s+(%d+)")) or 0)
  end
  return sum
end

---@param pid integer
function proc.forget_peak(pid)
  for _, each in ipairs(proc.tree(pid)) do
    local file = io.open(("/proc/%d/clear_refs"):format(each), "w")
    if file then
      file:write("5")
      file:close()
    end
  end
end

-- Nanoseconds that all processors have worked since the start of the machine, what a hypervisor took included.
---@return number
function proc.busy()
  local user, nice, system, irq, softirq, steal = read("/proc/stat"):match(
    "^cpu +(%d+) (%d+) (%d+) %d+ %d+ (%d+) (%d+) (%d+)")
  return (user + nice + system + irq + softirq + steal) * TICK
end

-- The processors this process may use.
---@return integer[]
function proc.processors()
  local list = {}
  for first, last in read("/proc/self/status"):match("Cpus_allowed_list:%s+([%d,-]+)"):gmatch("(%d+)%-?(%d*)") do
    for number = tonumber(first), tonumber(last) or tonumber(first) do list[#list + 1] = number end
  end
  return list
end

---@return string
function proc.processor_name()
  return (read("/proc/cpuinfo"):match("model name%s*:%s*([^\n]+)")) or "an unnamed processor"
end

return proc
