-- What is held back of SQLite's files on their way to the disk, and read beforehand: whatever a commit has promised can
-- be read by somebody who knows nothing of it, from the files as they are at that moment.
local ffi = require "ffi"
local bench = require "spec.store.workbench"

if not pcall(ffi.typeof, "struct spec_sqlite_files") then
  ffi.cdef [[
  struct spec_sqlite_files { int here; };
  const char *sqlite_files_vfs(void);
  int sqlite3_open_v2(const char *path, sqlite3 **connection, int flags, const char *vfs);
  int sqlite3_exec(sqlite3 *connection, const char *sql, void *on_row, void *arg, char **error);
  ]]
end

local sqlite = ffi.load("sqlite3")
local READ_WRITE, CREATE = 2, 4

for _, mode in ipairs { "FULL", "NORMAL" } do
  describe("SQLite's log, held back until a commit has all (synchronous=" .. mode .. ")", function()
    local folder, path, connection

    before_each(function()
      folder = bench.folder()
      path = folder .. "/one.db"
      local opened = ffi.new("sqlite3 *[1]")
      assert(sqlite.sqlite3_open_v2(path, opened, READ_WRITE + CREATE, bench.library.sqlite_files_vfs()) == 0)
      connection = opened[0]
    end)

    after_each(function()
      if connection then sqlite.sqlite3_close(connection) end
      bench.clean()
    end)

    local function run(sql)
      local failed = sqlite.sqlite3_exec(connection, sql, nil, nil, nil)
      assert(failed == 0, ffi.string(sqlite.sqlite3_errmsg(connection)))
    end
    -- As after a power cut: what is in the files now; or in the database's alone.
    local function copied(sql, is_alone)
      local copy = folder .. "/copy.db"
      os.execute(("rm -f %s*; cp %s %s"):format(copy, path, copy))
      if not is_alone then os.execute(("cp %s-wal %s-wal"):format(path, copy)) end
      assert.same({ "ok" }, bench.sql(copy, "PRAGMA integrity_check"))
      return bench.sql(copy, sql)
    end
    local function begin(more)
      run("PRAGMA journal_mode = WAL; PRAGMA synchronous = " .. mode)
      run "CREATE TABLE rows (id INTEGER PRIMARY KEY, text BLOB)"
      run(more or "")
    end

    it("has all of a commit in its file, be it small or larger than what is held", function()
      begin()
      for id, bytes in ipairs { 10, 5000, 90 * 1024, 100 * 1024, 1024 * 1024, 1 } do
        run(("INSERT INTO rows VALUES (%d, zeroblob(%d))"):format(id, bytes))
        assert.same({ tostring(bytes) }, copied("SELECT length(text) FROM rows WHERE id = " .. id))
      end
    end)

    it("reads back what went out early, for want of room, and keeps nothing of what is taken back", function()
      begin "PRAGMA cache_size = 5; PRAGMA wal_autocheckpoint = 0"
      run "BEGIN"
      for id = 1, 300 do run(("INSERT INTO rows VALUES (%d, hex(zeroblob(1000)))"):format(id)) end
      for id = 300, 1, -1 do run(("UPDATE rows SET text = text || %d WHERE id = %d"):format(id, id)) end
      run "SAVEPOINT half; DELETE FROM rows WHERE id > 10; ROLLBACK TO half"
      assert.same({ "0" }, copied "SELECT count(*) FROM rows")
      run "COMMIT; BEGIN; DELETE FROM rows; ROLLBACK"
      assert.same({ "300" }, copied "SELECT count(*) FROM rows WHERE text LIKE '%' || id")
    end)

    it("begins anew after each checkpoint", function()
      begin "PRAGMA wal_autocheckpoint = 4"
      for id = 1, 50 do run(("INSERT INTO rows VALUES (%d, zeroblob(3000))"):format(id)) end
      run "PRAGMA wal_checkpoint(TRUNCATE)"
      assert.same({ "50" }, copied "SELECT count(*) FROM rows")
      run "INSERT INTO rows VALUES (51, 'x')"
      assert.same({ "51" }, copied "SELECT count(*) FROM rows")
    end)

    it("copies at a checkpoint what each page was last, in whatever order they were written", function()
      begin "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 20"
      for id = 1, 200 do run(("INSERT INTO rows VALUES (%d, zeroblob(3000))"):format(id)) end
      local dice, last = 7, {}
      for round = 1, 8 do
        for _ = 1, 60 do
          dice = dice * 16807 % 2147483647
          local id = dice % 200 + 1
          last[id] = round * 1000 + id
          run(("UPDATE rows SET text = '%d' || substr(hex(zeroblob(2000)), 1, %d) WHERE id = %d"):format(last[id],
            dice % 3500, id))
        end
        run "PRAGMA wal_checkpoint(PASSIVE)"
        local told = {}
        for _, text in ipairs(copied(
          "SELECT id || ' ' || CAST(text AS TEXT) FROM rows WHERE typeof(text) = 'text'", true)) do
          local id, text_of = text:match "^(%d+) (.*)$"
          told[tonumber(id)] = text_of
        end
        for id, text in pairs(last) do assert.equal(tostring(text), (told[id] or ""):sub(1, #tostring(text))) end
        assert.same({ "200" }, bench.sql(path, "SELECT count(*) FROM rows"))
      end
      run "PRAGMA wal_checkpoint(TRUNCATE)"
      assert.same({ "200" }, copied "SELECT count(*) FROM rows")
    end)

    it("shows other connections what was committed, at once", function()
      begin()
      for id = 1, 20 do
        run(("INSERT INTO rows VALUES (%d, zeroblob(3000))"):format(id))
        assert.same({ tostring(id) }, bench.sql(path, "SELECT count(*) FROM rows"))
      end
    end)
  end)
end
