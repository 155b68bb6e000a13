-- The C modules of a serving gateway as plain tables that record, for specs of the Lua that joins them. `fakes.install`
-- puts them into package.loaded and takes out what was loaded with others, so that modules under test are required
-- afresh; `core.restore` puts everything back.
require "spec.support.core"
local fake_gauge = require "spec.support.fake_gauge"

local fakes = {}

local KEPT = {}
for _, name in ipairs { "json", "guard", "limit_headers", "words" } do KEPT["moongate.core." .. name] = true end

local function copy(value)
  if type(value) ~= "table" then return value end
  local twin = {}
  for name, member in pairs(value) do twin[name] = member end
  return setmetatable(twin, getmetatable(value))
end

-- As core/bind/ledger.c is given a row.
local ROW = {
  "request_id", "time", "org", "key", "label", "tier", "surface", "policy", "task", "model", "input_tokens", "provider",
  "outcome", "detail", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "billed_tokens",
  "cost_microusd", "savings_microusd", "latency_ms", "status", "attempts", "estimated",
}

local function row_of(...)
  local row = {}
  for i, name in ipairs(ROW) do row[name] = (select(i, ...)) end
  local json = require "moongate.core.json"
  if row.detail == json.written then row.detail = json.finish() end
  return row
end

-- What is kept of a call's arguments where specs have more use for something else: of a row, it by name.
local KEEPS = {
  ["ledger.open"] = function(...) return row_of(...) end,
  ["ledger.close"] = function(row_id, ...)
    local row = row_of(...)
    row.row_id = row_id
    return row
  end,
}

local function is_ours(name)
  return string.find(name, "^moongate%.") ~= nil and not KEPT[name] or string.find(name, "^protocols%.") ~= nil
end

