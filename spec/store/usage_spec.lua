-- What closed rows add up to: by each dimension, between two times, for one key; and the rows themselves in pages.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local library = bench.library

local NOON = 1772366400000 -- 2026-03-01T12:00:00Z
local HOUR, DAY = 3600000, 86400000

local addresses = {
  memory = function() return "memory:" end,
  sqlite = function() return "sqlite:" .. bench.folder() .. "/moongate.db" end,
  redis = function() return (select(2, bench.patient())) end,
}

for backend, address in pairs(addresses) do
  for way, ask in pairs {
    ["at once"] = function(_, ...) return bench.usage_now(...) end,
    ["on a thread"] = function(desk, ...) return desk:usage(...) end,
    ["by pages of rows"] = function(_, ...) return bench.usage_by_pages(...) end,
  } do
    describe("usage out of " .. backend .. ", read " .. way, function()
      local store, desk, closed

      before_each(function()
        store, desk, closed = assert(bench.open(address())), bench.desk(), 0
      end)
      after_each(function()
        bench.close(store)
        desk:free()
        bench.clean()
      end)

      local function close(fields)
        closed = closed + 1
        local row = {
          request_id = "r" .. closed, time = NOON + closed, org = "acme", key = "dev", label = "", tier = "pro",
          task = "chat", provider = "one", model = "small", outcome = "ok", input_tokens = 10, output_tokens = 20,
          billed_tokens = 30, cost_microusd = 5, savings_microusd = 2, detail = "{}",
        }
        for name, value in pairs(fields or {}) do row[name] = value end
        assert.is_true(desk:close_row(store, row))
      end

      local function usage(asked) return assert(ask(desk, store, asked)) end

      local function names(asked)
        local found = {}
        for i, group in ipairs(usage(asked).groups) do found[i] = group.name .. " " .. group.requests end
        return found
      end

      it("is nothing where there is nothing", function()
        local found = usage { by = "model" }
        assert.same({}, found.groups)
        assert.same({ requests = 0, input_tokens = 0, output_tokens = 0, billed_tokens = 0, cost_microusd = 0,
          savings_microusd = 0 }, found.totals)
      end)

      it("adds every sum up, in all and by group", function()
        close()
        close { model = "large", input_tokens = 1, output_tokens = 2, billed_tokens = 4, cost_microusd = 8,
          savings_microusd = -16 }
        close()
        local found = usage { by = "model" }
        assert.same({ requests = 3, input_tokens = 21, output_tokens = 42, billed_tokens = 64, cost_microusd = 18,
          savings_microusd = -12 }, found.totals)
        assert.same({
          { name = "small", requests = 2, input_tokens = 20, output_tokens = 40, billed_tokens = 60,
            cost_microusd = 10, savings_microusd = 4 },
          { name = "large", requests = 1, input_tokens = 1, output_tokens = 2, billed_tokens = 4, cost_microusd = 8,
            savings_microusd = -16 },
        }, found.groups)
        assert.is_false(found.is_over)
      end)

      for dimension, values in pairs {
        model = { "small", "large" }, provider = { "one", "two" }, task = { "chat", "coding" },
        key = { "dev", "ops" }, label = { "", "batch" }, org = { "acme", "umbrella" }, tier = { "pro", "free" },
      } do
        it("is told by " .. dimension, function()
          for i, count in ipairs { 1, 2 } do
            for _ = 1, count do close { [dimension] = values[i] } end
          end
          assert.same({ values[2] .. " 2", values[1] .. " 1" }, names { by = dimension })
        end)
      end

      it("is told by day in UTC, days in their order", function()
        close { time = NOON + 12 * HOUR, cost_microusd = 99 }
        close { time = NOON + 12 * HOUR - 1 }
        close { time = NOON - 12 * HOUR }
        close { time = NOON - 12 * HOUR - 1 }
        assert.same({ "2026-02-28 1", "2026-03-01 2", "2026-03-02 1" }, names { by = "day" })
      end)

      it("has what was never set under an empty name", function()
        close { tier = "" }
        assert.same({ " 1" }, names { by = "tier" })
      end)

      it("begins with the first moment and ends before the last", function()
        for i = 1, 5 do close { time = NOON + i, model = "m" .. i } end
        assert.same({ "m2 1", "m3 1" }, names { by = "model", from = NOON + 2, to = NOON + 4 })
      end)

      it("of one key leaves out the key of that name of another org", function()
        close()
        close { org = "umbrella" }
        close { key = "ops" }
        assert.equal(1, usage({ by = "model", org = "acme", key = "dev" }).totals.requests)
        assert.equal(2, usage({ by = "model", org = "acme" }).totals.requests)
        assert.equal(0, usage({ by = "model", org = "", key = "dev" }).totals.requests)
        local found = usage { by = "request", org = "umbrella", key = "dev" }
        assert.same({ 1, "r2" }, { #found.rows, found.rows[1].request_id })
      end)

      it("counts requests that failed, were cancelled or lost, and none that is under way", function()
        for _, outcome in ipairs { "ok", "error", "cancelled", "lost" } do close { outcome = outcome } end
        bench.open_row(store, { request_id = "open", time = NOON })
        assert.equal(4, usage({ by = "model" }).totals.requests)
      end)

      it("adds numbers up that no double holds, and stops at the end of 64 bits", function()
        local query = { by = "model" }
        close { input_tokens = 2 ^ 53, cost_microusd = 0x7ffffffffffffffeLL, savings_microusd = -2 ^ 62 }
        close { input_tokens = 1, cost_microusd = 1, savings_microusd = -2 ^ 62 }
        local answer = library.store_usage_now(store, bench.usage_query(query))
        local totals = library.usage_totals(answer)
        assert.equal("9007199254740993LL", tostring(totals.input_tokens))
        assert.equal("9223372036854775807LL", tostring(totals.cost_microusd))
        library.usage_free(answer)
        close { cost_microusd = 1, savings_microusd = -1 }
        answer = library.store_usage_now(store, bench.usage_query(query))
        totals = library.usage_totals(answer)
        assert.equal("9223372036854775807LL", tostring(totals.cost_microusd))
        assert.equal("-9223372036854775808LL", tostring(totals.savings_microusd))
        library.usage_free(answer)
      end)

      it("says so when there are more groups than wanted, and counts their rows in all", function()
        for i = 1, 5 do close { label = "l" .. i } end
        local found = usage { by = "label", most = 3 }
        assert.same({ 3, 5, true }, { #found.groups, found.totals.requests, found.is_over })
        assert.is_false(usage({ by = "label", most = 5 }).is_over)
      end)

      it("tells rows by request in pages that leave out nothing and repeat nothing", function()
        for i = 1, 7 do
          close { time = NOON + math.floor(i / 3), request_id = "q" .. i, key = i == 4 and "ops" or "dev" }
        end
        local ids, pages, after = {}, {}, nil
        repeat
          local page = usage { by = "request", most = 2, after = after, org = "acme", key = "dev" }
          for _, row in ipairs(page.rows) do ids[#ids + 1] = row.request_id end
          pages[#pages + 1], after = #page.rows, page.place
        until not page.is_over
        assert.same({ "q1", "q2", "q3", "q5", "q6", "q7" }, ids)
        assert.same({ 2, 2, 2, 0 }, pages)
        assert.equal(7, #usage({ by = "request" }).rows)
      end)

      it("is the same however many rows there are of one moment, and of many", function()
        for i = 1, 1300 do
          close { time = NOON + (i > 600 and i or 0), request_id = "q" .. i, model = "m" .. i % 3 }
        end
        local found = usage { by = "model" }
        assert.same({ 3, 1300 * 5 }, { #found.groups, found.totals.cost_microusd })
        assert.equal(1300, #usage({ by = "request", most = 5000 }).rows)
        local some = usage { by = "request", most = 700 }
        assert.same({ 700, "q700" }, { #some.rows, some.rows[700].request_id })
      end)
    end)
  end
end

describe("usage in sqlite", function()
  local path, desk

  before_each(function()
    path, desk = bench.folder() .. "/moongate.db", bench.desk()
  end)
  after_each(function()
    desk:free()
    bench.clean()
  end)

  -- So many rows, each a millisecond after the one before unless several are of one moment, and one after them.
  local function close(store, count, day, of_one_moment)
    for i = 1, count do
      local time = (day or NOON) + math.ceil(i / (of_one_moment or 1))
      local row = { request_id = "r" .. i, time = time, model = "small", cost_microusd = 1 }
      bench.library.store_row_close(store, bench.row(row), nil, nil, nil)
    end
    assert.is_true(desk:close_row(store, { request_id = "last", time = (day or NOON) + count + 1, model = "small" }))
  end

  it("is added up slice by slice without a row lost or counted twice", function()
    local store = assert(bench.open("sqlite:" .. path))
    for part = 0, 24 do close(store, 899, NOON + part * 1000, 37) end -- a slice would end amid a moment
    local found = bench.usage_now(store, { by = "model" })
    assert.same({ 25 * 900, 25 * 899 }, { found.totals.requests, found.totals.cost_microusd })
    library.store_close(store)
  end)

  it("is read out of a file that was made before there was its index", function()
    local store = assert(bench.open("sqlite:" .. path))
    close(store, 3)
    library.store_close(store)
    bench.sql(path, "DROP INDEX ledger_usage")
    bench.sql(path, "CREATE INDEX ledger_time ON ledger (time)")
    local message = ffi.new("char[512]")
    local reader = library.store_open_reader("sqlite:" .. path, message, 512)
    assert.equal(4, bench.usage_now(reader, { by = "day" }).totals.requests)
    library.store_close(reader)
    store = assert(bench.open("sqlite:" .. path))
    assert.equal(4, desk:usage(store, { by = "day" }).totals.requests)
    assert.equal(4, #desk:usage(store, { by = "request", org = "" }).rows)
    library.store_close(store)
    assert.same({ "ledger_request_id", "ledger_usage" }, bench.sql(path,
      "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'ledger' AND sql NOT NULL ORDER BY name"))
  end)

  it("cannot be read where the file is damaged, and says so", function()
    local store = assert(bench.open("sqlite:" .. path))
    for part = 0, 9 do close(store, 999, NOON + part * 1000) end
    library.store_close(store)
    local file = assert(io.open(path, "r+b"))
    local size = file:seek("end")
    for page = 12, math.floor(size / 4096) - 1 do
      file:seek("set", page * 4096)
      file:write(("\255"):rep(512))
    end
    file:close()
    local message = ffi.new("char[512]")
    local reader = library.store_open_reader("sqlite:" .. path, message, 512)
    assert.is_nil(bench.usage_now(reader, { by = "model" }))
    assert.matches("is damaged", ffi.string(library.store_problem(reader)), 1, true)
    library.store_close(reader)
  end)

  it("that is asked for as the store closes is answered all the same", function()
    local store = assert(bench.open("sqlite:" .. path))
    close(store, 999)
    local answers = 0
    local callback = ffi.cast("void (*)(void *, const struct usage *)", function() answers = answers + 1 end)
    for _ = 1, 20 do
      library.store_usage(store, bench.usage_query { by = "model" }, desk:home(), callback, nil)
    end
    library.store_close(store)
    desk:wait(function() return answers == 20 end)
    callback:free()
  end)

  describe("whose rows are kept for so many days only", function()
    local now = os.time() * 1000

    local function count(store) return bench.usage_now(store, { by = "model" }).totals.requests end
    -- Any row that is written wakes the writer; what is deleted is deleted in its own time.
    local function wait_for(store, expected)
      require("spec.support.wait").until_(function() return count(store) == expected end, expected .. " rows left")
    end

    it("loses those that are older, a few at a time, and no other", function()
      local store = assert(bench.open("sqlite:" .. path))
      close(store, 399, now - 40 * DAY)
      close(store, 9, now - 29 * DAY)
      close(store, 4, now)
      assert.equal(415, count(store))
      library.store_keep_rows(store, 30)
      wait_for(store, 15)
      assert.is_nil(desk:find_row(store, "r300"))
      assert.truthy(desk:find_row(store, "r9"))
      library.store_keep_rows(store, 7)
      wait_for(store, 5)
      library.store_close(store)
    end)

    it("keeps all for ever unless it is told otherwise", function()
      local store = assert(bench.open("sqlite:" .. path))
      close(store, 9, now - 4000 * DAY)
      library.store_keep_rows(store, 0)
      close(store, 1, now)
      assert.equal(12, count(store))
      library.store_close(store)
    end)
  end)
end)
