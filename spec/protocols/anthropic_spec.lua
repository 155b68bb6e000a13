require "spec.support.core"
local anthropic = require "protocols.anthropic"
local json = require "moongate.core.json"

local PNG = "iVBORw0KGgoAAAA"

local function order(more)
  local own = {
    operation = "chat", target = { upstream_id = "claude-opus-4-1" }, key = "k1", stream = false,
    provider = { name = "anthropic", base_url = "https://host.example" },
  }
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

local function patched(body, more)
  local own = order(more)
  own.document = assert(json.scan(body))
  return assert(anthropic.build(own))
end

local function says(role, ...)
  local blocks = {}
  for i, block in ipairs { ... } do
    blocks[i] = type(block) == "string" and { kind = "text", text = block } or block
  end
  return { role = role, blocks = blocks }
end

local function neutral(more)
  local own = { system = {}, turns = { says("user", "Hi") }, tools = {}, stream = false, unread = {} }
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

-- The body that goes out for a neutral chat, and the names of what was left out.
local function written(more, model, others)
  local own = order(others)
  own.chat = neutral(more)
  if model then own.target = type(model) == "table" and model or { upstream_id = model } end
  local wire = assert(anthropic.build(own))
  return json.decode(wire.body), wire.dropped
end

local function unfit(more)
  local wire, why = anthropic.build(order { chat = neutral(more) })
  assert.is_nil(wire)
  return why
end

describe("a call to Anthropic", function()
  it("has a frame in common with others that say the same in headers, and with few of those who do not", function()
    local provider = { name = "anthropic", base_url = "https://host.example", headers = { ["X-Own"] = "1" } }
    local function framed(headers, more)
      local own = { provider = provider, headers = headers }
      for name, value in pairs(more or {}) do own[name] = value end
      return patched('{"model":"m"}', own).frame
    end
    local bare = framed()
    assert.equal(bare, framed { ["anthropic-version"] = "2023-06-01" })
    assert.equal("1", bare.headers["x-own"])
    local beta = framed { ["anthropic-beta"] = "a" }
    assert.equal(beta, framed { ["anthropic-beta"] = "a" })
    assert.equal("a", beta.headers["anthropic-beta"])
    assert.is_nil(bare.headers["anthropic-beta"])
    assert.not_equal(beta, framed { ["anthropic-beta"] = "a", ["anthropic-version"] = "1" })
    for _, more in ipairs { { stream = true }, { key = "k2" }, { operation = "count" } } do
      assert.not_equal(bare, framed(nil, more))
    end
    for i = 1, 40 do assert.equal("b" .. i, framed({ ["anthropic-beta"] = "b" .. i }).headers["anthropic-beta"]) end
    assert.not_equal(beta, framed { ["anthropic-beta"] = "a" }) -- what all say is not kept for ever
    assert.equal(bare, framed())
  end)

  it("goes to its operation below the bare address", function()
    assert.equal("https://host.example/v1/messages", patched('{"model":"m"}').url)
    assert.equal("https://host.example/v1/messages/count_tokens", patched('{"model":"m"}', { operation = "count" }).url)
  end)

  it("takes an address that names the version already", function()
    local wire = patched('{"model":"m"}', { provider = { name = "anthropic", base_url = "https://h/v1/" } })
    assert.equal("https://h/v1/messages", wire.url)
  end)

  it("bears the key and the version in Anthropic's headers", function()
    local headers = patched('{"model":"m"}').headers
    assert.equal("k1", headers["x-api-key"])
    assert.equal("2023-06-01", headers["anthropic-version"])
    assert.is_nil(headers.authorization)
  end)

  it("bears the key so at any other provider of this protocol", function()
    assert.equal("k1", patched('{"model":"m"}', { provider = { name = "mine", base_url = "http://h" } })
      .headers["x-api-key"])
  end)

  it("bears the key of a login as a bearer token", function()
    local headers = patched('{"model":"m"}', { key = "sk-ant-oat01-x", headers = { ["anthropic-beta"] = "a" } }).headers
    assert.is_nil(headers["x-api-key"])
    assert.equal("Bearer sk-ant-oat01-x", headers.authorization)
    assert.equal("a,oauth-2025-04-20", headers["anthropic-beta"])
  end)

  it("hands on the caller's version and betas where the caller speaks this format, and only there", function()
    local headers = { ["anthropic-version"] = "2024-01-01", ["anthropic-beta"] = "a,b", ["x-other"] = "c" }
    local sent = patched('{"model":"m"}', { headers = headers }).headers
    assert.equal("2024-01-01", sent["anthropic-version"])
    assert.equal("a,b", sent["anthropic-beta"])
    assert.is_nil(sent["x-other"])
    sent = anthropic.build(order { chat = neutral(), headers = headers }).headers
    assert.equal("2023-06-01", sent["anthropic-version"])
    assert.is_nil(sent["anthropic-beta"])
  end)

  it("is the caller's own text but for the model", function()
    assert.equal('{ "model" : "claude-opus-4-1", "messages":[ {"role":"user","content":"caf\\u00e9"} ],"x":1e2 }',
      patched('{ "model" : "any", "messages":[ {"role":"user","content":"caf\\u00e9"} ],"x":1e2 }').body)
  end)

  it("leaves out what the model refuses", function()
    local text = '{"model":"m","temperature":0.5,"top_p":0.5,"top_k":3}'
    local newest = patched(text, { target = { upstream_id = "claude-sonnet-5" } })
    assert.same({ model = "claude-sonnet-5" }, json.decode(newest.body))
    assert.same({ model = "claude-opus-4-1", temperature = 0.5, top_k = 3 }, json.decode(patched(text).body))
    local older = patched(text, { target = { upstream_id = "claude-3-5-haiku-latest" } })
    assert.equal(0.5, json.decode(older.body).top_p)
  end)

  it("is not made for what Anthropic has not", function()
    local wire, why = anthropic.build(order { operation = "embeddings", embedding = { inputs = { "x" } } })
    assert.is_nil(wire)
    assert.matches("embeddings", why.message)
  end)
end)

