-- Redis links: a loop's connection to a real server that stops, freezes, forgets and comes back.
local ffi = require "ffi"
local links = require "spec.net.redis_links"
local redis = require "spec.support.redis"
local socket = require "socket"
local valgrind = require "spec.support.valgrind"

local library, logged, NULL = links.library, links.logged, links.NULL
local DEADLINE = 0.05

-- A server that says what it is told and never more; its port, and a function that ends it.
local function impostor(greeting)
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:settimeout(0)
  local open = {}
  return tonumber(port), function()
    local connection = listener:accept()
    if connection then
      open[#open + 1] = connection
      connection:send(greeting)
    end
    return #open
  end, function()
    for _, connection in ipairs(open) do connection:close() end
    listener:close()
  end
end

describe("a link", function()
  local server, loop

  local function address(fields)
    fields = fields or {}
    fields.port = fields.port or server.port
    return links.address(fields)
  end

  local function fault(link) return ffi.string(library.redis_link_fault(link)) end

  local function await_state(link, is_up)
    loop:run_until(function() return library.redis_link_is_up(link) == is_up end,
      is_up and "a link that is up" or "a link that is down")
  end

  local function await_fault(link, pattern)
    loop:run_until(function() return fault(link):match(pattern) end, "the fault " .. pattern)
  end

  before_each(function()
    loop = links.open()
  end)

  after_each(function()
    loop:close()
    if server then server:free() end
    server = nil
  end)

  describe("to a server that is there", function()
    before_each(function() server = redis.start() end)

    it("says that it is up, once", function()
      local link = loop:link(address())
      assert.is_false(library.redis_link_is_up(link))
      assert.same({}, loop.states)
      await_state(link, true)
      loop:ask(link, "PING")
      assert.same({ true }, loop.states)
      assert.equal("", fault(link))
    end)

    it("answers commands in their order", function()
      local link = loop:link_up(address())
      for index = 1, 100 do loop:send(link, "RPUSH", "list", index) end
      local last = loop:send(link, "LRANGE", "list", 0, 2)
      assert.same({ "1", "2", "3", n = 3 }, loop:await(last))
      for index = 1, last do assert.equal(index, loop.order[index]) end
    end)

    it("tells every kind of reply apart", function()
      local link = loop:link_up(address())
      assert.is_nil(loop:ask(link, "GET", "none"))
      assert.same({ ok = "OK" }, loop:ask(link, "SET", "a", "7"))
      assert.equal("7", loop:ask(link, "GET", "a"))
      assert.equal(8, loop:ask(link, "INCR", "a"))
      assert.equal("", loop:ask(link, "ECHO", ""))
      assert.same({ n = 0 }, loop:ask(link, "LRANGE", "none", 0, -1))
      assert.same({ "8", nil, n = 2 }, loop:ask(link, "MGET", "a", "none"))
      local nested = loop:ask(link, "EVAL", "return { 1, { 'two', { 3 } }, false }", 0)
      assert.same({ 1, { "two", { 3, n = 1 }, n = 2 }, nil, n = 3 }, nested)
      assert.matches("^ERR unknown command", loop:ask(link, "NONSENSE").err)
      assert.matches("^WRONGTYPE", loop:ask(link, "LPUSH", "a", 1).err)
    end)

    it("carries words of any bytes", function()
      local link = loop:link_up(address())
      local all = {}
      for byte = 0, 255 do all[#all + 1] = string.char(byte) end
      local word = table.concat(all) .. "\r\n$3\r\n"
      loop:send(link, "SET", word, word:reverse())
      assert.equal(word:reverse(), loop:ask(link, "GET", word))
    end)

    it("carries thousands of commands under way, each with its own answer", function()
      local link = loop:link_up(address())
      local first = loop.asked + 1
      for index = 1, 5000 do loop:send(link, "ECHO", "word " .. index) end
      loop:await(loop.asked)
      for index = 1, 5000 do assert.equal("word " .. index, loop.answers[first + index - 1][1]) end
    end)

    it("goes on sending while thousands of answers come in", function()
      local link = loop:link_up(address())
      loop.on_answer = function(number)
        if number <= 5000 and number % 100 == 0 then loop:send(link, "ECHO", "more " .. number) end
      end
      for index = 1, 5000 do loop:send(link, "ECHO", "word " .. index) end
      loop:run_until(function() return #loop.order == 5050 end)
      for index = 1, 50 do assert.equal("more " .. 100 * index, loop.answers[5000 + index][1]) end
    end)

    it("carries words and replies of megabytes", function()
      local link = loop:link_up(address())
      local big = ("0123456789abcdef"):rep(512 * 1024)
      loop:send(link, "SET", "big", big)
      local small = loop:send(link, "ECHO", "small")
      local reply = loop:ask(link, "GET", "big")
      assert.is_true(reply == big)
      assert.equal("small", loop.answers[small][1])
      assert.equal(3, loop:ask(link, "EVAL", "for i = 1, 30000 do redis.call('RPUSH', 'list', i) end return 3", 0))
      local list = loop:ask(link, "LRANGE", "list", 0, -1)
      assert.equal(30000, list.n)
      assert.equal("30000", list[30000])
    end)

    it("takes commands from inside an answer", function()
      local link = loop:link_up(address())
      loop.on_answer = function(_, value) if value < 10 then loop:send(link, "INCR", "n") end end
      loop:send(link, "INCR", "n")
      loop:run_until(function() return loop.asked == 10 and loop.answers[10] end)
      assert.equal("10", server:command("GET", "n"))
    end)

    it("needs nobody who waits for the answer", function()
      local link = loop:link_up(address())
      local words, kept = links.words("SET", "a", "1")
      library.redis_link_send(link, words, #kept, nil, nil)
      assert.equal("1", loop:ask(link, "GET", "a"))
    end)

    it("reads an integer out of a text, and none out of anything else", function()
      local link = loop:link_up(address())
      local numbers = {}
      local on_reply = ffi.cast("void (*)(void *, const struct redis_reply *)", function(_, reply)
        for index = 0, tonumber(library.redis_count(reply)) - 1 do
          numbers[#numbers + 1] = tonumber(library.redis_integer(library.redis_item(reply, index)))
        end
        assert.is_true(library.redis_item(reply, 99) == nil)
      end)
      local words, kept = links.words("EVAL", "return { 5, '-6', '7x', '', false, 'x' }", 0)
      library.redis_link_send(link, words, #kept, on_reply, nil)
      loop:ask(link, "PING")
      on_reply:free()
      assert.same({ 5, -6, 0, 0, 0, 0 }, numbers)
    end)

    it("goes over a Unix socket", function()
      local link = loop:link_up(links.address { host = server.socket })
      assert.equal("unix", loop:ask(link, "ECHO", "unix"))
    end)

    it("finds a server by its name", function()
      local link = loop:link_up(address { host = "localhost" })
      assert.equal("name", loop:ask(link, "ECHO", "name"))
    end)

    it("chooses its database", function()
      server:command("SET", "a", "in 0")
      local link = loop:link_up(address { database = 3 })
      assert.is_nil(loop:ask(link, "GET", "a"))
      loop:ask(link, "SET", "a", "in 3")
      assert.equal("in 0", server:command("GET", "a"))
    end)

    it("never comes up with a database that is not there, and says so once", function()
      local link
      local text = logged(function()
        link = loop:link(address { database = 99 })
        await_fault(link, "has no database 99")
        loop:run_until(function()
          local failed = server:command("INFO", "commandstats"):match("cmdstat_select:[^\n]*failed_calls=(%d+)")
          return tonumber(failed) >= 3
        end, "three tries")
      end)
      assert.is_false(library.redis_link_is_up(link))
      local _, count = text:gsub("no database 99", "")
      assert.equal(1, count)
    end)

    it("says no more than that it is not up to a server that wants no password", function()
      local link = loop:link(address { password = "canary" })
      await_fault(link, "has no password: take it out")
      assert.falsy(fault(link):find("canary"))
    end)
  end)

  describe("with a password", function()
    before_each(function() server = redis.start { requirepass = "right" } end)

    it("logs in before it is up", function()
      local link = loop:link_up(address { password = "right", database = 1 })
      assert.same({ ok = "OK" }, loop:ask(link, "SET", "a", 1))
    end)

    it("logs in as a user", function()
      server:command("ACL", "SETUSER", "moon", "on", ">gate", "allcommands", "allkeys")
      local link = loop:link_up(address { user = "moon", password = "gate" })
      assert.equal("moon", loop:ask(link, "ACL", "WHOAMI"))
    end)

    it("tells a wrong one once, without showing it, and comes up when it is right", function()
      local link
      local text = logged(function()
        link = loop:link(address { password = "canary" })
        await_fault(link, "refuses the password")
        loop:run_until(function() return #(server:command("ACL", "LOG") or {}) > 0 end)
        local failures = function()
          local entry = server:command("ACL", "LOG")[1]
          for index = 1, #entry, 2 do if entry[index] == "count" then return entry[index + 1] end end
        end
        loop:run_until(function() return failures() >= 3 end, "three tries")
      end)
      local _, count = text:gsub("refuses the password", "")
      assert.equal(1, count)
      assert.matches('"level":"error"', text)
      assert.falsy(text:find("canary"))
      assert.falsy(fault(link):find("canary"))
      server:command("CONFIG", "SET", "requirepass", "canary")
      await_state(link, true)
    end)

    it("says that one is missing", function()
      local link = loop:link(address())
      await_fault(link, "asks for a password")
    end)

    it("does not show it where the server quotes the whole command", function()
      server:free()
      server = redis.start { args = { "--rename-command", "AUTH", "" } }
      local link
      local text = logged(function()
        link = loop:link(address { password = "canary" })
        await_fault(link, "answers its greeting with the error ERR")
      end)
      assert.falsy(text:find("canary"))
      assert.falsy(fault(link):find("canary"))
    end)
  end)

  describe("to a server in trouble", function()
    it("goes on trying where nobody listens, and comes up when somebody does", function()
      server = redis.start()
      server:kill()
      local link = loop:link(address())
      await_fault(link, "can't be reached: Connection refused")
      assert.equal(NULL, loop:ask(link, "PING"))
      assert.same({}, loop.states)
      server:restart()
      await_state(link, true)
      assert.same({ ok = "PONG" }, loop:ask(link, "PING"))
    end)

    it("gives every command under way no answer when the server freezes, and comes back when it thaws", function()
      server = redis.start()
      local link = loop:link_up(address(), DEADLINE)
      loop:ask(link, "SET", "a", 1)
      server:freeze()
      local first = loop.asked + 1
      for _ = 1, 100 do loop:send(link, "INCR", "a") end
      loop:send(link, "SET", "b", ("x"):rep(1000000))
      loop:send(link, "INCR", "a")
      loop.on_answer = function() assert.is_false(library.redis_link_is_up(link)) end
      local began = socket.gettime()
      loop:await(loop.asked)
      assert.is_true(socket.gettime() - began >= DEADLINE * 0.9)
      for number = first, loop.asked do
        assert.equal(NULL, loop.answers[number][1])
        assert.is_true(loop.answers[number].unavailable)
      end
      assert.same({ true, false }, loop.states)
      assert.matches("has not answered within 50 ms", fault(link))
      await_fault(link, "takes connections but does not answer")
      loop.on_answer = nil
      server:thaw()
      await_state(link, true)
      assert.is_number(tonumber(loop:ask(link, "GET", "a")))
    end)

    it("does not take its own loop's lateness for the server's", function()
      server = redis.start()
      local link = loop:link_up(address(), DEADLINE)
      local blocker = assert(socket.connect("127.0.0.1", server.port))
      local number = loop:send(link, "ECHO", "in time")
      loop.on_answer = function(answered)
        loop.on_answer = nil
        assert.equal(number, answered)
        -- Another is on its way while this callback holds the loop for longer than the deadline; the server takes a
        -- while for it, but less.
        number = loop:send(link, "ECHO", "late loop")
        server:command("DEBUG", "SLEEP", 3 * DEADLINE)
        blocker:send(("DEBUG SLEEP %s\r\n"):format(DEADLINE / 3))
      end
      loop:await(number)
      assert.equal("late loop", loop:await(number))
      assert.same({ true }, loop.states)
      blocker:close()
    end)

    it("reads what has come when a deadline is over before it believes in it", function()
      server = redis.start()
      local link = loop:link_up(address(), DEADLINE)
      server:freeze()
      local number = loop:send(link, "ECHO", "there")
      loop:turn()
      server:thaw()
      assert.is_nil(loop.answers[number])
      server:command("DEBUG", "SLEEP", 3 * DEADLINE)
      assert.equal("there", loop:await(number))
      assert.same({ true }, loop.states)
    end)

    it("never takes an answer for that of another command after a deadline", function()
      server = redis.start()
      local link = loop:link_up(address(), DEADLINE)
      local blocker = assert(socket.connect("127.0.0.1", server.port))
      blocker:send("DEBUG SLEEP 0.3\r\n")
      loop:run_until(function()
        local number = loop:send(link, "ECHO", "before")
        return loop:await(number) == NULL
      end, "a server that sleeps")
      await_state(link, true)
      for index = 1, 50 do assert.equal("after " .. index, loop:ask(link, "ECHO", "after " .. index)) end
      blocker:close()
    end)

    it("gives no answer when the server is killed, and comes back with it", function()
      server = redis.start { appendonly = true }
      local link = loop:link_up(address())
      loop:ask(link, "SET", "a", "kept")
      server:freeze()
      local numbers = {}
      for index = 1, 10 do numbers[index] = loop:send(link, "INCR", "n") end
      loop:turn()
      server:kill()
      loop:await(unpack(numbers))
      for _, number in ipairs(numbers) do assert.equal(NULL, loop.answers[number][1]) end
      assert.matches("has closed the connection", fault(link))
      server:restart()
      await_state(link, true)
      assert.equal("kept", loop:ask(link, "GET", "a"))
      assert.same({ true, false, true }, loop.states)
    end)

    it("notices an idle connection's end", function()
      server = redis.start()
      local link = loop:link_up(address())
      server:stop()
      await_state(link, false)
      server:restart()
      await_state(link, true)
    end)

    -- The server has loaded all before a slow reader looks.
    valgrind.native("waits until its data is loaded", function()
      server = redis.start { appendonly = true }
      -- It looks at its connections once every 1024 commands that it reads back.
      server:command("EVAL", "for index = 1, 3000 do redis.call('SET', index, index) end", 0)
      local link
      local text = logged(function()
        link = loop:link(address())
        await_state(link, true)
        server:restart { loading_is_enough = true, args = { "--key-load-delay", 200 } }
        await_fault(link, "is still loading its data")
        await_state(link, true)
      end)
      assert.equal("", text)
      assert.equal("3000", loop:ask(link, "GET", 3000))
    end)

    it("tells errors of the server's state from those of a command", function()
      server = redis.start { args = { "--busy-reply-threshold", "1" } }
      local link = loop:link_up(address())
      local function ask(...)
        local number = loop:send(link, ...)
        local value = loop:await(number)
        local code = type(value) == "table" and value.err and value.err:match("^%S+")
        return code or value, loop.answers[number].unavailable
      end
      local function expect(code, unavailable, ...)
        local got, is_unavailable = ask(...)
        assert.same({ code, unavailable }, { got, is_unavailable })
      end
      expect("ERR", false, "NONSENSE")
      expect("WRONGTYPE", false, "EVAL", "redis.call('SET', 'a', 1) return redis.call('LPUSH', 'a', 1)", 0)
      expect("ERR", false, "EVAL", "return redis.error_reply('ERR LOADING is not the code')", 0)
      expect("LOADINGS", false, "EVAL", "return redis.error_reply('LOADINGS of things')", 0)
      for _, code in ipairs { "LOADING", "TRYAGAIN", "MOVED", "CLUSTERDOWN", "MISCONF" } do
        expect(code, true, "EVAL", ("return redis.error_reply('%s x')"):format(code), 0)
      end
      -- As a Redis before 7 wraps what a command in a script met.
      expect("ERR", true, "EVAL", "return redis.error_reply('ERR Error running script (call to f_1): " ..
        "@user_script:1: @user_script: 1: -OOM command not allowed')", 0)
      server:command("CONFIG", "SET", "maxmemory", 1)
      expect("OOM", true, "SET", "b", 1)
      expect("OOM", true, "EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "b")
      server:command("CONFIG", "SET", "maxmemory", 0)
      server:command("CONFIG", "SET", "min-replicas-to-write", 1)
      expect("NOREPLICAS", true, "SET", "b", 1)
      server:command("CONFIG", "SET", "min-replicas-to-write", 0)
      server:command("REPLICAOF", "127.0.0.1", 1)
      expect("READONLY", true, "SET", "b", 1)
      expect("READONLY", true, "EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "b")
      server:command("CONFIG", "SET", "replica-serve-stale-data", "no")
      expect("MASTERDOWN", true, "GET", "b")
      server:command("REPLICAOF", "NO", "ONE")
      local blocker = assert(socket.connect("127.0.0.1", server.port))
      blocker:send('EVAL "while true do end" 0\r\n')
      loop:run_until(function() return ask("GET", "b") == "BUSY" end, "BUSY")
      expect("BUSY", true, "GET", "b")
      server:command("SCRIPT", "KILL")
      blocker:close()
    end)

    it("calls by its name what is no Redis", function()
      for greeting, pattern in pairs {
        ["SSH-2.0-OpenSSH_9.2\r\n"] = "is not Redis: Protocol error",
        ["*2\r\n:1\r\n:2\r\n"] = "is not Redis",
        ["+PONG\r\n+PONG\r\n+PONG\r\n"] = "answers what it was not asked",
        ["-ERR max number of clients reached\r\n"] = "as many clients as it takes",
      } do
        local port, accept, close = impostor(greeting)
        local link = loop:link(address { port = port })
        loop:run_until(function() accept(); return fault(link):match(pattern) end, pattern)
        loop:close_link(link)
        close()
      end
    end)

    it("tries again with growing waits", function()
      local listener = assert(socket.bind("127.0.0.1", 0))
      local _, port = listener:getsockname()
      listener:settimeout(0)
      local times = {}
      loop:link(address { port = tonumber(port) })
      loop:run_until(function()
        local connection = listener:accept()
        if connection then
          times[#times + 1] = socket.gettime()
          connection:close()
        end
        return #times == 6
      end, "six tries")
      listener:close()
      -- 20, 40, 80, 160 and 320 ms, each at least by half.
      assert.is_true(times[6] - times[1] >= 0.30, times[6] - times[1])
      assert.is_true(times[6] - times[5] >= 0.15)
    end)
  end)

  describe("that is given up", function()
    before_each(function() server = redis.start() end)

    it("answers what is under way with none before it is closed", function()
      local link = loop:link_up(address())
      server:freeze()
      for _ = 1, 10 do loop:send(link, "PING") end
      loop:turn()
      for _ = 1, 10 do loop:send(link, "PING") end
      loop:close_link(link)
      for number = 1, 20 do assert.equal(NULL, loop.answers[number][1]) end
      assert.same({ true }, loop.states)
    end)

    it("can be closed before it ever was up", function()
      local link = loop:link(address())
      local number = loop:send(link, "PING")
      loop:close_link(link)
      assert.equal(NULL, loop.answers[number][1])
      library.redis_link_close(nil)
    end)

    it("can be closed from inside an answer", function()
      local link = loop:link_up(address())
      loop.on_answer = function(number) if number == 3 then loop:close_link(link) end end
      for _ = 1, 10 do loop:send(link, "PING") end
      loop:await(10)
      assert.same({ ok = "PONG" }, loop.answers[3][1])
      for number = 4, 10 do assert.equal(NULL, loop.answers[number][1]) end
    end)

    it("can be closed when it tells that it is up, or that it is no more", function()
      local link = loop:link(address())
      loop.on_change = function() loop:close_link(link) end
      loop:run_until(function() return #loop.states == 1 end)
      loop.on_change = nil
      link = loop:link_up(address())
      loop.on_change = function() loop:close_link(link) end
      loop:send(link, "PING")
      server:kill()
      loop:run_until(function() return #loop.states == 3 end)
      assert.equal(NULL, loop:await(1))
    end)

    it("can be closed by the loss of what was under way", function()
      local link = loop:link_up(address())
      loop.on_answer = function(number) if number == 3 then loop:close_link(link) end end
      for _ = 1, 10 do loop:send(link, "PING") end
      library.redis_link_reset(link)
      loop:await(10)
      for number = 1, 10 do assert.equal(NULL, loop.answers[number][1]) end
    end)

    it("comes up anew after a reset, with nothing of before", function()
      local link = loop:link_up(address())
      local before = loop:send(link, "ECHO", "before")
      library.redis_link_reset(link)
      assert.is_nil(loop.answers[before])
      local between = loop:send(link, "ECHO", "between")
      loop:await(before, between)
      assert.same({ NULL, NULL }, { loop.answers[before][1], loop.answers[between][1] })
      await_state(link, true)
      assert.equal("after", loop:ask(link, "ECHO", "after"))
      assert.same({ true, false, true }, loop.states)
    end)

    it("can be reset from inside an answer", function()
      local link = loop:link_up(address())
      loop.on_answer = function(number) if number == 2 then library.redis_link_reset(link) end end
      for _ = 1, 5 do loop:send(link, "PING") end
      loop:await(1, 2, 3, 4, 5)
      assert.same({ ok = "PONG" }, loop.answers[2][1])
      assert.equal(NULL, loop.answers[3][1])
      await_state(link, true)
    end)
  end)
end)
