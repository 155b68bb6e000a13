-- `moongate models import|list|changes`: through the running gateway if there is one, else in its store directly.
local asking = require "moongate.asking"
local catalogue = require "moongate.catalogue"
local clock = require "moongate.core.clock"
local importing = require "moongate.importing"
local json = require "moongate.core.json"
local keys = require "moongate.core.keys"
local models_told = require "moongate.models_told"
local near = require "moongate.near"
local offline = require "moongate.core.offline"
local period = require "moongate.period"
local process = require "moongate.core.process"
local verb = require "moongate.verb"

local command = {}

local HELP = [[
moongate models import FILE-or-URL [--format openrouter|litellm|table] [--dry-run] [--json] [-c moongate.lua]
moongate models list [--provider NAME] [--free] [--usable] [--json] [-c moongate.lua]
moongate models changes [--since 30d] [--provider NAME] [--alerts] [--json] [-c moongate.lua]

import takes models, prices and abilities from a list: OpenRouter's models, LiteLLM's price map, or a table of one's
own (CSV with model_id, provider_id and any of: upstream_id, name, is_free_tier, cost, input_cost, output_cost,
cached_input_cost, cache_write_cost, context_length, max_output, tools, vision, json_schema, embeddings, priority,
quality, deprecated, replacement; USD per million tokens). Each list takes the place of the last one of its format;
what is in the configuration is never overwritten. A list with anything wrong in it changes nothing. A running gateway
has it in force at once. - is standard input.

  --dry-run   tells what would change, and changes nothing
  --since     30m, 24h, 7d or 4w ago, a day such as 2026-11-30 (UTC), or unix seconds; 30 days ago unless told
  --alerts    only prices that have jumped (price_alert in the configuration: to how many times as much, 2 unless told)
  --free      only what costs nothing or has a free tier;  --usable  only models at providers of the configuration

  moongate models import https://openrouter.ai/api/v1/models --dry-run
  moongate models import model_prices_and_context_window.json --format litellm
  moongate models list --provider openrouter --free
  moongate models changes --since 7d --alerts]]

local OPTIONS = { ["--format"] = "format", ["--provider"] = "provider", ["--since"] = "since" }
local FLAGS = {
  ["--json"] = "json", ["--dry-run"] = "dry_run", ["--free"] = "free", ["--usable"] = "usable",
  ["--alerts"] = "alerts",
}
-- Which of them each verb takes, besides those for all.
local TAKES = {
  import = { format = true, dry_run = true }, list = { provider = true, free = true, usable = true },
  changes = { since = true, provider = true, alerts = true },
}
local FOR_ALL = { json = true, config = true, help = true }
local VERBS = { "import", "list", "changes" }
local FETCH_SECONDS, IMPORT_SECONDS = 120, 300
local SINCE_SECONDS = 30 * 86400

local function say(what, message) return verb.fail("models " .. what, message) end

local function spelt(name)
  return "--" .. string.gsub(name, "_", "-")
end

-- Also reads since when.
local function check(given, plain)
  local what = plain[1]
  if not what then return "import, list or changes?" end
  if not TAKES[what] then
    return string.format('"%s" is not known%s: expected import, list or changes', what, near.hint(what, VERBS))
  end
  for name in pairs(given) do
    if not (TAKES[what][name] or FOR_ALL[name]) then return string.format("%s has no %s", what, spelt(name)) end
  end
  if what == "import" and not plain[2] then return "which list? name a file or an address" end
  if what ~= "import" and plain[2] then return string.format('"%s" is one word too many', plain[2]) end
  local is_format = not given.format
  for _, name in ipairs(importing.formats) do is_format = is_format or name == given.format end
  if not is_format then
    return string.format('--format: "%s" is not known%s: expected openrouter, litellm or table', given.format,
      near.hint(given.format, importing.formats))
  end
  local now, text = clock.now(), given.since
  given.since = text and period.moment(text, now) or now - SINCE_SECONDS
  if text and not period.moment(text, now) then
    return string.format('--since: "%s" is no time: expected %s', text, period.EXPECTED)
  end
  return nil
end

-- ---- import ----

local function read_list(place)
  if place == "-" then return io.read "*a", nil, "standard input" end
  if not string.find(place, "^https?://") then
    local text, reason = process.read(place, importing.most_bytes)
    return text, reason and place .. ": " .. reason, place
  end
  offline.progress("fetching " .. importing.shown(place) .. " ...")
  local status, text = process.fetch { url = place, seconds = FETCH_SECONDS }
  offline.progress ""
  if not status then return nil, importing.shown(place) .. ": " .. text end
  if status ~= 200 then
    local why = status >= 300 and status < 400 and "; it leads elsewhere: name that address itself" or ""
    return nil, string.format("%s: answered %d%s", importing.shown(place), status, why)
  end
  return text, nil, importing.shown(place)
end

local function escaped(text)
  return (string.gsub(text, "[^%w._-]", function(c) return string.format("%%%02X", string.byte(c)) end))
end

