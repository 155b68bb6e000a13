local command_line = require "moongate.command_line"

local VALUED = { ["--name"] = "name", ["-c"] = "config", ["--config"] = "config" }
local FLAGS = { ["--json"] = "json", ["-h"] = "help", ["--help"] = "help" }

local function read(...) return command_line.read({ ... }, VALUED, FLAGS) end

describe("a command's words", function()
  it("are options with a value, flags, and the rest", function()
    local given, plain = read("create", "--name", "ci", "--json", "-c=a.lua", "-", "more")
    assert.same({ name = "ci", json = true, config = "a.lua" }, given)
    assert.same({ "create", "-", "more" }, plain)
  end)

  it("may give a value that begins with a dash, or holds an equals sign", function()
    assert.same({ name = "--json" }, (read("--name", "--json")))
    assert.same({ name = "a=b" }, (read "--name=a=b"))
  end)

  for words, message in pairs {
    ["--name"] = "--name needs a value", ["--name="] = "--name needs a value",
    ["--nam x"] = '"--nam" is not known (did you mean "--name"?)', ["--json=1"] = '"--json=1" is not known',
  } do
    it("make no sense when they are " .. words, function()
      local list = {}
      for word in words:gmatch("%S+") do list[#list + 1] = word end
      local given, wrong = read(unpack(list))
      assert.is_nil(given)
      assert.matches(message, wrong, 1, true)
    end)
  end
end)
