-- TLS at the gateway's own door: what is spoken, certificates that are renewed under way, and certificates that are no
-- good. How a connection behaves over TLS is told by spec/net/client_spec.lua.
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"
local socket = require "socket"
local tls = require "spec.support.tls"
local wait = require "spec.support.wait"

local function config(more)
  return {
    listen = { { addr = "127.0.0.1:0", cert = "one.pem", key = "one.key" }, "127.0.0.1:0" },
    providers = { mock = { protocol = "mock" } }, models = { { id = "small", provider = "mock" } }, limits = more,
  }
end

-- A gateway's folder with the certificates of these names.
local function prepare(names, more)
  local gate = gateway.prepare { config = config(more) }
  for _, name in ipairs(names) do tls.certificate(gate.folder, name) end
  return gate
end

-- Opens it; its address is the one without TLS, `port` the one with.
local function open(gate)
  gate:open()
  local doors = {}
  wait.until_(function()
    doors = {}
    for _, line in ipairs(gate:log()) do
      if line.message == "listening" then doors[#doors + 1] = line end
    end
    return #doors == 2
  end, "both doors")
  assert.same({ nil, "yes" }, { doors[1].tls, doors[2].tls }) -- the commands ask the first one
  gate.port = tonumber(doors[2].address:match(":(%d+)$"))
  return gate
end

local function curl(gate, ...)
  local status, output, errors = process.run { "curl", "-sS", "--cacert", gate.folder .. "/one.pem", ... }
  assert(status == 0, errors)
  return output
end

local function subject(gate)
  local connection = assert(tls.connect(gate.port))
  local name = connection:subject()
  connection:close()
  return name
end

local function problems(gate)
  return gate:admin("/ready").problems
end

local function read_head(connection)
  local lines = {}
  repeat lines[#lines + 1] = assert(connection:receive("*l")) until lines[#lines] == ""
  return lines[1]
end

describe("a TLS listener", function()
  after_each(gateway.stop_all)

  it("answers whole and streamed, and the plain listener beside it goes on", function()
    local gate = open(prepare { "one" })
    local url = "https://127.0.0.1:" .. gate.port .. "/v1/chat/completions"
    local body = '{"model": "small", "messages": [{"role": "user", "content": "Hello"}], "stream": %s}'
    assert.matches('"object":"chat.completion"', curl(gate, url, "-d", body:format "false"), 1, true)
    assert.matches("data: %[DONE%]", curl(gate, "-N", url, "-d", body:format "true"))
    assert.equal(200, gate:chat({ model = "small" }).status)
  end)

  it("speaks TLS 1.3 and 1.2 and nothing older, and HTTP/1.1 alone", function()
    local gate = open(prepare { "one" })
    local function speak(options)
      local connection = tls.connect(gate.port, options)
      if not connection then return "nothing" end
      local said = connection:version() .. " " .. tostring(connection:protocol())
      connection:close()
      return said
    end
    assert.equal("TLSv1.3 nil", speak {})
    assert.equal("TLSv1.2 http/1.1", speak { version = "1.2", protocols = { "h2", "http/1.1" } })
    assert.equal("nothing", speak { version = "1.1" })
    assert.equal("nothing", speak { protocols = { "h2" } })
  end)

  it("tells who speaks plain HTTP to it what to write", function()
    local gate = open(prepare { "one" })
    local answer = gate.request({ address = "127.0.0.1:" .. gate.port }, { path = "/health" })
    assert.equal(400, answer.status)
    assert.matches("https://", answer.body, 1, true)
  end)

  it("gives a handshake no longer than a request's head", function()
    local gate = open(prepare({ "one" }, { header_s = 0.2, idle_s = 60 }))
    local silent = assert(socket.connect("127.0.0.1", gate.port))
    silent:settimeout(wait.seconds)
    assert.equal("closed", select(2, silent:receive(1)))
  end)

  it("shows a renewed certificate to the next caller, while those who are there stay", function()
    local gate = open(prepare { "one", "two" })
    local stays = assert(tls.connect(gate.port))
    assert.equal("/CN=one", subject(gate))
    -- As certbot does it: what is renewed is moved into its place, the key after the certificate.
    gate:write("one.pem", gate:read "two.pem")
    gate:write("one.key", gate:read "two.key")
    wait.until_(function() return subject(gate) == "/CN=two" end, "the renewed certificate")
    assert.is_nil(gate:logged "a certificate did not load; the last good one stays")
    stays:send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    assert.equal("HTTP/1.1 200 OK", read_head(stays))
    stays:close()
  end)

  it("keeps the last good certificate, and says so in /ready, until a good one is there", function()
    local gate = open(prepare { "one", "two" })
    gate:write("one.key", gate:read "two.key")
    local found = wait.until_(function() return problems(gate)[1] end, "the problem")
    assert.equal("certificate", found.what)
    assert.matches("does not fit the certificate", found.message, 1, true)
    assert.equal("/CN=one", subject(gate))
    gate:write("one.pem", gate:read "two.pem")
    wait.until_(function() return #problems(gate) == 0 end, "the end of the problem")
    assert.equal("/CN=two", subject(gate))
  end)

  it("reads certificates again at SIGHUP, from other files if the configuration names such", function()
    local gate = open(prepare { "one", "two" })
    gate:write("moongate.lua", (gate:read("moongate.lua"):gsub("one%.", "two.")))
    gate.process:kill "HUP"
    wait.until_(function() return subject(gate) == "/CN=two" end, "the other certificate")
  end)

  it("serves a certificate that has expired, and says so", function()
    local gate = gateway.prepare { config = config(), clock = true }
    tls.certificate(gate.folder, "one", 30)
    gate:shift(31 * 86400)
    local status, _, problem = gate:command "check"
    assert.equal(1, status)
    assert.matches("^listen [%d.:]+: the certificate one.pem expired on %d+%-%d+%-%d+: callers will refuse it", problem)
    open(gate)
    assert.matches("expired on", gate:logged("a certificate is served that callers refuse").reason, 1, true)
    assert.matches("expired on", problems(gate)[1].message, 1, true)
    assert.equal("/CN=one", subject(gate))
  end)

  describe("alone", function()
    local gate

    before_each(function()
      local options = config()
      options.listen = { { addr = gateway.free_address(), cert = "one.pem", key = "one.key" } }
      gate = gateway.prepare { config = options }
      tls.certificate(gate.folder, "one", 30, "DNS:gateway.example")
      tls.certificate(gate.folder, "two", 30, "IP:127.0.0.1")
      gate:open()
    end)

    it("is asked by commands, whatever name its certificate bears", function()
      for _, words in ipairs { { "status" }, { "top" }, { "reload" }, { "key", "list" }, { "models", "changes" },
        { "probe", "mock" } } do
        local status, output, errors = gate:command(unpack(words))
        assert.equal(0, status, words[1] .. ": " .. errors)
        assert.not_equal("", output)
      end
      gate:write("request.json", '{"model": "small", "messages": [{"role": "user", "content": "Hello"}]}')
      local status, output, errors = gate:command("explain", "request.json")
      assert.same({ 0, "" }, { status, errors })
      assert.matches("mock/small", output, 1, true)
    end)

    it("is asked only if it shows the certificate of the configuration", function()
      gate:write("other.lua", (gate:read("moongate.lua"):gsub("one%.", "two.")))
      local status, output, errors = gate:command("status", "-c", "other.lua")
      assert.same({ 1, "" }, { status, output })
      assert.matches("does not show the certificate in two.pem", errors, 1, true)
      os.remove(gate.folder .. "/two.pem")
      status, output, errors = gate:command("status", "-c", "other.lua")
      assert.same({ 1, "" }, { status, output })
      assert.matches("two.pem: No such file or directory: the gateway at ", errors, 1, true)
      gate:write("two.pem", "nothing")
      errors = select(3, gate:command("status", "-c", "other.lua"))
      assert.matches("two.pem: has no certificate in it", errors, 1, true)
    end)
  end)

  local function replace(gate, name, text) gate:write(name, text) end

  local wrong = {
    { "a key that does not fit", function(gate) replace(gate, "one.key", gate:read "two.key") end,
      "the key one.key does not fit the certificate one.pem: name the key that it was made with" },
    { "a certificate that is not there", function(gate) os.remove(gate.folder .. "/one.pem") end,
      "the certificate one.pem cannot be read (No such file or directory)" },
    { "a folder for a key", function(gate)
      os.remove(gate.folder .. "/one.key")
      gate:write("one.key/x", "")
    end, "the key one.key cannot be read (Is a directory)" },
    { "a certificate that is none", function(gate) replace(gate, "one.pem", "hello\n") end,
      "one.pem holds no certificate in PEM" },
    { "a key that is none", function(gate) replace(gate, "one.key", gate:read "one.pem") end,
      "one.key holds no private key in PEM" },
    { "an encrypted key", function(gate)
      local name = gate.folder .. "/one.key"
      assert.equal(0, (process.run { "openssl", "pkey", "-in", name, "-aes128", "-passout", "pass:secret", "-out",
        name .. ".new" }))
      assert(os.rename(name .. ".new", name))
    end, "the key one.key is encrypted: write it without a passphrase" },
  }
  for _, case in ipairs(wrong) do
    it("does not start with " .. case[1] .. ", and `check` says the same", function()
      local gate = prepare { "one", "two" }
      case[2](gate)
      local status, _, errors = gate:command("serve")
      assert.equal(1, status)
      assert.matches("listen 127.0.0.1:0: " .. case[3], errors, 1, true)
      status, _, errors = gate:command("check")
      assert.equal(1, status)
      assert.matches("listen 127.0.0.1:0: " .. case[3], errors, 1, true)
    end)
  end
end)
