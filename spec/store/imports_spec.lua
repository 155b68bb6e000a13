-- Imported models and what imports changed, as every store keeps them.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local wait = require "spec.support.wait"
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
  redis = function() return (select(2, bench.patient())) end,
} do
  describe("imported models in " .. name, function()
    local store, desk

    before_each(function()
      store = assert(bench.open(address()))
      desk = bench.desk()
    end)

    after_each(function()
      bench.close(store)
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

describe("imported models on Redis", function()
  local server, address, desk
  local stores = {}

  before_each(function()
    server, address = bench.redis()
    desk = bench.desk()
    library.log_open(4, true)
  end)
  after_each(function()
    for _, store in ipairs(stores) do bench.close(store) end
    stores = {}
    desk:free()
    bench.clean()
    library.log_open(1, true)
  end)

  local function open()
    stores[#stores + 1] = assert(bench.open(address))
    return stores[#stores]
  end
  local function until_(condition, what)
    return wait.until_(function()
      bench.turn(0.002)
      return condition()
    end, what)
  end
  local function until_has(store, expected, what)
    until_(function()
      local found = sources(store)
      for i = 1, math.max(#found, #expected) do
        if not found[i] or not expected[i] or found[i][3] ~= expected[i] then return false end
      end
      return true
    end, what)
  end
  local function is_well(store) return library.store_problem(store) == nil end
  local function reader(opening)
    local message = ffi.new("char[512]")
    local store = library[opening](address, message, 512)
    assert.is_true(store ~= nil, ffi.string(message))
    return store
  end

  it("are at every gateway, with one trail", function()
    local first, second = open(), open()
    import(first, desk, "table", NOON, "m\n", "added m\n")
    until_has(second, { "m\n" }, "the models at the other gateway")
    import(second, desk, "table", NOON + 5, "m\nn\n", "added n\n")
    until_has(first, { "m\nn\n" }, "the models at the first")
    local trail = { { "table", NOON, "added m\n" }, { "table", NOON + 5, "added n\n" } }
    for _, store in ipairs { first, second, open() } do
      assert.same({ { "table", NOON + 5, "m\nn\n" } }, sources(store))
      assert.same(trail, changes(store, 0))
    end
  end)

  it("that two gateways import at the same moment changed something once, and each time is later", function()
    local first, second = open(), open()
    local answers = { bench.answer(), bench.answer() }
    local made = ffi.new("struct store_import", { "table", NOON, "m\n", "added m\n" })
    for i, store in ipairs { first, second } do
      library.store_import(store, made, desk:home(), bench.inbox.inbox_note, answers[i].place)
    end
    desk:wait(function() return answers[1]() ~= nil and answers[2]() ~= nil end)
    assert.same({ true, true }, { answers[1](), answers[2]() })
    assert.equal(1, #changes(first, 0))
    import(second, desk, "table", NOON - 50, "n\n", "added n, removed m\n") -- by a clock that is behind
    assert.same({ { "table", NOON, "added m\n" }, { "table", NOON + 1, "added n, removed m\n" } }, changes(first, 0))
  end)

  it("tell whoever watches that there are others, also of before it did, and not of those it had", function()
    local first, second = open(), open()
    local told = bench.answer()
    import(first, desk, "table", NOON, "m\n", "")
    until_has(second, { "m\n" }, "the models at the other gateway")
    local note = ffi.cast("void (*)(void *)", bench.inbox.inbox_told)
    library.store_watch_imports(second, note, told.place)
    assert.is_true(told())
    told.place[0] = -1
    import(first, desk, "table", NOON + 1, "m\n", "")
    until_(function() return sources(second)[1][2] == NOON + 1 end, "the newer time")
    assert.is_nil(told())
    import(first, desk, "table", NOON + 2, "n\n", "")
    until_(function() return told() end, "the word")
    library.store_watch_imports(second, nil, nil)
  end)

  it("are there while Redis is away, and refused then; and put back into one that has lost them", function()
    local first, second = open(), open()
    import(first, desk, "table", NOON, "m\n", "added m\n")
    until_has(second, { "m\n" }, "the models at the other gateway")
    server:kill()
    until_(function() return not is_well(first) and not is_well(second) end, "both to know")
    assert.is_false(import(first, desk, "table", NOON + 1, "n\n", "added n\n"))
    assert.same({ { "table", NOON, "m\n" } }, sources(first))
    assert.is_false(library.store_each_import(first, 0, nil, nil))
    server:restart() -- empty
    until_(function() return is_well(first) and is_well(second) end, "both to be well")
    assert.same({ { "table", NOON, "m\n" } }, sources(open()))
    assert.is_true(import(second, desk, "table", NOON + 2, "o\n", "added o\n"))
    until_has(first, { "o\n" }, "the next import")
  end)

  it("are read, and kept, by commands that open nothing else", function()
    local store = open()
    local command, answer = reader "store_open_keys", bench.answer()
    local made = ffi.new("struct store_import", { "table", NOON, "m\n", "added m\n" })
    library.store_import(command, made, nil, bench.inbox.inbox_note, answer.place)
    assert.is_true(answer())
    library.store_close(command)
    until_has(store, { "m\n" }, "the models at the gateway")
    local beside = reader "store_open_reader"
    assert.same({ { "table", NOON, "m\n" } }, sources(beside))
    assert.same({ { "table", NOON, "added m\n" } }, changes(beside, 0))
    assert.same({}, changes(beside, NOON + 1))
    library.store_close(beside)
    assert.equal(1, server:command("ZCARD", "moongate:gateways"))
  end)

  it("may be many, and so may their changes", function()
    local store, many = open(), {}
    for i = 1, 20000 do many[i] = ("shop\tm%d\t{\"id\":\"m%d\"}\n"):format(i, i) end
    many = table.concat(many)
    for i = 1, 50 do
      assert.is_true(import(store, desk, "table", NOON + i, many .. i .. "\n", "changed " .. i .. "\n"))
    end
    assert.equal(many .. "50\n", sources(open())[1][3])
    local trail = changes(store, NOON + 3)
    assert.same({ 48, "changed 3\n", "changed 50\n" }, { #trail, trail[1][3], trail[48][3] })
  end)

  for _, key in ipairs { "moongate:models", "moongate:models:changes" } do
    it("move aside what else is in " .. key, function()
      server:command("RPUSH", key, "mine")
      local store = open()
      assert.equal(1, server:command("LLEN", key .. ":broken"))
      server:command("DEL", key)
      server:command("RPUSH", key, "mine")
      server:command("DEL", key .. ":broken")
      assert.is_true(import(store, desk, "table", NOON, "m\n", "added m\n"))
      assert.equal(1, server:command("LLEN", key .. ":broken"))
    end)
  end

  it("pass over what is none", function()
    server:command("HSET", "moongate:models", "a", "no time", "b", "5", "table", NOON .. "\nm\n")
    server:command("ZADD", "moongate:models:changes", NOON, "what", NOON + 1, "1\nwhat")
    local store = open()
    server:command("PUBLISH", "moongate:news", "models ")
    server:command("PUBLISH", "moongate:news", "models 5")
    server:command("PUBLISH", "moongate:news", "models 5 nowhere")
    assert.same({ { "table", NOON, "m\n" } }, sources(store))
    assert.same({}, changes(store, 0))
    assert.is_true(import(store, desk, "table", NOON + 1, "n\n", ""))
  end)
end)
