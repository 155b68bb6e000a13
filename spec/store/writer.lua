-- A process to be killed: writes ledger rows and settles what they cost, sixteen under way at a time, and prints the id
-- of each row once it is committed. luajit spec/store/writer.lua ADDRESS NOW
package.path = "lua/?.lua;./?.lua;" .. package.path
local ffi = require "ffi"
local bench = require "spec.store.workbench"
local address, now = arg[1], tonumber(arg[2])
ffi.cdef "int getpid(void);"

local store = assert(bench.open(address))
local desk = bench.desk()
local limit = { key = "spent", window = "month" }
io.write(ffi.C.getpid(), "\n")
io.flush()

-- Never settled: must not be counted after the crash.
assert(bench.reserve(store, { claims = { { key = "spent", window = "month", amount = 1e9 } } }, now))

local under_way, number = {}, 0
while true do
  while #under_way < 16 do
    number = number + 1
    local id, amount = ("row%08d"):format(number), number % 7 + 1
    limit.amount = 10
    local row = bench.row { request_id = id, time = now, outcome = "ok", billed_tokens = amount }
    local answer = bench.answer()
    local reservation = bench.reserve(store, { claims = { limit } }, now)
    bench.library.store_row_open(store, row)
    bench.settle(store, reservation, { amount }, now)
    bench.library.store_row_close(store, row, desk:home(), bench.inbox.inbox_note, answer.place)
    under_way[#under_way + 1] = { id = id, answer = answer }
  end
  desk:wait(function() return under_way[1].answer() ~= nil end)
  local first = table.remove(under_way, 1)
  assert(first.answer())
  io.write(first.id, "\n")
  io.flush()
end
