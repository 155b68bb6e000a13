-- `moongate check`: each problem on a line that names its place, and an exit code.
local fakes = require "spec.support.fakes"

describe("moongate check", function()
  local core, check, control

  before_each(function()
    core = fakes.install()
    check, control = require "moongate.commands.check", require "moongate.control"
  end)
  after_each(function() core.restore() end)

  it("says that all is fine", function()
    control.install { { path = "routing/fine.lua", text = "return function() end", version = "1" } }
    assert.equal(0, check.run {})
    assert.same({ { "the configuration and the policies are fine" }, {} }, { core.printed, core.complaints })
  end)

  it("says what is wrong, by file and line, and fails", function()
    control.install {
      { path = "routing/broken.lua", text = "return function()\n  x = = 1\nend", version = "1" },
      { path = "hooks/odd.lua", text = "return {}", version = "1" },
    }
    assert.equal(1, check.run {})
    assert.same({}, core.printed)
    assert.equal(2, #core.complaints)
    assert.matches("^policies/hooks/odd%.lua: a hook's file is named by its turn", core.complaints[1])
    assert.matches("^policies/routing/broken%.lua:2: ", core.complaints[2])
  end)
end)
