-- Reading the ledger from one end to the other, page by page: in the store that writes it, and beside it.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local library = bench.library

local NOON = 1772366400000 -- 2026-03-01T12:00:00Z

-- The request ids between two times in pages of so many rows, and how many each page had; nil: cannot be read.
local function read(store, since, till, count)
  local ids, pages = {}, {}
  local place = ffi.new("struct store_place", { since, 0 })
  local each = ffi.cast("void (*)(void *, const struct ledger_row *)", function(_, row)
    ids[#ids + 1] = ffi.string(row.request_id)
  end)
  repeat
    local got = library.store_each_row(store, place, till, count, each, nil)
    pages[#pages + 1] = got
  until got <= 0
  each:free()
  if pages[#pages] < 0 then return nil end
  return ids, pages
end

for backend, address_in in pairs {
  memory = function() return "memory:" end,
  sqlite = function(folder) return "sqlite:" .. folder .. "/moongate.db" end,
  redis = function(folder) return (select(2, bench.patient(folder))) end,
} do
  describe("the ledger of a store in " .. backend, function()
    local store, desk, address

    before_each(function()
      address = address_in(bench.folder())
      store = assert(bench.open(address))
      desk = bench.desk()
    end)
    after_each(function()
      bench.close(store)
      desk:free()
      bench.clean()
    end)

    local function close(id, time)
      assert.is_true(desk:close_row(store, { request_id = id, time = time, outcome = "ok", detail = "{}" }))
    end

    it("is read in the order of time, whatever closed first", function()
      for i, minute in ipairs { 3, 1, 2, 5, 4 } do close("r" .. i, NOON + minute * 60000) end
      assert.same({ "r2", "r3", "r1", "r5", "r4" }, (read(store, 0, NOON * 2, 100)))
    end)

    it("is read from one time up to another", function()
      for i = 1, 6 do close("r" .. i, NOON + i) end
      assert.same({ "r2", "r3", "r4" }, (read(store, NOON + 2, NOON + 5, 100)))
      assert.same({}, (read(store, NOON + 7, NOON * 2, 100)))
    end)

    it("comes in pages that leave out nothing and repeat nothing, though all are of one moment", function()
      local expected = {}
      for i = 1, 7 do
        expected[i] = "r" .. i
        close(expected[i], NOON)
      end
      local ids, pages = read(store, NOON, NOON + 1, 3)
      assert.same(expected, ids)
      assert.same({ 3, 3, 1, 0 }, pages)
    end)

    it("has no rows that are still open", function()
      local row_id = bench.open_row(store, { request_id = "r1", time = NOON })
      assert.same({}, (read(store, 0, NOON * 2, 100)))
      assert.is_true(desk:close_row(store, { request_id = "r1", time = NOON, row_id = row_id }))
      assert.same({ "r1" }, (read(store, 0, NOON * 2, 100)))
    end)
  end)
end

describe("a store that is opened to be read", function()
  local folder, path, desk

  local function open_reader(address)
    local message = ffi.new("char[512]")
    local store = library.store_open_reader(address, message, 512)
    if store == nil then return nil, ffi.string(message) end
    return store
  end

  before_each(function()
    folder = bench.folder()
    path = folder .. "/moongate.db"
    desk = bench.desk()
  end)
  after_each(function()
    desk:free()
    bench.clean()
  end)

  it("sees what the one that writes has closed, while that goes on writing", function()
    local writer = assert(bench.open("sqlite:" .. path))
    local reader
    for i = 1, 3 do
      assert.is_true(desk:close_row(writer, { request_id = "r" .. i, time = NOON + i }))
      reader = reader or assert(open_reader("sqlite:" .. path))
      assert.equal(i, #read(reader, 0, NOON * 2, 100))
    end
    library.store_close(writer)
    assert.equal(3, #read(reader, 0, NOON * 2, 100))
    library.store_close(reader)
  end)

  it("keeps no other from opening it, and leaves its write-ahead log to the one that writes", function()
    local writer = assert(bench.open("sqlite:" .. path))
    assert.is_true(desk:close_row(writer, { request_id = "r1", time = NOON }))
    local function size()
      local file = assert(io.open(path .. "-wal", "rb"))
      local bytes = file:seek("end")
      file:close()
      return bytes
    end
    local before = size()
    assert.is_true(before > 0)
    local reader = assert(open_reader("sqlite:" .. path))
    read(reader, 0, NOON * 2, 100)
    library.store_close(reader)
    assert.equal(before, size())
    library.store_close(writer)
    reader = assert(open_reader("sqlite:" .. path))
    local again = assert(bench.open("sqlite:" .. path))
    library.store_close(again)
    library.store_close(reader)
  end)

  -- title, what makes the file, the address, what is said
  for _, case in ipairs {
    { "is not made where there is none", nil, "sqlite:%s", "there is no database" },
    { "is not one that is empty", "", "sqlite:%s", "is empty" },
    { "is not a file of something else", ("no database at all "):rep(100), "sqlite:%s", "is not a SQLite database" },
    { "is not in another process's memory", nil, "memory:", "inside the running gateway" },
    { "is one that is known", nil, "postgres:", "there is no store" },
  } do
    it(case[1], function()
      if case[2] then
        local file = assert(io.open(path, "wb"))
        file:write(case[2])
        file:close()
      end
      local store, message = open_reader((case[3]:gsub("%%s", path)))
      assert.is_nil(store)
      assert.matches(case[4], message, 1, true)
      if not case[2] then assert.is_false(bench.exists(path)) end
    end)
  end
end)
