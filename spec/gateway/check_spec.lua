-- `moongate check`: configurations and policies as newcomers break them, and what they are told: the place, and a way
-- out.
local gateway = require "spec.support.gateway"

-- A sound configuration whose fifth line is `rest`, in the place of what that says anew.
local function config(rest)
  rest = rest or ""
  local lines = {
    { listen = '"127.0.0.1:0"', auth = '"none"', store = '"memory:"', policies = '"policies"', policy = '"mine"' },
    { providers = '{ groq = { protocol = "mock" }, paid = { protocol = "mock" } }' },
    { models = '{ { id = "llama", provider = "groq" }, { id = "opus", provider = "paid", quality = 9 } }' },
  }
  local text = "return {\n"
  for _, line in ipairs(lines) do
    for key, value in pairs(line) do
      local anew = (", " .. rest):find(", " .. key .. " = ", 1, true)
      if not anew then text = text .. " " .. key .. " = " .. value .. "," end
    end
    text = text .. "\n"
  end
  return text .. rest .. "\n}\n"
end

local FINE = "return function(_, list) return list end\n"

-- title, the fifth line of the configuration (or the whole, if it returns), what the one line says after the file
local broken_configs = {
  { "a misspelt key", "polcy = 'x',", ':5: polcy: unknown key (did you mean "policy"?)' },
  { "a misspelt key deep inside", "limits = { body_byte = 5 },",
    ':5: limits.body_byte: unknown key (did you mean "body_bytes"?)' },
  { "a number as text", 'workers = "two",', ":5: workers: " },
  { "a model of a provider that is not there", 'models = { { id = "m", provider = "grok" } },',
    'there is no provider "grok" (did you mean "groq"?)' },
  { "a protocol that is not there", 'models = {}, providers = { x = { protocol = "opnai", base_url = "http://x/1" } },',
    'there is no protocol "opnai" (did you mean "openai"?)' },
  { "a provider that says nothing of itself", "models = {}, providers = { mine = {} },",
    "providers.mine: needs a protocol, or like = a built-in provider" },
  { "an address that is none", 'listen = "8080:localhost",', ":5: listen: " },
  { "an alias that leads nowhere", 'aliases = { fast = { { model = "lama" } } },',
    'there is no model "lama" (did you mean "llama"?)' },
  { "a default policy that is not there", 'policy = "mien",',
    'there is no routing policy "mien" (did you mean "mine"?)' },
  { "a key of a tier that is not there", 'tiers = { pro = {} }, keys = { { name = "k", key = "mg-1", tier = "prp" } },',
    'there is no tier "prp" (did you mean "pro"?)' },
  { "two keys of one name", 'keys = { { name = "twin", key = "mg-1" }, { name = "twin", key = "mg-2" } },', "keys[2]" },
  { "a store that is not there", 'store = "mysql:x",', ":5: store: " },
  { "an environment variable that is not set", 'admin_token = env "MOONGATE_UNSET",', "MOONGATE_UNSET" },
  { "a comma that is missing", "workers = 2 limits = {},", ":5: " },
  { "no table", "return 17\n", "must return a table: return { providers = { ... } }" },
  { "a function of the machine", 'os.execute("true")\nreturn {}\n', ":1: a config knows no \"os\"" },
  { "a key that is nothing like one that there is", "limits = { rate = 5 },",
    ":5: limits.rate: unknown key; there are body_bytes, body_s, drain_s, header_s, idle_s, policy_mb, policy_ms" },
  { "a key that is there twice", "workers = 1,\n workers = 2,",
    ":6: workers: is there twice, first in line 5: one of them is lost" },
  { "providers without names", 'models = {}, providers = { { protocol = "mock" } },',
    ':5: providers[1]: must have a name before it: NAME = ...' },
  { "a port alone", "listen = 8080,", ':5: listen: must be an address and a port, like "127.0.0.1:8080"' },
  { "no authentication on an open address", 'listen = "0.0.0.0:0",', "auth: \"none\" is allowed on loopback" },
}

