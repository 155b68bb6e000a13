-- Scripts that would take a worker down, each with the way it must end. The chunk is run inside one guarded call.
return {
  { "loops", "time", [[while true do end]] },
  { "loops behind its own pcall", "time", [[while true do pcall(function() while true do end end) end]] },
  { "returns the result of a looping pcall", "time", [[return pcall(function() while true do end end)]] },
  { "calls itself in pcall", "time", [[local function f() pcall(f) pcall(f) end f()]] },
  { "loops in a coroutine", "time", [[coroutine.wrap(function() while true do end end)()]] },
  { "loops through coroutines that are stopped", "time", [[
    while true do coroutine.resume(coroutine.create(function() while true do end end)) end]] },
  { "loops by goto", "time", [[::again:: goto again]] },
  { "loops in a metamethod", "time", [[
    local t = setmetatable({}, { __index = function() while true do end end }) return t.x]] },
  { "catches what stops it and throws it again", "time", [[
    local ok, e = pcall(function() while true do end end) error(e, 0)]] },
  { "loops in a comparison", "time", [[
    local t = {} for i = 1, 100 do t[i] = i end table.sort(t, function() while true do end end)]] },
  { "sorts in a circle for ever", "time", [[
    while true do local t = {} for i = 1, 1000 do t[i] = i % 7 end table.sort(t) end]] },
  { "loops in an iterator", "time", [[for _ in function() while true do end end do end]] },
  { "iterates for ever", "time", [[for _ in function() return 1 end do end]] },
  { "loops in a gsub callback", "time", [[return (("x"):gsub("x", function() while true do end end))]] },
  { "loops in __tostring", "time", [[
    return tostring(setmetatable({}, { __tostring = function() while true do end end }))]] },
  { "raises what loops in __tostring", "error", [[
    error(setmetatable({}, { __tostring = function() while true do end end }))]] },
  { "matches a pattern that explodes", "time", [[return (("a"):rep(5000)):find(("a*"):rep(20) .. "b")]] },
  { "matches lazily that explodes", "time", [[return (("a"):rep(50000)):match(".-.-.-b")]] },
  { "balances what is not balanced", "time", [[return (("("):rep(300000)):find("%b()")]] },
  { "replaces by a pattern that explodes", "time", [[return (("a"):rep(20000)):gsub("a-a-a-b", "")]] },
  { "iterates over matches that explode", "time", [[for _ in (("a"):rep(20000)):gmatch("a*a*a*b") do end]] },
  { "calls itself", "depth", [[local function f() return 1 + f() end return f()]] },
  { "calls itself through gsub", "depth", [[local function f() return (("x"):gsub("x", f)) end return f()]] },
  { "calls itself through the table of gsub", "depth", [[
    local t t = setmetatable({}, { __index = function() return (("x"):gsub("x", t)) end })
    return (("x"):gsub("x", t))]] },
  { "calls itself through sort", "depth", [[local function f() table.sort({ 1, 2, 3 }, f) end f()]] },
  { "calls itself through sort and __lt", "depth", [[
    local m = {} m.__lt = function() table.sort({ setmetatable({}, m), setmetatable({}, m) }) end m.__lt()]] },
  { "calls itself through format", "depth", [[
    local t t = setmetatable({}, { __tostring = function() return ("%s"):format(t) end }) return ("%s"):format(t)]] },
  { "nests coroutines", "depth", [[local function f() coroutine.wrap(f)() end f()]], sandboxed = true },
  { "nests resumes", "depth", [[
    local function f() assert(coroutine.resume(coroutine.create(f))) end f()]], sandboxed = true },
  { "hungers for tables", "memory", [[local t = {} while true do t[#t + 1] = {} end]] },
  { "hungers for text", "memory", [[local s = "x" while true do s = s .. s end]] },
  { "hungers by rep", "memory", [[return ("x"):rep(1e9)]] },
  { "hungers by rep in the dark", "memory", [[local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1e5 + i) end]] },
  { "hungers by gsub", "memory", [[
    return (("x"):rep(10000):gsub("x", ("x"):rep(100000)))]] },
  { "hungers by coroutines", "memory", [[local t = {} while true do t[#t + 1] = coroutine.create(error) end]] },
  { "inserts far below", "error", [[table.insert({}, -2^31, 1)]] },
  { "raises nil", "error", [[error(nil)]] },
  { "raises a table", "error", [[error({})]] },
  { "raises a very long text", "error", [[error(("x"):rep(1e6))]] },
  { "yields out of the call", "error", [[coroutine.yield()]] },
}
