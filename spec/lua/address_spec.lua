-- What addresses hold, as it is meant.
local address = require "moongate.address"

describe("an address", function()
  it("has its texts decoded, and what is no code left as it is", function()
    assert.equal("a/b c+%zz%4", address.decoded "a%2Fb%20c+%zz%4")
    assert.equal("%2F", address.decoded "%252F")
  end)

  it("has values by name, a plus being a blank, the last of several being it", function()
    assert.same({ by = "model", from = "a b", to = "1+1", empty = "" },
      address.values "by=key&by=model&from=a+b&to=1%2B1&empty=&bare")
  end)
end)
