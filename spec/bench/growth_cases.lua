-- The cases of growth.lua: what grows, how such a gateway is configured, what is sent to it, and by which power of the
-- number its cost may grow.
local bodies = require "spec.bench.bodies"
local cast = require "spec.bench.cast"
local http = require "spec.support.http"
local ledger_rows = require "spec.bench.ledger_rows"
local ffi = require "ffi"
local measure = require "spec.bench.measure"
local process = require "spec.support.process"
local socket = require "socket"

local growth_cases = {}

ffi.cdef "unsigned char *SHA256(const char *text, size_t length, unsigned char *hash);"
local crypto = ffi.load "crypto"

local PROVIDERS = 10
local CHUNKS = 20

local function configured(mock, models, keys)
  local lines = {}
  local function add(...) lines[#lines + 1] = string.format(...) end
  add 'return { listen = "127.0.0.1:@PORT@", workers = 1, store = "sqlite:moongate.db", policies = "@HOUSE@/policies",'
  add '  policy = "free-tier", admin_token = "the-admin-token-of-the-bench", log = { level = "warn" },'
  add "  providers = {"
  for number = 1, PROVIDERS do
    add('    p%d = { protocol = "openai", base_url = "http://127.0.0.1:%d/v1", api_key = "sk-p", free = true,', number,
      mock.ports[number % #mock.ports + 1])
    add "      limits = { rpm = 1e8, rpd = 1e9, tpm = 1e12 } },"
  end
  add "  },\n  models = {"
  for number = 1, models do
    add('    { id = "model-%d", provider = "p%d", quality = %d, context_length = 2000000,\n'
      .. "      cost = { input = 1, output = 2 } },", number, number % PROVIDERS + 1, number % 90 + 1)
  end
  add "  },\n  keys = {"
  for number = 1, keys do add('    { name = "caller-%d", key = "sk-bench-%d", tpm = 1e12 },', number, number) end
  add "  } }"
  return table.concat(lines, "\n")
end

local function gateway(places, mock, models, keys)
  local who = cast.moongate(places, mock)
  who.text = configured(mock, models, keys)
  return who
end

-- A gateway that has answered for days: a few hundred real rows, many times over.
local function with_rows(size, places, mock)
  local who = gateway(places, mock, 10, 10)
  local file = who.folder .. "/moongate.db"
  who:start()
  local path = process.folder() .. "/seed.json"
  local body = assert(io.open(path, "wb"))
  body:write(bodies.chat(1024))
  body:close()
  measure.load { mode = "rate", port = who.port, body = path, processors = places.callers, connections = 4, rate = 100,
    seconds = 5 }
  who:stop()
  local seeds = tonumber(ledger_rows.sql(file, "SELECT count(*) FROM ledger;"))
  ledger_rows.multiply(file, math.max(1, math.ceil(size / seeds)))
  return who
end

-- Keys that were created one by one, as the store keeps them: load.c's callers use them in turn.
local function with_keys(size, places, mock)
  local who = gateway(places, mock, 10, 10)
  local file, lines, hash = who.folder .. "/moongate.db", { "BEGIN;" }, ffi.new "unsigned char[32]"
  who:start():stop()
  for number = 1, size do
    local key = ("sk-bench-%07d"):format(number)
    crypto.SHA256(key, #key, hash)
    local hex = ffi.string(hash, 32):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
    lines[#lines + 1] = ("INSERT INTO keys VALUES (x'%s', '%s', '{\"name\":\"stored-%d\",\"tpm\":1000000000}', 1, 0);")
      :format(hex, key, number)
  end
  lines[#lines + 1] = "COMMIT;"
  local path = process.folder() .. "/keys.sql"
  local text = assert(io.open(path, "wb"))
  text:write(table.concat(lines, "\n"))
  text:close()
  ledger_rows.sql(file, ".read " .. path)
  return who
end

local ASKED = 20

-- How long the usage of all rows takes to read: the first time (`before`, if it was measured), and when the sums of its
-- hours are kept, which the ledger's thread does while it is asked again.
local function usage_time(who, before)
  local function milliseconds()
    local began = socket.gettime()
    local answer = http.request("127.0.0.1:" .. who.port,
      { path = "/v1/usage?from=30d", key = "the-admin-token-of-the-bench" })
    assert(answer.status == 200, answer.body)
    return math.floor((socket.gettime() - began) * 1000 + 0.5)
  end
  local first, least = before and before[1] or milliseconds(), math.huge
  for _ = 1, ASKED do least = math.min(least, milliseconds()) end
  return { first, least }
end

local function closed() return { kind = "closed", body = "it", connections = 8 } end
local function small() return bodies.chat(1024) end

local function up_to(most, ...)
  local list = {}
  for _, size in ipairs { ... } do
    if size <= most then list[#list + 1] = size end
  end
  return list
end

-- The cases, with at most so many rows.
function growth_cases.list(most_rows, quick)
  return {
    { name = "models", title = "Candidates of a request for `auto`", unit = "models", per = "a request", power = 1,
      sizes = up_to(quick and 300 or 1000, 10, 30, 100, 300, 1000), scenario = closed, body = small,
      gateway = function(size, places, mock) return gateway(places, mock, size, 10) end },
    { name = "keys", title = "Callers' keys, used in turn", unit = "keys", per = "a request", power = 0,
      sizes = up_to(quick and 10000 or 1000000, 10, 1000, 10000, 100000, 1000000), body = small,
      gateway = with_keys,
      scenario = function(size) return { kind = "closed", body = "it", connections = 8, keys = size } end },
    { name = "streams", title = "Streams at once, of 20 chunks each", unit = "streams", per = "a stream", power = 0,
      sizes = up_to(quick and 1000 or 9000, 10, 100, 1000, 9000), rounds = 1, events = CHUNKS + 4,
      memory = "memory a stream, KB",
      scenario = function(size)
        return { kind = "streams", body = "it", connections = size, repeats = 1, ramp = math.max(200, size * 2) }
      end,
      body = function(size)
        local pace = ("pace:gap=%d,chunks=%d"):format(math.max(100, size / 5), CHUNKS)
        return bodies.chat(1024, { stream = true, pace = pace })
      end,
      gateway = function(_, places, mock) return gateway(places, mock, 10, 10) end },
    { name = "rows", title = "Rows of the ledger", unit = "rows", per = "a request", power = 0,
      sizes = up_to(quick and 100000 or most_rows, 1000, 100000, 1000000, 10000000), scenario = closed, body = small,
      gateway = with_rows, after = usage_time, after_title = "`/v1/usage` of all, ms" },
    { name = "body", title = "Bytes of a chat's body", unit = "bytes", per = "a request", power = 1,
      sizes = { 1024, 10240, 102400, 1048576 }, scenario = closed, body = bodies.chat,
      gateway = function(_, places, mock) return gateway(places, mock, 10, 10) end },
  }
end

return growth_cases
