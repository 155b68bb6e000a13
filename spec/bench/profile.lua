-- `make profile`: where the instructions of a request go. moongate as the benchmark has it runs below callgrind, so
-- figures are the same on a busy machine; a request waits long there, but costs what it costs.
local bodies = require "spec.bench.bodies"
local cast = require "spec.bench.cast"
local measure = require "spec.bench.measure"
local proc = require "spec.bench.proc"
local process = require "spec.support.process"

local SIZE = os.getenv "PROFILE_BODY" or "1k"
local SHOWN = tonumber(os.getenv "PROFILE_LINES") or 40
local WARM, SECONDS, RATE = 3, 10, 60

local places = cast.places(proc.processors())
local paths = bodies.write(process.folder())
assert(paths[SIZE], "PROFILE_BODY is one of 1k, 32k, tools")
local mock = cast.mock(places):start()
local moongate = cast.moongate(places, mock)
for i, word in ipairs { "valgrind", "--quiet", "--tool=callgrind", "--callgrind-out-file=@FOLDER@/profile" } do
  table.insert(moongate.command, i, word)
end
moongate:start()

local function ask(seconds)
  return measure.load { mode = "rate", body = paths[SIZE], connections = 8, rate = RATE, seconds = seconds,
    port = moongate.port, processors = places.callers }.completed
end

local function control(option)
  local status, _, errors = process.run { "callgrind_control", option, tostring(moongate.process.pid) }
  assert(status == 0, errors)
end

ask(WARM)
control "--zero"
local requests = ask(SECONDS)
control "--dump"

-- Of each function: itself, and with all that it calls. A name is written out once, and by its number later.
local function read(path)
  local names, own, whole, libraries = { ob = {}, fn = {}, fl = {} }, {}, {}, {}
  local library, file, name, callee_file, callee, is_call = "?", "?", "?", nil, nil, false
  local function named(kind, text)
    local number, given = text:match("^(%(%d+%)) ?(.*)$")
    if not number then return text end
    if given ~= "" then names[kind][number] = given end
    return names[kind][number]
  end
  local function place(source, fn)
    source = source:match("([^/]*)%.c$")
    return (source and source .. ": " or "") .. fn:gsub("'%d+$", "")
  end
  local function add(to, key, amount) to[key] = (to[key] or 0) + amount end
  for line in io.lines(path) do
    local key, value = line:match("^(%l+)=(.*)$")
    if key == "ob" then
      library = named("ob", value):match("[^/]*$")
    elseif key == "fl" then
      file = named("fl", value)
    elseif key == "fn" then
      name = place(file, named("fn", value))
    elseif key == "fi" or key == "fe" then
      named("fl", value) -- inlined from there
    elseif key == "cob" then
      named("ob", value)
    elseif key == "cfi" or key == "cfl" then
      callee_file = named("fl", value)
    elseif key == "cfn" then
      callee, callee_file = place(callee_file or file, named("fn", value)), nil
    elseif key == "calls" then
      is_call = true
    else
      local amount = tonumber(line:match("^[%d+*-][%d*]* (%d+)$"))
      if amount and is_call then
        if callee ~= name then add(whole, name, amount) end
        is_call = false
      elseif amount then
        add(own, name, amount)
        add(whole, name, amount)
        add(libraries, library, amount)
      end
    end
  end
  return own, whole, libraries
end

local function print_most(title, costs, most)
  local order, total = {}, 0
  for name, cost in pairs(costs) do
    order[#order + 1], total = name, total + cost
  end
  table.sort(order, function(a, b) return costs[a] > costs[b] end)
  print("\n" .. title)
  for i = 1, math.min(most, #order) do print(("%12.0f  %s"):format(costs[order[i]] / requests, order[i])) end
  return total
end

local own, whole, libraries = read(moongate.folder .. "/profile.1")
local named = {}
for name, cost in pairs(whole) do
  if not name:find("^0x") then named[name] = cost end -- libraries without symbols
end
local total = print_most("Instructions a request, by program and library:", libraries, 12)
print_most("By function, with all that it calls:", named, SHOWN)
print_most("By function itself:", own, SHOWN)
print(("\n%.0f instructions a request (%s, %d requests)"):format(total / requests, SIZE, requests))
moongate:stop()
mock:stop()
