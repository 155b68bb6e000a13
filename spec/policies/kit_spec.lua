-- The authoring kit: the manual in policies/, the types for editors, and moongate.testing as an operator uses it.
local testing = require "moongate.testing" -- the first: it sees to what is C in the gateway
local candidates = require "moongate.candidates"
local list = require "moongate.list"
local process = require "spec.support.process"
local routing = require "spec.support.routing"
local tree = require "spec.support.tree"

local here = assert(io.popen "pwd"):read "*l"
local manual = tree.read "policies/README.md"

local function sorted(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function set_of(names, more)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  for _, name in ipairs(more or {}) do set[name] = true end
  return set
end

-- The fields and methods that a type file gives a class.
local function class(file, name)
  local text = tree.read("lua/moongate/meta/" .. file .. ".lua") .. "\n"
  local body = assert(text:match("\n%-%-%-@class " .. name:gsub("%p", "%%%0") .. "%f[^%w_.](.-)\n\n"), name)
  local found = {}
  for field in body:gmatch "%-%-%-@field ([%w_]+)" do found[field] = true end
  local variable = body:match "\nlocal (%w+) = {}"
  for method in text:gmatch("\nfunction " .. (variable or "none") .. "[.:]([%w_]+)") do found[method] = true end
  return found
end

-- The strings of a table in a source file: local NAME = { "a", "b" } or { a = true }.
local function constant(file, name)
  local body = tree.code(file):match("\nlocal " .. name .. " = (%b{})")
  local found = {}
  for word in body:gmatch '"([%w_]+)"' do found[word] = true end
  for word in body:gmatch "([%w_]+) = true" do found[word] = true end
  return found
end

-- What the manual says behind a bold title, up to the next one.
local function told_text(title)
  local text = manual:match("%*%*" .. title .. "%*%*(.-)\n%- ") or manual:match("%*%*" .. title .. "%*%*(.-)\n\n")
  return text:match "^(.-)%*%*" or text
end

-- The words in backticks of it.
local function told(title)
  local found = {}
  for code in told_text(title):gmatch "`([^`]+)`" do
    if not code:find "[(%[#{.]" then
      for word in code:gmatch "[%a_]+" do found[word] = true end
    end
  end
  return found
end

describe("the manual of the policies", function()
  it("fits on a screen or two", function()
    local _, lines = manual:gsub("\n", "")
    assert.is_true(lines <= 76, lines .. " lines")
    for line in manual:gmatch "[^\n]+" do assert.is_true(#line <= 120, line) end
  end)

  it("names every policy that ships, and no other", function()
    local shipped = {}
    for _, path in ipairs(tree.files("policies/routing", "[.]lua$")) do shipped[path:match "([^/]+)%.lua$"] = true end
    local named = {}
    for name in manual:match("\n| shipped |.-\n\n"):gmatch "\n| `([%w-]+)` |" do named[name] = true end
    assert.same(sorted(shipped), sorted(named))
  end)

  it("names every kind of file, each of which loads", function()
    local texts = {
      ["routing/<name>.lua"] = "return function(request, candidates) return candidates end",
      ["access.lua"] = "return { validate = function() return true end, resolve = function() end }",
      ["billing.lua"] = "return { run = function() return 1 end, checks = { one = function() assert(true) end } }",
      ["task.lua"] = 'return function(request) return "coding" end',
      ["hooks/<nn>_<name>.lua"] = "local function f() end\n"
        .. "return { request = f, event = f, response = f, finish = f }",
      ["lib/<name>.lua"] = "return {}",
    }
    local named = {}
    for name in manual:match("\n| file |.-\n\n"):gmatch "\n| `([^`]+)` |" do
      named[name] = true
      local path = name:gsub("<name>", "mine"):gsub("<nn>", "10")
      if not path:find "^lib/" then assert.is_table(testing.load("policies/" .. path, texts[name])) end
    end
    assert.same(sorted(texts), sorted(named))
  end)

  it("names every fact of a candidate, and no other", function()
    local words = told "Candidates"
    for _, name in ipairs { "ready", "failing", "rpm", "rpd", "tpm", "tpd" } do words[name] = nil end
    assert.same(sorted(set_of(candidates.facts())), sorted(words))
  end)

  it("names every field of request, caller, model and usage, and no other", function()
    assert.same(sorted(class("request", "moongate.request")), sorted(told "Request"))
    assert.same(sorted(class("request", "moongate.caller")), sorted(told "Caller"))
    assert.same(sorted(class("roles", "moongate.model")), sorted(told "Model"))
    assert.same(sorted(class("roles", "moongate.usage")), sorted(told "Usage"))
  end)

  it("names every method of a list", function()
    for name in pairs(class("list", "moongate.candidates")) do
      assert.is_function(list.new({})[name], name)
      assert.is_truthy(manual:find("%f[%w]" .. name .. "[({]"), name)
    end
  end)

  it("names every phase of a hook, and what hooks may do", function()
    local text = told_text "Hooks"
    for name in pairs(class("hooks", "moongate.hook")) do
      if name ~= "checks" then assert.is_truthy(text:find("%f[%w_]" .. name .. "%f[^%w_]"), name) end
    end
    local request, event, response = class("hooks", "moongate.hook.request"), class("hooks", "moongate.hook.event"),
      class("hooks", "moongate.hook.response")
    for name in text:gmatch "%f[%w]req[.:](%w+)" do assert.is_true(request[name], name) end
    for name in text:gmatch "event%.(%w+)" do assert.is_true(event[name], name) end
    for name in text:gmatch "response%.(%w+)" do assert.is_true(response[name], name) end
    for _, act in ipairs { "refuse", "answer", "header" } do assert.is_truthy(text:find("req:" .. act, 1, true)) end
  end)

  it("shows Lua that loads and runs", function()
    local blocks = {}
    for block in manual:gmatch "```lua\n(.-)```" do blocks[#blocks + 1] = block end
    assert.equal(2, #blocks)
    local policy = testing.load("policies/routing/mine.lua", blocks[1])
    local ladder = testing.run(policy, nil, { { id = "a/one", free = true, quality = 1 }, { id = "b/two" },
      { id = "c/three", free = true, quality = 2 }, { id = "d/four", free = true, left = { rpd = 0 } } })
    assert.same({ "c/three", "a/one" }, ladder)
  end)

  it("shows a spec that passes in a folder of one's own, without the gateway", function()
    local folder = process.folder()
    local function write(path, text)
      local file = assert(io.open(folder .. "/" .. path, "w"))
      file:write(text)
      file:close()
    end
    assert(os.execute(("mkdir -p '%s/policies/routing' '%s/spec'"):format(folder, folder)))
    local policy, spec = manual:match "```lua\n(.-)```.-```lua\n(.-)```"
    write("policies/routing/free-tier.lua", policy)
    write("spec/mine_spec.lua", spec .. '\nassert(require("moongate.testing").guarded == false)\n')
    local status, output = process.run({ "busted", "--lua=luajit", "--lpath=" .. here .. "/lua/?.lua", "spec" },
      { cwd = folder })
    assert.equal(0, status, output)
    assert.matches("1 success", output, 1, true)
    process.remove(folder)
  end)
end)

describe("the types for editors", function()
  it("have every fact of a candidate, and no other", function()
    assert.same(candidates.facts(), sorted(class("candidate", "moongate.candidate")))
  end)

  it("have every field that a request is made with, and no other", function()
    local found = set_of { "model", "messages", "headers", "caller", "now", "seed" }
    for _, path in ipairs(tree.files("lua/moongate/surfaces", "[.]lua$")) do
      for name in tree.code(path):gmatch "request%.([%w_]+)[%w_, .]* = " do found[name] = true end
    end
    local recorded = {}
    for name in tree.code("lua/moongate/decision.lua"):match("\nlocal function add_request.-\nend\n")
      :gmatch "request%.([%w_]+)" do
      recorded[name], found[name] = true, true
    end
    assert.is_true(recorded.estimated_tokens)
    found.include_usage = nil -- between surface and relay
    local typed = class("request", "moongate.request")
    for name in pairs(typed) do assert.is_true(found[name], name .. " is nothing that a request has") end
    for name in pairs(recorded) do
      assert.is_true(typed[name], name .. " has no type")
    end
  end)

  it("have every method of a list, and those of the libraries", function()
    local methods = set_of { "keep", "drop", "sort", "prefer", "shuffle", "take", "concat", "score" }
    assert.same(sorted(methods), sorted(class("list", "moongate.candidates")))
    local set = testing.load("policies/routing/mine.lua", [[
      return function(request, candidates)
        for _, name in ipairs { "list", "score", "json", "time", "text" } do
          local names = {}
          for field in pairs(require("moongate." .. name)) do names[#names + 1] = field end
          table.sort(names)
          log(name .. ": " .. table.concat(names, " "))
        end
        return candidates
      end]])
    testing.run(set, nil, { { id = "a/b" } })
    for _, line in ipairs(testing.logged) do
      local name, fields = line:match "^(%w+): (.*)$"
      assert.equal(fields, table.concat(sorted(class(name, "moongate." .. name)), " "), name)
    end
    assert.equal(5, #testing.logged)
  end)

  it("have every name of a hook's request, event and response, and no other", function()
    local file = "lua/moongate/hook_views.lua"
    local request = constant(file, "known_of_request")
    for _, name in ipairs { "FACTS", "RESULTS" } do
      for field in pairs(constant(file, name)) do request[field] = true end
    end
    assert.same(sorted(request), sorted(class("hooks", "moongate.hook.request")))
    assert.same(sorted(constant(file, "EVENT")), sorted(class("hooks", "moongate.hook.event")))
    assert.same(sorted(constant(file, "RESPONSE")), sorted(class("hooks", "moongate.hook.response")))
  end)

  it("are found by the settings beside the policies", function()
    local settings = require("dkjson").decode(tree.read "policies/.luarc.json")
    for _, path in ipairs(settings["workspace.library"]) do assert.is_true(tree.exists("policies/" .. path), path) end
  end)

  it("are Lua, and declare that they are types", function()
    for _, path in ipairs(tree.files("lua/moongate/meta", "[.]lua$")) do
      assert.is_function(assert(loadfile(path)))
      assert.matches("^\n%-%-%-@meta", tree.read(path))
    end
  end)
end)

local two = { { id = "groq/llama", free = true }, { id = "openai/gpt-4o", quality = 90 } }

local function route(text) return testing.load("policies/routing/mine.lua", text) end

-- The whole message: an assertion would cut off where it comes from.
local function message_of(fn)
  local fine, message = pcall(fn)
  assert.is_false(fine)
  return message
end

describe("testing.load", function()
  it("raises what is wrong with a file, by its line", function()
    for text, wanted in pairs {
      ["return function(\n"] = "policies/routing/mine.lua:",
      ["return 17"] = "must return a function",
      ["return { run = function() end, check = {} }"] = "did you mean",
      ["return { run = function() end, checks = { two = function() error 'no' end } }"] = 'the check "two" failed: no',
      ["io.open 'x' return function() end"] = "io",
      ["require 'lib.nothing' return function() end"] = "there is no policies/lib/nothing.lua",
    } do
      assert.matches(wanted, message_of(function() route(text) end), 1, true)
    end
    assert.error_matches(function() testing.load "policies/mine.lua" end, "a policy is access.lua")
    assert.has_error(function() testing.load "policies/routing/none.lua" end)
  end)

  it("loads every policy that ships", function()
    for _, path in ipairs(tree.files("policies", "[.]lua$")) do assert.is_string(testing.load(path).version) end
  end)
end)

describe("testing.run", function()
  it("answers the ladder, each step and what it dropped, and the reason", function()
    local policy = testing.load "policies/routing/free-tier.lua"
    local ladder, steps, reason = testing.run(policy, "Hi", {
      { id = "groq/llama", free = true }, { id = "openai/gpt-4o" }, { id = "x/y", free = true, retry_in = 41 } })
    assert.same({ "groq/llama" }, ladder)
    assert.same({ kind = "keep", name = "has a free tier",
      dropped = { ["openai/gpt-4o"] = 'fails "has a free tier"' } }, steps[1])
    assert.same({ kind = "drop", name = "exhausted", dropped = { ["x/y"] = "exhausted (41 s left)" } }, steps[2])
    assert.matches("put groq/llama first of 1", reason)
  end)

  it("decides as the router does over the same facts", function()
    for _, path in ipairs(tree.files("policies/routing", "[.]lua$")) do
      local name = path:match "([^/]+)%.lua$"
      local models = {
        { id = "m1", provider = "p1", free = true, cost = { input = 0, output = 0 }, quality = 40, latency_ms = 300 },
        { id = "m2", provider = "p2", cost = { input = 3, output = 9 }, quality = 90, strengths = { "coding" } },
        { id = "m3", provider = "p3", cost = { input = 1, output = 2 }, quality = 70, latency_ms = 90 },
        { id = "m4", provider = "p4", is_local = true, cost = { input = 0, output = 0 } },
      }
      local given = { providers = { p4 = { is_local = true }, p2 = { keys = { { key = "k" } } } } }
      local request = testing.request { task = "coding", policy = name }
      local plan = require("moongate.router").plan(request, { models = { "*" } }, routing.registry(models, given),
        routing.policies(), routing.view { ["p1/m1"] = { exhausted = 9 } })
      local same = {}
      for i, model in ipairs(models) do
        same[i] = {}
        for fact, value in pairs(model) do same[i][fact] = value end
        same[i].id, same[i].keyed = model.provider .. "/" .. model.id, true
      end
      same[1].retry_in = 9
      assert.same(routing.ids(plan.ladder), (testing.run(testing.load(path), { task = "coding" }, same)), name)
    end
  end)

  it("stands behind the gateway's own gates", function()
    local policy = route "return function(request, candidates) return candidates end"
    local ladder, steps = testing.run(policy, { privacy = true },
      { { id = "openai/gpt-4o" }, { id = "ollama/llama", is_local = true } })
    assert.same({ "ollama/llama" }, ladder)
    assert.same({ ["openai/gpt-4o"] = "is not on this machine" }, steps[1].dropped)
    local refused, _, reason = testing.run(policy, { max_cost = 0.000001 }, { { id = "openai/gpt-4o" } })
    assert.same({}, refused)
    assert.matches("max_cost", reason)
  end)

  it("goes on with the policy that is named, from the same folder", function()
    local policy = testing.load("policies/routing/mine.lua", 'return function() return {}, "auto-cheapest" end')
    local ladder, _, reason = testing.run(policy, nil, two)
    assert.same({ "groq/llama", "openai/gpt-4o" }, ladder)
    assert.matches("mine had nothing to offer; auto%-cheapest@", reason)
  end)

  it("has a clock that stands still and dice that fall the same", function()
    local text = [[
      return function(request, candidates)
        log(os.date("!%H:%M", request.now), os.time() == request.now, math.random())
        return candidates
      end]]
    testing.run(route(text), { now = "2026-11-20 23:05" }, two)
    local first = testing.logged[1]
    testing.run(route(text), { now = "2026-11-20 23:05" }, two)
    assert.matches("^23:05\ttrue\t0%.", first)
    assert.same({ first }, testing.logged)
    testing.run(route(text), { seed = 2, now = "2026-11-20 23:05:00" }, two)
    assert.not_equal(first, testing.logged[1])
  end)

  it("raises what the policy raises, a ladder that is none, and a loop without end", function()
    for text, wanted in pairs {
      ["return function() error 'no idea' end"] = "policies/routing/mine.lua:1: no idea",
      ["return function() return 17 end"] = "returned a number, not a list of candidates",
      ["return function() return { {} } end"] = "no candidate of this request",
      ["return function(_, c) return c:keep('x', function(m) return m.fre end) end"] = 'did you mean "free"',
      ["return function() while true do pcall(function() while true do end end) end end"] =
        "policies/routing/mine.lua:1: ",
    } do
      assert.matches(wanted, message_of(function() testing.run(route(text), nil, two) end), 1, true)
    end
  end)

  it("has the same names as the gateway: a misspelt one raises", function()
    for text, wanted in pairs {
      ["request.modle"] = 'a request has no "modle" (did you mean "model"?)',
      ["request.caller.teir"] = 'a caller has no "teir" (did you mean "tier"?)',
      ["list[1].left.rdp"] = 'there is no limit called "rdp" (did you mean "rpd"?)',
      ["list[1].used.request_per_day"] = 'did you mean "requests_per_day"',
      ["list[1].cost.imput"] = 'a cost has no "imput" (did you mean "input"?)',
    } do
      local policy = route("return function(request, list) return list, " .. text .. " end")
      assert.matches(wanted, message_of(function() testing.run(policy, nil, two) end), 1, true)
    end
    assert.has_no.errors(function()
      testing.run(route [[return function(request, list)
        assert(not (request.max_cost or request.affinity or request.priority or request.headers["x-none"]))
        return list
      end]], nil, two)
    end)
    assert.matches('no "modle"', message_of(function() return testing.request().modle end), 1, true)
    assert.equal("a/b", testing.request({ affinity = "a/b" }).affinity)
    local billing = testing.load("policies/billing.lua", "return function(_, _, usage) return usage.totl end")
    assert.matches('a usage has no "totl" (did you mean "total"?)',
      message_of(function() testing.billing(billing, nil, "a/b") end), 1, true)
    local access = testing.load("policies/access.lua", "return function(caller, model) return model.fre end")
    assert.matches('a model has no "fre" (did you mean "free"?)',
      message_of(function() testing.access(access, nil, "a/b") end), 1, true)
    local task = testing.load("policies/task.lua", "return function(request) return request.textlength end")
    assert.matches('did you mean "text_length"', message_of(function() testing.task(task) end), 1, true)
  end)

  it("refuses facts that nobody would read", function()
    local policy = route "return function(request, candidates) return candidates end"
    assert.error_matches(function() testing.run(policy, { modle = "x" }, two) end, 'no "modle"')
    assert.error_matches(function() testing.run(policy, nil, { { id = "a/b", fre = true } }) end, "did you mean")
    assert.error_matches(function() testing.run(policy, nil, { { id = "a" } }) end, "needs an id")
    assert.error_matches(function() testing.run(policy, nil, { { id = "a/b", score = 1 } }) end, "from the policy")
    assert.error_matches(function() testing.request { now = "tomorrow" } end, "2026")
  end)

  it("reads what is left, used, charged and measured from the facts", function()
    local made = testing.candidates {
      { id = "a/b", left = { rpd = 3 }, used = { rpm = 2 }, balance = 7, latency_ms = 90, error_rate = 0.5, weight = 4,
        cost = { input = 2, output = 4 } },
      { id = "a/c", status = "failing", cost = false }, { id = "d/e", exhausted = true, is_local = true } }
    local c = made[1]
    assert.same({ 3, math.huge, 2, 0, 7, 90, 0.5, 4 }, { c.left.rpd, c.left.rpm, c.used.rpm, c.used.rpd, c.balance,
      c.latency_ms, c.error_rate, c.weight })
    assert.is_true(c.estimated_cost > 0)
    assert.same({ "failing" }, { made[2].status, made[2].estimated_cost })
    assert.same({ "exhausted", 60, 0 }, { made[3].status, made[3].retry_in, made[3].estimated_cost })
    assert.equal(1, #made:keep("is local", function(each) return each.is_local end))
  end)
end)

describe("testing.access, resolve, billing and task", function()
  it("ask their policies with made-up callers and models", function()
    local access = testing.load("policies/access.lua", [[
      return {
        validate = function(caller, model)
          if caller.tier == "pro" then return true end
          return model.free, model.id .. " of " .. model.provider .. " is not for " .. caller.name
        end,
        resolve = function(caller, requested) return requested == "best" and "groq/llama" or nil end,
      }]])
    assert.is_true(testing.access(access, { tier = "pro" }, "openai/gpt-4o"))
    assert.is_true(testing.access(access, nil, { id = "groq/llama", free = true }))
    assert.same({ false, "gpt-4o of openai is not for bob" },
      { testing.access(access, { name = "bob" }, "openai/gpt-4o") })
    assert.equal("groq/llama", testing.resolve(access, nil, "best"))
    assert.equal("other", testing.resolve(access, nil, "other"))
    assert.equal("auto", testing.resolve(access))

    local billing = testing.load("policies/billing.lua",
      "return function(caller, model, usage) return model.is_local and 0 or usage.total / 1000 end")
    assert.equal(1.5, testing.billing(billing, nil, "groq/llama"))
    assert.equal(0, testing.billing(billing, nil, { id = "ollama/llama", is_local = true }))
    assert.equal(0.01, testing.billing(billing, { org = "acme" }, "groq/llama", { input = 4, output = 6 }))

    local task = testing.load("policies/task.lua",
      'return function(request) return request.text_length > 9 and "essay" or request.task end')
    assert.equal("essay", testing.task(task, "Tell me everything."))
    assert.equal("chat", testing.task(task, "Hi"))
  end)

  it("raise when the policy answers nonsense", function()
    local access = testing.load("policies/access.lua", "return function() return 1 end")
    assert.error_matches(function() testing.access(access, nil, "a/b") end, "must return true")
    for _, value in ipairs { "-1", "0/0", '"2"', "nil" } do
      local billing = testing.load("policies/billing.lua", "return function() return " .. value .. " end")
      assert.error_matches(function() testing.billing(billing, nil, "a/b") end, "a number from 0")
    end
    local task = testing.load("policies/task.lua", "return function() return 1 end")
    assert.error_matches(function() testing.task(task) end, "the type of the task")
  end)
end)

describe("testing.hook", function()
  local function hook(text) return testing.load("policies/hooks/10_mine.lua", text) end

  it("shows what is sent, and what comes back whole", function()
    local seen = testing.hook(hook [[return {
      request = function(req) req.messages[1].content = "Bonjour" req:header("X-Team", req.caller.name) end,
      response = function(req, response) response.text = response.text:upper() end,
      finish = function(req) log(req.outcome, req.status) end,
    }]], "Hello", "yes")
    assert.same({ "Bonjour", "YES", { ["x-team"] = "test" } }, { seen.messages[1].content, seen.text, seen.headers })
    assert.same({ "ok\t200" }, testing.logged)
  end)

  it("shows a stream piece by piece", function()
    local policy = hook "return { event = function(req, event) event.text = event.text:gsub('a', 'o') end }"
    local seen = testing.hook(policy, "Hello", { "ba", "na", "na" })
    assert.equal("bonono", seen.text)
    assert.same({ "bo", "no", "no" }, { unpack(seen.pieces, 1, 3) })
    local whole = testing.hook(hook "return { response = function(_, r) r.text = '(' .. r.text .. ')' end }", nil,
      { "a", "b" })
    assert.equal("(ab)", whole.text)
  end)

  it("shows refusals and answers, before and after", function()
    local seen = testing.hook(hook "return { request = function(req) req:refuse(451, 'no') end }")
    assert.same({ { status = 451, why = "no" }, "" }, { seen.refused, seen.text })
    assert.is_nil(seen.body)
    seen = testing.hook(hook "return { request = function(req) req:answer('Ask me later') end }")
    assert.same({ "Ask me later", "Ask me later" }, { seen.answered, seen.text })
    seen = testing.hook(hook [[return { event = function(req, event)
      if event.text:find "secret" then req:refuse(403, "cut") end
    end }]], nil, { "a ", "secret ", "b" })
    assert.same({ "a ", { status = 403, why = "cut" } }, { seen.text, seen.refused })
  end)

  it("raises what the hook raises", function()
    assert.error_matches(function() testing.hook(hook "return { request = function(req) return req.modle end }") end,
      "modle")
    assert.error_matches(function() testing.hook(hook "return { request = function(req) req.messages = 1 end }") end,
      "must be a table")
    assert.error_matches(function() testing.hook(hook "return { request = function(req) req.body = {} end }") end,
      "cannot be sent")
  end)
end)

describe("the JSON of moongate.testing", function()
  it("reads and writes what the gateway's own does", function()
    require "spec.support.core"
    local own = require "moongate.testing.json"
    local gateways = package.preload["moongate.core.json"]()
    for _, text in ipairs {
      "{}", "[]", "null", " true ", '"a\\u00e9\\ud83d\\ude00\\n"', "[1,2.5,-0,1e3,1E-2,12345678901]",
      '{"a":[{}],"b":null}',
      '{"b":1,"a":"\\u0001"}', "", "{", "[1,]",
      '{"a":1,"a":2}', "01", "1.", ".5", "+1", "nul", '"\\x"', '"\1"', "[1 2]",
      '{"a" 1}', "{1:2}", '"\\ud800"', "1 1", '"open', "[[[]]]", "-", "tru e", '"\127"', "1e", "--1",
      "1.5.2", "0x10",
    } do
      local mine, theirs = own.decode(text), gateways.decode(text)
      assert.equal(theirs == nil, mine == nil, text)
      if mine ~= nil then assert.equal(gateways.encode(theirs), own.encode(mine), text) end
    end
    for _, value in ipairs { 0.1 + 0.2, 2 ^ 53, -1, 1e20, 1e300, { "x", { a = { b = true } } }, "q\"\\\n\0é" } do
      assert.equal(gateways.encode(value), own.encode(value))
    end
    for _, each in ipairs { gateways, own } do
      assert.equal('{"b":[1],"c":"x"}', each.write("{", ',"a":', nil, ',"b":', { 1 }, ',"c":', "x", "}"))
      each.begin()
      each.add '{"list":['
      each.add("", ",", "a")
      each.add(",", "", "b", "]")
      each.add("}", ",", nil)
      assert.equal('{"list":["a","b"]}', each.finish())
      each.begin "{"
      each.form("", { ',"a":', ',"b":', ',"c":' }, ',"d":{')(nil, "x", nil, ",", "}}")
      each.form(",", { { "[", "1," }, { "]", "," } }, "")(1)
      assert.equal('{"b":"x","d":{}},[1,1]', each.finish())
    end
    for _, value in ipairs { 0 / 0, math.huge, { 1, nil, 3 }, { [5] = 1 }, { 1, a = 2 }, print, { [true] = 1 } } do
      assert.is_false(pcall(gateways.encode, value))
      assert.is_false(pcall(own.encode, value))
    end
  end)

  it("makes documents that answer like the gateway's", function()
    require "spec.support.core"
    local text = '{"messages":[{"content":"ab","role":"user"},{"x":[true,null,1.5]}],"model":"m"}'
    local answers = {}
    for i, json in ipairs { require "moongate.testing.json", package.preload["moongate.core.json"]() } do
      local document = assert(json.scan(text, 100))
      local messages, kinds = document:find(0, "messages"), {}
      for index, node in document:items(messages) do kinds[index] = document:kind(node) .. document:text(node) end
      answers[i] = { document:kind(0), document:size(0), document:size(messages), document:string_bytes(0),
        document:value(document:find(0, "model")), document:find(0, "none") or "none", kinds,
        json.encode(json.decode(document:patch { model = '"other"', messages = false, new = "[]" })) }
      local first, last, none = document:item(messages, 1), document:item(messages, -1), document:item(messages, 3)
      answers[i][10] = { document:text(first), document:text(last), none or "none", document:text(0, 5) }
      answers[i][11] = { document:last(messages, "role", "user") == first,
        document:last(messages, "role", "x") or "none", document:begins("x", "a"),
        document:begins "b", (select("#", document:find(0, "model", "a", "messages"))) }
      local _, fault = json.scan("[1,\n x]", 100)
      answers[i][9] = { fault.line, fault.column, fault.offset }
    end
    assert.same(answers[2], answers[1])
  end)
end)
