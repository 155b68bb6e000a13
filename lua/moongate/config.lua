-- Reads moongate.lua: a Lua file that returns a table, run with env "NAME" as its only extra. Answers with the
-- filled-in config, or with everything that is wrong with it at once, each with its line. Touches no file, no network.

local crosscheck = require "moongate.crosscheck"
local defaults = require "moongate.defaults"
local discover = require "moongate.discover"
local models_table = require "moongate.models_table"
local places = require "moongate.places"
local protocols = require "moongate.protocols"
local providers = require "moongate.providers"
local schema = require "moongate.schema"
local secrets = require "moongate.secrets"
local shape = require "moongate.shape"

local config = {}

local MOST_STEPS = 1e7 -- instructions; a config is data and needs a few thousand

---@class problem
---@field file string
---@field line integer|nil
---@field key string|nil
---@field message string

-- "moongate.lua:12: providers.groq.base_ur: unknown key (did you mean "base_url"?)"
---@param problem problem
---@return string
function config.message(problem)
  local parts = { problem.line and problem.file .. ":" .. problem.line or problem.file }
  if problem.key and problem.key ~= "" then parts[2] = problem.key end
  parts[#parts + 1] = problem.message
  return table.concat(parts, ": ")
end

-- What the file sees: env, and nothing else. What that gives it is noted in values.
local function environment(env, values)
  local function variable(name, ...)
    if type(name) ~= "string" then error('env wants the name of a variable, like env "GROQ_API_KEY"', 2) end
    local value = env(name)
    if value ~= nil and value ~= "" then
      values[#values + 1] = value
      return value
    end
    if select("#", ...) > 0 then return (...) end
    return shape.missing(name)
  end
  return setmetatable({ env = variable }, {
    __index = function(_, name)
      error('a config knows no "' .. tostring(name) .. '": it is data, and env "NAME" its only function', 2)
    end,
    __newindex = function(_, name)
      error('"' .. tostring(name) .. '" is set as a global: write local ' .. tostring(name), 2)
    end,
  })
end

-- A file that loops for ever is stopped, where the host leaves us the means to.
local function bounded(chunk)
  local hooks = debug and debug.sethook
  if not hooks then return pcall(chunk) end
  if jit then jit.off(chunk, true) end
  hooks(function() error("runs too long: a config is data", 2) end, "", MOST_STEPS)
  local fine, value = pcall(chunk)
  hooks()
  return fine, value
end

-- A Lua error as a problem: its line apart from its sentence.
local function fault(filename, text)
  local line, message = string.match(tostring(text), "^config:(%d+): (.*)$")
  return { file = filename, line = tonumber(line), message = message or tostring(text) }
end

local function in_order(a, b)
  if a.file ~= b.file then return a.file < b.file end
  if (a.line or 0) ~= (b.line or 0) then return (a.line or 0) < (b.line or 0) end
  if (a.key or "") ~= (b.key or "") then return (a.key or "") < (b.key or "") end
  return a.message < b.message
end

local function complete(known, env)
  known = known or {}
  return {
    protocols = known.protocols or protocols.names(),
    provider = known.provider or providers.get, providers = known.providers or providers.names(),
    own_protocols = known.own_protocols, own_checkers = known.own_checkers, env = env,
    policies = known.policies, is_folder = known.is_folder, is_zone = known.is_zone, files = known.files,
    imported = known.imported, without_names = known.without_names,
  }
end

local IDENTITY = { id = true, provider = true, name = true, model = true } -- without one of these an entry is nothing

-- The table without what is wrong in it, so that the rest can still be checked. A list with a wrong item goes as a
-- whole (its numbers must stay true); a wrong provider leaves its name.
local function sound_part(value, path, wrong)
  if type(value) ~= "table" or getmetatable(value) then return value end
  local result = {}
  for key, item in pairs(value) do
    local below = places.below(path, key)
    local kept
    if not wrong[below] then
      kept = sound_part(item, below, wrong)
    elseif path == "providers" then
      kept = {}
    end
    if kept == nil and (type(key) == "number" or IDENTITY[key]) then return nil end
    result[key] = kept
  end
  return result
end

-- True when one of the paths is at, below or above this one: then another fault there is only the echo of the first.
local function is_touched(path, wrong)
  for each in pairs(wrong) do
    local short, long = path, each
    if #short > #long then short, long = long, short end
    if string.sub(long, 1, #short) == short and string.find(long, "^[.%[]", #short + 1) or short == long then
      return true
    end
  end
  return false
end

-- See config.load. What the file was given of the environment is noted in values.
local function examine(text, filename, env, known, values)
  local chunk, failure = load(text, "=config", "t", environment(env, values))
  if not chunk then return nil, { fault(filename, failure) } end
  local fine, given = bounded(chunk)
  if not fine then return nil, { fault(filename, given) } end
  if type(given) ~= "table" or getmetatable(given) then
    return nil, { { file = filename, message = "must return a table: return { providers = { ... } }" } }
  end

  local problems, wrong, lines, twice = {}, {}, places.find(text)
  local function report(path, message)
    wrong[path] = true
    problems[#problems + 1] = { file = filename, line = places.line(lines, path), key = path, message = message }
  end
  schema.check(given, "", report)
  for path, line in pairs(twice) do
    report(path, string.format("is there twice, first in line %d: one of them is lost", line))
  end

  local faulty, has_table = {}, given.models_table ~= nil
  for path in pairs(wrong) do faulty[path] = true end
  given = sound_part(given, "", faulty) or {} -- nothing at all is, where the table itself is at fault
  local filled = defaults.fill(given, filename, env, known)
  local function report_new(path, message)
    if not is_touched(path, faulty) then report(path, message) end
  end
  local is_complete = crosscheck.run(given, filled, known, report_new)
  if filled.models_table and known.files then
    local wrong_table = models_table.apply(filled, known.files)
    if type(wrong_table) == "string" then
      report_new(filled.models_table.csv and "models_table.csv" or "models_table.sqlite", wrong_table)
    else
      for _, problem in ipairs(wrong_table or {}) do problems[#problems + 1] = problem end
    end
  end
  filled.imported = known.imported and not has_table and known.imported(filled) or nil
  local has_names = is_complete and not known.without_names
  if has_names and (filled.models_table or not has_table) then crosscheck.names(filled, known, report_new) end
  if #problems == 0 then return filled end
  table.sort(problems, in_order)
  return nil, problems
end

-- Reads the text of a config file. env(name) gives an environment variable or nil. known says what there is to refer
-- to, all optional: protocols = { openai = true, ... }, provider(name) -> built-in table, providers = their names,
-- policies(folder or nil) -> names of routing policies, own_protocols(folder or nil) and own_checkers(folder or nil) ->
-- names, is_folder(path), is_zone(name), imported(config) -> { packed, digest } of what was imported, files = what
-- models_table.apply reads the model table with.
---@param text string
---@param filename string
---@param env fun(name: string): string|nil
---@param known table|nil
---@return table|nil config
---@return problem[]|nil
function config.load(text, filename, env, known)
  local values = {}
  local loaded, problems = examine(text, filename, env, complete(known, env), values)
  values = secrets.list(values)
  -- A secret may stand where a name belongs.
  for _, problem in ipairs(problems or {}) do
    problem.message = secrets.hide(problem.message, values)
    problem.key = problem.key and secrets.hide(problem.key, values)
  end
  return loaded, problems
end

-- The config where there is no file: what the environment's usual key variables open, and the models of a local
-- Ollama. The second result is a sentence for people: what was found, or what to do.
---@param env fun(name: string): string|nil
---@param local_models string[]|nil names of the models that a local Ollama has
---@param known table|nil as for load
---@return table config
---@return string hint
function config.discover(env, local_models, known)
  return discover.run(env, local_models or {}, complete(known, env))
end

return config
