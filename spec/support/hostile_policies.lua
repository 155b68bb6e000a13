-- Routing policies that mean harm, for spec/gateway/hostile_spec.lua: { title, how it ends, body of the function }.
-- It ends by a fault of one of these kinds, or by being obeyed: "serves small", "serves large", "refused" (no rung).
-- What leaves much behind for the collector may run out of memory first, where a busy machine wakes the watchdog late.
-- `top` is code before the function, `twice` asks a request before, `says` is in the message of the refusal.

-- A table of 63 members that Lua takes for one of 2^29.
local ENDLESS = [[
  local function endless()
    local t = {}
    for i = 1, 33 do t["k" .. i] = 1 end
    for i = 0, 29 do t[2 ^ i] = {} end
    return t
  end]]

return {
  -- Time.
  { "loops", "time", [[while true do end]] },
  { "loops after it has run warm", "time", [[
    local function step(n) local s = 0 for i = 1, n do s = s + i % 7 end return s end
    for _ = 1, 200 do step(100) end
    while true do step(1e9) end]] },
  { "loops by goto", "time", [[::again:: goto again]] },
  { "counts for ever", "time", [[for _ = 1, math.huge do end]] },
  { "loops in a coroutine", "time", [[coroutine.wrap(function() while true do end end)()]] },
  { "loops through coroutines that are stopped", "time", [[
    while true do coroutine.resume(coroutine.create(function() while true do end end)) end]] },
  { "ping-pongs with a coroutine", "time", [[
    local other = coroutine.wrap(function() while true do coroutine.yield() end end)
    while true do other() end]] },
  { "loops behind pcall", "time", [[while true do pcall(function() while true do end end) end]] },
  { "catches what stops it and returns", "time", [[
    pcall(function() while true do end end) return candidates]] },
  { "catches what stops it and raises it again", "time", [[
    local _, e = pcall(function() while true do end end) error(e, 0)]] },
  { "calls itself behind pcall", "time", [[local function f() pcall(f) pcall(f) end f()]] },
  { "loops in __index", "time", [[
    return setmetatable({}, { __index = function() while true do end end }).x]] },
  { "loops in __newindex", "time", [[
    local t = setmetatable({}, { __newindex = function() while true do end end }) t.x = 1]] },
  { "loops in __call", "time", [[setmetatable({}, { __call = function() while true do end end })()]] },
  { "loops in __concat", "time", [[
    return setmetatable({}, { __concat = function() while true do end end }) .. "x"]] },
  { "loops in __eq", "time", [[
    local m = { __eq = function() while true do end end }
    return setmetatable({}, m) == setmetatable({}, m)]] },
  { "loops in __lt", "time", [[
    local m = { __lt = function() while true do end end }
    return setmetatable({}, m) < setmetatable({}, m)]] },
  { "loops in __le", "time", [[
    local m = { __le = function() while true do end end }
    return setmetatable({}, m) <= setmetatable({}, m)]] },
  { "loops in __unm", "time", [[
    return -setmetatable({}, { __unm = function() while true do end end })]] },
  { "loops in __add", "time", [[
    return 1 + setmetatable({}, { __add = function() while true do end end })]] },
  { "loops in __tostring", "time", [[
    return tostring(setmetatable({}, { __tostring = function() while true do end end }))]] },
  { "loops in the __tostring of what it logs", "time", [[
    log(setmetatable({}, { __tostring = function() while true do end end }))]] },
  { "waits for __gc and __len of a table, which are not to be had", "serves small", [[
    for _ = 1, 1000 do setmetatable({}, { __gc = function() while true do end end }) end
    local t = setmetatable({}, { __len = function() while true do end end })
    return candidates:keep("small", function(c) return c.model == "small" and #t == 0 end)]] },
  { "loops in a comparison of sort", "time", [[
    local t = {} for i = 1, 100 do t[i] = i end
    table.sort(t, function() while true do end end)]] },
  { "has a list made of what seems endless", "time", [[
    for _ = 1, 100 do require("moongate.list").new(endless()) end]], top = ENDLESS },
  { "takes from a table that seems endless", "time", [[
    for _ = 1, 100 do table.remove(endless(), 1) end]], top = ENDLESS },
  { "has warm library code loop over what seems endless", "time", [[
    local list = require "moongate.list"
    for _ = 1, 100 do list.new(candidates):take(2) end
    list.new(endless()):take(2 ^ 30)]], top = ENDLESS },
  { "sorts in a circle", "time", [[
    while true do local t = {} for i = 1, 1000 do t[i] = i % 7 end table.sort(t) end]] },
  { "sorts more than there is time for", "time", [[
    local t = {} for i = 1, 2e5 do t[i] = (i * 7919) % 1e5 end table.sort(t)]] },
  { "loops in the key of a step", "time", [[
    return candidates:sort("slow", function() while true do end end)]] },
  { "loops in the test of a step", "time", [[
    return candidates:keep("slow", function() while true do end end)]] },
  { "loops in an iterator", "time", [[for _ in function() while true do end end do end]] },
  { "iterates for ever", "time", [[for _ in function() return 1 end do end]] },
  { "loops in a gsub callback", "time", [[return (("x"):gsub("x", function() while true do end end))]] },
  { "matches a pattern that explodes", "time", [[
    return (("a"):rep(5000)):find(("a*"):rep(20) .. "b")]] },
  { "matches lazily what explodes", "time", [[return (("a"):rep(50000)):match(".-.-.-b")]] },
  { "balances what is not balanced", "time", [[return (("("):rep(300000)):find("%b()")]] },
  { "replaces by a pattern that explodes", "time", [[
    return (("a"):rep(20000)):gsub("a-a-a-b", "")]] },
  { "iterates over matches that explode", "time", [[
    for _ in (("a"):rep(20000)):gmatch("a*a*a*b") do end]] },
  { "writes JSON that doubles", "time|memory|error", [[
    local json, t = require "moongate.json", { "x" }
    for _ = 1, 60 do t = { t, t } end
    return json.encode(t)]] },
  { "reads JSON for ever", "time|memory", [[
    local json, text = require "moongate.json", "[" .. ("1,"):rep(1e5) .. "1]"
    while true do json.decode(text) end]] },
  { "compiles for ever", "time|memory", [[
    local text = ("x = 1 "):rep(1e4)
    while true do load(text) end]] },
  { "compiles what takes the compiler long", "time", [[
    local text = "local a return " .. ("a or "):rep(12000) .. "a"
    local made = load(text)
    return made()]] },
  { "concatenates for ever", "time|memory", [[
    local t = {} for i = 1, 1e4 do t[i] = "x" end
    while true do table.concat(t) end]] },
  { "empties a long list from its front", "time", [[
    local t = {} for i = 1, 1e5 do t[i] = i end
    while #t > 0 do table.remove(t, 1) end]] },
  { "scores for ever", "time", [[while true do candidates:score{ cost = 1 } end]] },
  { "logs for ever", "time", [[while true do log("here I am") end]] },
  { "requires what loops", "time", [[return require "lib.loops"]] },
  { "counts by steps of nothing", "time", [[for _ = 1, 2, 0 do end]] },
  { "is raised again what stopped an earlier call", "time|error", [[
    if token then error(token) end
    local _, e = pcall(function() while true do end end) token = e]], top = "local token", twice = true },
  { "looks back by a capture that explodes", "time", [[return (("a"):rep(20000)):find("(.*)%1%1b")]] },
  { "looks for a letter in a book of letters, for each letter of a book", "time|memory", [[
    return (("a"):rep(1e6)):gsub("[^" .. ("b"):rep(1e6) .. "]", "")]] },
  { "reads JSON of many objects", "time|memory", [[
    return require("moongate.json").decode("[" .. ('{"a":1},'):rep(2e5) .. "1]")]] },
  { "compiles a long chain of elseif", "time|error|result", [[
    return assert(load("local a if a then " .. ("elseif a then "):rep(4000) .. "end"))()]] },
  { "seeds the dice by what loops in __tostring", "time", [[
    math.randomseed(setmetatable({}, { __tostring = function() while true do end end }))]] },
  { "requires a name of a million folders", "time|memory|error", [[return require(("lib."):rep(1e6))]] },

  -- Depth.
  { "calls itself", "depth|time", [[local function f() return 1 + f() end return f()]] },
  { "calls itself through gsub", "depth|time", [[local function f() return (("x"):gsub("x", f)) end return f()]] },
  { "calls itself through the table of gsub", "depth|time", [[
    local t t = setmetatable({}, { __index = function() return (("x"):gsub("x", t)) end })
    return (("x"):gsub("x", t))]] },
  { "calls itself through sort", "depth|time", [[local function f() table.sort({ 1, 2, 3 }, f) end f()]] },
  { "calls itself through sort and __lt", "depth|time", [[
    local m = {} m.__lt = function() table.sort({ setmetatable({}, m), setmetatable({}, m) }) end m.__lt()]] },
  { "calls itself through format", "depth|time", [[
    local t t = setmetatable({}, { __tostring = function() return ("%s"):format(t) end }) return ("%s"):format(t)]] },
  { "calls itself through tostring", "depth|time", [[
    local t t = setmetatable({}, { __tostring = function() return tostring(t) .. "x" end }) return tostring(t)]] },
  { "calls itself through __index", "depth|time", [[
    local t t = setmetatable({}, { __index = function(_, k) return t[k + 1] + 1 end }) return t[1] ]] },
  { "calls itself through __concat", "depth|time", [[
    local t t = setmetatable({}, { __concat = function() return (t .. "x") .. "y" end }) return t .. "x"]] },
  { "calls itself through a step", "depth|time", [[
    local function f() return candidates:keep("deeper", f) and true end return f()]] },
  { "nests coroutines", "depth|time", [[local function f() coroutine.wrap(f)() end f()]] },
  { "nests resumes", "depth|time", [[
    local function f() assert(coroutine.resume(coroutine.create(f))) end f()]] },
  { "nests coroutines and gsub by turns", "depth|time", [[
    local function f() return (("x"):gsub("x", coroutine.wrap(f))) end return f()]] },
  { "follows __index in a circle", "error", [[
    local a, b = {}, {}
    setmetatable(a, { __index = b }) setmetatable(b, { __index = a })
    return a.x]] },
  { "follows __newindex in a circle", "error", [[
    local a, b = {}, {}
    setmetatable(a, { __newindex = b }) setmetatable(b, { __newindex = a })
    a.x = 1]] },
  { "is its own metatable", "error", [[
    local t = {} t.__index = t setmetatable(t, t)
    return t.x.y]] },
  { "nests parentheses deeper than the compiler goes", "error", [[
    assert(load("return " .. ("("):rep(10000) .. "1" .. (")"):rep(10000)))]], says = "" },
  { "nests JSON deeper than a stack is", "error", [[
    local t = {} local top = t
    for _ = 1, 5000 do t[1] = {} t = t[1] end
    return require("moongate.json").encode(top)]], says = "nested more than 200 deep" },
  { "nests what it reads as JSON", "result", [[return (require("moongate.json").decode(("["):rep(2e6)))]] },
  { "writes JSON in a circle", "error", [[
    local t = {} t.t = t return require("moongate.json").encode(t)]], says = "in a circle" },
  { "matches by a pattern deeper than a stack is", "error", [[
    return (("a"):rep(2e5)):find(("a?"):rep(1e5))]], says = "pattern too complex" },
  { "compiles operators deeper than the compiler goes", "error", [[
    return assert(load("local a = 'x' return " .. ("a.."):rep(20000) .. "a"))()]], says = "too many" },

  -- Memory.
  { "hungers for tables", "memory|time", [[local t = {} while true do t[#t + 1] = { {}, {}, {} } end]] },
  { "hungers for text", "memory|time", [[local s = "x" while true do s = s .. s end]] },
  { "hungers for closures", "memory|time", [[
    local t = {} while true do t[#t + 1] = function() return t end end]] },
  { "hungers for coroutines", "memory|time", [[
    local t = {} while true do t[#t + 1] = coroutine.create(error) end]] },
  { "hungers by rep", "memory|time", [[return ("x"):rep(1e9)]] },
  { "hungers by rep, many times", "memory|time", [[local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1e5 + i) end]] },
  { "hungers by concat", "memory|time", [[
    local s, t = ("x"):rep(1e5), {} for i = 1, 1000 do t[i] = s end return table.concat(t)]] },
  { "hungers by gsub", "memory|time", [[return (("x"):rep(10000):gsub("x", ("x"):rep(100000)))]] },
  { "hungers by format", "memory|time", [[
    local s = ("x"):rep(1e6) return (("%s"):rep(90)):format(s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s,
      s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s,
      s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s)]] },
  { "hungers behind pcall", "memory|time", [[
    local t = {} while true do pcall(function() while true do t[#t + 1] = ("x"):rep(1e6) .. #t end end) end]] },
  { "hungers in a coroutine", "memory|time", [[
    coroutine.wrap(function() local t = {} while true do t[#t + 1] = ("x"):rep(1e6) .. #t end end)()]] },
  { "hungers for steps", "memory|time|error", [[
    while true do candidates = candidates:sort("again", function() return 1 end) end]] },
  { "asks for facts, and all else that takes memory, when there is none left", "memory|time|serves large", [[
    local json, kept, size = require "moongate.json", {}, 2 ^ 20
    local function full()
      while size >= 1 do
        if not pcall(function() kept[#kept + 1] = ("x"):rep(size) .. #kept end) then size = size / 2 end
      end
    end
    full()
    for i = 1, #candidates do
      local c = candidates[i]
      for _, name in ipairs { "left", "used", "cost", "strengths", "balance", "latency_ms", "exhausted", "status" } do
        pcall(function() return c[name] end)
      end
    end
    for _, each in ipairs {
      { json.decode, '[{"a":["b"]},1e5]' }, { json.encode, { a = { 1, "b" } } }, { log, "x" }, { os.date, "*t" },
      { string.gsub, "abc", "%w", "%0%0" }, { string.format, "%s-%d", "x", 1 }, { load, "return 1" },
      { coroutine.create, full }, { table.concat, { "a", "b" } }, { table.insert, kept, 1 },
      { require, "moongate.time" }, { require, "lib.shared" },
    } do
      pcall(unpack(each))
    end
    return candidates]] },
  { "formats a width that is too wide", "error", [[return ("%99999999d"):format(1)]] },
  { "unpacks more than fits", "error", [[return unpack({}, 1, 1e8)]] },
  { "inserts far below", "error", [[table.insert({}, -2 ^ 31, 1)]] },
  { "hungers by the separator of rep", "memory|time", [[return ("x"):rep(1e6, ("y"):rep(1e6))]] },
  { "repeats nothing for ever", "serves small", [[
    local _ = (""):rep(2 ^ 31 - 1) .. (""):rep(2 ^ 40, "")
    return { candidates[2] }]] },
  { "fills weak tables", "serves small", [[
    kept = kept or setmetatable({}, { __mode = "kv" })
    for i = 1, 20000 do kept[i] = {} end
    return { candidates[2] }]], top = "local kept", twice = true },
  { "concatenates from the far end", "error", [[return table.concat({}, "x", -2 ^ 31, 2 ^ 31 - 1)]] },
  { "unpacks from the far end", "error", [[return unpack({}, -2 ^ 31, 2 ^ 31 - 1)]] },
  { "asks for what no number is", "serves small", [[
    local nan, far = 0 / 0, math.huge
    log(("abc"):sub(nan, far), ("abc"):byte(-far, far), table.remove({ 1 }, nan), table.remove({ 1 }, -2 ^ 31))
    log(os.date("*t", nan), os.date("%c", 1e300), os.date("%", 1))
    log(os.time { year = nan, month = 2 ^ 31, day = -2 ^ 31 })
    log(math.random(nan), math.random(-far, far), ("%.99f"):format(1e308))
    return { candidates[2] }]] },
  { "matches by patterns that are none", "serves small", [=[
    for _, p in ipairs { "%", "[", "[^", "[]", "[%", "%b", "%bx", "%f", "%fa", "(", ")", "()", "%1", "(%1)", "[a-",
      "a**", "[%a-z]", "%f[", "^", "$", "^$", "%0", ("(a)"):rep(50) } do
      for _, match in ipairs { string.find, string.match, string.gmatch, string.gsub } do
        pcall(match, ("a"):rep(100), p, "%1%9")
      end
    end
    return { candidates[2] }]=] },

  -- Errors.
  { "raises text", "error", [[error("I have no idea")]], says = "I have no idea" },
  { "raises nil", "error", [[error(nil)]], says = "a nil value" },
  { "raises a table", "error", [[error({})]], says = "a table value" },
  { "raises itself", "error", [[local t = {} t[1] = t error(t)]] },
  { "raises a function", "error", [[error(function() while true do end end)]] },
  { "raises what loops in __tostring", "error", [[
    error(setmetatable({}, { __tostring = function() while true do end end }))]] },
  { "raises what raises in everything", "error", [[
    local function no() error("no") end
    error(setmetatable({}, { __tostring = no, __concat = no, __index = no, __metatable = 1 }))]] },
  { "raises a very long text", "error", [[error(("long "):rep(1e5))]] },
  { "raises bytes that are no text", "error", [[error("\0\255\254\n\r\"\\\27[2J")]] },
  { "says what a timeout says", "error", [[error("over its time of 20 ms", 0)]] },
  { "says what a loss of memory says", "error", [[error("not enough memory", 0)]] },
  { "yields out of a comparison in C", "error", [[
    coroutine.wrap(function() table.sort({ 3, 2, 1 }, function() coroutine.yield() end) end)()]] },
  { "leaves a step half-way", "serves small", [[
    local step = coroutine.wrap(function()
      candidates:sort("half", function(c) coroutine.yield(c) return 1 end)
    end)
    step()
    return { candidates[2] }]] },
  { "raises in another's name", "error", [[
    error("policies/routing/canary.lua:1: it was me", 0)]], says = "canary.lua:1: it was me" },
  { "misspells a field of the request", "error", [[
    if request.privcy then return {} end return candidates]], says = 'no "privcy" (did you mean "privacy"' },
  { "misspells a field of the caller", "error", [[
    if request.caller.teir == "pro" then return candidates end return {}]], says = 'no "teir" (did you mean "tier"' },
  { "misspells a limit", "error", [[
    return candidates:keep("left", function(c) return c.left.rdp > 0 end)]], says = 'no limit called "rdp"' },
  { "scores what is no candidate", "error", [[
    candidates[3] = 0 / 0 return candidates:score{ cost = 1 }]],
    says = "score wants a list of candidates, and found a number" },
  { "joins what is no list of candidates", "error", [[
    return candidates:concat { 0 / 0 }]],
    says = "concat wants a list of candidates, and found a number" },
  { "yields out of the call", "error", [[coroutine.yield()]] },
  { "mistypes a fact", "error", [[
    return candidates:keep("free", function(c) return c.fre end)]], says = 'no "fre" (did you mean' },
  { "compares what cannot be", "error", [[return request < candidates]] },

  -- Results.
  { "returns nothing", "result", [[]], says = "returned nothing, not a list" },
  { "returns nil", "result", [[return nil]], says = "returned nothing" },
  { "returns a number", "result", [[return 17]], says = "a number" },
  { "returns not-a-number", "result", [[return 0 / 0]], says = "a number" },
  { "returns true", "result", [[return true]], says = "a boolean" },
  { "returns text", "result", [[return "small"]], says = "a string" },
  { "returns a function", "result", [[return function() end]], says = "a function" },
  { "returns a coroutine", "result", [[return coroutine.create(function() end)]], says = "a thread" },
  { "returns a plain table of names", "result", [[return { "small" }]], says = "no candidate" },
  { "returns a candidate instead of a list", "refused", [[return candidates[1] ]] },
  { "returns foreign candidates", "result", [[
    return { { id = "acme/small", model = "small", provider = "acme", free = true } }]], says = "no candidate" },
  { "returns candidates of an earlier request", "result", [[
    kept = kept or candidates return kept]], top = "local kept", twice = true, says = "no candidate" },
  { "drops from the list of an earlier request", "error", [[
    if kept then kept:drop("nonsense", function() return true end) end
    kept = candidates return candidates]], top = "local kept", twice = true, says = "this request is over" },
  { "reads what it kept of an earlier request", "error", [[
    if kept then return candidates:keep(kept.text_length .. "", function() return true end) end
    kept = request return candidates]], top = "local kept", twice = true, says = "this request is over" },
  { "asks a candidate of an earlier request", "error", [[
    if kept then return candidates:keep("left", function() return kept.left.rpm > 0 end) end
    kept = candidates[1] return candidates]], top = "local kept", twice = true, says = "this request is over" },
  { "returns the same candidate a thousand times", "result", [[
    local t = {} for i = 1, 1000 do t[i] = candidates[1] end return t]], says = "more rungs" },
  { "returns the same candidate a few times", "serves small", [[
    local t = {} for i = 1, 20 do t[i] = candidates[2] end return t]] },
  { "returns a list with a hole", "result", [[
    local t = { candidates[1], candidates[2], candidates[1], candidates[2] } t[2] = nil return t]],
    says = "at position 2" },
  { "returns a list with a hole at its front", "result", [[
    return { nil, candidates[1], candidates[2], candidates[1] }]], says = "at position 1" },
  { "returns a proxy for a list", "refused", [[
    return setmetatable({}, { __index = candidates, __len = function() return 2 end })]] },
  { "returns a list that loops in __index and __len", "refused", [[
    local function loop() while true do end end
    return setmetatable({}, { __index = loop, __len = loop, __newindex = loop, __call = loop, __eq = loop })]] },
  { "returns candidates behind metamethods that loop", "result", [[
    local function loop() while true do end end
    return { setmetatable({}, { __index = loop, __eq = loop, __tostring = loop }) }]], says = "no candidate" },
  { "returns more than anybody asked for", "serves small", [[
    local t = {} for i = 1, 7000 do t[i] = i end
    return candidates:keep("small", function(c) return c.model == "small" end), unpack(t)]] },
  { "returns thousands of results from a vararg", "serves small", [[
    local t = {} for i = 1, 7900 do t[i] = i end
    local function all(...) return ... end
    return candidates:keep("small", function(c) return c.model == "small" end), all(unpack(t))]] },
  { "names a policy that loops to fall through to", "time", [[return {}, "row-1"]] },
  { "names itself to fall through to", "refused", [[return {}, "SELF"]] },
  { "names another that names it", "refused", [[return {}, "circle"]] },
  { "gives a reason as long as a book", "refused", [[return {}, ("because "):rep(2e5)]], says = "because" },
  { "gives a reason that is no text", "refused", [[return {}, "\0\255\254\r\nx-evil: 1"]] },
  { "gives a reason that is a trap", "refused", [[
    return {}, setmetatable({}, { __tostring = function() while true do end end })]] },
  { "names its steps by a book", "serves small", [[
    return candidates:keep(("long "):rep(2e5), function(c) return c.model == "small" end)]] },
  { "names its steps by bytes that are no text", "serves small", [[
    return candidates:keep("\0\255\r\n", function(c) return c.model == "small" end)]] },
  { "takes hundreds of steps", "serves small", [[
    for i = 1, 300 do candidates = candidates:prefer("step " .. i, function(c) return c.model == "small" end) end
    return candidates]] },
  { "forges what a score is made of", "serves small", [[
    for i = 1, #candidates do
      rawset(candidates[i], "latency_ms", 0 / 0) rawset(candidates[i], "estimated_cost", i == 1 and 0 / 0 or -math.huge)
    end
    return candidates:score{ cost = 1, latency = 1 }:prefer("small", function(c) return c.model == "small" end)]] },
  { "forges when it may be tried again", "serves small", [[
    for i = 1, #candidates do rawset(candidates[i], "retry_in", 0 / 0) end
    candidates = candidates:drop("large", function(c) return c.model == "large" end)
    for i = 1, #candidates do rawset(candidates[i], "retry_in", -math.huge) end
    return candidates]] },
  { "names a shuffle by what loops when it is told", "error", [[
    return candidates:shuffle(setmetatable({}, { __concat = function() while true do end end }))]] },
  { "puts what is no candidate into its list", "result", [[
    local function loop() while true do end end
    candidates[3], candidates[4] = setmetatable({}, { __index = loop, __eq = loop, __lt = loop }), 0 / 0
    return candidates:keep("all", function() return true end)]], says = "no candidate" },
  { "drops what is no candidate from its list", "serves small", [[
    local function loop() while true do end end
    candidates[3] = setmetatable({}, { __index = loop, __eq = loop, __lt = loop, __tostring = loop })
    candidates[4] = 0 / 0
    return candidates:keep("small", function(c) return c == candidates[2] end)]] },
  { "scores by text that reads as a number", "serves small", [[
    for i = 1, #candidates do rawset(candidates[i], "latency_ms", "nan") end
    return candidates:score{ latency = 1 }:prefer("small", function(c) return c.model == "small" end)]] },
  { "logs what is no text, and more than there is room for", "serves small", [[
    for i = 1, 1000 do log("\0\255\254", ("x"):rep(1e4), nil, {}, function() end) end
    return candidates:keep("small", function(c) return c.model == "small" end)]] },

  -- Another's world.
  { "forges facts of a candidate", "serves small", [[
    for i = 1, #candidates do
      local c = candidates[i]
      c.free, c.cost, c.id, c.model, c.provider = true, { input = 0, output = 0 }, "acme/small", "small", "acme"
      rawset(c, "is_local", true)
      c.strengths[1] = "poison"
    end
    return { candidates[2] }]] },
  { "changes what a candidate shares", "serves small", [[
    for i = 1, #candidates do candidates[i].cost.input = -1 candidates[i].left.rpm = -1 candidates[i].used.rpm = 1e9 end
    return { candidates[2] }]] },
  { "changes the request", "serves small", [[
    request.model, request.messages, request.privacy, request.stream = "large", {}, true, true
    request.caller.name, request.headers["x-moongate-policy"] = "root", "row-1"
    request.now, request.seed = -1, -1
    return { candidates[2] }]] },
  { "changes the metatable of a candidate", "error", [[
    setmetatable(candidates[1], { __index = function() return true end })]], says = "protected metatable" },
  { "changes the metatable of the list", "error", [[
    setmetatable(candidates, { __index = {} })]], says = "protected metatable" },
  { "changes the metatable of the request", "error", [[
    setmetatable(request, nil)]], says = "protected metatable" },
  { "looks for the metatable of a candidate", "error", [[
    return getmetatable(candidates[1]).__index]] },
  { "changes the methods of the list", "error", [[
    getmetatable(candidates).__index.keep = function(self) return self end]] },
  { "hides the methods of its list", "serves small", [[
    candidates.keep, candidates.sort, candidates.take = nil, 17, error
    return { candidates[2] }]] },
  { "poisons the string methods", "error", [[
    getmetatable("").__index = function() return nil end]] },
  { "poisons the string methods by name", "error", [[
    getmetatable("").__index.rep = function() return "poison" end]] },
  { "poisons its own libraries", "serves small", [[
    for _, each in ipairs { string, table, math, os, coroutine, bit } do
      for name in pairs(each) do each[name] = function() return "poison" end end
    end
    return { candidates[2] }]] },
  { "poisons its own globals", "serves small", [[
    poison = true
    pairs, ipairs, type, tostring, select, error, pcall, next, require, log = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    return { candidates[2] }]] },
  { "patches moongate.list", "serves small", [[
    local list = require "moongate.list"
    list.new = function() error("poison") end
    return { candidates[2] }]] },
  { "patches the libraries it may require", "serves small", [[
    for _, name in ipairs { "list", "score", "json", "time", "text" } do
      local library = require("moongate." .. name)
      for key in pairs(library) do
        if type(library[key]) == "table" then for k in pairs(library[key]) do library[key][k] = nil end end
        library[key] = function() error("poison") end
      end
    end
    return { candidates[2] }]] },
  { "marks shared values as arrays of JSON", "error", [[
    local json = require "moongate.json"
    json.array(candidates)]] },
  { "patches a library that others share", "serves small", [[
    local shared = require "lib.shared"
    shared.number, shared.poison = 2, true
    return { candidates[2] }]] },
  { "seeds the dice of all", "serves small", [[
    math.randomseed(1) math.randomseed(0 / 0) math.randomseed(("x"):rep(1e6))
    return { candidates[2] }]] },
  { "sees the coroutine it runs in", "serves small", [[
    assert(coroutine.running() == nil)
    local inner = coroutine.create(function(self) return coroutine.running() end)
    local _, seen = coroutine.resume(inner)
    assert(seen == inner)
    return { candidates[2] }]] },

  -- Reaching out. The places are empty; asking for them is an error at that line.
  { "opens a file", "error", [[return io.open("/etc/passwd")]], says = "'io'" },
  { "runs a program", "error", [[return os.execute("true")]], says = "'execute'" },
  { "reads the environment", "error", [[return os.getenv("HOME")]], says = "'getenv'" },
  { "removes a file", "error", [[return os.remove("/tmp/nothing-here")]], says = "'remove'" },
  { "ends the process", "error", [[os.exit(1)]], says = "'exit'" },
  { "asks for package", "error", [[return package.loaded]], says = "'package'" },
  { "asks for debug", "error", [[return debug.getregistry()]], says = "'debug'" },
  { "asks for ffi", "error", [[return require "ffi"]], says = "cannot require 'ffi'" },
  { "asks for jit", "error", [[return jit.on()]], says = "'jit'" },
  { "asks for jit.util", "error", [[return require "jit.util"]], says = "cannot require" },
  { "asks for a socket", "error", [[return require "socket"]], says = "cannot require" },
  { "asks for the store", "error", [[return require "moongate.core.store"]], says = "cannot require" },
  { "asks for the guard", "error", [[return require "moongate.core.guard"]], says = "cannot require" },
  { "asks for a part of the gateway", "error", [[return require "moongate.record"]],
    says = "cannot require" },
  { "asks for a file above", "error", [[return require "lib.../../moongate"]], says = "there is no" },
  { "loads bytecode", "error", [[return assert(load("\27LJ\2\0"))]] },
  { "dumps a function", "error", [[return string.dump(function() end)]], says = "'dump'" },
  { "loads a file", "error", [[return dofile("/etc/passwd")]], says = "'dofile'" },
  { "compiles a file", "error", [[return loadfile("/etc/passwd")]], says = "'loadfile'" },
  { "loads by a reader", "error", [[return assert(load(function() return nil end))]] },
  { "loads what reaches out", "error", [[return assert(load("return io.open('/etc/passwd')"))()]] },
  { "loads by another name", "error", [[return assert(loadstring("return os.exit(1)"))()]] },
  { "collects garbage", "error", [[collectgarbage("stop")]], says = "'collectgarbage'" },
  { "makes a proxy", "error", [[return newproxy(true)]], says = "'newproxy'" },
  { "takes another's environment", "error", [[return getfenv(0)]], says = "'getfenv'" },
  { "changes an environment", "error", [[setfenv(1, {})]], says = "'setfenv'" },
  { "takes the globals", "error", [[return _G.string]], says = "'_G'" },
  { "calls with a handler", "error", [[return xpcall(error, print)]], says = "'xpcall'" },
  { "prints", "error", [[print("hello")]], says = "'print'" },
  { "waits", "error", [[coroutine.yield("sleep", 10)]] },
}
