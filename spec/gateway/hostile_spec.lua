-- Policies that mean harm, each through the whole gateway with one worker: what its own request is answered, that the
-- requests beside it are all served well, and that nothing of it stays. The worst wait of a request beside it is
-- printed at the end, for information: machines differ, and the bound that holds is one of processor time.
local gateway = require "spec.support.gateway"
local http = require "spec.support.http"
local rows = require "spec.support.hostile_policies"
local socket = require "socket"
local wait = require "spec.support.wait"

local MEGABYTES = 8
-- What a request beside a hostile one may wait, on any machine that runs this; and what the process may hold at the end.
local WORST_SECONDS, RESIDENT_KB = 2, 400 * 1024

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
    workers = 1, policy = "canary", on_fault = on_fault, limits = { policy_ms = 20, policy_mb = MEGABYTES },
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
      moongate = gateway.start { config = config(on_fault), policies = policies() }
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

    it("is one of all these, a hundred times more, leaves the process as large as it was", function()
      local before = resident(moongate)
      for _, row in ipairs { 1, 46, 63, 64 } do
        for _ = 1, 25 do moongate:chat({}, { headers = { ["x-moongate-policy"] = name_of(row) } }) end
      end
      assert_canary(moongate:chat())
      local after = resident(moongate)
      told[#told + 1] = ("  resident memory: %d MB, after a hundred more %d MB"):format(before / 1024, after / 1024)
      assert.truthy(after < RESIDENT_KB, "it holds " .. after .. " KiB")
    end)
  end)
end
