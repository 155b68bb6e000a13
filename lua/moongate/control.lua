-- The control thread's half of the gateway: reads and checks the configuration and the policies before any worker
-- sees them, and remembers what is wrong for /ready. Called by core/bind/control.c and the commands.
local clock = require "moongate.core.clock"
local config = require "moongate.config"
local importing = require "moongate.importing"
local imports = require "moongate.imports"
local json = require "moongate.core.json"
local keys = require "moongate.core.keys"
local log = require "moongate.core.log"
local ordering = require "moongate.ordering"
local policies = require "moongate.policies"
local process = require "moongate.core.process"
local protocol_names = require("moongate.protocols").names
local providers = require "moongate.providers"
local registry = require "moongate.registry"
local sheet = require "moongate.core.sheet"
local spending = require "moongate.spending"

local control = {}

local USUAL_FILE = "moongate.lua"
local LEVELS = { debug = 0, info = 1, warn = 2, error = 3 }
-- How long start-up asks a local Ollama what it has; it answers within milliseconds or is not there.
local OLLAMA_SECONDS = 0.5

local state = {
  set = policies.new { milliseconds = 100, bytes = 64 * 1024 * 1024, log = function() end },
  current = nil, -- the configuration in force
  label = "policies", -- the folder as problems name it
  faults = {}, -- "configuration" or "certificate" -> why the newest did not load, a line each
  problems = {},
  alerts = nil, -- the problem that prices have jumped
  is_readable = true, -- the store told what was imported, when the configuration was loaded
  syncs = {}, -- by address: why its list could not be fetched or read
}

function control.start() end