describe("a neutral chat for Anthropic", function()
  it("is the smallest body that does", function()
    assert.same({ model = "claude-opus-4-1", max_tokens = 4096, messages = { { role = "user", content = "Hi" } } },
      (written()))
  end)

  it("says how much may be answered, never more than the model can", function()
    assert.equal(7, written({ max_tokens = 7 }).max_tokens)
    local target = { upstream_id = "m", max_output = 100 }
    assert.equal(100, written({}, target).max_tokens)
    assert.equal(100, written({ max_tokens = 500 }, target).max_tokens)
  end)

  it("puts the system's texts in front", function()
    local system = {
      { kind = "text", text = "Be kind." }, { kind = "text", text = " " }, { kind = "text", text = "Be brief." },
    }
    assert.equal("Be kind.\n\nBe brief.", written({ system = system }).system)
    assert.is_nil(written({ system = { system[2] } }).system)
    system[1].cache = { type = "ephemeral" }
    assert.same({
      { type = "text", text = "Be kind.", cache_control = { type = "ephemeral" } },
      { type = "text", text = "Be brief." },
    }, written({ system = system }).system)
  end)

  it("begins with the user", function()
    local messages = written({ turns = { says("assistant", "Hello"), says("user", "Hi") } }).messages
    assert.same({ "user", "assistant", "user" }, { messages[1].role, messages[2].role, messages[3].role })
    assert.equal("user", written({ turns = {} }).messages[1].role)
  end)

  it("drops blank texts, and what is empty then, and joins what meets", function()
    local turns = { says("user", "a"), says("assistant", " \n"), says("user", "b", "") }
    local messages = written({ turns = turns }).messages
    assert.same({ { role = "user", content = { { type = "text", text = "a" }, { type = "text", text = "b" } } } },
      messages)
  end)

  it("does not end in a blank of the assistant's", function()
    local messages = written({ turns = { says("user", "a"), says("assistant", "so \n") } }).messages
    assert.same({ role = "assistant", content = "so" }, messages[2])
    assert.same({ role = "user", content = "a" }, written({ turns = { says("user", "a"), says("assistant", "\t") } })
      .messages[1])
  end)

  it("ends with the user where the model wants it", function()
    local messages = written({ turns = { says("user", "a"), says("assistant", "so") } }, "claude-opus-5").messages
    assert.equal("user", messages[3].role)
  end)

  it("puts results of tools first in their turn, under clean ids", function()
    local body = written {
      tools = { { name = "add" } },
      turns = {
        says("user", "go"),
        says("assistant", { kind = "tool_use", id = "call.1", name = "add", arguments = '{"x":1}' },
          { kind = "tool_use", id = "c2", name = "add", arguments = "" }),
        says("user", { kind = "tool_result", id = "call.1", blocks = { { kind = "text", text = "2" } } }, "and?"),
        says("user", { kind = "tool_result", id = "c2", is_error = true, blocks = {} }),
      },
    }
    assert.same({
      { type = "tool_use", id = "call_1", name = "add", input = { x = 1 } },
      { type = "tool_use", id = "c2", name = "add", input = {} },
    }, body.messages[2].content)
    assert.same({
      { type = "tool_result", tool_use_id = "call_1", content = "2" },
      { type = "tool_result", tool_use_id = "c2", is_error = true },
      { type = "text", text = "and?" },
    }, body.messages[3].content)
  end)

  it("does not lose arguments that are no JSON", function()
    local body = written { turns = { says("user", "a"), says("assistant",
      { kind = "tool_use", id = "c", name = "f", arguments = "oops" }), says("user",
      { kind = "tool_result", id = "c", blocks = {} }) } }
    assert.same({ _raw = "oops" }, body.messages[2].content[1].input)
  end)

  it("names the tools of the past where none are given now", function()
    local body = written { turns = { says("user", "a"), says("assistant",
      { kind = "tool_use", id = "c", name = "f", arguments = "{}" }), says("user",
      { kind = "tool_result", id = "c", blocks = {} }) } }
    assert.same({ { name = "f", input_schema = { type = "object", properties = {} } } }, body.tools)
    assert.same({ type = "none" }, body.tool_choice)
  end)

  it("shows images as what they are", function()
    local content = written({ turns = { says("user", { kind = "image", data = PNG, media_type = "image/jpeg" },
      { kind = "image", url = "https://i/x" }) } }).messages[1].content
    assert.same({ type = "image", source = { type = "base64", media_type = "image/png", data = PNG } }, content[1])
    assert.same({ type = "image", source = { type = "url", url = "https://i/x" } }, content[2])
  end)

  it("carries documents", function()
    local content = written({ turns = { says("user",
      { kind = "document", data = "JVBE", media_type = "application/pdf", name = "a.pdf" },
      { kind = "document", text = "b" }, { kind = "document", url = "https://d/x" }) } }).messages[1].content
    assert.same({
      type = "document", title = "a.pdf", source = { type = "base64", media_type = "application/pdf", data = "JVBE" },
    }, content[1])
    assert.same({ type = "text", media_type = "text/plain", data = "b" }, content[2].source)
    assert.same({ type = "url", url = "https://d/x" }, content[3].source)
  end)

  it("is unfit where Anthropic has no sense for it", function()
    assert.matches("audio", unfit({ turns = { says("user", { kind = "audio", data = "x", format = "wav" }) } }).message)
    assert.matches("image", unfit({ turns = { says("user",
      { kind = "image", data = "xxxx", media_type = "image/bmp" }) } }).message)
    assert.matches("PDF", unfit({ turns = { says("user",
      { kind = "document", data = "x", media_type = "text/csv" }) } }).message)
    assert.equal("n", unfit({ n = 2 }).param)
  end)

  it("sends thoughts back to their maker only", function()
    local turns = { says("user", "a"), says("assistant",
      { kind = "thinking", text = "mine", signature = "s", origin = "anthropic" },
      { kind = "thinking", text = "theirs", signature = "s", origin = "gemini" }, { kind = "thinking", text = "bare" },
      { kind = "redacted", data = "d", origin = "anthropic" }, { kind = "redacted", data = "e", origin = "openai" },
      "so"), says("user", "b") }
    assert.same({
      { type = "thinking", thinking = "mine", signature = "s" }, { type = "redacted_thinking", data = "d" },
      { type = "text", text = "so" },
    }, written({ turns = turns }).messages[2].content)
  end)

  it("describes tools, with an object for arguments even where there are none", function()
    local tools = written({ tools = {
      { name = "a", description = "does a", schema = { type = "object", properties = { x = { type = "string" } } } },
      { name = "b", description = "" }, { name = "c", schema = { properties = { y = {} } }, strict = true },
    } }).tools
    assert.same({ name = "a", description = "does a", input_schema =
      { type = "object", properties = { x = { type = "string" } } } }, tools[1])
    assert.same({ name = "b", input_schema = { type = "object", properties = {} } }, tools[2])
    assert.is_true(tools[3].strict)
    assert.equal("object", tools[3].input_schema.type)
    assert.is_false(tools[3].input_schema.additionalProperties)
  end)

  it("says which tool to take, and whether one at a time", function()
    local function choice(kind, parallel, name)
      return written({
        tools = { { name = "a" } }, tool_choice = kind and { kind = kind, name = name }, parallel = parallel,
      }).tool_choice
    end
    assert.same({ type = "auto" }, choice("auto"))
    assert.same({ type = "any" }, choice("any"))
    assert.same({ type = "none" }, choice("none", false))
    assert.same({ type = "tool", name = "a" }, choice("named", nil, "a"))
    assert.same({ type = "auto", disable_parallel_tool_use = true }, choice(nil, false))
    assert.same({ type = "any", disable_parallel_tool_use = true }, choice("any", false))
    assert.is_nil(choice(nil, true))
    assert.is_nil(written({ tool_choice = { kind = "auto" } }).tool_choice)
  end)

  it("clamps the temperature and keeps one of what shuts each other out", function()
    local body, dropped = written({ temperature = 1.7, top_p = 0.5, top_k = 3 })
    assert.equal(1, body.temperature)
    assert.is_nil(body.top_p)
    assert.equal(3, body.top_k)
    assert.same({ "top_p" }, dropped)
    assert.equal(0.5, written({ top_p = 0.5 }).top_p)
    body, dropped = written({ temperature = 0.5, top_k = 3 }, "claude-opus-4-7")
    assert.is_nil(body.temperature)
    assert.same({ "temperature", "top_k" }, dropped)
  end)

  it("tells what it has no place for", function()
    local _, dropped = written { seed = 1, presence_penalty = 0, frequency_penalty = 0.5, logprobs = true,
      unread = { "store" } }
    assert.same({ "seed", "frequency_penalty", "logprobs", "store" }, dropped)
  end)

  it("passes the rest on", function()
    local body = written({ stop = { "END", " " }, user = "u1" }, nil, { stream = true })
    assert.same({ "END" }, body.stop_sequences)
    assert.same({ user_id = "u1" }, body.metadata)
    assert.is_true(body.stream)
  end)

  it("asks for JSON by an instruction, and for a schema by Anthropic's own means where the model has them", function()
    assert.matches("JSON", written({ format = { kind = "json" } }).system)
    local format = { kind = "schema", schema = { type = "object", properties = { x = { type = "integer", minimum = 1 },
      y = { oneOf = { { type = "string", maxLength = 2 } } } }, required = json.array { "x" } } }
    assert.same({ format = { type = "json_schema", schema = {
      type = "object", additionalProperties = false, required = { "x" }, properties = {
        x = { type = "integer", description = "{minimum: 1}" },
        y = { anyOf = { { type = "string", description = "{maxLength: 2}" } } },
      },
    } } }, written({ format = format }).output_config)
    assert.equal(1, format.schema.properties.x.minimum)
    local older = written({ format = format }, "claude-3-5-haiku-latest")
    assert.is_nil(older.output_config)
    assert.matches('"minimum":1', older.system, 1, true)
  end)

  it("keeps marks for the cache, but no more than four of them", function()
    local mark = { type = "ephemeral" }
    local function marked(text) return { kind = "text", text = text, cache = mark } end
    local body = written {
      system = { marked "s" }, tools = { { name = "t", cache = mark } },
      turns = { says("user", marked "a", marked "b"), says("assistant", marked "c"), says("user", marked "d") },
    }
    local _, count = string.gsub(json.encode(body), "cache_control", "")
    assert.equal(4, count)
    assert.same(mark, body.messages[3].content[1].cache_control)
  end)

  it("asks for a count with nothing else in it", function()
    local body = written({ max_tokens = 5, temperature = 1, user = "u", tools = { { name = "a" } } }, nil,
      { operation = "count" })
    assert.same({ model = "claude-opus-4-1", messages = { { role = "user", content = "Hi" } },
      tools = { { name = "a", input_schema = { type = "object", properties = {} } } } }, body)
  end)
end)

