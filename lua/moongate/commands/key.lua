-- `moongate key create|list|revoke`: through the running gateway if there is one, else in its store directly.
local asking = require "moongate.asking"
local json = require "moongate.core.json"
local key_maker = require "moongate.key_maker"
local keys = require "moongate.core.keys"
local offline = require "moongate.core.offline"
local process = require "moongate.core.process"
local verb = require "moongate.verb"

local command = {}

local HELP = [[
moongate key create --name NAME [--org ORG] [--tier TIER] [--models a,b*] [--rpm N] [--tpm N]
                    [--budget-usd N --budget-window day|month] [--policy POLICY] [--label LABEL] [-c moongate.lua]
moongate key list [-c moongate.lua]
moongate key revoke PREFIX [-c moongate.lua]

A key is shown once, when it is created; the gateway keeps only its hash. Callers send it as
Authorization: Bearer KEY (or x-api-key), and may add a label behind it: KEY:label. With --json each answers as
/admin/keys does.

  moongate key create --name ci --org acme --models 'gpt-*,llama-*' --rpm 60]]

local OPTIONS = {
  ["--name"] = "name", ["--org"] = "org", ["--tier"] = "tier", ["--models"] = "models", ["--rpm"] = "rpm",
  ["--tpm"] = "tpm", ["--budget-usd"] = "budget_usd", ["--budget-window"] = "budget_window", ["--policy"] = "policy",
  ["--label"] = "label",
}
local NUMBERS = { rpm = "--rpm", tpm = "--tpm", budget_usd = "--budget-usd" }

-- Also makes numbers of those that are.
local function check(given, plain)
  local what = plain[1]
  if what ~= "create" and what ~= "list" and what ~= "revoke" then
    return "create, list or revoke? as in moongate key create --name NAME"
  end
  for name, option in pairs(NUMBERS) do
    local text = given[name]
    given[name] = text and string.find(text, "^%d+%.?%d*$") and tonumber(text) or nil
    if text and not given[name] then return option .. " needs a number" end
  end
  if plain[2] and what ~= "revoke" then return string.format('"%s" is one word too many', plain[2]) end
  if what == "create" and not given.name then return "--name is needed, such as --name ci" end
  if what == "revoke" and not plain[2] then return "which key? give its PREFIX; moongate key list shows them" end
  for _, name in pairs(what ~= "create" and OPTIONS or {}) do
    if given[name] then return string.format("%s has no --%s", what, string.gsub(name, "_", "-")) end
  end
  return nil
end

local function say(message) return verb.fail("key", message) end

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

-- Opens the store of a gateway that does not run.
local function open(config)
  if config.store == "memory:" then
    local message = 'no gateway answers at %s, and its store is "memory:", which keeps no keys: start it first'
    return nil, string.format(message, config.listen[1].addr)
  end
  return offline.open(config.store)
end

local function show_key(made, options)
  if options.json then
    process.print(json.encode { key = made.key, prefix = made.prefix, name = made.name })
  else
    process.print(made.key)
  end
  process.complain(string.format("This is the key %q. It is shown only now: keep it safe.", made.name))
  return 0
end

local function create(config, options)
  local wanted = wanted_of(options)
  local status, reply = ask(config, "POST", "/admin/keys", wanted)
  if status == 201 and type(reply.key) == "string" then return show_key(reply, options) end
  if status then return say(asking.refusal(config, status, reply)) end
  local made, wrong = key_maker.make(wanted, config, keys.hash, keys.random)
  if not made then return say(wrong) end
  local store, reason = open(config)
  if not store then return say(reason) end
  local saved = store:add(made.prefix, made.hash, made.settings)
  store:close()
  if not saved then return say "the key could not be stored; nothing was created" end
  return show_key(made, options)
end

local function date(seconds)
  return seconds and os.date("!%Y-%m-%d %H:%M", seconds) or ""
end

local function print_list(config, list, as_json)
  if as_json then
    process.print(json.encode(json.array(list)))
    return 0
  end
  if #list == 0 then
    local own = #(config.keys or {})
    process.print("no keys yet; moongate key create --name NAME makes one" .. (own == 0 and ""
      or string.format(" (the configuration has %d, which %s not listed here)", own, own == 1 and "is" or "are")))
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
  if status == 200 and type(reply.keys) == "table" then return print_list(config, reply.keys, options.json) end
  if status then return say(asking.refusal(config, status, reply)) end
  local store, reason = open(config)
  if not store then return say(reason) end
  local found = key_maker.list(store:all())
  store:close()
  return print_list(config, found, options.json)
end

local function revoke(config, options, prefix)
  local escaped = string.gsub(prefix, "[^%w._-]", function(c) return string.format("%%%02X", string.byte(c)) end)
  local status, reply = ask(config, "DELETE", "/admin/keys/" .. escaped)
  if status and status ~= 200 then return say(asking.refusal(config, status, reply)) end
  if not status then
    local store, reason = open(config)
    if not store then return say(reason) end
    local count = store:revoke(prefix)
    store:close()
    if not count then return say "the change could not be stored; the key is still in force" end
    if count ~= 1 then return say(key_maker.not_one(prefix, count).message) end
  end
  process.print(options.json and json.encode { revoked = prefix } or "revoked " .. prefix)
  return 0
end

local function run(options, plain)
  local config = verb.load(options)
  if not config then return 1 end
  if plain[1] == "create" then return create(config, options) end
  if plain[1] == "list" then return list(config, options) end
  return revoke(config, options, plain[2])
end

---@param words string[]
---@return integer exit code
function command.run(words)
  return verb.run({
    name = "key", help = HELP, options = OPTIONS, flags = { ["--json"] = "json" }, most = 2, check = check, run = run,
  }, words)
end

return command