local function routing_names(folder)
  local files = process.policies(folder)
  if not files then return nil end -- said when the folder itself is read
  local names = {}
  for _, file in ipairs(files) do
    names[#names + 1] = string.match(file.path, "^routing/(.+)%.lua$")
  end
  return names
end

local function own_names(place)
  return function(folder)
    local names = {}
    for _, file in ipairs(folder and process.policies(folder) or {}) do
      names[#names + 1] = string.match(file.path, "^" .. place .. "/(.+)%.lua$")
    end
    return names
  end
end

local function hex(bytes)
  return (string.gsub(bytes, ".", function(byte) return string.format("%02x", string.byte(byte)) end))
end

-- What was imported of the models at the configuration's providers. A store that cannot be read says so when it is
-- opened.
local function imported(loaded)
  local sources = importing.sources(loaded.store)
  loaded.synced, state.is_readable = {}, sources ~= nil
  for _, each in ipairs(sources or {}) do loaded.synced[each.source] = each.time end
  local packed = sources and #sources > 0 and imports.merged(sources, loaded.providers) or ""
  if packed == "" then return nil end
  return { packed = packed, digest = hex(keys.hash(packed)) }
end

local function known()
  return {
    imported = imported,
    protocols = protocol_names(),
    own_protocols = own_names "protocols",
    own_checkers = own_names "checkers",
    policies = routing_names,
    is_folder = function(path) return process.kind(path) == "folder" end,
    is_zone = process.is_zone,
    files = { read = process.read, sheet = sheet.read },
  }
end

local function local_models()
  local address = process.env "OLLAMA_HOST" or "127.0.0.1:11434"
  if not string.find(address, "://", 1, true) then address = "http://" .. address end
  local status, body = process.fetch { url = address .. "/api/tags", seconds = OLLAMA_SECONDS }
  local answer = status == 200 and json.decode(body)
  local names = {}
  for _, model in ipairs(type(answer) == "table" and type(answer.models) == "table" and answer.models or {}) do
    if type(model) == "table" and type(model.model) == "string" then names[#names + 1] = model.model end
  end
  return names
end

-- What config.load answers, its problems as one line each.
local function in_lines(loaded, problems)
  if loaded then return loaded end
  local lines = {}
  for i, problem in ipairs(problems) do lines[i] = config.message(problem) end
  return nil, table.concat(lines, "\n")
end

-- The configuration at path, or what is wrong with it, one line a problem.
local function read(path)
  local given = path or USUAL_FILE
  if not path and not process.kind(USUAL_FILE) then
    local found, hint = config.discover(process.env, local_models(), known())
    found.imported = imported(found)
    log.write("info", hint)
    return found
  end
  local text, reason = process.read(given)
  if not text then return nil, "moongate: " .. given .. ": " .. reason .. "; name a configuration with -c FILE" end
  return in_lines(config.load(text, given, process.env, known()))
end

local function guarded(target, provider)
  return {
    id = target.id, base_url = provider.protocol ~= "mock" and provider.base_url or nil, is_local = target.is_local,
    costs_nothing = target.costs_nothing, upstream_id = target.upstream_id,
    is_named_by_path = provider.protocol == "gemini",
  }
end

-- What C itself keeps of each target. Those of a model table may be very many: they are lines of a text, the number of
-- what all of their kind share, and the model.
local function guarded_targets(loaded)
  local list, kinds, numbers, lines = {}, {}, {}, {}
  local function on_row(facts, model)
    if not numbers[facts] then
      numbers[facts] = #kinds .. " "
      kinds[#kinds + 1] = guarded(facts, loaded.providers[facts.provider])
      kinds[#kinds].id = facts.provider
    end
    lines[#lines + 1] = numbers[facts] .. model .. "\n"
  end
  for i, target in ipairs(registry.new(loaded, providers.get, on_row).targets) do
    list[i] = guarded(target, loaded.providers[target.provider])
  end
  return json.array(list), { kinds = json.array(kinds), lines = table.concat(lines) }
end

local function override_listen(loaded, addresses)
  if #addresses == 0 then return end
  loaded.listen = {}
  for i, address in ipairs(addresses) do loaded.listen[i] = { addr = address } end
end

-- Loads the configuration; see control_load.
---@param path string|nil
---@param addresses string[]
---@return string|nil settings JSON
---@return string|nil problem
function control.load(path, addresses)
  local loaded, problem = read(path)
  if not loaded then return nil, problem end
  override_listen(loaded, addresses)
  loaded.workers = loaded.workers or process.processors()
  if loaded.policies and process.kind(loaded.policies) ~= "folder" then
    return nil, string.format("moongate: policies: there is no folder %s; create it, or leave `policies` out of the "
      .. "configuration to use those that ship with the program", loaded.policies)
  end
  loaded.keyless = loaded.auth == "none"
  loaded.log_level, loaded.log_file = LEVELS[loaded.log.level], loaded.log.file
  loaded.log_json, loaded.log_text = loaded.log.format == "json", loaded.log.format == "text"
  local packed = loaded.models_table and loaded.models_table.packed
  if packed then loaded.models_table.digest = hex(keys.hash(packed)) end
  loaded.targets, loaded.rows = guarded_targets(loaded)
  loaded.spending = loaded.zero_spend and spending.rules() or nil
  local settings = json.encode(loaded)
  loaded.targets, loaded.rows = nil, nil
  state.current, state.label = loaded, loaded.policies or "policies"
  -- A store that does not answer is not waited for twice.
  state.alerts = state.is_readable and ordering.alerts(loaded, clock.now()) or nil
  return settings
end

-- What commands need that only ask the gateway: the configuration as it is written, without what else it leans on
-- (model tables, what was imported, an Ollama that may be there). nil and what is wrong with it.
---@param path string|nil
---@return table|nil
---@return string|nil
function control.peek(path)
  local all = known()
  local few = {
    protocols = all.protocols, own_protocols = all.own_protocols, own_checkers = all.own_checkers,
    is_folder = all.is_folder, without_names = true,
  }
  if not path and not process.kind(USUAL_FILE) then
    return (config.load("return { store = \"memory:\", auth = \"none\" }", USUAL_FILE, process.env, few))
  end
  local given = path or USUAL_FILE
  local text, reason = process.read(given)
  if not text then return nil, "moongate: " .. given .. ": " .. reason .. "; name a configuration with -c FILE" end
  return in_lines(config.load(text, given, process.env, few))
end

-- The configuration that was loaded last: for commands.
---@return table
function control.current()
  return state.current
end

-- Tries a policies folder as every worker will.
---@param files { path: string, text: string, version: string }[]
function control.install(files)
  local report = state.set:install(files)
  state.problems = report.problems
  for _, problem in ipairs(report.problems) do
    log.write("error", "a policy did not load; its last good version stays", string.sub(json.encode {
      file = problem.file, line = problem.line, error = problem.message,
    }, 2, -2))
  end
end

-- Remembers why the newest of a kind did not load; nil: it did.
---@param what string
---@param fault string|nil
function control.note(what, fault)
  state.faults[what] = fault
end

-- What is wrong in the files that somebody wrote: a process that is to take over does not go on with that.
---@return { what: string, file: string|nil, line: integer|nil, message: string }[]
function control.mistake_list()
  local list = {}
  for line in string.gmatch(state.faults.configuration or "", "[^\n]+") do
    local file, number, message = string.match(line, "^(.-):(%d+): (.*)$")
    list[#list + 1] = { what = "configuration", file = file, line = tonumber(number), message = message or line }
  end
  for _, what in ipairs { "certificate", "worker" } do
    for line in string.gmatch(state.faults[what] or "", "[^\n]+") do
      list[#list + 1] = { what = what, message = line }
    end
  end
  for _, problem in ipairs(state.problems) do
    list[#list + 1] = { what = "policy", file = problem.file, line = problem.line, message = problem.message }
  end
  return list
end

-- What is wrong now: with those, and in the world.
---@return { what: string, file: string|nil, line: integer|nil, message: string }[]
function control.problem_list()
  local list = control.mistake_list()
  list[#list + 1] = state.alerts
  for _, problem in ipairs(ordering.sync_problems(state)) do list[#list + 1] = problem end
  return list
end

-- Whether other models were imported, by another gateway, than the configuration in force has.
---@return boolean
function control.is_outdated()
  local sources, synced = importing.sources(state.current.store), state.current.synced or {}
  for _, each in ipairs(sources or {}) do
    if each.time ~= synced[each.source] then
      log.write("info", "another gateway has imported models", string.sub(json.encode { source = each.source }, 2, -2))
      return true
    end
  end
  return false
end

-- An order of a worker, see moongate.ordering: the answer as JSON, or nil: first the configuration is to be loaded
-- again.
---@param name string
---@param text string
---@return string|nil
function control.order(name, text)
  return ordering.run(name, text, state)
end

-- The answer to the last order, now that the configuration was loaded again.
---@return string
function control.answer()
  return ordering.finish(control.problem_list())
end

---@return string JSON array
function control.mistakes()
  return json.encode(json.array(control.mistake_list()))
end

---@return string JSON array
function control.problems()
  return json.encode(json.array(control.problem_list()))
end

return control
