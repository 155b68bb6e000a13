-- `moongate key create|list|revoke`: through the running gateway if there is one, else in its store directly.
local asking = require "moongate.asking"
local command_line = require "moongate.command_line"
local control = require "moongate.control"
local json = require "moongate.core.json"
local key_maker = require "moongate.key_maker"
local keys = require "moongate.core.keys"
local offline = require "moongate.core.offline"
local process = require "moongate.core.process"

local command = {}

local HELP = [[
moongate key create --name NAME [--org ORG] [--tier TIER] [--models a,b*] [--rpm N] [--tpm N]
                    [--budget-usd N --budget-window day|month] [--policy POLICY] [--label LABEL] [-c moongate.lua]
moongate key list [-c moongate.lua] [--json]
moongate key revoke PREFIX [-c moongate.lua]

A key is shown once, when it is created; the gateway keeps only its hash. Callers send it as
Authorization: Bearer KEY (or x-api-key), and may add a label behind it: KEY:label.

  moongate key create --name ci --org acme --models 'gpt-*,llama-*' --rpm 60]]

local OPTIONS = {
  ["--name"] = "name", ["--org"] = "org", ["--tier"] = "tier", ["--models"] = "models", ["--rpm"] = "rpm",
  ["--tpm"] = "tpm", ["--budget-usd"] = "budget_usd", ["--budget-window"] = "budget_window", ["--policy"] = "policy",
  ["--label"] = "label", ["-c"] = "config", ["--config"] = "config",
}
local FLAGS = { ["--json"] = "json", ["--help"] = "help", ["-h"] = "help" }
local NUMBERS = { rpm = "--rpm", tpm = "--tpm", budget_usd = "--budget-usd" }

-- Words into { options }, { plain words }; or nil and what is wrong with them.
local function parse(words)
  local given, plain = command_line.read(words, OPTIONS, FLAGS)
  if not given then return nil, plain end
  for name, option in pairs(NUMBERS) do
    local text = given[name]
    given[name] = text and string.find(text, "^%d+%.?%d*$") and tonumber(text) or nil
    if text and not given[name] then return nil, option .. " needs a number" end
  end
  return given, plain
end

local function split(text)
  local list = {}
  for item in string.gmatch(text, "[^,%s]+") do list[#list + 1] = item end
  return list
end

local function wanted_of(options)
  return {
    name = options.name, org = options.org, tier = options.tier, policy = options.policy, label = options.label,
    rpm = options.rpm, tpm = options.tpm, models = options.models and json.array(split(options.models)) or nil,
    budget = options.budget_usd and { usd = options.budget_usd, window = options.budget_window or "month" } or nil,
  }
end

-- Asks the gateway that runs on this configuration. nil: none answers there.
local function ask(config, method, path, body)
  return asking.ask(config, { method = method, path = path, body = body and json.encode(body) or nil })
end

local function refusal_of(reply)
  return type(reply.error) == "table" and reply.error.message or "the gateway's answer makes no sense"
end

local function say(message)
  process.complain("moongate key: " .. message)
  return 1
end

-- Opens the store of a gateway that does not run.
local function open(config)
  if config.store == "memory:" then
    local message = 'no gateway answers at %s, and its store is "memory:", which keeps no keys: start it first'
    return nil, string.format(message, config.listen[1].addr)
  end
  return offline.open(config.store)
end

local function show_key(key, name)
  process.print(key)
  process.complain(string.format("This is the key %q. It is shown only now: keep it safe.", name))
  return 0
end

local function create(config, options)
  local wanted = wanted_of(options)
  local status, reply = ask(config, "POST", "/admin/keys", wanted)
  if status == 201 and type(reply.key) == "string" then return show_key(reply.key, reply.name) end
  if status then return say(refusal_of(reply)) end
  local made, wrong = key_maker.make(wanted, config, keys.hash, keys.random)
  if not made then return say(wrong) end
  local store, reason = open(config)
  if not store then return say(reason) end
  local saved = store:add(made.prefix, made.hash, made.settings)
  store:close()
  if not saved then return say "the key could not be stored; nothing was created" end
  return show_key(made.key, made.name)
end

local function date(seconds)
  return seconds and os.date("!%Y-%m-%d %H:%M", seconds) or ""
end

local function print_list(list, as_json)
  if as_json then
    process.print(json.encode(json.array(list)))
    return 0
  end
  if #list == 0 then
    process.print "no keys yet; moongate key create --name NAME makes one"
    return 0
  end
  local row = "%-12s %-20s %-12s %-10s %-16s %s"
  process.print(string.format(row, "PREFIX", "NAME", "ORG", "TIER", "CREATED (UTC)", "REVOKED"))
  for _, key in ipairs(list) do
    process.print((string.gsub(string.format(row, key.prefix, key.name or "", key.org or "", key.tier or "",
      date(key.created), date(key.revoked)), "%s+$", "")))
  end
  return 0
end

local function list(config, options)
  local status, reply = ask(config, "GET", "/admin/keys")
  if status == 200 and type(reply.keys) == "table" then return print_list(reply.keys, options.json) end
  if status then return say(refusal_of(reply)) end
  local store, reason = open(config)
  if not store then return say(reason) end
  local found = key_maker.list(store:all())
  store:close()
  return print_list(found, options.json)
end

local function revoke(config, prefix)
  local escaped = string.gsub(prefix, "[^%w._-]", function(c) return string.format("%%%02X", string.byte(c)) end)
  local status, reply = ask(config, "DELETE", "/admin/keys/" .. escaped)
  if status and status ~= 200 then return say(refusal_of(reply)) end
  if not status then
    local store, reason = open(config)
    if not store then return say(reason) end
    local count = store:revoke(prefix)
    store:close()
    if not count then return say "the change could not be stored; the key is still in force" end
    if count ~= 1 then return say(key_maker.not_one(prefix, count).message) end
  end
  process.print("revoked " .. prefix)
  return 0
end

---@param words string[]
---@return integer exit code
function command.run(words)
  local options, plain = parse(words)
  if not options then
    process.complain("moongate key: " .. plain .. "; moongate key --help tells what is")
    return 2
  end
  local what = plain[1]
  if options.help then
    process.print(HELP)
    return 0
  end
  if what ~= "create" and what ~= "list" and what ~= "revoke" then
    process.complain(HELP)
    return 2
  end
  local missing = what == "create" and not options.name and "--name is needed, such as --name ci"
    or what == "revoke" and not plain[2] and "which key? give its PREFIX; moongate key list shows them"
  if missing then
    process.complain(string.format("moongate key %s: %s", what, missing))
    return 2
  end
  local settings, problem = control.load(options.config, {})
  if not settings then
    process.complain(problem)
    return 1
  end
  local config = control.current()
  if what == "create" then return create(config, options) end
  if what == "list" then return list(config, options) end
  return revoke(config, plain[2])
end

return command
