-- The real gateway for specs: each in a temporary folder of its own, on a free port, with its config and policies
-- written by the spec. What it leaves behind is looked at: a bad exit or a sanitizer's report fails the spec.
local json = require "dkjson"
local http = require "spec.support.http"
local process = require "spec.support.process"
local socket = require "socket"
local valgrind = require "spec.support.valgrind"
local wait = require "spec.support.wait"

local gateway = {}
gateway.__index = gateway

gateway.admin_token = "the-admin-token-of-the-specs"

math.randomseed(socket.gettime() * 1e6 % 2 ^ 31)

local started = {}
local here = assert(io.popen("pwd")):read("*l")
local absolute = function(path) return path:sub(1, 1) == "/" and path or here .. "/" .. path end

gateway.binary = absolute(os.getenv("MOONGATE_BINARY") or "build/moongate")
-- The shim that shifts the gateway's wall time.
local clock = absolute(os.getenv("MOONGATE_TEST_CLOCK") or "build/spec/clock.so")

-- Plain config unless the spec says otherwise; a spec's own config text is taken as it is.
local defaults = { listen = "127.0.0.1:0", auth = "none", store = "memory:", workers = 2,
  admin_token = gateway.admin_token }

-- All of it below the filter of system calls (`MOONGATE_SECCOMP=1 make test`), not only what asks for it.
if os.getenv "MOONGATE_SECCOMP" then defaults.seccomp = true end

if valgrind.is_on then defaults.limits = { policy_ms = 5000 } end

-- What this machine may have, and no spec means.
local unset = {}
for name in ("OPENAI ANTHROPIC GEMINI GOOGLE GROQ OPENROUTER CEREBRAS MISTRAL DEEPSEEK XAI TOGETHER COHERE MOONSHOT"
  .. " ZAI NVIDIA FIREWORKS"):gmatch("%u+") do
  unset[name .. "_API_KEY"] = false
end

