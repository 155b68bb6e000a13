-- How calls over HTTP/1.1 deal with their connections, against a server in this process that says to the byte what
-- it is told to, and sees which connection a request comes over.
local socket = require "socket"
local calls = require "spec.net.calls"

local OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
local CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

local net, server

local Server = {}
Server.__index = Server

function Server.open(make)
  local listener = assert((make or socket.tcp)())
  listener:setoption("reuseaddr", true)
  assert(listener:bind(make and "::1" or "127.0.0.1", 0))
  assert(listener:listen(64))
  listener:settimeout(0)
  local _, port = listener:getsockname()
  return setmetatable({ listener = listener, port = port, open = {}, accepted = 0, requests = {} }, Server)
end

-- Takes connections and what comes over them; a whole head is a request, unless `deaf`.
function Server:poll()
  local one = self.listener:accept()
  while one do
    one:settimeout(0)
    self.accepted = self.accepted + 1
    self.open[#self.open + 1] = { socket = one, number = self.accepted, bytes = "" }
    one = self.listener:accept()
  end
  for _, connection in ipairs(self.open) do
    if not self.deaf and not connection.closed then
      local whole, reason, part = connection.socket:receive(65536)
      connection.bytes = connection.bytes .. (whole or part)
      connection.closed = reason == "closed"
      local _, stop = connection.bytes:find("\r\n\r\n", 1, true)
      if stop then
        self.requests[#self.requests + 1] = { head = connection.bytes:sub(1, stop), over = connection }
        connection.bytes = connection.bytes:sub(stop + 1)
      end
    end
  end
end

-- Waits for the next request.
function Server:request()
  net:run_until(function() self:poll() return self.requests[1] end, "a request")
  local request = table.remove(self.requests, 1)
  function request.answer(bytes) assert(request.over.socket:send(bytes)) end
  function request.close() request.over.socket:close() request.over.closed = true end
  return request
end

function Server:close()
  for _, connection in ipairs(self.open) do connection.socket:close() end
  self.listener:close()
end

local function send(options)
  options = options or {}
  options.url = options.url or ("http://127.0.0.1:%d/"):format(server.port)
  return net:send(options)
end

local function ended(one)
  net:run_until(function() server:poll() return one.ended end, "the end of a call")
  return one
end

-- Calls, answers, and waits for the end; the request with what came of it.
local function exchange(options, answer)
  local one = send(options)
  local request = server:request()
  request.answer(answer or OK)
  ended(one)
  return request, one
end

describe("a call over HTTP/1.1", function()
  before_each(function()
    net = calls.open()
    server = Server.open()
  end)
  after_each(function()
    net:close()
    server:close()
  end)

  local function closed_by_us(number)
    net:run_until(function() server:poll() return server.open[number].closed end, "a close")
  end

  it("begins when the turn of the loop is over, with all that the turn began", function()
    local begun, early = {}, nil
    exchange()
    exchange({ on_end = function()
      begun[1], begun[2] = send(), send()
      server:poll()
      early = #server.requests
    end })
    assert.equal(0, early)
    server:request().answer(OK)
    server:request().answer(OK)
    for i = 1, 2 do assert.equal("ok", ended(begun[i]).body) end
  end)

  it("that is cancelled before it has begun calls nobody", function()
    local left
    exchange({ on_end = function()
      left = send()
      left:cancel()
    end })
    local request = exchange {}
    assert.equal(0, #server.requests)
    assert.equal(1, request.over.number)
    assert.is_nil(left.ended)
  end)

  it("that has not begun ends with all others of its loop", function()
    exchange() -- over whose connection they would go at once
    send()
    send()
    net:close()
    net = calls.open()
    server:poll()
    assert.equal(0, #server.requests)
  end)

  describe("that is told once of what comes", function()
    local ROOM = 16 * 1024 -- what is read in one go

    it("reads on where a read took as much as it could, and leaves nothing to be told of later", function()
      for _, length in ipairs { ROOM - 1, ROOM, ROOM + 1, 2 * ROOM, 5 * ROOM } do
        local head = ("HTTP/1.1 200 OK\r\nContent-Length: %06d\r\n\r\n"):format(length)
        local body = ("x"):rep(length - #head) -- so that both together are as long
        head = ("HTTP/1.1 200 OK\r\nContent-Length: %06d\r\n\r\n"):format(#body)
        local request, one = exchange({}, head .. body)
        assert.same({ "done", #body, 1 }, { one.ended, #one.body, request.over.number })
      end
    end)

    it("hears of the end that came together with what is before it", function()
      for _, length in ipairs { 2, ROOM - 19, 3 * ROOM - 19, 100000 } do
        local one = send {}
        local request = server:request()
        request.answer("HTTP/1.1 200 OK\r\n\r\n" .. ("x"):rep(length))
        request.close()
        ended(one)
        assert.same({ "done", length }, { one.ended, #one.body })
      end
    end)

    it("hears of it behind a pause, too", function()
      local one = send { on_data = function(self)
        if not self.has_paused then self:pause() end
        self.has_paused = true
      end }
      local request = server:request()
      request.answer("HTTP/1.1 200 OK\r\n\r\n" .. ("x"):rep(3 * ROOM))
      request.close()
      net:run_until(function() return one.has_paused end, "a pause")
      one:resume()
      ended(one)
      assert.same({ "done", 3 * ROOM }, { one.ended, #one.body })
    end)
  end)

  describe("and its connection", function()
    it("keeps it, whether there was a body or not", function()
      for _, method in ipairs { "POST", "GET", "HEAD", "GET" } do
        local answer = method == "HEAD" and "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" or OK
        local request, one = exchange({ method = method, sent = method == "POST" and "x" or nil }, answer)
        assert.same({ "done", 1 }, { one.ended, request.over.number })
      end
    end)

    it("does not keep one that the reply says to close, or that it lasts as long as", function()
      exchange({}, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
      closed_by_us(1)
      exchange({}, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
      closed_by_us(2)
      assert.equal(3, exchange().over.number)
    end)

    it("does not keep one over which more came than the reply", function()
      local _, one = exchange({}, OK .. "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
      assert.equal("ok", one.body)
      closed_by_us(1)
      assert.equal(2, exchange().over.number)
    end)

    it("drops a kept one at once when anything comes over it", function()
      local request = exchange()
      request.answer("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
      closed_by_us(1)
      local _, one = exchange()
      assert.equal("ok", one.body)
    end)

    it("takes none that was closed before the loop could tell", function()
      exchange().close()
      local request, one = exchange { sent = "x" }
      assert.same({ "done", 2 }, { one.ended, request.over.number })
      request.answer("unasked")
      request, one = exchange { sent = "x" }
      assert.same({ "done", 3 }, { one.ended, request.over.number })
    end)

    it("takes the youngest of those that are kept", function()
      local first, second = send(), send()
      local one, other = server:request(), server:request()
      other.answer(OK)
      one.answer(OK)
      ended(first)
      ended(second)
      -- Which of them ended last is the loop's to say; from then on it is always the same.
      local number = exchange().over.number
      for _ = 1, 3 do assert.equal(number, exchange().over.number) end
      assert.equal(2, server.accepted)
    end)

    it("is another for another name of the host", function()
      exchange()
      assert.equal(2, exchange({ url = ("http://localhost:%d/"):format(server.port) }).over.number)
      assert.equal(1, exchange().over.number)
    end)

    it("tries all addresses of a host", function()
      local made, six = pcall(Server.open, socket.tcp6)
      if not made then pending "there is no IPv6 here" return end
      server:close()
      server = six
      local _, one = exchange { url = ("http://localhost:%d/"):format(server.port) }
      assert.equal("done", one.ended)
      local request = exchange { url = ("http://[::1]:%d/"):format(server.port) }
      assert.matches("\r\nHost: %[::1%]:" .. server.port .. "\r\n", request.head)
    end)
  end)

  describe("and its head", function()
    it("says who is called and how, as the URL has it", function()
      local function head(rest) return exchange({ url = ("http://%s"):format(rest:format(server.port)) }).head end
      local plain = "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\n\r\n"
      assert.equal(plain:format(server.port), head "127.0.0.1:%d")
      assert.matches("^GET /%?a=b HTTP", head "127.0.0.1:%d?a=b#c")
      assert.matches("^GET /b%?c/%.%./d HTTP", head "127.0.0.1:%d/a/../b?c/../d")
      assert.matches("^GET /%%c3%%a4%%20 HTTP", head "127.0.0.1:%d/\195\164%%20")
      assert.matches("\r\nHost: 127.0.0.1:%d+\r\n", head "127.1:%d/")
    end)

    it("tells the name and the password of the URL", function()
      local url = ("http://ann:a%%20b@127.0.0.1:%d/"):format(server.port)
      assert.matches("\r\nAuthorization: Basic YW5uOmEgYg==\r\n", exchange({ url = url }).head, 1, true)
      local own = exchange { url = url, fields = { { "Authorization", "Bearer x" } } }
      assert.is_nil(own.head:find("Basic", 1, true))
    end)

    it("has another host where one is given", function()
      local request = exchange { fields = { { "host", "elsewhere.example" } } }
      assert.matches("\r\nhost: elsewhere.example\r\n", request.head, 1, true)
      assert.is_nil(request.head:find("127.0.0.1", 1, true))
    end)
  end)

  describe("and a request that is not read", function()
    it("brings the answer that came before it was all sent", function()
      local one = send { sent = ("x"):rep(16 * 1024 * 1024) }
      local request = server:request()
      server.deaf = true
      request.answer("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmuch")
      request.close()
      ended(one)
      assert.same({ "done", 413, "much" }, { one.ended, one.status, one.body })
      assert.is_nil(one.is_sent)
    end)

    it("is a cut where there is no answer", function()
      local one = send { sent = ("x"):rep(16 * 1024 * 1024) }
      local request = server:request()
      server.deaf = true
      request.close()
      ended(one)
      assert.same({ "cut", "the connection was closed before the reply's head" }, { one.ended, one.message })
    end)

    it("is a silence where it is neither read nor answered", function()
      local one = send { sent = ("x"):rep(16 * 1024 * 1024), first_byte_s = 0.2 }
      server:request()
      server.deaf = true
      ended(one)
      assert.equal("first_byte_timeout", one.ended)
    end)
  end)

  describe("in a pause", function()
    local function paused_at(bytes)
      local one = send { on_data = function(self) if not self.free then self:pause() end end }
      server:request().answer(bytes)
      net:run_until(function() return one.count == 1 end)
      return one
    end

    it("holds what came with what it paused at, and then brings it, and the end", function()
      local one = paused_at(CHUNKED .. "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")
      exchange()
      assert.same({ 1 }, { one.count, one.ended })
      one.free = true
      one:resume()
      assert.equal(1, one.count)
      ended(one)
      assert.same({ "done", "abc" }, { one.ended, one.body })
    end)

    it("holds a fault back as well", function()
      local one = paused_at(CHUNKED .. "1\r\na\r\n1\r\nb\r\nxyz")
      exchange()
      assert.is_nil(one.ended)
      one:resume()
      ended(one)
      assert.same({ "malformed", "ab" }, { one.ended, one.body })
    end)

    it("may end, if nothing is held back", function()
      local one = paused_at(CHUNKED .. "1\r\na\r\n0\r\n\r\n")
      ended(one)
      assert.same({ "done", "a" }, { one.ended, one.body })
    end)

    it("is cancelled with what it holds", function()
      local one = paused_at(CHUNKED .. "1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
      one:resume()
      one:cancel()
      exchange()
      assert.same({ 1 }, { one.count, one.ended })
    end)

    it("reads the head all the same, when it begins before that", function()
      local one = send()
      one:pause()
      server:request().answer(OK)
      net:run_until(function() return one.status end)
      exchange()
      assert.equal(0, one.count)
      one:resume()
      ended(one)
      assert.same({ "done", "ok" }, { one.ended, one.body })
    end)
  end)

  it("asks for HTTP/2 in vain where there is no TLS", function()
    local request = exchange { http2 = true }
    assert.matches("^GET / HTTP/1%.1\r\n", request.head)
  end)
end)
