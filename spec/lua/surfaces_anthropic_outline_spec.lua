require "spec.support.core"
local check = require "moongate.surfaces.anthropic_check"
local json = require "moongate.core.json"
local outline = require "moongate.surfaces.anthropic_outline"
local surface = require "moongate.surfaces.anthropic"
local task = require "moongate.task"

describe("what a usual Messages body looks like", function()
  local USUAL = {
    '{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}',
    '{"model":null,"max_tokens":2000,"system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral",'
      .. '"ttl":"5m"}}],"stream":true,"temperature":0.5,"stop_sequences":["a"],"thinking":{"type":"enabled",'
      .. '"budget_tokens":1024},"metadata":{"user_id":"u"},"messages":[{"role":"user","content":[{"type":"text",'
      .. '"text":"translate"},{"type":"text","text":""}]},{"role":"assistant","content":[]},{"role":"user",'
      .. '"content":"prove it"}]}',
    '{"max_tokens":9,"system":"s","tools":[{"name":"f","description":"d","input_schema":{"type":"object",'
      .. '"properties":{"a":{"type":"string"}}}},{"type":"custom","name":"g","input_schema":{"type":"object"},'
      .. '"cache_control":{"type":"ephemeral"}}],"tool_choice":{"type":"auto"},"messages":[{"role":"user","content":'
      .. '"go"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":'
      .. '"tool_use","id":"c1","name":"f","input":{"a":"four"}},{"type":"tool_use","id":"c2","name":"g","input":{'
      .. '}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":'
      .. '"x"}]},{"type":"tool_result","tool_use_id":"c2","is_error":true,"content":"no","cache_control":{"type":'
      .. '"ephemeral"}}]}]}',
    '{"max_tokens":9,"thinking":{"type":"adaptive"},"output_config":{"effort":"low","format":{"type":"json_schema",'
      .. '"schema":{"type":"object"}}},"messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":'
      .. '"text","text":"debug","cache_control":{"type":"ephemeral"}}]}]}',
  }
  local PIECES = {
    "null", "1", "-1", "0.5", "3000", '""', '"a"', '"f"', '"c1"', '"c2"', '"c3"', "[]", "{}", "true", '"user"',
    '"assistant"', '"system"', '"text"', '"tool_use"', '"tool_result"', '"thinking"', '"redacted_thinking"',
    '"ephemeral"', '"1h"', '"enabled"', '"disabled"', '"any"', '"none"', '"object"', '"bash_20250124"', '"a b"',
    '{"cache_control":{"type":"ephemeral"}}', '[{"type":"text","text":"t","cache_control":{"type":"ephemeral"}}]',
    '[{"type":"image","source":{"type":"url","url":"u"}}]',
  }

  -- As it is read at first sight, and as one that does not look as usual.
  local function both(document, headers, operation)
    local results = {}
    for place, is_usual in ipairs { true, false } do
      local fits = is_usual and document.fits or function() return false end
      local seen = setmetatable({}, { __index = function(_, name)
        return function(_, ...) return (name == "fits" and fits or document[name])(document, ...) end
      end })
      local request, refusal = surface.parse(seen, headers, operation)
      results[place] = refusal or {
        request.model, request.stream, request.text_length, request.estimated_tokens, request.images, request.tools,
        request.json_schema, request.max_tokens or "none", task.classify(request),
      }
    end
    return results[1], results[2]
  end

  it("is that of most callers", function()
    for _, text in ipairs(USUAL) do
      assert.is_true((json.scan(text):fits(0, outline.chat)), text)
      assert.is_nil(check.chat(json.scan(text), {}), text)
      assert.is_true((json.scan((text:gsub('"max_tokens":%d+,', ""))):fits(0, outline.count)), text)
    end
  end)

  it("is read as a closer look reads it, whatever is changed in it", function()
    local seed = 7
    local function random(most)
      seed = (seed * 16807) % 2147483647
      return seed % most + 1
    end
    local fit, refused = 0, 0
    for _ = 1, 6000 do
      local changed = USUAL[random(#USUAL)]
      -- Values of it become others: what stands behind a colon or in a list.
      for _ = 1, random(2) do
        local places = {}
        for at in changed:gmatch '()[:,%[]["%d{%[tn]' do places[#places + 1] = at end
        local at = places[random(#places)]
        local rest, piece = changed:sub(at + 1), PIECES[random(#PIECES)]
        local value = rest:match '^"[^"]*"' or rest:match "^[%w.]+" or rest:match "^%b{}" or rest:match "^%b[]"
        changed = changed:sub(1, at) .. piece .. rest:sub(#value + 1)
      end
      local document = json.scan(changed)
      if document then
        local headers = random(2) == 1 and { ["anthropic-beta"] = "interleaved-thinking-2025-05-14" } or {}
        local operation = random(4) == 1 and "count" or "chat"
        if document:fits(0, operation == "count" and outline.count or outline.chat) then fit = fit + 1 end
        local usual, closely = both(document, headers, operation)
        assert.same(closely, usual, changed)
        if usual.status then refused = refused + 1 end
      end
    end
    assert.is_true(fit > 600 and fit < 5400, fit)
    assert.is_true(refused > 600, refused)
  end)

  it("has so many marks, and no schema of more levels than are taken", function()
    local function marked(count)
      local blocks = ('{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},'):rep(count)
      return json.scan('{"max_tokens":9,"messages":[{"role":"user","content":[' .. blocks
        .. '{"type":"text","text":"b"}]}]}')
    end
    assert.is_nil((check.chat(marked(4), {})))
    assert.equal("cache_control", check.chat(marked(5), {}).param)
    local function deep(levels)
      local schema = '{"type":"object","a":' .. ("["):rep(levels - 1) .. ("]"):rep(levels - 1) .. "}"
      return json.scan('{"max_tokens":9,"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","input_schema":'
        .. schema .. "}]}")
    end
    for _, levels in ipairs { 100, 101 } do
      local usual, closely = both(deep(levels), {}, "chat")
      assert.same(closely, usual)
      assert.equal(levels == 101 and 400 or nil, usual.status)
    end
  end)
end)
