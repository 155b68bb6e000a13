-- What all formats have in common: turns that alternate, results that know their calls, signatures that find home.
require "spec.support.core"
local chat = require "moongate.chat"
local json = require "moongate.core.json"

local function text(value) return { kind = "text", text = value } end
local function has_seal(body) return chat.has_seal(json.scan(body)) end
local function result(id) return { kind = "tool_result", id = id, blocks = { text "3" } } end

describe("the neutral chat", function()
  it("has turns that alternate, none of them empty, results first", function()
    local turns = {}
    chat.add(turns, "user", { text "a" })
    chat.add(turns, "user", { text "b", result "1" })
    chat.add(turns, "user", { result "2" })
    chat.add(turns, "assistant", {})
    chat.add(turns, "assistant", { text "c" })
    assert.same({ { role = "user", blocks = { result "1", result "2", text "a", text "b" } },
      { role = "assistant", blocks = { text "c" } } }, turns)
  end)

  it("gives results the names of their calls, and finds the one that has none", function()
    local use = { kind = "tool_use", id = "1", name = "add", arguments = "{}" }
    local first, stray = result "1", result "9"
    assert.is_nil(chat.name_results { { role = "assistant", blocks = { use } }, { role = "user", blocks = { first } } })
    assert.equal("add", first.name)
    assert.equal("9", chat.name_results { { role = "user", blocks = { stray } } })
  end)

  it("joins texts, and nothing else", function()
    assert.equal("a|b", chat.text({ text "a", { kind = "image", url = "x" }, text "b" }, "|"))
    assert.equal("", chat.text {})
  end)

  it("reads arguments as an object, whatever a model wrote", function()
    assert.same({ x = 1 }, chat.arguments '{"x":1}')
    assert.same({}, chat.arguments "")
    assert.same({}, chat.arguments " \n")
    for _, broken in ipairs { '{"x":', "[1]", "3", '"x"', "null" } do
      assert.same({ _raw = broken }, chat.arguments(broken))
    end
  end)

  it("takes data URLs apart, and leaves other addresses alone", function()
    assert.same({ "image/png", "QUJD" }, { chat.data_url "data:image/png;base64,QUJD" })
    assert.same({ "text/plain", "QQ==" }, { chat.data_url "data:text/plain;charset=utf-8;base64,QQ==" })
    for _, url in ipairs { "https://x.test/a.png", "data:text/plain,abc", "" } do assert.is_nil(chat.data_url(url)) end
  end)

  it("knows an image by its first bytes rather than by what is said of it", function()
    assert.same({ "image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp" }, {
      chat.image_type("/9j/4AAQ", "image/png"), chat.image_type "iVBORw0KGgoAAAA", chat.image_type "R0lGODlh",
      chat.image_type "UklGRiQ", chat.image_type("Qk0=", "image/bmp"),
    })
  end)
end)

describe("a signature", function()
  it("goes bare to callers of its own format, sealed to others, and comes back as it was", function()
    for _, signature in ipairs { "EqQB", "", "a.b.c", "moongate.x.y", "Cq==" } do
      for _, origin in ipairs { "anthropic", "gemini", "openai_responses" } do
        local sealed = chat.seal(signature, origin, "openai")
        assert.same({ signature, origin }, { chat.unseal(sealed, "openai") })
      end
    end
    assert.equal("EqQB", chat.seal("EqQB", "anthropic", "anthropic"))
    assert.same({ "EqQB", "anthropic" }, { chat.unseal("EqQB", "anthropic") })
  end)

  it("that is sealed is found in a body", function()
    assert.is_true(has_seal('{"signature":"' .. chat.seal("x", "gemini", "anthropic") .. '"}'))
    assert.is_false(has_seal '{"signature":"EqQB","text":"see moongate.dev"}')
  end)
end)