-- Sends the list in as many parts as the gateway's limit on bodies asks for. nil: no gateway answers.
local function send(config, list, origin, options)
  local most = math.max(1024, math.min(config.limits.body_bytes, 8 * 1024 * 1024))
  local parts, id = math.max(1, math.ceil(#list / most)), keys.random(8)
  local path = string.format("/admin/models/import?origin=%s&parts=%d&id=%s%s%s", escaped(origin), parts, id,
    options.format and "&format=" .. options.format or "", options.dry_run and "&dry_run=true" or "")
  local status, reply
  for part = 1, parts do
    if parts > 1 then offline.progress(string.format("sending %s: part %d of %d ...", origin, part, parts)) end
    status, reply = asking.ask(config, {
      method = "POST", path = path .. "&part=" .. part, seconds = IMPORT_SECONDS,
      body = string.sub(list, (part - 1) * most + 1, part * most),
    })
    if status ~= 200 then break end
  end
  if parts > 1 then offline.progress "" end
  return status, reply
end

local function complain_all(problems)
  for _, line in ipairs(problems) do process.complain("moongate models import: " .. line) end
  return 1
end

-- Without a gateway: in its store.
local function import_offline(config, list, origin, options)
  if config.store == "memory:" then
    return nil, { string.format("no gateway answers at %s, and its store (memory:) keeps no models without one: start "
      .. "it first", config.listen[1].addr) }
  end
  return importing.run({
    text = list, format = options.format, origin = origin, dry_run = options.dry_run, now = clock.now(),
  }, config)
end

local function import(config, options, place)
  local list, reason, origin = read_list(place)
  if not list then return say("import", reason) end
  if #list > importing.most_bytes then
    return say("import", string.format("%s: is larger than %d MiB", origin, importing.most_bytes / 2 ^ 20))
  end
  local report, problems
  local status, reply = send(config, list, origin, options)
  if status == 200 then
    report = reply
  elseif status then
    if type(reply.problems) == "table" then return complain_all(reply.problems) end
    return say("import", asking.refusal(config, status, reply))
  else
    report, problems = import_offline(config, list, origin, options)
    if not report then return complain_all(problems) end
  end
  if type(report.changes) ~= "table" then return say("import", "the gateway's answer makes no sense") end
  if options.json then
    process.print(json.encode(report))
    return 0
  end
  for _, line in ipairs(models_told.report(report, offline.columns())) do process.print(line) end
  return 0
end

-- ---- list and changes ----

-- What the running gateway answers, else what its store says: nil and why neither does.
local function told(config, path, member, read)
  local status, reply = asking.ask(config, { path = path, seconds = FETCH_SECONDS })
  if status == 200 and type(reply[member]) == "table" then return reply[member] end
  if config.store == "memory:" then
    if status then return nil, asking.refusal(config, status, reply) end
    if member == "changes" then return nil, reply end
  end
  return read()
end

local function list_of(config, options)
  return told(config, "/admin/models/known", "models", function()
    config = verb.load(options)
    if not config then return nil, nil, true end
    local sources, reason = importing.sources(config.store)
    if not sources then return nil, reason end
    return catalogue.list(config, sources, clock.now())
  end)
end

local function list(config, options)
  local all, reason, is_said = list_of(config, options)
  if is_said then return 1 end
  if not all then return say("list", reason) end
  local chosen, names = {}, {}
  for _, entry in ipairs(all) do
    names[entry.provider] = true
    local fits = (not options.provider or entry.provider == options.provider) and (not options.free or entry.free)
      and (not options.usable or entry.target)
    if fits then chosen[#chosen + 1] = entry end
  end
  if options.provider and not names[options.provider] then
    return say("list", string.format('no model is known of a provider "%s"%s', options.provider,
      near.hint(options.provider, near.names(names))))
  end
  if options.json then
    process.print(json.encode(json.array(chosen)))
    return 0
  end
  for _, line in ipairs(models_told.list(chosen, #all, offline.columns())) do process.print(line) end
  return 0
end

local function changes(config, options)
  local since = options.since
  local all, reason = told(config, string.format("/admin/models/changes?since=%.3f", since), "changes", function()
    return importing.changes(config.store, since)
  end)
  if not all then return say("changes", reason) end
  local chosen = {}
  for _, change in ipairs(all) do
    local fits = (not options.provider or change.provider == options.provider) and (not options.alerts or change.alert)
    if fits then chosen[#chosen + 1] = change end
  end
  if options.json then
    process.print(json.encode(json.array(chosen)))
    return 0
  end
  for _, line in ipairs(models_told.changes(chosen, since, offline.columns())) do process.print(line) end
  return 0
end

local function run(options, plain)
  local config = verb.peek(options)
  if not config then return 1 end
  local code
  if plain[1] == "import" then code = import(config, options, plain[2])
  elseif plain[1] == "list" then code = list(config, options)
  else code = changes(config, options) end
  local out, failed = offline.flush()
  return out and code or say(plain[1], failed)
end

---@param words string[]
---@return integer exit code
function command.run(words)
  return verb.run({
    name = "models", help = HELP, options = OPTIONS, flags = FLAGS, most = 2, check = check, run = run,
  }, words)
end

return command
