require "spec.support.core"
local json = require "moongate.core.json"
local schema = require "protocols.gemini_schema"

local function convert(text)
  local given = assert(json.decode(text))
  local own, dropped = schema.convert(given)
  assert.same(json.decode(text), given) -- it is left as it was
  return own, dropped
end

describe("a JSON Schema in Gemini's words", function()
  for name, each in pairs {
    ["writes types large"] = {
      '{"type":"object","properties":{"a":{"type":"string","minLength":1},"b":{"type":"boolean"}},'
        .. '"required":["a","z"]}',
      { type = "OBJECT", properties = { a = { type = "STRING", minLength = 1 }, b = { type = "BOOLEAN" } },
        required = { "a" } },
    },
    ["takes a type that may be null"] = { '{"type":["string","null"]}', { type = "STRING", nullable = true } },
    ["takes several types"] = {
      '{"type":["string","integer"],"description":"d"}',
      { description = "d", anyOf = { { type = "STRING" }, { type = "INTEGER" } } },
    },
    ["takes a constant"] = { '{"const":"a"}', { type = "STRING", enum = { "a" } } },
    ["bounds numbers that are enumerated"] = {
      '{"type":"integer","enum":[1,2,4]}',
      { type = "INTEGER", minimum = 1, maximum = 4, description = "one of: 1, 2, 4" },
    },
    ["takes null from what is enumerated"] = {
      '{"enum":["a",null]}', { type = "STRING", enum = { "a" }, nullable = true },
    },
    ["takes oneOf for anyOf"] = {
      '{"oneOf":[{"type":"string"},{"type":"number"}]}', { anyOf = { { type = "STRING" }, { type = "NUMBER" } } },
    },
    ["needs no choice of one"] = {
      '{"anyOf":[{"type":"string"},{"type":"null"}],"description":"d"}',
      { type = "STRING", nullable = true, description = "d" },
    },
    ["merges allOf"] = {
      '{"allOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{}},'
        .. '"required":["b"]}]}',
      { type = "OBJECT", properties = { a = { type = "STRING" }, b = { type = "STRING" } }, required = { "a", "b" } },
    },
    ["puts references in place"] = {
      '{"$defs":{"n":{"type":"number"}},"type":"object","properties":{"a":{"$ref":"#/$defs/n","description":"d"},'
        .. '"b":{"$ref":"#/$defs/n"}}}',
      { type = "OBJECT", properties = { a = { type = "NUMBER", description = "d" }, b = { type = "NUMBER" } } },
    },
    ["gives lists their items"] = { '{"type":"array"}', { type = "ARRAY", items = { type = "STRING" } } },
    ["takes a list of places for one of several"] = {
      '{"prefixItems":[{"type":"string"},{"type":"number"}]}',
      { type = "ARRAY", items = { anyOf = { { type = "STRING" }, { type = "NUMBER" } } } },
    },
    ["says of a format that Gemini refuses"] = {
      '{"type":"string","format":"email","description":"d"}', { type = "STRING", description = "d (format: email)" },
    },
    ["keeps a format that Gemini knows"] = {
      '{"type":"string","format":"date-time"}', { type = "STRING", format = "date-time" },
    },
    ["moves bounds that are left out"] = {
      '{"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":10}', { type = "INTEGER", minimum = 1, maximum = 9 },
    },
    ["leaves out what says nothing"] = {
      '{"$schema":"x","type":"object","additionalProperties":false,"properties":{"a":{"type":"string","default":"x"}}}',
      { type = "OBJECT", properties = { a = { type = "STRING" } } },
    },
  } do
    it(name, function()
      local own, dropped = convert(each[1])
      assert.same(each[2], own)
      assert.same({}, dropped)
    end)
  end

  it("names what has no place", function()
    local _, dropped = convert '{"type":"object","not":{},"properties":{"a":{"if":{},"patternProperties":{}}}}'
    assert.same({ "if", "not", "patternProperties" }, dropped)
  end)

  it("ends circles, and says so", function()
    local own, dropped = convert [[{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{
      "next":{"$ref":"#/$defs/node"},"name":{"type":"string"}}}}}]]
    assert.same({ type = "OBJECT" }, own.properties.next)
    assert.same({ "$ref" }, dropped)
    own, dropped = convert '{"$ref":"#"}'
    assert.same({ type = "OBJECT" }, own)
    assert.same({ "$ref" }, dropped)
    convert '{"allOf":[{"$ref":"#"}]}'
    convert '{"$ref":"elsewhere.json"}'
  end)

  it("does not grow without end", function()
    local defs, last = {}, 14
    for i = 1, last do
      local properties = {}
      for name = 1, 4 do
        properties["p" .. name] = i == last and { type = "string" } or { ["$ref"] = "#/$defs/d" .. i + 1 }
      end
      defs["d" .. i] = { type = "object", properties = properties }
    end
    local own = schema.convert { ["$ref"] = "#/$defs/d1", ["$defs"] = defs }
    assert.is_true(#json.encode(own) < 1e6)
  end)

  it("raises nothing, whatever comes", function()
    for _, text in ipairs {
      "{}", '{"type":5}', '{"type":["x"]}', '{"properties":[1]}', '{"properties":{"a":true,"b":false,"c":1}}',
      '{"items":[{},1]}', '{"items":true}', '{"anyOf":[1]}', '{"enum":{}}', '{"required":"a"}', '{"allOf":[1,{}]}',
      '{"enum":[]}', '{"$ref":1}', '{"$ref":"#/a/%"}', '{"minimum":"x","enum":[{"a":1}],"type":"object"}',
    } do
      convert(text)
    end
  end)

  it("knows schemas that say nothing", function()
    assert.is_true(schema.is_empty(nil))
    assert.is_true(schema.is_empty {})
    assert.is_true(schema.is_empty { type = "object", properties = {} })
    assert.is_false(schema.is_empty { type = "object", properties = { a = {} } })
    assert.is_false(schema.is_empty { ["$ref"] = "#/x" })
    assert.is_false(schema.is_empty { type = "array" })
  end)
end)
