-- Calls to providers, against a real server (upstream_server.js) that answers well or badly, as the path asks.
local socket = require "socket"
local calls = require "spec.net.calls"
local process = require "spec.support.process"
local valgrind = require "spec.support.valgrind"
local wait = require "spec.support.wait"

local folder, server, net
local base, secure, second

-- Two certificate authorities, of which one signed the server's certificate.
local function make_certificates()
  local script = [[set -e; cd "$0"
    key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for ca in ca other; do
      openssl req -x509 $key -keyout $ca-key.pem -out $ca.pem -days 2 -subj "/CN=spec $ca"
    done
    openssl req $key -keyout key.pem -out request.pem -subj /CN=localhost
    printf 'subjectAltName=DNS:localhost' > names
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile names \
      -out cert.pem]]
  local status, _, errors = process.run { "sh", "-c", script, folder }
  assert(status == 0, errors)
end

local function start_server()
  local started = process.start { "node", "spec/net/upstream_server.js", folder }
  local ports = wait.until_(function() return started:output():match("^(.-)\n") end, "the server's ports")
  local control
  base, secure, second, control = ports:match("(%d+) (%d+) (%d+) (%d+)")
  started.lines = {}
  started.control = assert(socket.connect("127.0.0.1", tonumber(control)))
  started.control:settimeout(wait.seconds)
  base, secure, second = "http://127.0.0.1:" .. base, "https://localhost:" .. secure, "https://localhost:" .. second
  return started
end

-- Waits until the server has told a line that matches, takes it out, and returns what it captures.
local function told(pattern)
  local i = 0
  while true do
    i = i + 1
    server.lines[i] = server.lines[i] or assert(server.control:receive("*l"), "the server did not tell " .. pattern)
    local found = server.lines[i]:match(pattern)
    if found then
      table.remove(server.lines, i)
      return found
    end
  end
end

-- A port on which nobody listens, as the system has just given it out and taken it back.
local function closed_port()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return port
end

