-- Every quota checker that ships, by the fixture in its own file, and by answers that nobody would wish for.
require "spec.support.core"
local checkers = require "moongate.checkers"
local checking = require "moongate.checking"
local tree = require "spec.support.tree"

local NOW = 1796000000
local KEY = "sk-very-secret"

-- Runs a shipped checker against answers by "METHOD path"; answers the reading, why not, the wait, and what was asked.
local function run(name, answers, options)
  local checker, asked = checkers.get(name), {}
  local given = { base_url = "http://there.example/below" }
  for option, value in pairs(options or {}) do given[option] = value end
  local result, why, wait = checking.run {
    check = checker.check, options = given, key = KEY, now = NOW,
    ask = function(order)
      asked[#asked + 1] = order
      local answer = answers(order.method .. " " .. string.sub(order.url, #given.base_url + 1), order)
      if type(answer) == "string" then answer = { status = 200, body = answer } end
      if not answer then return nil, "no connection" end
      answer.headers = answer.headers or {}
      return answer
    end,
  }
  return result, why, wait, asked
end

local function by_table(answers)
  return function(name) return answers[name] or { status = 404, body = "{}" } end
end

-- What is wrong with an answer, whoever gives it. It must never be read as anything, least of all as nothing left.
local ODD = {
  { "401", { status = 401, body = '{"error":{"message":"No auth"}}' }, "the key is not accepted" },
  { "429", { status = 429, body = "", headers = { ["retry-after"] = "120" } }, "asked too often" },
  { "500 in HTML", { status = 500, body = "<html>oops</html>" }, "it answered 500" },
  { "a page in HTML", { status = 200, body = "<!doctype html><title>Log in</title>" }, "something else than JSON" },
  { "nothing", { status = 200, body = "" }, "something else than JSON" },
  { "a bare number", { status = 200, body = "12" }, "something else than JSON" },
  { "an empty object", { status = 200, body = "{}" } },
  { "an empty list", { status = 200, body = "[]" } },
  { "another API's error", { status = 200, body = '{"error":{"code":402,"message":"no"}}' } },
  { "an inner failure", { status = 200, body = '{"code":1,"status":false,"success":false,"base_resp":'
    .. '{"status_code":1004,"status_msg":"login"},"data":{},"balance_infos":[],"active":false}' } },
  { "texts and nulls where objects are meant", { status = 200, body = '{"data":"none","balance_infos":"none",'
    .. '"balance":null,"base_resp":3,"usd_balance":true,"subscription":"x","code":0}' } },
  { "figures past all bounds", { status = 200, body = '{"code":0,"success":true,"balance":1e300,"usd_balance":'
    .. '"99999999999999999999","available_amount":"nan","base_resp":{"status_code":0},"data":{"available_balance":'
    .. '"0x10","limits":[]},"balance_infos":[{"currency":"USD","total_balance":"inf"}],"weeklyTokenLimit":'
    .. '{"maxCredits":"1e5","remainingCredits":"-"}}' } },
  { "no connection", nil, "no connection" },
}

describe("the checker", function()
  it("there is of each file, by name", function()
    local names = {}
    for _, path in ipairs(tree.files("lua/checkers", "[.]lua$")) do names[#names + 1] = path:match("([^/]+)%.lua$") end
    table.sort(names)
    assert.same(names, checkers.names())
    assert.is_nil(checkers.get "fixture")
  end)

  for _, name in ipairs(checkers.names()) do
    local checker = checkers.get(name)
    local fixture = checker.fixture

    it(name .. " reads its fixture", function()
      local result, why, _, asked = run(name, by_table(fixture.answers), fixture.options)
      assert.is_nil(why)
      assert.same(fixture.meters, result.meters)
      for _, order in ipairs(asked) do
        assert.is_nil(string.find(order.url, KEY, 1, true))
        local signs = order.headers.authorization == "Bearer " .. KEY or order.headers["x-api-key"] == KEY
          or order.headers.cookie
        assert.truthy(signs)
      end
    end)

    it(name .. " asks https, by its own address", function()
      assert.matches("^https://[%w.-]+[%w/.-]*[^/]$", checker.base_url)
    end)

    for _, odd in ipairs(ODD) do
      it(name .. " takes " .. odd[1] .. " for no reading", function()
        local result, why = run(name, function() return odd[2] end, fixture.options)
        assert.is_nil(result)
        assert.matches(odd[3] or "", why, 1, true)
        assert.is_nil(string.find(why, KEY, 1, true))
      end)
    end
  end

  it("tells how long a provider wants to be left alone", function()
    local _, _, wait = run("kilo", function() return ODD[2][2] end)
    assert.equal("120", wait)
  end)

  it("openrouter goes without the credits where the key may not ask for them", function()
    local result = run("openrouter", by_table {
      ["GET /key"] = '{"data":{"limit":null,"limit_remaining":null,"limit_reset":null,"usage":30.25}}',
      ["GET /credits"] = { status = 403, body = "{}" },
    })
    assert.same({ { metric = "dollars", window = "subscription", used = 30.25, status = "ok" } }, result.meters)
    assert.is_nil(result.credits)
  end)

  it("openrouter believes the tighter of a key's lasting limit and the credits", function()
    local result = run("openrouter", by_table {
      ["GET /key"] = '{"data":{"limit":5,"limit_remaining":0,"limit_reset":null}}',
      ["GET /credits"] = '{"data":{"total_credits":10,"total_usage":1}}',
    })
    assert.same({ 1, 0, "exhausted" }, { #result.meters, result.credits, result.status })
  end)

  it("openrouter fails where the credits fail for another reason", function()
    local result, why = run("openrouter", by_table {
      ["GET /key"] = '{"data":{"limit":null}}', ["GET /credits"] = { status = 502, body = "" } })
    assert.same({ nil, "it answered 502" }, { result, why })
  end)

  it("moonshot and deepseek tell yuan as yuan, which are no credits", function()
    local result = run("moonshot", function() return '{"code":0,"status":true,"data":{"available_balance":-3.5}}' end,
      { base_url = "https://api.moonshot.cn/v1" })
    assert.same({ { metric = "yuan", window = "subscription", remaining = -3.5, status = "exhausted" } }, result.meters)
    assert.is_nil(result.credits)
    result = run("deepseek", function() return '{"is_available":true,"balance_infos":[{"currency":"CNY",'
      .. '"total_balance":"8.00"},{"currency":"USD","total_balance":"2.00"}]}' end)
    assert.same({ 2, 2 }, { #result.meters, result.credits })
  end)

  it("deepseek has nothing where it says that nothing is available", function()
    local result = run("deepseek", function() return '{"is_available":false,"balance_infos":[{"currency":"USD",'
      .. '"total_balance":"2.00"}]}' end)
    assert.same({ 0, "exhausted" }, { result.credits, result.status })
  end)

  it("minimax tries the session as the old cookie, then as the new one", function()
    local result, _, _, asked = run("minimax", function(_, order)
      local is_new = order.headers.cookie == "_token=a-session" and order.headers["x-group-id"] == "7"
      if is_new then return '{"available_amount":"3","base_resp":{"status_code":0}}' end
      return '{"base_resp":{"status_code":1004,"status_msg":"login"}}'
    end, { groupid = 7, hertzSession = "a-session" })
    assert.same({ 3, 2 }, { result.credits, #asked })
    assert.same({ "HERTZ-SESSION=a-session", "http://there.example/below/account/query_balance?GroupId=7" },
      { asked[1].headers.cookie, asked[1].url })
    assert.is_nil(asked[1].headers.authorization)
  end)

  it("minimax tells what it lacks, and no secret of what it was told", function()
    assert.matches("hertzSession", select(2, run("minimax", by_table {}, { groupid = "7" })), 1, true)
    assert.matches("groupid", select(2, run("minimax", by_table {}, { groupid = "7&x", token = "ttttt" })), 1, true)
    local _, why = run("minimax", function()
      return '{"base_resp":{"status_code":1,"status_msg":"bad cookie a-session"}}'
    end, { groupid = "7", hertzSession = "a-session" })
    assert.equal("it refuses: bad cookie ***", why)
  end)

  it("synthetic reads an older plan, and one below data", function()
    local result = run("synthetic", function()
      return '{"data":{"subscription":{"limit":135,"requests":154.3,"renewsAt":"2026-11-30T08:00:00Z"}}}'
    end)
    assert.same({ "5h", 135, 0, "exhausted" },
      { result.meters[1].window, result.meters[1].limit, result.meters[1].remaining, result.meters[1].status })
    assert.is_number(result.meters[1].resets_at)
  end)

  it("nanogpt lives on either half", function()
    local fixture = checkers.get("nanogpt").fixture
    local result = run("nanogpt", by_table { ["POST /check-balance"] = fixture.answers["POST /check-balance"] })
    assert.same({ 1, 7.05 }, { #result.meters, result.credits })
    result = run("nanogpt", by_table { ["GET /subscription/v1/usage"] = fixture.answers["GET /subscription/v1/usage"] })
    assert.same({ 1, nil }, { #result.meters, result.credits })
  end)

  it("kilo names the organization, if there is one", function()
    local _, _, _, asked = run("kilo", by_table {}, { organization = "org-1" })
    assert.equal("org-1", asked[1].headers["x-kilocode-organizationid"])
    _, _, _, asked = run("kilo", by_table {})
    assert.is_nil(asked[1].headers["x-kilocode-organizationid"])
  end)

  it("that runs out of memory has failed, whatever it was answered", function()
    local why = select(2, checking.run {
      check = function() error("not enough memory", 0) end, options = {}, key = KEY, now = NOW, ask = function() end,
    })
    assert.equal("its checker failed: not enough memory", why)
  end)
end)
