-- A plain HTTP/1.1 client for specs: whole answers, streams read event by event, raw bytes. It believes nothing it is
-- told twice: a body that ends early, or framing that is wrong, raises or shows in `complete`.
local json = require "dkjson"
local socket = require "socket"
local wait = require "spec.support.wait"

local http = {}

-- Far beyond what any spec needs: reached only by one that fails.
http.seconds = wait.seconds

local answer = {}
answer.__index = answer

--- The body as JSON; raises with the body if it is none.
function answer:json()
  local value, _, problem = json.decode(self.body)
  if problem then error("not JSON (" .. problem .. "): " .. self.body, 2) end
  return value
end

local function connect(address)
  local host, port = address:match("^(.*):(%d+)$")
  local connection = assert(socket.tcp())
  connection:settimeout(http.seconds)
  assert(connection:connect(host, tonumber(port)))
  connection:setoption("tcp-nodelay", true)
  return connection
end

local function request_text(address, request)
  local body = request.json ~= nil and json.encode(request.json) or request.body
  local method = request.method or (body and "POST" or "GET")
  local lines = { ("%s %s HTTP/1.1"):format(method, request.path), "host: " .. address }
  local sent = {}
  for name, value in pairs(request.headers or {}) do
    sent[name:lower()] = true
    lines[#lines + 1] = ("%s: %s"):format(name, value)
  end
  if body and not sent["content-length"] then lines[#lines + 1] = "content-length: " .. #body end
  if request.json ~= nil and not sent["content-type"] then lines[#lines + 1] = "content-type: application/json" end
  if request.key then lines[#lines + 1] = "authorization: Bearer " .. request.key end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

local function receive(connection, what)
  local data, problem, part = connection:receive(what)
  if data then return data end
  if problem == "timeout" then error("the server is silent", 3) end
  return nil, problem, part
end

-- Reads status line and headers into a new answer; nil if the connection ended before them.
local function read_head(connection)
  local line = receive(connection, "*l")
  if not line then return nil end
  local status = line:match("^HTTP/1%.[01] (%d%d%d)")
  assert(status, "not a status line: " .. line)
  local self = setmetatable({ status = tonumber(status), headers = {}, connection = connection }, answer)
  while true do
    line = assert(receive(connection, "*l"))
    if line == "" then return self end
    local name, value = line:match("^([^:%s]+):%s*(.-)%s*$")
    assert(name, "not a header: " .. line)
    name = name:lower()
    self.headers[name] = self.headers[name] and self.headers[name] .. ", " .. value or value
  end
end

-- The next piece of the body as it comes; nil at its end, with `complete` telling whether that was a proper one.
function answer:piece()
  if self.ended then return nil end
  local connection = self.connection
  if self.headers["transfer-encoding"] == "chunked" then
    local line = receive(connection, "*l")
    local size = line and tonumber(line:match("^(%x+)") or "", 16)
    if size and size > 0 then
      local data = receive(connection, size)
      if data and receive(connection, 2) == "\r\n" then return data end
    end
    self.ended, self.complete = true, size == 0 and receive(connection, "*l") == ""
    return nil
  end
  local length = tonumber(self.headers["content-length"])
  local data, _, part = receive(connection, length or "*a")
  self.ended, self.complete = true, data ~= nil
  data = data or part
  return data ~= "" and data or nil
end

--- The next event of a stream, { name =, data = }, or nil at its end. Comments are collected in `comments`.
function answer:event()
  while true do
    local first, last = (self.pending or ""):find("\n\n", 1, true)
    if first then
      local text = self.pending:sub(1, first - 1)
      self.pending = self.pending:sub(last + 1)
      local event = {}
      for line in text:gmatch("[^\n]+") do
        local field, value = line:match("^(%a*):%s?(.*)$")
        if field == "data" then event.data = event.data and event.data .. "\n" .. value or value end
        if field == "event" then event.name = value end
        if field == "" then table.insert(self.comments, value) end
      end
      if event.data then return event end
    else
      local piece = self:piece()
      if not piece then return nil end
      self.pending = ((self.pending or "") .. piece):gsub("\r\n", "\n")
    end
  end
end

--- All events that are left, their data decoded where it is JSON: a list of tables and of strings like "[DONE]".
function answer:events()
  local list = {}
  for event in function() return self:event() end do
    list[#list + 1] = event.data:match("^{") and assert(json.decode(event.data)) or event.data
  end
  return list
end

--- Reads what is left of the body into `body`.
function answer:rest()
  local pieces = {}
  for piece in function() return self:piece() end do pieces[#pieces + 1] = piece end
  self.body = table.concat(pieces)
  return self
end

--- Leaves: politely, or with a reset.
function answer:close() self.connection:close() end

function answer:reset()
  self.connection:setoption("linger", { on = true, timeout = 0 })
  self.connection:close()
end

local function has_no_body(method, status)
  return method == "HEAD" or status == 204 or status == 304
end

--- Sends a request on a new connection and reads the head of the answer; the body is read by the caller.
---@param address string "127.0.0.1:8080"
---@param request { path: string, method?: string, headers?: table, body?: string, json?: any, key?: string }
function http.open(address, request)
  return http.answered(http.begin(address, request), request.method)
end

--- Sends a request and returns its connection at once; `http.answered` waits for the head.
function http.begin(address, request)
  local connection = connect(address)
  assert(connection:send(request_text(address, request)))
  return connection
end

function http.answered(connection, method)
  local self = assert(read_head(connection), "the connection ended before an answer")
  self.comments = {}
  if has_no_body(method, self.status) then self.ended, self.complete = true, true end
  return self
end

--- A whole exchange on a connection of its own.
function http.request(address, request)
  local self = http.open(address, request):rest()
  self:close()
  return self
end

--- Sends raw bytes and reads one answer; nil if the server just closes.
function http.raw(address, bytes)
  local connection = connect(address)
  connection:send(bytes)
  local self = read_head(connection)
  if self then self:rest() end
  connection:close()
  return self
end

--- A connection that is kept: `:request{...}` one after the other.
function http.keep(address)
  local connection = connect(address)
  return {
    request = function(_, request)
      assert(connection:send(request_text(address, request)))
      return http.answered(connection, request.method):rest()
    end,
    connection = connection,
  }
end

return http
