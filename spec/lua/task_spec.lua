require "spec.support.core"
local task = require "moongate.task"

local function asked(text, more)
  local request = more or {}
  request.messages = { { role = "system", content = "Write code." }, { role = "user", content = text } }
  return task.classify(request)
end

describe("task.classify", function()
  it("goes by the words of the last user message", function()
    for text, expected in pairs {
      ["Hello, how are you?"] = "chat",
      ["Write a Python function that adds."] = "coding",
      ["```\nx = 1\n```\nwhat is this?"] = "coding",
      ["Translate this into French: the code works"] = "translation",
      ["Summarize: a function is ..."] = "summarization",
      ["TL;DR please"] = "summarization",
      ["Prove that there are infinitely many primes"] = "reasoning",
      ["Draw a cat"] = "image",
      ["The encoder is a barcode decoder"] = "chat",
      [""] = "chat",
    } do
      assert.equal(expected, asked(text), text)
    end
  end)

  it("believes the caller first, and only a type that exists", function()
    assert.equal("image", asked("Translate this", { task = "image" }))
    assert.equal("translation", asked("Translate this", { task = "nonsense" }))
  end)

  it("goes by the shape: images, a tool's answer", function()
    assert.equal("image", asked("What is this?", { images = true }))
    assert.equal("agent_step", task.classify { messages = { { role = "user" }, { role = "tool", content = "7" } } })
  end)

  it("reads the text parts of a message, and survives any other", function()
    assert.equal("coding", asked { { type = "text", text = "Debug this" }, { type = "image_url" }, 5 })
    for _, messages in ipairs { { 1, "x" }, { { role = "user" } }, {}, { { role = "user", content = 7 } } } do
      assert.equal("chat", task.classify { messages = messages })
    end
    assert.equal("chat", task.classify {})
  end)

  it("looks at both ends of a long text only", function()
    assert.equal("translation", asked(string.rep("word ", 200000) .. "translate that"))
  end)
end)

describe("task.problem", function()
  it("names the types there are", function()
    assert.is_nil(task.problem "coding")
    assert.matches('^task must be one of chat, .*%(did you mean "coding"%?%)$', task.problem "codin")
    assert.matches("^task must be one of", task.problem(5))
  end)
end)

describe("moongate.core.words", function()
  it("finds what the kit for policies finds, in whatever text", function()
    local kinds = { { "in french", "a b c", "in" }, { "french", "a", "tl dr" }, { "a b", "zusammen", "über" } }
    local finders = {
      package.preload["moongate.core.words"]().finder(kinds), require("moongate.testing.words").finder(kinds),
    }
    local pieces = { "in", "French", "a", "B", "c", "tl", "DR", "über", "\0", "\200", "\27" }
    local between = { " ", ";", "  \n", "", "-", "'", "\t\v" }
    math.randomseed(5)
    for _ = 1, 5000 do
      local parts = {}
      for i = 1, math.random(0, 8) do
        parts[i] = pieces[math.random(#pieces)] .. between[math.random(#between)]
      end
      local text = table.concat(parts)
      assert.equal(finders[2](text), finders[1](text), text)
    end
  end)

  it("refuses what it has no room for", function()
    local words = package.preload["moongate.core.words"]()
    assert.error_matches(function() words.finder { { "x" } }(("x"):rep(9000)) end, "longer")
    local many = {}
    for i = 1, 300 do many[i] = "word" .. i end
    assert.error_matches(function() words.finder { many } end, "too many")
  end)
end)
