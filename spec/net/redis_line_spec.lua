-- Redis lines: a waiting thread's connection to a real server.
local ffi = require "ffi"
local links = require "spec.net.redis_links"
local redis = require "spec.support.redis"
local socket = require "socket"
local wait = require "spec.support.wait"

local library, NULL = links.library, links.NULL

describe("a line", function()
  local server, line

  local function open(fields, timeout)
    local fault = ffi.new("char[512]")
    fields = fields or {}
    fields.port = fields.port or server.port
    line = library.redis_line_open(links.address(fields), timeout or 10, fault, 512)
    if line == nil then
      line = nil
      return nil, ffi.string(fault)
    end
    return line
  end

  local function take(reply)
    local value = links.value(reply)
    library.redis_reply_free(reply)
    return value
  end

  local function call(...)
    local words, kept = links.words(...)
    return take(library.redis_line_call(line, words, #kept))
  end

  local function run(script, keys, ...)
    local all = { unpack(keys) }
    for _, word in ipairs { ... } do all[#all + 1] = word end
    local words, kept = links.words(unpack(all))
    return take(library.redis_line_run(line, script.c, #keys, words, #kept))
  end

  local function pushed() return take(library.redis_line_pushed(line)) end

  -- The next message, which may be on its way still.
  local function await_pushed()
    return wait.until_(function()
      local message = pushed()
      return message ~= NULL and message
    end, "a message")
  end

  local function is_broken() return library.redis_line_is_broken(line) end

  after_each(function()
    library.redis_line_close(line)
    line = nil
    if server then server:free() end
    server = nil
  end)

  describe("to a server that is there", function()
    before_each(function() server = redis.start() end)

    it("calls and waits for the answer", function()
      assert(open())
      assert.same({ ok = "OK" }, call("SET", "a", "\0\r\n"))
      assert.equal("\0\r\n", call("GET", "a"))
      assert.matches("^ERR", call("NONSENSE").err)
      assert.is_false(is_broken())
    end)

    it("goes over a Unix socket and into a database", function()
      local fault = ffi.new("char[512]")
      line = library.redis_line_open(links.address { host = server.socket, database = 2 }, 10, fault, 512)
      assert.is_true(line ~= nil, ffi.string(fault))
      call("SET", "a", 1)
      assert.is_nil((server:command("GET", "a")))
    end)

    it("carries megabytes both ways", function()
      assert(open())
      local big = ("0123456789abcdef"):rep(512 * 1024)
      call("SET", "big", big)
      assert.is_true(call("GET", "big") == big)
    end)

    it("teaches the server a script, again after SCRIPT FLUSH", function()
      assert(open())
      local add = links.script("return redis.call('INCRBY', KEYS[1], ARGV[1])", "add")
      assert.equal(2, run(add, { "n" }, 2))
      assert.equal(4, run(add, { "n" }, 2))
      call("SCRIPT", "FLUSH")
      assert.equal(6, run(add, { "n" }, 2))
    end)

    it("says what is wrong with a script, and stays in step", function()
      assert(open())
      assert.matches("^ERR Error compiling script", run(links.script("return (", "broken"), {}).err)
      assert.equal("x", call("ECHO", "x"))
    end)

    it("is told messages without waiting for them", function()
      assert(open())
      assert.same({ "subscribe", "news", 1, n = 3 }, call("SUBSCRIBE", "news"))
      assert.equal(NULL, pushed())
      for index = 1, 3 do server:command("PUBLISH", "news", index) end
      for index = 1, 3 do assert.same({ "message", "news", tostring(index), n = 3 }, await_pushed()) end
      assert.equal(NULL, pushed())
      assert.is_false(is_broken())
    end)

    it("keeps messages that come between a call and its answer", function()
      assert(open())
      call("SUBSCRIBE", "news")
      for index = 1, 20 do server:command("PUBLISH", "news", index) end
      assert.same({ "subscribe", "more", 2, n = 3 }, call("SUBSCRIBE", "more"))
      assert.same({ "pong", "", n = 2 }, call("PING"))
      server:command("PUBLISH", "more", 21)
      assert.same({ "pong", "", n = 2 }, call("PING"))
      for index = 1, 20 do assert.same({ "message", "news", tostring(index), n = 3 }, await_pushed()) end
      assert.same({ "message", "more", "21", n = 3 }, await_pushed())
    end)

    it("takes a list that begins like a message for an answer", function()
      assert(open())
      call("RPUSH", "list", "message", "a", "b")
      assert.same({ "message", "a", "b", n = 3 }, call("LRANGE", "list", 0, -1))
    end)

    it("tells when the server goes while it listens", function()
      assert(open())
      call("SUBSCRIBE", "news")
      server:kill()
      wait.until_(function() return pushed() == NULL and is_broken() end, "a line that is broken")
    end)

    it("is broken when the server freezes, after its timeout", function()
      assert(open(nil, 0.1))
      server:freeze()
      local began = socket.gettime()
      assert.equal(NULL, call("PING"))
      local took = socket.gettime() - began
      assert.is_true(took >= 0.09 and took < 5, took)
      assert.is_true(is_broken())
      assert.equal(NULL, call("PING"))
    end)

    it("is broken when the server is killed, and raises no signal", function()
      assert(open())
      server:kill()
      for _ = 1, 3 do assert.equal(NULL, call("PING")) end
      assert.is_true(is_broken())
    end)

    it("does not open to a frozen server", function()
      server:freeze()
      local opened, fault = open(nil, 0.1)
      assert.is_nil(opened)
      assert.matches("takes connections but does not answer", fault)
    end)

    it("does not open to a database that is not there", function()
      local opened, fault = open { database = 99 }
      assert.is_nil(opened)
      assert.matches("has no database 99", fault)
    end)

    it("does not open where nobody listens", function()
      server:kill()
      local opened, fault = open()
      assert.is_nil(opened)
      assert.matches("can't be reached: Connection refused", fault)
    end)
  end)

  it("does not open with a wrong password, and does not show it", function()
    server = redis.start { requirepass = "right" }
    local opened, fault = open { password = "canary" }
    assert.is_nil(opened)
    assert.matches("refuses the password", fault)
    assert.falsy(fault:find("canary"))
    assert(open { password = "right" })
    assert.same({ ok = "PONG" }, call("PING"))
  end)
end)
