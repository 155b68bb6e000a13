local places = require "moongate.places"

describe("places.find", function()
  it("tells the line of every key, in tables and lists", function()
    local found = places.find [[
return {
  listen = "x",
  providers = {
    groq = { base_url = "u",
             limits = { rpm = 30 } },
  },
  models = {
    { id = "a" },
    { id = "b" },
  },
}]]
    assert.same({ 2, 3, 4, 4, 5, 5, 7, 8, 8, 9 }, {
      found.listen, found.providers, found["providers.groq"], found["providers.groq.base_url"],
      found["providers.groq.limits"], found["providers.groq.limits.rpm"], found.models,
      found["models[1]"], found["models[1].id"], found["models[2].id"],
    })
  end)

  it("is not misled by comments, strings and calls", function()
    local found = places.find('local a = "return { b = 1 }" --[[ return {\n\n]] -- {\nreturn {\n'
      .. '  a = "}" .. [[\n{ x = 1\n]] .. f(1, { 2, 3 }),\n  [ "gpt-4" ] = { \'it\\\'s\' },\n  c = 1 == 2; d = 3 }')
    assert.equal(5, found.a)
    assert.equal(8, found['["gpt-4"]'])
    assert.equal(9, found.c)
    assert.equal(9, found.d)
  end)

  it("leaves out what it cannot follow", function()
    assert.same({}, places.find "return setmetatable({}, {})")
    assert.same({}, places.find "return {")
    assert.same({}, places.find "")
    assert.is_nil(places.find("return { a = function() return { b = 1 } end, c = 2 }").c)
  end)

  it("ends on any text", function()
    local random = require("spec.support.routing").random(7)
    local pieces = { "return", "{", "}", "[", "]", "=", "[[", "--[[", '"', "'", "\\", "\n", "a", "1", ",", ";", "(" }
    for _ = 1, 500 do
      local text = { "return {" }
      for i = 2, 40 do text[i] = pieces[1 + math.floor(random() * #pieces)] end
      assert.is_table(places.find(table.concat(text)))
    end
  end)
end)

describe("places.line", function()
  it("falls back to the table around", function()
    local found = { a = 1, ["a.b"] = 2, ['c["x.y"]'] = 3 }
    assert.equal(2, places.line(found, "a.b.c[1].d"))
    assert.equal(1, places.line(found, "a.x"))
    assert.equal(3, places.line(found, 'c["x.y"].z'))
    assert.is_nil(places.line(found, "z"))
  end)
end)
