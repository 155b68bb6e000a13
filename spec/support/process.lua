-- Other programs, for specs: started with a chosen environment and folder, output into files, waited for, signalled.
-- Whatever still runs when the spec's process ends is killed, whichever way that process ends; its folders go with it.
local ffi = require "ffi"
local wait = require "spec.support.wait"

ffi.cdef [[
int fork(void);
int execvpe(const char *file, char *const argv[], char *const envp[]);
int setpgid(int pid, int pgid);
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int chdir(const char *path);
int open(const char *path, int flags, int mode);
int dup2(int from, int to);
int kill(int pid, int signal);
int waitpid(int pid, int *status, int options);
char *mkdtemp(char *pattern);
void _exit(int status);
extern char **environ;
]]

local process = {}
process.__index = process

local RDONLY, WRONLY, CREATE, TRUNCATE, NO_HANG = 0, 1, 64, 512, 1
local DIE_WITH_PARENT = 1
local signals = { HUP = 1, INT = 2, QUIT = 3, KILL = 9, USR1 = 10, USR2 = 12, TERM = 15, CONT = 18, STOP = 19 }
local running, folders = {}, {}

-- The inherited environment with changes; false removes a variable. A preloaded sanitizer is for this process alone.
local function environment(changes)
  local all, list = {}, {}
  local index = 0
  while ffi.C.environ[index] ~= nil do
    local name, value = ffi.string(ffi.C.environ[index]):match("^([^=]*)=(.*)$")
    if name and name ~= "LD_PRELOAD" then all[name] = value end
    index = index + 1
  end
  for name, value in pairs(changes or {}) do all[name] = value or nil end
  for name, value in pairs(all) do list[#list + 1] = name .. "=" .. value end
  return list
end

local function pointers(strings)
  local array = ffi.new("char *[?]", #strings + 1)
  for index, text in ipairs(strings) do array[index - 1] = ffi.cast("char *", text) end
  array[#strings] = nil
  return array
end

--- A new folder of its own below the system's temporary one.
---@return string path
function process.folder()
  local pattern = (os.getenv("TMPDIR") or "/tmp") .. "/moongate-spec-XXXXXX"
  local buffer = ffi.new("char[?]", #pattern + 1, pattern)
  assert(ffi.C.mkdtemp(buffer) ~= nil, "no temporary folder can be made")
  local path = ffi.string(buffer)
  folders[path] = true
  return path
end

--- Starts a program.
---@param command string[] the program and its arguments
---@param options? { env?: table<string, string|false>, cwd?: string, stdin?: string, stdout?: string, stderr?: string }
function process.start(command, options)
  options = options or {}
  local folder = not (options.stdout and options.stderr) and process.folder() or nil
  local self = setmetatable({ command = command, folder = folder }, process)
  self.stdout = options.stdout or folder .. "/stdout"
  self.stderr = options.stderr or folder .. "/stderr"
  local strings = environment(options.env)
  local arguments, variables = pointers(command), pointers(strings)
  local input, cwd = options.stdin or "/dev/null", options.cwd
  io.stdout:flush()
  io.stderr:flush()
  local pid = ffi.C.fork()
  assert(pid >= 0, "fork failed")
  if pid == 0 then
    ffi.C.prctl(DIE_WITH_PARENT, signals.KILL, 0, 0, 0)
    ffi.C.setpgid(0, 0)
    ffi.C.dup2(ffi.C.open(input, RDONLY, 0), 0)
    ffi.C.dup2(ffi.C.open(self.stdout, WRONLY + CREATE + TRUNCATE, 420), 1)
    ffi.C.dup2(ffi.C.open(self.stderr, WRONLY + CREATE + TRUNCATE, 420), 2)
    if not cwd or ffi.C.chdir(cwd) == 0 then ffi.C.execvpe(command[1], arguments, variables) end
    ffi.C._exit(127)
  end
  self.pid = pid
  running[pid] = self
  return self
end

local function ended(self, status)
  running[self.pid] = nil
  local signal = status % 128
  if signal == 0 then
    self.status = math.floor(status / 256) % 256
  else
    self.signal = signal
  end
end

--- False while it runs; else true, with `status` (exit code) or `signal` set on the process.
function process:has_ended()
  if self.status or self.signal then return true end
  local status = ffi.new("int[1]")
  if ffi.C.waitpid(self.pid, status, NO_HANG) ~= self.pid then return false end
  ended(self, status[0])
  return true
end

--- Waits until it ends; its exit code, or nil and the signal.
---@param seconds? number
function process:wait(seconds)
  wait.until_(function() return self:has_ended() end, "the end of " .. table.concat(self.command, " "), seconds)
  return self.status, self.signal
end

--- Sends a signal ("TERM", "KILL", ...) to it.
---@param name? string
function process:kill(name)
  if not self:has_ended() then ffi.C.kill(self.pid, signals[name or "TERM"]) end
end

--- Looks after a process that is no child of ours: it is killed with the others, and has_ended() tells its end, but
--- not how.
---@param pid integer
function process.adopt(pid)
  local self = setmetatable({ command = { "process", tostring(pid) }, pid = pid }, process)
  function self.has_ended()
    local file = io.open("/proc/" .. pid .. "/stat")
    local state = file and file:read("*l"):match("%) (%a)")
    if file then file:close() end
    if state and state ~= "Z" then return false end -- nobody may be there to bury it
    running[pid] = nil
    return true
  end
  running[pid] = self
  return self
end

local function contents(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read("*a")
  file:close()
  return text
end

--- What it has written so far.
function process:output() return contents(self.stdout) end
function process:errors() return contents(self.stderr) end

--- Runs a program to its end: exit code, standard output, standard error.
---@return integer|nil status, string output, string errors
function process.run(command, options)
  local self = process.start(command, options)
  self:wait(options and options.seconds)
  local output, errors = self:output(), self:errors()
  if self.folder then process.remove(self.folder) end
  return self.status, output, errors
end

--- Removes a folder that `process.folder` made; nothing that is mounted in it.
function process.remove(folder)
  assert(folders[folder], "not a folder of this spec: " .. folder)
  folders[folder] = nil
  os.execute("rm -rf --one-file-system '" .. folder .. "'")
end

-- A proxy whose collection is the end of this Lua state: nothing started here outlives it.
process.guard = newproxy(true)
getmetatable(process.guard).__gc = function()
  for pid in pairs(running) do
    ffi.C.kill(pid, signals.KILL)
    ffi.C.waitpid(pid, nil, 0)
  end
  for folder in pairs(folders) do process.remove(folder) end
end

return process
