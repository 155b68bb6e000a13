-- How long `moongate replay` takes over a million recorded requests, and in how much memory: a few thousand through a
-- real gateway, multiplied in SQLite over the last seven days. Its counts are held against a recount in SQL.
--
--   luajit spec/bench/replay.lua [ROWS] [FOLDER]     from the root; needs sqlite3. FOLDER keeps the ledger
package.path = "./?.lua;" .. package.path
jit.off() -- Debian's miscompiles dkjson now and then: a body comes out as []
local gateway = require "spec.support.gateway"
local json = require "dkjson"
local ledger_rows = require "spec.bench.ledger_rows"
local process = require "spec.support.process"
local socket = require "socket"

local ROWS, SEEDS = tonumber(arg[1]) or 1e6, 4000
local CHEAP = 'return function(_, list) return list:drop("exhausted", function(c) return c.exhausted end)'
  .. ':sort("price", function(c) return c.estimated_cost end) end\n'
local GOOD = 'return function(_, list) return list:sort("quality", function(c) return -c.quality end) end\n'
local LOTS = 'return function(_, list) return list:keep("has room", function(c) return c.left.rpm > 15 end)'
  .. ":shuffle() end\n"
local ACCESS = 'return function(caller, model) return caller.tier == "pro" or model.id ~= "large", "pro only" end\n'

local function config()
  local providers, models = { one = { protocol = "mock", limits = { rpm = 600 } } }, {}
  for i = 2, 10 do providers["p" .. i] = { protocol = "mock" } end
  for i = 1, 20 do
    models[i] = { id = "m" .. i, provider = i % 10 < 2 and "one" or "p" .. i % 10, quality = 10 + i * 37 % 90,
      cost = { input = i * 7 % 20 + 1, output = i * 11 % 40 + 1 }, tools = i % 5 ~= 0 }
  end
  models[#models + 1] = { id = "large", provider = "p2", quality = 99, cost = { input = 5, output = 25 } }
  return {
    store = "sqlite:moongate.db", policy = "mine", auth = "keys", providers = providers, models = models,
    tiers = { free = { models = { "*" } }, pro = {} },
    keys = { { name = "f", key = "free-key-of-the-bench", tier = "free" },
      { name = "p", key = "pro-key-of-the-bench", tier = "pro" } },
    aliases = { either = { { model = "m1", weight = 3 }, { model = "m2", weight = 1 } } },
  }
end

local function traffic(moongate)
  for i = 1, SEEDS do
    local message = { role = "user", content = ("word "):rep(i % 40 + 1) }
    local fields = { max_tokens = i * 13 % 700 + 1, messages = { message } }
    if i % 7 == 0 then fields.model = "either" elseif i % 11 == 0 then fields.model = "m" .. i % 20 + 1 end
    local headers = {}
    if i % 5 == 0 then headers["x-moongate-policy"] = i % 2 == 0 and "good" or "lots" end
    if i % 97 == 0 then headers["x-moongate-max-cost"] = "0.000000001" end
    local tier = i % 3 == 0 and "pro" or "free"
    moongate:chat(fields, { headers = headers, key = tier .. "-key-of-the-bench" })
  end
end

-- The report, and what it took.
local function replayed(moongate, policy, ...)
  local started = socket.gettime()
  local status, output, errors = process.run({ "time", "-f", "%M %U", gateway.binary, "replay", "--json", "--policy",
    policy, ... }, { cwd = moongate.folder, seconds = 3600 })
  assert(status == 0, errors)
  local peak, cpu = errors:match("(%d+) ([%d.]+)%s*$")
  local report = json.decode(output)
  print(("%-24s %8d rows  %6.1f s  (CPU %s s)  peak %5.1f MB  %d differ, %d not replayed"):format(policy,
    report.requests, socket.gettime() - started, cpu, peak / 1024, report.differences, report.not_replayed.total))
  return report
end

-- What becomes of it when `mine` goes by quality, in SQL: what it let through, sorted anew; an alias arranges its own.
local function recount(file, models)
  local facts = {}
  for i, model in ipairs(models) do
    facts[i] = ("(%d, %d, %d, %d)"):format(i, model.quality, model.cost.input, model.cost.output)
  end
  local output = ledger_rows.sql(file, ([[
    CREATE TEMP TABLE targets (number INTEGER PRIMARY KEY, quality, input, output);
    INSERT INTO targets VALUES %s;
    CREATE TEMP TABLE rows AS SELECT input_tokens, output_tokens, cost_microusd, provider,
      json_extract(detail, '$.decision.ladder') AS before,
      (SELECT json_group_array(value) FROM (SELECT value FROM json_each(detail, '$.decision.ladder')
        JOIN targets ON number = value ORDER BY quality DESC, number)) AS after
      FROM ledger WHERE json_extract(detail, '$.decision.runs') = '["mine"]'
        AND ifnull(json_extract(detail, '$.decision.request.model'), 'auto') <> 'either';
    SELECT (SELECT sum(before <> after) FROM rows),
      (SELECT sum(cost_microusd) FROM ledger),
      (SELECT sum(cost_microusd) FROM ledger) + ifnull((SELECT sum(input_tokens * targets.input + output_tokens
        * targets.output - cost_microusd) FROM rows JOIN targets ON number = json_extract(after, '$[0]')
        WHERE json_extract(before, '$[0]') <> json_extract(after, '$[0]')), 0),
      (SELECT sum(json_array_length(detail, '$.decision.ladder') = 0) FROM ledger);]])
    :format(table.concat(facts, ", ")))
  local differences, before, after, refused = output:match("^(%d+)|(%d+)|(%d+)|(%d+)")
  return { tonumber(differences), tonumber(before), tonumber(after), tonumber(refused) }
end

local setup = config()
local moongate = gateway.start { config = setup, policies = {
  ["routing/mine.lua"] = CHEAP, ["routing/good.lua"] = GOOD, ["routing/lots.lua"] = LOTS, ["access.lua"] = ACCESS } }
moongate:write("changed/mine.lua", GOOD)
print("ledger in " .. moongate.folder)
traffic(moongate)
moongate:stop()
ledger_rows.multiply(moongate.folder .. "/moongate.db", math.ceil(ROWS / SEEDS))

local same = replayed(moongate, "policies/routing/mine.lua", "--since", "8d")
assert(same.differences == 0 and same.not_replayed.total == 0 and same.usd.before == same.usd.after)
local changed = replayed(moongate, "changed/mine.lua", "--since", "8d")
local wanted = recount(moongate.folder .. "/moongate.db", setup.models)
local found = { changed.differences, changed.usd.before * 1e6, changed.usd.after * 1e6, changed.refusals.after }
for i, count in ipairs(wanted) do
  assert(math.abs(count - found[i]) < 1, ("%d: SQL counts %s, the replay %s"):format(i, count, found[i]))
end
print(("SQL counts the same: %d differ, %.2f USD before, %.2f after, %d refused"):format(wanted[1], wanted[2] / 1e6,
  wanted[3] / 1e6, wanted[4]))
if arg[2] then os.rename(moongate.folder, arg[2]) end
