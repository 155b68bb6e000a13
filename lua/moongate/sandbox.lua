-- The world a policy lives in: a fresh environment for each file, made of copies, so that no policy can change what
-- another one or the library sees. Time, memory and nesting are bounded by moongate.core.guard around every call and by
-- the library functions of the Lua state; this file decides what there is to call.
local core_json = require "moongate.core.json"
local bit = require "bit"
local chance = require "moongate.chance"
local guard = require "moongate.core.guard"
local list = require "moongate.list"

local sandbox = {}

local LOADED_BYTES = 64 * 1024         -- what a policy may compile at run time
local JSON_BYTES = 4 * 1024 * 1024     -- what it may decode at once: one call in C
local LINE_BYTES, LINES = 2000, 100    -- of its log, each call
local DATE_BYTES = 100
local NESTING = 100                    -- of coroutines
local TIME_FIELDS = { "year", "month", "day", "hour", "min", "sec", "isdst" }

local getmetatable_of = debug.getmetatable

-- Modules a policy may require, by their names behind "moongate.".
sandbox.LIBRARIES = { "list", "score", "json", "time", "text", "chat" }

local ARRAY = getmetatable_of(core_json.array {})

local json = {
  null = core_json.null,
  encode = core_json.encode,
  is_array = core_json.is_array,
  decode = function(text)
    if type(text) == "string" and #text > JSON_BYTES then return nil, "a text of more than 4 MiB" end
    return core_json.decode(text)
  end,
  array = function(t)
    if type(t) == "table" and getmetatable_of(t) ~= nil and getmetatable_of(t) ~= ARRAY then
      error("a table with a metatable cannot become an array", 2)
    end
    return core_json.array(t)
  end,
}

local function copy(value, seen)
  if type(value) ~= "table" then return value end
  if seen[value] then return seen[value] end
  local fresh = {}
  seen[value] = fresh
  for k, v in next, value do fresh[copy(k, seen)] = copy(v, seen) end
  debug.setmetatable(fresh, getmetatable_of(value))
  return fresh
end

local function pick(from, names)
  local fresh = {}
  for _, name in ipairs(names) do fresh[name] = from[name] end
  return fresh
end

---@class moongate.sandbox.host what all policies of a set share with the program
---@field now number|false|nil unix seconds of the call under way; false: it may not ask; nil: the real ones
---@field lines string[] what was logged in the call under way
---@field nesting integer coroutines resumed in one another; whoever begins a call sets it to 0
---@field made table<table, boolean> metatables made by policies
---@field request table|nil what the call under way is about: a request as policies see it
---@field begin fun(seed: any) at the beginning of each call: the seed of its dice; nil: any
---@field random function
---@field seed fun(value: any)
---@field libraries table<string, table> loaded beforehand: never inside a budget, which could leave one half-loaded

---@param seed any what unseeded calls draw from
---@return moongate.sandbox.host
function sandbox.host(seed)
  local draw, set_seed = chance.new(seed)
  local libraries = { json = json }
  for _, name in ipairs(sandbox.LIBRARIES) do libraries[name] = libraries[name] or require("moongate." .. name) end
  local host = { lines = {}, nesting = 0, made = setmetatable({}, { __mode = "k" }), libraries = libraries }
  local own_seed -- of the call under way, until it draws for the first time: most never do

  function host.begin(value)
    if value == nil then value = math.random() end
    own_seed = value
  end

  function host.seed(value)
    own_seed = nil
    set_seed(value)
  end

  function host.random(...)
    if own_seed ~= nil then host.seed(own_seed) end
    return draw(...)
  end

  return host
end

