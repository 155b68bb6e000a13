-- What the sqlite store promises beyond every store: it lasts, it is one process's own, and it says what is wrong.
local ffi = require "ffi"
local wait = require "spec.support.wait"
local bench = require "spec.store.workbench"
local library = bench.library

local NOON = 1772366400000 -- 2026-03-01T12:00:00Z
local MINUTE, HOUR, DAY = 60000, 3600000, 86400000

if not pcall(ffi.typeof, "struct spec_rlimit") then
  ffi.cdef [[
  struct spec_rlimit { uint64_t soft, hard; };
  int getrlimit(int which, struct spec_rlimit *limit);
  int setrlimit(int which, const struct spec_rlimit *limit);
  void (*signal(int number, void (*handler)(int)))(int);
  ]]
end

describe("a store in sqlite", function()
  local folder, path, store, desk

  local function open()
    store = assert(bench.open("sqlite:" .. path))
  end
  local function close()
    if store then library.store_close(store) end
    store = nil
  end
  local function reopen()
    close()
    open()
  end

  before_each(function()
    folder = bench.folder()
    path = folder .. "/moongate.db"
    desk = bench.desk()
  end)

  after_each(function()
    close()
    desk:free()
    bench.clean()
  end)

  local function write(name, text)
    local file = assert(io.open(name, "w"))
    file:write(text)
    file:close()
  end

  describe("that is opened again", function()
    it("knows what was settled, and nothing of what was only reserved", function()
      open()
      local limits = {
        { key = "m", window = "minute", amount = 10, settled = 7 },
        { key = "d", window = "day", zone = "America/Los_Angeles", amount = 10, settled = 11 },
        { key = "n", window = "none", amount = 10, settled = 12 },
        { key = "s", window = "hour", sliding = true, amount = 10, settled = 13 },
      }
      for _, limit in ipairs(limits) do
        bench.settle(store, bench.reserve(store, { claims = { limit } }, NOON), { limit.settled }, NOON)
        bench.reserve(store, { claims = { limit } }, NOON)
        bench.settle(store, bench.reserve(store, { claims = { limit } }, NOON), { limit.settled }, NOON)
      end
      reopen()
      for _, limit in ipairs(limits) do
        assert.equal(2 * limit.settled, (bench.used(store, limit, NOON + 1000)), limit.key)
      end
      assert.equal(0, (bench.used(store, limits[1], NOON + MINUTE)))
      assert.equal(26, (bench.used(store, limits[4], NOON + HOUR)))
      assert.equal(0, (bench.used(store, limits[4], NOON + HOUR + MINUTE)))
    end)

    it("knows each of however many limits a call has", function()
      for count = 1, 10 do
        local claims, amounts = {}, {}
        for i = 1, count do
          claims[i], amounts[i] = { key = count .. " of which " .. i, window = "month", amount = 1 }, 100 * count + i
        end
        open()
        for _ = 1, 2 do
          bench.settle(store, bench.reserve(store, { claims = claims }, NOON), amounts, NOON)
          assert.is_true(desk:close_row(store, { request_id = "r" .. count, time = NOON, outcome = "ok" }))
        end
        reopen()
        for i = 1, count do assert.equal(2 * amounts[i], (bench.used(store, claims[i], NOON)), claims[i].key) end
        close()
      end
    end)

    it("keeps each part of a sliding window apart", function()
      open()
      local limit = { key = "s", window = "hour", sliding = true }
      for i = 0, 99 do
        local now = NOON + i * MINUTE
        bench.settle(store, bench.reserve(store, { claims = { limit } }, now), { 1 }, now)
      end
      local before = bench.used(store, limit, NOON + 99 * MINUTE)
      reopen()
      assert.equal(61, before)
      assert.equal(before, (bench.used(store, limit, NOON + 99 * MINUTE)))
      assert.equal(before - 20, (bench.used(store, limit, NOON + 119 * MINUTE)))
    end)

    it("forgets counters whose window was over a day before", function()
      open()
      for _, key in ipairs { "old", "new" } do
        local now = key == "old" and NOON or NOON + 3 * DAY
        bench.settle(store, bench.reserve(store, { claims = { { key = key } } }, now), { 1 }, now)
        reopen()
      end
      close()
      assert.same({ "new" }, bench.sql(path, "SELECT key FROM counters"))
    end)

    it("knows marks with their reason and how often they doubled", function()
      open()
      library.store_exhaust(store, "groq", 0, "429", NOON)
      library.store_exhaust(store, "groq", 0, "429 again", NOON + 60000)
      reopen()
      local reason = ffi.new("char[64]")
      assert.equal(NOON + 180000, tonumber(library.store_exhausted(store, "groq", NOON + 61000, reason, 64)))
      assert.equal("429 again", ffi.string(reason))
      assert.equal(NOON + 180000 + 240000, tonumber(library.store_exhaust(store, "groq", 0, "429", NOON + 180000)))
    end)

    it("knows what providers told, and what was drawn since", function()
      open()
      local word = ffi.new("struct store_learnt", { provider = "groq", model = "m", metric = "requests",
        window = "day", limit = 100, remaining = 2, reset_at = NOON + HOUR, seen_at = NOON, source = "discovered" })
      library.store_learn(store, word)
      local call = { claims = {}, provider = "groq", model = "m" }
      assert.truthy(bench.reserve(store, call, NOON))
      reopen()
      assert.truthy(bench.reserve(store, call, NOON))
      assert.is_nil((bench.reserve(store, call, NOON)))
    end)

    it("knows its keys, and which are revoked", function()
      open()
      for i, text in ipairs { "one", "two" } do
        local key = ffi.new("struct store_key")
        library.digest_sha256(text, #text, key.hash)
        key.prefix, key.settings, key.created = "mg-" .. i, '{"name":"' .. text .. '"}', NOON
        assert.is_true(library.store_key_add(store, key, nil, nil, nil))
      end
      assert.equal(1, tonumber(library.store_key_revoke(store, "mg-2", NOON, nil, nil, nil)))
      reopen()
      local hash = ffi.new("unsigned char[32]")
      library.digest_sha256("one", 3, hash)
      local settings = library.store_key_find(store, hash)
      assert.equal('{"name":"one"}', ffi.string(settings))
      library.mem_free(settings)
      library.digest_sha256("two", 3, hash)
      assert.is_true(library.store_key_find(store, hash) == nil)
    end)

    it("finds the rows that were closed", function()
      open()
      local row = { request_id = "r1", time = NOON, outcome = "ok", detail = "{}", model = "m" }
      assert.is_true(desk:close_row(store, row))
      reopen()
      local found = desk:find_row(store, "r1")
      assert.equal("m", found.model)
      assert.equal("{}", found.detail)
    end)

    it("has every row of a request id that comes again", function()
      for status = 200, 202 do
        open()
        local row_id = bench.open_row(store, { request_id = "r1", time = NOON })
        local row = { row_id = row_id, request_id = "r1", time = NOON, outcome = "ok", status = status }
        assert.is_true(desk:close_row(store, row))
        close()
      end
      open()
      assert.equal(202, desk:find_row(store, "r1").status)
      close()
      assert.same({ "200", "201", "202" }, bench.sql(path, "SELECT status FROM ledger WHERE request_id = 'r1' " ..
        "ORDER BY row_id"))
    end)
  end)

  describe("that providers tell of their limits with each answer", function()
    local said = NOON

    local function tell(remaining)
      said = said + 1
      library.store_learn(store, ffi.new("struct store_learnt", { provider = "groq", model = "m",
        metric = "requests", window = "day", limit = 100, remaining = remaining, reset_at = NOON + HOUR,
        seen_at = said, source = "header" }))
    end
    -- What the file says when a row is written that was closed after the word.
    local function kept()
      assert.is_true(desk:close_row(store, { request_id = "r" .. said, time = NOON, outcome = "ok" }))
      return bench.sql(path, "SELECT remaining FROM learnt")[1]
    end

    it("writes the last word of each second, and the last of all when it stops", function()
      open()
      tell(100)
      assert.equal("100", kept())
      local began, written, before = os.time(), 0, "100"
      for remaining = 99, 50, -1 do
        tell(remaining)
        local now = kept()
        if now ~= before then written, before = written + 1, now end
      end
      assert.is_true(written <= 1 + os.time() - began, written)
      tell(49)
      wait.until_(function() return bench.sql(path, "SELECT remaining FROM learnt")[1] == "49" end, "the last word")
      tell(48)
      close()
      assert.same({ "48" }, bench.sql(path, "SELECT remaining FROM learnt"))
    end)

    it("writes at once what lets no calls through, or lets them through again", function()
      open()
      for _, remaining in ipairs { 2, 0, 3 } do
        tell(remaining)
        assert.equal(tostring(remaining), kept())
      end
      reopen()
      assert.truthy(bench.reserve(store, { claims = {}, provider = "groq", model = "m" }, NOON))
      tell(0)
      assert.equal("0", kept())
    end)
  end)

  describe("whose process is killed", function()
    -- Lets a writer commit so many rows, kills it, and returns what it had printed.
    local function kill_after(count, sync)
      local command = "exec luajit spec/store/writer.lua 'sqlite:%s?sync=%s' %d"
      local pipe = assert(io.popen(command:format(path, sync, NOON)))
      local pid, labels = assert(pipe:read("*l")), {}
      for _ = 1, count do labels[#labels + 1] = assert(pipe:read("*l")) end
      assert(os.execute("kill -9 " .. pid) == 0)
      for line in pipe:lines() do labels[#labels + 1] = line end
      pipe:close()
      return labels
    end

    local seed = 20260301
    for trial = 1, 10 do
      seed = (seed * 16807) % 2147483647
      local count, sync = 1 + seed % 1500, trial % 2 == 0 and "second" or "always"
      local how = ("(%d, sync=%s)"):format(trial, sync)
      it("has every row that it acknowledged, and counters in step with them " .. how, function()
        local labels = kill_after(count, sync)
        reopen()
        local used = bench.used(store, { key = "spent", window = "month" }, NOON)
        close()
        local outcomes = {}
        for _, outcome in ipairs { "ok", "lost" } do
          for _, label in ipairs(bench.sql(path, "SELECT label FROM ledger WHERE outcome = '" .. outcome .. "'")) do
            assert.is_nil(outcomes[label])
            outcomes[label] = outcome
          end
        end
        for i, label in ipairs(labels) do
          assert.equal(("row%08d"):format(i), label)
          assert.equal("ok", outcomes[label], label)
        end
        -- These were under way when the last of those was closed.
        for i = #labels + 1, #labels + 15 do
          assert.truthy(outcomes[("row%08d"):format(i)], i)
        end
        assert.same({ "3" }, bench.sql(path, "SELECT count(DISTINCT request_id) FROM ledger"))
        -- What was settled may be of a row that was still on its way; such a row is in the ledger as lost.
        local sums = bench.sql(path, "SELECT coalesce(sum(billed_tokens), 0) FROM ledger WHERE outcome = 'ok' " ..
          "UNION ALL SELECT coalesce(sum(billed_tokens), 0) FROM ledger WHERE outcome = 'lost' AND estimated")
        assert.is_true(used >= tonumber(sums[1]), used)
        assert.is_true(used <= tonumber(sums[1]) + tonumber(sums[2]) + 16 * 7, used)
        assert.same({ "ok" }, bench.sql(path, "PRAGMA integrity_check"))
        assert.equal(0, bench.open_rows(path))
      end)
    end

    it("closes what was under way as lost and estimated, with all it knew", function()
      open()
      bench.open_row(store, { request_id = "r1", time = NOON, key = "mg-1", model = "m", input_tokens = 42 })
      local closed = bench.open_row(store, { request_id = "r2", time = NOON })
      assert.is_true(desk:close_row(store, { row_id = closed, request_id = "r2", time = NOON, outcome = "ok" }))
      reopen() -- closing the store leaves open rows open, as dying would
      local found = desk:find_row(store, "r1")
      assert.equal("lost", found.outcome)
      assert.is_true(found.estimated)
      assert.equal("mg-1", found.key)
      assert.equal(42, found.input_tokens)
      assert.equal(NOON, found.time)
      assert.equal("ok", desk:find_row(store, "r2").outcome)
    end)

    it("closes each row as lost that was under way with one request id, and leaves the closed ones", function()
      open()
      local ids = {}
      for i = 1, 4 do ids[i] = bench.open_row(store, { request_id = "r1", time = NOON, label = "row " .. i }) end
      assert.is_true(desk:close_row(store, { request_id = "r2", time = NOON, outcome = "ok" }))
      local row = { row_id = ids[2], request_id = "r1", time = NOON, label = "row 2", outcome = "ok" }
      assert.is_true(desk:close_row(store, row))
      reopen()
      assert.equal("lost", desk:find_row(store, "r1").outcome)
      reopen()
      close()
      assert.same({ "row 1 lost", "row 2 ok", "row 3 lost", "row 4 lost" }, bench.sql(path,
        "SELECT label || ' ' || outcome FROM ledger WHERE request_id = 'r1' ORDER BY label"))
      assert.equal(0, bench.open_rows(path))
    end)
  end)

  describe("that an older moongate made", function()
    it("is brought up to date, and what it had under way is closed as lost", function()
      open()
      local row = { request_id = "r1", time = NOON, outcome = "ok", model = "m" }
      assert.is_true(desk:close_row(store, row))
      close()
      -- As schema 1 was: open rows in a table with the columns of the ledger.
      bench.sql(path, "CREATE TABLE open_rows AS SELECT * FROM ledger WHERE 0")
      for _, id in ipairs { "01A", "01B" } do
        bench.sql(path, ("INSERT INTO open_rows SELECT * FROM ledger WHERE request_id = 'r1'"))
        bench.sql(path, ("UPDATE open_rows SET row_id = '%s', request_id = 'r%s', outcome = '' WHERE request_id = 'r1'")
          :format(id, id))
      end
      bench.sql(path, "INSERT INTO open_rows SELECT * FROM ledger") -- killed in between, one was closed all the same
      bench.sql(path, "PRAGMA user_version = 1")
      reopen()
      assert.same({ "lost", true, "m" }, { desk:find_row(store, "r01A").outcome,
        desk:find_row(store, "r01B").estimated, desk:find_row(store, "r01B").model })
      assert.equal("ok", desk:find_row(store, "r1").outcome)
      close()
      assert.same({ "3" }, bench.sql(path, "SELECT count(*) FROM ledger"))
      assert.same({ "2" }, bench.sql(path, "PRAGMA user_version"))
      assert.same({}, bench.sql(path, "SELECT name FROM sqlite_master WHERE name = 'open_rows'"))
      open()
    end)
  end)

  it("goes on with the pages that a file has", function()
    path = folder .. "/smaller.db"
    bench.sql(path, "PRAGMA page_size = 2048; VACUUM")
    for i = 1, 100 do
      if i % 40 == 1 then reopen() end
      local row = { request_id = "r" .. i, time = NOON + i, outcome = "ok", detail = ("x"):rep(3000) }
      assert.is_true(desk:close_row(store, row))
    end
    assert.equal(3000, #desk:find_row(store, "r39").detail)
    close()
    assert.same({ "2048" }, bench.sql(path, "PRAGMA page_size"))
    assert.same({ "100" }, bench.sql(path, "SELECT count(*) FROM ledger"))
    assert.same({ "ok" }, bench.sql(path, "PRAGMA integrity_check"))
  end)

  it("does not let its log grow, however much is written", function()
    local function bytes(name)
      local file = assert(io.open(name, "rb"))
      local size = file:seek "end"
      file:close()
      return size
    end
    open()
    local written, most = 0, 0
    while written < 16e6 do
      local row = { request_id = "r" .. written, time = NOON, outcome = "ok", detail = ("x"):rep(60000) }
      assert.is_true(desk:close_row(store, row))
      written, most = written + 60000, math.max(most, bytes(path .. "-wal"))
    end
    assert.is_true(most < 5e6, most)
  end)

  describe("that cannot be opened", function()
    local function refusal(where)
      local opened, message = bench.open("sqlite:" .. (where or path))
      assert.is_nil(opened)
      return (message:gsub(folder:gsub("%p", "%%%0"), "F"))
    end

    it("says that another moongate has it, and which", function()
      open()
      assert.matches("^F/moongate.db is in use by another moongate %(pid %d+%): stop that one", refusal())
    end)

    it("says that the folder is missing, or no folder", function()
      assert.matches("^the folder F/no of the database cannot be reached %(No such file or directory%): create it",
        refusal(folder .. "/no/moongate.db"))
      write(folder .. "/file", "")
      assert.matches("^F/file is no folder", refusal(folder .. "/file/moongate.db"))
    end)

    it("says that the path is a folder, or nothing", function()
      assert.equal("F is not a file: name a file in `store`", refusal(folder))
      assert.matches("names no file", refusal(""))
      assert.matches("names no file", refusal(":memory:"))
    end)

    it("says that it may not write there", function()
      assert(os.execute("mkdir " .. path .. ".lock") == 0)
      assert.matches("^F/moongate.db.lock cannot be written %(Is a directory%): give the gateway the right", refusal())
    end)

    it("says that the file is no database", function()
      write(path, ("This is not a database. "):rep(100))
      assert.equal("F/moongate.db is not a SQLite database: name another file in `store`", refusal())
    end)

    it("says that the database is another program's", function()
      bench.sql(path, "CREATE TABLE songs (title TEXT)")
      assert.equal("F/moongate.db is the database of another program: name another file in `store`", refusal())
    end)

    it("says that a newer moongate wrote it", function()
      open()
      close()
      bench.sql(path, "PRAGMA user_version = 7")
      assert.matches("was written by a newer moongate %(schema 7, this one knows 2%): run that one", refusal())
    end)

    it("says that the file is damaged", function()
      open()
      close()
      local file = assert(io.open(path, "r+"))
      file:seek("set", 100)
      file:write(("\255"):rep(8000))
      file:close()
      assert.matches("^the database F/moongate.db is damaged %(.*%): restore it from a backup", refusal())
    end)

    it("lets go of the file, so that the next try succeeds", function()
      open()
      assert.matches("in use", refusal())
      reopen()
      assert.is_true(library.store_problem(store) == nil)
    end)
  end)

  it("keeps its file from everybody else", function()
    open()
    local pipe = assert(io.popen("stat -c %a " .. path .. " " .. path .. "-wal " .. path .. ".lock"))
    assert.equal("600\n600\n600\n", pipe:read("*a"))
    pipe:close()
  end)

  describe("whose disk refuses to write", function()
    local FILE_SIZE = 1
    local before = ffi.new("struct spec_rlimit")

    local function allow(bytes)
      local limit = ffi.new("struct spec_rlimit", { bytes or before.soft, before.hard })
      assert.equal(0, ffi.C.setrlimit(FILE_SIZE, limit))
    end

    before_each(function()
      ffi.C.signal(25, ffi.cast("void (*)(int)", 1)) -- SIGXFSZ is ignored: write fails instead
      ffi.C.getrlimit(FILE_SIZE, before)
      library.log_open(4, true) -- the log is not what is looked at
    end)

    after_each(function()
      allow()
      library.log_open(1, true)
    end)

    local function fill(first, last)
      local refused
      for i = first, last do
        local row = { request_id = "r" .. i, time = NOON, outcome = "ok", detail = ("x"):rep(2000) }
        refused = not desk:close_row(store, row) or refused
      end
      return refused
    end

    it("says so, keeps what it is given, and writes it when it can", function()
      open()
      assert.is_nil(fill(1, 10))
      allow(128 * 1024)
      assert.is_true(fill(11, 100))
      local problem = ffi.string(library.store_problem(store))
      assert.matches("^the database .*/moongate.db cannot be ", problem)
      assert.matches("waits in memory", problem)
      assert.equal("r100", desk:find_row(store, "r100").request_id)
      allow()
      wait.until_(function() return library.store_problem(store) == nil end, "the store to write again")
      assert.is_true(desk:close_row(store, { request_id = "r101", time = NOON, outcome = "ok" }))
      close()
      assert.same({ "101" }, bench.sql(path, "SELECT count(*) FROM ledger"))
      assert.same({ "ok" }, bench.sql(path, "PRAGMA integrity_check"))
    end)

    it("keeps no more than 64 MB, and closes as lost what it had no room for", function()
      local detail = ("x"):rep(250000)
      open()
      local opened = bench.open_row(store, { request_id = "open", time = NOON })
      assert.is_true(desk:close_row(store, { request_id = "r0", time = NOON, outcome = "ok" }))
      allow(128 * 1024)
      for i = 1, 300 do
        assert.is_false(desk:close_row(store, { request_id = "r" .. i, time = NOON, outcome = "ok", detail = detail }))
      end
      assert.is_false(desk:close_row(store, { row_id = opened, request_id = "open", time = NOON, outcome = "ok" }))
      local refused = tonumber(ffi.string(library.store_problem(store)):match("refused for want of room: (%d+)"))
      assert.is_true(refused > 30 and refused < 40, refused)
      allow()
      close()
      open()
      assert.equal("lost", desk:find_row(store, "open").outcome)
      assert.equal("ok", desk:find_row(store, "r1").outcome)
      assert.is_nil(desk:find_row(store, "r300"))
    end)

    it("closes all the same, with what it had written", function()
      open()
      fill(1, 10)
      allow(64 * 1024)
      assert.is_true(fill(11, 100))
      close()
      allow()
      open()
      assert.equal("r1", desk:find_row(store, "r1").request_id)
    end)
  end)

  it("forgets a row that is kept elsewhere, whether it is open, written as open, or closed", function()
    open()
    local opened = bench.open_row(store, { request_id = "open", time = NOON })
    library.store_row_forget(store, opened)
    assert.is_nil(desk:find_row(store, "open"))
    local written = bench.open_row(store, { request_id = "written", time = NOON })
    local closed = bench.open_row(store, { request_id = "closed", time = NOON })
    assert.is_true(desk:close_row(store, { row_id = closed, request_id = "closed", time = NOON }))
    library.store_row_forget(store, written)
    library.store_row_forget(store, closed)
    library.store_row_forget(store, "one that never was")
    assert.is_true(desk:close_row(store, { request_id = "kept", time = NOON }))
    assert.is_nil(desk:find_row(store, "written"))
    assert.is_nil(desk:find_row(store, "closed"))
    reopen()
    for _, id in ipairs { "open", "written", "closed" } do assert.is_nil(desk:find_row(store, id)) end
    assert.equal("kept", desk:find_row(store, "kept").request_id)
  end)

  -- How many transactions the write-ahead log holds: the frame that ends one tells the database's size, others nothing.
  local function commits()
    local file = assert(io.open(path .. "-wal", "rb"))
    local log, count = file:read("*a"), 0
    file:close()
    for at = 33, #log, 24 + 4096 do
      if log:sub(at + 4, at + 7) ~= "\0\0\0\0" then count = count + 1 end
    end
    return count
  end

  it("writes the rows that were closed in one turn of a loop in one transaction", function()
    open()
    -- The thread that writes is up, and waits to be woken.
    assert.is_true(desk:close_row(store, { request_id = "first", time = NOON, outcome = "ok" }))
    local before, answers = commits(), {}
    for i = 1, 20 do
      answers[i] = bench.answer()
      library.store_row_close(store, bench.row { request_id = "r" .. i, time = NOON, outcome = "ok" }, desk:home(),
        bench.inbox.inbox_note, answers[i].place)
    end
    assert.equal(before, commits())
    desk:wait(function()
      for i = 1, 20 do
        if answers[i]() == nil then return false end
      end
      return true
    end)
    assert.equal(before + 1, commits())
  end)

  it("writes no row twice when an open and its close come in one breath", function()
    open()
    for i = 1, 300 do
      local fields = { request_id = "r", time = NOON, outcome = "ok" }
      fields.row_id = bench.open_row(store, fields)
      if i % 2 == 0 then library.store_row_close(store, bench.row(fields), nil, nil, nil) end
    end
    close()
    assert.same({ "150" }, bench.sql(path, "SELECT count(*) FROM ledger"))
    assert.equal(150, bench.open_rows(path))
  end)
end)