local function literal(value)
  if type(value) ~= "table" then return type(value) == "string" and ("%q"):format(value) or tostring(value) end
  local parts = {}
  for index = 1, #value do parts[index] = literal(value[index]) end
  for name, member in pairs(value) do
    if type(name) == "string" then parts[#parts + 1] = ("[%q] = %s"):format(name, literal(member)) end
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function config_text(config, policies)
  if type(config) == "string" then return config end
  local full = {}
  for name, value in pairs(defaults) do full[name] = value end
  if policies then full.policies = "policies" end
  for name, value in pairs(config) do full[name] = value end
  return "return " .. literal(full) .. "\n"
end

--- Writes a file below the gateway's folder, whole at once, as an editor that saves.
function gateway:write(path, text)
  local name = self.folder .. "/" .. path
  os.execute(("mkdir -p '%s'"):format(name:match("^(.*)/")))
  local file = assert(io.open(name .. "~", "wb"))
  file:write(text)
  file:close()
  assert(os.rename(name .. "~", name))
end

function gateway:read(path)
  local file = assert(io.open(self.folder .. "/" .. path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- Shifts the gateway's wall time by so many seconds from the real one; it was started with `clock = true`.
function gateway:shift(seconds)
  local milliseconds = math.floor(seconds * 1000)
  local bytes = {}
  for index = 1, 8 do
    bytes[index] = string.char(milliseconds % 256)
    milliseconds = math.floor(milliseconds / 256)
  end
  local file = assert(io.open(self.folder .. "/clock", "r+b"))
  file:write(table.concat(bytes))
  file:close()
end

--- An address that is free now, and not one the system gives to others: for configs that others have to read.
---@return string
function gateway.free_address()
  while true do
    local address = socket.tcp()
    local port = math.random(20000, 32000)
    local bound = address:bind("127.0.0.1", port)
    address:close()
    if bound then return "127.0.0.1:" .. port end
  end
end

local function environment(self)
  local env = {}
  for name, value in pairs(unset) do env[name] = value end
  if self.options.clock then
    env.LD_PRELOAD, env.MOONGATE_CLOCK = clock, self.folder .. "/clock"
  end
  -- A preloaded shim comes before the sanitizer's own library, which is meant here.
  env.ASAN_OPTIONS = "verify_asan_link_order=0:exitcode=99"
  env.UBSAN_OPTIONS = "print_stacktrace=1:halt_on_error=1"
  for name, value in pairs(self.options.env or {}) do env[name] = value end
  return env
end

-- A folder with config and policies, and no gateway running yet.
function gateway.prepare(options)
  local self = setmetatable({ options = options, folder = process.folder() }, gateway)
  if options.clock then
    self:write("clock", ("\0"):rep(8))
  end
  for path, text in pairs(options.policies or {}) do self:write("policies/" .. path, text) end
  if options.config then self:write("moongate.lua", config_text(options.config, options.policies)) end
  return self
end

--- Runs a command of the binary in the gateway's folder: exit code, output, errors.
function gateway:command(...)
  local command = { unpack(valgrind.words) }
  for _, word in ipairs { gateway.binary, ... } do command[#command + 1] = word end
  return process.run(command, { cwd = self.folder, env = environment(self) })
end

--- Starts `moongate serve` in its folder and waits until it listens.
function gateway:open()
  local command = { unpack(valgrind.words) }
  for _, word in ipairs(self.options.before or {}) do command[#command + 1] = word end
  command[#command + 1], command[#command + 2] = gateway.binary, "serve"
  for _, argument in ipairs(self.options.args or {}) do command[#command + 1] = argument end
  os.remove(self.folder .. "/stderr") -- of the run before a restart
  self.process = process.start(command, {
    cwd = self.folder, env = environment(self), stdout = self.folder .. "/stdout", stderr = self.folder .. "/stderr" })
  started[self] = true
  local listening = wait.until_(function()
    if self.process:has_ended() then error("the gateway does not start: " .. self:errors(), 0) end
    return self:logged("listening")
  end, "the gateway to listen")
  self.address = listening.address
  return self
end

--- Starts a gateway.
---@param options { config?: string|table, policies?: table, env?: table, args?: string[], clock?: boolean,
---  before?: string[] } before: words in front of the program
function gateway.start(options)
  return gateway.prepare(options):open()
end

function gateway:errors()
  return self.process:errors()
end

--- Its log lines, decoded.
function gateway:log()
  local lines = {}
  for line in self:errors():gmatch("[^\n]+") do
    local value = json.decode(line)
    if type(value) == "table" then lines[#lines + 1] = value end
  end
  return lines
end

--- The first log line with that message, or nil.
function gateway:logged(message)
  for _, line in ipairs(self:log()) do
    if line.message == message then return line end
  end
end

local function inspect(self)
  local errors = self:errors()
  if errors:find "Sanitizer" or errors:find "runtime error:" or ("\n" .. errors):find "\n==%d+== " then
    error("a sanitizer speaks:\n" .. errors, 0)
  end
  if errors:find("a system call was refused", 1, true) then error("seccomp refused a call:\n" .. errors, 0) end
end

--- How often it has logged that message.
function gateway:times(message)
  local count = 0
  for _, line in ipairs(self:log()) do
    if line.message == message then count = count + 1 end
  end
  return count
end

--- Starts the program anew in its place (SIGUSR2): the new process, which `stop` ends then, and the one before; or nil
--- and why it was not to be.
function gateway:upgrade()
  local moved, failed = "another process serves now; this one ends what is under way",
    "the upgrade failed; this process goes on"
  local count, failures = self:times(moved), self:times(failed)
  local before = self.heir or self.process
  before:kill "USR2"
  wait.until_(function() return self:times(moved) > count or self:times(failed) > failures end, "the new process")
  local last
  for _, line in ipairs(self:log()) do
    if line.message == moved or line.message == failed then last = line end
  end
  if last.message == failed then return nil, last.reason end
  self.heir = process.adopt(tonumber(last.pid))
  return self.heir, before
end

--- Ends it as an operator does, and expects it to end well; the folder stays for a restart.
function gateway:stop()
  if not started[self] then return self end
  started[self] = nil
  local heir = self.heir
  if heir then
    self.heir = nil
    heir:kill("TERM")
    wait.until_(function() return heir:has_ended() end, "the end of the process that took over")
  else
    self.process:kill("TERM")
  end
  local status, signal = self.process:wait()
  inspect(self)
  assert(status == 0, ("the gateway ended with %s:\n%s"):format(status or "signal " .. signal, self:errors()))
  return self
end

--- Ends it as a power cut does.
function gateway:kill()
  started[self] = nil
  if self.heir then self.heir:kill("KILL") end
  self.heir = nil
  self.process:kill("KILL")
  self.process:wait()
  return self
end

function gateway:restart()
  return self:stop():open()
end

--- Ends every gateway of this spec and removes its folder: for `after_each`.
function gateway.stop_all()
  local problem
  for self in pairs(started) do
    local well, message = pcall(self.stop, self)
    if not well then
      problem = message
      self:kill()
    end
  end
  if problem then error(problem, 0) end
end

--- A whole exchange; see http.request.
function gateway:request(request) return http.request(self.address, request) end

--- GET with the admin token; the decoded answer and its status.
function gateway:admin(path)
  local answer = self:request { path = path, key = gateway.admin_token }
  return answer:json(), answer.status
end

local function chat_request(fields, options)
  local body = { model = "auto", messages = { { role = "user", content = "Say hello." } } }
  for name, value in pairs(fields or {}) do body[name] = value end
  local request = { path = "/v1/chat/completions", json = body }
  for name, value in pairs(options or {}) do request[name] = value end
  return request
end

--- A chat completion: `fields` over a small body, `options` as headers and key.
function gateway:chat(fields, options) return self:request(chat_request(fields, options)) end

--- A streamed one; its head is read, its events are to come.
function gateway:stream(fields, options)
  local request = chat_request(fields, options)
  request.json.stream = true
  return http.open(self.address, request)
end

--- Sends a chat completion and returns its connection at once, for `http.answered`.
function gateway:begin_chat(fields, options)
  return http.begin(self.address, chat_request(fields, options))
end

--- The text of a stream's content events, and its last event.
function gateway.text_of(events)
  local pieces = {}
  for _, event in ipairs(events) do
    local choice = type(event) == "table" and event.choices and event.choices[1]
    if choice and choice.delta then pieces[#pieces + 1] = choice.delta.content end
  end
  return table.concat(pieces), events[#events]
end

return gateway