local function new_log(host)
  return function(...)
    local lines = host.lines
    if #lines >= LINES then return end
    local parts = { ... }
    for i = 1, select("#", ...) do
      local text = tostring(parts[i])
      parts[i] = type(text) == "string" and string.sub(text, 1, LINE_BYTES) or type(parts[i])
    end
    lines[#lines + 1] = string.sub(table.concat(parts, "\t"), 1, LINE_BYTES)
  end
end

local function new_os(host)
  local function now()
    if host.now == false then error("there is no clock in an access policy: its answers are kept", 3) end
    return host.now and math.floor(host.now) or os.time()
  end

  -- Fields are read raw: os.time would call metamethods from C.
  local function time(fields)
    local current = fields == nil and now()
    if current then return current end
    if type(fields) ~= "table" then error("os.time takes a table", 2) end
    local raw = {}
    for _, name in ipairs(TIME_FIELDS) do raw[name] = rawget(fields, name) end
    return os.time(raw)
  end

  local function date(format, when)
    format = format == nil and "%c" or format
    if type(format) ~= "string" or #format > DATE_BYTES then error("os.date takes a short format", 2) end
    return os.date(format, when == nil and now() or when)
  end

  return { time = time, date = date }
end

-- Only metatables that policies made can be seen or changed: those of the library are out of reach.
local function new_metatables(host)
  local function get(value)
    local metatable = getmetatable_of(value)
    if type(metatable) ~= "table" or not host.made[metatable] then return nil end
    local shown = rawget(metatable, "__metatable")
    if shown ~= nil then return shown end
    return metatable
  end

  local function set(value, metatable)
    if type(value) ~= "table" then error("setmetatable takes a table", 2) end
    if metatable ~= nil and type(metatable) ~= "table" then error("a metatable is a table or nil", 2) end
    local current = getmetatable_of(value)
    if current ~= nil and (not host.made[current] or rawget(current, "__metatable") ~= nil) then
      error("cannot change a protected metatable", 2)
    end
    if metatable then host.made[metatable] = true end
    return setmetatable(value, metatable)
  end

  return get, set
end

-- Coroutines nest on the C stack, which is not without end.
local function new_coroutines(host)
  local fresh = pick(coroutine, { "create", "status", "yield" })
  local own = setmetatable({}, { __mode = "k" })

  local function leave(...)
    host.nesting = host.nesting - 1
    return ...
  end

  local function unwrap(fine, ...)
    if not fine then error((...), 0) end
    return ...
  end

  function fresh.create(fn)
    local made = coroutine.create(fn)
    own[made] = true
    return made
  end

  -- Not the one that the request itself is: resumed later, it would take a wait of the gateway for over.
  function fresh.running()
    local here = coroutine.running()
    return own[here] and here or nil
  end

  function fresh.resume(...)
    if host.nesting >= NESTING then error("too deep in callbacks or coroutines", 2) end
    host.nesting = host.nesting + 1
    return leave(coroutine.resume(...))
  end

  function fresh.wrap(fn)
    local inner = fresh.create(fn)
    return function(...) return unwrap(fresh.resume(inner, ...)) end
  end

  return fresh
end

-- moongate.list as a policy has it: its own lists draw, and are scored, as the request's do.
local function own_list(host)
  local facts = {}

  function facts.random() return host.random() end

  function facts.task()
    local task = host.request and host.request.task
    return type(task) == "string" and task or "chat"
  end

  return { new = function(items) return list.new(items, { facts = facts }) end }
end

local function new_require(host, library)
  local loaded = {}

  return function(name)
    if type(name) ~= "string" then error("require takes a name", 2) end
    if loaded[name] ~= nil then return loaded[name] end
    local own = string.match(name, "^lib%.(.+)$")
    if own then
      loaded[name] = library(own)
      return loaded[name]
    end
    local short = string.match(name, "^moongate%.(%l+)$")
    for _, known in ipairs(sandbox.LIBRARIES) do
      if short == known then
        loaded[name] = short == "list" and own_list(host) or copy(host.libraries[short], {})
        return loaded[name]
      end
    end
    error(string.format("a policy cannot require '%s': there are moongate.%s and lib.<name>",
      string.sub(name, 1, 60), table.concat(sandbox.LIBRARIES, ", moongate.")), 2)
  end
end

-- A fresh environment.
---@param host moongate.sandbox.host
---@param library fun(name: string): any gives what `require "lib.<name>"` returns, or raises
---@return table
function sandbox.environment(host, library)
  local env = pick(_G, { "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawset",
    "select", "tonumber", "tostring", "type", "unpack" })
  env.string = pick(string, { "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep",
    "reverse", "sub", "upper" })
  env.table = pick(table, { "concat", "insert", "remove", "sort" })
  env.math = copy(math, {})
  env.math.random, env.math.randomseed = host.random, host.seed
  env.bit = copy(bit, {})
  env.os = new_os(host)
  env.coroutine = new_coroutines(host)
  env.getmetatable, env.setmetatable = new_metatables(host)
  env.log = new_log(host)
  env.require = new_require(host, library)

  -- Text only, and always in this environment.
  function env.load(text, name)
    if type(text) ~= "string" or #text > LOADED_BYTES then return nil, "load takes a text of up to 64 KiB" end
    local shown = type(name) == "string" and string.sub(name, 1, 40) or "load"
    return guard.load(text, "=" .. shown, env)
  end
  env.loadstring = env.load

  return env
end

-- Compiles a policy's text in an environment: guarded, for that may take long. So must the function be, when it is run.
---@param text string
---@param path string as errors shall name it: "policies/routing/x.lua"
---@param env table
---@return function|nil
---@return string|nil message "path:line: what is wrong"
function sandbox.load(text, path, env)
  return guard.load(text, "@" .. path, env)
end

return sandbox
