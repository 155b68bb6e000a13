-- Callers' keys over HTTP: for the admin token alone.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("the admin calls", function()
  local core, admin, state

  before_each(function()
    core = fakes.install()
    admin = require "moongate.admin"
    local callers = require "moongate.callers"
    local config = { auth = "keys", admin_token = "root", keys = { { name = "dev", key = "dev-key" } } }
    state = { config = config, callers = callers.new(config) }
  end)
  after_each(function() core.restore() end)

  local function ask(what, body, prefix, secret)
    local headers = { authorization = "Bearer " .. (secret or "root") }
    local handle = fakes.handle { headers = headers, body = type(body) == "table" and json.encode(body) or body }
    admin[what](handle, state, prefix)
    assert.equal(1, #handle.replies)
    local reply = handle.replies[1]
    return reply.status, json.decode(reply.body), reply.body
  end

  it("are for the admin token only, and change nothing without it", function()
    for _, what in ipairs { "list_keys", "create_key", "revoke_key" } do
      for _, secret in ipairs { "dev-key", "nobodys", "root2" } do
        local status, reply = ask(what, { name = "ci" }, "mg-123456", secret)
        assert.same({ 401, "admin_token_required" }, { status, reply.error.code })
      end
    end
    assert.same({}, core.of "keys.add")
    assert.same({}, core.of "keys.revoke")
    assert.same({}, core.of "keys.all")
  end)

  it("say so where there is no admin token at all", function()
    state.config = { auth = "none" }
    state.callers = require("moongate.callers").new(state.config)
    local status, reply = ask("list_keys", nil, nil, "root")
    assert.equal(401, status)
    assert.matches("there is no admin token: set admin_token", reply.error.message, 1, true)
  end)

  describe("create a key", function()
    it("that is shown this once, while the store gets its hash", function()
      local status, reply = ask("create_key", { name = "ci", rpm = 60, models = { "gpt-*" } })
      assert.same({ 201, { key = "mg-" .. string.rep("a1", 20), prefix = "mg-a1a1a1", name = "ci" } },
        { status, reply })
      local added = core.of("keys.add")[1]
      assert.same({ "mg-a1a1a1", string.sub(reply.key, 1, 32) }, { added[1], added[2] })
      assert.same({ id = "mg-a1a1a1", name = "ci", rpm = 60, models = { "gpt-*" } }, json.decode(added[3]))
      assert.not_matches(reply.key, added[3], 1, true)
    end)

    -- title, body, words
    for _, case in ipairs {
      { "no JSON", "name=ci", "" }, { "nothing", "", "" }, { "a text", '"ci"', "the body must be a JSON object" },
      { "null", "null", "the body must be a JSON object" }, { "a list", '["ci"]', "unknown" },
      { "a setting there is not", '{"name":"ci","admin":true}', "admin: unknown" },
      { "null for a setting", '{"name":"ci","org":null}', "org: expected a string, got null" },
      { "a map of models", '{"name":"ci","models":{"a":1}}', "models: expected a list" },
      { "no name", "{}", "name: expected" },
    } do
      it("not from " .. case[1], function()
        local status, reply = ask("create_key", case[2])
        assert.equal(400, status)
        assert.matches(case[3], reply.error.message, 1, true)
        assert.same({}, core.of "keys.add")
      end)
    end

    it("not if the store does not keep it", function()
      for _, answer in ipairs { false, 0 } do
        core.set("keys.add", function()
          if answer == false then return false end
          return nil
        end)
        local status, reply, text = ask("create_key", { name = "ci" })
        assert.equal(500, status)
        assert.matches("nothing was created", reply.error.message, 1, true)
        assert.not_matches("mg-a1", text, 1, true)
      end
    end)
  end)

  it("list the stored keys, without hash and secret", function()
    core.set("keys.all", function()
      return { { prefix = "mg-2", settings = '{"id":"mg-2","name":"b"}', created = 2, revoked = 3 },
        { prefix = "mg-1", settings = '{"id":"mg-1","name":"a","org":"acme"}', created = 1 } }
    end)
    local status, reply = ask "list_keys"
    assert.same({ 200, { keys = {
      { prefix = "mg-1", name = "a", org = "acme", created = 1 },
      { prefix = "mg-2", name = "b", created = 2, revoked = 3 },
    } } }, { status, reply })
  end)

  it("list no keys as an empty list", function()
    assert.equal('{"keys":[]}', (select(3, ask "list_keys")))
  end)

  -- title, what the store answers, status, words
  for _, case in ipairs {
    { "revoke the one key that begins so", true, 200, "mg-12" },
    { "revoke none where none begins so", 0, 404, 'no key in force begins with "mg-12"' },
    { "revoke none where several do", 3, 409, "3 keys begin with" },
    { "revoke none that the store could not change", false, 500, "that is not stored yet" },
  } do
    it(case[1], function()
      core.set("keys.revoke", function() return case[2] end)
      local status, reply = ask("revoke_key", nil, "mg-12")
      assert.equal(case[3], status)
      assert.matches(case[4], reply.revoked or reply.error.message, 1, true)
      assert.equal("mg-12", core.of("keys.revoke")[1][1])
    end)
  end
end)
