-- What of a conversation gets into the log where prompts are asked for: how much, and without which secrets.
local fakes = require "spec.support.fakes"

describe("a prompt for the log", function()
  local core, prompts
  before_each(function()
    core = fakes.install()
    prompts = require "moongate.prompts"
  end)
  after_each(function() core.restore() end)

  local function user(content) return { role = "user", content = content } end
  local function list(messages, hidden) return prompts.list({ messages = messages }, hidden or {}) end

  it("is its messages with their roles, texts and calls; what is no text is named", function()
    local told, left_out = list {
      { role = "system", content = "Be kind." },
      user { { type = "text", text = "What is this?" }, { type = "image_url", image_url = { url = "data:AAAA" } } },
      { role = "assistant", content = "", tool_calls = {
        { id = "1", type = "function", ["function"] = { name = "look", arguments = '{"far":true}' } } } },
      { role = "tool", tool_call_id = "1", content = "nothing" },
    }
    assert.same({
      { role = "system", content = "Be kind." }, user "What is this?\n(image_url)",
      { role = "assistant", content = '(calls look {"far":true})' }, { role = "tool", content = "nothing" },
    }, told)
    assert.equal(0, left_out)
  end)

  it("has the newest messages, and says how many others there are", function()
    local messages = {}
    for i = 1, 50 do messages[i] = user("number " .. i) end
    local told, left_out = list(messages)
    assert.same({ 20, 30, "number 31", "number 50" }, { #told, left_out, told[1].content, told[20].content })
  end)

  it("has the beginning of a long text, cut between characters, and its length", function()
    local told = list { user(("ä"):rep(5000)), user(("x"):rep(2000)) }
    assert.equal(("ä"):rep(1000) .. "... (10000 bytes)", told[1].content)
    assert.equal(("x"):rep(2000), told[2].content)
    assert.equal("x" .. ("ä"):rep(999) .. "... (2003 bytes)", list({ user("x" .. ("ä"):rep(1001)) })[1].content)
  end)

  it("has no key in it, known or alike, nor a piece of one where it is cut", function()
    local key = "mg-" .. ("0a1b"):rep(10)
    for text, told in pairs {
      ["my key is " .. key .. "."] = "my key is ***.",
      ["Authorization: Bearer abc.def-123"] = "Authorization: Bearer ***",
      ["sk-proj-0123456789abcdefghij, and more"] = "***, and more",
      ["say hunter2-of-the-house twice"] = "say *** twice",
      ["a sk-learn task, with skulls"] = "a sk-learn task, with skulls",
    } do
      assert.same({ user(told) }, (list({ user(text) }, { "hunter2-of-the-house" })))
    end
    local cut = list({ user(("x "):rep(990) .. key .. (" y"):rep(500)) })[1].content
    assert.is_nil(cut:find("0a1b", 1, true))
    cut = list({ user(("x "):rep(998) .. key .. (" y"):rep(500)) })[1].content
    assert.is_nil(cut:find("mg-", 1, true))
  end)

  it("of embeddings is what is to be embedded", function()
    assert.same({ { role = "input", content = "one" } }, (prompts.list({ input = "one" }, {})))
    assert.same({ { role = "input", content = "one" }, { role = "input", content = "two" } },
      (prompts.list({ input = { "one", "two" } }, {})))
    assert.same({ { role = "input", content = "(tokens)\n(tokens)" } }, (prompts.list({ input = { 5, 6 } }, {})))
  end)
end)
