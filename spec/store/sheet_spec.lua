-- A table of a SQLite file that somebody else keeps: read whole, never written to.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local library = bench.library

if not pcall(ffi.typeof, "struct sheet_limits") then
  local file = assert(io.open("core/store/sheet.h"))
  ffi.cdef((file:read("*a"):gsub("/%*.-%*/", ""):gsub("#[^\n]*", "")))
  file:close()
end

local SIZE = 512

describe("a sheet", function()
  local path, folder

  before_each(function()
    folder = bench.folder()
    path = folder .. "/models.db"
  end)
  after_each(bench.clean)

  -- The columns and rows; or nil and why not. "-" where there is no value.
  local function read(name, limits)
    limits = limits or {}
    local bounds = ffi.new("struct sheet_limits", { limits.rows or 1000, limits.bytes or 1e6, limits.seconds or 5 })
    local error = ffi.new("char[?]", SIZE)
    local sheet = library.sheet_open(path, name, bounds, error, SIZE)
    if sheet == nil then return nil, ffi.string(error) end
    local columns, rows, length = {}, {}, ffi.new("size_t[1]")
    for i = 1, library.sheet_width(sheet) do columns[i] = ffi.string(library.sheet_column(sheet, i - 1)) end
    while library.sheet_next(sheet, error, SIZE) do
      local row = {}
      for i = 1, #columns do
        local text = library.sheet_cell(sheet, i - 1, length)
        row[i] = text == nil and "-" or ffi.string(text, length[0])
      end
      rows[#rows + 1] = row
    end
    library.sheet_close(sheet)
    if ffi.string(error) ~= "" then return nil, ffi.string(error) end
    return columns, rows
  end

  local function refused(words, ...)
    local columns, reason = read(...)
    assert.is_nil(columns)
    assert.matches(words, reason, 1, true)
  end

  local function make()
    bench.sql(path, "CREATE TABLE my_free_models (model_id TEXT, is_free_tier BOOLEAN, cost REAL)")
    bench.sql(path, "INSERT INTO my_free_models VALUES ('a', 1, 0), ('b', 0, 0.25), (NULL, NULL, -1)")
  end

  it("has columns, and rows of texts", function()
    make()
    local columns, rows = read "my_free_models"
    assert.same({ "model_id", "is_free_tier", "cost" }, columns)
    assert.same({ { "a", "1", "0.0" }, { "b", "0", "0.25" }, { "-", "-", "-1.0" } }, rows)
  end)

  it("is found in whatever case, and may be a view", function()
    make()
    assert.is_table(read "MY_FREE_MODELS")
    bench.sql(path, "CREATE VIEW free AS SELECT model_id FROM my_free_models WHERE is_free_tier")
    local columns, rows = read "free"
    assert.same({ { "model_id" }, { { "a" } } }, { columns, rows })
  end)

  it("may have any name: it is never read as SQL", function()
    make()
    bench.sql(path, 'CREATE TABLE "odd ""one""; --" (x)')
    assert.same({ "x" }, (read 'odd "one"; --'))
    refused("there is no table", 'my_free_models"; DROP TABLE my_free_models; --')
    refused("there is no table", "sqlite_master")
    assert.is_table(read "my_free_models")
  end)

  it("that is not there is told with those that are", function()
    make()
    refused('there is no table "models"; there are: my_free_models', "models")
  end)

  it("is read and never written", function()
    make()
    local file = io.open(path, "rb")
    local before = file:read("*a")
    read "my_free_models"
    file:seek("set")
    assert.equal(before, file:read("*a"))
    file:close()
    assert.is_false(bench.exists(path .. "-journal") or bench.exists(path .. "-wal"))
  end)

  it("of a program that writes to it now is read as that has saved it last", function()
    make()
    local connection, sqlite = ffi.new("sqlite3 *[1]"), ffi.load "sqlite3"
    assert(sqlite.sqlite3_open(path, connection) == 0)
    for _, sql in ipairs { "PRAGMA journal_mode = WAL", "DELETE FROM my_free_models WHERE model_id = 'b'",
      "BEGIN IMMEDIATE", "DELETE FROM my_free_models" } do
      local statement = ffi.new("sqlite3_stmt *[1]")
      sqlite.sqlite3_prepare_v2(connection[0], sql, -1, statement, nil)
      sqlite.sqlite3_step(statement[0])
      sqlite.sqlite3_finalize(statement[0])
    end
    local _, rows = read "my_free_models"
    assert.equal(2, #rows)
    sqlite.sqlite3_close(connection[0])
    assert.same(rows, select(2, read "my_free_models"))
  end)

  it("of a file that is away, empty, a folder, or no database is none", function()
    refused("No such file", "t")
    assert.is_false(bench.exists(path))
    local function write(text)
      local file = assert(io.open(path, "wb"))
      file:write(text)
      file:close()
    end
    write ""
    refused("nor any other", "t")
    write(("model_id,provider_id\n"):rep(100))
    refused("is not a SQLite database", "t")
    path = folder
    refused("it is a folder", "t")
  end)

  it("of a damaged file is none", function()
    bench.sql(path, "CREATE TABLE t (x)")
    bench.sql(path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
      .. " INSERT INTO t SELECT hex(randomblob(40)) FROM n")
    local file = assert(io.open(path, "r+b"))
    file:seek("set", 4096)
    file:write(("\171"):rep(16384))
    file:close()
    refused("the database is damaged", "t", { rows = 1e6 })
  end)

  it("that somebody else has locked is told so, soon", function()
    make()
    local connection, sqlite = ffi.new("sqlite3 *[1]"), ffi.load "sqlite3"
    assert(sqlite.sqlite3_open(path, connection) == 0)
    local statement = ffi.new("sqlite3_stmt *[1]")
    sqlite.sqlite3_prepare_v2(connection[0], "BEGIN EXCLUSIVE", -1, statement, nil)
    sqlite.sqlite3_step(statement[0])
    sqlite.sqlite3_finalize(statement[0])
    refused("is locked by another program", "my_free_models")
    sqlite.sqlite3_close(connection[0])
  end)

  it("has no more rows, bytes or seconds than it may", function()
    make()
    assert.is_table(read("my_free_models", { rows = 3 }))
    refused("more than 2 rows", "my_free_models", { rows = 2 })
    refused("more than 5 bytes", "my_free_models", { bytes = 5 })
    bench.sql(path, "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
      .. " SELECT i FROM n WHERE i < 0")
    refused("takes more than 0.2 s", "endless", { seconds = 0.2 })
  end)
end)
