-- A program that is measured, or that measuring needs: its configuration written from a template, pinned to processors,
-- its CPU and memory told. Whatever ends the benchmark ends it.
local http = require "spec.support.http"
local json = require "dkjson"
local lfs = require "lfs"
local proc = require "spec.bench.proc"
local process = require "spec.support.process"
local socket = require "socket"
local wait = require "spec.support.wait"

---@class bench.subject
---@field name string
---@field label string
---@field port integer
---@field processors string as taskset takes them
---@field command string[] words with @NAMES@ in them
---@field template string|nil a file of spec/bench/peers
---@field text string|nil what stands in it, where it is another text
---@field names table<string, string> what stands for @NAMES@
---@field env table<string, string>|nil
---@field counted (fun(self: bench.subject): { requests: integer, tokens: integer })|nil what it says it has counted
---@field sent { requests: integer, tokens: integer } what it was sent
---@field process table
local subject = {}
subject.__index = subject

subject.key = "sk-bench-7"

local here = lfs.currentdir()

---@return bench.subject
function subject.new(fields)
  local self = setmetatable(fields, subject)
  self.label = self.label or self.name
  self.names = self.names or {}
  self.sent = { requests = 0, tokens = 0 }
  self.folder = process.folder()
  self.names.PORT, self.names.FOLDER, self.names.BENCH, self.names.HOUSE =
    tostring(self.port), self.folder, here .. "/spec/bench", here
  return self
end

function subject:fill(text)
  return (text:gsub("@(%u[%u_]*)@", function(name)
    return assert(self.names[name], "nothing stands for @" .. name .. "@ in " .. self.name)
  end))
end

local function write_configuration(self)
  local file = assert(io.open("spec/bench/peers/" .. self.template, "rb"))
  local text = self:fill(self.text or file:read("*a"))
  file:close()
  file = assert(io.open(self.folder .. "/" .. self.template:gsub("%.in$", ""), "wb"))
  file:write(text)
  file:close()
end

local function listens(port)
  local connection = socket.tcp()
  local well = connection:connect("127.0.0.1", port)
  connection:close()
  return well
end

---@return bench.subject
function subject:start()
  if self.template then write_configuration(self) end
  local command = { "taskset", "-c", self.processors }
  for _, word in ipairs(self.command) do command[#command + 1] = self:fill(word) end
  self.process = process.start(command, { cwd = self.folder, env = self.env, stdout = self.folder .. "/stdout",
    stderr = self.folder .. "/stderr" })
  wait.until_(function()
    if self.process:has_ended() then
      error(("%s does not start: %s"):format(self.name, self.process:errors()), 0)
    end
    return listens(self.port)
  end, self.name .. " to listen", 120)
  return self
end

function subject:stop()
  if not self.process then return end
  self.process:kill("TERM")
  if not pcall(self.process.wait, self.process, 10) then
    self.process:kill("KILL")
    self.process:wait()
  end
  self.process = nil
end

-- Nanoseconds on a processor, and runnable without one.
function subject:cpu() return proc.cpu(self.process.pid) end

function subject:memory(field) return proc.memory(self.process.pid, field) end

function subject:forget_peak() proc.forget_peak(self.process.pid) end

-- Notes what it was sent, whole answers and streams.
function subject:note(whole, streams)
  self.sent.requests = self.sent.requests + whole + streams
  self.sent.tokens = self.sent.tokens + whole * 289 + streams * 291
end

-- Sends a body once; the answer.
function subject:ask(path)
  local file = assert(io.open(path, "rb"))
  local body = file:read("*a")
  file:close()
  return http.request("127.0.0.1:" .. self.port, { path = "/v1/chat/completions", body = body, key = subject.key,
    headers = { ["content-type"] = "application/json" } })
end

-- Whole answers and a stream have to be right before anything is timed. Raises with what is wrong.
---@param paths table<string, string> from bodies.write
function subject:check(paths)
  for _, name in ipairs { "1k", "32k", "tools" } do
    local answer = self:ask(paths[name])
    local value = answer.status == 200 and json.decode(answer.body)
    if not value or value.usage.total_tokens ~= 289 then
      error(("%s answers a %s body with %d: %s"):format(self.name, name, answer.status, answer.body:sub(1, 300)), 0)
    end
  end
  local answer = self:ask(paths.stream)
  local _, events = answer.body:gsub("data: ", "")
  -- 63: the usage that nobody asked for is hidden.
  if events < 63 or events > 64 or not answer.body:find("data: [DONE]", 1, true) then
    error(("%s answers a stream with %d, %d events"):format(self.name, answer.status, events), 0)
  end
  self:note(3, 1)
end

return subject
