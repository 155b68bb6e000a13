local text = require "moongate.text"

describe("text", function()
  it("finds words in any case, and takes them as they are written", function()
    assert.is_true(text.contains("Please DEBUG this", "debug"))
    assert.is_true(text.contains("a function", { "class", "func" }))
    assert.is_false(text.contains("nothing of it", { "debug", "func" }))
    assert.is_false(text.contains("abc", "a.c"))
    assert.is_true(text.contains("100%", "0%"))
  end)

  it("tells how a text begins and ends", function()
    assert.is_true(text.starts_with("gpt-4o", "gpt-"))
    assert.is_false(text.starts_with("gpt", "gpt-4o"))
    assert.is_true(text.ends_with("model:free", ":free"))
    assert.is_false(text.ends_with("model:free", ":paid"))
    assert.is_true(text.starts_with("x", "") and text.ends_with("x", ""))
  end)

  it("gathers what messages say, and leaves out what is no text", function()
    local messages = {
      { role = "system", content = "Be brief." },
      { role = "user", content = { { type = "text", text = "What is this?" }, { type = "image_url" } } },
      { role = "assistant" },
    }
    assert.equal("Be brief.\nWhat is this?", text.of(messages))
    assert.equal("", text.of {})
  end)
end)
