-- A language-model gateway as someone who knows OpenResty writes it: callers' keys, a ladder of providers by quality
-- with quotas per minute and day, the body's model rewritten, the provider's key put in, its rate-limit headers kept,
-- and the tokens of each answer counted. Counters lie in a shared dictionary: nothing is durable or explained.
local cjson = require "cjson.safe"
local counters = ngx.shared.counters
local floor = math.floor

local gateway = {}

-- As in ../moongate.lua: the first has used up its day after a hundred requests, so that each one passes it over.
local LADDER = {
  { name = "one", model = "bench-large", key = "Bearer sk-one", rpm = 1e8, rpd = 100, tpm = 1e12 },
  { name = "two", model = "bench-medium", key = "Bearer sk-two", rpm = 1e8, rpd = 1e9, tpm = 1e12 },
  { name = "three", model = "bench-small", key = "Bearer sk-three", rpm = 1e8, rpd = 1e9, tpm = 1e12 },
}
local MODELS = { auto = LADDER, ["bench-large"] = { LADDER[1] }, ["bench-medium"] = { LADDER[2] },
  ["bench-small"] = { LADDER[3] } }

local callers = {}
for number = 1, 1000 do callers["Bearer sk-bench-" .. number] = { name = "caller-" .. number, tpm = 1e12 } end

local function refuse(status, message)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.print(cjson.encode { error = { message = message, type = "gateway_error" } })
  return ngx.exit(status)
end

-- Nothing comes between looking and counting: a worker does one thing at a time, and there is one.
local function take(provider, minute, day)
  local name = provider.name
  local per_day, per_minute = "rpd:" .. name .. day, "rpm:" .. name .. minute
  if (counters:get(per_day) or 0) >= provider.rpd then return false end
  if (counters:get(per_minute) or 0) >= provider.rpm then return false end
  if (counters:get("tpm:" .. name .. minute) or 0) >= provider.tpm then return false end
  counters:incr(per_day, 1, 0, 172800)
  counters:incr(per_minute, 1, 0, 120)
  return true
end

local function read_body()
  ngx.req.read_body()
  local text = ngx.req.get_body_data()
  if text then return text end
  local path = ngx.req.get_body_file()
  local file = path and io.open(path, "rb")
  text = file and file:read("*a")
  if file then file:close() end
  return text
end

function gateway.access()
  local caller = callers[ngx.var.http_authorization or ""]
  if not caller then return refuse(401, "no such key") end
  local body = cjson.decode(read_body() or "")
  if type(body) ~= "table" or type(body.messages) ~= "table" then return refuse(400, "not a chat request") end
  local ladder = MODELS[body.model]
  if not ladder then return refuse(404, "no such model") end
  local now = ngx.time()
  local minute, day = floor(now / 60), floor(now / 86400)
  if (counters:get("tpm:" .. caller.name .. minute) or 0) >= caller.tpm then return refuse(429, "the key's quota") end
  local provider
  for index = 1, #ladder do
    if take(ladder[index], minute, day) then
      provider = ladder[index]
      break
    end
  end
  if not provider then return refuse(429, "no provider has quota left") end
  body.model = provider.model
  if body.stream then body.stream_options = { include_usage = true } end
  ngx.req.set_body_data(cjson.encode(body))
  ngx.req.set_header("Authorization", provider.key)
  ngx.var.provider = provider.name
  local kept = ngx.ctx
  kept.provider, kept.caller, kept.minute, kept.streams = provider, caller, minute, body.stream
end

function gateway.head()
  local provider = ngx.ctx.provider
  if not provider then return end
  local headers = ngx.header
  local requests = tonumber(headers["x-ratelimit-remaining-requests"])
  local tokens = tonumber(headers["x-ratelimit-remaining-tokens"])
  if requests then counters:set("left-requests:" .. provider.name, requests, 60) end
  if tokens then counters:set("left-tokens:" .. provider.name, tokens, 60) end
  headers["x-gateway-provider"] = provider.name
end

-- The usage stands in one of a stream's last events; what came before is kept as far as it may be cut in two.
local function read_stream(kept, data)
  local text = kept.tail and kept.tail .. data or data
  local found = text:find('"usage":{', 1, true)
  if found then kept.tokens = tonumber(text:match('"total_tokens":%s*(%d+)', found)) or kept.tokens end
  kept.tail = text:sub(-160)
end

function gateway.body()
  local kept, data, is_last = ngx.ctx, ngx.arg[1], ngx.arg[2]
  if not kept.provider then return end
  if kept.streams then
    if data ~= "" then read_stream(kept, data) end
    return
  end
  local parts = kept.parts or {}
  parts[#parts + 1] = data
  kept.parts = parts
  if is_last then
    local answer = cjson.decode(table.concat(parts))
    kept.tokens = answer and answer.usage and answer.usage.total_tokens
  end
end

function gateway.settle()
  local kept = ngx.ctx
  if not kept.provider or not kept.tokens then return end
  counters:incr("tpm:" .. kept.provider.name .. kept.minute, kept.tokens, 0, 120)
  counters:incr("tpm:" .. kept.caller.name .. kept.minute, kept.tokens, 0, 120)
  counters:incr("requests", 1, 0)
  counters:incr("tokens", kept.tokens, 0)
end

-- What was counted, for the benchmark to hold against what it sent.
function gateway.counted()
  ngx.header["Content-Type"] = "application/json"
  ngx.print(cjson.encode { requests = counters:get("requests") or 0, tokens = counters:get("tokens") or 0 })
end

return gateway
