-- What keeps the house readable: sizes, heads of files, nothing left lying about.
local process = require "spec.support.process"
local tree = require "spec.support.tree"

local function sources()
  local list = {}
  for _, folder in ipairs { "core", "lua", "policies", "examples", "spec" } do
    for _, path in ipairs(tree.files(folder, "[.][chlj][us]?a?$")) do
      if path:match("%.[ch]$") or path:match("%.lua$") or path:match("%.js$") then list[#list + 1] = path end
    end
  end
  return list
end

describe("the tree", function()
  it("has the top-level folders of the house and no other", function()
    local known = { core = true, lua = true, policies = true, examples = true, spec = true, build = true,
      Makefile = true, ["README.md"] = true, LICENSE = true, ["CHANGELOG.md"] = true }
    local wrong = {}
    for _, name in ipairs(tree.list ".") do
      if not name:match("^%.") and not known[name] then wrong[#wrong + 1] = name end
    end
    assert.same({}, wrong)
  end)

  it("has no file of more than 600 lines", function()
    local long = {}
    for _, path in ipairs(sources()) do
      local _, lines = tree.read(path):gsub("\n", "")
      if lines > 601 then long[#long + 1] = ("%s has %d"):format(path, lines) end
    end
    assert.same({}, long)
  end)

  -- A spec says it in its titles.
  it("opens every file with what it is", function()
    local without = {}
    for _, path in ipairs(sources()) do
      local text = path:match("_spec%.lua$") and "\n--" or tree.read(path)
      local opening = path:match("%.[ch]$") and "^\n/%*" or path:match("%.js$") and "^\n//" or "^\n%-%-"
      if not text:match(opening) then without[#without + 1] = path end
    end
    assert.same({}, without)
  end)

  it("leaves nothing open in the code", function()
    local words = { "TO" .. "DO", "FIX" .. "ME", "X" .. "XX", "HA" .. "CK" }
    local found = {}
    for _, path in ipairs(sources()) do
      local text = tree.read(path)
      for _, word in ipairs(words) do
        if text:match("%f[%w_]" .. word .. "%f[^%w_]") then found[#found + 1] = path .. ": " .. word end
      end
    end
    assert.same({}, found)
  end)

  it("names no place of one machine", function()
    local found = {}
    for _, path in ipairs(sources()) do
      for _, place in ipairs { "/" .. "work/", "/" .. "root/", "/" .. "home/" } do
        if tree.read(path):find(place, 1, true) then found[#found + 1] = path .. ": " .. place end
      end
    end
    assert.same({}, found)
  end)

  it("has no drawer for what has no name", function()
    local drawers = { manager = true, helper = true, helpers = true, util = true, utils = true, common = true,
      misc = true, context = true, info = true, shared = true }
    local found = {}
    for _, path in ipairs(sources()) do
      for word in path:match("([^/]+)%.%w+$"):gmatch("%a+") do
        if drawers[word] then found[#found + 1] = path end
      end
    end
    assert.same({}, found)
  end)

  it("runs every spec it has", function()
    local found = {}
    for _, path in ipairs(tree.files("spec", "_spec[.]lua$")) do
      for _, word in ipairs { "pend" .. "ing", "x" .. "it", "x" .. "describe" } do
        if tree.code(path):match("%f[%w_.:]" .. word .. "%s*%(") then found[#found + 1] = path .. ": " .. word end
      end
    end
    assert.same({}, found)
  end)

  it("waits nowhere but in spec/support/wait.lua", function()
    local found = {}
    for _, path in ipairs(tree.files("spec", "[.]lua$")) do
      if path ~= "spec/support/wait.lua" and path ~= "spec/run.lua" and tree.code(path):match("sleep%s*%(?%s*%d") then
        found[#found + 1] = path
      end
    end
    assert.same({}, found)
  end)

  it("has no global of its own, and no Lua that luacheck would complain of", function()
    local status, output = process.run({ "luacheck", "--quiet", "--codes", "--no-color", "lua", "policies", "examples",
      "spec" }, { seconds = 60 })
    assert.equal(0, status, output)
  end)

  it("has a README whose two commands are targets of the Makefile", function()
    local readme, makefile = tree.read "README.md", tree.read "Makefile"
    for _, target in ipairs { "run", "test" } do
      assert.matches("make " .. target, readme, 1, true)
      assert.matches("\n" .. target .. ":", makefile, 1, true)
    end
  end)

  it("explains every target in `make help`", function()
    local _, help = process.run { "make", "help" }
    for _, target in ipairs { "run", "test", "lint", "asan", "bench", "install", "clean" } do
      assert.matches("make " .. target, help, 1, true)
    end
  end)
end)
