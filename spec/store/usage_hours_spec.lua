-- Sums of whole hours in sqlite: usage is the same with them and without, whatever happens to rows meanwhile, and
-- whoever reads them touches no rows.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local wait = require "spec.support.wait"
local library = bench.library

if not pcall(ffi.typeof, "struct usage_hour") then
  ffi.cdef [[
  struct usage_hour;
  struct usage_hours;
  struct database;
  struct usage_hour *usage_hour_new(int64_t hour, int64_t stamp);
  void usage_hour_add(struct usage_hour *hour, const struct ledger_row *row);
  struct usage_hours *usage_hours_new(void (*on_news)(void *arg), void *arg);
  void usage_hours_free(struct usage_hours *hours);
  void usage_hours_want(struct usage_hours *hours, int64_t hour);
  void usage_hours_keep(struct usage_hours *hours, struct usage_hour *hour);
  bool usage_hours_are_waiting(const struct usage_hours *hours);
  void usage_hours_write(struct usage_hours *hours, struct database *database);
  struct database *database_open(const char *path, char *error, size_t error_size);
  void database_close(struct database *database);
  ]]
end

local NOON = 1772366400000 -- 2026-03-01T12:00:00Z
local HOUR = 3600000
local FIRST = NOON / HOUR
local DIMENSIONS = { "model", "provider", "task", "key", "label", "org", "tier", "day" }