describe("thinking at Anthropic", function()
  it("has a budget below the limit of the answer", function()
    local body = written({ reasoning = { effort = "medium" } })
    assert.same({ type = "enabled", budget_tokens = 8192 }, body.thinking)
    assert.is_true(body.max_tokens > 8192)
    for _, most in ipairs { 1, 100, 1024, 1279, 1280, 2000, 9000, 100000 } do
      for _, effort in ipairs { "minimal", "low", "medium", "high", "xhigh" } do
        local own = written({ reasoning = { effort = effort }, max_tokens = most })
        assert.is_true(own.thinking.budget_tokens >= 1024 and own.thinking.budget_tokens < own.max_tokens)
        assert.is_true(own.max_tokens == most or (most < 1280 and own.max_tokens == most + 1024))
      end
    end
  end)

  it("keeps within what the model can answer, or is left out", function()
    local body = written({ reasoning = { effort = "high" } }, { upstream_id = "m", max_output = 8192 })
    assert.equal(8192, body.max_tokens)
    assert.is_true(body.thinking.budget_tokens < 8192)
    local none, dropped = written({ reasoning = { budget = 2000 } }, { upstream_id = "m", max_output = 1000 })
    assert.is_nil(none.thinking)
    assert.same({ "reasoning" }, dropped)
  end)

  it("shuts sampling out", function()
    local body = written({ reasoning = { budget = 2000 }, temperature = 0.5, top_k = 3 })
    assert.equal(2000, body.thinking.budget_tokens)
    assert.is_nil(body.temperature)
    assert.is_nil(body.top_k)
  end)

  it("goes by effort where the model wants it", function()
    local body = written({ reasoning = { effort = "xhigh", show = true } }, "claude-opus-5")
    assert.same({ type = "adaptive", display = "summarized" }, body.thinking)
    assert.same({ effort = "xhigh" }, body.output_config)
    assert.equal(4096, body.max_tokens)
    assert.same({ effort = "high" }, written({ reasoning = { effort = "xhigh" } }, "claude-sonnet-4-6").output_config)
    assert.same({ effort = "medium" }, written({ reasoning = { budget = 9000 } }, "claude-sonnet-5").output_config)
  end)

  it("can be switched off", function()
    assert.is_nil(written({ reasoning = { effort = "none" } }).thinking)
    assert.is_nil(written({ reasoning = { budget = 0 } }).thinking)
    assert.same({ type = "disabled" }, written({ reasoning = { effort = "none" } }, "claude-sonnet-5").thinking)
  end)

  it("gives way to a tool that must be called", function()
    local more = { reasoning = { effort = "low" }, tools = { { name = "a" } }, tool_choice = { kind = "any" } }
    local body, dropped = written(more)
    assert.is_nil(body.thinking)
    assert.same({ "reasoning" }, dropped)
    assert.equal("any", body.tool_choice.type)
    assert.is_nil(written(more, "claude-opus-5").thinking)
  end)

  it("is left out in the middle of a tool's use whose thoughts are lost", function()
    local call = { kind = "tool_use", id = "c", name = "f", arguments = "{}" }
    local function turns(...)
      local answered = says("user", { kind = "tool_result", id = "c", blocks = {} })
      return { says("user", "a"), says("assistant", ...), answered }
    end
    assert.is_nil(written({ reasoning = { effort = "low" }, turns = turns(call) }).thinking)
    local thought = { kind = "thinking", text = "t", signature = "s", origin = "anthropic" }
    assert.is_table(written({ reasoning = { effort = "low" }, turns = turns(thought, call) }).thinking)
  end)

  it("is unknown to the oldest models", function()
    local body, dropped = written({ reasoning = { effort = "low" } }, "claude-3-5-sonnet-latest")
    assert.is_nil(body.thinking)
    assert.same({ "reasoning" }, dropped)
  end)
end)
