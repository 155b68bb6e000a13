-- Whom calls to providers trust: servers with good certificates and bad ones (upstream_tls_server.js), each called by
-- name and by address.
local calls = require "spec.net.calls"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

-- Each certificate: who signs it, whom it is made out to, for how many days.
local certificates = {
  { "good", "ca", "DNS:localhost,IP:127.0.0.1" },
  { "named", "ca", "DNS:localhost" },
  { "numbered", "ca", "IP:127.0.0.1,IP:::1" },
  { "other", "ca", "DNS:provider.example,IP:127.0.0.2" },
  { "wild", "ca", "DNS:*.localhost,DNS:loc*,DNS:*" },
  { "expired", "ca", "DNS:localhost,IP:127.0.0.1", days = -1 },
  { "foreign", "foreign-ca", "DNS:localhost,IP:127.0.0.1" },
  { "below", "middle", "DNS:localhost,IP:127.0.0.1" },
  { "own", nil, "DNS:localhost,IP:127.0.0.1" },
}
local servers = {
  "good", "named", "numbered", "other", "wild", "expired", "foreign", "below", "own", "good:old", "good:tls12",
  "good:rude", "good:dumb",
}

local MAKE = [[set -e; cd "$0"
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
sign() { # name, signer, names, days
  openssl req $key -keyout $1-key.pem -out $1.csr -subj "/CN=spec $1"
  printf '%s' "$3" > $1.names
  openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2-key.pem -CAcreateserial -days $4 -extfile $1.names -out $1.pem
}
for ca in ca foreign-ca; do
  openssl req -x509 $key -keyout $ca-key.pem -out $ca.pem -days 2 -subj "/CN=spec $ca"
done
sign middle ca basicConstraints=critical,CA:TRUE 2
openssl req -x509 $key -keyout own-key.pem -out own.pem -days 2 -subj "/CN=spec own" -addext "$OWN"
]]

local folder, server, net
local ports = {}

