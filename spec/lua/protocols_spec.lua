require "spec.support.core"
local protocols = require "moongate.protocols"

describe("protocols", function()
  it("are found by their names, each with all that an attempt asks of it", function()
    for _, name in ipairs { "openai", "mock" } do
      local protocol = protocols.get(name)
      assert.equal("function", type(protocol.read_reply), name)
      assert.equal("function", type(protocol.read_event), name)
      assert.equal("function", type(protocol.build or protocol.play), name)
      assert.equal("table", type(protocol.scan), name)
    end
  end)

  it("are nothing else that could be required", function()
    assert.is_nil(protocols.get "telepathy")
    assert.is_nil(protocols.get "../secrets")
  end)
end)
