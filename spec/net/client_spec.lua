-- The life of a caller's connection, over raw sockets: keep-alive, pipelining, streams, deadlines, leaving.
local Edge = require "spec.net.edge"
local valgrind = require "spec.support.valgrind"

local function get(path, fields)
  return "GET " .. path .. " HTTP/1.1\r\nHost: x\r\n" .. (fields or "") .. "\r\n"
end

local CLOSE = "Connection: close\r\n"

for _, over in ipairs { "plain TCP", "TLS" } do
describe("a caller's connection over " .. over, function()
  local edge

  -- One server a spec: its log then holds this spec's events alone.
  local function start(limits) edge = Edge.start(limits, over == "TLS") end

  after_each(function()
    assert.is_true(edge:stop())
  end)

  it("serves one request after the other", function()
    start()
    local connection = edge:connect()
    for i = 1, 3 do
      connection:send(get("/" .. i))
      local status, body, head = Edge.read_reply(connection)
      assert.equal(200, status)
      assert.equal("GET /" .. i .. " query= fields=1 body=0:", body)
      assert.is_nil(head:find("connection:", 1, true))
    end
    connection:close()
  end)

  it("serves pipelined requests in order", function()
    start()
    local reply = edge:talk(get("/a") .. get("/later")
      .. "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
      .. get("/stream") .. get("/c", CLOSE))
    local order = {}
    for word in reply:gmatch("\r\n\r\n([^\r]+)") do
      order[#order + 1] = word:match("^%S+ %S+") or word:match("^%a+")
    end
    assert.equal("GET /a", order[1])
    assert.equal("later", order[2]:sub(1, 5))
    assert.equal("POST /b", order[3])
    assert.truthy(reply:find("5\r\nxxxxx\r\n5\r\nxxxxx\r\n5\r\nxxxxx\r\n0\r\n\r\nHTTP/1.1 200 OK", 1, true))
    assert.truthy(reply:find("GET /c query=", 1, true))
  end)

  it("serves five hundred pipelined requests, each exactly once", function()
    start { output_bytes = 1000 }
    local requests = {}
    for i = 1, 500 do requests[i] = get(i % 7 == 0 and "/later" or "/" .. i) end
    local reply = edge:talk(table.concat(requests) .. get("/last", CLOSE))
    local _, count = reply:gsub("HTTP/1%.1 200", "")
    assert.equal(501, count)
  end)

  it("does not read on while a request is under way", function()
    start()
    local connection = edge:connect()
    connection:send(get("/hold"))
    edge:log("holding")
    connection:settimeout(0)
    connection:setoption("linger", { on = true, timeout = 0 })
    -- In each of these turns the server could have read on: what fits in the kernel's windows is all that is taken.
    local flood, sent = ("x"):rep(1024 * 1024), 0
    for _ = 1, 400 do
      local last, _, partial = connection:send(flood)
      sent = sent + (last or partial or 0)
      edge:log("")
    end
    assert.is_true(sent < 16 * 1024 * 1024)
    connection:close()
    assert.truthy(edge:log("gone"):find("gone", 1, true))
  end)

  it("answers HEAD with the head alone", function()
    start()
    local connection = edge:connect()
    connection:send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" .. "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n"
      .. "HEAD /b HTTP/1.1\r\nHost: x\r\n" .. CLOSE .. "\r\n")
    local text = Edge.read_all(connection)
    local _, count = text:gsub("HTTP/1%.1 200 OK\r\n", "")
    assert.equal(3, count)
    assert.truthy(text:find("content-length: 31\r\n", 1, true))
    assert.is_nil(text:find("xxxxx", 1, true))
    assert.is_nil(text:find("query=", 1, true))
  end)

  it("sends no body and no length with 204", function()
    start()
    local reply = edge:talk(get("/empty", CLOSE))
    assert.truthy(reply:find("^HTTP/1.1 204 No Content\r\n"))
    assert.is_nil(reply:find("content-length", 1, true))
    assert.equal("\r\n\r\n", reply:sub(-4))
  end)

  it("dates its replies, and names no server", function()
    start()
    local reply = edge:talk(get("/", CLOSE))
    assert.truthy(reply:find("\r\ndate: %a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT\r\n"))
    assert.is_nil(reply:lower():find("\r\nserver:", 1, true))
  end)

  it("lets no header field split the reply or contradict its frame", function()
    start()
    local reply = edge:talk(get("/", CLOSE))
    assert.truthy(reply:find("\r\nx-echo: yes\r\n", 1, true))
    assert.is_nil(reply:find("x-injected", 1, true))
    local _, lengths = reply:gsub("content%-length", "")
    assert.equal(1, lengths)
  end)

  it("closes after an HTTP/1.0 request, and streams to it until the close", function()
    start()
    assert.truthy(edge:talk("GET /a HTTP/1.0\r\n\r\n"):find("\r\nconnection: close\r\n", 1, true))
    local reply = edge:talk("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert.is_nil(reply:find("chunked", 1, true))
    assert.equal("\r\n\r\nxxxxxxxxxxxxxxx", reply:sub(-19))
  end)

  it("keeps an HTTP/1.0 connection that asks for it", function()
    start()
    local connection = edge:connect()
    connection:send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    local status, _, head = Edge.read_reply(connection)
    assert.equal(200, status)
    assert.truthy(head:find("connection: keep-alive", 1, true))
    connection:send("GET /b HTTP/1.0\r\n\r\n")
    assert.truthy(Edge.read_all(connection):find("GET /b", 1, true))
  end)

  it("invites a body that waits for it, and only then", function()
    start()
    local connection = edge:connect()
    connection:send("POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert.equal("HTTP/1.1 100 Continue", connection:receive("*l"))
    assert.equal("", connection:receive("*l"))
    connection:send("hello")
    assert.equal(200, (Edge.read_reply(connection)))
    connection:send("POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
    assert.equal(200, (Edge.read_reply(connection)))
    connection:close()
  end)

  it("does not invite a body that is too large", function()
    start { body_bytes = 1000 }
    local reply = edge:talk("POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
    assert.truthy(reply:find("^HTTP/1.1 413 "))
  end)

  it("lets a caller that still sends 11 MB read its 413", function()
    start { body_bytes = 10 * 1024 * 1024 }
    local megabyte = ("x"):rep(1024 * 1024)
    local announced = edge:connect()
    announced:send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: " .. 11 * #megabyte .. "\r\n\r\n")
    for _ = 1, 11 do assert(announced:send(megabyte)) end
    assert.truthy(Edge.read_all(announced):find("^HTTP/1.1 413 "))
    local grown = edge:connect()
    grown:send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ = 1, 11 do assert(grown:send("100000\r\n" .. megabyte .. "\r\n")) end
    assert.truthy(Edge.read_all(grown):find("^HTTP/1.1 413 "))
  end)

  it("takes a body of exactly the limit", function()
    start { body_bytes = 100000 }
    local body = ("y"):rep(100000)
    assert.truthy(edge:talk("POST /a HTTP/1.1\r\nHost: x\r\n" .. CLOSE .. "Content-Length: 100000\r\n\r\n" .. body)
      :find("body=100000:" .. body, 1, true))
    assert.truthy(edge:talk("POST /a HTTP/1.1\r\nHost: x\r\n" .. CLOSE .. "Transfer-Encoding: chunked\r\n\r\n186a0\r\n"
      .. body .. "\r\n0\r\n\r\n"):find("body=100000:" .. body, 1, true))
  end)

  -- Whoever talks below valgrind is too slow for deadlines of 50 ms.
  valgrind.native("refuses a head that does not come in time, however it trickles", function()
    start { header_s = 0.05 }
    local connection = edge:connect()
    connection:send("GET / HTTP/1.1\r\nHo")
    connection:settimeout(0.01)
    local text, fault, partial
    repeat
      connection:send("x")
      text, fault, partial = connection:receive("*l")
    until fault ~= "timeout"
    assert.equal("HTTP/1.1 408 Request Timeout", text or partial)
    connection:close()
  end)

  it("refuses a body that does not come in time", function()
    start { body_s = 0.05 }
    local connection = edge:connect()
    connection:send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel")
    assert.truthy(Edge.read_all(connection):find("^HTTP/1.1 408 "))
    assert.truthy(edge:log("refused"):find("refused /slow", 1, true))
  end)

  valgrind.native("closes an idle connection in silence", function()
    start { idle_s = 0.05 }
    assert.equal("", edge:talk(""))
    local connection = edge:connect()
    connection:send(get("/"))
    assert.equal(200, (Edge.read_reply(connection)))
    assert.equal("", Edge.read_all(connection))
  end)

  valgrind.native("does not count the wait for an answer as idleness", function()
    start { idle_s = 0.05, header_s = 0.05, body_s = 0.05, write_s = 0.05 }
    local held = edge:connect()
    held:send(get("/hold"))
    edge:log("holding")
    -- Another connection is closed for idleness meanwhile.
    assert.equal("", edge:talk(""))
    assert.is_nil(edge:log(""):find("gone", 1, true))
    held:close()
    edge:log("gone")
  end)

  it("tells at once when the caller leaves before the reply", function()
    start()
    local connection = edge:connect()
    connection:send(get("/hold"))
    edge:log("holding")
    connection:close()
    assert.truthy(edge:log("gone"):find("gone", 1, true))
  end)

  it("tells when the caller leaves by a reset behind pipelined bytes", function()
    start()
    local connection = edge:connect()
    connection:send(get("/hold") .. get("/never"):rep(3000))
    edge:log("holding")
    connection:setoption("linger", { on = true, timeout = 0 })
    connection:close()
    assert.is_nil(edge:log("gone"):find("never", 1, true))
  end)

  it("tells when the caller leaves in the midst of a stream", function()
    start()
    local connection = edge:connect()
    connection:send(get("/begin"))
    repeat local line = connection:receive("*l") until line == "first"
    connection:close()
    assert.truthy(edge:log("gone"):find("gone", 1, true))
  end)

  it("takes a half-close for leaving, but sends an answer that is decided", function()
    start()
    local decided = edge:connect()
    decided:send(get("/a"))
    decided:shutdown("send")
    assert.truthy(Edge.read_all(decided):find("GET /a query=", 1, true))
    local waiting = edge:connect()
    waiting:send(get("/hold"))
    waiting:shutdown("send")
    assert.equal("", Edge.read_all(waiting))
    assert.truthy(edge:log("gone"):find("gone", 1, true))
  end)

  it("forgets a caller that leaves in the midst of a request", function()
    start()
    local connection = edge:connect()
    connection:send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel")
    connection:close()
    local log = edge:log("closed")
    assert.is_nil(log:find("request", 1, true))
    assert.is_nil(log:find("refused", 1, true))
  end)

  it("makes a fast source wait for a slow reader", function()
    start { output_bytes = 65536 }
    local connection = edge:connect()
    -- A TLS record is to fit in it: TCP sends what does not fit by the fifth of a second.
    connection:setoption("recv-buffer-size", over == "TLS" and 131072 or 16384)
    connection:send(get("/stream?count=2000&size=10000"))
    local stopped = tonumber(edge:log("stopped"):match("stopped (%d+)"))
    -- What is written is what the kernel took and a full buffer, not the whole 20 MB.
    assert.is_true(stopped < 15 * 1000 * 1000)
    local bytes = 0
    while true do
      local size = tonumber((assert(connection:receive("*l"))), 16)
      local chunk = size and assert(connection:receive(size + 2))
      if size == 0 then break end
      bytes = bytes + (size and #chunk - 2 or 0)
    end
    connection:close()
    assert.equal(20 * 1000 * 1000, bytes)
    assert.truthy(edge:log("drained"):find("drained", 1, true))
  end)

  it("gives up on a reader that takes nothing", function()
    start { write_s = 0.1 }
    local connection = edge:connect()
    connection:send(get("/stream?count=2000&size=10000"))
    assert.truthy(edge:log("gone"):find("stopped", 1, true))
    connection:close()
  end)

  it("shows a caller that its reply is not whole", function()
    start()
    local chunks = edge:talk(get("/abort"))
    assert.equal("5\r\nfirst\r\n", chunks:sub(-10))
    local connection = edge:connect()
    connection:send("GET /abort HTTP/1.0\r\n\r\n")
    local text, fault = connection:receive("*a")
    assert.is_true(text == nil or fault ~= nil)
    connection:close()
    assert.equal("", edge:talk(get("/cut")))
  end)

  it("retires after the reply under way, and at once when idle", function()
    start()
    local reply = edge:talk(get("/retire") .. get("/unserved"))
    assert.truthy(reply:find("\r\nconnection: close\r\n", 1, true))
    assert.is_nil(edge:log(""):find("unserved", 1, true))
  end)

  it("keeps two hundred connections apart", function()
    start()
    local connections = {}
    for i = 1, 200 do connections[i] = edge:connect() end
    for i, connection in ipairs(connections) do connection:send("POST /" .. i .. " HTTP/1.1\r\nHost: x\r\nContent-") end
    for i, connection in ipairs(connections) do connection:send("Length: 3\r\n\r\n" .. ("%03d"):format(i)) end
    for i, connection in ipairs(connections) do
      local _, body = Edge.read_reply(connection)
      assert.equal(("POST /%d query= fields=2 body=3:%03d"):format(i, i), body)
      connection:close()
    end
  end)
end)
end
