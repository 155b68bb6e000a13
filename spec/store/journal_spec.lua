-- The journal of open rows: what was noted is there after a kill, and no row is there that was not.
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local disk = require "spec.support.disk"

local NOON = 1772366400000 -- 2026-03-01T12:00:00Z
local SLOT, SLOTS, STEP = 1024, 256, 256 * 1024

describe("a journal of open rows", function()
  local folder, path, journal

  local function open() journal = assert(bench.journal(path)) end
  local function close()
    if journal then journal:close() end
    journal = nil
  end
  local function reopen()
    close()
    open()
  end
  local function row(number, more)
    local fields = { row_id = ("%026d"):format(number), request_id = "r" .. number, time = NOON + number }
    for name, value in pairs(more or {}) do fields[name] = value end
    return fields
  end
  local function ids()
    local list = {}
    for _, left in pairs(journal:left()) do list[#list + 1] = left.request_id end
    table.sort(list)
    return list
  end
  local function size()
    local file = assert(io.open(path, "rb"))
    local bytes = file:seek "end"
    file:close()
    return bytes
  end
  local function write(at, bytes) bench.scribble(path, at, bytes) end
  local function run(command)
    assert(os.execute(command) == 0, command)
  end

  before_each(function()
    folder = bench.folder()
    path = folder .. "/open"
    bench.library.log_open(4, true) -- the log is not what is looked at
  end)

  after_each(function()
    bench.library.log_open(1, true)
    close()
    bench.clean()
  end)

  it("has what was added and not removed, with all that an open row tells", function()
    open()
    local whole = row(1, { org = "acme", key = "mg-1", label = "l", tier = "pro", surface = "chat", task = "coding",
      policy = "free-tier@12", provider = "groq", model = "llama", input_tokens = 42 })
    local first, second = journal:add(whole), journal:add(row(2))
    assert.not_equal(first, second)
    journal:add(row(3))
    journal:remove(second)
    reopen()
    assert.same({ "r1", "r3" }, ids())
    for name, value in pairs(whole) do assert.equal(value, journal:left()[first][name], name) end
    journal:remove(first)
    reopen()
    assert.same({ "r3" }, ids())
  end)

  it("clips texts that are longer than any name, between characters", function()
    open()
    local long = ("é"):rep(500)
    local slot = journal:add(row(1, { request_id = long, org = long, key = long, label = long, tier = long, task = long,
      surface = long, policy = "x" .. long, provider = long, model = long }))
    reopen()
    local left = journal:left()[slot]
    assert.equal(("é"):rep(48), left.org)
    assert.equal(("é"):rep(80), left.model)
    assert.equal("x" .. ("é"):rep(63), left.policy)
  end)

  it("uses no slot twice before its row is removed, one of a process before least of all", function()
    open()
    for i = 1, 200 do journal:add(row(i)) end
    reopen()
    local taken = {}
    for slot in pairs(journal:left()) do taken[slot] = true end
    for i = 201, 400 do
      local slot = journal:add(row(i))
      assert.is_nil(taken[slot])
      taken[slot] = true
    end
    reopen()
    assert.equal(400, #ids())
  end)

  it("grows in steps, and shrinks when nothing is left", function()
    open()
    assert.equal(STEP, size())
    local slots = {}
    for i = 1, 1000 do slots[i] = journal:add(row(i)) end
    assert.equal(4 * STEP, size())
    reopen()
    assert.equal(1000, #ids())
    for i = 1, 1000 do journal:remove(slots[i]) end
    close()
    assert.equal(STEP, size())
  end)

  it("makes nothing of a slot that was not written to its end, and uses it again", function()
    open()
    for i = 1, 5 do journal:add(row(i)) end
    close()
    write(2 * SLOT + 40, "?") -- a text
    write(3 * SLOT, ("\1"):rep(8)) -- the mark
    write(4 * SLOT + 24, ("\255"):rep(4)) -- the length
    write(10 * SLOT, ("\7"):rep(SLOT))
    reopen()
    assert.same({ "r1", "r5" }, ids())
    for i = 6, 300 do assert.not_equal(0, journal:add(row(i))) end
    assert.equal(2 * STEP, size())
  end)

  it("takes a file that was cut off for what is left of it", function()
    open()
    for i = 1, 300 do journal:add(row(i)) end
    close()
    run(("truncate -s %d %s"):format(10 * SLOT + 40, path))
    reopen()
    assert.equal(9, #ids())
    for i = 301, 500 do assert.not_equal(0, journal:add(row(i))) end
  end)

  it("takes an empty file, and one of zeros, for new", function()
    for _, bytes in ipairs { 0, 1, 30, STEP } do
      os.remove(path)
      run(("truncate -s %d %s"):format(bytes, path))
      reopen()
      assert.equal(1, journal:add(row(1)))
      reopen()
      assert.same({ "r1" }, ids())
      close()
    end
  end)

  it("says what is wrong with a file that it cannot use, and leaves that alone", function()
    local function refusal(content)
      if content then
        local file = assert(io.open(path, "wb"))
        file:write(content)
        file:close()
      end
      local opened, message = bench.journal(path)
      assert.is_nil(opened)
      if content then assert.equal(#content, size()) end
      return (message:gsub(folder:gsub("%p", "%%%0"), "F"))
    end
    assert.equal("F/open is not a journal of open rows: move it away, or give the gateway another `store`",
      refusal("my songs"))
    assert.matches("^F/open is not a journal", refusal(("A song. "):rep(10000)))
    assert.matches("^the journal F/open was written by another version of moongate: run that one once$",
      refusal("moongate open rows 9\n" .. ("\0"):rep(2000)))
    os.remove(path)
    open()
    assert.matches("^the journal F/open is in use by another moongate: stop that one$", refusal())
    close()
    os.remove(path)
    run("mkdir " .. path)
    assert.matches("^the journal F/open cannot be written %(Is a directory%)", refusal())
    path = "/dev/null"
    assert.truthy(refusal())
  end)

  describe("on a disk that is full", function()
    local small

    before_each(function()
      small = disk.new(folder, 600)
      path = small.path .. "/open"
    end)

    after_each(function()
      close()
      small:close()
    end)

    it("says so instead of dying of it, and notes rows again once there is room", function()
      open()
      local slots, noted = {}, 0
      for i = 1, 1000 do
        slots[i] = journal:add(row(i))
        if slots[i] ~= 0 then noted = noted + 1 end
      end
      assert.equal(2 * SLOTS - 1, noted)
      assert.matches("has no room (" .. small.reason .. "): a request under way leaves no row", journal:problem(), 1,
        true)
      journal:remove(slots[1])
      assert.equal(slots[1], journal:add(row(1001)))
      assert.is_nil(journal:problem())
      reopen()
      assert.equal(noted, #ids())
    end)

    it("cannot be begun", function()
      small:fill()
      local opened, message = bench.journal(path)
      assert.is_nil(opened)
      assert.matches("disk/open has no room (" .. small.reason .. ")", message, 1, true)
    end)
  end)

  it("holds its own under several threads", function()
    open()
    bench.inbox.crowd_journal(journal.handle, 8, 2000, ffi.cast("void *", bench.library.journal_add),
      ffi.cast("void *", bench.library.journal_remove))
    reopen()
    local list, seen = ids(), {}
    assert.equal(8, #list) -- each thread leaves its last row
    for _, id in ipairs(list) do
      assert.is_nil(seen[id])
      seen[id] = true
    end
    assert.equal(STEP, size())
  end)
end)
