-- What the dashboard is made of, and what it asks: its files, and the operator's view of the gateway below /admin/.
local gateway = require "spec.support.gateway"
local wait = require "spec.support.wait"

local PLAIN = "return function(request, candidates) return candidates end"
local CONFIG = [[
return { listen = "127.0.0.1:0", auth = "none", store = "memory:", workers = 2, policies = "policies",
  policy = "plain", admin_token = "%s", providers = {
    one = { protocol = "mock", limits = { rpm = 3, rpd = 100 } },
    off = { protocol = "mock", mock = { status = 429, retry_after = 4000 } } },
  models = { { id = "small", provider = "one", cost = { input = %s, output = 2 } },
    { id = "gone", provider = "off" } } }
]]

describe("the dashboard's gateway", function()
  local moongate

  before_each(function()
    moongate = gateway.start { config = CONFIG:format(gateway.admin_token, "1"),
      policies = { ["routing/plain.lua"] = PLAIN, ["routing/moody.lua"] = 'return function() error "no idea" end' } }
  end)
  after_each(gateway.stop_all)

  local function get(path, headers, key) return moongate:request { path = path, headers = headers, key = key } end
  local function overview() return (moongate:admin "/admin/overview") end
  local function provider_of(name)
    for _, provider in ipairs(overview().providers) do
      if provider.provider == name then return provider end
    end
  end
  local function policy_of(file)
    for _, policy in ipairs(moongate:admin("/admin/policies").policies) do
      if policy.file == file then return policy end
    end
  end

  describe("serves the page", function()
    it("to everybody, with rules that keep everything else out", function()
      local page = get "/dashboard"
      assert.same({ 200, "text/html; charset=utf-8", "nosniff" },
        { page.status, page.headers["content-type"], page.headers["x-content-type-options"] })
      assert.matches("<title>moongate</title>", page.body, 1, true)
      local rules = page.headers["content-security-policy"]
      assert.equal("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        .. "base-uri 'none'; form-action 'none'; frame-ancestors 'none'", rules)
    end)

    it("with every part that it names, as what it is", function()
      local seen = {}
      for name in get("/dashboard").body:gmatch '"dashboard/([%w_.]+)"' do
        local part = get("/dashboard/" .. name)
        assert.equal(200, part.status)
        seen[part.headers["content-type"]] = true
      end
      assert.same({ ["text/css; charset=utf-8"] = true, ["text/javascript; charset=utf-8"] = true,
        ["image/svg+xml"] = true }, seen)
    end)

    it("once: who has it already is told so", function()
      local tag = get("/dashboard/app.js").headers.etag
      local again = moongate:request {
        method = "HEAD", path = "/dashboard/app.js", headers = { ["if-none-match"] = tag } }
      assert.same({ 304, tag }, { again.status, again.headers.etag })
      assert.equal(200, get("/dashboard/app.js", { ["if-none-match"] = '"other"' }).status)
    end)

    it("and nothing beside it", function()
      for _, name in ipairs { "none.js", "../gate.lua", "..%2f..%2flua/moongate/gateway.lua", "app.js/", "app" } do
        assert.equal(404, get("/dashboard/" .. name).status)
      end
      assert.equal("../dashboard", get("/dashboard/").headers.location)
    end)

    it("and says to everybody no more than whether there is an admin token", function()
      assert.same({ admin_token_is_set = true }, get("/dashboard/door"):json())
    end)
  end)

  for _, path in ipairs { "overview", "events", "requests", "policies", "models" } do
    it("tells /admin/" .. path .. " to the admin alone", function()
      for _, key in ipairs { false, "some-key" } do
        local answer = get("/admin/" .. path, nil, key or nil)
        assert.same({ 401, "admin_token_required" }, { answer.status, answer:json().error.code })
      end
    end)
  end

  it("tells how each provider does, who says so, and when it is back", function()
    local before = provider_of "one"
    assert.same({ "green", "ok", 2 }, { before.pulse, before.status, #before.limits })
    for _ = 1, 3 do assert.equal(200, moongate:chat { model = "small" }.status) end
    local one = provider_of "one"
    assert.same({ "red", { max = 3, current = 3, source = "config" }, "a limit is used up" },
      { one.pulse, one.rpm, one.reason })
    assert.is_true(math.abs(one.back_at - os.time()) <= 61)
    moongate:chat { model = "gone" }
    local off = provider_of "off"
    assert.same({ "red", "quota exhausted" }, { off.pulse, off.reason })
    assert.is_true(math.abs(off.back_at - os.time() - 4000) < 20)
    assert.equal("off", overview().out[1].target)
  end)

  it("tells the same of the same state, so that only changes are news", function()
    moongate:chat { model = "gone" }
    local function plain() return get("/admin/overview", nil, gateway.admin_token).body end
    -- The windows that the provider told of are over first.
    local last, alike = nil, 0
    wait.until_(function()
      local told = plain()
      alike, last = told == last and alike + 1 or 0, told
      return alike == 10
    end, "ten readings that are alike")
  end)

  it("tells of policies: calls, faults, times, and what was last wrong with each", function()
    moongate:chat { model = "small" }
    moongate:chat({ model = "small" }, { headers = { ["x-moongate-policy"] = "moody" } })
    local plain, moody = policy_of "routing/plain.lua", policy_of "routing/moody.lua"
    assert.same({ true, 2, 0 }, { plain.is_default, plain.calls, plain.faults })
    assert.is_true(plain.mean_ms > 0 and plain.mean_ms < 100)
    assert.same({ 1, 1, "error", 1, "no idea" },
      { moody.calls, moody.faults, moody.last_error.kind, moody.last_error.line, moody.last_error.message })
    assert.is_true(math.abs(moody.last_error.at - os.time()) < 20)
  end)

  it("tells of a file that does not load, which version is in force, and when that was mended", function()
    local before = policy_of "routing/plain.lua"
    moongate:write("policies/routing/plain.lua", "return functio")
    local broken = wait.until_(function()
      local policy = policy_of "routing/plain.lua"
      return policy.is_broken and policy
    end, "the fault to be told")
    assert.same({ before.version, "load", "policies/routing/plain.lua" },
      { broken.version, broken.last_error.kind, broken.last_error.file })
    assert.are_not.equal(before.version, broken.saved_version)
    moongate:write("policies/routing/plain.lua", PLAIN .. "\n")
    local mended = wait.until_(function()
      local policy = policy_of "routing/plain.lua"
      return not policy.is_broken and policy
    end, "the mended file")
    assert.is_true(mended.last_error.mended_at >= mended.last_error.at and mended.loaded_at >= before.loaded_at)
    moongate:write("policies/access.lua", "return 1")
    wait.until_(function()
      local policy = policy_of "access.lua"
      return policy and policy.is_broken and not policy.version
    end, "a guard that never loaded")
  end)

  it("tells the newest requests first, and nothing of what was asked", function()
    local ids = {}
    for i = 1, 3 do
      local answer = moongate:chat { model = "small", messages = { { role = "user", content = "secret words" } } }
      table.insert(ids, 1, answer.headers["x-request-id"])
      assert.equal(i, #moongate:admin("/admin/requests").requests)
    end
    local answer = get("/admin/requests?limit=2", nil, gateway.admin_token)
    local rows = answer:json().requests
    assert.same({ 2, ids[1], ids[2], "one", "small", "ok" },
      { #rows, rows[1].request_id, rows[2].request_id, rows[1].provider, rows[1].model, rows[1].outcome })
    assert.is_nil(answer.body:find("secret words", 1, true))
    for _, limit in ipairs { "0", "201", "x", "-1", "1.5" } do
      assert.equal(400, select(2, moongate:admin("/admin/requests?limit=" .. limit)))
    end
  end)

  it("tells of models what they cost, and which prices have changed since the start", function()
    local told = moongate:admin "/admin/models"
    assert.same({ "one/small", 1, 0 }, { told.models[1].id, told.models[1].cost.input, #told.changes })
    moongate:write("moongate.lua", CONFIG:format(gateway.admin_token, "0.5"))
    moongate.process:kill "HUP"
    local changes = wait.until_(function()
      local found = moongate:admin("/admin/models").changes
      return #found > 0 and found
    end, "the change")
    assert.same({ "one/small", "input", 1, 0.5 }, { changes[1].id, changes[1].field, changes[1].old, changes[1].new })
  end)
end)