describe("the sums of hours in sqlite", function()
  local path, desk, store, closed

  before_each(function()
    path, desk, closed = bench.folder() .. "/moongate.db", bench.desk(), 0
    store = assert(bench.open("sqlite:" .. path))
  end)
  after_each(function()
    if store then bench.close(store) end
    desk:free()
    bench.clean()
  end)

  local function row_of(time, fields)
    closed = closed + 1
    local row = {
      row_id = "row-" .. closed, request_id = "r" .. closed, time = time, org = "acme", key = "dev", tier = "pro",
      task = "chat", provider = "one", model = "small", outcome = "ok", input_tokens = closed, output_tokens = 2,
      billed_tokens = 3 * closed, cost_microusd = 5, savings_microusd = closed % 7, detail = "{}",
    }
    for name, value in pairs(fields or {}) do row[name] = value end
    return row
  end
  local function close(time, fields) assert.is_true(desk:close_row(store, row_of(time, fields))) end
  local function fill(hour, count, fields)
    for i = 1, count - 1 do
      library.store_row_close(store, bench.row(row_of(NOON + hour * HOUR + i * 10, fields)), nil, nil, nil)
    end
    close(NOON + hour * HOUR + count * 10, fields)
  end

  local function ask(asked) return assert(bench.usage_now(store, asked or { by = "model" })) end
  local function marks() return table.concat(bench.sql(path, "SELECT hour || '=' || mark FROM usage_hours"), " ") end
  local function expect_marks(text)
    wait.until_(function()
      ask()
      return marks() == text
    end, "the marks " .. text)
  end
  local function sums(what) return tonumber(bench.sql(path, "SELECT " .. what .. " FROM usage_sums")[1]) end
  local function same_as_rows(asked)
    local found, expected = ask(asked), bench.usage_by_pages(store, asked)
    assert.same({ expected.groups, expected.totals, expected.is_over }, { found.groups, found.totals, found.is_over })
  end

  it("are kept of hours that were asked for, and read instead of their rows from then on", function()
    fill(0, 20)
    fill(2, 30, { model = "large" })
    assert.equal("", marks())
    assert.equal(50, ask().totals.requests)
    expect_marks(("%d=1 %d=1"):format(FIRST, FIRST + 2))
    assert.same({ 2, 50 }, { sums "count(*)", sums "sum(requests)" })
    for _, by in ipairs(DIMENSIONS) do same_as_rows { by = by } end
    bench.sql(path, "UPDATE usage_sums SET requests = requests + 1000")
    assert.equal(2050, ask().totals.requests)
    assert.equal(1020, ask({ by = "model", to = NOON + HOUR }).totals.requests)
    -- Of an hour that is not asked for as a whole, rows are read.
    assert.equal(20, ask({ by = "model", from = NOON + 1, to = NOON + HOUR }).totals.requests)
    assert.equal(19, ask({ by = "model", to = NOON + 200 }).totals.requests)
    assert.equal(10, ask({ by = "model", from = NOON + 110, to = NOON + HOUR }).totals.requests)
  end)

  it("go as soon as a row of their hour comes or goes, and come again", function()
    fill(0, 20)
    fill(1, 20)
    expect_marks(("%d=1 %d=1"):format(FIRST, FIRST + 1))
    close(NOON + 5)
    assert.equal(("%d=1"):format(FIRST + 1), marks())
    assert.same({ 1, 20 }, { sums "count(*)", sums "sum(requests)" })
    same_as_rows { by = "model" }
    expect_marks(("%d=1 %d=1"):format(FIRST, FIRST + 1))
    assert.equal(41, sums "sum(requests)")
    bench.sql(path, "DELETE FROM ledger WHERE request_id = 'r25'")
    assert.equal(("%d=1"):format(FIRST), marks())
    assert.equal(40, ask().totals.requests)
  end)

  it("are none of an hour that has not been over for long", function()
    local now = os.time() * 1000
    close(now)
    close(now - 2 * HOUR)
    for _ = 1, 3 do ask() end
    expect_marks(("%d=2"):format(math.floor((now - 2 * HOUR) / HOUR)))
  end)

  it("are none where they would be as many as the rows, or nobody may write", function()
    for i = 1, 40 do close(NOON + i, { label = "label " .. i }) end
    expect_marks(FIRST .. "=2")
    assert.equal(0, sums "count(*)")
    bench.close(store)
    bench.sql(path, "DELETE FROM usage_hours")
    local message = ffi.new("char[512]")
    store = library.store_open_reader("sqlite:" .. path, message, 512)
    for _ = 1, 3 do assert.equal(40, ask().totals.requests) end
    assert.equal("", marks())
    bench.sql(path, "DROP TABLE usage_sums")
    assert.equal(40, ask().totals.requests)
  end)

  it("may be more than one transaction takes", function()
    for i = 1, 1200 do
      for _ = 1, 5 do
        library.store_row_close(store, bench.row(row_of(NOON + i, { label = "label " .. i })), nil, nil, nil)
      end
    end
    close(NOON)
    expect_marks(FIRST .. "=1")
    assert.same({ 1201, 6001 }, { sums "count(*)", sums "sum(requests)" })
    same_as_rows { by = "label", most = 5000 }
  end)

  it("add up to what the rows do, whatever comes and goes", function()
    local function one_of(...) return (select(math.random(select("#", ...)), ...)) end
    math.randomseed(7)
    for _ = 1, 40 do
      local hour = math.random(0, 20)
      for _ = 1, math.random(200) do
        library.store_row_close(store, bench.row(row_of(NOON + hour * HOUR + math.random(0, HOUR - 1), {
          org = one_of("acme", "umbrella", ""), model = one_of("small", "large", "small", "small"),
          provider = one_of("one", "two"),
        })), nil, nil, nil)
      end
      if math.random() < 0.3 then library.store_row_forget(store, "row-" .. math.random(closed)) end
      close(NOON + hour * HOUR)
      local by = one_of(unpack(DIMENSIONS))
      same_as_rows { by = by }
      same_as_rows { by = by, from = NOON + math.random(0, 9) * HOUR, to = NOON + math.random(10, 40) * HOUR }
      same_as_rows { by = by, from = NOON + math.random(0, 9 * HOUR), to = NOON + math.random(10, 40 * HOUR) }
      same_as_rows { by = by, org = one_of("acme", "umbrella", ""), key = one_of("dev", nil) }
    end
    assert.is_true(#bench.sql(path, "SELECT 1 FROM usage_hours WHERE mark = 1") > 5)
  end)

  it("are not kept of an hour that changed while they were collected, or that nobody wants", function()
    bench.close(store)
    store = nil
    local message = ffi.new("char[512]")
    local database = library.database_open(path, message, 512)
    local hours = library.usage_hours_new(ffi.cast("void (*)(void *)", library.mem_free), nil)
    -- As read while the hour had this stamp, which it has now unless it is told.
    local function stamp_now()
      return tonumber(bench.sql(path, "SELECT stamp FROM usage_hours")[1] or 0)
    end
    local function collected(stamp)
      local hour = library.usage_hour_new(FIRST, stamp or stamp_now())
      for _ = 1, 9 do library.usage_hour_add(hour, bench.row { time = NOON, model = "small", cost_microusd = 1 }) end
      return hour
    end
    local function write()
      while library.usage_hours_are_waiting(hours) do library.usage_hours_write(hours, database) end
    end
    library.usage_hours_keep(hours, collected())
    write()
    assert.same({ "", 0 }, { marks(), sums "count(*)" })
    library.usage_hours_want(hours, FIRST)
    write()
    assert.same({ FIRST .. "=0", 0 }, { marks(), sums "count(*)" })
    bench.sql(path, "UPDATE usage_hours SET stamp = 12345") -- one that stays exact as a number of Lua's
    library.usage_hours_keep(hours, collected(54321)) -- of a mark that is gone: this is another
    write()
    assert.same({ FIRST .. "=0", 0 }, { marks(), sums "count(*)" })
    bench.sql(path, "INSERT INTO usage_sums VALUES ("
      .. FIRST .. ", 7, 1, 1, 1, 1, 1, 1, '', '', '', '', '', '', '')")
    library.usage_hours_keep(hours, collected())
    write()
    assert.same({ FIRST .. "=1", 9 }, { marks(), sums "sum(requests)" }) -- what an earlier end left is gone
    library.usage_hours_keep(hours, collected()) -- twice
    library.usage_hours_want(hours, FIRST)
    write()
    assert.same({ FIRST .. "=1", 9 }, { marks(), sums "sum(requests)" })
    library.usage_hours_keep(hours, collected())
    library.usage_hours_want(hours, FIRST)
    library.usage_hours_write(hours, nil) -- the database is another process's now
    assert.is_false(library.usage_hours_are_waiting(hours))
    library.usage_hours_free(hours)
    library.database_close(database)
  end)
end)
