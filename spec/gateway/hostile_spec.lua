-- Policies that mean harm, each through the whole gateway with one worker: what its own request is answered, that the
-- requests beside it are all served well, and that nothing of it stays. The worst wait of a request beside it is
-- printed at the end, for information: machines differ, and the bound that holds is one of processor time.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local rows = require "spec.support.hostile_policies"
local socket = require "socket"
local valgrind = require "spec.support.valgrind"
local wait = require "spec.support.wait"

local MEGABYTES = 8
-- What a request beside a hostile one may wait, on any machine; and what the process may hold at the end.
local WORST_SECONDS, RESIDENT_KB = valgrind.is_on and 60 or 2, 200 * 1024
local POLICY_MS = valgrind.is_on and 400 or 20
-- A sanitizer keeps what was freed for a while; here that would look like a leak.
local SANITIZER = "verify_asan_link_order=0:exitcode=99:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"

-- Asks each thing that a poisoned world would answer wrong.
local CANARY = [[
local json, text, list = require "moongate.json", require "moongate.text", require "moongate.list"
local shared = require "lib.shared"

return function(request, candidates)
  assert(("x"):rep(3) == "xxx" and ("%d"):format(7) == "7" and ("abc"):upper():sub(2) == "BC" and #"abc" == 3)
  assert(("a1b"):gsub("%d", "-") == "a-b" and string.find("abc", "b", 1, true) == 2)
  assert(table.concat({ 1, 2 }, ",") == "1,2" and math.floor(1.5) == 1 and tostring(1) == "1" and bit.band(6, 3) == 2)
  assert(json.encode { a = 1 } == '{"a":1}' and #json.decode "[1]" == 1 and text.contains("Hello", "hell"))
  assert(list.new { 1, 2 }[2] == 2 and shared.number == 1 and shared.poison == nil and poison == nil)
  assert(type(os.time()) == "number" and pcall(error) == false and select("#", 1, 2) == 2)
  assert(coroutine.wrap(function() return 5 end)() == 5 and request.model == "auto" and #request.messages == 1)
  assert(#candidates == 2 and candidates[1].id == "acme/large" and candidates[1].cost.input == 0)
  assert(candidates[2].strengths[1] == nil and candidates[1].free)
  return candidates:keep("small", function(c) return c.model == "small" end):sort("id", function(c) return c.id end)
end
]]

local LIBRARIES = {
  ["lib/shared.lua"] = "return { number = 1 }\n",
  ["lib/loops.lua"] = "while true do end\n",
  ["routing/circle.lua"] = "return function() return {}, 'circle-back' end\n",
  ["routing/circle-back.lua"] = "return function() return {}, 'circle' end\n",
}

local function config(on_fault)
  return {
    workers = 1, jit = true, policy = "canary", on_fault = on_fault,
    limits = { policy_ms = POLICY_MS, policy_mb = MEGABYTES },
    providers = { acme = { protocol = "mock", free = true } },
    models = {
      { id = "large", provider = "acme", free = true, cost = { input = 0, output = 0 } },
      { id = "small", provider = "acme", free = true, cost = { input = 0, output = 0 } },
    },
  }
end

local function name_of(number) return "row-" .. number end

local function file_of(row, number)
  return ("%s\nreturn function(request, candidates)\n%s\nend\n"):format(row.top or "",
    (row[3]:gsub("SELF", name_of(number))))
end

local function policies()
  local files = { ["routing/canary.lua"] = CANARY }
  for path, text in pairs(LIBRARIES) do files[path] = text end
  for number, row in ipairs(rows) do files["routing/" .. name_of(number) .. ".lua"] = file_of(row, number) end
  return files
end

local function body() return { model = "auto", messages = { { role = "user", content = "Say hello." } } } end

local function assert_canary(answer)
  assert.equal(200, answer.status, answer.body)
  assert.equal("small", answer.headers["x-moongate-model"])
  assert.matches("^canary@", answer.headers["x-moongate-policy"])
end

-- Resident memory in KiB.
local function resident(moongate)
  local file = assert(io.open("/proc/" .. moongate.process.pid .. "/status"))
  local text = file:read("*a")
  file:close()
  return tonumber(text:match("VmRSS:%s+(%d+) kB"))
end

local function assert_small(moongate)
  if valgrind.is_on then return end
  local held = resident(moongate)
  assert.truthy(held < RESIDENT_KB, "it holds " .. held .. " KiB")
end

-- All faults that have been counted: by policy, then by kind.
local function faults(moongate)
  local counted = {}
  local text = moongate:request({ path = "/metrics" }).body
  for labels, count in text:gmatch("moongate_policy_faults_total{([^}]*)} (%d+)") do
    local policy, kind = labels:match('policy="([^"]*)"'), labels:match('kind="([^"]*)"')
    counted[policy] = counted[policy] or {}
    counted[policy][kind] = tonumber(count)
  end
  return counted
end

-- Runs `act`, which answers a connection with a request on it, and quick requests beside it until that is answered;
-- answers its answer and the longest that one of the quick ones took.
local function beside(moongate, quick, act)
  local worst, served = 0, 0
  local connection = act()
  repeat
    local before = socket.gettime()
    assert_canary(quick:request { path = "/v1/chat/completions", json = body() })
    worst, served = math.max(worst, socket.gettime() - before), served + 1
  until served >= 2 and socket.select({ connection }, nil, 0)[connection]
  local answer = http.answered(connection):rest()
  answer:close()
  return answer, worst
end

local function one_of(kinds, kind) return ("|" .. kinds .. "|"):find("|" .. kind .. "|", 1, true) ~= nil end

local function total(of)
  local sum, last = 0, nil
  for kind, count in pairs(of or {}) do sum, last = sum + count, kind end
  return sum, last
end

local function shown(row, answer, kind, worst)
  return ("  %-62s %-8s %d  %6.1f ms"):format(row[1]:sub(1, 62), kind or "-", answer.status, worst * 1000)
end

for _, on_fault in ipairs { "default", "refuse" } do
  describe("with on_fault = " .. on_fault .. ", a policy that", function()
    local moongate, quick, told

    setup(function()
      moongate = gateway.start { config = config(on_fault), policies = policies(), env = { ASAN_OPTIONS = SANITIZER } }
      quick = http.keep(moongate.address)
      told = {}
    end)

    teardown(function()
      print(("\n  %-62s %-8s %s  %s"):format("a policy that ... (on_fault = " .. on_fault .. ")", "fault", "own",
        "worst beside it"))
      print(table.concat(told, "\n"))
      gateway.stop_all()
    end)

    for number, row in ipairs(rows) do
      it(("%s (%s) costs its own request only"):format(row[1], row[2]), function()
        local label, options = "routing/" .. name_of(number), { headers = { ["x-moongate-policy"] = name_of(number) } }
        local earlier = row.twice and moongate:chat({}, options)
        assert.truthy(not earlier or earlier.status ~= 500 or on_fault == "refuse")
        local before = faults(moongate)
        local answer, worst = beside(moongate, quick, function() return moongate:begin_chat({}, options) end)
        local after = faults(moongate)
        if row[2] == "time" and row[3]:find("row-1", 1, true) then label = "routing/row-1" end
        local count, kind = total(after[label])
        local increase = count - total(before[label])
        told[#told + 1] = shown(row, answer, increase > 0 and kind or nil, worst)

        if increase == 0 then
          local words, model = row[2]:match("(%a+) ?(%a*)$")
          assert.truthy(words == "refused" or words == "serves", "it did not fault: " .. answer.body:sub(1, 1000))
          if words == "refused" then
            assert.equal(503, answer.status, answer.body:sub(1, 1000))
            assert.truthy(#answer.body < 4000, "a message of " .. #answer.body .. " bytes")
          else
            assert.equal(200, answer.status, answer.body:sub(1, 1000))
            assert.equal(model, answer.headers["x-moongate-model"])
            assert.matches("^" .. name_of(number):gsub("%-", "%%-") .. "@", answer.headers["x-moongate-policy"])
          end
        else
          assert.equal(1, increase)
          assert.truthy(one_of(row[2], kind), "the kind of fault is " .. kind)
          if on_fault == "default" then
            assert_canary(answer)
          else
            assert.equal(500, answer.status)
            local message = answer:json().error.message
            assert.matches('routing policy "row%-%d+@%x+" failed: policies/', message)
            if kind ~= "result" then assert.matches("policies/[%w/%-]+%.lua:%d+: ", message) end
            if row.says then assert.matches(row.says, message, 1, true) end
            assert.truthy(#message < 2000, "a message of " .. #message .. " bytes")
          end
        end
        if row.says and row[2] == "refused" then assert.matches(row.says, answer:json().error.message, 1, true) end
        assert.is_nil(answer.headers["x-evil"])
        assert.is_nil(after["routing/canary"])
        assert.truthy(worst < WORST_SECONDS, ("a request beside it took %.1f s"):format(worst))
        assert_canary(moongate:chat())
        assert.same({ status = "ready", problems = {} }, moongate:request({ path = "/ready" }):json())
      end)
    end

    it("is one of these, a hundred times more, leaves the process as large as it was", function()
      local before = resident(moongate)
      -- Fewer of each than switch it off.
      for _, row in ipairs { 1, 3, 5, 46, 63, 64, 65 } do
        for _ = 1, 15 do moongate:chat({}, { headers = { ["x-moongate-policy"] = name_of(row) } }) end
      end
      assert_canary(moongate:chat())
      local after = resident(moongate)
      told[#told + 1] = ("  resident memory: %d MB, after a hundred more %d MB"):format(before / 1024, after / 1024)
      assert_small(moongate)
    end)
  end)
end

-- A gateway with a few policies, its config changed a little.
local function start(files, change)
  local whole = config "default"
  local all = { ["routing/canary.lua"] = CANARY, ["lib/shared.lua"] = LIBRARIES["lib/shared.lua"] }
  for path, text in pairs(files or {}) do all[path] = text end
  if change then change(whole) end
  return gateway.start { config = whole, policies = all, env = { ASAN_OPTIONS = SANITIZER } }
end

describe("a policy file", function()
  after_each(gateway.stop_all)

  for title, text in pairs {
    ["that loops as it is loaded"] = "while true do end\nreturn function(_, candidates) return candidates end\n",
    ["that loops behind pcall as it is loaded"] = "while true do pcall(function() while true do end end) end\n",
    ["that fails as it is loaded"] = "error('no idea')\n",
    ["that recurses as it is loaded"] = "local function f() return 1 + f() end\nreturn f()\n",
    ["that hungers as it is loaded"] = "local s = 'x' while true do s = s .. s end\n",
    ["that does not compile"] = "return function(\n",
    ["that is bytecode"] = "\27LJ\2\0\0\0",
    ["that takes the compiler a minute"] = "local a return " .. ("a or "):rep(60000) .. "a\n",
    ["that returns nothing"] = "local x = 1\n",
    ["that returns what loops in __index"] =
      "return setmetatable({}, { __index = function() while true do end end })\n",
    ["that returns what loops when it is called"] =
      "return setmetatable({}, { __call = function() while true do end end })\n",
    ["whose check loops"] = "return { run = function(_, candidates) return candidates end,\n"
      .. "checks = { ['it ends'] = function() while true do end end } }\n",
    ["whose check fails"] = "return { run = function(_, candidates) return candidates end,\n"
      .. "checks = { ['one is two'] = function() assert(1 == 2) end } }\n",
    ["whose checks loop in __index"] = "return { run = function(_, candidates) return candidates end,\n"
      .. "checks = setmetatable({ a = 1 }, { __index = function() while true do end end }) }\n",
    ["that requires what loops"] = "require 'lib.loops'\nreturn function(_, candidates) return candidates end\n",
    ["that requires a circle"] = "require 'lib.a'\nreturn function(_, candidates) return candidates end\n",
  } do
    it(title .. " never goes live, and disturbs nobody", function()
      local large = "return function(_, c) return c:keep('large', function(m) return m.model == 'large' end) end\n"
      local moongate = start { ["routing/new.lua"] = large, ["lib/loops.lua"] = LIBRARIES["lib/loops.lua"],
        ["lib/a.lua"] = "return require 'lib.b'\n", ["lib/b.lua"] = "return require 'lib.a'\n" }
      local quick, options = http.keep(moongate.address), { headers = { ["x-moongate-policy"] = "new" } }
      local version = moongate:chat({}, options).headers["x-moongate-policy"]
      local worst = 0
      moongate:write("policies/routing/new.lua", text)
      local ready = wait.until_(function()
        local before = socket.gettime()
        assert_canary(quick:request { path = "/v1/chat/completions", json = body() })
        worst = math.max(worst, socket.gettime() - before)
        local answer = moongate:request { path = "/ready" }:json()
        return answer.status == "degraded" and answer
      end, "/ready to tell of it")
      assert.equal(1, #ready.problems)
      assert.matches("policies/[%w/]+%.lua$", ready.problems[1].file)
      assert.truthy(#ready.problems[1].message > 0)
      assert.truthy(worst < WORST_SECONDS)
      local answer = moongate:chat({}, options)
      assert.same({ 200, "large", version },
        { answer.status, answer.headers["x-moongate-model"], answer.headers["x-moongate-policy"] })

      moongate:write("policies/routing/new.lua", large .. "-- well again\n")
      wait.until_(function() return moongate:request({ path = "/ready" }):json().status == "ready" end, "/ready")
      assert_canary(moongate:chat())
    end)
  end
end)

describe("what a policy keeps", function()
  after_each(gateway.stop_all)

  it("is never the coroutine of a request that waits", function()
    local moongate = start({ ["routing/keeper.lua"] = [[
local kept
return function(request, candidates)
  local before = kept
  kept = coroutine.running()
  if before then coroutine.resume(before, 200, {}, "poison") end
  return candidates
end
]] }, function(whole) whole.providers.acme.mock = { delay = 0.3 } end)
    local options = { headers = { ["x-moongate-policy"] = "keeper" } }
    local first = moongate:begin_chat({}, options)
    local second = moongate:begin_chat({}, options)
    for _, connection in ipairs { first, second } do
      local answer = http.answered(connection):rest()
      assert.equal(200, answer.status, answer.body)
      assert.matches("^keeper@", answer.headers["x-moongate-policy"])
    end
  end)

  it("of call after call does not fill the machine", function()
    local moongate = start { ["routing/hoarder.lua"] = [[
local kept = {}
return function(request, candidates)
  kept[#kept + 1] = ("x"):rep(2e6) .. #kept
  return candidates:keep("small", function(c) return c.model == "small" end)
end
]] }
    local options = { headers = { ["x-moongate-policy"] = "hoarder" } }
    for _ = 1, 300 do
      local answer = moongate:chat({}, options)
      assert.equal(200, answer.status)
      assert.equal("small", answer.headers["x-moongate-model"])
    end
    assert.truthy(faults(moongate)["routing/hoarder"].memory > 0)
    assert_canary(moongate:chat())
    assert_small(moongate)
  end)

  it("goes with it when it is saved anew", function()
    local text = [[
local big = ("%d "):rep(1.2e6)
return function(request, candidates)
  return candidates:keep("small", function(c) return c.model == "small" and #big > 0 end)
end
]]
    local moongate = start { ["routing/big.lua"] = text:format(0) }
    local options = { headers = { ["x-moongate-policy"] = "big" } }
    local version = moongate:chat({}, options).headers["x-moongate-policy"]
    for n = 1, 80 do
      moongate:write("policies/routing/big.lua", text:format(n))
      wait.until_(function()
        local answer = moongate:chat({}, options)
        assert.equal("small", answer.headers["x-moongate-model"])
        local changed = answer.headers["x-moongate-policy"] ~= version
        version = answer.headers["x-moongate-policy"]
        return changed
      end, "version " .. n)
    end
    assert_small(moongate)
  end)
end)

describe("a faulty policy in another role", function()
  after_each(gateway.stop_all)

  local LOOP = "while true do pcall(function() while true do end end) end"

  for title, row in pairs {
    ["loops"] = { LOOP, "time" },
    ["raises"] = { "error {}", "error" },
    ["recurses"] = { "local function f() return 1 + f() end return f()", "depth" },
    ["returns nothing"] = { "return nil", "result" },
    ["returns not-a-number"] = { "return 0 / 0", "result" },
    ["returns infinity"] = { "return math.huge", "result" },
    ["returns less than nothing"] = { "return -1", "result" },
    ["returns text"] = { "return '2'", "result" },
    ["returns a trap"] = { "return setmetatable({}, { __lt = function() while true do end end })", "result" },
    ["writes to all it is given, and sets traps"] = { [[
      local function trap() while true do end end
      if model.cost then model.cost.input, model.cost.output = 0, 0 end
      usage.total, usage.input, usage.output, caller.name = 0, 0, 0, "root"
      usage.output = setmetatable({}, { __index = trap, __newindex = trap, __add = trap })
      caller.org, model.cost = usage.output, usage.output
      return 1]] },
    ["sets traps in what it is given"] = {
      "setmetatable(usage, { __index = function() while true do end end }) return 1", "error" },
    ["misspells what it is given"] = { "return usage.totl == nil and 0 or 1", "error" },
  } do
    it("in billing, which " .. title .. ", counts as 1 and changes no price", function()
      local moongate = start({ ["billing.lua"] = "return function(caller, model, usage)\n" .. row[1] .. "\nend\n" },
        function(whole)
          for _, model in ipairs(whole.models) do model.cost = { input = 1, output = 2 } end
        end)
      local first
      for _ = 1, 3 do
        local answer = moongate:chat { model = "small" }
        assert.equal(200, answer.status, answer.body)
        local usage = answer:json().usage
        assert.equal(tostring(usage.total_tokens), answer.headers["x-moongate-billed-tokens"])
        first = first or answer.headers["x-moongate-cost-usd"]
        assert.truthy(tonumber(first) > 0)
        assert.equal(first, answer.headers["x-moongate-cost-usd"])
      end
      local counted = faults(moongate).billing or {}
      assert.same(row[2] and { [row[2]] = 3 } or {}, counted)
    end)
  end

  for title, row in pairs {
    ["loops"] = { LOOP, "time" },
    ["raises"] = { "error('no idea')", "error" },
    ["hungers"] = { "local s = 'x' while true do s = s .. s end", "memory" },
    ["returns nothing"] = { "", "error" },
    ["returns a table"] = { "return {}", "error" },
    ["returns a number"] = { "return 1", "error" },
    ["returns text"] = { "return 'true'", "error" },
  } do
    it("in access, which " .. title .. ", always refuses, and says where", function()
      local moongate = start { ["access.lua"] = "return function(caller, model)\n" .. row[1] .. "\nend\n" }
      for _, model in ipairs { "auto", "small" } do
        local answer = moongate:chat { model = model }
        assert.equal(500, answer.status, answer.body)
        assert.matches("access", answer:json().error.message, 1, true)
        assert.matches("policies/access.lua", answer:json().error.message, 1, true)
      end
      assert.equal(2, faults(moongate).access[row[2]])
    end)
  end

  for title, row in pairs {
    ["loops"] = { LOOP, "time" },
    ["raises"] = { "error('no idea')", "error" },
    ["returns nothing"] = { "", "result" },
    ["returns a table"] = { "return {}", "result" },
    ["returns a book"] = { "return ('x'):rep(1e6)", "result" },
  } do
    it("in task, which " .. title .. ", leaves it to the built-in one", function()
      local moongate = start { ["task.lua"] = "return function(request)\n" .. row[1] .. "\nend\n",
        ["routing/by-task.lua"] = [[
return function(request, candidates)
  assert(request.task == "coding", request.task)
  return candidates:keep("small", function(c) return c.model == "small" end)
end
]] }
      local message = { role = "user", content = "Fix this Python function: def f(): pass" }
      local answer = moongate:chat({ messages = { message } },
        { headers = { ["x-moongate-policy"] = "by-task" } })
      assert.equal(200, answer.status, answer.body)
      assert.matches("^by%-task@", answer.headers["x-moongate-policy"])
      assert.same({ [row[2]] = 1 }, faults(moongate).task)
      assert.is_nil(faults(moongate)["routing/by-task"])
    end)
  end
end)
