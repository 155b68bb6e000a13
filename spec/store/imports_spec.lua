-- Imported models and what imports changed, as every store keeps them.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local library = bench.library

local NOON = 1772366400000

local function sources(store)
  local found = {}
  local each = ffi.cast("void (*)(void *, const struct store_import *)", function(_, import)
    found[#found + 1] = { ffi.string(import.source), tonumber(import.time), ffi.string(import.models) }
  end)
  assert.is_true(library.store_each_source(store, each, nil))
  each:free()
  return found
end

local function changes(store, since)
  local found = {}
  local each = ffi.cast("void (*)(void *, const struct store_import *)", function(_, import)
    found[#found + 1] = { ffi.string(import.source), tonumber(import.time), ffi.string(import.changes) }
  end)
  assert.is_true(library.store_each_import(store, since, each, nil))
  each:free()
  return found
end

local function import(store, desk, source, time, models, changed)
  local answer = bench.answer()
  local made = ffi.new("struct store_import", { source, time, models, changed })
  library.store_import(store, made, desk:home(), bench.inbox.inbox_note, answer.place)
  desk:wait(function() return answer() ~= nil end)
  return answer()
end

for name, address in pairs {
  memory = function() return "memory:" end,
  sqlite = function() return "sqlite:" .. bench.folder() .. "/moongate.db" end,
} do
  describe("imported models in " .. name, function()
    local store, desk

    before_each(function()
      store = assert(bench.open(address()))
      desk = bench.desk()
    end)

    after_each(function()
      library.store_close(store)
      desk:free()
      bench.clean()
    end)

    it("are those that each source brought last, by its name", function()
      assert.same({}, sources(store))
      assert.is_true(import(store, desk, "openrouter", NOON, "a\nb\n", ""))
      assert.is_true(import(store, desk, "litellm", NOON + 1, "c\n", ""))
      assert.is_true(import(store, desk, "openrouter", NOON + 2, "a\n", ""))
      assert.same({ { "litellm", NOON + 1, "c\n" }, { "openrouter", NOON + 2, "a\n" } }, sources(store))
    end)

    it("leave a trail of what changed, the oldest first, and none where nothing did", function()
      import(store, desk, "openrouter", NOON, "a\n", "added a\n")
      import(store, desk, "openrouter", NOON + 1, "a\n", "")
      import(store, desk, "litellm", NOON + 2, "b\n", "added b\n")
      assert.same({ { "openrouter", NOON, "added a\n" }, { "litellm", NOON + 2, "added b\n" } }, changes(store, 0))
      assert.same({ { "litellm", NOON + 2, "added b\n" } }, changes(store, NOON + 1))
    end)
  end)
end

describe("imported models in sqlite", function()
  after_each(bench.clean)

  it("are there after a restart, and for who only reads beside the gateway", function()
    local path, desk, message = bench.folder() .. "/moongate.db", bench.desk(), ffi.new("char[512]")
    local store = bench.open("sqlite:" .. path)
    import(store, desk, "table", NOON, "m\n", "added m\n")
    local reader = library.store_open_reader("sqlite:" .. path, message, 512)
    assert.same({ { "table", NOON, "m\n" } }, sources(reader))
    assert.same({ { "table", NOON, "added m\n" } }, changes(reader, 0))
    library.store_close(reader)
    library.store_close(store)
    store = bench.open("sqlite:" .. path)
    assert.same({ { "table", NOON, "m\n" } }, sources(store))
    library.store_close(store)
    desk:free()
  end)

  it("are none in a file of before there were any", function()
    local path, message = bench.folder() .. "/moongate.db", ffi.new("char[512]")
    library.store_close((bench.open("sqlite:" .. path)))
    bench.sql(path, "DROP TABLE models")
    bench.sql(path, "DROP TABLE model_changes")
    local reader = library.store_open_reader("sqlite:" .. path, message, 512)
    assert.same({}, sources(reader))
    assert.same({}, changes(reader, 0))
    library.store_close(reader)
  end)
end)