-- What the modules do unless a spec says otherwise. self is what fakes.install answers.
local function behaviours(self)
  local function nothing() end
  local function wire()
    local next_one = table.remove(self.wires, 1)
    assert(next_one, "an upstream call that the spec does not expect")
    if next_one.barred then return nil, "firewall", next_one.barred end
    return next_one
  end
  return {
      affinity = { recall = nothing, remember = nothing },
      attempt = { send = wire, play = wire, route = copy },
    bulletin = {
      watch = function() return true end, leave = nothing, watchers = function() return self.watchers end,
      post = function(text) self.posted[#self.posted + 1] = text end,
      since = function(number)
        local behind = {}
        for i = math.max(0, number) + 1, #self.posted do behind[#behind + 1] = self.posted[i] .. "\n" end
        return #self.posted, table.concat(behind)
      end,
      keep = function(text) self.kept = text end, kept = function() return { self.kept } end,
    },
    clock = {
      now = function() return self.now end,
      monotonic = function()
        self.monotonic = self.monotonic + self.tick
        return self.monotonic
      end,
      sleep = function() return true end,
      later = function(seconds, fn)
        local entry = { seconds = seconds, fn = fn }
        self.later[#self.later + 1] = entry
        return { cancel = function() entry.cancelled = true end }
      end,
    },
    exchange = { form = function(names) return names end },
    gate = {
      state = function() return { draining = false, problems = "[]", reports = {}, worker = 0, workers = 1 } end,
      report = nothing, publish = function(text) self.published = text end,
      readings = function() return self.published or "{}" end,
    },
    gauge = fake_gauge.functions(),
    health = {
      admit = function() return true end, succeeded = nothing, failed = nothing, released = nothing,
      state = function() return false, nil, 0, 0 end,
    },
    http = { call = function() return nil, "unreachable", "no connection" end },
    keys = {
      hash = function(secret) return string.sub(secret .. string.rep("#", 32), 1, 32) end,
      random = function(count) return string.rep("a1", count) end,
      generation = function() return self.generation end,
      find = function(hash) return self.stored[hash] end,
      add = function() return true end, all = function() return {} end, revoke = function() return true end,
    },
    ledger = {
      open = function() return "row-1" end,
      close = function() return true end, find = nothing, refuses = nothing,
    },
    log = { write = nothing, is_on = function() return true end },
    metrics = {
      series = function(name, labels) return name .. "{" .. labels .. "}" end,
      add = function(series, amount) self.counted[series] = (self.counted[series] or 0) + amount end,
      observe = function(series, seconds) self.observed[series] = seconds end,
      tally = function(durations, amounts)
        return function(...)
          local told = { ... }
          for i, series in ipairs(durations) do self.observed[series] = told[i] end
          for i, series in ipairs(amounts) do
            local amount = told[#durations + i]
            if amount then self.counted[series] = (self.counted[series] or 0) + amount end
          end
        end
      end,
      text = function() return "counted 1\n" end, read = function(name) return self.series[name] or "" end,
    },
    models = {
      sources = function() return self.sources end, changes = function() return self.imports end,
      keep = function(_, import)
        self.kept_imports[#self.kept_imports + 1] = import
        return true
      end,
    },
    orders = { ask = nothing },
    terminal = {},
    offline = { open = function() return nil, "there is no store" end },
    pages = { get = function(name) return self.pages[name] end },
    process = {
      env = nothing, read = function() return nil, "No such file or directory" end, kind = nothing,
      processors = function() return 2 end, is_zone = function() return true end, policies = function() return {} end,
      print = function(text) self.printed[#self.printed + 1] = text end,
      complain = function(text) self.complaints[#self.complaints + 1] = text end,
      fetch = function() return nil, "connection refused" end,
    },
    sheet = { read = function() return nil, "No such file or directory" end },
    turns = { take = function() return true, "", 0 end, tell = nothing },
    usage = { ask = nothing },
    store = {
      reserve = function()
        self.reservations = self.reservations + 1
        return "reservation " .. self.reservations
      end,
      settle = nothing, used = function() return 0, 30 end, exhaust = function(_, seconds) return seconds or 60 end,
      exhausted = function() return 0, "" end, fits = function() return true end, learn = nothing,
      reader = function(limit) return function() return require "moongate.core.store".used(limit) end end,
      learnt = function() return {} end, recovered = nothing, pardon = function() return false end,
    },
  }
end

-- Answers { calls, wires (the next upstream calls), now, stored (keys by hash), counted, observed, printed, ... }.
function fakes.install()
  local self = {
    calls = {}, wires = {}, now = 1700000000, monotonic = 0, tick = 0, generation = 1, stored = {}, counted = {},
    observed = {}, later = {}, printed = {}, complaints = {}, reservations = 0, posted = {}, watchers = 0, kept = "[]",
    pages = {}, series = {}, sources = {}, imports = {}, kept_imports = {},
  }
  local before, own = {}, behaviours(self)
  for name, module in pairs(package.loaded) do
    if is_ours(name) then before[name] = module end
  end
  for name in pairs(before) do package.loaded[name] = nil end
  for room, functions in pairs(own) do
    local module = {}
    for name in pairs(functions) do
      local whole = room .. "." .. name
      local function kept(...)
        if KEEPS[whole] then return KEEPS[whole](...) end
        return ...
      end
      local function noted(...)
        local call = { name = whole, n = select("#", ...) }
        for i = 1, call.n do call[i] = copy((select(i, ...))) end
        return call
      end
      module[name] = function(...)
        local call = noted(kept(...))
        self.calls[#self.calls + 1] = call
        return functions[name](...)
      end
    end
    package.loaded["moongate.core." .. room] = module
  end
  require("moongate.core.json").add_seen = fake_gauge.add_seen

  -- From now on that function answers so: core.set("store.used", function(limit) return 5, 60 end).
  function self.set(name, behaviour)
    local room, last = string.match(name, "^(%w+)%.(%w+)$")
    assert(own[room][last], name)
    own[room][last] = behaviour
  end

  -- The calls of a function, each with its arguments at 1, 2, ...
  function self.of(name)
    local found = {}
    for _, call in ipairs(self.calls) do
      if call.name == name then found[#found + 1] = call end
    end
    return found
  end

  -- Puts another table in the place of a Lua module.
  function self.replace(name, module)
    package.loaded[name] = module
    return module
  end

  function self.restore()
    for name in pairs(copy(package.loaded)) do
      if is_ours(name) then package.loaded[name] = nil end
    end
    for name, module in pairs(before) do package.loaded[name] = module end
  end

  return self
end

-- An upstream call. given: status, headers, body or events (data texts, or { data, name, raw }), failure = { reason,
-- message } of the place where nothing more comes ("head", "body", "events"), piped = what the pipe has seen, or
-- gone = why it was cancelled meanwhile; barred = what the firewall says.
function fakes.wire(given)
  given = given or {}
  local wire, at = { barred = given.barred, closed = {} }, 0
  local failure, message = unpack(given.failure or {})
  function wire.head()
    if not given.status and failure then return nil, failure, message end
    return given.status or 200
  end
  function wire.headers() return given.headers or { ["content-type"] = "application/json" } end
  function wire.header(_, name)
    local value = wire.headers()[name]
    return type(value) == "table" and value[1] or value
  end
  function wire.learn() return false end
  function wire.body()
    if not given.body and failure then return nil, failure, message end
    return given.body or ""
  end
  function wire.event()
    at = at + 1
    local event = given.events and given.events[at]
    if not event then return nil, failure or "end", message end
    if type(event) == "string" then event = { data = event } end
    return event.raw or "data: " .. event.data .. "\n\n", event.data, event.name or ""
  end
  function wire.pipe(_, _, marks, bytes, tokens)
    wire.marks, wire.bounds = marks, { { bytes, tokens } }
    if given.gone then return nil, given.gone end
    return given.piped
  end
  -- given.piped_on: what it has seen each time it went on.
  function wire.pipe_on(_, _, bytes, tokens)
    table.insert(wire.bounds, { bytes, tokens })
    return table.remove(given.piped_on, 1)
  end
  function wire.piped() return given.piped end
  function wire.close(_, nearly_over) wire.closed[#wire.closed + 1] = nearly_over or false end
  return wire
end

-- A whole chat answer as a provider gives it.
function fakes.answer(text, usage)
  local json = require "moongate.core.json"
  return json.encode {
    choices = json.array { { index = 0, finish_reason = "stop", message = { role = "assistant", content = text } } },
    usage = usage,
  }
end

-- One event of a streamed chat answer.
function fakes.chunk(text, finish)
  local json = require "moongate.core.json"
  return json.encode {
    choices = json.array { { index = 0, delta = { content = text }, finish_reason = finish or json.null } },
  }
end

-- A caller's connection. given: method, path, query, peer, body, headers, id; elapsed is a member to set. What is
-- sent is kept in `replies` ({ status, headers, body }) and, for streams, in `written`.
function fakes.handle(given)
  given = given or {}
  local handle = { elapsed_s = 0, replies = {}, written = {}, calmed = 0, finished = 0, private = false }
  local function give(name, otherwise)
    handle[name] = function() return given[name] or otherwise end
  end
  give("method", "POST")
  give("path", "/v1/chat/completions")
  give("query", "")
  give("peer", "127.0.0.1:5000")
  give("body", "")
  handle.take_body = handle.body
  give("id", "request-1")
  give("headers", {})
  function handle.header(_, name, joined)
    local value = (given.headers or {})[name]
    return type(value) == "table" and (joined and table.concat(value, ", ") or value[1]) or value
  end
  function handle.has_header(_, start)
    for name in pairs(given.headers or {}) do
      if string.sub(name, 1, #start) == start then return true end
    end
    return false
  end
  function handle.elapsed() return handle.elapsed_s end
  function handle.keep_private() handle.private = true end
  function handle.calm() handle.calmed = handle.calmed + 1 end
  function handle.always(_, headers) handle.kept = headers end
  function handle.reply(_, status, headers, body)
    handle.replies[#handle.replies + 1] = { status = status, headers = headers, body = body }
  end
  local function filled(form, ...)
    local headers = {}
    for i, name in ipairs(form) do headers[name] = (select(i, ...)) end
    return headers
  end
  function handle.answer(_, form, body, ...) handle:reply(200, filled(form, ...), body) end
  function handle.begin(_, status, headers) handle.begun = { status = status, headers = headers } end
  function handle.start(_, form, ...) handle:begin(200, filled(form, ...)) end
  function handle.write(_, text)
    handle.written[#handle.written + 1] = text
    return true
  end
  function handle.offer(_, text)
    handle.written[#handle.written + 1] = text
    return true
  end
  function handle.finish() handle.finished = handle.finished + 1 end
  return handle
end

local made_targets = 0 -- each has an index of its own

-- A target: fakes.target("one/small", { cost = ... }).
function fakes.target(id, more)
  local provider, model = string.match(id, "^(.-)/(.*)$")
  made_targets = made_targets + 1
  local target = {
    index = made_targets, id = id, provider = provider, model = model, upstream_id = "up-" .. model,
    protocol = "openai", is_local = false, provider_limits = {}, limits = {},
  }
  for name, value in pairs(more or {}) do target[name] = value end
  return target
end

-- A provider as a normalised configuration has it.
function fakes.provider(name, more)
  local provider = {
    name = name, protocol = "openai", base_url = "http://" .. name .. ".test/v1",
    keys = { { key = "secret-of-" .. name } },
    timeouts = { connect = 5, first_byte = 10, first_content = 20, idle = 30, total = 600 },
    breaker = { failures = 5, open = 15 }, limits = {}, is_local = false,
  }
  for member, value in pairs(more or {}) do provider[member] = value end
  return provider
end

-- A request under way over these targets. more: request, caller, config, handle, body (the caller's), providers.
function fakes.call(targets, more)
  local json = require "moongate.core.json"
  more = more or {}
  local providers = {}
  for _, target in ipairs(targets) do
    providers[target.provider] = fakes.provider(target.provider, more.providers and more.providers[target.provider])
  end
  local config = { providers = providers }
  for name, value in pairs(more.config or {}) do config[name] = value end
  local request = { surface = "chat", model = "auto", stream = false, estimated_tokens = 10, text_length = 40 }
  for name, value in pairs(more.request or {}) do request[name] = value end
  local caller = { name = "dev", key_id = "config:dev", org = "acme", tier = "pro", label = "" }
  for name, value in pairs(more.caller or {}) do caller[name] = value end
  request.caller = { name = caller.name, org = caller.org, tier = caller.tier }
  return {
    handle = more.handle or fakes.handle(), operation = "chat", id = "request-1", request = request, caller = caller,
    document = assert(json.scan(more.body or '{"model":"m","messages":[]}', 100)), attempts = {}, calls = 0,
    surface = require "moongate.surfaces.openai",
    upstream_seconds = 0, plan = { policy = "mine@12345678", task = "chat", ladder = targets },
    state = {
      config = config,
      policies = { billing = function() end, protocol = function() end },
      registry = { targets = targets, cost = function() end },
    },
  }
end

return fakes
