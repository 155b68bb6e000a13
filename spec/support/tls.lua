-- TLS for specs: certificates of their own, and a client connection that is used like luasocket's, over libssl.
local ffi = require "ffi"
local process = require "spec.support.process"
local socket = require "socket"

ffi.cdef [[
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
const void *TLS_client_method(void);
SSL_CTX *SSL_CTX_new(const void *method);
void SSL_CTX_free(SSL_CTX *context);
long SSL_CTX_ctrl(SSL_CTX *context, int command, long value, void *pointer);
int SSL_CTX_set_alpn_protos(SSL_CTX *context, const char *protocols, unsigned length);
SSL *SSL_new(SSL_CTX *context);
void SSL_free(SSL *ssl);
int SSL_set_fd(SSL *ssl, int descriptor);
int SSL_connect(SSL *ssl);
int SSL_read(SSL *ssl, void *data, int size);
int SSL_write(SSL *ssl, const void *data, int length);
int SSL_shutdown(SSL *ssl);
int SSL_get_error(const SSL *ssl, int answer);
const char *SSL_get_version(const SSL *ssl);
void SSL_get0_alpn_selected(const SSL *ssl, const char **name, unsigned *length);
void *SSL_get1_peer_certificate(const SSL *ssl);
void *X509_get_subject_name(const void *certificate);
char *X509_NAME_oneline(const void *name, char *text, int size);
void X509_free(void *certificate);
void ERR_clear_error(void);
]]
local crypto, ssl = ffi.load "libcrypto.so.3", ffi.load "libssl.so.3"

local WANT_READ, WANT_WRITE, ENDED = 2, 3, 6
local MODES, SET_MIN, SET_MAX = 33, 123, 124
local versions = { ["1.1"] = 0x0302, ["1.2"] = 0x0303, ["1.3"] = 0x0304 }

local tls = {}

local connection = {}
connection.__index = connection

--- Calls with a number of bytes or less than that until it is done; nil and luasocket's word for why not.
local function drive(self, call)
  local deadline = socket.gettime() + self.seconds
  while true do
    crypto.ERR_clear_error()
    local n = call()
    if n > 0 then return n end
    local why = ssl.SSL_get_error(self.ssl, n)
    if why == ENDED then self.farewell = true end
    if why ~= WANT_READ and why ~= WANT_WRITE then return nil, "closed" end
    local left = deadline - socket.gettime()
    if left <= 0 then return nil, "timeout" end
    local list = { self.socket }
    socket.select(why == WANT_READ and list or nil, why == WANT_WRITE and list or nil, left)
  end
end

--- Connects, and shakes hands. options: version ("1.2"), protocols (ALPN). nil where the server does not want to.
---@param port integer
---@param options? { version?: string, protocols?: string[], seconds?: number }
function tls.connect(port, options)
  options = options or {}
  local context = ffi.gc(ssl.SSL_CTX_new(ssl.TLS_client_method()), ssl.SSL_CTX_free)
  ssl.SSL_CTX_ctrl(context, MODES, 3, nil) -- partial writes, from a buffer that may move
  if options.version then
    ssl.SSL_CTX_ctrl(context, SET_MIN, versions[options.version], nil)
    ssl.SSL_CTX_ctrl(context, SET_MAX, versions[options.version], nil)
  end
  if options.protocols then
    local list = ""
    for _, name in ipairs(options.protocols) do list = list .. string.char(#name) .. name end
    ssl.SSL_CTX_set_alpn_protos(context, list, #list)
  end
  local self = setmetatable({ socket = assert(socket.connect("127.0.0.1", port)), pending = "",
    seconds = options.seconds or 20 }, connection)
  self.socket:settimeout(0)
  self.socket:setoption("tcp-nodelay", true)
  self.ssl = ffi.gc(ssl.SSL_new(context), ssl.SSL_free)
  ssl.SSL_set_fd(self.ssl, self.socket:getfd())
  local open, why = drive(self, function() return ssl.SSL_connect(self.ssl) end)
  if open then return self end
  self.socket:close()
  return nil, why
end

function connection:settimeout(seconds) self.seconds = seconds or 20 end
function connection:setoption(...) return self.socket:setoption(...) end
function connection:getfd() return self.socket:getfd() end

--- Bytes that went out; else nil, why, and how many did.
function connection:send(text)
  local sent = 0
  while sent < #text do
    local n, why = drive(self, function()
      return ssl.SSL_write(self.ssl, ffi.cast("const char *", text) + sent, #text - sent)
    end)
    if not n then return nil, why, sent end
    sent = sent + n
  end
  return sent
end

local room = ffi.new("char[?]", 65536)

local function more(self)
  local n, why = drive(self, function() return ssl.SSL_read(self.ssl, room, 65536) end)
  if not n then return nil, why end
  self.pending = self.pending .. ffi.string(room, n)
  return n
end

local function take(self, length, behind)
  local text = self.pending:sub(1, length)
  self.pending = self.pending:sub(length + (behind or 0) + 1)
  return text
end

--- As luasocket's: "*l", "*a", or a number of bytes.
function connection:receive(what)
  local pieces = {}
  while true do
    if what == "*l" then
      local ends = self.pending:find("\n", 1, true)
      if ends then return (take(self, ends - 1, 1):gsub("\r", "")) end
    elseif type(what) == "number" and #self.pending >= what then
      return take(self, what)
    elseif what == "*a" then
      pieces[#pieces + 1], self.pending = self.pending, ""
    end
    local n, why = more(self)
    if not n and what == "*a" then
      local text = table.concat(pieces)
      if why == "closed" and self.farewell then return text end
      return nil, why, text
    end
    if not n then return nil, why, take(self, #self.pending) end
  end
end

function connection:shutdown()
  ssl.SSL_shutdown(self.ssl)
  self.socket:shutdown("send")
end

--- Leaves with a farewell.
function connection:close()
  ssl.SSL_shutdown(self.ssl)
  self.socket:close()
end

function connection:version() return ffi.string(ssl.SSL_get_version(self.ssl)) end

--- The protocol that ALPN has chosen, or nil.
function connection:protocol()
  local name, length = ffi.new("const char *[1]"), ffi.new("unsigned[1]")
  ssl.SSL_get0_alpn_selected(self.ssl, name, length)
  return length[0] > 0 and ffi.string(name[0], length[0]) or nil
end

--- Whom the server's certificate names: "/CN=one".
function connection:subject()
  local certificate = ssl.SSL_get1_peer_certificate(self.ssl)
  crypto.X509_NAME_oneline(crypto.X509_get_subject_name(certificate), room, 256)
  crypto.X509_free(certificate)
  return ffi.string(room)
end

--- Makes FOLDER/NAME.pem and FOLDER/NAME.key for localhost, signed by itself.
---@param folder string
---@param name string
---@param days? integer
---@param bears? string whom it names instead: "DNS:gateway.example"
function tls.certificate(folder, name, days, bears)
  local status, _, errors = process.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
    "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder .. "/" .. name .. ".key", "-out",
    folder .. "/" .. name .. ".pem", "-days", tostring(days or 30), "-subj", "/CN=" .. name, "-addext",
    "subjectAltName=" .. (bears or "DNS:localhost,IP:127.0.0.1") }
  assert(status == 0, errors)
end

return tls
