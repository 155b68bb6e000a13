-- Made-up values: well-formed, and always the same for the same input.
require "spec.support.core"
local json = require "moongate.core.json"
local sample = require "moongate.sample"

describe("a sample of a schema", function()
  -- schema, its sample as JSON
  for schema, wanted in pairs {
    ['{"type":"string"}'] = '"mock"', ['{"type":"integer"}'] = "1", ['{"type":"number"}'] = "1",
    ['{"type":"boolean"}'] = "true", ['{"type":"null"}'] = "null", ['{"type":["string","null"]}'] = '"mock"',
    ['{"const":5}'] = "5", ['{"const":false}'] = "false", ['{"enum":["b","a"]}'] = '"b"',
    ['{"type":"string","enum":[]}'] = '"mock"',
    ['{"type":"array"}'] = "[]", ['{"type":"array","items":{"type":"string"},"minItems":2}'] = '["mock","mock"]',
    ['{"type":"object"}'] = "{}", ["{}"] = "{}", ["true"] = "{}", ['{"type":"object","required":"x"}'] = "{}",
    ['{"type":"object","properties":{"a":{"type":"integer"},"b":{}},"required":["a"]}'] = '{"a":1}',
    ['{"type":"object","required":["a",5]}'] = '{"a":{}}',
    ['{"properties":{"a":{"properties":{"b":{"const":"x"}},"required":["b"]}},"required":["a"]}'] = '{"a":{"b":"x"}}',
  } do
    it("fits it: " .. schema, function()
      assert.equal(wanted, json.encode(sample.of(json.decode(schema))))
    end)
  end

  it("makes no more than ten items", function()
    assert.equal(10, #sample.of { type = "array", minItems = 1e9, items = { type = "string" } })
  end)

  it("ends where a schema never does", function()
    local schema = { type = "object", required = { "next" } }
    schema.properties = { next = schema }
    local depth, value = 0, sample.of(schema)
    while next(value) do depth, value = depth + 1, value.next end
    assert.equal(8, depth)
  end)
end)

describe("a sample of a text", function()
  it("is a hash of eight digits, different for different texts", function()
    local seen = {}
    for _, text in ipairs { "", "a", "b", "ab", "ba", string.rep("x", 10000) } do
      local hash = sample.hash(text)
      assert.matches("^%x%x%x%x%x%x%x%x$", hash)
      assert.equal(hash, sample.hash(text))
      assert.is_nil(seen[hash])
      seen[hash] = true
    end
  end)

  it("is a vector of the size that is asked for, in [-1, 1), in steps that a float holds", function()
    local vector = sample.vector("text", 500)
    assert.equal(500, #vector)
    for _, number in ipairs(vector) do
      assert.is_true(number >= -1 and number < 1)
      assert.equal(math.floor(number * 128), number * 128)
    end
    assert.same(vector, sample.vector("text", 500))
    assert.are_not.same(vector, sample.vector("texts", 500))
    assert.same({}, sample.vector("text", 0))
  end)
end)
