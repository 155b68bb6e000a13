-- Redis links: a loop's connection to a real server that stops, freezes, forgets and comes back.
local links = require "spec.net.redis_links"
local redis = require "spec.support.redis"

local library = links.library

describe("a link", function()
  local server, loop

  local function address(fields)
    fields = fields or {}
    fields.port = fields.port or server.port
    return links.address(fields)
  end

  before_each(function()
    loop = links.open()
  end)

  after_each(function()
    loop:close()
    if server then server:free() end
    server = nil
  end)

  it("answers commands in their order", function()
    server = redis.start()
    local link = loop:link_up(address())
    for index = 1, 100 do loop:send(link, "RPUSH", "list", index) end
    local last = loop:send(link, "LRANGE", "list", 0, 2)
    assert.same({ "1", "2", "3", n = 3 }, loop:await(last))
    for index = 1, last do assert.equal(index, loop.order[index]) end
  end)
end)