describe("an upstream call", function()
  setup(function()
    folder = process.folder()
    make_certificates()
    server = start_server()
  end)

  teardown(function()
    server.control:close()
    server:wait()
    process.remove(server.folder)
    process.remove(folder)
  end)

  before_each(function() net = calls.open() end)
  after_each(function() net:close() end)

  describe("that goes well", function()
    it("brings status, headers and body, each in its turn", function()
      local order = {}
      local function note(name) return function() order[#order + 1] = name end end
      local one = net:fetch {
        url = base .. "/echo", sent = "a question", on_head = note "head", on_data = note "data", on_end = note "end",
      }
      assert.same({ "done", 200, "a question" }, { one.ended, one.status, one.body })
      assert.equal("10", one.headers["content-length"])
      assert.equal("head", order[1])
      assert.equal("end", order[#order])
    end)

    it("tells that the body has been sent, so that nobody need keep it", function()
      local order = {}
      local function note(name) return function() order[#order + 1] = name end end
      for _, size in ipairs { 1000, 100000 } do
        order = {}
        net:fetch { url = base .. "/ok", sent = ("x"):rep(size), on_sent = note "sent", on_head = note "head" }
        assert.same({ "sent", "head" }, order)
      end
      local one = net:fetch { url = secure .. "/echo", ca_file = folder .. "/ca.pem", sent = "x" }
      assert.same({ "done", "x", true }, { one.ended, one.body, one.is_sent })
    end)

    -- Below valgrind the answer is looked at only when all has been sent.
    valgrind.native("tells no such thing of a body that is still on its way when the answer begins", function()
      local one = net:fetch { url = base .. "/impatient", sent = ("x"):rep(24 * 1024 * 1024) }
      assert.same({ "done", 200, "enough" }, { one.ended, one.status, one.body })
      assert.is_nil(one.is_sent)
    end)

    it("needs no body", function()
      assert.equal("GET 0", net:fetch { url = base .. "/ok" }.body)
      assert.equal("DELETE 0", net:fetch { url = base .. "/ok", method = "DELETE" }.body)
      assert.equal("POST 0", net:fetch { url = base .. "/ok", sent = "" }.body)
      assert.equal("PUT 2", net:fetch { url = base .. "/ok", method = "PUT", sent = "ab" }.body)
    end)

    it("sends the headers it is given, and hardly any of its own", function()
      local one = net:fetch {
        url = base .. "/head?key=1", sent = "{}",
        fields = {
          { "Content-Type", "application/json" }, { "X-Empty", "" }, { "X-Blank", "  " }, { "X-Odd", "\195\164;:" },
          { "Content-Length", "7" }, { "Transfer-Encoding", "chunked" }, { "Accept-Encoding", "gzip" },
          { "Accept", "a/b" },
        },
      }
      local lines = {}
      for line in one.body:gmatch("([^\r]+)\r\n") do lines[#lines + 1] = line:lower() end
      local first = table.remove(lines, 1)
      table.sort(lines)
      assert.equal("post /head?key=1 http/1.1", first)
      assert.same({
        "accept: a/b", "content-length: 2", "content-type: application/json", "host: " .. base:match("//(.*)"),
        "x-blank:", "x-empty:", "x-odd: \195\164;:",
      }, lines)
    end)

    it("uses a connection again", function()
      for _, host in ipairs { "127.0.0.1", "localhost" } do
        local url = base:gsub("127.0.0.1", host) .. "/ok?" .. host
        net:fetch { url = url .. "1" }
        local first = told("^request (%d+) GET /ok%?" .. host .. "1$")
        net:fetch { url = url .. "2", sent = "body" }
        assert.equal(first, told("^request (%d+) POST /ok%?" .. host .. "2$"))
      end
    end)

    it("passes interim heads and trailers over", function()
      local one = net:fetch { url = base .. "/interim" }
      assert.same({ "done", 429, "abc", "41" }, { one.ended, one.status, one.body, one.headers["retry-after"] })
      assert.is_nil(one.headers["x-early"])
      assert.is_nil(one.headers["x-late"])
    end)

    it("reads a body that ends with the connection", function()
      local one = net:fetch { url = base .. "/until-close" }
      assert.same({ "done", "all of it" }, { one.ended, one.body })
    end)

    it("does not follow a redirect", function()
      assert.equal(302, net:fetch { url = base .. "/redirect" }.status)
    end)

    it("does not take a large body that is slowly read for silence", function()
      local sent = ("x"):rep(24 * 1024 * 1024)
      local one = net:fetch { url = base .. "/slow-upload", sent = sent, first_byte_s = 0.8 }
      assert.same({ "done", tostring(#sent) }, { one.ended, one.body })
    end)

    it("finds nothing of the call before it on its handle", function()
      local url = base:gsub("127.0.0.1", "localhost")
      for _, method in ipairs { "PUT", "HEAD", "DELETE" } do
        local sent = method == "PUT" and "ab" or nil
        assert.equal(200, net:fetch { url = base .. "/ok", method = method, sent = sent }.status)
        assert.equal("POST 3", net:fetch { url = url .. "/ok", sent = "abc" }.body)
        assert.equal("POST 100000", net:fetch { url = base .. "/ok", sent = ("x"):rep(100000) }.body)
        assert.equal("POST 1", net:fetch { url = base .. "/ok", sent = "x" }.body)
        assert.equal("GET 0", net:fetch { url = url .. "/ok" }.body)
        net:send({ url = url .. "/ok", sent = "abc" }):cancel()
      end
    end)

    it("brings a stream whole, however large its pieces", function()
      local sent = ("0123456789"):rep(20000)
      assert.equal(sent, net:fetch { url = base .. "/echo", sent = sent, is_stream = true }.body)
      assert.equal(sent, net:fetch { url = secure .. "/echo", sent = sent, is_stream = true,
        ca_file = folder .. "/ca.pem" }.body)
    end)

    it("goes where its URL says, however many there are", function()
      for i = 1, 600 do
        assert.equal("GET /head?" .. i, net:fetch { url = base .. "/head?" .. i }.body:match("^(%S+ %S+)"))
      end
    end)

    it("may be sent from inside another's hook", function()
      local inner
      local outer = net:fetch {
        url = base .. "/ok",
        on_head = function() inner = net:send { url = base .. "/echo", sent = "within" } end,
      }
      net:run_until(function() return inner.ended end)
      assert.same({ "done", "within" }, { outer.ended, inner.body })
      inner = nil
      net:fetch { url = base .. "/ok", on_end = function() inner = net:send { url = base .. "/ok", sent = "x" } end }
      net:run_until(function() return inner.ended end)
      assert.equal("POST 1", inner.body)
    end)
  end)

  describe("that fails", function()
    local function ends(name, message, options)
      local one = net:fetch(options)
      assert.same({ name, message }, { one.ended, one.message })
      return one
    end

    it("tells a refused connection", function()
      ends("unreachable", "connection refused", { url = ("http://127.0.0.1:%d/"):format(closed_port()) })
      ends("unreachable", "connection refused", { url = ("http://localhost:%d/"):format(closed_port()) })
    end)

    it("tells a name that does not resolve", function()
      local one = net:fetch { url = "http://" .. ("a"):rep(300) .. ".example/?key=secret" }
      assert.same({ "unresolved", "the host's name does not resolve: not a host name" }, { one.ended, one.message })
    end)

    it("tells a server that takes the connection and never speaks TLS", function()
      local listener = assert(socket.bind("127.0.0.1", 0))
      local _, port = listener:getsockname()
      ends("connect_timeout", "no connection within 0.1 s",
        { url = ("https://127.0.0.1:%d/"):format(port), connect_s = 0.1, first_byte_s = 9 })
      listener:close()
    end)

    it("tells a server that does not answer", function()
      for _, sent in ipairs { "", "x", ("x"):rep(100000) } do
        ends("first_byte_timeout", "no reply head within 0.1 s",
          { url = base .. "/silent", method = "POST", sent = sent, first_byte_s = 0.1, idle_s = 9 })
      end
      told("^close (%d+)")
    end)

    it("tells a body that falls silent, and keeps what came", function()
      local one = ends("idle_timeout", "no data within 0.1 s", { url = base .. "/quiet-body", idle_s = 0.1 })
      assert.same({ 200, "abc" }, { one.status, one.body })
    end)

    it("tells a body that is shorter than announced", function()
      for _, path in ipairs { "/short", "/reset", "/no-last-chunk" } do
        local one = ends("cut", "the reply broke off before its end", { url = base .. path })
        assert.equal(200, one.status)
        assert.equal("", (one.body:gsub("^abc$", ""):gsub("^ten bytes%.$", "")))
      end
    end)

    it("tells a reset that has come together with the last bytes", function()
      local function let_go()
        local id = told "^request (%d+) POST /held"
        local other = assert(socket.connect("127.0.0.1", tonumber(base:match "%d+$")))
        other:send "GET /let-go HTTP/1.1\r\nHost: x\r\n\r\n"
        told("^close " .. id)
        other:close()
      end
      local one = ends("cut", "the reply broke off before its end",
        { url = base .. "/held", sent = "x", on_head = let_go })
      assert.same({ 200, "abc" }, { one.status, one.body })
    end)

    it("tells a connection that closes without a reply", function()
      ends("cut", "the connection was closed before the reply's head", { url = base .. "/die", sent = "x" })
      ends("cut", "the connection was closed before the reply's head", { url = base .. "/only-interim" })
    end)

    it("tells what is not HTTP", function()
      ends("malformed", "the reply is not valid HTTP", { url = base .. "/garbage" })
    end)

    it("bounds the reply's head", function()
      for _, path in ipairs { "/huge-head", "/many-fields" } do
        local one = ends("malformed", "the reply's head is larger than any should be", { url = base .. path })
        assert.is_nil(one.status)
      end
    end)

    it("does not send a request twice when a reused connection dies", function()
      net:fetch { url = base .. "/ok?warm", sent = "warm" }
      local first = told("^request (%d+) POST /ok%?warm")
      ends("cut", "the reused connection was closed before any reply; the request was not sent again",
        { url = base .. "/die?once", sent = "spend money" })
      assert.equal(first, told("^request (%d+) POST /die%?once"))
      net:fetch { url = base .. "/ok?after", sent = "after" }
      assert.not_equal(first, told("^request (%d+) POST /ok%?after"))
      for _, line in ipairs(server.lines) do assert.is_nil(line:match("/die%?once")) end
    end)

    it("does not send a request twice when it has no body either", function()
      net:fetch { url = base .. "/ok" }
      ends("cut", "the connection was closed before the reply's head", { url = base .. "/die?bare", sent = "" })
      told("^request (%d+) POST /die%?bare")
      net:fetch { url = base .. "/ok?bare" }
      told("^request (%d+) GET /ok%?bare")
      for _, line in ipairs(server.lines) do assert.is_nil(line:match("/die%?bare")) end
    end)

    it("takes a fresh connection when the kept one was closed meanwhile", function()
      net:fetch { url = base .. "/until-close" }
      assert.equal("POST 1", net:fetch { url = base .. "/ok", sent = "x" }.body)
    end)

    it("refuses what must not reach a wire", function()
      local unclean = "a header's name or value holds a character that may not be sent"
      local fields = { { "x", "a\r\nEvil: 1" }, { "x\r\nEvil", "1" }, { "x", "a\nb" }, { "x y", "1" }, { "", "1" } }
      for _, field in ipairs(fields) do
        ends("impossible", unclean, { url = base .. "/head", fields = { field } })
      end
      ends("impossible", "the method is not a word", { url = base .. "/head", method = "GET / HTTP/1.1\r\nX: y" })
      ends("impossible", "the URL is not one", { url = base .. "/a b\r\nX: y" })
      ends("impossible", "the URL is not one", { url = "" })
      assert.equal("impossible", net:fetch { url = "file:///etc/passwd" }.ended)
      assert.equal("impossible", net:fetch { url = "gopher://127.0.0.1:1/" }.ended)
    end)
  end)

  describe("that is paused", function()
    it("takes nothing in until it is resumed, and then all of it", function()
      local size = 64 * 1024 * 1024
      local one = net:send {
        url = base .. "/stream?64", keep = false, idle_s = 0.3,
        on_data = function(self)
          assert.is_falsy(self.is_paused, "data in a pause")
          self.is_paused = true
          self:pause()
        end,
      }
      net:run_until(function() return one.is_paused end)
      -- Once what lies between is full, the server gets rid of no more.
      local written, same = nil, 0
      repeat
        local now = net:fetch { url = base .. "/written" }.body
        same = now == written and same + 1 or 0
        written = now
      until same == 10
      assert.is_true(tonumber(written) < size / 2, "the server could write " .. written)
      one.on_data = nil
      one:resume()
      net:run_until(function() return one.ended end)
      assert.same({ "done", size }, { one.ended, one.length })
    end)

    it("outlasts its idle bound, which begins anew when it is resumed", function()
      local one = net:send { url = base .. "/quiet-body", idle_s = 0.05, on_data = function(self) self:pause() end }
      net:run_until(function() return one.body or one.length > 0 end)
      for _ = 1, 3 do net:fetch { url = base .. "/silent", first_byte_s = 0.05 } end
      assert.is_nil(one.ended)
      one:resume()
      net:run_until(function() return one.ended end)
      assert.equal("idle_timeout", one.ended)
    end)

    it("may be paused and resumed at every piece", function()
      local function resume_soon(self)
        -- Behind its last piece it ends, paused or not.
        net:send { url = base .. "/ok", on_end = function() if not self.ended then self:resume() end end }
      end
      local one = net:fetch {
        url = base .. "/stream?4", keep = false,
        on_head = function(self) self:pause() self:resume() end,
        on_data = function(self)
          self:pause()
          if self.count % 2 == 0 then
            self:resume()
          else
            resume_soon(self)
          end
        end,
      }
      assert.same({ "done", 4 * 1024 * 1024 }, { one.ended, one.length })
    end)
  end)

  describe("that is cancelled", function()
    it("calls no hook any more and closes the connection", function()
      local one = net:send { url = base .. "/quiet-body?cancelled" }
      net:run_until(function() return one.length > 0 end)
      local id = told("^request (%d+) GET /quiet%-body%?cancelled")
      one:cancel()
      told("^close (" .. id .. ")$")
      assert.is_nil(one.ended)
    end)

    it("may be cancelled inside its own hooks", function()
      for _, hook in ipairs { "on_head", "on_data" } do
        local one = net:send {
          url = base .. "/stream?4" .. hook, keep = false,
          [hook] = function(self) self:cancel() end,
        }
        net:run_until(function() return one.status and (hook == "on_head" or one.count > 0) end)
        local id = told("^request (%d+) GET /stream%?4" .. hook)
        told("^close (" .. id .. ")$")
        net:fetch { url = base .. "/ok" }
        assert.is_nil(one.ended)
        assert.equal(hook == "on_head" and 0 or 1, one.count)
      end
      local function all(self) self:pause() self:resume() self:cancel() end
      assert.equal("done", net:fetch({ url = base .. "/ok", on_end = all }).ended)
    end)

    it("may be cancelled inside another's hook", function()
      local victim = net:send { url = base .. "/quiet-body" }
      net:run_until(function() return victim.length > 0 end)
      net:fetch { url = base .. "/ok", on_head = function() victim:cancel() end }
      net:fetch { url = base .. "/ok" }
      assert.is_nil(victim.ended)
    end)

    it("may be cancelled before it began, and while it is paused", function()
      net:send({ url = base .. "/ok" }):cancel()
      net:send({ url = "nonsense" }):cancel()
      local one = net:send { url = base .. "/stream?8", keep = false, on_data = function(self) self:pause() end }
      net:run_until(function() return one.count > 0 end)
      net:fetch { url = base .. "/ok" }
      one:resume()
      one:cancel()
      net:fetch { url = base .. "/ok" }
      assert.equal(1, one.count)
    end)

    it("ends without a word when all calls are given up", function()
      local one = net:send { url = base .. "/quiet-body" }
      net:send { url = base .. "/ok" }
      net:run_until(function() return one.length > 0 end)
    end)
  end)

  describe("over TLS", function()
    it("trusts the authority it is given, and no other", function()
      local one = net:fetch { url = secure .. "/echo", sent = "hush", ca_file = folder .. "/ca.pem" }
      assert.same({ "done", "hush" }, { one.ended, one.body })
      for _, ca_file in ipairs { folder .. "/other.pem", "/etc/ssl/certs/ca-certificates.crt" } do
        local refused = net:fetch { url = secure .. "/echo?key=secret", sent = "hush", ca_file = ca_file }
        assert.equal("tls", refused.ended)
        assert.matches("^certificate verify failed: ", refused.message)
      end
      local by_default = net:fetch { url = secure .. "/echo", sent = "hush" }
      assert.matches("^certificate verify failed: ", by_default.message)
    end)

    it("refuses a certificate for another name", function()
      local one = net:fetch { url = secure:gsub("localhost", "127.0.0.1") .. "/ok", ca_file = folder .. "/ca.pem" }
      assert.equal("tls", one.ended)
    end)

    it("tells an authority file that is not there", function()
      assert.equal("tls", net:fetch { url = secure .. "/ok", ca_file = folder .. "/none.pem" }.ended)
    end)

    it("gives each HTTP/2 call a connection of its own, and uses it again", function()
      local open = {}
      for round = 1, 20 do
        for i = 1, 8 do
          open[i] = net:send {
            url = second .. "/" .. i, http2 = true, sent = ("call %d "):format(i):rep(round * 500),
            ca_file = folder .. "/ca.pem",
          }
        end
        for i, one in ipairs(open) do
          net:run_until(function() return one.ended end)
          assert.same({ "done", 200, "2" }, { one.ended, one.status, one.headers["x-protocol"] })
          assert.equal(one.sent, one.body)
          assert.is_true(one.is_sent)
          told("^stream /(" .. i .. ")$")
        end
      end
      for _ = 1, 8 do told("^session") end
      for _, line in ipairs(server.lines) do assert.is_nil(line:match("^session")) end
    end)

    it("pauses, resumes and cancels HTTP/2 streams", function()
      local function stream(options)
        options.url, options.http2, options.ca_file = second .. "/stream", true, folder .. "/ca.pem"
        options.keep = false
        return net:send(options)
      end
      local slow = stream { on_data = function(self) self:pause() end }
      local gone = stream { on_data = function(self) self:cancel() end }
      local quick = stream {}
      net:run_until(function() return quick.ended and slow.count > 0 and gone.count > 0 end)
      assert.same({ "done", 16 * 1024 * 1024 }, { quick.ended, quick.length })
      assert.same({ 1, 1 }, { slow.count, gone.count })
      slow.on_data = nil
      slow:resume()
      net:run_until(function() return slow.ended end)
      assert.same({ "done", 16 * 1024 * 1024 }, { slow.ended, slow.length })
      assert.is_nil(gone.ended)
    end)
  end)
end)
