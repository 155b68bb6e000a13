-- Starts the echo server (spec/net/echo.c) and talks to it in raw bytes.
local process = require "spec.support.process"
local socket = require "socket"
local tls = require "spec.support.tls"

local Edge = {}
Edge.__index = Edge

local PATIENCE = 20 -- seconds after which a spec gives up: a bound on failure, never a wait

local folder -- of the certificate

--- Starts a server with these limits; over TLS if told so.
---@param limits table<string, number>?
---@param over_tls boolean?
function Edge.start(limits, over_tls)
  local words = { os.getenv("MOONGATE_TEST_ECHO") or "build/spec/echo" }
  for name, value in pairs(limits or {}) do
    words[#words + 1] = name .. "=" .. tostring(value)
  end
  if over_tls then
    if not folder then
      folder = process.folder()
      tls.certificate(folder, "edge")
    end
    words[#words + 1] = "certificate=" .. folder .. "/edge"
  end
  local pipe = assert(io.popen(table.concat(words, " ") .. "; echo exit $?", "r"))
  local port = assert(tonumber(pipe:read("*l") or ""), "the echo server did not start")
  return setmetatable({ pipe = pipe, port = port, over_tls = over_tls }, Edge)
end

--- Opens a connection.
function Edge:connect()
  if self.over_tls then return assert(tls.connect(self.port)) end
  local connection = assert(socket.connect("127.0.0.1", self.port))
  connection:settimeout(PATIENCE)
  connection:setoption("tcp-nodelay", true)
  return connection
end

--- Everything up to the server's close.
---@return string
function Edge.read_all(connection)
  local text, fault, rest = connection:receive("*a")
  assert(text or fault == "closed", "the server did not close: " .. tostring(fault))
  connection:close()
  return text or rest
end

--- Sends bytes (a list: piece by piece) and reads up to the server's close.
function Edge:talk(bytes)
  local connection = self:connect()
  for _, piece in ipairs(type(bytes) == "table" and bytes or { bytes }) do
    -- The server may have answered and closed before all is sent.
    if not connection:send(piece) then break end
  end
  return Edge.read_all(connection)
end

--- One reply of a connection that stays open: status, body, head.
function Edge.read_reply(connection, bodiless)
  local lines = {}
  repeat
    local line = assert(connection:receive("*l"))
    lines[#lines + 1] = line
  until line == ""
  local head = table.concat(lines, "\n")
  local length = tonumber(head:match("\ncontent%-length: (%d+)"))
  local body = ""
  if length and length > 0 and not bodiless then body = assert(connection:receive(length)) end
  return tonumber(head:match("^HTTP/1%.1 (%d+)")), body, head
end

--- The server's log, as soon as the word stands in it.
function Edge:log(word)
  local connection = self:connect()
  connection:send("GET /log?" .. (word or "") .. " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
  return (Edge.read_all(connection):match("\r\n\r\n(.*)$"))
end

--- Ends the server once every connection is closed. False if it did not end in order: a crash, a leak.
---@return boolean
function Edge:stop()
  self:talk("GET /stop HTTP/1.1\r\nHost: x\r\n\r\n")
  local said = self.pipe:read("*a")
  self.pipe:close()
  return said:match("exit (%d+)") == "0"
end

return Edge
