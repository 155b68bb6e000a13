-- A real Redis server for specs: on a free port and a Unix socket, in a temporary folder of its own. It ends with the
-- spec's process, if not before.
local process = require "spec.support.process"
local socket = require "socket"
local unix = require "socket.unix"
local wait = require "spec.support.wait"

local redis = {}
redis.__index = redis

local seed = tonumber(tostring({}):match("0x(%x+)"), 16)
local drawn = 0

-- A port that is free now, and not one the system gives to others; processes that run beside this one draw others.
local function free_port()
  while true do
    drawn = drawn + 1
    local port = 20000 + math.floor(seed / 16 + socket.gettime() * 1e6 + drawn * 7919) % 12000
    local probe = socket.tcp()
    local bound = probe:bind("127.0.0.1", port)
    probe:close()
    if bound then return port end
  end
end

-- One RESP value: what it is (nil, integer, text, array), or nil and an error's text.
local function read(connection)
  local line, fault = connection:receive("*l")
  if not line then return nil, fault end
  local kind, rest = line:sub(1, 1), line:sub(2)
  if kind == "+" then return rest end
  if kind == "-" then return nil, rest end
  if kind == ":" then return tonumber(rest) end
  local count = tonumber(rest)
  if count < 0 then return nil end
  if kind == "$" then return (connection:receive(count + 2):sub(1, count)) end
  local list = {}
  for index = 1, count do list[index] = read(connection) end
  return list
end

local function ask(connection, ...)
  local words = { ... }
  local text = { ("*%d\r\n"):format(#words) }
  for _, word in ipairs(words) do
    word = tostring(word)
    text[#text + 1] = ("$%d\r\n%s\r\n"):format(#word, word)
  end
  local sent, fault = connection:send(table.concat(text))
  if not sent then return nil, fault end
  return read(connection)
end

--- Runs one command on a connection of its own: its value (nil, integer, text, table), or nil and the error.
function redis:command(...)
  local connection = assert(unix())
  connection:settimeout(wait.seconds)
  local connected, fault = connection:connect(self.socket)
  if not connected then return nil, fault end
  local password = self.options.requirepass
  local value
  if password then value, fault = ask(connection, "AUTH", password) end
  if not password or value then value, fault = ask(connection, ...) end
  connection:close()
  return value, fault
end

local function run(self)
  local options = self.options
  local command = { "redis-server", "--port", self.port, "--bind", "127.0.0.1", "--unixsocket", self.socket,
    "--dir", self.folder, "--save", "", "--daemonize", "no", "--enable-debug-command", "yes",
    "--appendonly", options.appendonly and "yes" or "no", "--appendfsync", "always" }
  if options.requirepass then
    command[#command + 1] = "--requirepass"
    command[#command + 1] = options.requirepass
  end
  for _, word in ipairs(options.args or {}) do command[#command + 1] = word end
  for index, word in ipairs(command) do command[index] = tostring(word) end
  os.remove(self.socket)
  self.process = process.start(command, { stdout = self.folder .. "/log", stderr = self.folder .. "/log" })
  self.frozen = false
end

-- True when it answers (LOADING is an answer, too); nil when it can't start.
local function answers(self)
  if self.process:has_ended() then return "ended" end
  local value, fault = self:command("PING")
  return (value == "PONG" or self.loading_is_enough and fault and fault:match("^LOADING")) and "up"
end

local function await(self)
  return wait.until_(function() return answers(self) end, "a Redis server") == "up"
end

--- Starts one. `appendonly`: it keeps its data over a restart; `args`: more options of redis-server.
---@param options? { appendonly?: boolean, requirepass?: string, args?: string[] }
function redis.start(options)
  for _ = 1, 20 do
    local self = setmetatable({ options = options or {}, folder = process.folder(), port = free_port() }, redis)
    self.socket = self.folder .. "/socket"
    run(self)
    if await(self) then return self end
    -- Another process was faster to take the port.
    if not self.process:errors():match("in use") then error(self.process:errors()) end
    process.remove(self.folder)
  end
  error("no Redis server could be started")
end

function redis:signal(name) self.process:kill(name) end

--- Ends it in the middle of whatever it does.
function redis:kill()
  self:signal("KILL")
  self.process:wait()
end

--- Ends it as an administrator would.
function redis:stop()
  if self.process:has_ended() then return end
  if self.frozen then self:thaw() end
  self:signal("TERM")
  self.process:wait()
end

--- It goes on taking connections (the system does), and answers nothing.
function redis:freeze()
  self:signal("STOP")
  self.frozen = true
end

function redis:thaw()
  self:signal("CONT")
  self.frozen = false
end

--- Starts it anew on its port, after a kill if it still runs; with its data where it is `appendonly`.
---@param options? { lose?: boolean, loading_is_enough?: boolean, args?: string[] }
function redis:restart(options)
  options = options or {}
  self:kill()
  if options.lose then os.execute("rm -rf '" .. self.folder .. "/appendonlydir'") end
  self.options.args = options.args or self.options.args
  self.loading_is_enough = options.loading_is_enough
  run(self)
  assert(await(self), "the Redis server did not come back: " .. self.process:errors())
end

--- Ends it and removes its folder.
function redis:free()
  self:kill()
  process.remove(self.folder)
end

return redis