local function make_certificates()
  local script = { MAKE }
  for _, one in ipairs(certificates) do
    if one[2] then
      script[#script + 1] = ("sign %s %s 'subjectAltName=%s' %d\n"):format(one[1], one[2], one[3], one.days or 2)
    end
  end
  local env = { OWN = "subjectAltName=DNS:localhost,IP:127.0.0.1" }
  local status, _, errors = process.run({ "sh", "-c", table.concat(script), folder }, { env = env })
  assert(status == 0, errors)
end

local function start_servers()
  local command = { "node", "--tls-min-v1.0", "spec/net/upstream_tls_server.js", folder }
  for _, name in ipairs(servers) do command[#command + 1] = name end
  local started = process.start(command)
  local line = wait.until_(function() return started:output():match("^(.-)\n") end, "the servers' ports")
  local i = 0
  for port in line:gmatch("%d+") do
    i = i + 1
    ports[servers[i]] = port
  end
  return started
end

-- Calls the server of that certificate.
local function ask(name, options)
  options = options or {}
  options.url = ("https://%s:%s/%s"):format(options.host or "localhost", ports[name], options.path or "")
  options.ca_file = options.ca_file or folder .. "/ca.pem"
  options.sent = options.sent or "a secret"
  return net:fetch(options)
end

local function refused(message, name, options)
  local one = ask(name, options)
  assert.same({ "tls", message }, { one.ended, one.message })
  assert.is_nil(one.status)
end

describe("a call over TLS", function()
  setup(function()
    folder = process.folder()
    make_certificates()
    server = start_servers()
  end)

  teardown(function()
    server:kill()
    server:wait()
    process.remove(server.folder)
    process.remove(folder)
  end)

  before_each(function() net = calls.open() end)
  after_each(function() net:close() end)

  describe("goes through", function()
    it("to whom a certificate of a trusted authority names, and says whom it wants and in what", function()
      local one = ask "good"
      assert.same({ "done", 200, "localhost http/1.1 TLSv1.3 false" }, { one.ended, one.status, one.body })
      assert.equal("localhost http/1.1 TLSv1.2 false", ask("good:tls12").body)
    end)

    it("to an address that it names, without a server name", function()
      assert.equal("- http/1.1 TLSv1.3 false", ask("good", { host = "127.0.0.1" }).body)
      assert.equal("- http/1.1 TLSv1.3 false", ask("numbered", { host = "127.0.0.1" }).body)
    end)

    it("where the server agrees on no protocol", function()
      assert.equal("localhost - TLSv1.3 false", ask("good:dumb").body)
    end)

    it("where the file of authorities has the server's own certificate, or one in the midst of its chain", function()
      assert.equal(200, ask("own", { ca_file = folder .. "/own.pem" }).status)
      assert.equal(200, ask("below", { ca_file = folder .. "/middle.pem" }).status)
    end)

    it("over a connection that is kept, though a session's ticket came in between", function()
      -- The server tells of a session resumed where a new connection was made.
      for _ = 1, 5 do assert.equal("localhost http/1.1 TLSv1.3 false", ask("good").body) end
    end)

    it("resuming the session of the connection before it", function()
      for _, name in ipairs { "good", "good:tls12" } do
        assert.matches("false$", ask(name, { path = "last" }).body)
        assert.matches("true$", ask(name, { path = "last" }).body)
      end
    end)

    it("to one that is asked for HTTP/2 and knows HTTP/1.1 alone", function()
      assert.equal("localhost http/1.1 TLSv1.3 false", ask("good", { http2 = true }).body)
    end)

    it("with a body and a reply of any size", function()
      for _, size in ipairs { 1, 15000, 16384, 16385, 300000 } do
        assert.equal(200, ask("good", { sent = ("x"):rep(size) }).status)
      end
    end)

    it("until the server says farewell", function()
      local one = ask("good", { path = "until-close" })
      assert.same({ "done", "localhost http/1.1 TLSv1.3 false" }, { one.ended, one.body })
    end)
  end)

  describe("is refused", function()
    it("to another host than the certificate's", function()
      refused("certificate verify failed: it is made out to others than localhost", "other")
      refused("certificate verify failed: it is made out to others than 127.0.0.1", "other", { host = "127.0.0.1" })
      refused("certificate verify failed: it is made out to others than 127.0.0.1", "named", { host = "127.0.0.1" })
      refused("certificate verify failed: it is made out to others than localhost", "numbered")
      refused("certificate verify failed: it is made out to others than localhost", "wild")
    end)

    it("to one whose certificate has expired", function()
      refused("certificate verify failed: certificate has expired", "expired")
    end)

    it("to one whose certificate an unknown authority signed", function()
      refused("certificate verify failed: unable to get local issuer certificate", "foreign")
      refused("certificate verify failed: unable to get local issuer certificate", "below")
    end)

    it("to one that signed its own", function()
      refused("certificate verify failed: self-signed certificate", "own")
    end)

    it("where the system's authorities vouch for no such server, whatever another call trusts", function()
      assert.equal(200, ask("good").status)
      local one = net:fetch { url = ("https://localhost:%s/"):format(ports.good), sent = "a secret" }
      assert.matches("^certificate verify failed: ", one.message)
      one = ask("good", { ca_file = folder .. "/foreign-ca.pem" })
      assert.matches("^certificate verify failed: ", one.message)
    end)

    it("to one that knows no more than TLS 1.1", function()
      local one = ask "good:old"
      assert.equal("tls", one.ended)
      assert.matches("^TLS failed: ", one.message)
    end)

    it("where the authorities' file is not there, or holds none", function()
      refused(("TLS failed: the authorities in %s/none.pem cannot be used (No such file or directory)"):format(folder),
        "good", { ca_file = folder .. "/none.pem" })
      refused(("TLS failed: the authorities in %s/good-key.pem cannot be used (no certificate or crl found)")
        :format(folder), "good", { ca_file = folder .. "/good-key.pem" })
    end)
  end)

  it("believes the authorities' file as it now is, not as it was, nor a session of then", function()
    local file = folder .. "/changing.pem"
    local function write(name)
      local from, to = assert(io.open(folder .. "/" .. name .. ".pem")), assert(io.open(file .. ".new", "w"))
      to:write(from:read "*a")
      to:close()
      from:close()
      assert(os.rename(file .. ".new", file))
    end
    write "ca"
    assert.matches("false$", ask("good", { ca_file = file, path = "last" }).body)
    assert.matches("true$", ask("good", { ca_file = file, path = "last" }).body)
    write "foreign-ca"
    assert.matches("^certificate verify failed: ", ask("good", { ca_file = file, path = "last" }).message)
    assert.equal(200, ask("foreign", { ca_file = file }).status)
    write "ca"
    assert.matches("false$", ask("good", { ca_file = file, path = "last" }).body)
  end)

  it("takes an end without a farewell for a cut", function()
    local one = ask "good:rude"
    assert.same({ "cut", "the reply broke off before its end", "all of it" }, { one.ended, one.message, one.body })
  end)
end)
