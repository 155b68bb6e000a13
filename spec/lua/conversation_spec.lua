-- Which conversation a request belongs to, and who served it.
local fakes = require "spec.support.fakes"
local json = require "moongate.core.json"

describe("a conversation", function()
  local core, conversation, kept

  before_each(function()
    core, kept = fakes.install(), {}
    core.set("affinity.remember", function(digest, target) kept[digest] = target end)
    core.set("affinity.recall", function(digest) return kept[digest] end)
    conversation = require "moongate.conversation"
  end)
  after_each(function() core.restore() end)

  local ana, bob = { key_id = "ana" }, { key_id = "bob" }

  local function digest(messages, caller)
    return conversation.of(json.scan(json.encode { messages = json.array(messages) }, 10), caller or ana)
  end

  local system, hello = { role = "system", content = "Be brief." }, { role = "user", content = "Hello" }
  local answer, more = { role = "assistant", content = "Hi." }, { role = "user", content = "And now?" }

  it("is the same in every turn", function()
    assert.equal(digest { system, hello }, digest { system, hello, answer, more })
  end)

  it("is another with another beginning, or of another caller", function()
    assert.not_equal(digest { system, hello }, digest { hello })
    assert.not_equal(digest { system, hello }, digest { system, more })
    assert.not_equal(digest { system, hello }, digest({ system, hello }, bob))
  end)

  it("is looked at near its beginning only", function()
    local long = string.rep("x", 100000)
    assert.equal(digest { { role = "user", content = long } }, digest { { role = "user", content = long .. "y" } })
    local lines = {}
    for i = 1, 50 do lines[i] = { role = "assistant", content = "line " .. i } end
    assert.equal(digest(lines), digest { unpack(lines, 1, 20) })
  end)

  it("begins with what its API calls the messages", function()
    local function of(text) return conversation.of(json.scan(text, 10), ana) end
    local one = of '{"messages":[{"role":"user","content":"a"}]}'
    assert.equal(8, #one)
    assert.equal(one, of '{"input":"b","messages":[{"role":"user","content":"a"},{"role":"user"}]}')
    assert.equal(one, of '{"contents":[{"role":"user","content":"a"}]}')
    assert.equal(one, of '{"input":[{"role":"user","content":"a"}]}')
    assert.not_equal(one, of '{"input":[{"role":"user","content":"b"}]}')
    assert.equal(of '{"input":[]}', of '{"messages":[]}')
  end)

  it("is none without messages", function()
    for _, text in ipairs { "{}", "5", "[]", '{"input":"x"}', '{"messages":5,"input":[]}' } do
      assert.is_nil(conversation.of(json.scan(text, 10), ana))
    end
    assert.is_nil(conversation.target(nil))
    conversation.served(nil, { id = "a/b" })
    assert.same({}, kept)
  end)

  it("remembers who served it", function()
    local one = digest { hello }
    assert.is_nil(conversation.target(one))
    conversation.served(one, { id = "acme/small" })
    assert.equal("acme/small", conversation.target(one))
  end)
end)