-- title, path, text, what the one line says after "policies/"
local broken_policies = {
  { "a syntax error", "routing/mine.lua", "return function(_, list)\n  return list:keep(\nend\n",
    "routing/mine.lua:3: " },
  { "an error when it loads", "routing/mine.lua", "local x = nil\nreturn x.y\n",
    "routing/mine.lua:2: attempt to index" },
  { "nothing that it returns", "routing/mine.lua", "local function route() end\n",
    "routing/mine.lua: must return a function or a table, and returned nothing" },
  { "a table without its function", "routing/mine.lua", "return { checks = {} }\n",
    "routing/mine.lua: must return a function, or a table with run = function" },
  { "a misspelt part", "routing/mine.lua", "return { rum = function() end }\n",
    'routing/mine.lua: "rum" is no part of it (did you mean "run"?)' },
  { "a misspelt phase", "hooks/10_tidy.lua", "return { reqest = function() end }\n",
    'hooks/10_tidy.lua: "reqest" is no phase (did you mean "request"?)' },
  { "a phase that is no function", "hooks/10_tidy.lua", "return { request = true }\n",
    "hooks/10_tidy.lua: request must be a function, not a boolean" },
  { "a hook without its turn", "hooks/tidy.lua", "return {}\n",
    "hooks/tidy.lua: a hook's file is named by its turn, like hooks/10_redact.lua" },
  { "a folder that is not looked into", "rooting/x.lua", FINE,
    'rooting/x.lua: no policies are looked for in rooting/ (did you mean "routing"?)' },
  { "a place of its own", "mine.lua", FINE, "mine.lua: a policy has its place: access.lua" },
  { "a library that is not there", "routing/mine.lua", 'local lib = require "lib.prices"\nreturn lib\n',
    "routing/mine.lua:1: there is no policies/lib/prices.lua" },
  { "a library that does not compile", "lib/prices.lua", "return {\n  x = = 1,\n}\n", "lib/prices.lua:2: " },
  { "a reach for files", "routing/mine.lua", 'local file = io.open("x")\nreturn file\n', "routing/mine.lua:1: " },
  { "a check that fails", "routing/mine.lua", 'return { run = function() end, checks = {\n  ["is cheap"] = function()\n'
    .. '    error("it is dear")\n  end,\n} }\n', 'routing/mine.lua:3: the check "is cheap" failed: it is dear' },
  { "a misspelt step in its check", "routing/mine.lua", 'return { run = function() end, checks = { sorts = function()\n'
    .. '  require("moongate.list").new({}):srot("x")\nend } }\n',
    'routing/mine.lua:2: the check "sorts" failed: a list has no step "srot" (did you mean "sort"?)' },
  { "a loop without end", "routing/mine.lua", "while true do end\n", "routing/mine.lua" },
  { "more memory than there is for it", "routing/mine.lua",
    'local book = ("x"):rep(1e9)\nreturn book\n',
    "routing/mine.lua: over its memory of 64 MB" },
}

for _, case in ipairs {
  { "a function that it only defines", "function route(request, list) return list end\n",
    "must return a function or a table, and returned nothing: begin with `return function(request, candidates)`", "" },
  { "print", "print('hello')\n",
    "attempt to call global 'print' (a nil value): a policy writes to the log by log(...)" },
  { "an environment variable", "return os.getenv 'X'\n",
    "attempt to call field 'getenv' (a nil value): a policy has no os.getenv" },
  { "a library of the machine", "return io.open 'x'\n",
    "attempt to index global 'io' (a nil value): a policy has no io" },
  { "a misspelt global", "return tabel.concat {}\n",
    "attempt to index global 'tabel' (a nil value) (did you mean \"table\"?)" },
  { "a misspelt function of a library", "return string.uper 'x'\n",
    "attempt to call field 'uper' (a nil value) (did you mean \"upper\"?)" },
  { "a misspelt method", "return ('x'):uper()\n",
    "attempt to call method 'uper' (a nil value) (did you mean \"upper\"?)" },
  { "an operator of other languages", "return function(r) if r.model != 'x' then return {} end end\n",
    "'then' expected near '!': not equal is ~=" },
  { "an assignment of other languages", "local x = 1\nx += 1\n", "'=' expected near '+': write x = x + 1", 2 },
} do
  local line = case[4] or 1
  broken_policies[#broken_policies + 1] = { case[1], "routing/mine.lua", case[2],
    "routing/mine.lua:" .. (line == "" and " " or line .. ": ") .. case[3] }
