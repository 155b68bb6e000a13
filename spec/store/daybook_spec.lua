-- The daybook: what was entered and not written is there after a kill, whole and in order; and what is made of it.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local process = require "spec.support.process"

local NOON = 1772366400000 -- 2026-03-01T12:00:00Z
local PAGE = 512 * 1024

local function row(number, more)
  local fields = { row_id = ("%026d"):format(number), request_id = "r" .. number, time = NOON + number, outcome = "ok" }
  for name, value in pairs(more or {}) do fields[name] = value end
  return fields
end

describe("a daybook", function()
  local folder, path, daybook

  before_each(function()
    folder = bench.folder()
    path = folder .. "/moongate.db-daybook"
    daybook = assert(bench.daybook(path))
    bench.library.log_open(4, true) -- the log is not what is looked at
  end)

  after_each(function()
    bench.library.log_open(1, true)
    if daybook then daybook:close() end
    bench.clean()
  end)

  local function close()
    daybook:close()
    daybook = nil
  end

  local function ids()
    local list = {}
    for index, entry in ipairs(assert(bench.entries(path))) do list[index] = entry.request_id or entry end
    return list
  end

  local function write(at, bytes) bench.scribble(path, at, bytes) end

  local function find(text)
    local file = assert(io.open(path, "rb"))
    local at = assert(file:read("*a"):find(text, 1, true)) - 1
    file:close()
    return at
  end

  it("has rows with all that they tell, and counters, in the order in which they were entered", function()
    local whole = row(1, { org = "acme", key = "mg-1", label = "", surface = "chat", model = "llama", status = 200,
      attempts = 2, input_tokens = 2 ^ 52, cost_microusd = 7, estimated = true, detail = '{"a":"é"}' })
    assert.is_true(daybook:row(whole))
    assert.is_true(daybook:counter("key:1:tokens", NOON, 5))
    assert.is_true(daybook:counter("key:1:tokens", NOON, 9))
    assert.is_true(daybook:row(row(2)))
    local entries = assert(bench.entries(path))
    for name, value in pairs(whole) do assert.equal(value, entries[1][name], name) end
    assert.is_nil(entries[1].task)
    assert.same({ "r1", "key:1:tokens 5", "key:1:tokens 9", "r2" }, ids())
  end)

  it("keeps what was entered since the last turn when it is wiped, and nothing of what it held before", function()
    for number = 1, 5 do daybook:row(row(number)) end
    daybook:turn()
    daybook:row(row(6))
    assert.same({ "r1", "r2", "r3", "r4", "r5", "r6" }, ids())
    daybook:wipe()
    assert.same({ "r6" }, ids())
    daybook:turn()
    daybook:wipe()
    assert.same({}, ids())
    daybook:row(row(7)) -- where r1 was, with r2 behind it
    assert.same({ "r7" }, ids())
  end)

  it("takes rows as long as a row can be, on as many pages as they need, and keeps their order", function()
    local detail, wanted = ("x"):rep(256 * 1024), {}
    for number = 1, 9 do
      assert.is_true(daybook:row(row(number, { detail = detail })))
      wanted[number] = "r" .. number
      if number == 4 then daybook:turn() end
    end
    assert.same(wanted, ids())
    daybook:wipe()
    assert.same({ "r5", "r6", "r7", "r8", "r9" }, ids())
  end)

  it("ends where an entry was not written to its end, and goes on with the next page", function()
    for number = 1, 3 do daybook:row(row(number)) end
    daybook:turn()
    daybook:row(row(4))
    write(find "r2\0", "x")
    assert.same({ "r1", "r4" }, ids())
    write(find "r4\0" - 20, ("\255"):rep(10))
    assert.same({ "r1" }, ids())
  end)

  it("reads a file that is cut off, or another, as far as it is a daybook", function()
    daybook:row(row(1))
    daybook:turn()
    daybook:row(row(2))
    assert(os.execute(("truncate -s %d '%s'"):format(PAGE + 1000, path)) == 0)
    assert.same({ "r1" }, ids())
    close()
    assert(os.execute(("head -c 2000000 /dev/urandom > '%s'"):format(path)) == 0)
    assert.same({}, ids())
  end)

  it("takes its file with it when it holds nothing, and leaves it when it does", function()
    daybook:row(row(1))
    daybook:turn()
    daybook:wipe()
    close()
    assert.is_false(bench.exists(path))
    assert.same({}, bench.entries(path))
    daybook = assert(bench.daybook(path))
    daybook:row(row(2))
    close()
    assert.same({ "r2" }, ids())
  end)

  it("says where it cannot be made, and what to do", function()
    local none, message = bench.daybook(folder .. "/no/daybook")
    assert.is_nil(none)
    assert.matches("the daybook .*/no/daybook cannot be made %(No such file or directory%): give", message)
  end)
end)

