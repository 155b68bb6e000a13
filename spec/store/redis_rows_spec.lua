-- The ledger on Redis: every row that was answered is in it once, whatever is killed, frozen or emptied when.
local ffi = require "ffi"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local bench = require "spec.store.workbench"
local library = bench.library

local NOON = 1772366400000 -- 2026-03-01T12:00:00Z

describe("the ledger on Redis", function()
  local server, folder, address, desk

  local function open(of_folder)
    return bench.lend((address:gsub("spool=.*", "spool=" .. (of_folder or folder))))
  end

  before_each(function()
    folder = bench.folder()
    server, address = bench.redis(folder)
    desk = bench.desk()
    library.log_open(4, true)
  end)
  after_each(function()
    if server.frozen then server:thaw() end
    bench.clean()
    desk:free()
    library.log_open(1, true)
  end)

  local function turn() bench.inbox.inbox_turn(bench.loop, 0.005) end
  -- Waits with the loop running: links come up, answers come in.
  local function until_(condition, what)
    return wait.until_(function()
      turn()
      return condition()
    end, what)
  end

  local function row(id, more)
    local fields = { request_id = id, time = NOON, key = "mg-1", model = "llama", outcome = "ok", status = 200,
      input_tokens = 10, billed_tokens = 36, cost_microusd = 420, estimated = true, detail = '{"attempts":[]}' }
    for field, value in pairs(more or {}) do fields[field] = value end
    return fields
  end

  -- Every entry of the stream, as tables.
  local function ledger()
    local rows = {}
    for _, entry in ipairs(server:command("XRANGE", "moongate:ledger", "-", "+")) do
      local fields = {}
      for index = 1, #entry[2], 2 do fields[entry[2][index]] = entry[2][index + 1] end
      rows[#rows + 1] = fields
    end
    return rows
  end
  local function ids()
    local list = {}
    for _, fields in ipairs(ledger()) do list[#list + 1] = fields.request_id end
    table.sort(list)
    return table.concat(list, " ")
  end
  local function spooled(path) return bench.sql(path, "SELECT request_id FROM ledger ORDER BY request_id") end

  it("is a stream whose entries have a field for each member of a row", function()
    local store = open()
    assert.is_true(desk:close_row(store, row("r1", { org = "acme", savings_microusd = 7 })))
    local entry = ledger()[1]
    assert.equal(26, #entry.row_id)
    entry.row_id = nil
    assert.same({ request_id = "r1", time = tostring(NOON), org = "acme", key = "mg-1", label = "", tier = "",
      surface = "", task = "", policy = "", provider = "", model = "llama", outcome = "ok", status = "200",
      attempts = "0", input_tokens = "10", cached_tokens = "0", cache_write_tokens = "0", output_tokens = "0",
      reasoning_tokens = "0", billed_tokens = "36", cost_microusd = "420", savings_microusd = "7",
      estimated = "true", latency_ms = "0", detail = '{"attempts":[]}' }, entry)
  end)

  it("takes a row once though its outcome was unknown, and thawed commands come late", function()
    local store = open()
    local row_id = bench.open_row(store, row("r1"))
    server:freeze()
    assert.is_true(desk:close_row(store, row("r1", { row_id = row_id }))) -- on the local disk by then
    assert.equal("r1", desk:find_row(store, "r1").request_id)
    server:thaw()
    until_(function() return #ledger() > 0 end, "the row")
    assert.is_true(desk:close_row(store, row("r2")))
    until_(function() return library.store_problem(store) == nil and ids():find("r2") end, "Redis to be back")
    bench.close(store)
    assert.equal("r1 r2", ids())
    assert.same({}, spooled(folder .. "/moongate-spool-1.db"))
  end)

  it("gets what was closed while Redis was killed, in pages, and nothing twice", function()
    local store = open()
    assert.is_true(desk:close_row(store, row("before")))
    server:kill() -- without a file of its own: it comes back empty
    local expected = {}
    for index = 1, 300 do
      expected[index] = ("r%03d"):format(index)
      assert.is_true(desk:close_row(store, row(expected[index])))
    end
    assert.equal("r007", desk:find_row(store, "r007").request_id)
    server:restart()
    until_(function() return server:command("XLEN", "moongate:ledger") == 301 end, "all rows")
    assert.equal("before " .. table.concat(expected, " "), ids()) -- the last seconds are told anew
    until_(function() return library.store_problem(store) == nil end, "the store to be well")
    assert.equal(301, server:command("ZCARD", "moongate:ledger:times"))
    assert.equal("r300", desk:find_row(store, "r300").request_id)
    bench.close(store)
    assert.same({}, spooled(folder .. "/moongate-spool-1.db"))
  end)

  it("keeps rows over a restart of the gateway until Redis is back", function()
    local store = open()
    local left = bench.open_row(store, row("left open", { outcome = "" }))
    assert.is_string(left)
    server:kill()
    assert.is_true(desk:close_row(store, row("r1")))
    bench.close(store)
    store = open() -- Redis is still away
    assert.is_true(desk:close_row(store, row("r2")))
    server:restart()
    until_(function() return server:command("XLEN", "moongate:ledger") == 3 end, "the rows")
    assert.equal("left open r1 r2", ids())
    for _, fields in ipairs(ledger()) do
      if fields.request_id == "left open" then
        assert.same({ "lost", "true" }, { fields.outcome, fields.estimated })
      end
    end
    bench.close(store)
  end)

  it("counts a row as lost that was under way in a process that was killed, and none that was closed", function()
    local writer = process.start({ "luajit", "-joff", "spec/store/writer.lua", address, tostring(NOON) },
      { env = { LD_PRELOAD = os.getenv("MOONGATE_PRELOAD") or false }, stdout = folder .. "/out",
        stderr = folder .. "/err" })
    local function printed()
      local labels = {}
      for label in (writer:output() .. "\n"):gmatch("(row%d+)\n") do labels[#labels + 1] = label end
      return labels
    end
    wait.until_(function() return #printed() > 200 end, "rows")
    writer:kill("KILL")
    writer:wait()
    local store = open()
    until_(function()
      for _, fields in ipairs(ledger()) do
        if fields.outcome == "lost" then return true end
      end
    end, "the lost rows")
    bench.close(store)
    local seen, lost = {}, 0
    for _, fields in ipairs(ledger()) do
      assert.is_nil(seen[fields.row_id])
      seen[fields.row_id] = true
      if fields.outcome == "lost" then lost = lost + 1 end
      seen[fields.label] = fields.outcome
    end
    for _, label in ipairs(printed()) do assert.equal("ok", seen[label], label) end
    assert.is_true(lost > 0 and lost <= 32, lost) -- under way, or on their way to Redis
    assert.same({}, spooled(folder .. "/moongate-spool-1.db"))
  end)

  it("has a spool for each of several gateways with one configuration", function()
    local first, second = open(), open()
    server:kill()
    assert.is_true(desk:close_row(first, row("r1")))
    assert.is_true(desk:close_row(second, row("r2")))
    bench.close(first)
    bench.close(second)
    assert.same({ "r1" }, spooled(folder .. "/moongate-spool-1.db"))
    assert.same({ "r2" }, spooled(folder .. "/moongate-spool-2.db"))
    server:restart()
    open() -- it takes the second's over, who does not come back
    until_(function() return server:command("XLEN", "moongate:ledger") == 2 end, "both rows")
    until_(function() return not bench.exists(folder .. "/moongate-spool-2.db") end, "the other spool to go")
    assert.is_true(bench.exists(folder .. "/moongate-spool-1.db"))
    assert.equal("r1 r2", ids())
  end)

  it("says at start where rows cannot wait", function()
    local function refused(spool)
      local store, message = bench.open((address:gsub("spool=.*", "spool=" .. spool)))
      assert.is_nil(store)
      return message
    end
    local message = refused("/nowhere/at/all")
    assert.matches("ledger rows need a place to wait for Redis", message, 1, true)
    assert.matches("/nowhere/at/all/moongate%-spool%-1.db", message)
    assert.matches("spool=/var/lib/moongate", message, 1, true)
    assert.matches("Not a directory", refused("/dev/null"), 1, true)
    assert.matches("percent-encoded", refused(""), 1, true)
    local file = assert(io.open(folder .. "/moongate-spool-1.db", "w"))
    file:write(("no database "):rep(100))
    file:close()
    assert.matches("is not a SQLite database", refused(folder), 1, true)
  end)

  for _, key in ipairs { "moongate:ledger", "moongate:ledger:times" } do
    it("moves aside what else is in " .. key .. ", and goes on", function()
      local store = open()
      server:command("SET", key, "mine")
      assert.is_true(desk:close_row(store, row("r1")))
      until_(function() return server:command("GET", key .. ":broken") == "mine" end, "the key to be moved")
      until_(function() return ids() == "r1" end, "the row")
      assert.is_true(desk:close_row(store, row("r2")))
      assert.equal("r2", desk:find_row(store, "r2").request_id)
    end)
  end

  it("keeps rows that Redis has no memory for until it has", function()
    local store = open()
    server:command("CONFIG", "SET", "maxmemory", "1")
    assert.is_true(desk:close_row(store, row("r1")))
    assert.equal("r1", desk:find_row(store, "r1").request_id)
    server:command("CONFIG", "SET", "maxmemory", "0")
    until_(function() return ids() == "r1" end, "the row")
  end)

  it("loses rows that are older than they are to be kept", function()
    local store = open()
    local now = os.time() * 1000
    for days = 0, 5 do
      assert.is_true(desk:close_row(store, row("r" .. days, { time = now - days * 86400000 - 60000 })))
    end
    library.store_keep_rows(store, 3)
    until_(function() return server:command("XLEN", "moongate:ledger") == 3 end, "old rows to go")
    assert.equal("r0 r1 r2", ids())
    assert.equal(3, server:command("ZCARD", "moongate:ledger:times"))
  end)

  it("is found by its request in any gateway, the newest of those that share one", function()
    local first, second = open(), open()
    for status = 201, 203 do assert.is_true(desk:close_row(first, row("r1", { status = status }))) end
    assert.equal(203, desk:find_row(second, "r1").status)
    assert.is_nil(desk:find_row(second, "r2"))
    server:command("DEL", "moongate:ledger")
    assert.is_nil(desk:find_row(second, "r1"))
  end)

  it("is read by a command that takes no part in anything", function()
    local store = open()
    for index = 1, 250 do assert.is_true(desk:close_row(store, row("r" .. index, { time = NOON + index }))) end
    local before = server:command("DBSIZE")
    local message = ffi.new("char[512]")
    local reader = library.store_open_reader(address, message, 512)
    assert.is_true(reader ~= nil, ffi.string(message))
    local read, place = {}, ffi.new("struct store_place", { NOON + 11, 0 })
    local each = ffi.cast("void (*)(void *, const struct ledger_row *)", function(_, found)
      read[#read + 1] = ffi.string(found.request_id)
    end)
    while library.store_each_row(reader, place, NOON + 241, 200, each, nil) > 0 do end
    each:free()
    assert.equal(230, #read)
    assert.same({ "r11", "r240" }, { read[1], read[230] })
    assert.equal(before, server:command("DBSIZE"))
    assert.is_false(bench.exists(folder .. "/moongate-spool-2.db"))
    server:kill()
    assert.equal(-1, library.store_each_row(reader, place, NOON * 2, 10, nil, nil))
    assert.matches("gave no answer", ffi.string(library.store_problem(reader)))
    library.store_close(reader)
    assert.is_true(library.store_open_reader(address, message, 512) == nil)
    assert.matches("127.0.0.1:" .. server.port, ffi.string(message), 1, true)
    server:restart()
  end)
end)
