-- Who takes part: the mock provider, the peers and moongate, each with its processors and ports. One worker each, but
-- for those that are there to show what a second one brings.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local lfs = require "lfs"
local process = require "spec.support.process"
local subject = require "spec.bench.subject"

local cast = {}

local ADMIN = "the-admin-token-of-the-bench"

local function absolute(path) return path:sub(1, 1) == "/" and path or lfs.currentdir() .. "/" .. path end

cast.programs = absolute(os.getenv("MOONGATE_BENCH") or "build/bench")

local function free_port() return tonumber(gateway.free_address():match("%d+$")) end

-- Who runs where. With four processors or more, two for what is measured, one each for provider and callers; with two,
-- these share one.
---@param processors integer[]
function cast.places(processors)
  local p = processors
  return {
    one = tostring(p[1]), two = #p >= 4 and p[1] .. "," .. p[2] or nil,
    provider = tostring(p[#p >= 4 and 3 or #p >= 2 and 2 or 1]),
    callers = tostring(p[#p >= 4 and 4 or #p >= 3 and 3 or #p >= 2 and 2 or 1]),
  }
end

---@return bench.subject
function cast.mock(places)
  local ports = { free_port(), free_port(), free_port() }
  return subject.new { name = "direct", label = "no gateway", port = ports[1], ports = ports,
    processors = places.provider,
    command = { cast.programs .. "/mock", ports[1] .. "", ports[2] .. "", ports[3] .. "" } }
end

local function keys()
  local lines = {}
  for number = 1, 1000 do
    lines[number] = ('    { name = "caller-%d", key = "sk-bench-%d", tpm = 1e12 },'):format(number, number)
  end
  return table.concat(lines, "\n")
end

-- Of the ledger: what all keys used, by moongate's own word.
local function counted_by_moongate(self)
  local answer = http.request("127.0.0.1:" .. self.port, { path = "/v1/usage?from=7d", key = ADMIN }):json()
  return { requests = answer.totals.requests, tokens = answer.totals.input_tokens + answer.totals.output_tokens }
end

local function counted_by_gateway(self)
  return http.request("127.0.0.1:" .. self.port, { path = "/counted" }):json()
end

-- moongate; `options` may change its name, workers, when its ledger is synced and the ports of the three providers, and
-- put TLS before them.
function cast.moongate(places, mock, options)
  options = options or {}
  local ports = options.ports or mock.ports
  return subject.new { name = options.name or "moongate", label = options.label, port = free_port(),
    processors = options.processors or places.one, template = "moongate.lua.in", counted = counted_by_moongate,
    command = { gateway.binary, "serve", "-c", "moongate.lua" },
    names = { WORKERS = tostring(options.workers or 1), SCHEME = options.authority and "https" or "http",
      ONE = ports[1] .. "", TWO = ports[2] .. "", THREE = ports[3] .. "", KEYS = keys(),
      SYNC = options.sync or os.getenv "BENCH_SYNC" or "always",
      TLS = options.authority and ('ca_file = "%s"'):format(options.authority) or "" } }
end

local function user()
  local _, output = process.run { "id", "-u" }
  return output:match("^0%s") and "user root;" or ""
end

local function nginx(fields, found)
  fields.command = { found.nginx, "-p", "@FOLDER@/", "-c", "@FOLDER@/" .. fields.template, "-e", "stderr" }
  fields.env = { LD_LIBRARY_PATH = found.libraries }
  fields.port = free_port()
  fields.names.ROOT, fields.names.MODULES, fields.names.USER = found.root, found.modules, user()
  return subject.new(fields)
end

function cast.nginx(places, found, provider, options)
  options = options or {}
  return nginx({ name = options.name or "nginx", processors = places.one, template = "nginx.conf", label = "nginx",
    names = { PROVIDER = provider.port .. "", SCHEME = options.authority and "https" or "http", TLS = options.authority
      and ("proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_trusted_certificate %s;"):format(options.authority)
      or "" } }, found)
end

function cast.nginx_lua(places, found, mock)
  return nginx({ name = "nginx-lua", label = "nginx + Lua", processors = places.one, template = "gateway.conf",
    counted = counted_by_gateway,
    names = { ONE = mock.ports[1] .. "", TWO = mock.ports[2] .. "", THREE = mock.ports[3] .. "" } }, found)
end

function cast.haproxy(places, found, mock)
  return subject.new { name = "haproxy", label = "HAProxy", port = free_port(), processors = places.one,
    template = "haproxy.cfg", command = { found.haproxy, "-db", "-f", "haproxy.cfg" },
    env = { LD_LIBRARY_PATH = found.libraries }, names = { PROVIDER = mock.port .. "" } }
end

-- A provider with a certificate, and the certificate's path.
function cast.tls_provider(places, found, mock)
  local folder = process.folder()
  local certificate, key = folder .. "/certificate.pem", folder .. "/key.pem"
  local status, _, errors = process.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext",
    "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate }
  assert(status == 0, errors)
  return nginx({ name = "tls-provider", processors = places.provider, template = "tls.conf",
    names = { PROVIDER = mock.port .. "", CERTIFICATE = certificate, CERTIFICATE_KEY = key } }, found), certificate
end

return cast