describe("a database beside which there is a daybook", function()
  local path, desk, store

  before_each(function()
    path = bench.folder() .. "/moongate.db"
    desk = bench.desk()
    bench.library.log_open(4, true)
  end)

  after_each(function()
    bench.library.log_open(1, true)
    if store then bench.close(store) end
    store = nil
    desk:free()
    bench.clean()
  end)

  local function killed_daybook()
    bench.close(assert(bench.open("sqlite:" .. path)))
    local daybook = assert(bench.daybook(path .. "-daybook"))
    daybook:row(row(1, { model = "m", input_tokens = 3 }))
    daybook:counter("spent", NOON, 5)
    daybook:turn()
    daybook:counter("spent", NOON, 8)
    daybook:row(row(2, { model = "m", input_tokens = 4 }))
    daybook:close()
  end

  for _, sync in ipairs { "always", "second" } do
    it("has its rows and counters when it is opened with sync=" .. sync .. ", once", function()
      killed_daybook()
      for _ = 1, 2 do
        store = assert(bench.open("sqlite:" .. path .. "?sync=" .. sync))
        assert.equal(8, bench.used(store, { key = "spent", window = "minute" }, NOON))
        assert.equal("ok", desk:find_row(store, "r2").outcome)
        assert.equal(2, desk:usage(store, { by = "model" }).totals.requests)
        bench.close(store)
        store = nil
        assert.is_false(bench.exists(path .. "-daybook"))
      end
    end)
  end

  local function read_totals()
    local message = ffi.new("char[512]")
    local reader = bench.library.store_open_reader("sqlite:" .. path, message, 512)
    if reader == nil then return nil, ffi.string(message) end
    local totals = assert(bench.usage_now(reader, { by = "model" })).totals
    bench.library.store_close(reader)
    return totals
  end

  it("has its rows for who only reads, where no gateway runs", function()
    killed_daybook()
    assert.equal(7, assert(read_totals()).input_tokens)
    assert.is_false(bench.exists(path .. "-daybook"))
  end)

  it("has every row that a running gateway has answered, for who only reads and for its own usage", function()
    store = assert(bench.open("sqlite:" .. path .. "?sync=second"))
    for number = 1, 30 do
      assert.is_true(desk:close_row(store, row(number, { model = "m" })))
      if number % 2 == 0 then
        assert.equal(number, assert(read_totals()).requests)
      else
        assert.equal(number, desk:usage(store, { by = "model" }).totals.requests)
      end
    end
  end)

  it("is not opened while its daybook cannot be read, and says so", function()
    killed_daybook()
    local _, who = process.run { "id", "-u" }
    local user = tonumber(who)
    if user == 0 then
      os.remove(path .. "-daybook") -- nothing is closed to root: a folder is no daybook for anybody
      assert(os.execute("mkdir '" .. path .. "-daybook'") == 0)
    else
      assert(os.execute("chmod 000 '" .. path .. "-daybook'") == 0)
    end
    local none, message = bench.open("sqlite:" .. path)
    assert.is_nil(none)
    assert.matches("the daybook .*moongate.db%-daybook cannot be read %(.+%): give moongate the right to it", message)
  end)
end)
