-- What a provider wants written differently: only what is named changes, and no message or tool is ever lost.
require "spec.support.core"
local dialect = require "moongate.dialect"
local json = require "moongate.core.json"

local function patched(text, quirks, operation, upstream_id)
  local document, changes = assert(json.scan(text, 100)), {}
  dialect.apply(document, quirks, operation or "chat", upstream_id or "up", changes)
  return document:patch(changes), changes
end

describe("a dialect", function()
  it("without quirks changes not a byte", function()
    local text = '{ "model" : "m",\n "messages": [ {"role":"user", "content":"\\u00e4"} ], "x":1.50 }'
    for _, quirks in ipairs { false, {}, { drop = { "seed" }, clamp = { temperature = { 0, 1 } },
      roles = { developer = "system" }, call_id = { length = 9 }, rename = { a = "b" }, needs = { c = "d" } } } do
      assert.equal(text, (patched(text, quirks or nil)))
    end
  end)

  it("drops what the provider refuses", function()
    local out = patched('{"model":"m","seed":null,"top_p":1}', { drop = { "seed", "n" } })
    assert.equal('{"model":"m","top_p":1}', out)
  end)

  it("renames a field, byte for byte, and leaves out one that is null", function()
    assert.same({ max = 1.5 }, json.decode((patched('{"most":1.50}', { rename = { most = "max" } }))))
    assert.matches("1.50", patched('{"most":1.50}', { rename = { most = "max" } }), 1, true)
    assert.equal("{}", (patched('{"most":null}', { rename = { most = "max" } })))
  end)

  it("lets the name that the provider knows win, unless it is null", function()
    local quirks = { rename = { most = "max" } }
    assert.same({ max = 2 }, json.decode((patched('{"most":1,"max":2}', quirks))))
    assert.same({ max = 1 }, json.decode((patched('{"most":1,"max":null}', quirks))))
  end)

  it("drops a field that makes no sense without another", function()
    local quirks = { needs = { tool_choice = "tools" } }
    assert.same({}, json.decode((patched('{"tool_choice":"auto"}', quirks))))
    assert.same({ tools = json.null }, json.decode((patched('{"tool_choice":"auto","tools":null}', quirks))))
    local whole = '{"tool_choice":"auto","tools":[]}'
    assert.equal(whole, (patched(whole, quirks)))
  end)

  it("brings a number into its range, and leaves what is no number", function()
    local quirks = { clamp = { temperature = { 0.1, 1 } } }
    for text, value in pairs { ["2"] = 1, ["0"] = 0.1, ["-5"] = 0.1, ["1"] = 1, ["0.10"] = 0.1, ['"hot"'] = "hot" } do
      assert.equal(value, json.decode((patched('{"temperature":' .. text .. "}", quirks))).temperature)
    end
    assert.equal('{"temperature":0.50}', (patched('{"temperature":0.50}', quirks)))
  end)

  describe("of messages", function()
    local text = '{"messages":[{"role":"developer","name":"ann","content":[{"type":"text","text":"a  b"}]},'
      .. '{"content":null,"role":"user","extra":{"n":1.0}}]}'

    it("renames roles and keeps everything else as it was written", function()
      local out = patched(text, { roles = { developer = "system" } })
      assert.equal('{"messages":[{"role":"system","name":"ann","content":[{"type":"text","text":"a  b"}]},'
        .. '{"content":null,"role":"user","extra":{"n":1.0}}]}', out)
    end)

    it("drops members the provider refuses, never a message", function()
      local messages = json.decode((patched(text, { message_drop = { "name", "extra" } }))).messages
      assert.same({ { role = "developer", content = { { type = "text", text = "a  b" } } },
        { role = "user", content = json.null } }, messages)
    end)

    it("leaves them alone if no role is another one's", function()
      local _, changes = patched('{"messages":[{"role":"user"}]}', { roles = { developer = "system" } })
      assert.is_nil(changes.messages)
    end)
  end)

  describe("of tool call ids", function()
    local quirks = { call_id = { length = 9 } }

    local function id_of(id)
      local text = json.encode { messages = { { role = "tool", tool_call_id = id, content = "x" } } }
      return json.decode((patched(text, quirks))).messages[1].tool_call_id
    end

    it("makes them as long as the provider wants, of letters and digits, always the same way", function()
      for _, id in ipairs { "call_1", "", "a", string.rep("x", 100), "abc-ef123", "\228\228\228\228" } do
        assert.matches("^%w%w%w%w%w%w%w%w%w$", id_of(id))
        assert.equal(id_of(id), id_of(id))
      end
    end)

    it("keeps one that is fine", function()
      assert.equal("abcDEF123", id_of "abcDEF123")
    end)

    it("keeps different ids apart", function()
      local seen = {}
      for i = 1, 3000 do
        local id = id_of("call_" .. i)
        assert.is_nil(seen[id])
        seen[id] = true
      end
    end)

    it("gives call and result the same id, and keeps the calls' other members", function()
      local messages = json.decode((patched('{"messages":[{"role":"assistant","tool_calls":[{"id":"call_1","type":'
        .. '"function","function":{"name":"f","arguments":"{\\"a\\":1}"}},{"id":"abcDEF123","type":"function"}]},'
        .. '{"role":"tool","tool_call_id":"call_1"}]}', quirks))).messages
      local calls = messages[1].tool_calls
      assert.equal(messages[2].tool_call_id, calls[1].id)
      assert.same({ name = "f", arguments = '{"a":1}' }, calls[1]["function"])
      assert.equal("abcDEF123", calls[2].id)
    end)

    it("leaves alone what is no id", function()
      local text = '{"messages":[{"role":"assistant","tool_calls":null,"tool_call_id":5}]}'
      assert.equal(text, (patched(text, quirks)))
    end)
  end)

  it("of embeddings is its own", function()
    local quirks = { drop = { "user" }, embeddings = { drop = { "dimensions" } } }
    assert.same({ user = "u" }, json.decode((patched('{"user":"u","dimensions":5}', quirks, "embeddings"))))
    assert.same({ dimensions = 5 }, json.decode((patched('{"user":"u","dimensions":5}', quirks))))
    assert.equal('{"user":"u"}', (patched('{"user":"u"}', { drop = { "user" } }, "embeddings")))
  end)

  it("of some models is added for those", function()
    local newer = { match = { "^o%d", "^gpt%-5" }, quirks = { drop = { "top_p" } } }
    local quirks = { drop = { "seed" }, models = { newer } }
    local text = '{"seed":1,"top_p":1}'
    assert.equal("{}", (patched(text, quirks, "chat", "o3-mini")))
    assert.equal("{}", (patched(text, quirks, "chat", "gpt-5")))
    assert.equal('{"top_p":1}', (patched(text, quirks, "chat", "gpt-4o")))
  end)
end)

describe("the options of a stream", function()
  -- what the caller sent, what goes upstream
  for sent, wanted in pairs {
    ["{}"] = '{"include_usage":true}',
    ['{"stream_options":null}'] = '{"include_usage":true}',
    ['{"stream_options":"x"}'] = '{"include_usage":true}',
    ['{"stream_options":{}}'] = '{"include_usage":true}',
    ['{"stream_options":{"include_usage":false}}'] = '{"include_usage":true}',
    ['{"stream_options":{"chunk":1.0}}'] = '{"chunk":1.0,"include_usage":true}',
    ['{"stream_options":{"include_usage":false,"chunk":[1, 2]}}'] = '{"include_usage":true,"chunk":[1, 2]}',
  } do
    it("ask for usage and keep the rest: " .. sent, function()
      assert.equal(wanted, dialect.stream_options(assert(json.scan(sent, 100))))
    end)
  end
end)
