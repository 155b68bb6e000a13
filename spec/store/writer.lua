-- A process to be killed: opens and closes ledger rows and settles what they cost, sixteen under way at a time and as
-- many on their way to the disk, and prints the label of each row once it is committed. The rows share three request
-- ids. luajit spec/store/writer.lua ADDRESS NOW
package.path = "lua/?.lua;./?.lua;" .. package.path
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local address, now = arg[1], tonumber(arg[2])
ffi.cdef "int getpid(void);"

local store = assert(bench.open(address))
local desk = bench.desk()
io.write(ffi.C.getpid(), "\n")
io.flush()

-- Never settled: must not be counted after the crash.
assert(bench.reserve(store, { claims = { { key = "spent", window = "month", amount = 1e9 } } }, now))

local number = 0
local function open()
  number = number + 1
  local row = { request_id = "again" .. number % 3, label = ("row%08d"):format(number), time = now, outcome = "ok",
    billed_tokens = number % 7 + 1 }
  local reservation = bench.reserve(store, { claims = { { key = "spent", window = "month", amount = 10 } } }, now)
  row.row_id = bench.open_row(store, row)
  return { row = row, reservation = reservation }
end

local function close(opened)
  opened.answer = bench.answer()
  bench.settle(store, opened.reservation, { opened.row.billed_tokens }, now)
  bench.library.store_row_close(store, bench.row(opened.row), desk:home(), bench.inbox.inbox_note, opened.answer.place)
  return opened
end

local under_way, closing = {}, {}
while true do
  while #under_way < 16 do under_way[#under_way + 1] = open() end
  closing[#closing + 1] = close(table.remove(under_way, 1))
  if #closing == 16 then
    local first = table.remove(closing, 1)
    desk:wait(function() return first.answer() ~= nil end)
    assert(first.answer())
    io.write(first.row.label, "\n")
    io.flush()
  end
end