end
for _, case in ipairs {
  { "a number for a function", "billing.lua", "return 1.5\n",
    "must return a function or a table, and returned a number: begin with `return function(caller, model, usage)`" },
  { "a function for its phases", "hooks/10_tidy.lua", "return function() end\n",
    "must return a table, and returned a function: begin with `return { request = function(req)`" },
  { "access.lua in a folder", "access/mine.lua", FINE,
    'no policies are looked for in access/ (did you mean "access.lua"?)' },
  { "a folder of its own", "strategies/mine.lua", FINE,
    "no policies are looked for in strategies/; there are routing/, hooks/, lib/, protocols/, checkers/" },
} do
  broken_policies[#broken_policies + 1] = { case[1], case[2], case[3], case[2] .. ": " .. case[4] }
end

local function check(text, policies)
  local moongate = gateway.prepare { config = text, policies = policies }
  local status, output, errors = moongate:command "check"
  local lines = {}
  for line in errors:gmatch("[^\n]+") do lines[#lines + 1] = line end
  return status, output, lines
end

describe("moongate check", function()
  it("says that all is fine", function()
    local status, output, lines = check(config(), { ["routing/mine.lua"] = FINE })
    assert.same({ 0, "the configuration and the policies are fine\n", {} }, { status, output, lines })
  end)

  for _, case in ipairs(broken_configs) do
    it("tells of a configuration with " .. case[1], function()
      local text = case[2]:match("^return") and case[2] or case[2]:match("\nreturn") and case[2] or config(case[2])
      local status, output, lines = check(text, { ["routing/mine.lua"] = FINE })
      assert.equal(1, status)
      assert.equal("", output)
      assert.equal(1, #lines, table.concat(lines, "\n"))
      assert.matches("^moongate%.lua", lines[1])
      assert.matches(case[3], lines[1], 1, true)
    end)
  end

  for _, case in ipairs(broken_policies) do
    it("tells of a policy with " .. case[1], function()
      local status, output, lines = check(config(), { ["routing/other.lua"] = FINE, ["routing/mine.lua"] = FINE,
        [case[2]] = case[3] })
      assert.equal(1, status)
      assert.equal("", output)
      assert.equal(1, #lines, table.concat(lines, "\n"))
      assert.equal("policies/" .. case[4], lines[1]:sub(1, #case[4] + 9))
    end)
  end

  it("tells everything at once, of the configuration and of every policy", function()
    local status, _, lines = check(config "polcy = 1, workers = 'two',", {
      ["routing/mine.lua"] = "return 1", ["hooks/10_a.lua"] = "return { evnt = print }",
      ["routing/other.lua"] = "return function(", ["routing/fine.lua"] = FINE,
    })
    assert.equal(1, status)
    local seen = {}
    for i, line in ipairs(lines) do seen[i] = line:match("^[^:]+") end
    assert.same({ "moongate.lua", "moongate.lua", "policies/hooks/10_a.lua", "policies/routing/mine.lua",
      "policies/routing/other.lua" }, seen)
  end)

  it("finds the policies of a broken configuration in the folder that it names", function()
    local moongate = gateway.prepare { config = 'return { polices = 1, policies = "rules" }' }
    moongate:write("rules/routing/mine.lua", "return 1\n")
    local _, _, errors = moongate:command "check"
    assert.matches("moongate.lua:1: polices: unknown key", errors, 1, true)
    assert.matches("policies/routing/mine.lua: must return", errors, 1, true)
  end)

  it("tells the same as a gateway that reloads", function()
    local moongate = gateway.start { config = { policy = "mine", providers = { demo = { protocol = "mock" } } },
      policies = { ["routing/mine.lua"] = FINE } }
    moongate:write("policies/routing/mine.lua", broken_policies[5][3])
    local wait = require "spec.support.wait"
    local problems
    wait.until_(function()
      problems = moongate:request({ path = "/ready" }):json().problems
      return #problems > 0
    end, "the gateway to see it")
    local _, _, errors = moongate:command "check"
    assert.equal(problems[1].file .. ": " .. problems[1].message .. "\n", errors)
    gateway.stop_all()
  end)

  it("of a configuration that is not there says so", function()
    local status, _, errors = gateway.prepare({}):command("check", "-c", "nowhere.lua")
    assert.equal(1, status)
    assert.matches("nowhere.lua: No such file", errors, 1, true)
    assert.equal(1, select(2, errors:gsub("\n", "")))
  end)

  it("is helped by an example", function()
    local status, output = gateway.prepare({}):command("check", "--help")
    assert.equal(0, status)
    assert.matches("  moongate check -c moongate.lua", output, 1, true)
  end)
end)
