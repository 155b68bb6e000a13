-- The store that keeps nothing, and addresses of none.
local bench = require "spec.store.workbench"
local library = bench.library

describe("a store in memory", function()
  it("keeps the newest 10,000 rows", function()
    local store, desk = assert(bench.open("memory:")), bench.desk()
    for i = 1, 10001 do
      local id = "r" .. i
      local row = bench.row { request_id = id, time = i }
      library.store_row_close(store, row, nil, nil, nil)
    end
    assert.is_nil(desk:find_row(store, "r1"))
    assert.equal(2, desk:find_row(store, "r2").time)
    assert.equal(10001, desk:find_row(store, "r10001").time)
    library.store_close(store)
    desk:free()
  end)

  it("keeps each of those that have one request id", function()
    local store, desk = assert(bench.open("memory:")), bench.desk()
    local function close(id, time)
      library.store_row_close(store, bench.row { request_id = id, time = time }, nil, nil, nil)
    end
    close("first", 1)
    for i = 2, 10000 do close("again", i) end
    assert.equal(1, desk:find_row(store, "first").time)
    close("again", 10001)
    assert.is_nil(desk:find_row(store, "first"))
    assert.equal(10001, desk:find_row(store, "again").time)
    for i = 1, 9999 do close("r" .. i, i) end
    assert.equal(10001, desk:find_row(store, "again").time)
    close("last", 1)
    assert.is_nil(desk:find_row(store, "again"))
    library.store_close(store)
    desk:free()
  end)
end)

describe("an address of no store", function()
  it("is refused with the ones there are", function()
    local store, message = bench.open("postgres://x")
    assert.is_nil(store)
    assert.equal('there is no store "postgres://x": it is "memory:", "sqlite:PATH" or "redis://host:port/db"', message)
  end)
end)
