-- Scripts over a Redis link: a server that has not got one, or has forgotten it, is told it without anybody noticing.
local links = require "spec.net.redis_links"
local redis = require "spec.support.redis"

local library, NULL = links.library, links.NULL
local DEADLINE = 0.05

describe("a script over a link", function()
  local server, loop

  local add = links.script("return redis.call('INCRBY', KEYS[1], ARGV[1])", "add")

  local function address() return links.address { port = server.port } end

  local function await_state(link, is_up)
    loop:run_until(function() return library.redis_link_is_up(link) == is_up end, "a change of the link")
  end

  before_each(function()
    server = redis.start { appendonly = true }
    loop = links.open()
  end)

  after_each(function()
    loop:close()
    server:free()
  end)

  it("is taught to a server that does not know it, once", function()
    local link = loop:link_up(address())
    for _ = 1, 1000 do loop:run(link, add, { "n" }, 2) end
    loop:await(loop.asked)
    loop:run_until(function() return #loop.order == 1000 end)
    assert.equal("2000", server:command("GET", "n"))
    loop:await(loop:run(link, add, { "n" }, 1))
    assert.matches("cmdstat_script|load:calls=1,", server:command("INFO", "commandstats"), 1, true)
  end)

  it("is taught again after SCRIPT FLUSH, each run carried out once", function()
    local link = loop:link_up(address())
    assert.equal(5, loop:await(loop:run(link, add, { "n" }, 5)))
    for round = 1, 5 do
      server:command("SCRIPT", "FLUSH")
      for _ = 1, 20 do loop:run(link, add, { "n" }, 1) end
      loop:run_until(function() return #loop.order == loop.asked end)
      assert.equal(tostring(5 + 20 * round), server:command("GET", "n"))
    end
    assert.same({ true }, loop.states)
  end)

  it("is taught again after a restart", function()
    local link = loop:link_up(address())
    loop:await(loop:run(link, add, { "n" }, 5))
    server:restart()
    await_state(link, false)
    await_state(link, true)
    assert.equal(6, loop:await(loop:run(link, add, { "n" }, 1)))
  end)

  it("mixes with others and with plain commands", function()
    local link = loop:link_up(address())
    local double = links.script("return ARGV[1] * 2", "double")
    local one, two = loop:run(link, add, { "n" }, 4), loop:run(link, double, {}, 21)
    local three, four = loop:send(link, "ECHO", "x"), loop:run(link, add, { "n" }, 1)
    loop:await(one, two, three, four)
    assert.same({ 4, 42, "x", 5 },
      { loop.answers[one][1], loop.answers[two][1], loop.answers[three][1], loop.answers[four][1] })
  end)

  it("is passed words of any bytes", function()
    local link = loop:link_up(address())
    local echo = links.script("return { KEYS[1], ARGV[1], #ARGV }", "echo")
    local word = "\0\r\n\255"
    assert.same({ word, word, 1, n = 3 }, loop:await(loop:run(link, echo, { word }, word)))
  end)

  it("hands its own error on", function()
    local link = loop:link_up(address())
    local wrong = links.script("return redis.call('LPUSH', KEYS[1])", "wrong")
    assert.matches("^ERR Wrong number of args", loop:await(loop:run(link, wrong, { "n" })).err)
  end)

  it("is named in the log if it can't be compiled, and answers with an error", function()
    local link = loop:link_up(address())
    local broken = links.script("return (", "broken")
    local text = links.logged(function()
      assert.matches("^NOSCRIPT", loop:await(loop:run(link, broken, {})).err)
    end)
    assert.matches('"script":"broken"', text, 1, true)
  end)

  it("has no answer if the server freezes while it is being taught", function()
    local link = loop:link_up(address(), DEADLINE)
    server:freeze()
    assert.equal(NULL, loop:await(loop:run(link, add, { "n" }, 1)))
    server:thaw()
    await_state(link, true)
    assert.is_number(loop:await(loop:run(link, add, { "n" }, 1)))
  end)
end)
