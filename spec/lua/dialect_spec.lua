-- What a provider wants written differently: only what is named changes, and no message or tool is ever lost.
require "spec.support.core"
local dialect = require "moongate.dialect"
local json = require "moongate.core.json"
local quirks_of = require "moongate.quirks"

local function patched(text, quirks, operation, upstream_id)
  local document, changes = assert(json.scan(text, 100)), {}
  local dropped = dialect.apply(document, dialect.of(quirks, operation or "chat", upstream_id or "up"), changes)
  return document:patch(changes), changes, dropped
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

  it("takes nothing beyond a closed schema, and renames first", function()
    local quirks = { rename = { seed = "random_seed" }, takes = { "model", "random_seed" } }
    local out, _, dropped = patched('{"model":"m","seed":4,"top_k":1,"user":null}', quirks)
    assert.same({ model = "m", random_seed = 4 }, json.decode(out))
    assert.same({ "top_k" }, dropped)
  end)

  it("leaves out what a thinking model refuses, unless it shall not think", function()
    local quirks = { thinking_drop = { "top_p" } }
    assert.equal("{}", (patched('{"top_p":1}', quirks)))
    assert.same({ reasoning_effort = "low" }, json.decode((patched('{"top_p":1,"reasoning_effort":"low"}', quirks))))
    local whole = '{"top_p":1,"reasoning_effort":"none"}'
    assert.equal(whole, (patched(whole, quirks)))
  end)

  it("keeps the first of fields that exclude each other", function()
    local quirks = { either = { { "temperature", "top_p" } } }
    assert.equal('{"temperature":1}', (patched('{"top_p":1,"temperature":1}', quirks)))
    assert.equal('{"temperature":null,"top_p":1}', (patched('{"temperature":null,"top_p":1}', quirks)))
    assert.equal('{"top_p":1}', (patched('{"top_p":1,"temperature":1}',
      { drop = { "temperature" }, either = quirks.either })))
  end)

  it("says a word in the provider's own, or not at all", function()
    local quirks = { values = { effort = { low = "high", none = false, ["true"] = 1 }, mode = { ["*"] = "all" } } }
    for sent, wanted in pairs {
      ['{"effort":"low"}'] = { effort = "high" }, ['{"effort":"none"}'] = {}, ['{"effort":"max"}'] = { effort = "max" },
      ['{"effort":true}'] = { effort = 1 }, ['{"effort":false}'] = { effort = false },
      ['{"effort":null}'] = { effort = json.null }, ['{"mode":"some"}'] = { mode = "all" }, ["{}"] = {},
    } do
      assert.same(wanted, json.decode((patched(sent, quirks))))
    end
  end)

  it("switches thinking by the effort, unless the caller did", function()
    local quirks = {
      switch = { field = "thinking", on = { type = "on" }, off = { type = "off" } },
      values = { reasoning_effort = { ["*"] = false } },
    }
    assert.same({ thinking = { type = "on" } }, json.decode((patched('{"reasoning_effort":"low"}', quirks))))
    assert.same({ thinking = { type = "off" } }, json.decode((patched('{"reasoning_effort":"none"}', quirks))))
    assert.same({ thinking = 1 }, json.decode((patched('{"reasoning_effort":"none","thinking":1}', quirks))))
    assert.equal("{}", (patched("{}", quirks)))
  end)

  it("adds what the caller does not say", function()
    local quirks = { add = { split = true, more = { 1 } } }
    assert.same({ split = true, more = { 1 } }, json.decode((patched("{}", quirks))))
    assert.same({ split = false, more = json.null }, json.decode((patched('{"split":false,"more":null}', quirks))))
  end)

  it("refuses what would change the answer if it were left out", function()
    local function unfit(text, quirks) return dialect.unfit(assert(json.scan(text, 100)), quirks) end
    local quirks = { only = { n = { 1 }, tool_choice = { "auto", "none" } }, tool_name = "^[%a_][%w_]*$" }
    for _, text in ipairs { "{}", '{"n":1,"tool_choice":"none"}', '{"n":null,"tools":null}', '{"tools":[1,{}]}',
      '{"tools":[{"function":{"name":"a_1"}},{"function":{"name":5}}]}' } do
      assert.is_nil(unfit(text, quirks))
      assert.is_nil(unfit(text, {}))
    end
    assert.same({ param = "n", message = "this provider takes no n but 1" }, unfit('{"n":2}', quirks))
    assert.same({ param = "tool_choice", message = "this provider takes no tool_choice but auto, none" },
      unfit('{"tool_choice":{"type":"function"}}', quirks))
    assert.same({ param = "tools", message = 'this provider takes no tool by the name "a-b"' },
      unfit('{"tools":[{"function":{"name":"a"}},{"function":{"name":"a-b"}}]}', quirks))
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

    it("calls members by another name, which wins where both are there", function()
      local quirks = { message_rename = { reasoning = "thoughts" } }
      assert.equal('{"messages":[{"role":"assistant","thoughts":"a  b"},{"thoughts":"y"}]}',
        (patched('{"messages":[{"role":"assistant","reasoning":"a  b"},{"reasoning":"x","thoughts":"y"}]}', quirks)))
    end)

    it("drops members of parts and tools", function()
      local marked = '{"messages":[{"content":[{"type":"text","text":"a","cache_control":{}},{"type":"text"}]},'
        .. '{"content":"b"}],"tools":[{"type":"function","cache_control":{}},{"x":1.0}]}'
      assert.equal('{"messages":[{"content":[{"type":"text","text":"a"},{"type":"text"}]},{"content":"b"}],'
        .. '"tools":[{"type":"function"},{"x":1.0}]}', (patched(marked, { part_drop = { "cache_control" } })))
    end)

    it("puts a word of the assistant between a tool's result and the user", function()
      local roles = {}
      local out = patched('{"messages":[{"role":"tool"},{"role":"tool"},{"role":"user"},{"role":"user"},'
        .. '{"role":"tool"},{"role":"assistant"}]}', { after_tool = "Done." })
      for index, message in ipairs(json.decode(out).messages) do roles[index] = message.role end
      assert.same({ "tool", "tool", "assistant", "user", "user", "tool", "assistant" }, roles)
      assert.equal("Done.", json.decode(out).messages[3].content)
    end)

    it("marks an answer that the caller began", function()
      local quirks = { prefix = "prefix" }
      assert.equal('{"messages":[{"role":"assistant"},{"role":"assistant","content":"a","prefix":true}]}',
        (patched('{"messages":[{"role":"assistant"},{"role":"assistant","content":"a"}]}', quirks)))
      for _, last in ipairs { '{"role":"user"}', '{"role":"assistant","prefix":false}',
        '{"role":"assistant","tool_calls":[]}' } do
        assert.equal('{"messages":[' .. last .. "]}", (patched('{"messages":[' .. last .. "]}", quirks)))
      end
    end)

    it("gives every turn of the assistant its thoughts, if only none", function()
      local quirks = { keep_reasoning = true, message_rename = { reasoning = "reasoning_content" } }
      assert.equal('{"messages":[{"role":"user"},{"role":"assistant","reasoning_content":""},'
        .. '{"role":"assistant","reasoning_content":"a"},{"role":"assistant","reasoning_content":"b"}]}',
        (patched('{"messages":[{"role":"user"},{"role":"assistant"},{"role":"assistant","reasoning_content":"a"},'
        .. '{"role":"assistant","reasoning":"b"}]}', quirks)))
    end)

    it("moves a type beside anyOf into the branches, and takes no property for it", function()
      local tools = '{"tools":[{"type":"function","function":{"name":"f","parameters":%s}}]}'
      local sent = '{"type":"object","properties":{"a":{"type":"string","anyOf":[{"enum":["x"]},{"type":"null"}]},'
        .. '"anyOf":{"type":"number"},"type":{"enum":[{"type":1,"anyOf":2}]}}}'
      local wanted = '{"type":"object","properties":{"a":{"anyOf":[{"enum":["x"],"type":"string"},{"type":"null"}]},'
        .. '"anyOf":{"type":"number"},"type":{"enum":[{"type":1,"anyOf":2}]}}}'
      assert.equal(string.format(tools, wanted), (patched(string.format(tools, sent), { bare_any_of = true })))
    end)

    it("leaves alone what is no message, no part and no tool", function()
      local quirks = { part_drop = { "x" }, call_id = { length = 9 }, after_tool = "Done.", prefix = "prefix",
        keep_reasoning = true, bare_any_of = true, roles = { a = "b" }, message_drop = { "y" } }
      for _, odd in ipairs { '{"messages":[1,null,[],{"content":[1]}],"tools":[1,{"function":1}]}',
        '{"messages":"anyOf","tools":"anyOf"}', '{"messages":[],"tools":["anyOf",{"function":[]}]}' } do
        assert.equal(odd, (patched(odd, quirks)))
      end
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
    newer.except = { "chat" }
    quirks = { drop = { "seed" }, models = { newer } }
    assert.equal('{"top_p":1}', (patched(text, quirks, "chat", "gpt-5-chat")))
  end)

  it("of two tables joins lists and tables; of what both say the second holds", function()
    local first = { drop = { "a" }, clamp = { x = { 0, 1 }, y = { 0, 1 } }, prefix = "p", keep_reasoning = true }
    local second = { drop = { "b" }, clamp = { x = { 0, 2 } }, keep_reasoning = false, takes = { "c" } }
    assert.same({ drop = { "a", "b" }, clamp = { x = { 0, 2 }, y = { 0, 1 } }, prefix = "p", keep_reasoning = false,
      takes = { "c" } }, quirks_of.merge(first, second))
    assert.same({ "a" }, first.drop)
    assert.same(second, quirks_of.merge(nil, second))
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
